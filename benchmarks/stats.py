"""Means with their 95 % intervals, and the test that a mean is what it is said to be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy.stats import t


@dataclass(frozen=True)
class Mean:
    """The mean of n values and the half-width of its 95 % interval by Student's t (NaN for one value)."""

    mean: float
    half: float
    n: int

    @property
    def low(self) -> float:
        return self.mean - self.half

    @property
    def high(self) -> float:
        return self.mean + self.half

    def text(self, decimals: int) -> str:
        interval = "" if math.isnan(self.half) else f" ± {self.half:.{decimals}f}"
        return f"{self.mean:.{decimals}f}{interval}"


def mean_interval(values: Sequence[float]) -> Mean:
    """Return mean ± t(0.975, n − 1)·s/√n; all NaN where a value is not finite."""
    n = len(values)
    if not all(map(math.isfinite, values)):
        return Mean(math.nan, math.nan, n)
    half = float(t.ppf(0.975, n - 1)) * stdev(values) / math.sqrt(n) if n > 1 else math.nan
    return Mean(fmean(values), half, n)


def differences(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return ours − theirs, seed by seed: their mean, interval and p are those of the paired t-test."""
    return [our - their for our, their in zip(ours, theirs, strict=True)]


def p_value(values: Sequence[float], expected: float = 0.0) -> float:
    """Return the two-sided p of Student's test that the mean is as expected; NaN for one value or one not finite."""
    n = len(values)
    if n < 2 or not all(map(math.isfinite, values)):
        return math.nan
    off, error = abs(fmean(values) - expected), stdev(values) / math.sqrt(n)
    if error == 0:
        return float(off == 0)
    return float(2 * t.sf(off / error, n - 1))
