"""Means with 95 % intervals, and tests of a mean. Below n = 3 there is neither; the values are shown instead."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from scipy.stats import binomtest

from lrsched.comparison import _statistics as student

FEWEST = 3  # values that an interval or a test needs


@dataclass(frozen=True)
class Mean:
    """The mean of some values and its 95 % interval, NaN for fewer than 3 values."""

    values: tuple[float, ...]
    mean: float
    low: float
    high: float

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def half(self) -> float:
        """Half of the interval's width."""
        return (self.high - self.low) / 2

    def text(self, decimals: int) -> str:
        """Return "mean ± half"; the values, separated by commas, if there are fewer than 3."""
        if self.n < FEWEST:
            return listed(self.values, decimals)
        interval = "" if math.isnan(self.half) else f" ± {self.half:.{decimals}f}"
        return f"{self.mean:.{decimals}f}{interval}"


def listed(values: Sequence[float], decimals: int) -> str:
    """Return the values, separated by commas; a dash for none."""
    return ", ".join(f"{value:.{decimals}f}" for value in values) or "–"


def mean_interval(values: Sequence[float]) -> Mean:
    """Return mean ± t(0.975, n − 1)·s/√n; all NaN if there are no values, or one is not finite."""
    if not values or not all(map(math.isfinite, values)):
        return Mean(tuple(values), math.nan, math.nan, math.nan)
    mean, half = student.interval(values) if len(values) >= FEWEST else (fmean(values), math.nan)
    return Mean(tuple(values), mean, mean - half, mean + half)


def share_interval(found: Sequence[bool]) -> Mean:
    """Return the share of true values and its exact binomial interval, by Clopper and Pearson."""
    n, count = len(found), sum(found)
    interval = binomtest(count, n).proportion_ci(0.95)
    low, high = (interval.low, interval.high) if n >= FEWEST else (math.nan, math.nan)
    return Mean(tuple(map(float, found)), count / n, float(low), float(high))


def differences(claimed: Sequence[float], rival: Sequence[float]) -> list[float]:
    """Return claimed − rival, seed by seed. Their mean, interval and p are those of the paired t-test."""
    return [one - other for one, other in zip(claimed, rival, strict=True)]


def p_value(values: Sequence[float], expected: float = 0.0) -> float:
    """Return the two-sided p of Student's test that the mean is `expected`.

    NaN for fewer than 3 values, or if one is not finite.
    """
    if len(values) < FEWEST or not all(map(math.isfinite, values)):
        return math.nan
    return student.p_value([value - expected for value in values])
