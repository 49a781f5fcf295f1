"""Smoothing of a range test's losses: which points count, outliers, and a line that follows the points.

Smoothing runs after the test, on all points at once, so the line does not lag behind the losses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ._divergence import BEND_TO_NOISE, Divergence

Array = NDArray[np.float64]

MIN_POINTS = 8  # a suggestion needs at least this many

_MAX_POINTS = 500  # if there are more, neighbouring points are averaged
_WIDTHS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 11.0, 15.0)  # half widths of the fits that are tried, in points
_THIRD_TO_NOISE = 1.4826 / math.sqrt(20.0)  # median absolute third difference → standard deviation, for normal noise
_AGREE = 1.0  # fits agree if their values, with this many standard errors on either side, overlap


@dataclass(frozen=True)
class Points:
    """The points that count: log10 lr and losses without outliers, both of shape (n,), their noise, and how they end.

    Attributes:
        x: log10 lr, increasing.
        y: losses; outliers are replaced.
        noise: standard deviation of the losses' noise, the same for all points.
        rises: whether the losses end high.
    """

    x: Array
    y: Array
    noise: float
    rises: bool

    @cached_property
    def line(self) -> Array:
        """The smoothed losses: each is the value of a straight line in log lr, fitted to the points around it.

        Each fit is as wide as the noise allows: it is widened until it contradicts a narrower fit, by Lepski's rule. So
        the line averages over noise where the loss is flat, and follows the points into a steep valley.

        Source: Goldenshluger, Nemirovski (1997), "On spatially adaptive estimation of nonparametric regression", by
        the intersection of confidence intervals.
        """
        noise = np.maximum(self.noise, _local_noise(self.y))
        low, high = np.full(len(self.x), -np.inf), np.full(len(self.x), np.inf)
        chosen, agrees = np.zeros(len(self.x)), np.full(len(self.x), True)
        for width in _WIDTHS:
            weights = self._fit(np.full(len(self.x), width))
            values, margin = weights @ self.y, _AGREE * np.sqrt(weights**2 @ noise**2)
            low, high = np.maximum(low, values - margin), np.minimum(high, values + margin)
            agrees &= low <= high
            chosen[agrees] = width
        return np.asarray(self._fit(_gradual(chosen)) @ self.y)

    @cached_property
    def slope(self) -> Array:
        """The slope of the line per decade."""
        return np.asarray(np.gradient(self.line, self.x))

    def _fit(self, widths: Array) -> Array:
        """Return the weights, shape (n, n), with which the losses give the values of the fits of these half widths."""
        place = np.arange(len(self.x))
        w = np.clip(1.0 - (np.abs(place[None, :] - place[:, None]) / (widths[:, None] + 1.0)) ** 3, 0.0, None) ** 3
        d = np.where(w > 0.0, self.x[None, :] - self.x[:, None], 0.0)
        s0, s1, s2 = w.sum(1), (w * d).sum(1), (w * d * d).sum(1)
        spread = s0 * s2 - s1 * s1
        line = w * (s2[:, None] - s1[:, None] * d) / np.where(spread > 0.0, spread, 1.0)[:, None]
        return np.asarray(np.where((spread > 0.0)[:, None], line, w / s0[:, None]))


def usable_points(lrs: Array, losses: Array) -> Points | None:
    """Return the points up to divergence or the first non-finite loss, or None if there are fewer than MIN_POINTS."""
    stop, diverged = _end(losses)
    if stop < MIN_POINTS:
        return None
    losses = np.clip(losses, -1e100, 1e100)  # squares must not overflow
    starts = np.arange(0, stop, -(-stop // _MAX_POINTS))
    counts = np.diff(np.append(starts, stop))
    x, y = (np.add.reduceat(values[:stop], starts) / counts for values in (np.log10(lrs), losses))
    noise = max(BEND_TO_NOISE * float(np.median(np.abs(np.diff(y, 2)))), 1e-7 * abs(float(np.median(y))))
    ends_high = diverged or bool(np.median(y[-5:]) > np.median(y[:10]) + 4.0 * noise)
    return Points(x, _without_outliers(y), noise, ends_high)


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
    """Replace single outliers by the median of the five points around them.

    An outlier is far from that median, and far from what both its neighbours on the left and those on the right lead
    one to expect; the bottom of a steep valley is not. The more the losses scatter, near the point or over the whole
    curve, the further away it must be.
    """
    medians = _moving_median(y, 5)
    off = np.abs(y - medians)
    usual = np.maximum(_moving_median(off, 11), np.median(off))
    limit = 5.0 * 1.4826 * usual + 0.1 * (np.median(y[:10]) - medians.min())
    padded = np.pad(y, 2, mode="edge")
    expected = np.stack([2.0 * padded[1:-3] - padded[:-4], 2.0 * padded[3:-1] - padded[4:], medians])
    outside = np.maximum(expected.min(axis=0) - y, y - expected.max(axis=0))
    return np.where(outside > limit, medians, y)


def _moving_median(y: Array, width: int) -> Array:
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(y, width // 2, mode="edge"), width)
    return np.asarray(np.median(windows, axis=1))


def _local_noise(y: Array) -> Array:
    """Return the noise around each point: the lower of the estimates from the points before it and from those after.

    Third differences hardly see a bend. The lower estimate is not misled by an explosion on one side.
    """
    bends = _THIRD_TO_NOISE * np.abs(np.diff(y, 3))
    padded = np.concatenate([np.full(9, np.inf), bends, np.full(9, np.inf)])
    medians = np.median(np.lib.stride_tricks.sliding_window_view(padded, 7), axis=1)
    noise = np.minimum(medians[: len(y)], medians[9 : 9 + len(y)])
    return np.where(np.isfinite(noise), noise, 0.0)


def _gradual(widths: Array) -> Array:
    """Return widths that change by at most one point from a fit to the next; otherwise the line would jump.

    A single fit that is narrower than its neighbours is chance.
    """
    place = np.arange(len(widths))
    usual = _moving_median(widths, 5)
    narrow = (usual[None, :] + np.abs(place[None, :] - place[:, None])).min(axis=1)
    return np.convolve(np.pad(narrow, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
