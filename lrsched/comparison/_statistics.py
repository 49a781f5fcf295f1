"""Student's t: the 95 % interval of a mean, and the two-sided p of a mean against 0."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

FEWEST = 3  # with fewer values, there is neither an interval nor a test, and the values are shown
_LARGE = 1e9  # from here on, a number is printed with an exponent
_DECIMALS = 8  # likewise if it would need more decimals than this


@dataclass(frozen=True)
class Estimate:
    """The mean of some values and its 95 % interval by Student's t: mean ± t(0.975, n − 1)·s/√n.

    `Report.interval` and `Report.difference` return one. For other values, use `Estimate.of(values)`.

    Attributes:
        values: the values, one per seed.
        mean: their mean; NaN if there are no values or one is not finite.
        low, high: the ends of the interval; NaN if there are fewer than 3 values or one is not finite.
        n: the number of values.
        half: half of the interval's width.

    >>> from lrsched import Estimate
    >>> estimate = Estimate.of([1.0, 2.0, 3.0])  # s = 1, t(0.975, 2) = 4.303
    >>> estimate.mean, round(estimate.half, 3), estimate.n
    (2.0, 2.484, 3)
    >>> print(estimate, round(estimate.p_value(), 3))
    2.0 ± 2.5 0.074
    """

    values: tuple[float, ...]
    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        """Return the mean of the values with its interval."""
        numbers = tuple(values)
        if not numbers or not all(map(math.isfinite, numbers)):
            return cls(numbers, math.nan, math.nan, math.nan)
        mean, half = interval(numbers)
        if len(numbers) < FEWEST:
            half = math.nan
        return cls(numbers, mean, mean - half, mean + half)

    @property
    def n(self) -> int:
        """The number of values."""
        return len(self.values)

    @property
    def half(self) -> float:
        """Half of the interval's width."""
        return (self.high - self.low) / 2

    def p_value(self, expected: float = 0.0) -> float:
        """Return the two-sided p of Student's t-test of the hypothesis that the mean is `expected`.

        NaN for fewer than 3 values, or if one is not finite.
        """
        return math.nan if math.isnan(self.half) else p_value([value - expected for value in self.values])

    def text(self, decimals: int | None = None, *, sign: str = "") -> str:
        """Return "mean ± half"; below 3 values, the values separated by commas, or a dash if there are none.

        Args:
            decimals: the decimals of each number; None for two significant digits of `half`, or four of each value.
            sign: "+" puts a sign before positive numbers too.
        """
        if self.n < FEWEST:
            form = f"{sign}.4g" if decimals is None else f"{sign}.{decimals}f"
            return ", ".join(f"{value:{form}}" for value in self.values) or "–"
        if math.isnan(self.half):
            return "nan"
        if decimals is not None:
            return f"{self.mean:{sign}.{decimals}f} ± {self.half:.{decimals}f}"
        return _rounded(self.mean, self.half, sign)

    def __str__(self) -> str:
        return self.text()


def _rounded(mean: float, half: float, sign: str) -> str:
    """Return mean ± half, both to the second significant digit of half."""
    if half == 0:
        return f"{mean:{sign}.4g} ± 0"
    decimals = max(0, 1 - math.floor(math.log10(half)))
    if decimals > _DECIMALS or max(abs(mean), half) >= _LARGE:
        return f"{mean:{sign}.4g} ± {half:.2g}"
    return f"{mean:{sign}.{decimals}f} ± {half:.{decimals}f}"


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
    from statistics import fmean, stdev  # imports decimal and fractions, which the rest of the package does not need

    n = len(values)
    if n < 2:
        return (fmean(values) if n else math.nan), math.nan
    return fmean(values), _quantile(n - 1) * stdev(values) / math.sqrt(n)


@cache
def _quantile(nu: int) -> float:
    """Return t(0.975, ν), by bisection."""
    low, high = 0.0, 13.0  # t(0.975, 1), the largest, is 12.7
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle, nu) < 0.95 else (low, middle)
    return high


def p_value(values: Sequence[float]) -> float:
    """Return the two-sided p of Student's test that the mean is 0: NaN for one value, 1 if all values are 0."""
    from statistics import fmean, stdev

    n = len(values)
    if n < 2:
        return math.nan
    mean, error = fmean(values), stdev(values) / math.sqrt(n)
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return max(0.0, 1 - within(abs(mean) / error, n - 1))  # rounding may put `within` above 1
