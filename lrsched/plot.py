"""Drawing from arrays and labels: arrays go in, matplotlib axes come out, and `save` writes their figure to a file.

No figure here belongs to a window or to any global state, so that drawing works without a screen; matplotlib is
imported when something is drawn. Every function draws into the axes given, or makes its own.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

# Told apart under protanopia, deuteranopia and tritanopia, and readable as text on white (contrast 3.4 or more).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#BB6699", "#222222")
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1.2)))  # the second and third round through the colours
INK = "#333333"
GREY = "#8C8C8C"
FORMATS = (".pdf", ".png", ".svg")

_MARKED = 60  # up to so many positions each one gets a dot: a schedule is a list of values, not a line
_FEW = 1000  # up to so many rates a picture's schedule is one line; beyond, the eye needs the band and its mean
_STRETCHES = 250
_LEADER = {"linewidth": 0.5, "relpos": (0, 0.5), "shrinkA": 2, "shrinkB": 3}  # from a label's left edge to its curve


def figure(width: float = 7.2, height: float = 4.0) -> Figure:
    """Return an empty figure of width × height inches. Raises ImportError where matplotlib is missing.

    >>> figure(4, 3).get_size_inches().tolist()
    [4.0, 3.0]
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("drawing needs matplotlib: pip install torch-lrsched[plot]") from error
    return Figure(figsize=(width, height), dpi=150, layout="constrained", facecolor="white")


def frame(ax: Axes | None = None, *, title: str = "", xlabel: str = "", ylabel: str = "", log: bool = False) -> Axes:
    """Return axes in the package's style: a thin grid, no box, quiet ticks; new ones where `ax` is None.

    Args:
        ax: the axes to dress, or None.
        title: a line above the axes; "" for none, as for the next two.
        xlabel: the name of the horizontal axis, with its unit.
        ylabel: the name of the vertical axis, with its unit.
        log: whether the vertical axis is logarithmic; values ≤ 0 are then left out.

    >>> frame(xlabel="epoch").get_xlabel()
    'epoch'
    """
    ax = figure().add_subplot() if ax is None else ax
    ax.set_axisbelow(True)
    ax.grid(True, which="major", color="#E4E4E4", linewidth=0.6)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set(color=GREY, linewidth=0.8)
    ax.tick_params(which="both", colors=INK, length=0, labelsize=8.5)
    ax.set_title(title, loc="left", color=INK, fontsize=10, pad=8)
    ax.set_xlabel(xlabel, color=INK, fontsize=9)
    ax.set_ylabel(ylabel, color=INK, fontsize=9)
    if log:
        from matplotlib.ticker import LogFormatter

        ax.set_yscale("log", nonpositive="mask")
        ax.yaxis.set_minor_formatter(LogFormatter())  # 1.6, where there is less than a decade, not 1.6 × 10⁰
    return ax


def schedules(
    x: ArrayLike,
    curves: Mapping[str, ArrayLike],
    *,
    log: bool = False,
    ax: Axes | None = None,
    title: str = "",
    xlabel: str = "position k",
    ylabel: str = "factor",
) -> Axes:
    """Draw curves over common positions, each named at its right end, and return the axes.

    Args:
        x: the positions, shape (n,), n ≥ 1, ascending.
        curves: label → values, each of shape (n,).
        log: whether the vertical axis is logarithmic; values ≤ 0 are then left out.
        ax: the axes to draw into, or None for new ones.
        title: as for `frame`, like xlabel and ylabel.
        xlabel: what the positions count.
        ylabel: what the values are.

    Raises ValueError when there is nothing to draw or a curve has another shape, ImportError without matplotlib.

    >>> ax = schedules([0, 1, 2], {"1/n": [1, 0.5, 0.33]})
    >>> [line.get_ydata().tolist() for line in ax.lines]
    [[1.0, 0.5, 0.33]]
    """
    positions = np.asarray(x, dtype=float)
    arrays = {label: np.asarray(values, dtype=float) for label, values in curves.items()}
    if not arrays or not positions.size:
        raise ValueError(f"there must be something to draw, got {len(arrays)} curves over {positions.size} positions")
    for label, values in arrays.items():
        if values.shape != positions.shape:
            raise ValueError(f"curve {label!r} must have the shape of x, {positions.shape}, got {values.shape}")
    if log and not any((values > 0).any() for values in arrays.values()):
        raise ValueError("a logarithmic axis needs a value > 0, got none")
    ax = frame(ax, title=title, xlabel=xlabel, ylabel=ylabel, log=log)
    lines = [
        ax.plot(positions, values, label=label, **line_style(i, positions.size))[0]
        for i, (label, values) in enumerate(arrays.items())
    ]
    ax.margins(x=0.01)
    if not log and not any((values < 0).any() for values in arrays.values()):
        ax.set_ylim(bottom=0)
    name_ends(ax, lines)
    return ax


def line_style(i: int, points: int = _MARKED + 1) -> dict[str, Any]:
    """Return the options of `Axes.plot` for the i-th curve: colours first, then dashes; dots where points are few."""
    again, colour = divmod(i, len(COLOURS))
    dots = {"marker": "o", "markersize": 2.4} if points <= _MARKED and not again else {}
    return {"color": COLOURS[colour], "linestyle": DASHES[again % len(DASHES)], "linewidth": 1.3, **dots}


def name_ends(ax: Axes, lines: Sequence[Line2D], *, size: float = 8.5) -> None:
    """Write each line's label, in its colour, beside its last finite point, moved up or down so that none overlap.

    Where the axes' limits change later, as those of shared axes do, the labels follow.
    """
    texts = [textwrap.fill(str(line.get_label()), 34) for line in lines]
    names = [
        ax.annotate(
            text,
            xy=(1, 0),
            xytext=(1.04, 0),
            xycoords="axes fraction",
            textcoords="axes fraction",
            color=line.get_color(),
            fontsize=size,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": line.get_color(), **_LEADER},
        )
        for line, text in zip(lines, texts, strict=True)
    ]

    def place(ax: Axes) -> None:
        corner = ax.get_xlim()[1], ax.get_ylim()[0]  # asking also settles the limits that the transform below uses
        to_axes = ax.transData + ax.transAxes.inverted()
        ends = [to_axes.transform(_last_drawn(line, corner)) for line in lines]
        line_height = 1.25 * size * ax.figure.dpi / 72 / ax.get_window_extent().height
        heights = [line_height * (1 + text.count("\n")) for text in texts]
        places = _spread(np.clip([y for _, y in ends], 0, 1), np.array(heights))
        for name, end, y in zip(names, ends, places, strict=True):
            name.xy = tuple(end)
            name.set_position((1.04, y))

    place(ax)
    for limits in ("xlim_changed", "ylim_changed"):
        ax.callbacks.connect(limits, place)


def events(ax: Axes, positions: ArrayLike, *, colour: str = GREY) -> None:
    """Mark positions on the horizontal axis by thin upright lines behind the curves."""
    _mark(ax, positions, colour)


def run(
    losses: ArrayLike | Mapping[str, ArrayLike],
    lrs: ArrayLike,
    events: Iterable[Any] = (),
    *,
    log: bool = False,
    axes: tuple[Axes, Axes] | None = None,
    title: str = "",
    xlabel: str = "epoch",
    ylabel: str = "loss",
) -> tuple[Axes, Axes]:
    """Draw what a run did, losses above learning rates, with a line where each event ends an epoch; return both axes.

    Args:
        losses: one loss an epoch, shape (n,), n ≥ 1, or label → losses where there are several.
        lrs: the learning rate of each epoch, shape (n,), or (n, groups).
        events: `scheduler.events`, or the epochs of the events, counted from 1.
        log: whether the losses' axis is logarithmic; losses ≤ 0 are then left out.
        axes: the axes for losses and learning rates, or None for new ones.
        title: as for `frame`, like xlabel and ylabel; ylabel belongs to the losses.
        xlabel: what the losses are counted in.
        ylabel: what the losses are.

    Raises ValueError where losses and learning rates are not as many, ImportError without matplotlib.

    >>> above, below = run([0.9, 0.8, 0.8], [0.1, 0.1, 0.1], events=[3])
    >>> above.lines[0].get_ydata().tolist(), above.lines[1].get_xdata(), below.get_ylabel()
    ([0.9, 0.8, 0.8], [3.5, 3.5], 'learning rate')
    """
    curves = losses if isinstance(losses, Mapping) else {"": losses}
    arrays = {label: np.asarray(values, dtype=float) for label, values in curves.items()}
    rates = np.asarray(lrs, dtype=float)
    for label, values in arrays.items():
        if not values.size or values.shape != rates.shape[:1]:
            raise ValueError(f"losses {label!r} and lrs must be as many, ≥ 1, got shapes {values.shape}, {rates.shape}")
    above, below = figure(7.2, 4.4).subplots(2, 1, sharex=True) if axes is None else axes
    frame(above, title=title, ylabel=ylabel, log=log)
    frame(below, xlabel=xlabel, ylabel="learning rate", log=bool((rates > 0).any()))
    epochs = np.arange(1, len(rates) + 1)
    lines = [
        above.plot(epochs, values, label=label, **line_style(i, epochs.size))[0]
        for i, (label, values) in enumerate(arrays.items())
    ]
    for i, column in enumerate(rates.reshape(len(rates), -1).T):
        below.plot(epochs, column, drawstyle="steps-mid", **line_style(i))
    ends = [getattr(event, "epoch", event) + 0.5 for event in events]
    for ax in (above, below):
        _mark(ax, ends)
    above.margins(x=0.01)
    if len(lines) > 1:
        name_ends(above, lines)
    return above, below


def comparison(
    losses: Mapping[str, ArrayLike],
    lrs: Mapping[str, ArrayLike],
    *,
    axes: tuple[Axes, Axes] | None = None,
    title: str = "",
    xlabel: str = "epoch",
    ylabel: str = "validation loss",
) -> tuple[Axes, Axes]:
    """Draw losses above learning rates, each label's mean over its runs as a line, each run as a thin one.

    Args:
        losses: label → losses, shape (runs, epochs); NaN where a run has ended or its loss was not finite.
        lrs: the same labels → learning rates, of the same shapes.
        axes: the axes for losses and learning rates, or None for new ones.
        title: as for `frame`, like xlabel and ylabel; ylabel belongs to the losses.
        xlabel: what is counted.
        ylabel: what the losses are.

    Raises ValueError where losses and lrs differ in labels or shapes, ImportError without matplotlib.

    >>> above, below = comparison({"a": [[0.9, 0.7], [0.7, 0.5]]}, {"a": [[0.1, 0.1], [0.1, 0.05]]})
    >>> [line.get_ydata().round(3).tolist() for line in above.lines]
    [[0.9, 0.7], [0.7, 0.5], [0.8, 0.6]]
    """
    shapes = [{label: np.shape(values) for label, values in curves.items()} for curves in (losses, lrs)]
    if not losses or shapes[0] != shapes[1] or any(len(shape) != 2 or 0 in shape for shape in shapes[0].values()):
        raise ValueError(f"losses and lrs must have the same labels and shapes (runs, epochs), got {shapes}")
    above, below = figure(7.2, 5.2).subplots(2, 1, sharex=True) if axes is None else axes
    frame(above, title=title, ylabel=ylabel, log=any((np.asarray(values) > 0).any() for values in losses.values()))
    frame(below, xlabel=xlabel, ylabel="learning rate", log=any((np.asarray(v) > 0).any() for v in lrs.values()))
    for ax, curves, drawstyle in ((above, losses, "default"), (below, lrs, "steps-mid")):
        for i, (label, values) in enumerate(curves.items()):
            _means(ax, np.asarray(values, dtype=float), label, {**line_style(i), "drawstyle": drawstyle})
        ax.margins(x=0.01)
    if len(losses) > 1:
        name_ends(above, [line for line in above.lines if str(line.get_label()) in losses])
    return above, below


def picture(
    image: ArrayLike,
    rates: ArrayLike,
    *,
    axes: tuple[Axes, Axes] | None = None,
    title: str = "",
    xlabel: str = "step",
    ylabel: str = "learning rate",
) -> tuple[Axes, Axes]:
    """Draw a picture and beside it the learning rates that it becomes, and return both axes.

    Above 1000 rates the line would be a block of ink: a band from the lowest to the highest of each stretch and a line
    through its means stand for it.

    Args:
        image: the picture, shape (h, w), (h, w, 1) or (h, w, 3), unsigned integers or floats in [0, 1].
        rates: one learning rate a step, shape (n,), n ≥ 1.
        axes: the axes for picture and rates, or None for new ones.
        title: as for `frame`, like xlabel and ylabel; they belong to the rates.
        xlabel: what the rates are counted in.
        ylabel: what the rates are.

    Raises ValueError when there are no rates, ImportError without matplotlib.

    >>> left, right = picture([[0.0, 1.0]], [1e-5, 1e-2])
    >>> left.images[0].get_array().shape, right.lines[0].get_ydata().tolist()
    ((1, 2), [1e-05, 0.01])
    """
    values = np.asarray(rates, dtype=float)
    if not values.size:
        raise ValueError("rates must not be empty")
    left, right = figure(11, 3.6).subplots(1, 2, width_ratios=(2, 3)) if axes is None else axes
    pixels = np.asarray(image)
    pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    if pixels.dtype.kind == "u":
        pixels = pixels / np.iinfo(pixels.dtype).max
    left.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest" if len(pixels) < 100 else None)
    left.set_axis_off()
    frame(right, title=title, xlabel=xlabel, ylabel=ylabel)
    if len(values) <= _FEW:
        right.plot(np.arange(len(values)), values, color=COLOURS[0], linewidth=0.8)
    else:
        _band(right, values)
        right.set_xlabel(f"{xlabel} (line: mean of about {len(values) / _STRETCHES:.0f}, band: their range)")
    right.margins(x=0.01)
    right.ticklabel_format(axis="y", scilimits=(-3, 4), useMathText=True)
    return left, right


def range_test(
    lrs: ArrayLike,
    losses: ArrayLike,
    smooth_lrs: ArrayLike,
    smoothed: ArrayLike,
    choices: Mapping[str, float | None],
    span: tuple[float, float] | None,
    *,
    chosen: str = "combined",
    ax: Axes | None = None,
    title: str = "",
) -> Axes:
    """Draw the losses of a range test over its learning rates, what was chosen and the range, and return the axes.

    The vertical axis ends a little above the first level, so that divergence does not flatten the rest.

    Args:
        lrs: learning rates > 0, shape (points,).
        losses: raw losses, shape (repeats, points).
        smooth_lrs: the rates of the smoothed losses.
        smoothed: the smoothed losses.
        choices: label → learning rate, or None where there is none.
        span: the lowest and highest useful rate, or None.
        chosen: the label of the choice that is drawn boldly.
        ax: the axes to draw into, or None for new ones.
        title: a line above the axes.

    Raises ImportError without matplotlib.
    """
    raw, smoothed = np.atleast_2d(np.asarray(losses, dtype=float)), np.asarray(smoothed, dtype=float)
    ax = frame(ax, title=title, xlabel="learning rate", ylabel="loss")
    ax.set_xscale("log")
    if span is not None:
        ax.axvspan(*span, color=COLOURS[2], alpha=0.12, linewidth=0, label=f"range {span[0]:.2g} … {span[1]:.2g}")
    for i, row in enumerate(raw):
        ax.plot(lrs, row, ".", color=GREY, markersize=3, label="" if i else "raw")
    if smoothed.size:
        ax.plot(smooth_lrs, smoothed, color=COLOURS[0], linewidth=1.6, label="smoothed")
        low, high = min(smoothed.min(), np.nanmin(raw)), smoothed[: max(1, smoothed.argmin())].max()
        ax.set_ylim(low - 0.1 * (high - low) - 1e-12, high + 0.5 * (high - low) + 1e-12)
    for i, (label, lr) in enumerate((label, lr) for label, lr in choices.items() if lr is not None):
        bold = label == chosen
        style = {"color": INK, "linewidth": 1.8} if bold else {**line_style(i + 1), "linewidth": 0.9}
        ax.axvline(lr, label=f"{label} {lr:.2g}", **style)
    ax.legend(fontsize=8, frameon=False, labelcolor=INK, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


def sweep(
    lrs: ArrayLike,
    losses: ArrayLike,
    labels: Sequence[str],
    suggestion: float | None,
    *,
    ax: Axes | None = None,
    title: str = "",
    unit: str = "steps",
) -> Axes:
    """Draw losses over the learning rates they were restarted with, a line a mark, and return the axes.

    The vertical axis ends at the highest loss of the lowest quarter of the rates, so that divergence does not flatten
    the rest.

    Args:
        lrs: learning rates > 0, shape (rates,).
        losses: shape (rates, marks), NaN where there is none.
        labels: the marks, in `unit`.
        suggestion: the learning rate to mark, or None.
        ax: the axes to draw into, or None for new ones.
        title: a line above the axes.
        unit: what the labels count.

    Raises ImportError without matplotlib.
    """
    order = np.argsort(np.asarray(lrs, dtype=float))
    rates, heights = np.asarray(lrs, dtype=float)[order], np.asarray(losses, dtype=float)[order]
    ax = frame(ax, title=title, xlabel="learning rate", ylabel="loss")
    ax.set_xscale("log")
    for i, (label, line) in enumerate(zip(labels, heights.T, strict=True)):
        shade = 0.35 + 0.65 * (i + 1) / len(labels)  # the later the mark, the darker
        ax.plot(
            rates,
            line,
            ".-",
            markersize=3,
            linewidth=1.2,
            color=COLOURS[0],
            alpha=shade,
            label=f"{label} {unit if label != '1' else unit.rstrip('s')}",
        )
    finite = heights[np.isfinite(heights)]
    if finite.size:
        low, start = finite.min(), np.nanmax(heights[: max(1, len(rates) // 4)], initial=-np.inf)
        high = start if np.isfinite(start) else finite.max()
        ax.set_ylim(low - 0.05 * (high - low) - 1e-12, high + 0.15 * (high - low) + 1e-12)
    if suggestion is not None:
        ax.axvline(suggestion, color=INK, linewidth=1.8, label=f"suggestion {suggestion:.2g}")
    ax.legend(fontsize=8, frameon=False, labelcolor=INK, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


def save(drawing: Axes | Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure, or the whole figure that axes belong to, to a file whose suffix is .pdf, .png or .svg.

    Raises ValueError for another suffix, OSError where the file cannot be written.
    """
    if Path(path).suffix.lower() not in FORMATS:
        raise ValueError(f"path must end in one of {', '.join(FORMATS)}, got {os.fspath(path)!r}")
    drawing.figure.figure.savefig(path)  # the figure of a subfigure is the whole one


def _mark(ax: Axes, positions: ArrayLike, colour: str = GREY) -> None:
    for x in np.asarray(positions, dtype=float).tolist():
        ax.axvline(x, color=colour, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)


def _means(ax: Axes, values: np.ndarray, label: str, style: dict[str, Any]) -> None:
    """Draw each run thinly and the mean of the runs that go so far as a line."""
    epochs = np.arange(1, values.shape[1] + 1)
    ax.plot(epochs, values.T, **{**style, "linewidth": 0.6, "alpha": 0.3})
    counts = np.isfinite(values).sum(axis=0)
    means = np.where(counts, np.nansum(values, axis=0) / np.maximum(counts, 1), np.nan)
    ax.plot(epochs, means, **style, label=label)


def _band(ax: Axes, values: np.ndarray) -> None:
    """Draw lowest, mean and highest of each stretch of the values."""
    edges = np.linspace(0, len(values), _STRETCHES + 1).astype(int)
    starts = edges[:-1]
    middles = (starts + edges[1:] - 1) / 2
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    means = np.add.reduceat(values, starts) / np.diff(edges)
    ax.fill_between(middles, low, high, color=COLOURS[0], alpha=0.2, linewidth=0)
    ax.plot(middles, means, color=COLOURS[0], linewidth=1.2)


def _last_drawn(line: Line2D, corner: tuple[float, float]) -> tuple[float, float]:
    """Return the last point of a line that can be seen, or the corner of the axes where none can."""
    x, y = np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)
    seen = np.flatnonzero(np.isfinite(y) & (y >= corner[1]))
    return (x[seen[-1]], y[seen[-1]]) if seen.size else corner


def _spread(wanted: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Return places near the wanted ones in 0 … 1 at which boxes of these heights do not overlap, if so many fit."""
    order = np.argsort(wanted, kind="stable")
    gaps = (heights[order][1:] + heights[order][:-1]) / 2
    below = np.concatenate([[0.0], np.cumsum(gaps)])  # how far above the lowest each must be at least
    scale = min(1.0, 1.0 / below[-1]) if below[-1] > 0 else 1.0
    below *= scale
    room = np.maximum.accumulate(wanted[order] - below)
    places = np.empty_like(wanted)
    places[order] = np.clip(room, 0.0, 1.0 - below[-1]) + below
    return places
