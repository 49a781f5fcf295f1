"""Passes through the batches, and which members leave."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_leaves

from lrsched import Constant, Warmup, race
from lrsched.finder._race_choice import best, careful
from lrsched.finder._race_heats import Heats, Passes, Plan, offloaded
from lrsched.finder._race_ranks import Ranks
from lrsched.finder._race_recipe import Standing

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
def test_careful_rules_decide_who_stays_only_for_default_rates(given):
    lrs = [1e-5, 1e-4, 1e-3, 1e-2, 10**1.5 * 1e-3, 0.1]
    sequence = Warmup(20, start=0.1).then(Constant(), at=20)  # the first rung of 64 steps is at 16, the second at 32
    model = net(dropout=0.0)
    untrained = untrained_loss(model)
    losses = race(
        model,
        OPTIMIZERS["Adam"],
        loss_fn,
        BATCHES,
        sequence,
        lrs if given else None,
        steps=STEPS,
        rungs=(0.25, 0.5, 0.75),
        eval_batches=VALID,
    ).losses
    for rung, count in enumerate((3, 2)):
        judged = {i: loss for i, loss in enumerate(losses[:, rung]) if np.isfinite(loss)}
        expected = (
            best(judged, lrs, count) if given else careful(judged, lrs, count, untrained, rising=rung == 0, last=False)
        )
        assert np.isfinite(losses[:, rung + 1]).nonzero()[0].tolist() == sorted(expected)


def untrained_loss(model):
    model.eval()
    return sum(loss_fn(model, batch).item() for batch in VALID) / len(VALID)


def test_the_last_rung_of_default_rates_takes_the_higher_loss_of_the_mean_and_of_the_last_weights():
    heats = heats_of({0: 0.5, 1: 0.1}, {0: 0.4, 1: 0.9}, rising=[False])
    assert heats.winner == 0
    heats = heats_of({0: 0.5, 1: 0.1}, {0: 0.4, 1: 0.9}, rising=None)
    assert heats.winner == 1


def test_the_last_rung_of_default_rates_drops_a_member_whose_last_weights_are_lost():
    assert heats_of({0: 0.5, 1: 0.1}, {0: 0.4, 1: float("nan")}, rising=[False]).winner == 0


def heats_of(judged, present, rising):
    """Return heats of two members after their only rung, which is the last."""
    lrs = [0.1, 0.2]
    recipe = SimpleNamespace(random_state=lambda: None)
    plan = Plan(lrs, [], [4], [1], "average", VALID, None, rising)
    members = SimpleNamespace(keep=lambda mask: None, count=1, state=lambda i: Standing([], {}))
    heats = Heats(plan, recipe, members, [0, 1], Passes(BATCHES, 4), Ranks(), untrained=1.0, present=present)
    heats._drop(4, judged, 1)
    return heats


def test_a_state_that_is_offloaded_is_copied_if_its_member_still_trains():
    standing = Standing([torch.ones(2)], {"state": {0: {"step": torch.tensor(3.0), "n": 2}}, "param_groups": []})
    for copied in (False, True):
        moved = offloaded(copy.copy(standing), copied=copied)
        assert moved.optimizer["state"][0]["n"] == 2
        leaves = [tree_leaves((state.tensors, state.optimizer)) for state in (moved, standing)]
        pairs = [pair for pair in zip(*leaves, strict=True) if isinstance(pair[0], torch.Tensor)]
        shared = [one.data_ptr() == other.data_ptr() for one, other in pairs]
        assert shared == [not copied] * 2
