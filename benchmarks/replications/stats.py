"""Means with their 95 % intervals, and the test that a mean is what it is said to be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy.stats import binomtest, t


@dataclass(frozen=True)
class Mean:
    """The mean of n values and its 95 % interval (NaN for one value)."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def half(self) -> float:
        return (self.high - self.low) / 2

    def text(self, decimals: int) -> str:
        interval = "" if math.isnan(self.half) else f" ± {self.half:.{decimals}f}"
        return f"{self.mean:.{decimals}f}{interval}"


def mean_interval(values: Sequence[float]) -> Mean:
    """Return mean ± t(0.975, n − 1)·s/√n; all NaN where there is no value, or one that is not finite."""
    n = len(values)
    if not values or not all(map(math.isfinite, values)):
        return Mean(math.nan, math.nan, math.nan, n)
    mean = fmean(values)
    half = float(t.ppf(0.975, n - 1)) * stdev(values) / math.sqrt(n) if n > 1 else math.nan
    return Mean(mean, mean - half, mean + half, n)


def share_interval(found: Sequence[bool]) -> Mean:
    """Return the share of what is true and its exact binomial interval, that of Clopper and Pearson."""
    n, count = len(found), sum(found)
    interval = binomtest(count, n).proportion_ci(0.95)
    return Mean(count / n, float(interval.low), float(interval.high), n)


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
