"""The descent in a curve of losses over learning rates: where it lies, how certain it is, when a loss has diverged.

Nothing here knows Curve; all of it is invariant under shifting and scaling the loss.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]

LEAST = 8  # points that a suggestion needs

_MOST = 500  # points that the rules look at: of more, neighbours are averaged
_WIDTH = 0.2  # standard deviation of the smoothing kernel in decades, or the distance of neighbours if that is more
_CERTAIN = 3.2  # standard errors that a descent must reach: pure noise does so in about three of a hundred curves
_HINTED = 1.5  # those it must reach before a clear rise, which shows by itself where rates are too high
_CLEAR = 7.0  # and below which it is called noisy
_BEND = 1.4826 / math.sqrt(6.0)  # from the median second difference to the standard deviation of normal noise
_ROUNDING = 1e-5  # of the loss: less is no change but the rounding of float32


class Divergence:
    """Tells when a loss has diverged: three of the last five are above head + max(head − best, 8·noise).

    Head is the median of the first ten losses, best the lowest median of five in a row, noise the size of second
    differences, to which a trend does not add. It never speaks before the tenth loss, nor because of one outlier.

    >>> divergence = Divergence()
    >>> [divergence.update(loss) for loss in [2.0] * 10 + [1.0] * 5 + [4.0] * 4].index(True)
    17
    """

    def __init__(self) -> None:
        self._losses: list[float] = []
        self._limit = -math.inf

    def update(self, loss: float) -> bool:
        """Take the next finite loss; say whether it has diverged."""
        self._losses.append(loss)
        return loss > self._limit and self._look()

    def _look(self) -> bool:
        """Find the limit afresh, which is done only when a loss is above the last one."""
        if len(self._losses) < 10:
            return False
        losses = self._losses  # plain Python: for a few numbers numpy takes longer
        head = statistics.median(losses[:10])
        best = min(sorted(losses[k : k + 5])[2] for k in range(len(losses) - 4))
        bends = [abs(a - 2.0 * b + c) for a, b, c in zip(losses, losses[1:], losses[2:], strict=False)]
        self._limit = head + max(head - best, 8.0 * _BEND * statistics.median(bends), _ROUNDING * abs(head))
        return sum(loss > self._limit for loss in losses[-5:]) >= 3


@dataclass(frozen=True)
class Points:
    """What rules look at: log10 lr, losses without outliers and capped, their noise, and whether they end high."""

    x: Array
    y: Array
    noise: float
    rises: bool

    def smooth(self) -> tuple[Array, Array]:
        """Return values and slopes of the straight lines fitted around each point."""
        gap = np.diff(self.x)
        width = np.maximum(_WIDTH, np.maximum(np.append(gap, 0.0), np.append(0.0, gap)))
        d = self.x[None, :] - self.x[:, None]
        w = np.exp(-0.5 * (d / width[:, None]) ** 2)
        s0, s1, s2 = w.sum(1), (w * d).sum(1), (w * d * d).sum(1)
        t0, t1 = w @ self.y, (w * d) @ self.y
        return (s2 * t0 - s1 * t1) / (s0 * s2 - s1 * s1), (s0 * t1 - s1 * t0) / (s0 * s2 - s1 * s1)

    def split(self) -> tuple[int, int, float]:
        """Return i, j and how many standard errors the losses i … j−1 are below the first i, where that is most.

        A low part that ends long before the curve does loses one standard error per decade beyond the first: what falls
        for real stays low until it diverges.
        """
        n = len(self.x)
        total = np.append(0.0, np.cumsum(self.y - self.y.mean()))
        i, j = np.arange(3, n - 2)[:, None], np.arange(6, n + 1)[None, :]
        length = np.maximum(j - i, 1)
        fall = total[i] / i - (total[j] - total[i]) / length
        with np.errstate(divide="ignore", invalid="ignore"):
            errors = fall / (self.noise * np.sqrt(1 / i + 1 / length))
        errors = np.nan_to_num(errors - np.maximum(0.0, self.x[-1] - self.x[j - 1] - 1.0))
        errors[j - i < 3] = -np.inf
        row, column = np.unravel_index(errors.argmax(), errors.shape)
        return int(row) + 3, int(column) + 6, float(errors[row, column])


@dataclass(frozen=True)
class Descent:
    """A descent: where it lies in log10 lr and how certain it is."""

    x: Array
    smoothed: Array
    slope: Array
    head: float
    bottom: int
    split: float
    noise: float
    errors: float
    bends: Array  # absolute second differences of the losses

    @property
    def lowest(self) -> float:
        return float(self.x[self.bottom])

    @property
    def fall(self) -> float:
        return self.head - float(self.smoothed[self.bottom])

    def depth(self, part: float) -> float:
        """Return where a part of the descent is done for good: the last place before the lowest."""
        level = self.head - part * self.fall
        above = np.flatnonzero(self.smoothed[: self.bottom + 1] > level)
        return self._between(int(above[-1]), level) if above.size else float(self.x[0])

    def edge(self) -> float:
        """Return where the loss is back at its first level, or the end."""
        above = np.flatnonzero(self.smoothed[self.bottom :] > self.head)
        return self._between(self.bottom + int(above[0]) - 1, self.head) if above.size else float(self.x[-1])

    def _between(self, k: int, level: float) -> float:
        a, b = self.smoothed[k], self.smoothed[k + 1]
        return float(self.x[k] + (self.x[k + 1] - self.x[k]) * (level - a) / (b - a))

    def steepest(self) -> float:
        return float(self.x[self.slope[: self.bottom + 1].argmin()])

    def valley(self) -> float:
        starts = np.flatnonzero(np.diff(np.append(0.0, np.diff(self.smoothed) < 0)) > 0)
        ends = np.flatnonzero(np.diff(np.append(np.diff(self.smoothed) < 0, 0.0)) < 0) + 1
        best = (self.smoothed[starts] - self.smoothed[ends]).argmax()
        return float(self.x[starts[best]] + (self.x[ends[best]] - self.x[starts[best]]) * 2 / 3)

    def combined(self) -> float:
        middle = (self.depth(0.5) + self.edge() - 1.0) / 2 - 0.1
        return middle if self.calm() else min(middle, (self.split + self.depth(0.5)) / 2 + 0.2)

    def calm(self) -> bool:
        """Return whether the noise is small, or at least halved where the loss is low: then large rates do no harm."""
        first, last = np.searchsorted(self.x, (self.split, self.edge()))
        before, after = self.bends[: max(first - 2, 1)], self.bends[first : last - 1]
        halved = len(after) >= 5 and bool(np.median(after) < 0.5 * np.median(before))
        return halved or self.fall > 200 * self.noise

    def doubt(self, stop_reason: str) -> str | None:
        if self.bottom >= len(self.x) - 3 and stop_reason in ("completed", "data exhausted"):
            return "range too short: the loss was still falling at the end, raise end_lr"
        if self.depth(0.1) <= self.x[len(self.x) // 10]:
            return "range too short: the loss was falling from the start, lower start_lr"
        if self.errors < _CLEAR:
            return f"noisy: the loss falls by {self.errors:.1f} standard errors, use repeats or batches_per_lr"
        return None


def usable_points(lrs: Array, losses: Array) -> Points | None:
    """Return what the rules look at, or None where that is too little."""
    stop, diverged = _end(losses)
    if stop < LEAST:
        return None
    starts = np.arange(0, stop, -(-stop // _MOST))
    counts = np.diff(np.append(starts, stop))
    x, y = (np.add.reduceat(values[:stop], starts) / counts for values in (np.log10(lrs), losses))
    noise = max(_BEND * float(np.median(np.abs(np.diff(y, 2)))), 1e-7 * abs(float(np.median(y))))
    head = float(np.median(y[:10]))
    found = Points(x, _without_outliers(y), noise, diverged or bool(np.median(y[-5:]) > head + 4.0 * noise))
    fall = max(head - float(found.smooth()[0].min()), 4.0 * noise)
    return replace(found, y=np.minimum(found.y, head + 0.3 * fall))


def descent(points: Points) -> Descent | str:
    """Return the descent, or the reason why there is none."""
    first, end, errors = points.split()
    smoothed, slope = points.smooth()
    bottom = first + int(smoothed[first:end].argmin())
    head = float(points.y[:first].mean())
    for _ in range(2):  # the first level is the mean of what lies before a tenth of the descent
        above = np.flatnonzero(smoothed[: bottom + 1] > head - 0.1 * (head - smoothed[bottom]))
        head = float(points.y[: max(5, int(above.max(initial=0)))].mean())
    split = float(points.x[first - 1 : first + 1].mean())
    found = Descent(points.x, smoothed, slope, head, bottom, split, points.noise, errors, np.abs(np.diff(points.y, 2)))
    least = _HINTED if points.rises and first >= 10 else _CERTAIN
    if errors >= least and found.fall > _ROUNDING * np.abs(points.y).max():
        return found
    if points.rises:
        return f"the loss only rises, from {points.y[:10].mean():.4g}"
    return f"flat: the loss falls nowhere by more than its noise, {points.noise:.2g}"


def _end(losses: Array) -> tuple[int, bool]:
    """Return how many losses count, and whether they end by divergence rather than at one that is not finite."""
    divergence = Divergence()
    for k, loss in enumerate(losses.tolist()):
        if not math.isfinite(loss):
            return k, False
        if divergence.update(loss):
            return k + 1, True
    return len(losses), False


def _without_outliers(y: Array) -> Array:
    """Return the values, those far from the median of five replaced by it; far is more where all of them scatter."""
    medians = _moving_median(y, 5)
    off = np.abs(y - medians)
    usual = np.maximum(_moving_median(off, 11), np.median(off))
    limit = 5.0 * 1.4826 * usual + 0.1 * (np.median(y[:10]) - medians.min())
    return np.where(off > limit, medians, y)


def _moving_median(y: Array, width: int) -> Array:
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(y, width // 2, mode="edge"), width)
    return np.asarray(np.median(windows, axis=1))


RULES = {
    "steepest": Descent.steepest,
    "valley": Descent.valley,
    "half_depth": lambda shape: shape.depth(0.5),
    "minimum_tenth": lambda shape: shape.lowest - 1.0,
    "edge_tenth": lambda shape: shape.edge() - 1.0,
    "combined": Descent.combined,
}
