"""The picture of a sequence: how many positions it shows, how it is drawn, and how a notebook shows it."""

from __future__ import annotations

import base64
import html
from typing import TYPE_CHECKING, Protocol

import numpy as np

from .. import plot
from .._check import number

if TYPE_CHECKING:
    from ..plot import Axes

MOST = 1e15  # more positions than this cannot be told apart on an axis of floats
_FEWEST, _DOUBLINGS, _POINTS = 100, 20, 100  # an endless sequence shows 100 to 100·2²⁰ positions


class Drawable(Protocol):
    """What a picture needs to know of a sequence."""

    @property
    def length(self) -> int | None: ...

    def __call__(self, k: int, /) -> float: ...


def steps_to_show(sequence: Drawable) -> int:
    """Return how many positions to show: a tenth more than the length, or enough to show an endless sequence's shape.

    For an endless sequence, this is 100, doubled until the sequence has fallen to a tenth of its highest factor (and is
    still there at twice the positions), or has gone through one and a half cycles: its movements up and down add up to
    three times its range.
    """
    if sequence.length is not None:
        return sequence.length + max(1, sequence.length // 10) + 1
    steps = _FEWEST
    for _ in range(_DOUBLINGS):
        values = np.array([sequence(k * steps // _POINTS) for k in range(_POINTS + 1)])
        moved = np.abs(np.diff(values)).sum()
        fallen = max(values[-1], sequence(2 * steps)) <= values.max() / 10
        if fallen or moved >= 3 * np.ptp(values) > 0:
            return steps
        steps *= 2
    return _FEWEST if moved == 0 else steps


def draw(sequence: Drawable, label: str, steps: int, *, log: bool, ax: Axes | None, title: str, xlabel: str) -> Axes:
    """Draw the factors at positions 0 … steps − 1, and return the axes."""
    number("steps", steps, high=MOST)
    x = plot.positions(steps)
    values = [sequence(k) for k in x.tolist()]
    return plot.schedules(x, {label: values}, log=log, ax=ax, title=title, xlabel=xlabel)


def html_picture(sequence: Drawable) -> str | None:
    """Return the picture and the repr of a sequence as HTML, or None if it cannot be drawn.

    If this returns None, the notebook shows only the repr. So no error is raised here, whether matplotlib is missing or
    a user's sequence fails.
    """
    try:
        text, steps = repr(sequence), steps_to_show(sequence)
        ax = plot.figure(5.4, 2.4).add_subplot()
        draw(sequence, "", steps, log=False, ax=ax, title="", xlabel="position k")
        png = plot.png(ax)
    except Exception:
        return None
    encoded = base64.b64encode(png).decode()
    escaped = html.escape(text)
    return f'<pre>{escaped}</pre><img width="540" alt="{escaped}" src="data:image/png;base64,{encoded}">'
