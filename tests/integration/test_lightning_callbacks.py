"""Lightning's callbacks that write learning rates or add param groups: the schedulers continue from what they find."""

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss
from torch.optim.lr_scheduler import ExponentialLR, ReduceLROnPlateau

from lrsched import Constant, Cosine, Geometric, GeometricLR, Patience, PlateauSequence, SequenceLR, range_test, set_lr

from .task import BATCHES, EPOCHS, batches, network, ours_are_errors, package, warm_plateau
from .test_lightning import Module, fit

callbacks = package("lightning.pytorch.callbacks")
pytestmark = ours_are_errors


def halved(optimizer):
    return PlateauSequence(optimizer, Geometric(0.5), on=Patience(0, threshold=0.3))


def halved_by_torch(optimizer):
    return ReduceLROnPlateau(optimizer, factor=0.5, patience=0, threshold=0.3, eps=0)


class Rated(Module):
    """A module that keeps all rates: of every group, before every step."""

    def __init__(self, make, per):
        super().__init__(make, per)
        self.lr, self.rates = 0.1, []

    def on_before_optimizer_step(self, optimizer):
        self.rates.append([group["lr"] for group in optimizer.param_groups])


# ---------------------------------------------------------------- LearningRateFinder


class FoundByLightning(callbacks.LearningRateFinder):
    """Lightning's finder, which also forgets the rates of its own steps."""

    def on_fit_start(self, trainer, module):
        super().on_fit_start(trainer, module)
        self.found = self.optimal_lr.suggestion()
        module.rates.clear()


def found(make, folder, per="metric"):
    """Train with the finder; return the rate that it found and the rates of the steps."""
    finder = FoundByLightning(min_lr=1e-4, max_lr=0.5, num_training_steps=20)
    module = Rated(make, per)
    fit(module, folder, epochs=2 * EPOCHS, callbacks=[finder])
    return finder.found, [lr for (lr,) in module.rates], module.run.scheduler


def test_plateau_sequence_continues_from_the_rate_that_the_finder_wrote(tmp_path):
    lr, rates, scheduler = found(halved, tmp_path)
    _, expected, _ = found(halved_by_torch, tmp_path)
    assert lr != 0.1
    assert rates == pytest.approx(expected, rel=1e-12)
    assert rates[0] == lr
    assert scheduler.get_last_lr() == pytest.approx([lr * 0.5**scheduler.position])
    assert scheduler.position >= 2


def test_the_steps_of_the_finder_do_not_count_in_a_warm_up(tmp_path):
    steps = 2 * EPOCHS * BATCHES
    *_, scheduler = found(lambda optimizer: warm_plateau(optimizer, 2 * steps), tmp_path)
    assert scheduler.state_dict()["steps"]["warm"] == steps


def test_a_schedule_per_step_continues_from_the_rate_that_the_finder_wrote(tmp_path):
    lr, rates, _ = found(lambda optimizer: GeometricLR(optimizer, 0.8), tmp_path, "step")
    assert rates == pytest.approx([lr * 0.8**k for k in range(2 * EPOCHS * BATCHES)])


# ---------------------------------------------------------------- BackboneFinetuning


class Body(Rated):
    """A backbone that stays frozen until a callback adds it to the optimizer, and a head."""

    def __init__(self, make, per):
        super().__init__(make, per)
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.backbone = nn.Linear(4, 4)
        self.model = nn.Sequential(self.backbone, network())

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.model[1].parameters(), lr=0.1, momentum=0.7)
        self.run.scheduler = self.make(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": self.run.scheduler, **self.config}}


def unfrozen(make, per, folder, factor=None):
    """Unfreeze the backbone after two epochs at a tenth of the rate; return the rates of all steps.

    Every epoch the callback multiplies the backbone's rate by the factor, or leaves it alone.
    """
    callback = callbacks.BackboneFinetuning(2, lambda_func=lambda epoch: factor or 1.0)
    if factor is None:
        finetune = callback.finetune_function

        def once(module, epoch, optimizer):
            if epoch <= 2:
                finetune(module, epoch, optimizer)

        callback.finetune_function = once
    module = Body(make, per)
    fit(module, folder, epochs=2 * EPOCHS, callbacks=[callback])
    return module.rates


@pytest.mark.parametrize("factor", [None, 1.0, 1.5], ids=["left alone", "kept", "raised"])
@pytest.mark.parametrize(
    ("ours", "torchs", "per"),
    [
        (lambda optimizer: GeometricLR(optimizer, 0.95), lambda optimizer: ExponentialLR(optimizer, 0.95), "step"),
        (halved, halved_by_torch, "metric"),
    ],
    ids=["GeometricLR per step", "PlateauSequence"],
)
def test_an_unfrozen_backbone_has_the_rates_of_torchs_scheduler(ours, torchs, per, factor, tmp_path):
    rates, expected = (unfrozen(make, per, tmp_path, factor) for make in (ours, torchs))
    assert [len(groups) for groups in rates] == [1] * 2 * BATCHES + [2] * (2 * EPOCHS - 2) * BATCHES
    for groups, others in zip(rates, expected, strict=True):
        assert groups == pytest.approx(others, rel=1e-9)
    before, (head, body) = rates[2 * BATCHES - 1], rates[2 * BATCHES]
    assert body == pytest.approx(head / 10)
    assert head <= before[0]
    assert rates[-1][0] < head  # it goes down afterwards


# ---------------------------------------------------------------- a range test when the fit starts


class RangeTested(Rated):
    """Takes the suggestion of a range test when the fit starts, after the scheduler was made."""

    def on_fit_start(self):
        curve = range_test(
            self.model,
            self.optimizers(use_pl_optimizer=False),
            lambda model, batch: mse_loss(model(batch[0]), batch[1]),
            list(batches()),
        )
        self.suggestion = curve.suggestion
        set_lr(self.optimizers(use_pl_optimizer=False), curve.suggestion)


SCHEDULES = {
    "SequenceLR": (lambda optimizer: SequenceLR(optimizer, Cosine(30)), "step"),
    "PlateauSequence": (halved, "metric"),
    "Constant": (lambda optimizer: SequenceLR(optimizer, Constant()), "epoch"),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_training_continues_from_a_suggestion_that_is_set_when_the_fit_starts(name, tmp_path):
    make, per = SCHEDULES[name]
    module = RangeTested(make, per)
    fit(module, tmp_path, epochs=2 * EPOCHS)
    rates = [lr for (lr,) in module.rates]
    later = Rated(lambda optimizer: after_set_lr(make, optimizer, module.suggestion), per)
    fit(later, tmp_path, epochs=2 * EPOCHS)
    assert rates[0] == module.suggestion != 0.1
    assert rates == pytest.approx([lr for (lr,) in later.rates], rel=1e-12)


def after_set_lr(make, optimizer, lr):
    """Set the rate, then make the scheduler, as a user without Lightning would."""
    set_lr(optimizer, lr)
    return make(optimizer)
