"""What the claims need besides `lrsched.Estimate`: paired differences, and intervals of shares."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.stats import binomtest

from lrsched import Estimate
from lrsched.comparison._statistics import FEWEST as FEWEST  # values that an interval or a test needs


def share_interval(found: Sequence[bool]) -> Estimate:
    """Return the share of true values and its exact binomial interval, by Clopper and Pearson."""
    n, count = len(found), sum(found)
    interval = binomtest(count, n).proportion_ci(0.95)
    low, high = (interval.low, interval.high) if n >= FEWEST else (math.nan, math.nan)
    return Estimate(tuple(map(float, found)), count / n, float(low), float(high))


def differences(claimed: Sequence[float], rival: Sequence[float]) -> list[float]:
    """Return claimed − rival, seed by seed. Their mean, interval and p are those of the paired t-test."""
    return [one - other for one, other in zip(claimed, rival, strict=True)]
