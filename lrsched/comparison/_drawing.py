"""The picture of a report: losses above learning rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .. import plot

if TYPE_CHECKING:
    from ..plot import Axes


def draw_comparison(
    losses: Mapping[str, ArrayLike],
    lrs: Mapping[str, ArrayLike],
    *,
    axes: tuple[Axes, Axes] | None = None,
    title: str = "",
    xlabel: str = "epoch",
    ylabel: str = "validation loss",
) -> tuple[Axes, Axes]:
    """Draw losses above learning rates, a thin line per run and a thicker one per label's mean; return both axes.

    `losses` and `lrs` map the same labels to arrays of the same shape, (runs, epochs). A loss is NaN if it
    was not finite, or if its run had already ended. Raises ValueError if labels or shapes differ.

    >>> from lrsched.comparison._drawing import draw_comparison
    >>> above, below = draw_comparison({"a": [[0.9, 0.7], [0.7, 0.5]]}, {"a": [[0.1, 0.1], [0.1, 0.05]]})
    >>> [line.get_ydata().round(3).tolist() for line in above.lines]
    [[0.9, 0.7], [0.7, 0.5], [0.8, 0.6]]
    """
    upper, lower = plot.arrays_of(losses), plot.arrays_of(lrs)
    shapes = [{label: values.shape for label, values in arrays.items()} for arrays in (upper, lower)]
    if not upper or shapes[0] != shapes[1] or any(len(shape) != 2 or 0 in shape for shape in shapes[0].values()):
        raise ValueError(f"losses and lrs must have the same labels and shapes (runs, epochs), got {shapes}")
    above, below = plot.figure(7.2, 5.2).subplots(2, 1, sharex=True) if axes is None else axes
    plot.frame(above, title=title, ylabel=ylabel, log=plot.any_positive(upper))
    plot.frame(below, xlabel=xlabel, ylabel="learning rate", log=plot.any_positive(lower))
    for ax, arrays, drawstyle in ((above, upper, "default"), (below, lower, "steps-mid")):
        for i, (label, values) in enumerate(arrays.items()):
            _draw_mean(ax, values, label, {**plot.line_style(i), "drawstyle": drawstyle})
        ax.margins(x=0.01)
    if len(losses) > 1:
        plot.name_ends(above, [line for line in above.lines if str(line.get_label()) in losses])
    return above, below


def _draw_mean(ax: Axes, values: np.ndarray, label: str, style: dict[str, Any]) -> None:
    """Draw each run as a thin line, and at each epoch the mean of the runs that have a finite value there."""
    epochs = np.arange(1, values.shape[1] + 1)
    ax.plot(epochs, values.T, **{**style, "linewidth": 0.6, "alpha": 0.3})
    counts = np.isfinite(values).sum(axis=0)
    means = np.where(counts, np.nansum(values, axis=0) / np.maximum(counts, 1), np.nan)
    ax.plot(epochs, means, **style, label=label)
