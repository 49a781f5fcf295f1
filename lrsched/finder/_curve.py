"""Curve: the result of a range test as data, and what it suggests.

A curve keeps the raw losses. They are smoothed only when you ask for a suggestion or a plot.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from .._check import choice
from ._descent import RULES, Descent, descent
from ._drawings import draw_range_test, notebook_png
from ._json import json_text, json_values
from ._smoothing import MIN_POINTS, Array, Points, usable_points

StopReason = Literal["completed", "diverged", "non-finite", "data exhausted", "interrupted"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Curve:
    """The losses that a range test found at each learning rate, and the learning rate that they suggest.

    `range_test` returns a curve. To judge losses that you recorded yourself, make one from arrays or lists. The
    attributes have the names of the arguments; arrays are read-only float64 copies, and never None.

    Args:
        lrs: learning rates of the first param group, finite, > 0 and increasing, shape (points,).
        losses: the loss at each learning rate, before the step with it, shape (points,).
        all_losses: the losses of every repeat, shape (repeats, points); None means one repeat, `losses`.
        group_lrs: the learning rates of all param groups, shape (points, groups); None means one group, `lrs`.
        stop_reason: why the test ended: "completed", "diverged", "non-finite", "data exhausted" or "interrupted" (by an
            exception).

    Raises TypeError or ValueError if an argument is invalid.

    >>> import numpy as np
    >>> from lrsched import Curve
    >>> lrs = np.logspace(-5, 1, 61)
    >>> curve = Curve(lrs, 2 - 1 / (1 + (0.01 / lrs) ** 2) + np.maximum(lrs - 0.3, 0))
    >>> f"{curve.suggestion:.3f}", f"{curve.suggestions['steepest']:.3f}"
    ('0.040', '0.010')
    """

    lrs: Array
    losses: Array
    all_losses: Array
    group_lrs: Array
    stop_reason: StopReason

    def __init__(
        self,
        lrs: ArrayLike,
        losses: ArrayLike,
        all_losses: ArrayLike | None = None,
        group_lrs: ArrayLike | None = None,
        stop_reason: StopReason = "completed",
    ) -> None:
        rates, first = _array("lrs", lrs, "points"), _array("losses", losses, "points")
        every = first[None] if all_losses is None else _array("all_losses", all_losses, "repeats", "points")
        groups = rates[:, None] if group_lrs is None else _array("group_lrs", group_lrs, "points", "groups")
        arrays = {"lrs": rates, "losses": first, "all_losses": every, "group_lrs": groups}
        _check(**arrays)
        choice("stop_reason", stop_reason, get_args(StopReason))
        for name, array in arrays.items():
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, "stop_reason", stop_reason)

    def __repr__(self) -> str:
        head = f"Curve({len(self.lrs)} rates, {self.stop_reason}, suggestion="
        if self.suggestion is None or self.range is None:
            return f"{head}None, reason={self.reason!r})"
        doubt = f", doubtful: {self.warning.partition(':')[0]}" if self.warning else ""
        return f"{head}{self.suggestion:.3g}, range=({self.range[0]:.3g}, {self.range[1]:.3g}){doubt})"

    def _repr_png_(self) -> bytes | None:
        return notebook_png(self.plot)

    def __len__(self) -> int:
        return len(self.lrs)

    @property
    def suggestion(self) -> float | None:
        """The suggested learning rate: a fifth of the middle of the valley. None if `reason` says why there is none.

        The middle is √(a·b): at a, nine tenths of the fall of the smoothed loss are done; at b, the loss is back at its
        first level. Use the suggestion as the highest rate of a schedule that warms up and decays to zero, such as
        `Warmup(steps // 20) * Linear(steps)`; held constant, or without a warm-up, it is often too high.

        Source: our own; `python -m benchmarks range_test_quality` compares it with other rules.
        """
        return self.suggestions["suggestion"]

    @cached_property
    def suggestions(self) -> dict[str, float | None]:
        """The suggestion, and the learning rates that other common rules suggest; all None if there is no suggestion.

        - "suggestion": see `suggestion`.
        - "minimum / 10": a tenth of the rate at which the smoothed loss is lowest.
        - "steepest": where the smoothed loss falls fastest in log lr.
        - "valley": two thirds of the way through its longest fall.
        """
        found = self._descent
        if not isinstance(found, Descent):
            return dict.fromkeys(RULES)
        return {name: float(10.0 ** rule(found)) for name, rule in RULES.items()}

    @property
    def range(self) -> tuple[float, float] | None:
        """Bounds for a cyclical schedule: the rates after a tenth of the descent and at the lowest smoothed loss."""
        found = self._descent
        return (10.0 ** found.depth(0.1), 10.0**found.lowest) if isinstance(found, Descent) else None

    @property
    def reason(self) -> str | None:
        """Why there is no suggestion, or None."""
        return None if isinstance(self._descent, Descent) else self._descent

    @property
    def warning(self) -> str | None:
        """Why the suggestion is doubtful and what to do about it, or None."""
        return self._descent.doubt(self.stop_reason) if isinstance(self._descent, Descent) else None

    @property
    def smoothed(self) -> tuple[Array, Array]:
        """The learning rates and smoothed losses that the rules use; both empty if there are too few points."""
        points = self._points
        return (10.0**points.x, points.line) if points else (np.empty(0), np.empty(0))

    @cached_property
    def _points(self) -> Points | None:
        return usable_points(self.lrs, self.losses)

    @cached_property
    def _descent(self) -> Descent | str:
        """The descent, or the reason why there is none."""
        if not len(self.lrs):
            at_once = self.stop_reason == "non-finite"
            return "non-finite at first step" if at_once else f"there are no points: {self.stop_reason}"
        if self._points is None:
            return f"there are too few points: {len(self.lrs)}, at least {MIN_POINTS} are needed"
        return descent(self._points)

    def plot(self, ax: Any = None) -> Any:
        """Draw the losses, the smoothed line, the suggestions and the range, and return the matplotlib axes.

        The title says why there is no suggestion, or why it is doubtful. `ax` is the axes to draw into; None makes new
        ones.
        """
        lrs, smoothed = self.smoothed
        title = self.reason or self.warning or ""
        return draw_range_test(
            self.lrs, self.all_losses, lrs, smoothed, self.suggestions, self.range, ax=ax, title=title
        )

    def to_json(self) -> str:
        """Return the curve and what it suggests as JSON text; `from_json` reads the curve back."""
        names = ("lrs", "losses", "all_losses", "group_lrs", "stop_reason")
        results = ("suggestion", "suggestions", "range", "reason")
        values = {name: getattr(self, name) for name in (*names, *results)}
        return json_text(**values, warning=self.warning)

    @classmethod
    def from_json(cls, text: str | bytes) -> Curve:
        """Return the curve that `to_json` wrote. Raises ValueError if the text is not a curve."""
        return cls(**json_values(text, "curve", ("lrs", "losses"), ("all_losses", "group_lrs", "stop_reason")))


def _array(name: str, values: ArrayLike, *axes: str) -> Array:
    """Return a float64 copy. Raises TypeError unless the values are numbers with these axes."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        array = None
    if array is None or array.ndim != len(axes):
        shape = f"({axes[0]},)" if len(axes) == 1 else f"({', '.join(axes)})"
        raise TypeError(f"{name} must be numbers of shape {shape}, got {values!r}")
    return array


def _check(lrs: Array, losses: Array, all_losses: Array, group_lrs: Array) -> None:
    """Raise ValueError unless the learning rates are valid and every array has one entry for each of them."""
    if len(lrs) and not (lrs[0] > 0.0 and (lrs[:-1] < lrs[1:]).all() and lrs[-1] < math.inf):
        raise ValueError(f"lrs must be finite, > 0 and increasing, got {lrs}")
    for name, length in (("losses", len(losses)), ("all_losses", all_losses.shape[1]), ("group_lrs", len(group_lrs))):
        if length != len(lrs):
            raise ValueError(
                f"{name} must have one entry per learning rate, got {length} for {len(lrs)} learning rates"
            )
