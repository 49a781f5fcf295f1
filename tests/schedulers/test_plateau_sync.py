"""Several processes agree on one metric."""

import math
import pickle
import random

import pytest
import torch.distributed as dist
import torch.multiprocessing as mp

from lrsched import (
    Cutoff,
    Inverse,
    Oscillation,
    preview,
)
from tests.helpers import group_lrs
from tests.schedulers.plateau import HALF, bumpy, feed, make


def refuse(*_, **__):
    raise AssertionError("communicated")


@pytest.fixture
def no_communication(monkeypatch):
    for name in dir(dist):
        if name.startswith(("all_", "broadcast", "gather", "reduce", "scatter", "send", "recv", "barrier")):
            monkeypatch.setattr(dist, name, refuse)


@pytest.mark.parametrize("sync", [None, "mean", "max", "min", "rank0"])
@pytest.mark.usefixtures("no_communication")
def test_no_communication_when_not_initialised(sync):
    _, scheduler = make(on=Cutoff(0.1) | Oscillation(), sync=sync)
    assert feed(scheduler, bumpy(9)).events == preview(HALF, Cutoff(0.1) | Oscillation(), bumpy(9), base_lr=0.1)


@pytest.mark.parametrize("sync", ["mean", "rank0"])
def test_no_communication_in_a_group_of_one(sync, request):
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    request.addfinalizer(dist.destroy_process_group)
    request.getfixturevalue("no_communication")
    _, scheduler = make(on="oscillate", sync=sync)
    assert feed(scheduler, bumpy(9)).events == preview(HALF, "oscillate", bumpy(9), base_lr=0.1)


def rank_losses(rank):
    """Return 30 losses that differ between the ranks, with a NaN on rank 1 only."""
    rng = random.Random(rank)
    losses = [2.0 * 0.9**i + rng.gauss(0, 0.2) for i in range(30)]
    if rank == 1:
        losses[7] = math.nan
    return losses


def agreed_losses(sync):
    """Return what both ranks should agree on."""
    join = {"mean": lambda a, b: (a + b) / 2, "max": max, "min": min, "rank0": lambda a, b: a}[sync]
    pairs = zip(rank_losses(0), rank_losses(1), strict=True)
    return [join(a, b) if math.isfinite(a + b) else math.nan for a, b in pairs]


def run_rank(rank, folder, syncs):
    """Train on one rank; every rank writes what it saw."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    seen = {}
    for sync in syncs:
        optimizer, scheduler = make(Inverse(), Oscillation(), sync=sync, process_group=dist.group.WORLD)
        lrs = []
        for loss in rank_losses(rank):
            optimizer.step()
            feed(scheduler, [loss, loss])  # the second call is dropped on both
            lrs += group_lrs(optimizer)
        pickle.dumps(scheduler)  # the process group is left out
        seen[sync] = (lrs, scheduler.events, scheduler.last_epoch, scheduler.state_dict())
    _, scheduler = make(Inverse(), Oscillation(), sync="mean")
    scheduler.step(1.0)
    if rank == 1:  # the other rank must not wait, nor pair its metric with the next one
        with pytest.raises(TypeError, match="metrics"):
            scheduler.step("not a number")
    else:
        scheduler.step(0.5)
    scheduler.step(3.0 + rank)
    seen["a wrong type on rank 1"] = (scheduler.last_epoch, [event.metric for event in scheduler.events])
    dist.destroy_process_group()
    with open(f"{folder}/rank{rank}", "wb") as file:
        pickle.dump(seen, file)


def test_two_ranks_agree(tmp_path):
    syncs = ["mean", "max", "min", "rank0"]
    mp.start_processes(run_rank, args=(str(tmp_path), syncs), nprocs=2, start_method="spawn")
    first, second = (pickle.loads((tmp_path / f"rank{rank}").read_bytes()) for rank in range(2))
    assert rank_losses(0) != rank_losses(1)
    for sync in syncs:
        assert first[sync] == second[sync]
        lrs, events, epochs, _ = first[sync]
        assert epochs == 30
        expected = preview(Inverse(), Oscillation(), agreed_losses(sync), base_lr=0.1)
        assert events == expected
        assert len(events) > 2
        assert lrs[-1] == pytest.approx(0.1 / (len(events) + 1), rel=1e-15)
    assert first["a wrong type on rank 1"] == (3, [3.5])  # it saw NaN for the second, which holds
    assert second["a wrong type on rank 1"] == (2, [3.5])
