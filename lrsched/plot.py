"""Drawing with matplotlib: functions take arrays and labels and return axes, and `save` writes their figure to a file.

Figures do not use pyplot, so drawing works without a display. matplotlib is imported when something is drawn; if it is
missing, an ImportError says how to install it. Options that many functions take: `ax` or `axes` to draw into, None for
new ones; `title`, "" for none or to keep the title of `ax`; `xlabel` (with its unit) and `ylabel`, "" for none; `log`
for a logarithmic vertical axis, which leaves out values ≤ 0; an axis that is logarithmic already stays so.
"""

from __future__ import annotations

import io
import os
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes
    from matplotlib.axis import YAxis
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D as Line2D
    from matplotlib.text import Annotation
    from matplotlib.ticker import LogFormatterSciNotation

# Distinct under protanopia, deuteranopia and tritanopia, and readable as text on white (contrast 3.4 or more).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#BB6699", "#222222")
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (6, 1.2, 1, 1.2)), (0, (2, 1.2)))  # each for five curves
INK = "#333333"
GREY = "#8C8C8C"
FORMATS = (".pdf", ".png", ".svg")

_MARKED = 60  # up to this many positions, each gets a dot: a schedule is a list of values, not a line
_SAMPLED = 20_000  # up to this many positions are all computed; of more, a random one of each of as many stretches
_COLUMNS = 800  # a line of more than four points for each of these columns is thinned; it looks the same
FEW = 1000  # up to this many learning rates are drawn as one line; more, as those of a picture, would be a block of ink
_STRETCHES = 250
LEGEND: dict[str, Any] = {
    "fontsize": 8,
    "frameon": False,
    "labelcolor": INK,
    "loc": "center left",
    "bbox_to_anchor": (1.0, 0.5),
}
_LABEL_WIDTH = 34  # characters
_SMALLEST = 4.0  # points
_LINE_HEIGHT = 1.25  # of text, as a multiple of its size
_LABEL: dict[str, Any] = {"xycoords": "axes fraction", "va": "center", "annotation_clip": False}
_LEADER = {"linewidth": 0.5, "relpos": (0, 0.5), "shrinkA": 2, "shrinkB": 3}  # from label to curve


def figure(width: float = 7.2, height: float = 4.0) -> Figure:
    """Return an empty figure of width × height inches. Raises ImportError if matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("drawing needs matplotlib: pip install matplotlib") from error
    return Figure(figsize=(width, height), dpi=150, layout="constrained", facecolor="white")


def frame(ax: Axes | None = None, *, title: str = "", xlabel: str = "", ylabel: str = "", log: bool = False) -> Axes:
    """Apply the package's style to axes and return them: a thin grid, no box, light ticks."""
    ax = figure().add_subplot() if ax is None else ax
    ax.set_axisbelow(True)
    ax.grid(True, which="major", color="#E4E4E4", linewidth=0.6)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set(color=GREY, linewidth=0.8)
    ax.tick_params(which="both", colors=INK, length=0, labelsize=8.5)
    if title:
        ax.set_title(title, loc="left", color=INK, fontsize=10, pad=8)
    ax.set_xlabel(xlabel, color=INK, fontsize=9)
    ax.set_ylabel(ylabel, color=INK, fontsize=9)
    if log:
        from matplotlib.ticker import LogFormatterSciNotation

        if ax.lines and ax.get_ylim()[0] <= 0:  # of an earlier, linear drawing; labels cannot be placed on log(0)
            ax.set_ylim(bottom=min(ax.dataLim.minposy, ax.get_ylim()[1] / 10), auto=True)
        ax.set_yscale("log", nonpositive="mask")
        for set_formatter, power_only in ((ax.yaxis.set_major_formatter, True), (ax.yaxis.set_minor_formatter, False)):
            formatter = LogFormatterSciNotation(labelOnlyBase=power_only)
            formatter.set_axis(ax.yaxis)
            set_formatter(partial(_tick_text, formatter=formatter, axis=ax.yaxis))
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
    """Draw curves over the same positions, each with its label at its right end ("" for none), and return the axes.

    A value holds until the next position, so a jump is a vertical line. `x` holds the positions, ascending, shape (n,),
    n ≥ 1; `curves` maps labels to values of that shape. A long curve is thinned to the first, lowest, highest and last
    point of each of 800 stretches, which looks the same. Raises ValueError if there is nothing to draw, or if a
    curve has another shape.

    >>> from lrsched import Inverse, plot
    >>> ax = plot.schedules([0, 1, 2], {"1/n": Inverse().values(3)}, xlabel="epoch")
    >>> [line.get_ydata().round(2).tolist() for line in ax.lines]
    [[1.0, 0.5, 0.33]]
    """
    positions, arrays = np.asarray(x, dtype=float), arrays_of(curves)
    if not arrays or not positions.size:
        raise ValueError(f"there is nothing to draw: got {len(arrays)} curves over {positions.size} positions")
    for label, values in arrays.items():
        if values.shape != positions.shape:
            raise ValueError(f"curve {label!r} must have the shape of x, {positions.shape}, got {values.shape}")
    if log and not any_positive(arrays):
        raise ValueError("a logarithmic axis needs a value > 0, got none: draw with log=False")
    ax = frame(ax, title=title, xlabel=xlabel, ylabel=ylabel, log=log)
    lines = _draw_lines(ax, positions, arrays, drawstyle="steps-post")
    ax.margins(x=0.01)
    if ax.get_yscale() != "log" and not any((values < 0).any() for values in arrays.values()):
        ax.set_ylim(bottom=0)
    name_ends(ax, [line for line, label in zip(lines, arrays, strict=True) if label])
    return ax


def positions(steps: int) -> np.ndarray:
    """Return the positions to compute for a picture of `steps` positions, ascending, as int64: all, or a sample.

    If there are more than 20,000, the sample has the first, the last, and a random one of each of 20,000 equal
    stretches. It is always the same sample. A jump is then off by less than a pixel. Random positions show a short
    cycle as the band that it fills; evenly spaced ones would show a different cycle. Features shorter than a stretch
    can be missed.

    >>> from lrsched import plot
    >>> plot.positions(4).tolist(), len(plot.positions(10**9))
    ([0, 1, 2, 3], 20000)
    """
    if steps <= _SAMPLED:
        return np.arange(steps)
    edges = np.linspace(0, steps, _SAMPLED + 1)
    chosen = edges[:-1] + np.diff(edges) * np.random.default_rng(0).random(_SAMPLED)
    chosen[[0, -1]] = 0, steps - 1
    return chosen.astype(np.int64)


def line_style(i: int, points: int = _MARKED + 1) -> dict[str, Any]:
    """Return `Axes.plot` options for curve i: colours first, then dashes too; dots if it has few points."""
    again, colour = divmod(i, len(COLOURS))
    dots = {"marker": "o", "markersize": 2.4} if points <= _MARKED and not again else {}
    return {"color": COLOURS[colour], "linestyle": DASHES[again % len(DASHES)], "linewidth": 1.3, **dots}


def name_ends(ax: Axes, lines: Sequence[Line2D], *, size: float = 8.5) -> None:
    """Write each line's label beside its last visible point, in its colour, and keep the labels from overlapping.

    The labels of earlier calls are moved too. If the limits of the axes change later, as those of shared axes do, the
    labels follow. `size` is in points; if there is no room for all labels, they are smaller.
    """
    named: tuple[list[Line2D], list[Annotation]] = vars(ax).setdefault("_lrsched_named", ([], []))  # of earlier calls
    for line in lines:
        text, colour = _wrapped(str(line.get_label())), line.get_color()
        leader = {"arrowstyle": "-", "color": colour, **_LEADER}
        label = ax.annotate(text, (1, 0), (1.04, 0), color=colour, fontsize=size, arrowprops=leader, **_LABEL)
        named[0].append(line)
        named[1].append(label)
    place = partial(_place_labels, lines=named[0], labels=named[1], size=size)
    place(ax)
    for change in ("xlim_changed", "ylim_changed"):
        ax.callbacks.connect(change, place)


def whole_ticks(ax: Axes) -> None:
    """Put the ticks of the horizontal axis at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))


def arrange(ax: Axes) -> None:
    """Give the axes of a figure the places that they have when it is drawn, so that `name_ends` knows their height."""
    whole = ax.figure.figure
    engine = whole.get_layout_engine()
    if engine is not None:
        engine.execute(whole)


def label_room(labels: Iterable[str], size: float = 8.5) -> float:
    """Return the height in inches of axes in which `name_ends` has room for these labels."""
    return sum(1 + _wrapped(label).count("\n") for label in labels) * _LINE_HEIGHT * size / 72


def events(ax: Axes, positions: ArrayLike, *, colour: str = GREY) -> None:
    """Mark positions on the horizontal axis with thin dashed vertical lines."""
    for x in np.asarray(positions, dtype=float).tolist():
        ax.axvline(x, color=colour, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)


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
    """Draw the losses of a run above its learning rates, mark its events, and return both axes.

    `losses` has one loss per epoch, shape (n,), or maps labels to such arrays; `log` and `ylabel` apply to it. `lrs`
    has shape (n,) or (n, groups). `events` holds `scheduler.events`, or epochs counted from 1; each mark is at the end
    of its epoch. Raises ValueError if losses and learning rates differ in length or are empty.

    >>> from lrsched import plot
    >>> above, below = plot.run([0.9, 0.8, 0.8], [0.1, 0.1, 0.1], events=[3])
    >>> above.lines[0].get_ydata().tolist(), above.lines[1].get_xdata(), below.get_ylabel()
    ([0.9, 0.8, 0.8], [3.5, 3.5], 'learning rate')
    """
    arrays = arrays_of(losses if isinstance(losses, Mapping) else {"": losses})
    rates = np.asarray(lrs, dtype=float)
    for label, values in arrays.items():
        if not values.size or values.shape != rates.shape[:1]:
            shapes = f"{values.shape} and {rates.shape}"
            raise ValueError(f"losses {label!r} and lrs must have the same length, at least 1, got shapes {shapes}")
    above, below = figure(7.2, 4.4).subplots(2, 1, sharex=True) if axes is None else axes
    frame(above, title=title, ylabel=ylabel, log=log)
    frame(below, xlabel=xlabel, ylabel="learning rate", log=any_positive({"": rates}))
    epochs = np.arange(1, len(rates) + 1)
    lines = _draw_lines(above, epochs, arrays)
    for i, column in enumerate(rates.reshape(len(rates), -1).T):
        below.plot(epochs, column, drawstyle="steps-mid", **line_style(i))
    ends = [getattr(event, "epoch", event) + 0.5 for event in events]
    for ax in (above, below):
        _mark(ax, ends)
    above.margins(x=0.01)
    if len(lines) > 1:
        name_ends(above, lines)
    return above, below


def picture(
    image: ArrayLike,
    rates: ArrayLike,
    *,
    x: ArrayLike | None = None,
    axes: tuple[Axes, Axes] | None = None,
    title: str = "",
    xlabel: str = "step",
    ylabel: str = "learning rate",
) -> tuple[Axes, Axes]:
    """Draw a picture and, beside it, its learning rates; return both axes.

    `image` has shape (h, w), (h, w, 1) or (h, w, 3), unsigned integers or floats in [0, 1]; `rates` has one learning
    rate per step, shape (n,), or those of the steps `x`, ascending. More than 1000 are drawn in stretches: a band from
    the lowest to the highest rate of each stretch, and a line through the means. Raises ValueError if `rates` is empty.

    >>> from lrsched import plot
    >>> left, right = plot.picture([[0.0, 1.0]], [1e-5, 1e-2])
    >>> left.images[0].get_array().shape, right.lines[0].get_ydata().tolist()
    ((1, 2), [1e-05, 0.01])
    """
    values = np.asarray(rates, dtype=float)
    if not values.size:
        raise ValueError("rates must have at least one entry, got none")
    steps = np.arange(len(values)) if x is None else np.asarray(x)
    left, right = figure(11, 3.6).subplots(1, 2, width_ratios=(2, 3)) if axes is None else axes
    pixels = np.asarray(image)
    if pixels.dtype.kind == "u":
        pixels = pixels / np.iinfo(pixels.dtype).max
    left.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest" if len(pixels) < 100 else None)
    left.set_axis_off()
    frame(right, title=title, xlabel=xlabel, ylabel=ylabel)
    if len(values) <= FEW:
        right.plot(steps, values, color=COLOURS[0], linewidth=0.8, drawstyle="steps-post")
    else:
        stretches(right, steps, (values, values, values))
        right.set_xlabel(f"{xlabel} (line: mean of about {(steps[-1] + 1) / _STRETCHES:.0f}, band: their range)")
    right.margins(x=0.01)
    right.ticklabel_format(axis="y", scilimits=(-3, 4), useMathText=True)
    return left, right


def stretches(
    ax: Axes, x: ArrayLike, values: tuple[np.ndarray, np.ndarray, np.ndarray], *, colour: str = COLOURS[0], **style: Any
) -> None:
    """Draw the lowest, mean and highest value of each of 250 stretches: a line through the means, within a band.

    `values` are the lowest, mean and highest values at each of the positions `x`; `style` is that of the line.
    """
    positions = np.asarray(x)
    edges = np.linspace(0, positions.size, _STRETCHES + 1).astype(int)
    starts = edges[:-1]
    middles = (positions[starts] + positions[edges[1:] - 1]) / 2
    low, high = np.fmin.reduceat(values[0], starts), np.fmax.reduceat(values[2], starts)
    means = np.add.reduceat(values[1], starts) / np.diff(edges)
    ax.fill_between(middles, low, high, color=colour, alpha=0.2, linewidth=0)
    ax.plot(middles, means, **{"color": colour, "linewidth": 1.2, **style})


def png(drawing: Axes | Figure) -> bytes:
    """Return a figure, or the figure that holds the given axes, as the bytes of a .png file."""
    written = io.BytesIO()
    drawing.figure.figure.savefig(written, format="png")
    return written.getvalue()


def save(drawing: Axes | Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure, or the figure that holds the given axes, to a .pdf, .png or .svg file, else raise ValueError."""
    if Path(path).suffix.lower() not in FORMATS:
        raise ValueError(f"path must end in one of {', '.join(FORMATS)}, got {os.fspath(path)!r}")
    drawing.figure.figure.savefig(path)  # twice, because the figure of axes may be a subfigure


_mark = events  # `run` has a parameter named events


def arrays_of(curves: Mapping[str, ArrayLike]) -> dict[str, np.ndarray]:
    """Return the curves as float64 arrays."""
    return {label: np.asarray(values, dtype=float) for label, values in curves.items()}


def any_positive(arrays: Mapping[str, np.ndarray]) -> bool:
    """Return whether a logarithmic axis could show anything of the arrays."""
    return any(bool((values > 0).any()) for values in arrays.values())


def _tick_text(x: float, _: object, formatter: LogFormatterSciNotation, axis: YAxis) -> str:
    """Return the label of a tick on a logarithmic axis: 0.6, or 6 × 10⁻⁵ on an axis with very small or large values."""
    formatter.set_locs()  # chooses which ticks between powers of ten have labels
    text = str(formatter(x))
    low, high = sorted(axis.get_view_interval())
    return f"{x:g}" if text and low >= 1e-4 and high <= 1e5 else text


def _wrapped(label: str) -> str:
    return textwrap.fill(label, _LABEL_WIDTH)


def _draw_lines(ax: Axes, x: np.ndarray, arrays: Mapping[str, np.ndarray], **options: Any) -> list[Line2D]:
    lines: list[Line2D] = []
    for i, (label, values) in enumerate(arrays.items(), start=len(ax.lines)):
        kept = _outline(values)
        lines += ax.plot(x[kept], values[kept], label=label, **line_style(i, x.size), **options)
    return lines


def _outline(values: np.ndarray) -> np.ndarray:
    """Return the indices of the first, lowest, highest and last value of each column; of a short line, all of them."""
    if values.size <= 4 * _COLUMNS:
        return np.arange(values.size)
    kept: set[int] = set()
    for start, end in pairwise(np.linspace(0, values.size, _COLUMNS + 1).astype(int).tolist()):
        column = values[start:end]
        kept.update((start, start + int(column.argmin()), start + int(column.argmax()), end - 1))
    return np.array(sorted(kept))


def _place_labels(ax: Axes, lines: Sequence[Line2D], labels: Sequence[Annotation], size: float) -> None:
    """Move each label to the height at which its line ends, or as near as the other labels allow."""
    corner = ax.get_xlim()[1], ax.get_ylim()[0]  # reading the limits also updates the transform below
    to_axes = ax.transData + ax.transAxes.inverted()
    ends = [to_axes.transform(_last_visible(line, corner)) for line in lines]
    row_height = _LINE_HEIGHT * size * ax.figure.dpi / 72 / ax.get_window_extent().height  # as a share of the axes
    heights = row_height * np.array([1 + label.get_text().count("\n") for label in labels])
    shrunk = max(min(1.0, 1 / heights.sum()), min(1.0, _SMALLEST / size)) if labels else 1.0
    middles = _spread(np.clip([y for _, y in ends], 0, 1), shrunk * heights)
    for label, end, middle in zip(labels, ends, middles, strict=True):
        label.set_fontsize(shrunk * size)
        label.xy = tuple(end)  # the leader points here
        label.set_position((1.04, middle))


def _last_visible(line: Line2D, corner: tuple[float, float]) -> tuple[float, float]:
    """Return the last point of a line that is not below the axes, or the corner of the axes if there is none."""
    x, y = np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)
    seen = np.flatnonzero(np.isfinite(y) & (y >= corner[1]))
    return (x[seen[-1]], y[seen[-1]]) if seen.size else corner


def _spread(wanted: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Return the middles of boxes, moved apart in order within 0 … 1; if they do not fit, they overlap evenly."""
    order = np.argsort(wanted, kind="stable")
    gaps = (heights[order][1:] + heights[order][:-1]) / 2
    offsets = np.concatenate([[0.0], np.cumsum(gaps)])  # the least distance of each box from the lowest one
    if offsets[-1] > 1.0:
        offsets *= 1.0 / offsets[-1]
    points = np.maximum.accumulate(wanted[order] - offsets)  # with the boxes shrunk to points, only the order matters
    middles = np.empty_like(wanted)
    middles[order] = np.clip(points, 0.0, 1.0 - offsets[-1]) + offsets
    return middles
