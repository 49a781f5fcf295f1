"""Learning-rate schedules as pure functions of a position, and what decides the position."""

from .curve import Curve
from .decays import (
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
from .ensemble import Ensemble
from .image import Pixels
from .plateau import PlateauSequence, preview
from .ramp import range_test
from .restore import snapshot
from .rules import Cutoff, Event, Oscillation, Patience, Rule
from .schedulers import (
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
from .sequences import Constant, Piecewise, Ramp, Sequence, Values, Warmup
from .sweep import Sweep, lr_sweep

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
    "Rule",
    "Sawtooth",
    "SawtoothLR",
    "Sequence",
    "SequenceLR",
    "StepDecay",
    "StepDecayLR",
    "Sweep",
    "TimeDecay",
    "TimeDecayLR",
    "Triangular",
    "Values",
    "Warmup",
    "lr_sweep",
    "preview",
    "range_test",
    "snapshot",
]
