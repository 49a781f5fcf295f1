"""Student's t: the 95 % interval of a mean, and the two-sided p of a mean against 0."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev


def within(t: float, nu: int) -> float:
    """Return the probability that a Student variable with nu degrees of freedom lies in [−t, t], t ≥ 0.

    The finite sums in θ = atan(t/√ν) of Abramowitz & Stegun (1964), 26.7.3 and 26.7.4.
    """
    theta = math.atan2(t, math.sqrt(nu))
    if nu == 1:
        return 2 * theta / math.pi
    cosine = math.cos(theta)
    term, total = (cosine if nu % 2 else 1.0), 0.0
    for i in range(2 + nu % 2, nu + 1, 2):  # ν odd: cos θ (1 + ⅔ cos²θ + …), even: 1 + ½ cos²θ + …
        total += term
        term *= (i - 1) / i * cosine**2
    if nu % 2:
        return 2 / math.pi * (theta + math.sin(theta) * total)
    return math.sin(theta) * total


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the half-width of its 95 % interval, t(0.975, n − 1)·s/√n, which is NaN for one value."""
    n = len(values)
    if n < 2:
        return (fmean(values) if n else math.nan), math.nan
    low, high = 0.0, 13.0  # t(0.975, 1), the largest quantile, is 12.7
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle, n - 1) < 0.95 else (low, middle)
    return fmean(values), high * stdev(values) / math.sqrt(n)


def p_value(values: Sequence[float]) -> float:
    """Return the two-sided p of Student's test that the mean is 0: NaN for one value, 1 if all values are 0."""
    n = len(values)
    if n < 2:
        return math.nan
    mean, error = fmean(values), stdev(values) / math.sqrt(n)
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return 1 - within(abs(mean) / error, n - 1)
