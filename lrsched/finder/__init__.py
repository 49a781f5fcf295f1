"""The finder: batches → range test → curve → suggestion, and the sweep. Everything that they train is put back."""

from ._curve import Curve, StopReason
from ._range_test import GroupLrs, range_test
from ._snapshot import Saved, snapshot
from ._sweep import Sweep, lr_sweep

__all__ = [
    "Curve",
    "GroupLrs",
    "Saved",
    "StopReason",
    "Sweep",
    "lr_sweep",
    "range_test",
    "snapshot",
]
