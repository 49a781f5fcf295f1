"""Passes through the batches, and which members leave."""

import copy

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_leaves

from lrsched import Constant, Warmup, race
from lrsched.finder._race_choice import careful
from lrsched.finder._race_heats import Passes, offloaded
from lrsched.finder._race_members import Standing

from .race_cases import BATCHES, OPTIMIZERS, SEQUENCE, STEPS, VALID, loss_fn, net

# ---------------------------------------------------------------- passes


def test_batches_are_gone_through_again_when_they_end():
    passes = Passes([1, 2, 3], 7)
    assert [passes.draw() for _ in range(7)] == [1, 2, 3, 1, 2, 3, 1]
    assert list(passes.current) == [2, 3]


def test_the_first_batch_can_be_looked_at():
    passes = Passes([1, 2, 3], 3)
    assert passes.first() == 1
    assert [passes.draw() for _ in range(3)] == [1, 2, 3]
    assert list(passes.current) == []


def test_an_iterator_is_gone_through_once():
    passes = Passes(iter([1, 2]), 3)
    assert [passes.draw(), passes.draw()] == [1, 2]
    with pytest.raises(
        ValueError, match="batches ran out: 2 of the 3 that the rungs need; pass a list or a DataLoader, "
    ):
        passes.draw()


@pytest.mark.parametrize("batches", [(), iter([])], ids=["empty", "empty iterator"])
def test_no_batches_are_an_error(batches):
    with pytest.raises(ValueError, match="batches must have at least one batch, got none"):
        Passes(batches, 3).draw()


# ---------------------------------------------------------------- leavers


def test_only_lower_rates_are_kept_for_the_way_back():
    start = race(
        net(),
        OPTIMIZERS["Adam"],
        loss_fn,
        BATCHES,
        SEQUENCE,
        [0.001, 0.01, 0.1, 10.0],
        steps=STEPS,
        eval_batches=VALID,
    )
    left = [retreat.lr for retreat in start._retreats]
    assert left == sorted(lr for lr in start.lrs if lr < start.lr)
    assert left


@pytest.mark.parametrize("given", [False, True], ids=["default rates", "the same rates, given"])
def test_of_the_default_rates_the_best_stays_with_its_neighbours_while_the_sequence_rises(given):
    lrs = [1e-5, 1e-4, 1e-3, 1e-2, 10**1.5 * 1e-3, 0.1]
    sequence = Warmup(20, start=0.1).then(Constant(), at=20)  # the first rung of 64 steps is at 16, the second at 32
    losses = race(
        net(dropout=0.0),
        OPTIMIZERS["Adam"],
        loss_fn,
        BATCHES,
        sequence,
        lrs if given else None,
        steps=STEPS,
        rungs=(0.25, 0.5, 0.75),
        eval_batches=VALID,
    ).losses
    first, second = (np.isfinite(column).nonzero()[0].tolist() for column in losses.T[1:])
    best = np.argsort(losses[:, 0]).tolist()
    assert first == (sorted(best[:3]) if given else neighbours(best[0], list(range(6)), 3))
    assert second == sorted(np.argsort(losses[:, 1]).tolist()[:2])


def test_a_state_that_is_offloaded_is_copied_if_its_member_still_trains():
    standing = Standing([torch.ones(2)], {"state": {0: {"step": torch.tensor(3.0), "n": 2}}, "param_groups": []})
    for copied in (False, True):
        moved = offloaded(copy.copy(standing), copied=copied)
        assert moved.optimizer["state"][0]["n"] == 2
        leaves = [tree_leaves((state.tensors, state.optimizer)) for state in (moved, standing)]
        pairs = [pair for pair in zip(*leaves, strict=True) if isinstance(pair[0], torch.Tensor)]
        shared = [one.data_ptr() == other.data_ptr() for one, other in pairs]
        assert shared == [not copied] * 2
