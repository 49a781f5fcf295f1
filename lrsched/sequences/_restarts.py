"""Cosine annealing with warm restarts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .._check import integer, number
from ._sequence import Sequence
from ._shapes import descent, half_cosine


@dataclass(frozen=True)
class CosineRestarts(Sequence):
    """Half cosines from 1 to `end`, one after another; each is `mult` times as long as the one before (SGDR).

    f(k) = end + (1 − end)·(1 + cos(π·t/T))/2, where t is the number of positions since the last restart, and
    T = period·multⁱ after i restarts. Restart i is at k = period·(multⁱ − 1)/(mult − 1), or period·i if mult = 1. The
    factor is 1 there, and does not quite reach `end` before.

    `CosineRestarts(10, mult=2)` restarts at epochs 10, 30, 70, 150, …

    Args:
        period: the number of positions before the first restart, an integer ≥ 1.
        mult: the ratio of each period to the previous one, an integer ≥ 1.
        end: the factor towards which each cosine falls, ≥ 0.

    Raises TypeError or ValueError if an argument is invalid.
    Source: Loshchilov & Hutter (2017), arXiv:1608.03983, equation (5); torch's CosineAnnealingWarmRestarts.

    >>> from lrsched import CosineRestarts
    >>> CosineRestarts(2, mult=2).values(8).round(4).tolist()
    [1.0, 0.5, 1.0, 0.8536, 0.5, 0.1464, 1.0, 0.9619]
    """

    period: int
    mult: int = 1
    end: float = 0.0

    def __post_init__(self) -> None:
        self._coerce(
            period=integer("period", self.period, low=1),
            mult=integer("mult", self.mult, low=1),
            end=number("end", self.end),
        )

    def _at(self, k: int) -> float:
        if self.mult == 1:
            return descent(self.end, half_cosine(k % self.period, self.period))
        growth = self.mult ** _whole_log(k * (self.mult - 1) // self.period + 1, self.mult)
        restart = self.period * (growth - 1) // (self.mult - 1)
        return descent(self.end, half_cosine(k - restart, self.period * growth))


def _whole_log(n: int, base: int) -> int:
    """Return the largest i with baseⁱ ≤ n, for n ≥ 1. The logarithm of floats may be wrong by one, so it is checked."""
    i = int(math.log(n, base))
    if base**i > n:
        return i - 1
    return i + 1 if base ** (i + 1) <= n else i
