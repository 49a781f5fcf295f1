"""The pictures of range tests and sweeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from .. import plot

if TYPE_CHECKING:
    from ..plot import Axes


def notebook_png(draw: Callable[[], Axes]) -> bytes | None:
    """Return what draw() draws, for a notebook; None, so that it shows the repr, if matplotlib is missing."""
    try:
        return plot.png(draw())
    except ImportError:
        return None


def draw_range_test(
    lrs: ArrayLike,
    losses: ArrayLike,
    smooth_lrs: ArrayLike,
    smoothed: ArrayLike,
    choices: Mapping[str, float | None],
    span: tuple[float, float] | None,
    *,
    chosen: str = "suggestion",
    ax: Axes | None = None,
    title: str = "",
) -> Axes:
    """Draw the losses of a range test over its learning rates, and return the axes. `Curve.plot` calls this.

    `losses` has shape (repeats, points). `smooth_lrs` and `smoothed` are the smoothed line. `choices` maps labels to
    suggested rates, or None for no suggestion; `chosen` is the label drawn in bold. `span` holds the lowest and highest
    useful rate, or is None. The vertical axis ends just above the first level, so divergence does not flatten the rest.
    """
    raw, smoothed = np.atleast_2d(np.asarray(losses, dtype=float)), np.asarray(smoothed, dtype=float)
    ax = plot.frame(ax, title=title, xlabel="learning rate", ylabel="loss")
    ax.set_xscale("log")
    for i, row in enumerate(raw):
        ax.plot(lrs, row, ".", color=plot.GREY, markersize=3, label="" if i else "loss")
    if smoothed.size:
        ax.plot(smooth_lrs, smoothed, color=plot.COLOURS[0], linewidth=1.6, label="smoothed")
        low, high = min(smoothed.min(), np.nanmin(raw)), smoothed[: max(1, smoothed.argmin())].max()
        ax.set_ylim(low - 0.1 * (high - low) - 1e-12, high + 0.5 * (high - low) + 1e-12)
    best = choices.get(chosen)
    if best is not None:
        ax.axvline(best, color=plot.INK, linewidth=1.8, label=f"{chosen}: {best:.2g}")
    others = {label: lr for label, lr in choices.items() if lr is not None and label != chosen}
    for i, (label, lr) in enumerate(others.items()):
        ax.axvline(lr, **{**plot.line_style(i + 1), "linewidth": 0.9}, label=f"{label}: {lr:.2g}")
    if span is not None:
        ax.axvspan(*span, color=plot.COLOURS[2], alpha=0.12, linewidth=0, label=f"range: {span[0]:.2g} … {span[1]:.2g}")
    ax.legend(**plot.LEGEND)
    return ax


def draw_sweep(
    lrs: ArrayLike,
    losses: ArrayLike,
    labels: Sequence[str],
    suggestion: float | None,
    *,
    ax: Axes | None = None,
    title: str = "",
    unit: str = "steps",
) -> Axes:
    """Draw the losses of a sweep over its learning rates, one line per mark; return the axes. `Sweep.plot` calls this.

    `losses` has shape (rates, marks), NaN if missing; `labels` are the marks, such as "16", and `unit` says what they
    count. The vertical axis ends a little above the highest loss among the lowest quarter of the rates.
    """
    order = np.argsort(np.asarray(lrs, dtype=float))
    rates, heights = np.asarray(lrs, dtype=float)[order], np.asarray(losses, dtype=float)[order]
    ax = plot.frame(ax, title=title, xlabel="learning rate", ylabel="loss")
    ax.set_xscale("log")
    for i, (label, line) in enumerate(zip(labels, heights.T, strict=True)):
        shade = 0.35 + 0.65 * (i + 1) / len(labels)  # later marks are darker
        name = f"{label} {unit.rstrip('s') if label == '1' else unit}"
        ax.plot(rates, line, ".-", markersize=3, linewidth=1.2, color=plot.COLOURS[0], alpha=shade, label=name)
    finite = heights[np.isfinite(heights)]
    if finite.size:
        start = np.nanmax(heights[: max(1, len(rates) // 4)], initial=-np.inf)
        low, high = finite.min(), start if np.isfinite(start) else finite.max()
        ax.set_ylim(low - 0.05 * (high - low) - 1e-12, high + 0.15 * (high - low) + 1e-12)
    if suggestion is not None:
        ax.axvline(suggestion, color=plot.INK, linewidth=1.8, label=f"suggestion {suggestion:.2g}")
    ax.legend(**plot.LEGEND)
    return ax
