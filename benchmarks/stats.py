"""Means with their 95 % intervals."""

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

    def text(self, decimals: int) -> str:
        interval = "" if math.isnan(self.half) else f" ± {self.half:.{decimals}f}"
        return f"{self.mean:.{decimals}f}{interval}"


def mean_interval(values: Sequence[float]) -> Mean:
    """Return mean ± t(0.975, n − 1)·s/√n."""
    n = len(values)
    half = float(t.ppf(0.975, n - 1)) * stdev(values) / math.sqrt(n) if n > 1 else math.nan
    return Mean(fmean(values), half, n)
