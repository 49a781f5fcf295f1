"""Sequences: pure functions of a position k = 0, 1, 2, …, and the combinators that make new ones of them.

A position goes in, a dimensionless factor comes out; nothing is remembered between two calls.
"""

from __future__ import annotations

import hashlib
import inspect
import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, SupportsIndex, get_args

import numpy as np

from .._check import choice, integer, items, number, real

RampScale = Literal["log", "linear"]


class Sequence(ABC):
    """A schedule: position k ≥ 0 → factor f(k) ≥ 0.

    A subclass is a frozen dataclass that gives its formula in `_at(k)`; `k` is then an int ≥ 0. Sequences are
    immutable, compare and hash by their arguments, pickle, and print as the call that makes them.

    >>> from lrsched import Inverse, Warmup
    >>> sequence = Warmup(2) * Inverse()
    >>> sequence(3), sequence.values(4).tolist()
    (0.25, [0.0, 0.25, 0.3333333333333333, 0.25])
    """

    __array_ufunc__ = None  # np.float64(2) * sequence is ours, not numpy's

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in inspect.get_annotations(cls):
            if hasattr(Sequence, name):
                raise TypeError(f"{cls.__name__}: the field {name!r} hides Sequence.{name}; give it another name")

    @abstractmethod
    def _at(self, k: int) -> float:
        """Return the factor at position k, an int ≥ 0."""

    def __call__(self, k: SupportsIndex) -> float:
        """Return the factor at position k. Raises TypeError or ValueError unless k is an integer ≥ 0."""
        return float(self._at(integer("k", k)))

    def values(self, n: int) -> np.ndarray:
        """Return the factors at k = 0 … n−1 as an array of shape (n,), float64."""
        n = integer("n", n)
        return np.fromiter(map(self._at, range(n)), dtype=np.float64, count=n)

    def __mul__(self, other: Sequence | float) -> Sequence:
        """Return the product f(k)·g(k), or f scaled where the other is a number."""
        if isinstance(other, Sequence):
            return _Product(self, other)
        if callable(other):
            return NotImplemented
        return self.scaled(other)

    def __rmul__(self, other: float) -> Sequence:
        return NotImplemented if callable(other) else self.scaled(other)

    def then(self, other: Sequence, at: int) -> Sequence:
        """Return f(k) for k < at, then other(k − at): `other` starts at its own 0.

        Raises TypeError unless `other` is a sequence and `at` an integer, ValueError unless at ≥ 0.

        >>> Values([1.0]).then(Values([0.5, 0.25]), at=2).values(4).tolist()
        [1.0, 1.0, 0.5, 0.25]
        """
        return _Then(self, other, at)

    def scaled(self, c: float) -> Sequence:
        """Return c·f(k); TypeError or ValueError unless c is a finite number ≥ 0.

        >>> (2 * Constant()) == Constant().scaled(2)
        True
        """
        return _Scaled(self, c)

    def clipped(self, low: float = 0.0, high: float = math.inf) -> Sequence:
        """Return min(max(f(k), low), high); TypeError or ValueError unless 0 ≤ low ≤ high.

        >>> Values([1.0, 0.5, 0.1]).clipped(low=0.2, high=0.8).values(3).tolist()
        [0.8, 0.5, 0.2]
        """
        return _Clipped(self, low, high)

    def repeated(self, period: int) -> Sequence:
        """Return f(k mod period): the first `period` positions again and again; period is an integer ≥ 1.

        >>> Values([1.0, 0.5, 0.1]).repeated(2).values(5).tolist()
        [1.0, 0.5, 1.0, 0.5, 1.0]
        """
        return _Repeated(self, period)

    def delayed(self, m: int) -> Sequence:
        """Return f(max(0, k − m)): the first value held m positions longer; m is an integer ≥ 0.

        >>> Values([1.0, 0.5, 0.1]).delayed(2).values(5).tolist()
        [1.0, 1.0, 1.0, 0.5, 0.1]
        """
        return _Delayed(self, m)

    def every(self, m: int) -> Sequence:
        """Return f(⌊k/m⌋): advance once in m positions, as for a per-epoch sequence stepped per batch; m ≥ 1.

        >>> Values([1.0, 0.5, 0.1]).every(2).values(5).tolist()
        [1.0, 1.0, 0.5, 0.5, 0.1]
        """
        return _Every(self, m)

    def _coerce(self, **fields: object) -> None:
        """Set fields of the frozen instance; for `__post_init__` and `__init__` alone."""
        for name, value in fields.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True)
class Constant(Sequence):
    """The same factor for ever: f(k) = 1.

    >>> Constant()(1000)
    1.0
    """

    def _at(self, k: int) -> float:
        return 1.0


@dataclass(frozen=True, init=False, repr=False)
class Values(Sequence):
    """The factors of a list, one a position: f(k) = values[min(k, len − 1)].

    Args:
        values: the factors, each finite and ≥ 0, at least one. The last one holds for ever.

    Raises TypeError or ValueError naming the entry that is none of that.

    >>> Values([1.0, 0.5, 0.1]).values(4).tolist()
    [1.0, 0.5, 0.1, 0.1]
    """

    factors: tuple[float, ...]

    def __init__(self, values: Iterable[float]) -> None:
        self._coerce(factors=_factors(values))

    def __repr__(self) -> str:
        if len(self.factors) <= 32:
            return f"Values({list(self.factors)!r})"
        digest = hashlib.sha256(np.array(self.factors).tobytes()).hexdigest()
        return f"Values(<{len(self.factors)} factors, sha256 {digest}>)"

    def _at(self, k: int) -> float:
        return self.factors[k] if k < len(self.factors) else self.factors[-1]


@dataclass(frozen=True, init=False, repr=False)
class Piecewise(Sequence):
    """Constant pieces: f(k) = values[i] with i = the number of boundaries ≤ k.

    Args:
        boundaries: the positions at which the next value begins, integers ≥ 1, strictly increasing.
        values: the factors, each finite and ≥ 0, one more than boundaries.

    Raises TypeError or ValueError naming the argument that is none of that.

    >>> Piecewise([2, 3], [1.0, 0.1, 0.01]).values(5).tolist()
    [1.0, 1.0, 0.1, 0.01, 0.01]
    """

    boundaries: tuple[int, ...]
    factors: tuple[float, ...]

    def __init__(self, boundaries: Iterable[int], values: Iterable[float]) -> None:
        edges = tuple(integer(f"boundaries[{i}]", k, low=1) for i, k in enumerate(items("boundaries", boundaries)))
        if any(right <= left for left, right in pairwise(edges)):
            raise ValueError(f"boundaries must increase strictly, got {list(edges)}")
        factors = _factors(values)
        if len(factors) != len(edges) + 1:
            raise ValueError(f"values must be one more than the {len(edges)} boundaries, got {len(factors)}")
        self._coerce(boundaries=edges, factors=factors)

    def __repr__(self) -> str:
        return f"Piecewise({list(self.boundaries)!r}, {list(self.factors)!r})"

    def _at(self, k: int) -> float:
        return self.factors[bisect_right(self.boundaries, k)]


@dataclass(frozen=True)
class Warmup(Sequence):
    """A linear rise to 1: f(k) = start + (1 − start)·k/steps for k < steps, then 1.

    Args:
        steps: positions until the factor is 1, an integer ≥ 1.
        start: the factor at k = 0, in [0, 1].

    Raises TypeError or ValueError naming the argument that is out of range.
    Source: Goyal et al. (2017), arXiv:1706.02677, section 2.2 ("gradual warmup").

    >>> Warmup(4).values(6).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """

    steps: int
    start: float = 0.0

    def __post_init__(self) -> None:
        self._coerce(steps=integer("steps", self.steps, low=1), start=number("start", self.start, high=1.0))

    def _at(self, k: int) -> float:
        return self.start + (1.0 - self.start) * k / self.steps if k < self.steps else 1.0


@dataclass(frozen=True)
class Ramp(Sequence):
    """From start to end in `steps` positions, in equal ratios ("log") or equal differences ("linear").

    log: f(k) = start·(end/start)^(k/(steps−1)); linear: f(k) = start + (end − start)·k/(steps−1); then end.

    Args:
        start: the value at k = 0, > 0 for "log", ≥ 0 for "linear".
        end: the value at k = steps − 1, likewise.
        steps: positions from start to end, both included, an integer ≥ 2.
        scale: "log" or "linear".

    Raises TypeError or ValueError naming the argument that is out of range.
    Source: Smith (2017), arXiv:1506.01186, section 3.3 (the range test; linear there).

    >>> Ramp(1e-3, 1e1, steps=5).values(5).round(6).tolist()
    [0.001, 0.01, 0.1, 1.0, 10.0]
    """

    start: float
    end: float
    steps: int
    scale: RampScale = "log"

    def __post_init__(self) -> None:
        above = 0.0 if choice("scale", self.scale, get_args(RampScale)) == "log" else None
        self._coerce(
            start=number("start", self.start, above=above),
            end=number("end", self.end, above=above),
            steps=integer("steps", self.steps, low=2),
        )
        if above is not None:
            number("end/start", self.end / self.start, above=0.0)

    def _at(self, k: int) -> float:
        x = k / (self.steps - 1)
        if x >= 1.0:
            return self.end
        if self.scale == "linear":
            return self.start + (self.end - self.start) * x
        return self.start * math.pow(self.end / self.start, x)


@dataclass(frozen=True, repr=False)
class _Product(Sequence):
    left: Sequence
    right: Sequence

    def __repr__(self) -> str:
        return f"{self.left!r} * {_atom(self.right)}"

    def _at(self, k: int) -> float:
        return self.left._at(k) * self.right._at(k)


@dataclass(frozen=True, repr=False)
class _Then(Sequence):
    first: Sequence
    second: Sequence
    at: int

    def __post_init__(self) -> None:
        if not isinstance(self.second, Sequence):
            raise TypeError(f"then: other must be a sequence, got {self.second!r}")
        self._coerce(at=integer("at", self.at))

    def __repr__(self) -> str:
        return f"{_atom(self.first)}.then({self.second!r}, at={self.at})"

    def _at(self, k: int) -> float:
        return self.first._at(k) if k < self.at else self.second._at(k - self.at)


@dataclass(frozen=True, repr=False)
class _Scaled(Sequence):
    inner: Sequence
    c: float

    def __post_init__(self) -> None:
        self._coerce(c=number("c", self.c))

    def __repr__(self) -> str:
        return f"{_atom(self.inner)}.scaled({self.c!r})"

    def _at(self, k: int) -> float:
        return self.c * self.inner._at(k)


@dataclass(frozen=True, repr=False)
class _Clipped(Sequence):
    inner: Sequence
    low: float
    high: float

    def __post_init__(self) -> None:
        low = number("low", self.low)
        high = real("high", self.high)
        self._coerce(low=low, high=high if high == math.inf else number("high", high, low))

    def __repr__(self) -> str:
        high = "" if self.high == math.inf else f", high={self.high!r}"
        return f"{_atom(self.inner)}.clipped(low={self.low!r}{high})"

    def _at(self, k: int) -> float:
        return min(max(self.inner._at(k), self.low), self.high)


@dataclass(frozen=True, repr=False)
class _Repeated(Sequence):
    inner: Sequence
    period: int

    def __post_init__(self) -> None:
        self._coerce(period=integer("period", self.period, low=1))

    def __repr__(self) -> str:
        return f"{_atom(self.inner)}.repeated({self.period})"

    def _at(self, k: int) -> float:
        return self.inner._at(k % self.period)


@dataclass(frozen=True, repr=False)
class _Delayed(Sequence):
    inner: Sequence
    m: int

    def __post_init__(self) -> None:
        self._coerce(m=integer("m", self.m))

    def __repr__(self) -> str:
        return f"{_atom(self.inner)}.delayed({self.m})"

    def _at(self, k: int) -> float:
        return self.inner._at(max(0, k - self.m))


@dataclass(frozen=True, repr=False)
class _Every(Sequence):
    inner: Sequence
    m: int

    def __post_init__(self) -> None:
        self._coerce(m=integer("m", self.m, low=1))

    def __repr__(self) -> str:
        return f"{_atom(self.inner)}.every({self.m})"

    def _at(self, k: int) -> float:
        return self.inner._at(k // self.m)


def _atom(sequence: Sequence) -> str:
    """Return the sequence's print, in parentheses where a method call or a product would split it."""
    return f"({sequence!r})" if isinstance(sequence, _Product) else repr(sequence)


def _factors(values: Iterable[float]) -> tuple[float, ...]:
    factors = tuple(number(f"values[{i}]", value) for i, value in enumerate(items("values", values)))
    if not factors:
        raise ValueError("values must not be empty")
    return factors
