"""The finder: range tests and sweeps, which suggest a learning rate and restore everything; races; and snapshots."""

from ._curve import Curve, StopReason
from ._group_rates import GroupLrs
from ._race import race
from ._race_heats import Judge
from ._race_result import Race
from ._range_test import range_test
from ._snapshot import Saved, snapshot
from ._sweep import lr_sweep
from ._sweep_result import Sweep

__all__ = [
    "Curve",
    "GroupLrs",
    "Judge",
    "Race",
    "Saved",
    "StopReason",
    "Sweep",
    "lr_sweep",
    "race",
    "range_test",
    "snapshot",
]
