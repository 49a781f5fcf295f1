"""The rates that other libraries' finders suggest, computed by their formulas from the raw losses of our range test."""

from __future__ import annotations

import numpy as np

from lrsched import Curve


def averaged(losses: np.ndarray, weight: float, debias: bool) -> np.ndarray:
    """Return the exponential moving average that other finders record."""
    smooth, value = np.empty_like(losses), 0.0 if debias else losses[0]
    for k, loss in enumerate(losses):
        value = weight * loss + (1 - weight) * value
        smooth[k] = value / (1 - (1 - weight) ** (k + 1)) if debias else value
    return smooth


def fastai(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Return the rates and averages that fastai keeps, up to four times the lowest average."""
    smooth = averaged(curve.losses, 0.02, debias=True)
    over = np.flatnonzero(smooth > 4 * np.minimum.accumulate(smooth))
    n = int(over[0]) + 1 if over.size else len(smooth)
    part = slice(n // 10, max(n - 5, n // 10 + 1))
    return curve.lrs[part], smooth[part]


def fastai_minimum(curve: Curve) -> float:
    lrs, smooth = fastai(curve)
    return float(lrs[smooth.argmin()]) / 10


def fastai_valley(curve: Curve) -> float:
    lrs, smooth = fastai(curve)
    lengths = np.ones(len(smooth), dtype=int)
    for i in range(1, len(smooth)):
        longer = lengths[:i][smooth[:i] > smooth[i]]
        lengths[i] = 1 + longer.max(initial=0)
    end = int(lengths.argmax())
    third = lengths[end] / 3
    return float(lrs[max(0, end - lengths[end]) + int(third) + int(third / 2)])


def lr_finder_steepest(curve: Curve) -> float | None:
    smooth = averaged(curve.losses, 0.05, debias=False)[10:-5]
    return float(curve.lrs[10:-5][np.gradient(smooth).argmin()]) if len(smooth) > 1 else None


def ignite_steepest(curve: Curve) -> float | None:
    smooth = averaged(curve.losses, 0.05, debias=False)
    lowest = int(smooth.argmin())
    return float(curve.lrs[np.gradient(smooth)[1:lowest].argmin() + 1]) if lowest > 1 else None
