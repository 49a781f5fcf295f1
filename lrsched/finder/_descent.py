"""The descent in a curve of losses over learning rates: where it is, how certain it is, and what it suggests.

Everything on the horizontal axis is in log10 lr. Shifting or scaling the losses does not change it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ._divergence import ROUNDING
from ._smoothing import Array, Points

_CERTAIN = 3.2  # standard errors that a descent needs; about 3 of 100 curves of pure noise reach this
_CERTAIN_BEFORE_RISE = 1.2  # enough after a third of the points if a clear rise follows: higher rates do harm
_BELOW_MIDDLE = 5.0  # chosen on the tasks of benchmarks/costs/range_test_quality.py that are not held out
_CLEAR = 7.0  # a descent of fewer standard errors gets a warning that it is noisy


@dataclass(frozen=True)
class Descent:
    """Where the loss falls in a range test, and how certain that is.

    Attributes:
        x: log10 lr of the points, shape (n,), increasing.
        smoothed: smoothed losses, shape (n,).
        slope: slope of the smoothed losses per decade, shape (n,).
        head: the loss before the descent.
        bottom: index of the lowest smoothed loss in the low part of the curve.
        errors: how far the low part lies below the high part, in standard errors.
    """

    x: Array
    smoothed: Array
    slope: Array
    head: float
    bottom: int
    errors: float

    @property
    def lowest(self) -> float:
        """Where the smoothed loss is lowest."""
        return float(self.x[self.bottom])

    @property
    def fall(self) -> float:
        """How far the smoothed loss falls."""
        return self.head - float(self.smoothed[self.bottom])

    def depth(self, part: float) -> float:
        """Return where this part of the descent is complete: the last crossing of that level before the lowest loss."""
        level = self.head - part * self.fall
        above = np.flatnonzero(self.smoothed[: self.bottom + 1] > level)
        return self._crossing(int(above[-1]), level) if above.size else float(self.x[0])

    def edge(self) -> float:
        """Return where the loss has risen back to its first level, or the end of the curve if it does not."""
        above = np.flatnonzero(self.smoothed[self.bottom :] > self.head)
        return self._crossing(self.bottom + int(above[0]) - 1, self.head) if above.size else float(self.x[-1])

    def _crossing(self, k: int, level: float) -> float:
        """Return where the smoothed loss crosses a level between points k and k + 1."""
        a, b = self.smoothed[k], self.smoothed[k + 1]
        return float(self.x[k] + (self.x[k + 1] - self.x[k]) * (level - a) / (b - a))

    def steepest(self) -> float:
        """Return where the smoothed loss falls fastest, up to its lowest point."""
        return float(self.x[self.slope[: self.bottom + 1].argmin()])

    def valley(self) -> float:
        """Return the point two thirds of the way along the run of falling losses with the largest fall."""
        falling = np.diff(self.smoothed) < 0
        starts = np.flatnonzero(np.diff(np.append(0.0, falling)) > 0)
        ends = np.flatnonzero(np.diff(np.append(falling, 0.0)) < 0) + 1
        best = (self.smoothed[starts] - self.smoothed[ends]).argmax()
        return float(self.x[starts[best]] + (self.x[ends[best]] - self.x[starts[best]]) * 2 / 3)

    def suggestion(self) -> float:
        """Return the suggestion: a fifth of the middle of the valley.

        The valley goes from where nine tenths of the fall are done to where the loss is back at its first level. Its
        middle is more certain than its lowest point.
        """
        return (self.depth(0.9) + self.edge()) / 2 - math.log10(_BELOW_MIDDLE)

    def doubt(self, stop_reason: str) -> str | None:
        """Return a reason to doubt the suggestion, and what to do about it, or None."""
        if self.bottom >= len(self.x) - 3 and stop_reason in ("completed", "data exhausted"):
            return "range too short: the loss was still falling at the end, raise end_lr"
        if self.depth(0.1) <= self.x[len(self.x) // 10]:
            return "range too short: the loss was falling from the start, lower start_lr"
        if self.errors < _CLEAR:
            return f"noisy: the loss falls by only {self.errors:.1f} standard errors, use repeats or batches_per_lr"
        return None


RULES: dict[str, Callable[[Descent], float]] = {
    "suggestion": Descent.suggestion,
    "minimum / 10": lambda found: found.lowest - 1.0,
    "steepest": Descent.steepest,
    "valley": Descent.valley,
}


def descent(points: Points) -> Descent | str:
    """Return the descent, or the reason why there is none."""
    first, end, errors = _low_part(points)
    smoothed, slope = points.line, points.slope
    bottom = first + int(smoothed[first:end].argmin())
    head = float(points.y[:first].mean())
    for _ in range(2):  # the head is the mean loss before a tenth of the descent, which depends on the head
        above = np.flatnonzero(smoothed[: bottom + 1] > head - 0.1 * (head - smoothed[bottom]))
        head = float(points.y[: max(5, int(above.max(initial=0)))].mean())
    found = Descent(points.x, smoothed, slope, head, bottom, errors)
    needed = _CERTAIN_BEFORE_RISE if points.rises and first >= max(10, len(points.x) // 3) else _CERTAIN
    if errors >= needed and found.fall > ROUNDING * np.median(np.abs(points.y)):
        return found
    if points.rises:
        return f"the loss only rises, from {points.y[:10].mean():.4g}"
    return f"flat: the loss never falls by more than its noise, {points.noise:.2g}"


def _low_part(points: Points) -> tuple[int, int, float]:
    """Return i, j and the errors: how many standard errors losses i … j−1 lie below the first i, on average.

    Of all i and j, these give the most errors. A low part that ends more than a decade before the curve does loses one
    standard error for each further decade: a real descent stays low until the loss diverges.
    """
    n = len(points.x)
    head = np.median(points.y[:10])
    fall = max(head - points.line.min(), 4.0 * points.noise)
    y = np.minimum(points.y, head + 0.3 * fall)  # an explosion must not outweigh the descent
    total = np.append(0.0, np.cumsum(y - y.mean()))
    i, j = np.arange(3, n - 2)[:, None], np.arange(6, n + 1)[None, :]
    length = np.maximum(j - i, 1)
    fall = total[i] / i - (total[j] - total[i]) / length
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = fall / (points.noise * np.sqrt(1 / i + 1 / length))
    errors = np.nan_to_num(errors - np.maximum(0.0, points.x[-1] - points.x[j - 1] - 1.0))
    errors[j - i < 3] = -np.inf
    row, column = np.unravel_index(errors.argmax(), errors.shape)
    return int(row) + 3, int(column) + 6, float(errors[row, column])
