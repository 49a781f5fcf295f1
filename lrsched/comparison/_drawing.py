"""The picture of a report: a loss or metric above the learning rates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .. import plot
from ._runs import counted
from ._statistics import Estimate

if TYPE_CHECKING:
    from ..plot import Axes, Line2D

THIN = {"linewidth": 0.6, "alpha": 0.35, "zorder": 1.8}  # single runs, below the means
BAND = 0.15  # opacity of a band
CROWDED = 5  # with more curves, bands are fainter


def draw_comparison(
    values: Mapping[str, ArrayLike],
    rates: Mapping[str, ArrayLike],
    *,
    axes: tuple[Axes, Axes] | None = None,
    title: str = "",
    xlabel: str = "epoch",
    ylabel: str = "validation loss",
    log: bool = True,
) -> tuple[Axes, Axes]:
    """Draw values above learning rates, and return both axes.

    Above: a line for each label's mean, its 95 % interval as a band, and a thin line for each run. Below: the mean
    learning rate, and a thin line for each run; a band from the lowest to the highest rate if there are more than 1000.

    Args:
        values: label → array (runs, epochs). NaN if a value was not finite, or if its run had already ended.
        rates: the same labels → array (runs, epochs, rates per epoch).
        log: whether the upper axis is logarithmic, unless a value is negative.

    Raises ValueError if there is nothing to draw, or if labels or shapes do not fit.

    >>> from lrsched.comparison._drawing import draw_comparison
    >>> above, below = draw_comparison({"a": [[0.9, 0.7], [0.7, 0.5]]}, {"a": [[[0.1], [0.1]], [[0.1], [0.05]]]})
    >>> [line.get_ydata().round(3).tolist() for line in above.lines]
    [[0.9, 0.7], [0.7, 0.5], [0.8, 0.6]]
    """
    upper, lower = plot.arrays_of(values), plot.arrays_of(rates)
    _check(upper, lower)
    if not any(array.size for array in upper.values()):
        raise ValueError(f"there is nothing to draw: got {counted(len(upper), 'setting')} without any {ylabel}")
    above, below = _new_axes(upper) if axes is None else axes
    styles = [plot.line_style(i) for i in range(len(upper))]
    negative = any(bool((array < 0).any()) for array in upper.values())
    plot.frame(above, title=title, ylabel=_plain(ylabel), log=log and plot.any_positive(upper) and not negative)
    plot.frame(below, xlabel=xlabel, ylabel="learning rate", log=plot.any_positive(lower))
    opacity = BAND * min(1, CROWDED / len(upper))
    means = [
        _draw_values(above, array, label, style, opacity)
        for (label, array), style in zip(upper.items(), styles, strict=True)
    ]
    for array, style in zip(lower.values(), _beside_twins(styles, [*lower.values()]), strict=True):
        _draw_rates(below, array, style)
    for ax in (above, below):
        _fit(ax)
    if len(means) > 1 or not np.isfinite(next(iter(upper.values()))).any():
        if axes is None:
            plot.arrange(above)
        plot.name_ends(above, means)
    return above, below


def _check(values: Mapping[str, np.ndarray], rates: Mapping[str, np.ndarray]) -> None:
    shapes = [{label: array.shape for label, array in arrays.items()} for arrays in (values, rates)]
    fit = shapes[0].keys() == shapes[1].keys() and all(
        len(shape) == 2 and len(shapes[1][label]) == 3 and shape[0] == shapes[1][label][0]
        for label, shape in shapes[0].items()
    )
    if not fit:
        rule = "the same labels, and shapes (runs, epochs) and (runs, epochs, rates per epoch)"
        raise ValueError(f"values and rates must have {rule}, got {shapes[0]} and {shapes[1]}")


def _new_axes(labels: Iterable[str]) -> tuple[Axes, Axes]:
    """Return the axes of a new figure, the upper one with room for all labels."""
    upper, lower = max(2.6, plot.label_room(labels) + 0.3), 2.0
    above, below = plot.figure(7.2, upper + lower + 0.8).subplots(2, 1, sharex=True, height_ratios=(upper, lower))
    return above, below


def _beside_twins(styles: list[dict[str, Any]], curves: list[np.ndarray]) -> list[dict[str, Any]]:
    """Return the styles, with dashes for a curve that would hide an earlier one with the same values.

    The second of equal curves covers half of the first, the third half of the second, and so on.
    """
    shown = []
    for i, (style, curve) in enumerate(zip(styles, curves, strict=True)):
        twins = sum(np.array_equal(curve, earlier, equal_nan=True) for earlier in curves[:i])
        dash = 16 / 2**twins
        shown.append({**style, "linestyle": (0, (dash, 16 - dash))} if twins else style)
    return shown


def _draw_values(ax: Axes, values: np.ndarray, label: str, style: dict[str, Any], opacity: float) -> Line2D:
    """Draw the runs, mean and interval of a curve, and return the line of the mean."""
    epochs = np.arange(1, values.shape[1] + 1)
    for row in values:
        _draw_line(ax, epochs, row, {**style, **THIN})
    estimates = [Estimate.of(column[np.isfinite(column)].tolist()) for column in values.T]
    low, high = (np.array([getattr(each, end) for each in estimates], dtype=float) for end in ("low", "high"))
    _draw_band(ax, epochs, low, high, {"color": style["color"], "alpha": opacity})
    text = label if np.isfinite(values).any() else f"{label}: no finite value"
    return _draw_line(ax, epochs, np.array([each.mean for each in estimates]), {**style, "label": _plain(text) or " "})


def _draw_line(ax: Axes, x: np.ndarray, y: np.ndarray, style: dict[str, Any]) -> Line2D:
    """Draw a line, with dots for points that have no neighbours, which a line does not show."""
    there = np.pad(np.isfinite(y), 1)
    alone = np.flatnonzero(there[1:-1] & ~there[:-2] & ~there[2:]).tolist()
    dots: dict[str, Any] = {"marker": "o", "markersize": 3, "markevery": alone} if alone else {}
    return ax.plot(x, y, **style, **dots)[0]


def _fit(ax: Axes) -> None:
    """Set ticks at whole epochs, and limits with room if there is only one epoch or if all values are equal."""
    ax.margins(x=0.01)
    plot.whole_ticks(ax)
    (first, last), (low, high) = ax.dataLim.intervalx, ax.dataLim.intervaly
    if first == last:
        ax.set_xlim(first - 0.5, last + 0.5)
    if 0 < high - low <= 1e-9 * high:  # equal except for rounding
        ax.set_ylim(low / 2, high * 2)


def _plain(text: str) -> str:
    """Return a text in which "$" does not begin a formula."""
    return text.replace("$", r"\$")


def _draw_band(ax: Axes, x: np.ndarray, low: np.ndarray, high: np.ndarray, style: dict[str, Any]) -> None:
    """Draw a band that does not change the limits of the axes, which show all runs: an interval may be far wider."""
    if ax.get_yscale() == "log":
        low = np.maximum(low, ax.dataLim.minposy / 1e3)  # far below the axes
    if len(x) == 1:
        x, low, high = np.array([x[0] - 0.1, x[0] + 0.1]), low.repeat(2), high.repeat(2)
    limits = ax.dataLim.frozen()
    ax.fill_between(x, low, high, **style, linewidth=0, zorder=1.5)
    ax.dataLim.set(limits)


def _draw_rates(ax: Axes, rates: np.ndarray, style: dict[str, Any]) -> None:
    """Draw the learning rates of a curve. Epoch e extends from e − ½ to e + ½, and its rates divide it evenly."""
    runs, epochs, width = rates.shape
    rows = rates.reshape(runs, epochs * width)
    x = 0.5 + (np.arange(epochs * width) + 0.5) / width
    counts, low, high = np.isfinite(rows).sum(axis=0), np.fmin.reduce(rows), np.fmax.reduce(rows)
    means = low + np.nansum(rows - low, axis=0) / np.maximum(counts, 1)  # exact if all are equal
    if len(x) > plot.FEW:
        if ax.get_yscale() == "log" and (rows > 0).any():
            low = np.where(low > 0, low, rows[rows > 0].min())
        plot.stretches(ax, x, (low, means, high), colour=style["color"], linestyle=style["linestyle"])
    else:
        for row in rows:
            _draw_line(ax, x, row, {**style, **THIN, "drawstyle": "steps-mid"})
        _draw_line(ax, x, means, {**style, "drawstyle": "steps-mid"})
