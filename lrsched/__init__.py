"""Learning-rate schedules as pure functions of a position, and what decides the position."""

from .comparison._compare import compare
from .comparison._member import Setting
from .comparison._report import Report
from .comparison._runs import Run
from .ensembles._ensemble import Ensemble
from .finder._curve import Curve
from .finder._range_test import range_test
from .finder._snapshot import snapshot
from .finder._sweep import Sweep, lr_sweep
from .schedulers._plateau import PlateauSequence, preview
from .schedulers._rules import Cutoff, Event, Oscillation, Patience, Rule
from .schedulers._sequence_lr import (
    CyclicLR,
    ExponentialDecayLR,
    GeometricLR,
    ImageLR,
    InverseLR,
    InverseSqrtLR,
    SawtoothLR,
    SequenceLR,
    StepDecayLR,
    TimeDecayLR,
)
from .sequences._decays import (
    Cosine,
    Exponential,
    Geometric,
    Inverse,
    InverseSqrt,
    Linear,
    Polynomial,
    Sawtooth,
    StepDecay,
    TimeDecay,
    Triangular,
)
from .sequences._pixels import Pixels
from .sequences._sequence import Constant, Piecewise, Ramp, Sequence, Values, Warmup

__version__ = "0.1.0"

__all__ = [
    "Constant",
    "Cosine",
    "Curve",
    "Cutoff",
    "CyclicLR",
    "Ensemble",
    "Event",
    "Exponential",
    "ExponentialDecayLR",
    "Geometric",
    "GeometricLR",
    "ImageLR",
    "Inverse",
    "InverseLR",
    "InverseSqrt",
    "InverseSqrtLR",
    "Linear",
    "Oscillation",
    "Patience",
    "Piecewise",
    "Pixels",
    "PlateauSequence",
    "Polynomial",
    "Ramp",
    "Report",
    "Rule",
    "Run",
    "Sawtooth",
    "SawtoothLR",
    "Sequence",
    "SequenceLR",
    "Setting",
    "StepDecay",
    "StepDecayLR",
    "Sweep",
    "TimeDecay",
    "TimeDecayLR",
    "Triangular",
    "Values",
    "Warmup",
    "compare",
    "lr_sweep",
    "preview",
    "range_test",
    "snapshot",
]
