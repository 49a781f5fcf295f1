"""The schedulers whose states were saved once for each version, as committed files.

`python -m tests.schedulers.saved` writes the files of the present version that are missing.
"""

import copy
import json
from pathlib import Path

import torch

from lrsched import Inverse, Oscillation, ParamSchedule, Patience, PlateauSequence, Smoothed, Warmup
from lrsched.schedulers._state import STATE_VERSION
from tests.helpers import make_optimizer
from tests.schedulers.cases import VARIANTS, started
from tests.schedulers.plateau import HALF

FIXTURES = Path(__file__).parent / "fixtures"


def at_9(name):
    """Return an optimizer and a stepwise scheduler at position 9."""
    optimizer, scheduler = started(copy.deepcopy(VARIANTS[name]))
    for _ in range(9):
        scheduler.step()
    return optimizer, scheduler


def heard():
    """Return a GeometricLR at position 9, whose first rate was set to 0.2 by hand at position 4."""
    optimizer, scheduler = started(VARIANTS["GeometricLR"])
    for k in range(9):
        if k == 4:
            optimizer.param_groups[0]["lr"] = 0.2
        scheduler.step()
    return optimizer, scheduler


def warming():
    """Return a PlateauSequence half-way through its warm-up, after one advance."""
    optimizer = make_optimizer((0.4,))
    scheduler = PlateauSequence(optimizer, HALF, Patience(0), warmup=Warmup(4))
    for loss in (1.0, 1.0):
        optimizer.step()
        scheduler.step(loss)
    return optimizer, scheduler


def decaying():
    """Return a ParamSchedule at position 9, of the weight decay of two groups, one of which has none."""
    groups = [{"params": [torch.nn.Parameter(torch.ones(1))], "weight_decay": decay} for decay in (0.4, 0.0)]
    optimizer = torch.optim.AdamW(groups)
    scheduler = ParamSchedule(optimizer, "weight_decay", Warmup(10), low=0.04)
    optimizer.step()
    for _ in range(9):
        scheduler.step()
    return optimizer, scheduler


def smoothed():
    """Return a PlateauSequence that has advanced by a smoothed rule: its averages were 1, 0.8, 0.771 and 0.893."""
    optimizer = make_optimizer((0.1,))
    scheduler = PlateauSequence(optimizer, Inverse(), Smoothed(Oscillation(), weight=0.5))
    for loss in (1.0, 0.7, 0.75, 1.0):
        optimizer.step()
        scheduler.step(loss)
    return optimizer, scheduler


AT_9 = ["SequenceLR", "SequenceLR lists", "GeometricLR", "GeometricLR floor"]
AT_9 += ["ImageLR", "CyclicLR", "CyclicLR object", "CyclicLR lists"]
NEW_IN_2 = ["OneCycleLR", "OneCycleLR three phases"]  # classes that version 1 did not have
AT_9 += NEW_IN_2
SAVED = {name: lambda name=name: at_9(name) for name in AT_9} | {
    "GeometricLR heard": heard,
    "ParamSchedule": decaying,
    "PlateauSequence warming": warming,
    "PlateauSequence smoothed": smoothed,
}


def path_of(name, version=STATE_VERSION):
    return FIXTURES / f"state_v{version}_{name.replace(' ', '_')}.json"


def state_of(name, version=STATE_VERSION):
    """Return a committed state."""
    state = json.loads(path_of(name, version).read_text())
    assert state["version"] == version
    return state


def main():
    for name, make in SAVED.items():
        if not path_of(name).exists():
            path_of(name).write_text(json.dumps(make()[1].state_dict(), indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
