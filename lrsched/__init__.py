"""Learning-rate schedules as pure functions of a position, and what decides the position.

The map, a line for each wing; a wing imports only from those above it. Everything public is imported from here.

    sequences/   position k → factor f(k): decays, cycles, pictures, and the combinators that join them
    schedulers/  write lr = base · f(k) into an optimizer: k counts steps (`SequenceLR`) or advances (`PlateauSequence`)
    ensembles/   train many copies of one model side by side (`Ensemble`)
    finder/      find a learning rate and leave no trace (`range_test`, `lr_sweep`, `snapshot`)
    comparison/  train many settings and seeds, and report how they differ (`compare`)

Beside the wings: `plot` draws, `__main__` is the command line, and three private files hold what several wings share.
"""

from types import FunctionType as _FunctionType

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

# Pickles and tracebacks then name what users import, wherever the code lies.
for _name in __all__:
    if isinstance(globals()[_name], (type, _FunctionType)):
        globals()[_name].__module__ = __name__
