"""Sequences: pure functions from a position k to a factor f(k). They need numpy and Pillow, but not torch."""

from ._by_name import ScheduleName, by_name
from ._cycles import CycleMode, Sawtooth, Triangular
from ._decays import Exponential, Geometric, Inverse, InverseSqrt, InverseTime, StepDecay, TimeDecay
from ._finite import Cosine, Linear, Polynomial, Ramp, RampScale
from ._function import Function
from ._language import parse
from ._lists import Constant, Piecewise, Values
from ._one_cycle import OneCycle, OneCycleShape
from ._pixels import Channels, Order, Pixels
from ._restarts import CosineRestarts
from ._sequence import Schedule, Sequence
from ._warmup import DecayShape, Warmup, WarmupShape, WarmupStableDecay

__all__ = [
    "Channels",
    "Constant",
    "Cosine",
    "CosineRestarts",
    "CycleMode",
    "DecayShape",
    "Exponential",
    "Function",
    "Geometric",
    "Inverse",
    "InverseSqrt",
    "InverseTime",
    "Linear",
    "OneCycle",
    "OneCycleShape",
    "Order",
    "Piecewise",
    "Pixels",
    "Polynomial",
    "Ramp",
    "RampScale",
    "Sawtooth",
    "Schedule",
    "ScheduleName",
    "Sequence",
    "StepDecay",
    "TimeDecay",
    "Triangular",
    "Values",
    "Warmup",
    "WarmupShape",
    "WarmupStableDecay",
    "by_name",
    "parse",
]
