"""Pictures of the function study: each function's sweeps and what the network learns, and the long trainings."""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

from lrsched.plot import COLOURS, GREY, INK, figure, frame

from . import sweep_claims as claims
from .function_tasks import FUNCTIONS, POINTS, UNIT
from .sweep_claims import Record

SHALLOW = 0.4  # if no loss falls below this share of the loss before the sweep, a linear axis shows more
THIN = {"color": GREY, "linewidth": 0.6, "alpha": 0.5}
LONG_UNIT = "loss, as published: mean squared error / 640"


def function_picture(function: str, records: Iterable[Record]) -> bytes | None:
    """Return a PNG of a function's sweeps, a row before and a row after training; None if no sweep is finished."""
    records = list(records)
    rows = []
    for state, span in ((claims.UNTRAINED, claims.BEFORE_TRAINING), (claims.AFTER, claims.AFTER_TRAINING)):
        seeds = [record for (name, _), record in claims.of(records, state).items() if name == function]
        if seeds:
            rows.append((state, span, seeds))
    if not rows:
        return None
    sheet = figure(15, 0.5 + 2.9 * len(rows))
    panels = sheet.subplots(len(rows), len(claims.MARKS) + 1, sharex="col", squeeze=False)
    for axes, (state, span, seeds) in zip(panels, rows, strict=True):
        for ax, epochs in zip(axes, claims.MARKS, strict=False):
            sweep_panel(ax, seeds, epochs, span)
        after = "before training" if state == claims.UNTRAINED else f"after {state}"
        axes[0].set_ylabel(f"{after}\nloss / loss before the sweep", color=INK, fontsize=9)
        learned_panel(axes[-1], function, seeds)
    for ax in panels[-1, :-1]:
        ax.set_xlabel("learning rate", color=INK, fontsize=9)
    panels[-1, -1].set_xlabel("x", color=INK, fontsize=9)
    seeds = f"seeds: {len(rows[0][2])}, the first in blue"
    band = "green: the claimed sweet spot" if function != "1/x" else "green: the sweet spot claimed of the others"
    title = f"{function}: 100 rates, each from the same weights; {seeds}; dot: its lowest loss; {band}"
    sheet.suptitle(title, x=0.01, ha="left", color=INK, fontsize=11)
    return png(sheet)


def sweep_panel(ax: Axes, seeds: list[Record], epochs: int, span: tuple[float, float]) -> None:
    """Draw every seed's sweep at the mark `epochs`, relative to its loss before the sweep."""
    lowest = min(np.nanmin(claims.column(record, epochs)) / record["loss"] for record in seeds)
    shallow = lowest > SHALLOW
    frame(ax, title=f"{epochs} epoch{'s' * (epochs > 1)} ahead", log=not shallow)
    ax.set_xscale("log")
    ax.axvspan(*span, color=COLOURS[2], alpha=0.12, linewidth=0)
    for record in seeds[1:]:
        ax.plot(claims.LRS, claims.column(record, epochs) / record["loss"], **THIN)
    losses = claims.column(seeds[0], epochs) / seeds[0]["loss"]
    ax.plot(claims.LRS, losses, color=COLOURS[0], linewidth=1.6)
    mark_best(ax, losses)
    ax.set_xlim(claims.LRS[0], claims.LRS[-1])
    ax.set_ylim(min(lowest, 0.9) - 0.05 if shallow else 0.75 * lowest, 1.2)
    if not shallow:
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter(FormatStrFormatter("%g"))


def mark_best(ax: Axes, losses: np.ndarray) -> None:
    """Draw a dot at the lowest loss, with its rate."""
    best = int(np.nanargmin(losses))
    ax.plot(claims.LRS[best], losses[best], "o", color=COLOURS[1], markersize=5)
    ax.annotate(
        f"{claims.LRS[best]:.1g}",
        (claims.LRS[best], losses[best]),
        (-6, -3),
        textcoords="offset points",
        color=COLOURS[1],
        fontsize=8.5,
        ha="right",
        va="top",
    )


def learned_panel(ax: Axes, function: str, seeds: list[Record]) -> None:
    """Draw the function and, over it, each seed's network."""
    x, y = FUNCTIONS[function].points()
    frame(ax, title=f"the network, loss {seeds[0]['loss'] * UNIT:.2g}")
    drawn = x[:: -(-POINTS // len(seeds[0]["outputs"]))]
    for record in seeds[1:]:
        ax.plot(drawn, record["outputs"], **THIN)
    ax.plot(x, y, color=INK, linewidth=1.0)
    ax.plot(drawn, seeds[0]["outputs"], color=COLOURS[0], linewidth=1.6)
    if function == "1/x":
        ax.set_ylim(-20, 20)


def long_picture(records: Iterable[Record]) -> bytes | None:
    """Return a PNG of the long trainings on log; None if none is finished."""
    seeds = list(claims.of(records, claims.LONG).values())
    if not seeds:
        return None
    sheet = figure(13, 4.2)
    whole, end = sheet.subplots(1, 2)
    frame(whole, title="log: a low rate against a high one (C3)", xlabel="epoch", ylabel=LONG_UNIT, log=True)
    frame(end, title="the last epochs: rate kept or lowered (C5)", xlabel="epoch", ylabel=LONG_UNIT, log=True)
    rates = {"slow": claims.SLOW[0], "fast": claims.FAST[0], "lowered": claims.LOWERED[0]}
    for (name, rate), colour in zip(rates.items(), COLOURS, strict=False):
        for record in reversed(seeds):
            style = {"color": colour, "linewidth": 0.5, "alpha": 0.3}
            if record is seeds[0]:
                style = {"color": colour, "linewidth": 1.5, "label": f"{rate:g}"}
            draw_long(whole, end, name, np.array(record[name], dtype=float) * UNIT, style)
    whole.set_xscale("log")
    for epoch in (30, 425):
        whole.axvline(epoch, color=GREY, linewidth=0.8, linestyle=(0, (3, 2)))
        whole.annotate(f" {epoch}", (epoch, 1), xycoords=("data", "axes fraction"), va="top", color=INK, fontsize=8.5)
    for ax in (whole, end):
        ax.legend(frameon=False, fontsize=8.5, labelcolor="linecolor", title="learning rate", title_fontsize=8.5)
    count = f"seeds: {len(seeds)}, the first bold"
    sheet.suptitle(f"Long trainings with Adam; {count}", x=0.01, ha="left", color=INK, fontsize=11)
    return png(sheet)


def draw_long(whole: Axes, end: Axes, name: str, losses: np.ndarray, style: dict[str, object]) -> None:
    """Draw one long training into the panel of all epochs, of the last epochs, or both."""
    last = claims.LOWERED[1]
    first = claims.FAST[1] - last + 1
    if name != "lowered":
        whole.plot(np.arange(1, len(losses) + 1), losses, **style)
    if name != "slow":
        end.plot(np.arange(first, first + last), losses[-last:], **style)


def png(sheet: Figure) -> bytes:
    content = io.BytesIO()
    sheet.savefig(content, format="png", dpi=100)
    return content.getvalue()
