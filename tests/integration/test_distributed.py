"""Two processes that train together, each with its own validation data."""

import datetime
import functools
import math
import time
from contextlib import nullcontext

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lrsched import Geometric, Patience, PlateauSequence, Warmup

from .processes import in_two_processes

EPOCHS = 20


def join():
    dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=60))


def train(rank, make, epochs=EPOCHS):
    """Train a model on this rank's part of the data, and step the scheduler with this rank's validation loss."""
    torch.manual_seed(0)
    model = DistributedDataParallel(nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = make(optimizer)
    generator = torch.Generator().manual_seed(rank)
    lrs, losses = [], []
    for _ in range(epochs):
        inputs, noise = torch.randn(2, 16, 4, generator=generator)
        optimizer.zero_grad()
        (model(inputs) - inputs.sum(1, keepdim=True) - noise[:, :1]).square().mean().backward()
        optimizer.step()
        with torch.no_grad():
            unseen, noise = torch.randn(2, 16, 4, generator=generator)
            losses.append((model(unseen) - unseen.sum(1, keepdim=True) - noise[:, :1]).square().mean().item())
        scheduler.step(losses[-1])
        lrs.append(optimizer.param_groups[0]["lr"])
    return lrs, losses, model.module.weight.detach().tolist(), scheduler


def torchs(optimizer):
    return ReduceLROnPlateau(optimizer, factor=0.5, patience=0)


def ours(optimizer, **options):
    return PlateauSequence(optimizer, Geometric(0.5), on=Patience(0), **options)


def train_with_both(rank):
    join()
    theirs = train(rank, torchs)[:3]
    seen = {}
    for sync in ("mean", "max", "min", "rank0"):
        *rest, scheduler = train(rank, lambda optimizer, sync=sync: ours(optimizer, sync=sync))
        seen[sync] = (*rest, scheduler.events, scheduler.state_dict())
    dist.destroy_process_group()
    return theirs, seen


def test_learning_rates_events_and_weights_stay_the_same_on_both_ranks(tmp_path):
    (theirs0, ours0), (theirs1, ours1) = in_two_processes(train_with_both, tmp_path)
    assert theirs0[0] != theirs1[0]
    assert theirs0[2] != theirs1[2]
    assert max(theirs0[0][-1] / theirs1[0][-1], theirs1[0][-1] / theirs0[0][-1]) >= 2
    for sync, (lrs, losses, weight, events, state) in ours0.items():
        assert losses != ours1[sync][1]
        assert (lrs, weight, events, state) == (ours1[sync][0], *ours1[sync][2:])
        assert len(events) >= 3
        assert lrs[-1] == 0.1 * 0.5 ** len(events)


def warm_up(rank):
    """Train in a warm-up, and resume after four of its steps; return the rates of both trainings."""
    join()
    runs = []
    for synced in (None, "mean"):
        make = functools.partial(ours, warmup=7, sync=synced)
        lrs, _, _, scheduler = train(rank, make)
        state = train(rank, make, epochs=4)[-1].state_dict()

        def resumed(optimizer, make=make, state=state):
            scheduler = make(optimizer)
            scheduler.load_state_dict(state)
            return scheduler

        runs.append((lrs, [(event.epoch, event.position) for event in scheduler.events]))
        rest, _, _, scheduler = train(rank, resumed, epochs=3)
        runs.append((rest, scheduler._steps.warm))
    dist.destroy_process_group()
    return runs


def test_a_warm_up_is_the_same_on_both_ranks_and_when_resumed(tmp_path):
    ranks = in_two_processes(warm_up, tmp_path)
    warmth = Warmup(7, start=1 / 7)
    for alone, resumed_alone, synced, resumed in ranks:
        for lrs, events in (alone, synced):
            positions = [sum(epoch <= k for epoch, _ in events) for k in range(1, EPOCHS + 1)]
            assert lrs == pytest.approx([0.1 * warmth(k) * 0.5**p for k, p in enumerate(positions, start=1)], rel=1e-12)
        assert resumed_alone[1] == resumed[1] == 7
    assert ranks[0][2:] == ranks[1][2:]
    assert ranks[0][0] != ranks[1][0]  # without sync each rank follows its own loss


def one_nan(rank):
    """Return, for each policy, the lr and the count after each of five metrics; the third is NaN on rank 1 only."""
    join()
    seen = {}
    for nonfinite in ("hold", "advance", "raise"):
        optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)
        scheduler = ours(optimizer, sync="mean", nonfinite=nonfinite)
        seen[nonfinite] = []
        for i, metric in enumerate((0.9, 0.8, math.nan if rank == 1 else 0.7, 0.6, 0.6)):
            optimizer.step()
            refused = nonfinite == "raise" and i == 2
            with pytest.raises(ValueError, match="must be finite") if refused else nullcontext():
                scheduler.step(metric)
            seen[nonfinite].append((optimizer.param_groups[0]["lr"], scheduler.last_epoch))
    dist.destroy_process_group()
    return seen


def test_a_nan_on_one_rank_has_the_same_effect_on_both(tmp_path):
    expected = {
        "hold": [(0.1, 1), (0.1, 2), (0.1, 3), (0.1, 4), (0.05, 5)],
        "advance": [(0.1, 1), (0.1, 2), (0.05, 3), (0.05, 4), (0.025, 5)],
        "raise": [(0.1, 1), (0.1, 2), (0.1, 2), (0.1, 3), (0.05, 4)],
    }
    assert in_two_processes(one_nan, tmp_path) == [expected, expected]


def leave(rank, how, finished):
    """Step three times on rank 0, twice on rank 1, which then ends or is busy until rank 0 has finished."""
    join()
    dist.barrier()  # both have started
    impatient = dist.new_group(timeout=datetime.timedelta(seconds=3))
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)
    scheduler = ours(optimizer, sync="mean", process_group=impatient)
    scheduler.step(0.9)
    scheduler.step(0.8 + rank)
    if rank == 1:
        while how == "busy" and not finished.exists():
            time.sleep(0.1)
        return None
    before, began = scheduler.state_dict(), time.monotonic()
    try:
        scheduler.step(0.7)
    except RuntimeError as error:
        return time.monotonic() - began, str(error), scheduler.state_dict() == before
    finally:
        finished.touch()
    return "no error"


@pytest.mark.parametrize("how", ["ends", "busy"])
def test_a_rank_that_stops_is_an_error_on_the_other_within_the_groups_timeout(how, tmp_path):
    (seconds, message, unchanged), _ = in_two_processes(leave, tmp_path, how, tmp_path / "finished")
    assert seconds < 30  # the timeout of this group is 3 s, that of the default group 60 s
    assert message == "sync='mean': a process of the group did not answer; every process must make the same calls"
    assert unchanged
