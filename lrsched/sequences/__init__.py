"""Sequences: pure functions of a position, k → factor f(k). numpy and Pillow only, no torch."""

from ._decays import (
    Cosine,
    CycleMode,
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
from ._pixels import Channels, Order, Pixels
from ._sequence import Constant, Piecewise, Ramp, RampScale, Sequence, Values, Warmup

__all__ = [
    "Channels",
    "Constant",
    "Cosine",
    "CycleMode",
    "Exponential",
    "Geometric",
    "Inverse",
    "InverseSqrt",
    "Linear",
    "Order",
    "Piecewise",
    "Pixels",
    "Polynomial",
    "Ramp",
    "RampScale",
    "Sawtooth",
    "Sequence",
    "StepDecay",
    "TimeDecay",
    "Triangular",
    "Values",
    "Warmup",
]
