"""Members side by side do what they do alone."""

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CyclicLR, ExponentialLR, OneCycleLR, ReduceLROnPlateau

from lrsched import Cutoff, PlateauSequence, Sawtooth, SequenceLR, Setting, Warmup, compare
from tests.comparison.helpers import DATA, FIXED, adam, hidden, mse, sgd, worst

SETTINGS = {
    "fixed": Setting(sgd(0.05, momentum=0.9)),
    "ours": Setting(sgd(0.1, momentum=0.9), lambda opt: PlateauSequence(opt, Sawtooth(), on=Cutoff(0.1))),
    "torch": Setting(sgd(0.1, momentum=0.9), lambda opt: ReduceLROnPlateau(opt, patience=0, threshold=0.1)),
    "batch": Setting(sgd(0.1, momentum=0.9), lambda opt: SequenceLR(opt, Warmup(10)), per="batch"),
    "adam": Setting(adam(), lambda opt: ExponentialLR(opt, 0.5)),
    "one cycle": Setting(adam(), lambda opt: OneCycleLR(opt, 0.1, total_steps=20, cycle_momentum=False), per="batch"),
}


def both(settings, model_fn=hidden, loss_fn=mse, data=DATA, epochs=4, batch_size=11, **options):
    """Return the runs of a comparison one after another, and of the same side by side."""
    call = settings, model_fn, loss_fn, data, data
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


def test_a_member_does_what_it_does_alone():
    alone, beside = both(SETTINGS)
    assert {run.method for run in alone} == {"one after another"}
    assert {run.method for run in beside} == {"side by side"}
    assert {run.reason for run in beside} == {"18 runs with 2 optimizers but for the lr"}
    assert any(run.events for run in alone)
    assert_alike(alone, beside, rel=1e-4, abs=1e-6)


def test_members_that_stop_leave_the_others_to_go_on():
    def stop(losses):
        return len(losses) == 2 and losses[-1] > 0.295

    alone, beside = both(SETTINGS, stop=stop, final_fn=lambda model: {"first": model[0].weight[0, 0].item()})
    assert len({run.stopped for run in alone}) == 2
    assert_alike(alone, beside, rel=1e-4, abs=1e-6)
    for one, other in zip(alone, beside, strict=True):
        assert other.final["first"] == pytest.approx(one.final["first"], rel=1e-3, abs=1e-5)


def test_a_diverged_member_does_not_harm_the_others():
    settings = {"sane": Setting(sgd(0.05)), "mad": Setting(sgd(1e20))}
    alone, beside = both(settings)
    assert [run.val_loss[-1] is None for run in beside] == [False] * 3 + [True] * 3
    assert_alike(alone[:3], beside[:3], rel=1e-4, abs=1e-6)


def convolutional():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 9, 5))


def test_a_convolutional_net_with_batches_of_its_own_for_each_seed():
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


def test_a_scheduler_that_changes_momentum_goes_on_alone():
    def cyclic(opt):
        return CyclicLR(opt, 0.01, 0.1, step_size_up=4)

    settings = {**SETTINGS, "cyclic": Setting(sgd(0.1, momentum=0.9), cyclic, per="batch")}
    alone, beside = both(settings)
    assert_alike(alone, beside, rel=1e-4, abs=1e-6)
    cyclics = [run for run in beside if run.setting == "cyclic"]
    assert {run.method for run in cyclics} == {"one after another"}
    assert {run.reason for run in cyclics} == {"its scheduler changes momentum besides lr"}
    assert {run.method for run in beside if run.setting != "cyclic"} == {"side by side"}


def test_a_momentum_changed_later_is_seen_too():
    class Later(ExponentialLR):
        def step(self):
            super().step()
            if self.last_epoch == 2:
                self.optimizer.param_groups[0]["momentum"] = 0.5

    settings = {"later": Setting(sgd(0.1, momentum=0.9), lambda opt: Later(opt, 0.9)), "fixed": SETTINGS["fixed"]}
    alone, beside = both(settings)
    assert_alike(alone, beside, rel=1e-4, abs=1e-6)
    assert [run.method for run in beside] == ["one after another"] * 3 + ["side by side"] * 3


class Item(nn.Linear):
    def forward(self, x):
        return super().forward(x) * (1.0 if x.sum().item() > -1e9 and self.weight.sum().item() > -1e9 else 2.0)


@pytest.mark.parametrize(
    ("model_fn", "optimizer", "metric_fn", "reason"),
    [
        (hidden, lambda params: torch.optim.Rprop(params), None, "Rprop"),
        (lambda: Item(3, 1), sgd(), None, "the model cannot be stacked"),
        (hidden, sgd(), lambda model, batch: mse(model, batch).item(), "metric_fn cannot be stacked"),
    ],
)
def test_what_cannot_go_side_by_side_says_why(model_fn, optimizer, metric_fn, reason, monkeypatch):
    settings = {"a": Setting(optimizer), "b": Setting(optimizer)}
    call = settings, model_fn, mse, DATA, DATA
    options = {"epochs": 1, "batch_size": 9, "seeds": 1, "metric_fn": metric_fn}
    for run in compare(*call, **options).runs:
        assert run.method == "one after another"
        assert reason in run.reason
    with pytest.raises(ValueError, match=f"vectorize=True, but setting 'a' cannot: .*{reason}"):
        compare(*call, **options, vectorize=True)


def test_auto_goes_alone_where_that_is_faster():
    def images(model, batch):
        return model(batch[0].reshape(-1, 1, 1, 3)).square().mean()

    def reason(model_fn=hidden, loss_fn=mse, train=DATA, valid=DATA, seeds=2):
        return compare(FIXED, model_fn, loss_fn, train, valid, epochs=1, batch_size=9, seeds=seeds).runs[0].reason

    reasons = [
        reason(lambda: nn.Conv2d(1, 1, (1, 3)), images),
        reason(train=lambda: [DATA]),
        reason(seeds=1),
        reason(valid=lambda: [DATA]),
    ]
    assert reasons == [
        "on a CPU, a model with Conv2d trains faster one run at a time",
        "train is a function",
        "no other run is of its kind",
        "2 runs with one optimizer but for the lr",
    ]
