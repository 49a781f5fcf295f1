"""Decays that never end. The factor is 1 at k = 0, unless the class says otherwise."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .._check import integer, number
from ._sequence import Sequence, printed


@dataclass(frozen=True)
class Inverse(Sequence):
    """Decay as 1/n: f(k) = 1/(k + 1). The literature's n is k + 1.

    `PlateauSequence(optimizer, Inverse())` divides the base lr by 2, 3, 4, … when the loss stalls or rises.

    Source: Robbins & Monro (1951), section 4; sequence 1 of Yang & Huang (2019).

    >>> from lrsched import Inverse
    >>> Inverse().values(4).tolist()
    [1.0, 0.5, 0.3333333333333333, 0.25]
    """

    def _at(self, k: int) -> float:
        return 1.0 / (k + 1)


@dataclass(frozen=True, repr=False)
class InverseSqrt(Sequence):
    """Decay as 1/√n: f(k) = 1/√(1 + k/timescale). With timescale 1 this is 1/√n for the literature's n = k + 1.

    `Warmup(4_000).then(InverseSqrt(4_000))` is the schedule of the original Transformer, up to a constant: after the
    warm-up, the factor is √(4000/k).

    Args:
        timescale: the number of positions in which the factor falls to 1/√2, > 0.

    Raises TypeError or ValueError if an argument is invalid.
    Source: sequence 2 of Yang & Huang (2019); Vaswani et al. (2017), arXiv:1706.03762, equation (3), for the timescale.

    >>> from lrsched import InverseSqrt
    >>> InverseSqrt()(3), InverseSqrt(100)(300)
    (0.5, 0.5)
    """

    timescale: float = 1.0

    def __post_init__(self) -> None:
        self._coerce(timescale=number("timescale", self.timescale, above=0.0))

    def __repr__(self) -> str:
        return printed(self, unless_default="timescale")

    def _at(self, k: int) -> float:
        return 1.0 / math.sqrt(1.0 + k / self.timescale)


@dataclass(frozen=True)
class InverseTime(Sequence):
    """Decay by time: f(k) = 1/(1 + d·k). The literature's n is k.

    `InverseTime(1.0)` is `Inverse()`; a smaller d decays later: the factor is 1/2 at k = 1/d. It is what Keras' old
    `decay=` argument did. Do not confuse it with `TimeDecay`, whose factors multiply.

    Args:
        decay: the decay d per position, ≥ 0.

    Raises TypeError or ValueError if an argument is invalid.
    Source: Robbins & Monro (1951), section 4; Keras' InverseTimeDecay with decay_steps = 1.

    >>> from lrsched import InverseTime
    >>> InverseTime(0.5).values(4).tolist()
    [1.0, 0.6666666666666666, 0.5, 0.4]
    """

    decay: float

    def __post_init__(self) -> None:
        self._coerce(decay=number("decay", self.decay))

    def _at(self, k: int) -> float:
        return 1.0 / (1.0 + self.decay * k)


@dataclass(frozen=True)
class Geometric(Sequence):
    """Decay by a constant ratio: f(k) = γᵏ. The literature's n is k.

    `Geometric(0.5).every(10)` halves the learning rate every 10 positions, as torch's StepLR does.

    Args:
        gamma: the ratio γ of each factor to the previous one, 0 < γ ≤ 1.

    Raises TypeError or ValueError if an argument is invalid.
    Source: sequence 3 of Yang & Huang (2019), with γ = 0.9; torch's ExponentialLR.

    >>> from lrsched import Geometric
    >>> Geometric(0.5).values(4).tolist()
    [1.0, 0.5, 0.25, 0.125]
    """

    gamma: float = 0.9

    def __post_init__(self) -> None:
        self._coerce(gamma=number("gamma", self.gamma, above=0.0, high=1.0))

    def _at(self, k: int) -> float:
        return self.gamma**k


@dataclass(frozen=True)
class Exponential(Sequence):
    """Exponential decay: f(k) = e^(−d·k). The literature's n is k.

    `Exponential(d)` equals `Geometric(e^(−d))`; use it if you know the decay rate d.

    Args:
        decay: the decay rate d per position, ≥ 0.

    Raises TypeError or ValueError if an argument is invalid.
    Source: "Learning rate", Wikipedia, exponential schedule.

    >>> from lrsched import Exponential
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
    """A drop every `interval` positions: f(k) = d^⌊(1 + k)/r⌋. The literature's n is k.

    This is the published formula: each drop comes one position earlier than in torch's StepLR, and `StepDecay(d, 1)`
    is d at k = 0. To drop when StepLR does, use `Geometric(d).every(r)`.

    Args:
        drop: the factor d of each drop, 0 < d ≤ 1.
        interval: the number r of positions between drops, an integer ≥ 1.

    Raises TypeError or ValueError if an argument is invalid.
    Source: "Learning rate", Wikipedia, step-based schedule.

    >>> from lrsched import StepDecay
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
    """Time-based decay: f(0) = 1, f(k + 1) = f(k)/(1 + d·k), so f(k) = ∏_{i=1}^{k−1} 1/(1 + d·i).

    The factors multiply, as published. For 1/(1 + d·k) alone, which is what "time-based decay" often means, use
    `InverseTime`. The product falls faster than any power of k, so choose d small: `TimeDecay(1e-4)`. It is computed in
    closed form (Euler–Maclaurin), with a relative error below 1e-8 unless f(k) is too small for a normal float.

    Args:
        decay: the decay d per position, ≥ 0.

    Raises TypeError or ValueError if an argument is invalid.
    Source: "Learning rate", Wikipedia, time-based schedule.

    >>> from lrsched import TimeDecay
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


_PLAIN = 32  # TimeDecay multiplies below this k; from here on, each term of the expansion is 1/32² of the one before


def _log_sum(d: float, a: int, b: int) -> float:
    """Return Σ log(1 + d·i) over i = a … b for d > 0, by the Euler–Maclaurin formula, with an error below 1e-13.

    With r(x) = d/(1 + d·x), the first, third and fifth derivatives of log(1 + d·x) are r, 2·r³ and 24·r⁵.
    """
    start = d / (1.0 + d * a)
    end = d / (1.0 + d * b)
    return (
        (_log_integral(d * b) - _log_integral(d * a)) / d
        + (math.log1p(d * a) + math.log1p(d * b)) / 2.0
        + (end - start) / 12.0
        - 2.0 * (end**3 - start**3) / 720.0
        + 24.0 * (end**5 - start**5) / 30240.0
    )


def _log_integral(y: float) -> float:
    """Return ∫₀ʸ log(1 + t) dt = (1 + y)·log(1 + y) − y; for small y by its series, since the difference cancels."""
    if y < 0.1:
        return math.fsum((-y) ** n / (n * (n - 1)) for n in range(2, 18))
    return (1.0 + y) * math.log1p(y) - y
