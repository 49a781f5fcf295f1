"""A state passes through torch.distributed.checkpoint: saved, and loaded into the state of a fresh scheduler."""

import copy
import math

import pytest
import torch.distributed.checkpoint as dcp

from lrsched import Cosine, Cutoff, Geometric, Oscillation, PlateauSequence, SequenceLR, Smoothed, Warmup
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.plateau import Never, bumpy, feed


def stepwise(optimizer):
    return SequenceLR(optimizer, Warmup(3, start=0.1).then(Cosine(20), at=3))


def plateau(optimizer):
    rule = Smoothed(Cutoff(0.1, decay=0.9) | Oscillation(), weight=0.5)
    return PlateauSequence(optimizer, Geometric(0.8), rule, warmup=8, nonfinite="advance")


def advanced(optimizer, scheduler, metrics):
    for metric in metrics:
        optimizer.step()
        scheduler.step(*[metric] * isinstance(scheduler, PlateauSequence))


@pytest.mark.parametrize("steps", [0, 5, 30])
@pytest.mark.parametrize("make", [stepwise, plateau])
@pytest.mark.filterwarnings("ignore:torch.distributed is ")
def test_a_state_survives_a_distributed_checkpoint(make, steps, tmp_path):
    metrics = [math.nan, *bumpy(2)]
    optimizer = make_optimizer((0.4, 0.1))
    scheduler = make(optimizer)
    advanced(optimizer, scheduler, metrics[:steps])
    optimizer.param_groups[1]["lr"] = 0.7
    advanced(optimizer, scheduler, metrics[steps : steps + 1])
    state = copy.deepcopy(scheduler.state_dict())
    dcp.save({"scheduler": state}, checkpoint_id=tmp_path)
    other = make_optimizer((0.4, 0.1))
    fresh = make(other)
    loaded = {"scheduler": fresh.state_dict()}
    dcp.load(loaded, checkpoint_id=tmp_path)
    assert loaded["scheduler"] == state
    fresh.load_state_dict(loaded["scheduler"])
    assert fresh.state_dict() == state
    for pair in ((optimizer, scheduler), (other, fresh)):
        advanced(*pair, metrics[steps + 1 :])
    assert group_lrs(other) == group_lrs(optimizer)
    assert fresh.state_dict() == scheduler.state_dict()


@pytest.mark.filterwarnings("ignore:torch.distributed is ")
def test_a_rule_without_a_state_survives_too(tmp_path):
    scheduler = feed(PlateauSequence(make_optimizer(), Geometric(0.8), Never()), [1.0, 2.0])
    dcp.save({"scheduler": scheduler.state_dict()}, checkpoint_id=tmp_path)
    fresh = PlateauSequence(make_optimizer(), Geometric(0.8), Never())
    loaded = {"scheduler": fresh.state_dict()}
    dcp.load(loaded, checkpoint_id=tmp_path)
    fresh.load_state_dict(loaded["scheduler"])
    assert fresh.state_dict() == scheduler.state_dict()
