"""The picture of a race."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .. import plot

if TYPE_CHECKING:
    from ..plot import Axes


def draw_race(
    lrs: ArrayLike,
    losses: ArrayLike,
    labels: Sequence[str],
    winner: float,
    *,
    ax: Axes | None = None,
    title: str = "",
) -> Axes:
    """Draw the losses of a race over its learning rates, one line per rung; return the axes. `Race.plot` calls this.

    `losses` has shape (members, rungs), NaN once a member is out; `labels` are the rungs' steps, such as "16". A cross
    marks a member at the rung after which it was dropped. The vertical axis leaves out losses far above the others,
    unless they are those of the lowest rate, which are about the untrained model's.
    """
    order = np.argsort(np.asarray(lrs, dtype=float))
    rates, heights = np.asarray(lrs, dtype=float)[order], np.asarray(losses, dtype=float)[order]
    ax = plot.frame(ax, title=title, xlabel="learning rate", ylabel="loss")
    ax.set_xscale("log")
    last = heights.shape[1] - 1
    dropped: list[tuple[float, float]] = []
    for i, (label, line) in enumerate(zip(labels, heights.T, strict=True)):
        shade = 0.35 + 0.65 * (i + 1) / len(labels)  # later rungs are darker
        here = np.isfinite(line)
        name = f"after {label} steps"
        ax.plot(rates[here], line[here], ".-", linewidth=1.3, color=plot.COLOURS[0], alpha=shade, label=name)
        out = here & ~np.isfinite(heights[:, i + 1]) if i < last else here & (rates != winner)
        dropped += zip(rates[out].tolist(), line[out].tolist(), strict=True)
    if dropped:
        style: dict[str, Any] = {"color": plot.COLOURS[1], "markersize": 7, "markeredgewidth": 1.6, "label": "dropped"}
        ax.plot(*zip(*dropped, strict=True), "x", **style)
    finite = heights[np.isfinite(heights)]
    if finite.size:
        low, high = finite.min(), _highest_shown(finite, heights[0])
        ax.set_ylim(low - 0.07 * (high - low) - 1e-12, high + 0.1 * (high - low) + 1e-12)
    ax.set_xlim(rates[0] / 1.6, rates[-1] * 1.6)
    ax.axvline(winner, color=plot.INK, linewidth=1.8, zorder=1, label=f"winner {winner:.2g}")
    ax.legend(**plot.LEGEND)
    return ax


def _highest_shown(losses: np.ndarray, lowest_rates: np.ndarray) -> float:
    """Return the highest loss to show: that of the lowest rate, or three spreads of the lower half above the median."""
    low, middle, high = losses.min(), np.median(losses), losses.max()
    limit = np.nanmax(lowest_rates, initial=middle + 3.0 * (middle - low))
    return float(high if middle == low else min(high, limit))
