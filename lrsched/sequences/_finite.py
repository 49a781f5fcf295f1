"""Sequences that reach their last value after a given number of positions, and hold it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from .._check import choice, integer, number
from ._sequence import Sequence, printed
from ._shapes import descent, half_cosine, straight

RampScale = Literal["log", "linear"]


@dataclass(frozen=True)
class Ramp(Sequence):
    """A ramp from `start` to `end` in `steps` positions, by equal ratios ("log") or equal differences ("linear").

    log: f(k) = start·(end/start)^(k/(steps − 1)); linear: f(k) = start + (end − start)·k/(steps − 1); then end.
    The range test tries the learning rates of a ramp.

    Args:
        start: the value at k = 0, > 0 for "log", ≥ 0 for "linear".
        end: the value at k = steps − 1, > 0 for "log", ≥ 0 for "linear".
        steps: the number of positions, including both ends, an integer ≥ 2.
        scale: "log" or "linear".

    Raises TypeError or ValueError if an argument is invalid.
    Source: Smith (2017), arXiv:1506.01186, section 3.3 (the range test; linear there).

    >>> from lrsched import Ramp
    >>> Ramp(1e-3, 1e1, steps=5).values(5).round(6).tolist()
    [0.001, 0.01, 0.1, 1.0, 10.0]
    """

    start: float
    end: float
    steps: int
    scale: RampScale = "log"

    def __post_init__(self) -> None:
        logarithmic = choice("scale", self.scale, get_args(RampScale)) == "log"
        above = 0.0 if logarithmic else None
        self._coerce(
            start=number("start", self.start, above=above),
            end=number("end", self.end, above=above),
            steps=integer("steps", self.steps, low=2),
        )
        if logarithmic:
            number("end/start", self.end / self.start, above=0.0)

    @property
    def length(self) -> int:
        return self.steps

    def _at(self, k: int) -> float:
        x = k / (self.steps - 1)
        if x >= 1.0:
            return self.end
        if self.scale == "linear":
            return self.start + (self.end - self.start) * x
        return self.start * math.pow(self.end / self.start, x)


@dataclass(frozen=True, repr=False)
class Cosine(Sequence):
    """Half a cosine from 1 to `end`: f(k) = end + (1 − end)·(1 + cos(π·k/steps))/2 for k ≤ steps, then end.

    With `cycles`, it falls that many times within the steps, and restarts at 1 in between: k/steps in the formula
    becomes cycles·k/steps mod 1. `CosineRestarts` never ends, and its periods can grow.

    `Warmup(500).then(Cosine(9_500))` is the usual schedule of large models.

    Args:
        steps: the position at which the factor reaches `end`, an integer ≥ 1.
        end: the last factor, ≥ 0.
        cycles: the number of falls, an integer ≥ 1.

    Raises TypeError or ValueError if an argument is invalid.
    Source: Loshchilov & Hutter (2017), arXiv:1608.03983, equation (5).

    >>> from lrsched import Cosine
    >>> Cosine(4).values(6).round(4).tolist()
    [1.0, 0.8536, 0.5, 0.1464, 0.0, 0.0]
    """

    steps: int
    end: float = 0.0
    cycles: int = 1

    def __post_init__(self) -> None:
        self._coerce(
            steps=integer("steps", self.steps, low=1),
            end=number("end", self.end),
            cycles=integer("cycles", self.cycles, low=1),
        )

    def __repr__(self) -> str:
        return printed(self, unless_default="cycles")

    @property
    def length(self) -> int:
        return self.steps

    def _at(self, k: int) -> float:
        if k >= self.steps:
            return self.end
        return descent(self.end, half_cosine(self.cycles * k % self.steps, self.steps))


@dataclass(frozen=True)
class Linear(Sequence):
    """A straight line from 1 to `end`: f(k) = end + (1 − end)·(1 − k/steps) for k ≤ steps, then end.

    `Warmup(500).then(Linear(9_500))` rises and falls in straight lines.

    Args:
        steps: the position at which the factor reaches `end`, an integer ≥ 1.
        end: the last factor, ≥ 0.

    Raises TypeError or ValueError if an argument is invalid.
    Source: torch's LinearLR with start_factor = 1; `Polynomial` with power 1.

    >>> from lrsched import Linear
    >>> Linear(4).values(6).tolist()
    [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """

    steps: int
    end: float = 0.0

    def __post_init__(self) -> None:
        self._coerce(steps=integer("steps", self.steps, low=1), end=number("end", self.end))

    @property
    def length(self) -> int:
        return self.steps

    def _at(self, k: int) -> float:
        return descent(self.end, straight(min(k, self.steps), self.steps))


@dataclass(frozen=True)
class Polynomial(Sequence):
    """A power of a straight line: f(k) = end + (1 − end)·(1 − k/steps)^power for k ≤ steps, then end.

    `Polynomial(10_000, power=0.9)` is the "poly" policy of semantic segmentation.

    Args:
        steps: the position at which the factor reaches `end`, an integer ≥ 1.
        power: the exponent, > 0.
        end: the last factor, ≥ 0.

    Raises TypeError or ValueError if an argument is invalid.
    Source: Chen et al. (2018), arXiv:1606.00915, section 4.1 (the "poly" policy).

    >>> from lrsched import Polynomial
    >>> Polynomial(4).values(6).tolist()
    [1.0, 0.5625, 0.25, 0.0625, 0.0, 0.0]
    """

    steps: int
    power: float = 2.0
    end: float = 0.0

    def __post_init__(self) -> None:
        self._coerce(
            steps=integer("steps", self.steps, low=1),
            power=number("power", self.power, above=0.0),
            end=number("end", self.end),
        )

    @property
    def length(self) -> int:
        return self.steps

    def _at(self, k: int) -> float:
        return descent(self.end, straight(min(k, self.steps), self.steps) ** self.power)
