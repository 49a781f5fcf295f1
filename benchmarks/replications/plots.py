"""The curves of a table: validation loss above, learning rate below, one column of panels a method."""

from __future__ import annotations

import io

from lrsched import Report
from lrsched.plot import INK, figure

from .report import Row


def curves(rows: list[Row], title: str) -> bytes:
    """Return a PNG: the mean over seeds as a line, every seed as a thin one, in one colour a sequence."""
    methods = list(dict.fromkeys(row.setting.method for row in rows))
    picture = figure(1.2 + 3.4 * len(methods), 6.2)
    panels = picture.subplots(2, len(methods), sharex=True, sharey="row", squeeze=False)
    for axes, method in zip(panels.T, methods, strict=True):
        chosen = [row for row in rows if row.setting.method == method]
        Report([run for row in chosen for run in row.runs]).plot(tuple(axes), title=method)
    for ax in panels[:, 1:].flat:
        ax.set_ylabel("")
    picture.suptitle(f"{title}; mean over seeds, each seed thin", x=0.01, ha="left", color=INK, fontsize=11)
    content = io.BytesIO()
    picture.savefig(content, format="png")
    return content.getvalue()
