"""A setting's functions are called once for its profile, which says all that planning and training need."""

from collections import Counter

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adagrad, Rprop
from torch.optim.lr_scheduler import CyclicLR, ExponentialLR, LambdaLR, OneCycleLR

from lrsched import Cutoff, Inverse, InverseLR, PlateauSequence, Setting, compare
from lrsched.comparison._profile import examine
from tests.comparison.helpers import CALL, FIXED, OPTIONS, adam, hidden, linear, mse, sgd, task


def profile(setting, model_fn=hidden, vectorize=True, **changes):
    return examine({"a": setting}, task(model_fn=model_fn, **changes), model_fn(), vectorize)["a"]


def counted(counts, name, function):
    def call(*arguments):
        counts[name] += 1
        return function(*arguments)

    return call


@pytest.mark.parametrize("vectorize", [False, True])
def test_each_function_of_a_setting_is_called_once_for_its_profile_and_once_per_run(vectorize):
    counts = Counter()
    settings = {
        name: Setting(counted(counts, "optimizer", optimizer), counted(counts, "scheduler", scheduler))
        for name, optimizer, scheduler in [
            ("a", sgd(momentum=0.9), InverseLR),
            ("b", sgd(0.2, momentum=0.9), InverseLR),
            ("c", adam(), InverseLR),
        ]
    }
    compare(settings, counted(counts, "model", hidden), *CALL[2:], **OPTIONS, vectorize=vectorize)
    assert counts == {"optimizer": 3 + 6, "scheduler": 3 + 6, "model": 2 + 6}


def test_the_trials_for_side_by_side_are_made_once_per_optimizer():
    counts = Counter()
    settings = {name: Setting(sgd(lr)) for name, lr in {"a": 0.1, "b": 0.2, "c": 0.3}.items()}
    one = examine({"a": settings["a"]}, task(loss_fn=counted(counts, "loss", mse)), hidden(), True)
    once = counts["loss"]
    three = examine(settings, task(loss_fn=counted(counts, "loss", mse)), hidden(), True)
    assert once > 0
    assert counts["loss"] == 2 * once
    assert {each.signature for each in three.values()} == {one["a"].signature}


def test_signatures_differ_in_everything_but_the_lr():
    settings = [sgd(), sgd(momentum=0.9), adam(), lambda params: SGD([{"params": [each]} for each in params], lr=0.1)]
    assert len({profile(Setting(optimizer)).signature for optimizer in settings}) == len(settings)
    assert profile(Setting(sgd(0.1), InverseLR)).signature == profile(Setting(sgd(0.2))).signature
    assert [profile(Setting(optimizer)).common[0] for optimizer in settings] == [1, 1, 1, 4]


def test_descriptions_of_different_settings_differ():
    settings = [
        (sgd(),),
        (sgd(0.2),),
        (sgd(momentum=0.9),),
        (sgd(), InverseLR),
        (sgd(), InverseLR, "batch"),
        (sgd(), lambda opt: ExponentialLR(opt, 0.9)),
        (sgd(), lambda opt: ExponentialLR(opt, 0.8)),
        (sgd(), lambda opt: PlateauSequence(opt, Inverse(), on=Cutoff(0.1))),
        (sgd(), lambda opt: PlateauSequence(opt, Inverse(), on=Cutoff(0.2))),
        (sgd(), lambda opt: LambdaLR(opt, lambda k: 1 / (k + 1))),
    ]
    first, second = ([str(profile(Setting(*setting)).description) for setting in settings] for _ in range(2))
    assert len(set(first)) == len(settings)
    assert first == second
    assert not any(" at 0x" in text for text in first)


def test_a_description_is_what_committed_runs_have():
    """Finished runs are found by it, so a change of one character trains all of them again."""
    found = profile(Setting(sgd(), lambda opt: ExponentialLR(opt, 0.5), "batch")).description
    assert [*found] == ["optimizer", "groups", "scheduler", "per"]
    assert found["optimizer"].startswith("SGD ( Parameter Group 0 dampening: 0 differentiable: False ")
    assert found["optimizer"].endswith(
        " initial_lr: 0.1 lr: 0.1 maximize: False momentum: 0 nesterov: False weight_decay: 0 )"
    )
    assert found["scheduler"].startswith('ExponentialLR {"gamma": 0.5, "base_lrs": [0.1], "last_epoch": 0, ')
    assert found["per"] == "batch"
    assert found["groups"] == "0-3"
    assert profile(Setting(sgd())).description["scheduler"] == "None"


def test_an_option_that_a_scheduler_changes_when_made_is_noticed():
    cyclic = profile(Setting(sgd(momentum=0.5), lambda opt: CyclicLR(opt, 0.1, 0.2)))
    assert cyclic.starting_option == "momentum"
    assert profile(Setting(adam(), lambda opt: OneCycleLR(opt, 0.1, 10, cycle_momentum=False))).starting_option is None


def test_an_option_that_a_scheduler_changes_later_is_noticed():
    setting = Setting(lambda params: SGD(params, lr=0.1, weight_decay=torch.tensor(0.5)), InverseLR)
    found, (optimizer, scheduler) = profile(setting, vectorize=False), setting.build(hidden())
    optimizer.step()
    scheduler.step()
    optimizer.param_groups[0]["new"] = 1
    assert found.changed_option(optimizer) is None
    optimizer.param_groups[0]["weight_decay"].fill_(0.25)
    assert found.changed_option(optimizer) == "weight_decay"


def test_a_tensor_option_changed_in_place_when_the_scheduler_is_made_is_noticed():
    class Decays(ExponentialLR):
        def __init__(self, optimizer):
            super().__init__(optimizer, 0.9)
            optimizer.param_groups[0]["weight_decay"].fill_(0.25)

    setting = Setting(lambda params: SGD(params, lr=0.1, weight_decay=torch.tensor(0.5)), Decays)
    assert profile(setting, vectorize=False).starting_option == "weight_decay"


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [(Adagrad, {"lr": 0.1, "initial_accumulator_value": 0.5}), (SGD, {"lr": torch.tensor(0.1), "momentum": 0.9})],
    ids=["with state", "tensor lr"],
)
def test_a_new_optimizer_is_the_one_that_the_setting_would_make(optimizer, options):
    setting = Setting(lambda params: optimizer([{"params": params[:1]}, {"params": params[1:]}], **options), InverseLR)
    others = [*hidden().parameters()]
    found, expected = profile(setting).new_optimizer(others), setting.optimizer(others)
    assert type(found) is optimizer
    assert "step" not in vars(found)  # no scheduler has touched it
    assert str(found) == str(expected)
    for group, other in zip(found.param_groups, expected.param_groups, strict=True):
        assert [*map(id, group["params"])] == [*map(id, other["params"])]
    for parameter in others:
        assert str(found.state[parameter]) == str(expected.state[parameter])


@pytest.mark.parametrize(
    ("setting", "options", "reason"),
    [
        (FIXED["fixed"], {"vectorize": False}, "vectorize=False"),
        (Setting(Rprop), {}, "Rprop is not exactly one of SGD, Adam"),
        (FIXED["fixed"], {"model_fn": lambda: Branching(3, 1)}, "the model cannot be stacked"),
        (FIXED["fixed"], {"metric_fn": lambda model, batch: mse(model, batch).item()}, "metric_fn cannot be stacked"),
    ],
    ids=["vectorize", "optimizer", "model", "metric"],
)
def test_obstacles_to_side_by_side(setting, options, reason):
    found = profile(setting, **{"vectorize": "auto", **options})
    assert found.obstacle.startswith(reason)
    assert found.optimizer is None
    if "vectorize" not in options:
        with pytest.raises(
            ValueError, match=f"setting 'a' cannot be trained side by side: {reason}.*; pass vectorize="
        ):
            profile(setting, **options)


class Branching(nn.Linear):
    def forward(self, x):
        return super().forward(x) * (1.0 if self.weight.sum().item() > -1e9 else 2.0)


def test_auto_avoids_side_by_side_if_it_is_slower():
    def images(model, batch):
        return model(batch[0].reshape(-1, 1, 1, 3)).square().mean()

    found = profile(FIXED["fixed"], lambda: nn.Conv2d(1, 1, (1, 3)), "auto", loss_fn=images)
    assert "Conv2d" in found.obstacle
    assert profile(FIXED["fixed"], lambda: nn.Conv2d(1, 1, (1, 3)), True, loss_fn=images).obstacle is None


def test_the_trials_leave_the_weights_as_they_are():
    model = linear()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    examine(FIXED, task(model_fn=linear), model, True)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
