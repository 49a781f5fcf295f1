"""Learning-rate schedules are pure functions of a position k; schedulers decide what k is.

Import everything public from `lrsched`. The map has one line per wing; a wing imports only from wings above it.

    sequences/   position k → factor f(k): decays, cycles, pictures, and the combinators that join them
    schedulers/  write lr = base · f(k) into an optimizer: k counts steps (`SequenceLR`) or advances (`PlateauSequence`)
    ensembles/   train many copies of one model side by side (`Ensemble`)
    finder/      find a learning rate and restore everything (`range_test`, `lr_sweep`, `race`, `snapshot`)
    comparison/  train many settings and seeds, and report how they differ (`compare`)

Outside the wings: `plot` draws, `__main__` is the command line, and three private files hold what several wings share.
"""

from types import FunctionType as _FunctionType

from ._functions import supervised
from .comparison import (
    MetricAverage,
    Per,
    Report,
    Run,
    Setting,
    compare,
)
from .ensembles import (
    Ensemble,
    Method,
    Randomness,
    Vectorize,
)
from .finder import (
    Curve,
    GroupLrs,
    Judge,
    Race,
    Saved,
    StopReason,
    Sweep,
    lr_sweep,
    race,
    range_test,
    snapshot,
)
from .schedulers import (
    Cutoff,
    CyclicLR,
    Event,
    ExponentialDecayLR,
    GeometricLR,
    ImageLR,
    InverseLR,
    InverseSqrtLR,
    Mode,
    Nonfinite,
    On,
    Oscillation,
    Patience,
    PlateauSequence,
    Repeats,
    Rule,
    SawtoothLR,
    ScaleMode,
    SequenceLR,
    Smoothed,
    StepDecayLR,
    Sync,
    ThresholdMode,
    TimeDecayLR,
    preview,
    set_lr,
)
from .sequences import (
    Channels,
    Constant,
    Cosine,
    CycleMode,
    Exponential,
    Geometric,
    Inverse,
    InverseSqrt,
    Linear,
    Order,
    Piecewise,
    Pixels,
    Polynomial,
    Ramp,
    RampScale,
    Sawtooth,
    Sequence,
    StepDecay,
    TimeDecay,
    Triangular,
    Values,
    Warmup,
)

__version__ = "0.1.0"

__all__ = [
    "Channels",
    "Constant",
    "Cosine",
    "Curve",
    "Cutoff",
    "CycleMode",
    "CyclicLR",
    "Ensemble",
    "Event",
    "Exponential",
    "ExponentialDecayLR",
    "Geometric",
    "GeometricLR",
    "GroupLrs",
    "ImageLR",
    "Inverse",
    "InverseLR",
    "InverseSqrt",
    "InverseSqrtLR",
    "Judge",
    "Linear",
    "Method",
    "MetricAverage",
    "Mode",
    "Nonfinite",
    "On",
    "Order",
    "Oscillation",
    "Patience",
    "Per",
    "Piecewise",
    "Pixels",
    "PlateauSequence",
    "Polynomial",
    "Race",
    "Ramp",
    "RampScale",
    "Randomness",
    "Repeats",
    "Report",
    "Rule",
    "Run",
    "Saved",
    "Sawtooth",
    "SawtoothLR",
    "ScaleMode",
    "Sequence",
    "SequenceLR",
    "Setting",
    "Smoothed",
    "StepDecay",
    "StepDecayLR",
    "StopReason",
    "Sweep",
    "Sync",
    "ThresholdMode",
    "TimeDecay",
    "TimeDecayLR",
    "Triangular",
    "Values",
    "Vectorize",
    "Warmup",
    "compare",
    "lr_sweep",
    "preview",
    "race",
    "range_test",
    "set_lr",
    "snapshot",
    "supervised",
]

# Pickles and tracebacks then show the public names, whichever file the code is in.
for _name in __all__:
    if isinstance(globals()[_name], (type, _FunctionType)):
        globals()[_name].__module__ = __name__
