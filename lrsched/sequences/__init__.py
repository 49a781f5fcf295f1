"""Sequences: pure functions from a position k to a factor f(k). They need numpy and Pillow, but not torch."""

from ._cycles import CycleMode, Sawtooth, Triangular
from ._decays import Exponential, Geometric, Inverse, InverseSqrt, StepDecay, TimeDecay
from ._finite import Cosine, Linear, Polynomial, Ramp, RampScale, Warmup
from ._lists import Constant, Piecewise, Values
from ._pixels import Channels, Order, Pixels
from ._sequence import Sequence

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
