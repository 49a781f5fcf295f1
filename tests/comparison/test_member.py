"""One run in training: its seed, its scheduler, its record, its state."""

import math

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import ExponentialLR, ReduceLROnPlateau, StepLR

from lrsched import Inverse, PlateauSequence, Setting
from lrsched.comparison._member import Member
from tests.comparison.helpers import DATA, hidden, mse, sgd, task


def member(scheduler=None, per="epoch", seed=3, **changes):
    return Member(task(**changes), "a", Setting(sgd(momentum=0.9), scheduler, per), seed)


def test_the_seed_decides_weights_and_batch_order():
    first, second, other = member(), member(ReduceLROnPlateau), member(seed=4)
    torch.manual_seed(3)
    expected = hidden()
    for ours, theirs in zip(first.model.parameters(), expected.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    orders = [torch.randperm(40, generator=each.generator).tolist() for each in (first, second, other)]
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] == torch.randperm(40, generator=torch.Generator().manual_seed(3)).tolist()


@pytest.mark.parametrize(
    ("scheduler", "per", "lrs"),
    [
        (None, "batch", [0.1, 0.1]),
        (lambda opt: ExponentialLR(opt, 0.5), "epoch", [0.1, 0.05]),
        (lambda opt: ExponentialLR(opt, 0.5), "batch", [0.05, 0.05]),
        (lambda opt: ReduceLROnPlateau(opt, factor=0.5, patience=-1), "epoch", [0.1, 0.05]),
    ],
    ids=["none", "per epoch", "per batch", "plateau"],
)
def test_the_scheduler_steps_once_per_batch_or_epoch(scheduler, per, lrs):
    one = member(scheduler, per)
    one.optimizer.step()
    one.end_batch()
    after_batch = one.optimizer.param_groups[0]["lr"]
    one.end_epoch(0.5, {"loss": 0.25})
    assert [after_batch, one.optimizer.param_groups[0]["lr"]] == lrs


def test_the_rate_of_every_batch_is_recorded_unless_it_did_not_change():
    one = member(lambda opt: StepLR(opt, 3, 0.5), "batch")
    for _ in range(2):
        for _ in range(4):
            one.optimizer.step()
            one.end_batch()
        one.end_epoch(1.0, {"loss": 0.5})
    for _ in range(1):
        one.optimizer.step()
        one.end_batch()
    one.end_epoch(1.0, {"loss": 0.5})
    assert one.run.batch_lrs == [[0.1, 0.1, 0.1, 0.05], [0.05, 0.05, 0.025, 0.025], [0.025]]


@pytest.mark.parametrize(
    ("scheduler", "per"), [(None, "batch"), (lambda opt: ExponentialLR(opt, 0.5), "epoch")], ids=["none", "per epoch"]
)
def test_a_rate_that_changes_between_epochs_only_is_not_recorded_by_the_batch(scheduler, per):
    one = member(scheduler, per)
    one.optimizer.step()
    one.end_batch()
    one.end_epoch(1.0, {"loss": 0.5})
    assert one.run.batch_lrs == []


def test_an_epoch_is_recorded_with_none_for_what_is_not_finite():
    one = member(lambda opt: PlateauSequence(opt, Inverse(), on="oscillate"), epochs=3)
    one.optimizer.step()
    one.end_epoch(1.5, {"loss": 0.25, "worst": 2.0})
    one.optimizer.step()
    one.end_epoch(math.inf, {"loss": 0.75, "worst": math.nan})
    assert (one.run.train_loss, one.run.val_loss, one.run.metrics) == (
        [1.5, None],
        [0.25, 0.75],
        {"worst": [2.0, None]},
    )
    assert [event["new_lrs"] for event in one.run.events] == [[0.05]]
    assert not one.done
    one.end_epoch(1.0, {"loss": math.nan, "worst": 1.0})
    assert one.run.val_loss[-1] is None
    assert math.isnan(one.losses[-1])
    assert one.done


def test_stop_ends_a_run_with_all_losses_seen():
    seen = []

    def stop(losses):
        seen.append(losses)
        return len(losses) == 2

    one = member(epochs=5, stop=stop)
    for loss in (0.5, 0.25):
        assert not one.done
        one.end_epoch(1.0, {"loss": loss})
    assert one.done
    assert one.run.stopped == 2
    assert seen == [[0.5], [0.5, 0.25]]


def test_a_restored_member_continues_bit_for_bit():
    def epoch(one):
        for rows in torch.randperm(40, generator=one.generator).split(8):
            one.optimizer.zero_grad()
            mse(one.model, (DATA[0][rows], DATA[1][rows])).backward()
            one.optimizer.step()
        loss = mse(one.model, DATA).item()
        one.end_epoch(loss, {"loss": loss})
        return loss, one.optimizer.param_groups[0]["lr"]

    def scheduler(opt):
        return PlateauSequence(opt, Inverse(), on="oscillate")

    whole, first, second = (member(scheduler, epochs=6) for _ in range(3))
    expected = [epoch(whole) for _ in range(6)]
    found = [epoch(first) for _ in range(3)]
    second.load_state_dict(first.state_dict())
    assert found + [epoch(second) for _ in range(3)] == expected
    assert second.run.resumed == [3]
    assert second.run.val_loss == whole.run.val_loss


class Remembering(nn.Module):
    """Has buffers that are not persistent: one changes in place, one is replaced, and one is expanded."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Module()
        self.inner.register_buffer("steps", torch.zeros(()), persistent=False)
        self.register_buffer("last", None, persistent=False)
        self.register_buffer("positions", torch.arange(3).expand(2, 3), persistent=False)
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x):
        self.inner.steps += 1
        self.last = x.detach()
        return self.weight * x


def test_buffers_that_are_not_persistent_are_restored():
    first, second = (member(model_fn=Remembering) for _ in range(2))
    first.model(torch.ones(4))
    steps = second.model.inner.steps
    second.load_state_dict(first.state_dict())
    assert second.model.inner.steps is steps
    assert steps == 1
    assert torch.equal(second.model.last, torch.ones(4))
    first.model(torch.zeros(4))
    assert torch.equal(second.model.last, torch.ones(4))
    assert torch.equal(second.model.positions, torch.arange(3).expand(2, 3))


def test_a_state_from_before_buffers_were_saved_still_loads():
    first, second = member(), member(seed=4)
    state = first.state_dict()
    del state["buffers"]
    second.load_state_dict(state)
    assert torch.equal(second.model[0].weight, first.model[0].weight)
