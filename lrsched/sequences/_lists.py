"""Sequences given by a list of factors, or by a single one."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .._check import integer, items, number
from ._sequence import Sequence


@dataclass(frozen=True)
class Constant(Sequence):
    """The same factor at every position: f(k) = 1.

    Use it for the flat part of a schedule: `Warmup(5).then(Constant()).then(Linear(10), at=40)`.

    >>> from lrsched import Constant
    >>> Constant()(1000)
    1.0
    """

    def _at(self, k: int) -> float:
        return 1.0


@dataclass(frozen=True, init=False, repr=False)
class Values(Sequence):
    """A list of factors, one per position: f(k) = values[min(k, len − 1)].

    Use it for factors that you computed yourself, for example with numpy.

    Args:
        values: the factors, at least one, each finite and ≥ 0. The last one holds forever.

    Raises TypeError or ValueError if an argument is invalid.

    >>> from lrsched import Values
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

    @property
    def length(self) -> int:
        return len(self.factors)

    def _at(self, k: int) -> float:
        return self.factors[k] if k < len(self.factors) else self.factors[-1]


@dataclass(frozen=True, init=False, repr=False)
class Piecewise(Sequence):
    """Constant pieces: f(k) = values[i], where i is the number of boundaries ≤ k.

    `Piecewise([30, 60], [1, 0.1, 0.01])` divides the learning rate by 10 at positions 30 and 60, as torch's
    MultiStepLR does.

    Args:
        boundaries: the positions at which the next value starts, integers ≥ 1, strictly increasing.
        values: the factors, each finite and ≥ 0, one more than there are boundaries.

    Raises TypeError or ValueError if an argument is invalid.

    >>> from lrsched import Piecewise
    >>> Piecewise([2, 3], [1.0, 0.1, 0.01]).values(5).tolist()
    [1.0, 1.0, 0.1, 0.01, 0.01]
    """

    boundaries: tuple[int, ...]
    factors: tuple[float, ...]

    def __init__(self, boundaries: Iterable[int], values: Iterable[float]) -> None:
        edges = tuple(integer(f"boundaries[{i}]", k, low=1) for i, k in enumerate(items("boundaries", boundaries)))
        if any(right <= left for left, right in pairwise(edges)):
            raise ValueError(f"boundaries must be strictly increasing, got {list(edges)}")
        factors = _factors(values)
        if len(factors) != len(edges) + 1:
            raise ValueError(
                f"values must have {len(edges) + 1} entries, one more than boundaries has, got {len(factors)}"
            )
        self._coerce(boundaries=edges, factors=factors)

    def __repr__(self) -> str:
        return f"Piecewise({list(self.boundaries)!r}, {list(self.factors)!r})"

    @property
    def length(self) -> int:
        return self.boundaries[-1] if self.boundaries else 0

    def _at(self, k: int) -> float:
        return self.factors[bisect_right(self.boundaries, k)]


def _factors(values: Iterable[float]) -> tuple[float, ...]:
    factors = tuple(number(f"values[{i}]", value) for i, value in enumerate(items("values", values)))
    if not factors:
        raise ValueError("values must have at least one entry, got none")
    return factors
