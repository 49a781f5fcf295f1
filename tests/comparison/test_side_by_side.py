"""Members side by side train as they do alone."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CyclicLR, ExponentialLR, LinearLR, OneCycleLR, ReduceLROnPlateau

from lrsched import Cutoff, Inverse, PlateauSequence, Sawtooth, SequenceLR, Setting, Warmup, compare
from tests.comparison.helpers import DATA, FIXED, adam, hidden, mse, sgd, worst

SETTINGS = {
    "fixed": Setting(sgd(0.05, momentum=0.9)),
    "ours": Setting(sgd(0.1, momentum=0.9), lambda opt: PlateauSequence(opt, Sawtooth(), on=Cutoff(0.1))),
    "torch": Setting(sgd(0.1, momentum=0.9), lambda opt: ReduceLROnPlateau(opt, patience=0, threshold=0.1)),
    "batch": Setting(sgd(0.1, momentum=0.9), lambda opt: SequenceLR(opt, Warmup(10)), per="batch"),
    "adam": Setting(adam(), lambda opt: ExponentialLR(opt, 0.5)),
    "one cycle": Setting(adam(), lambda opt: OneCycleLR(opt, 0.1, total_steps=20, cycle_momentum=False), per="batch"),
}


def both(settings, model_fn=hidden, loss_fn=mse, data=DATA, epochs=4, batch_size=11, valid=None, **options):
    """Return the runs of a comparison one after another, and of the same comparison side by side."""
    call = settings, model_fn, loss_fn, data, valid or data
    options = {"epochs": epochs, "batch_size": batch_size, "seeds": 3, "metric_fn": worst, **options}
    return [compare(*call, vectorize=how, **options).runs for how in (False, True)]


def assert_alike(alone, beside, **tolerance):
    assert [(run.setting, run.seed, run.stopped) for run in alone] == [(r.setting, r.seed, r.stopped) for r in beside]
    for one, other in zip(alone, beside, strict=True):
        assert one.lrs == other.lrs
        assert [(event["epoch"], event["new_lrs"]) for event in one.events] == [
            (event["epoch"], event["new_lrs"]) for event in other.events
        ]
        for series, others in ((one.train_loss, other.train_loss), (one.val_loss, other.val_loss)):
            assert others == pytest.approx(series, **tolerance)
        assert other.metrics.keys() == one.metrics.keys()
        for name, series in one.metrics.items():
            assert other.metrics[name] == pytest.approx(series, **tolerance)


def test_members_train_as_they_do_alone():
    alone, beside = both(SETTINGS)
    assert {run.method for run in alone} == {"one after another"}
    assert {run.method for run in beside} == {"side by side"}
    assert {run.reason for run in beside} == {"18 runs sharing 2 optimizers, differing only in lr"}
    assert any(run.events for run in alone)
    assert_alike(alone, beside, rel=1e-4, abs=1e-6)


def test_members_that_stop_do_not_disturb_the_others():
    def stop(losses):
        return len(losses) == 2 and losses[-1] > 0.295

    alone, beside = both(SETTINGS, stop=stop, final_fn=lambda model: {"first": model[0].weight[0, 0].item()})
    assert len({run.stopped for run in alone}) == 2
    assert_alike(alone, beside, rel=1e-4, abs=1e-6)
    for one, other in zip(alone, beside, strict=True):
        assert other.final["first"] == pytest.approx(one.final["first"], rel=1e-3, abs=1e-5)


def test_a_diverged_member_does_not_disturb_the_others():
    settings = {"sane": Setting(sgd(0.05)), "mad": Setting(sgd(1e20))}
    alone, beside = both(settings)
    assert [run.val_loss[-1] is None for run in beside] == [False] * 3 + [True] * 3
    assert_alike(alone[:3], beside[:3], rel=1e-4, abs=1e-6)


def convolutional():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 9, 5))


def test_a_convolutional_net_with_different_batches_for_each_seed():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(5, (64,), generator=generator)
    images = torch.randn(64, 1, 8, 8, generator=generator) + labels.reshape(-1, 1, 1, 1)

    def loss_fn(model, batch):
        return nn.functional.cross_entropy(model(batch[0]), batch[1])

    def accuracy(model, batch):
        return (model(batch[0]).argmax(1) == batch[1]).double().mean()

    settings = {
        "cutoff": Setting(sgd(0.05, momentum=0.9), lambda opt: PlateauSequence(opt, Sawtooth())),
        "fixed": Setting(sgd(0.01, momentum=0.9)),
    }
    alone, beside = both(settings, convolutional, loss_fn, (images, labels), 2, 16, seeds=2, metric_fn=accuracy)
    assert_alike(alone, beside, rel=1e-4, abs=1e-6)


def test_a_scheduler_that_changes_momentum_is_trained_alone():
    def cyclic(opt):
        return CyclicLR(opt, 0.01, 0.1, step_size_up=4)

    settings = {**SETTINGS, "cyclic": Setting(sgd(0.1, momentum=0.9), cyclic, per="batch")}
    alone, beside = both(settings)
    assert_alike(alone, beside, rel=1e-4, abs=1e-6)
    cyclics = [run for run in beside if run.setting == "cyclic"]
    assert {run.method for run in cyclics} == {"one after another"}
    assert {run.reason for run in cyclics} == {"its scheduler changes momentum as well as lr"}
    assert {run.method for run in beside if run.setting != "cyclic"} == {"side by side"}


def test_a_momentum_changed_later_is_noticed():
    class Later(ExponentialLR):
        def step(self):
            super().step()
            if self.last_epoch == 2:
                self.optimizer.param_groups[0]["momentum"] = 0.5

    settings = {"later": Setting(sgd(0.1, momentum=0.9), lambda opt: Later(opt, 0.9)), "fixed": SETTINGS["fixed"]}
    alone, beside = both(settings)
    assert_alike(alone, beside, rel=1e-4, abs=1e-6)
    assert [run.method for run in beside] == ["one after another"] * 3 + ["side by side"] * 3


def test_a_loss_of_shape_1_1_is_trained_one_after_another():
    def loss_fn(model, batch):
        return mse(model, batch).reshape(1, 1)

    runs = compare(FIXED, hidden, loss_fn, DATA, DATA, epochs=2, batch_size=16, seeds=2).runs
    assert {run.method for run in runs} == {"one after another"}


def test_validation_batches_may_come_from_a_function():
    alone, beside = both({"a": Setting(sgd(0.05)), "b": Setting(sgd(0.1))}, valid=lambda: [DATA])
    assert {run.method for run in beside} == {"side by side"}
    assert_alike(alone, beside, rel=1e-4, abs=1e-6)


def test_a_warm_up_counts_batches():
    warm = Setting(sgd(0.1), lambda opt: PlateauSequence(opt, Inverse(), on="oscillate", warmup=10))
    alone, beside = both({"warm": warm, "fixed": Setting(sgd(0.1))}, batch_size=8)
    # 5 batches an epoch: the factor rises from 0.1 by 0.9 · 5/10
    assert [rates[0] for rates in alone[0].lrs[:3]] == pytest.approx([0.01, 0.055, 0.1])
    assert [run.method for run in beside] == ["side by side"] * 6
    assert_alike(alone, beside, rel=1e-4, abs=1e-6)


def freezing(params, start):
    """Freeze the first layer, and return an optimizer of the parameters from a position on."""
    for parameter in params[:2]:
        parameter.requires_grad_(False)
    return torch.optim.SGD(params[start:], lr=0.1)


@pytest.mark.parametrize("start", [2, 0], ids=["of the others", "of all"])
@pytest.mark.parametrize("first", ["frozen", "full"])
def test_a_setting_that_freezes_parameters_does_not_freeze_those_of_others(start, first):
    settings = {"frozen": Setting(partial(freezing, start=start)), "full": Setting(sgd(0.1))}
    settings = {first: settings.pop(first), **settings}
    alone, beside = both(settings)
    assert_alike(alone, beside, rel=1e-4, abs=1e-6)
    assert {run.method for run in beside} == {"side by side"}
    by_name = {run.setting: run.val_loss[-1] for run in beside if run.seed == 0}
    assert by_name["full"] < by_name["frozen"]


def clipped_before_the_step(params):
    optimizer = torch.optim.SGD(params, lr=0.1)
    optimizer.register_step_pre_hook(lambda *_: nn.utils.clip_grad_norm_(params, 1e-3) and None)
    return optimizer


def clamped_gradients(params):
    for parameter in params:
        parameter.register_hook(lambda gradient: gradient.clamp(-1e-3, 1e-3))
    return torch.optim.SGD(params, lr=0.1)


@pytest.mark.parametrize("hooked", [clipped_before_the_step, clamped_gradients])
@pytest.mark.parametrize("first", ["hooked", "plain"])
def test_a_setting_with_hooks_is_trained_alone_and_leaves_no_hooks(hooked, first):
    settings = {"hooked": Setting(hooked), "plain": Setting(sgd(0.1))}
    settings = {first: settings.pop(first), **settings}
    alone = compare(settings, hidden, mse, DATA, DATA, epochs=2, batch_size=11, seeds=2, vectorize=False).runs
    mixed = compare(settings, hidden, mse, DATA, DATA, epochs=2, batch_size=11, seeds=2).runs
    assert_alike(alone, mixed, rel=1e-4, abs=1e-6)
    assert {run.setting: run.method for run in mixed} == {"hooked": "one after another", "plain": "side by side"}


def test_a_setting_whose_scheduler_may_change_the_weights_is_trained_alone():
    def forgetting(optimizer):
        def on_advance(event):
            optimizer.state.clear()

        return PlateauSequence(optimizer, Inverse(), on="oscillate", on_advance=on_advance)

    settings = {"forgets": Setting(sgd(0.1, momentum=0.9), forgetting), "fixed": Setting(sgd(0.1, momentum=0.9))}
    mixed = compare(settings, hidden, mse, DATA, DATA, epochs=2, batch_size=11, seeds=2).runs
    assert [run.method for run in mixed] == ["one after another"] * 2 + ["side by side"] * 2
    assert mixed[0].reason == "its scheduler has an on_advance function, which may change the weights"


def test_a_scheduler_that_changes_the_weights_is_noticed():
    class Shrinks(ExponentialLR):
        def step(self):
            super().step()
            if self.last_epoch == 2:
                with torch.no_grad():
                    for parameter in self.optimizer.param_groups[0]["params"]:
                        parameter.mul_(0.5)

    alone, beside = both({"shrinks": Setting(sgd(0.1), lambda opt: Shrinks(opt, 0.9)), "fixed": Setting(sgd(0.1))})
    assert_alike(alone, beside, rel=1e-4, abs=1e-6)
    assert [run.method for run in beside] == ["one after another"] * 3 + ["side by side"] * 3
    assert beside[0].reason == "its scheduler changes the weights"


def test_a_rate_below_0_is_trained_alone():
    def falling(optimizer):  # by rounding, its last rate is −1.5e-18
        return LinearLR(optimizer, end_factor=0.0, total_iters=5)

    settings = {"falls": Setting(sgd(0.1), falling), "fixed": Setting(sgd(0.1))}
    alone, beside = both(settings, epochs=7)
    assert alone[0].lrs[-1][0] < 0
    assert_alike(alone, beside, rel=1e-4, abs=1e-6)
    assert [run.method for run in beside] == ["one after another"] * 3 + ["side by side"] * 3
    assert beside[0].reason == f"its scheduler writes the learning rate {alone[0].lrs[-1][0]:g}"


def test_lazy_models_are_trained_alone():
    def lazy():
        return nn.Sequential(nn.LazyLinear(4), nn.Tanh(), nn.Linear(4, 1))

    settings = {"a": Setting(sgd(0.05)), "b": Setting(sgd(0.1))}
    runs = compare(settings, lazy, mse, DATA, DATA, epochs=2, batch_size=16, seeds=2).runs
    assert {run.reason for run in runs} == {"the model has lazy parameters"}
    with pytest.raises(ValueError, match="setting 'a' cannot be trained side by side: the model has lazy parameters"):
        compare(settings, lazy, mse, DATA, DATA, epochs=2, batch_size=16, seeds=2, vectorize=True)


class Counting(nn.Linear):
    """Counts its training batches in a buffer that no state dict has."""

    def __init__(self):
        super().__init__(DATA[0].shape[1], 1)
        self.register_buffer("batches", torch.zeros(()), persistent=False)

    def forward(self, x):
        if self.training:
            self.batches = self.batches + 1
        return super().forward(x)


def test_buffers_outside_state_dict_reach_final_fn():
    alone, beside = both(
        {"a": Setting(sgd(0.05)), "b": Setting(sgd(0.1))},
        Counting,
        final_fn=lambda model: {"batches": model.batches.item()},
    )
    count = 4 * -(-len(DATA[0]) // 11)
    assert [run.final["batches"] for run in alone] == [run.final["batches"] for run in beside] == [count] * 6
