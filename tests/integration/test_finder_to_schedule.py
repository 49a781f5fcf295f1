"""From a range test to training: the suggestion is set with a scheduler attached, and the schedule continues there."""

import pytest
import torch
from torch.nn.functional import mse_loss

from lrsched import Cosine, Geometric, Patience, PlateauSequence, SequenceLR, range_test, set_lr

from .task import batches, network


def loss_of(model, batch):
    return mse_loss(model(batch[0]), batch[1])


def suggested(make, tensor=False):
    """Make a scheduler, take the suggestion of a range test, and return it with the optimizer and the scheduler."""
    model = network()
    groups = [{"params": [model.weight], "lr": 1.0}, {"params": [model.bias], "lr": 0.25}]
    if tensor:
        groups = [{**group, "lr": torch.tensor(group["lr"])} for group in groups]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    scheduler = make(optimizer)
    suggestion = range_test(model, optimizer, loss_of, list(batches())).suggestion
    assert 0.01 < suggestion < 0.5
    set_lr(optimizer, suggestion)
    return suggestion, optimizer, scheduler


def rates(optimizer):
    return [float(group["lr"]) for group in optimizer.param_groups]


def followed(optimizer, step):
    """Return the rates of both groups in ten steps."""
    seen = []
    for _ in range(10):
        seen.append(rates(optimizer))
        optimizer.step()
        step()
    return [lr for pair in seen for lr in pair]


kinds = pytest.mark.parametrize("tensor", [False, True], ids=["float", "tensor"])


@kinds
def test_a_schedule_that_was_made_before_continues_from_the_suggestion(tensor):
    lr, optimizer, scheduler = suggested(lambda optimizer: SequenceLR(optimizer, Cosine(10)), tensor)
    expected = [lr * ratio * Cosine(10)(k) for k in range(10) for ratio in (1.0, 0.25)]
    assert followed(optimizer, scheduler.step) == pytest.approx(expected, rel=1e-6)


@kinds
def test_a_plateau_sequence_that_was_made_before_continues_from_the_suggestion(tensor):
    lr, optimizer, scheduler = suggested(
        lambda optimizer: PlateauSequence(optimizer, Geometric(0.5), on=Patience(0)), tensor
    )
    expected = [lr * ratio * 0.5 ** max(k - 1, 0) for k in range(10) for ratio in (1.0, 0.25)]
    assert followed(optimizer, lambda: scheduler.step(1.0)) == pytest.approx(expected, rel=1e-6)


def test_a_scheduler_that_is_made_afterwards_starts_from_the_suggestion():
    lr, optimizer, _ = suggested(lambda optimizer: SequenceLR(optimizer, Cosine(10)))
    scheduler = SequenceLR(optimizer, Cosine(10))
    assert scheduler.base_lrs == rates(optimizer) == [lr, lr / 4]
