"""Smoothing of a range test's losses: which points count, outliers, and local straight lines in log lr.

Smoothing runs after the test, on all points at once, so the smoothed curve does not lag behind the losses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ._divergence import BEND_TO_NOISE, Divergence

Array = NDArray[np.float64]

MIN_POINTS = 8  # a suggestion needs at least this many

_MAX_POINTS = 500  # if there are more, neighbouring points are averaged
_WIDTH = 0.2  # standard deviation of the Gaussian kernel in decades; wider if neighbours are further apart


@dataclass(frozen=True)
class Points:
    """The points that count: log10 lr and cleaned losses, both of shape (n,), their noise, and whether they end high.

    Cleaning replaces outliers, and caps losses far above the first level.
    """

    x: Array
    y: Array
    noise: float
    rises: bool

    def smooth(self) -> tuple[Array, Array]:
        """Return the value and slope, at each point, of the straight line fitted around it with Gaussian weights."""
        gap = np.diff(self.x)
        width = np.maximum(_WIDTH, np.maximum(np.append(gap, 0.0), np.append(0.0, gap)))
        d = self.x[None, :] - self.x[:, None]
        w = np.exp(-0.5 * (d / width[:, None]) ** 2)
        s0, s1, s2 = w.sum(1), (w * d).sum(1), (w * d * d).sum(1)
        t0, t1 = w @ self.y, (w * d) @ self.y
        return (s2 * t0 - s1 * t1) / (s0 * s2 - s1 * s1), (s0 * t1 - s1 * t0) / (s0 * s2 - s1 * s1)


def usable_points(lrs: Array, losses: Array) -> Points | None:
    """Return the points up to divergence or the first non-finite loss, or None if there are fewer than MIN_POINTS."""
    stop, diverged = _end(losses)
    if stop < MIN_POINTS:
        return None
    starts = np.arange(0, stop, -(-stop // _MAX_POINTS))
    counts = np.diff(np.append(starts, stop))
    x, y = (np.add.reduceat(values[:stop], starts) / counts for values in (np.log10(lrs), losses))
    noise = max(BEND_TO_NOISE * float(np.median(np.abs(np.diff(y, 2)))), 1e-7 * abs(float(np.median(y))))
    head = float(np.median(y[:10]))
    ends_high = diverged or bool(np.median(y[-5:]) > head + 4.0 * noise)
    points = Points(x, _without_outliers(y), noise, ends_high)
    fall = max(head - float(points.smooth()[0].min()), 4.0 * noise)
    return replace(points, y=np.minimum(points.y, head + 0.3 * fall))


def _end(losses: Array) -> tuple[int, bool]:
    """Return how many losses count, and whether they end in divergence; a non-finite loss is not divergence."""
    divergence = Divergence()
    for k, loss in enumerate(losses.tolist()):
        if not math.isfinite(loss):
            return k, False
        if divergence.update(loss):
            return k + 1, True
    return len(losses), False


def _without_outliers(y: Array) -> Array:
    """Replace outliers, which are far from the moving median of five, by that median.

    The more the losses scatter, near the point or over the whole curve, the further from it an outlier must be.
    """
    medians = _moving_median(y, 5)
    off = np.abs(y - medians)
    usual = np.maximum(_moving_median(off, 11), np.median(off))
    limit = 5.0 * 1.4826 * usual + 0.1 * (np.median(y[:10]) - medians.min())
    return np.where(off > limit, medians, y)


def _moving_median(y: Array, width: int) -> Array:
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(y, width // 2, mode="edge"), width)
    return np.asarray(np.median(windows, axis=1))
