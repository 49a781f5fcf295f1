"""The curves of a table: validation loss above, learning rate below, one column of panels a method."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lrsched.plot import COLOURS, INK, figure, frame

from .report import Row
from .training import Run


def curves(rows: list[Row], title: str) -> bytes:
    """Return a PNG: the mean over seeds as a line, every seed as a thin one, in one colour a sequence."""
    methods = list(dict.fromkeys(row.setting.method for row in rows))
    picture = figure(1.2 + 3.0 * len(methods), 6.2)
    panels = picture.subplots(2, len(methods), sharex=True, sharey="row", squeeze=False)
    for (loss, rate), method in zip(panels.T, methods, strict=True):
        frame(loss, title=method, log=True)
        frame(rate, xlabel="epoch", log=True)
        for i, row in enumerate(row for row in rows if row.setting.method == method):
            style = {"color": COLOURS[i], "linewidth": 2.4 - 0.4 * i}  # where curves coincide, the one below shows
            draw(loss, row, "val_loss", **style)
            draw(rate, row, "lr", **style, drawstyle="steps-mid")
        loss.legend(frameon=False, fontsize=8.5, labelcolor="linecolor", handlelength=1.4)
    panels[0, 0].set_ylabel("validation loss", color=INK)
    panels[1, 0].set_ylabel("learning rate", color=INK)
    picture.suptitle(f"{title}; mean over seeds, each seed thin", x=0.01, ha="left", color=INK, fontsize=11)
    content = io.BytesIO()
    picture.savefig(content, format="png")
    return content.getvalue()


def draw(ax: Axes, row: Row, name: str, **style: Any) -> None:
    values = by_epoch(row.runs, name)
    epochs = np.arange(1, values.shape[1] + 1)
    ax.plot(epochs, values.T, **{**style, "linewidth": 0.6, "alpha": 0.3})
    ax.plot(epochs, np.nanmean(values, axis=0), **style, label=row.setting.row)


def by_epoch(runs: Sequence[Run], name: str) -> np.ndarray:
    """Return one line a run, NaN after its end."""
    lists = [getattr(run, name) for run in runs]
    values = np.full((len(lists), max(map(len, lists))), np.nan)
    for line, entries in zip(values, lists, strict=True):
        line[: len(entries)] = entries  # null, in JSON, stands for a loss that was not finite: None becomes NaN
    return values
