"""The textbooks' schedules, one formula each: a position goes in, a factor comes out, 1 at k = 0 except where said."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from .._check import choice, flag, integer, number
from ._sequence import Sequence

CycleMode = Literal["triangular", "triangular2", "exp_range"]


@dataclass(frozen=True)
class Inverse(Sequence):
    """Decay as 1/n: f(k) = 1/(k+1); the literature's n is k+1.

    Source: Robbins & Monro (1951), section 4; sequence 1 of Yang & Huang (2019).

    >>> Inverse().values(4).tolist()
    [1.0, 0.5, 0.3333333333333333, 0.25]
    """

    def _at(self, k: int) -> float:
        return 1.0 / (k + 1)


@dataclass(frozen=True)
class InverseSqrt(Sequence):
    """Decay as 1/√n: f(k) = 1/√(k+1); the literature's n is k+1.

    Source: sequence 2 of Yang & Huang (2019).

    >>> InverseSqrt()(3)
    0.5
    """

    def _at(self, k: int) -> float:
        return 1.0 / math.sqrt(k + 1)


@dataclass(frozen=True)
class Geometric(Sequence):
    """Decay by a constant ratio: f(k) = γᵏ; the literature's n is k.

    Args:
        gamma: the ratio γ of one factor to the one before, 0 < γ ≤ 1.

    Raises TypeError or ValueError naming gamma when it is out of range.
    Source: sequence 3 of Yang & Huang (2019), with γ = 0.9; torch's ExponentialLR.

    >>> Geometric(0.5).values(4).tolist()
    [1.0, 0.5, 0.25, 0.125]
    """

    gamma: float = 0.9

    def __post_init__(self) -> None:
        self._coerce(gamma=number("gamma", self.gamma, above=0.0, high=1.0))

    def _at(self, k: int) -> float:
        return self.gamma**k


@dataclass(frozen=True)
class Sawtooth(Sequence):
    """Teeth that fall from an envelope 1/1, 1/2, 1/3, … towards 0.

    With n = k+1 and period p: f(k) = (1 − ((n−1) mod p)/p) / (⌊n/p⌋ + 1). As published, the envelope drops one position
    before the tooth does; `aligned` takes ⌊(n−1)/p⌋, so that they drop together.

    Args:
        period: positions a tooth, an integer ≥ 1.
        aligned: whether the envelope drops with the tooth.

    Raises TypeError or ValueError naming period when it is out of range.
    Source: sequence 4 of Yang & Huang (2019), with p = 10.

    >>> Sawtooth(4).values(6).tolist()
    [1.0, 0.75, 0.5, 0.125, 0.5, 0.375]
    >>> Sawtooth(4, aligned=True).values(6).tolist()
    [1.0, 0.75, 0.5, 0.25, 0.5, 0.375]
    """

    period: int = 10
    aligned: bool = False

    def __post_init__(self) -> None:
        self._coerce(period=integer("period", self.period, low=1), aligned=flag("aligned", self.aligned))

    def _at(self, k: int) -> float:
        tooth = (k if self.aligned else k + 1) // self.period
        return (1.0 - k % self.period / self.period) / (tooth + 1)


@dataclass(frozen=True)
class Exponential(Sequence):
    """Continuous exponential decay: f(k) = e^(−d·k); the literature's n is k.

    Args:
        decay: the rate d per position, ≥ 0.

    Raises TypeError or ValueError naming decay when it is out of range.
    Source: "Learning rate", Wikipedia, exponential schedule.

    >>> round(Exponential(0.1)(10), 6)
    0.367879
    """

    decay: float

    def __post_init__(self) -> None:
        self._coerce(decay=number("decay", self.decay))

    def _at(self, k: int) -> float:
        return math.exp(-self.decay * k)


@dataclass(frozen=True)
class StepDecay(Sequence):
    """A drop once in `interval` positions: f(k) = d^⌊(1+k)/r⌋, so `StepDecay(d, 1)` gives d at k = 0.

    The textbook's formula, with its n being k: each drop comes one position earlier than in torch's StepLR, which is
    `Geometric(d).every(r)`.

    Args:
        drop: the factor d of one drop, 0 < d ≤ 1.
        interval: positions from drop to drop, r, an integer ≥ 1.

    Raises TypeError or ValueError naming the argument that is out of range.
    Source: "Learning rate", Wikipedia, step-based schedule.

    >>> StepDecay(0.5, 3).values(6).tolist()
    [1.0, 1.0, 0.5, 0.5, 0.5, 0.25]
    """

    drop: float
    interval: int

    def __post_init__(self) -> None:
        self._coerce(
            drop=number("drop", self.drop, above=0.0, high=1.0),
            interval=integer("interval", self.interval, low=1),
        )

    def _at(self, k: int) -> float:
        return self.drop ** ((1 + k) // self.interval)


@dataclass(frozen=True)
class TimeDecay(Sequence):
    """Time-based decay: f(0) = 1, f(k+1) = f(k)/(1 + d·k), that is f(k) = ∏_{i=1}^{k−1} 1/(1 + d·i).

    Computed in closed form (Euler–Maclaurin) to a relative error below 1e-8 wherever f(k) is a normal float.

    Args:
        decay: d ≥ 0.

    Raises TypeError or ValueError naming decay when it is out of range.
    Source: "Learning rate", Wikipedia, time-based schedule.

    >>> TimeDecay(1.0).values(5).round(6).tolist()
    [1.0, 1.0, 0.5, 0.166667, 0.041667]
    """

    decay: float

    def __post_init__(self) -> None:
        self._coerce(decay=number("decay", self.decay))

    def _at(self, k: int) -> float:
        plain = min(k, _PLAIN)
        product = math.prod(1.0 / (1.0 + self.decay * i) for i in range(1, plain))
        if plain == k or product == 0.0 or self.decay == 0.0:
            return product
        return product * math.exp(-_log_sum(self.decay, plain, k - 1))


_PLAIN = 32  # below it TimeDecay multiplies; above it the terms of the expansion shrink by 1/32² each


def _log_sum(d: float, a: int, b: int) -> float:
    """Return Σ log(1 + d·i) over i = a … b, d > 0, by Euler–Maclaurin; the first term left out is below 1e-13."""
    left, right = (
        d / (1.0 + d * a),
        d / (1.0 + d * b),
    )  # derivatives; the n-th is ∝ their n-th power
    return (
        (_log_integral(d * b) - _log_integral(d * a)) / d
        + (math.log1p(d * a) + math.log1p(d * b)) / 2.0
        + (right - left) / 12.0
        - 2.0 * (right**3 - left**3) / 720.0
        + 24.0 * (right**5 - left**5) / 30240.0
    )


def _log_integral(y: float) -> float:
    """Return ∫₀ʸ log(1 + t) dt = (1 + y)·log(1 + y) − y, by its series where the difference would cancel."""
    if y < 0.1:
        return math.fsum((-y) ** n / (n * (n - 1)) for n in range(2, 18))
    return (1.0 + y) * math.log1p(y) - y


@dataclass(frozen=True)
class Triangular(Sequence):
    """Cycles 0 → 1 → 0: k/up on the way up, (up + down − k)/down on the way down, k taken modulo up + down.

    Modes: "triangular" as it stands; "triangular2" halves the height after each cycle; "exp_range" times γᵏ.

    Args:
        up: positions from 0 to 1, > 0.
        down: positions from 1 to 0, ≥ 0; as many as up if None.
        mode: "triangular", "triangular2" or "exp_range".
        gamma: γ of "exp_range", 0 < γ ≤ 1.

    The attribute `period` is up + down. Raises TypeError or ValueError naming the argument that is out of range.
    Source: Smith (2017), arXiv:1506.01186, section 3.

    >>> Triangular(up=2, mode="triangular2").values(9).tolist()
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.25, 0.5, 0.25, 0.0]
    """

    up: float = 1000
    down: float | None = None
    mode: CycleMode = "triangular"
    gamma: float = 1.0
    period: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        up = _length("up", self.up, above=0.0)
        down = None if self.down is None else _length("down", self.down)
        self._coerce(
            up=up,
            down=down,
            mode=choice("mode", self.mode, get_args(CycleMode)),
            gamma=number("gamma", self.gamma, above=0.0, high=1.0),
            period=up + (up if down is None else down),
        )

    def _at(self, k: int) -> float:
        up, period = self.up, self.period
        position = k % period
        height = position / up if position <= up else (period - position) / (period - up)
        if self.mode == "triangular2":
            return math.ldexp(height, -int(min(k // period, 2000)))  # which is 0
        return height if self.mode == "triangular" else height * self.gamma**k


@dataclass(frozen=True)
class Cosine(Sequence):
    """Half a cosine from 1 to `end`: f(k) = end + (1 − end)·(1 + cos(π·k/steps))/2 for k ≤ steps, then end.

    `Cosine(1000).repeated(1000)` is warm restarts.

    Args:
        steps: positions until `end`, an integer ≥ 1.
        end: the last factor, ≥ 0.

    Raises TypeError or ValueError naming the argument that is out of range.
    Source: Loshchilov & Hutter (2017), arXiv:1608.03983, equation (5).

    >>> Cosine(4).values(6).round(4).tolist()
    [1.0, 0.8536, 0.5, 0.1464, 0.0, 0.0]
    """

    steps: int
    end: float = 0.0

    def __post_init__(self) -> None:
        self._coerce(steps=integer("steps", self.steps, low=1), end=number("end", self.end))

    def _at(self, k: int) -> float:
        return _descent(self.end, (1.0 + math.cos(math.pi * min(k, self.steps) / self.steps)) / 2.0)


@dataclass(frozen=True)
class Linear(Sequence):
    """A straight line from 1 to `end`: f(k) = end + (1 − end)·(1 − k/steps) for k ≤ steps, then end.

    Args:
        steps: positions until `end`, an integer ≥ 1.
        end: the last factor, ≥ 0.

    Raises TypeError or ValueError naming the argument that is out of range.
    Source: torch's LinearLR with start_factor = 1; `Polynomial` with power 1.

    >>> Linear(4).values(6).tolist()
    [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """

    steps: int
    end: float = 0.0

    def __post_init__(self) -> None:
        self._coerce(steps=integer("steps", self.steps, low=1), end=number("end", self.end))

    def _at(self, k: int) -> float:
        return _descent(self.end, 1.0 - min(k, self.steps) / self.steps)


@dataclass(frozen=True)
class Polynomial(Sequence):
    """A power of a straight line: f(k) = end + (1 − end)·(1 − k/steps)^power for k ≤ steps, then end.

    Args:
        steps: positions until `end`, an integer ≥ 1.
        power: the exponent, > 0.
        end: the last factor, ≥ 0.

    Raises TypeError or ValueError naming the argument that is out of range.
    Source: Chen et al. (2018), arXiv:1606.00915, section 4.1 (the "poly" policy).

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

    def _at(self, k: int) -> float:
        return _descent(self.end, (1.0 - min(k, self.steps) / self.steps) ** self.power)


def _descent(end: float, height: float) -> float:
    """Return the factor at a height that goes from 1 to 0, exact at both."""
    return end + (1.0 - end) * height


def _length(name: str, value: float, above: float | None = None) -> float:
    """Return a number of positions: a whole one stays an int."""
    length = number(name, value, above=above)
    return int(length) if length.is_integer() else length
