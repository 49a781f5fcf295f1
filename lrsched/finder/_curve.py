"""Curve: the result of a range test as data, and the rules that read a learning rate off it.

The raw losses are kept. Smoothing comes after the run and has no lag: a straight line fitted around each point,
weighted by a Gaussian in log lr. Every rule is invariant under shifting and scaling the loss.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

from .. import plot
from .._check import choice
from ._descent import LEAST, RULES, Array, Descent, Points, descent, usable_points

StopReason = Literal["completed", "diverged", "non-finite", "data exhausted"]
VERSION = 1


@dataclass(frozen=True, eq=False, repr=False)
class Curve:
    """Losses over learning rates, as a range test found them, and what they suggest.

    Args:
        lrs: learning rates of the first param group, > 0 and increasing, shape (points,).
        losses: the loss at each, before the step with that rate, shape (points,).
        all_losses: the losses of every repeat, shape (repeats, points); None for one repeat.
        group_lrs: the rates of all param groups, shape (points, groups); None for one group.
        stop_reason: "completed", "diverged", "non-finite" or "data exhausted".

    Raises TypeError or ValueError naming the argument that is none of that.

    >>> import numpy as np
    >>> from lrsched import Curve
    >>> lrs = np.logspace(-5, 1, 61)
    >>> curve = Curve(lrs, 2 - 1 / (1 + (0.01 / lrs) ** 2) + np.maximum(lrs - 0.3, 0))
    >>> f"{curve.suggestions['half_depth']:.3f}", f"{curve.suggestion:.3f}"
    ('0.010', '0.030')
    """

    lrs: Array
    losses: Array
    all_losses: Array = None  # type: ignore[assignment]
    group_lrs: Array = None  # type: ignore[assignment]
    stop_reason: str = "completed"

    def __post_init__(self) -> None:
        lrs, losses = _array("lrs", self.lrs, 1), _array("losses", self.losses, 1)
        every = losses[None] if self.all_losses is None else _array("all_losses", self.all_losses, 2)
        groups = lrs[:, None] if self.group_lrs is None else _array("group_lrs", self.group_lrs, 2)
        if len(lrs) and not (lrs[0] > 0.0 and (lrs[:-1] < lrs[1:]).all() and lrs[-1] < math.inf):
            raise ValueError(f"lrs must be finite, > 0 and increasing, got {lrs}")
        for name, length in (("losses", len(losses)), ("all_losses", every.shape[1]), ("group_lrs", len(groups))):
            if length != len(lrs):
                raise ValueError(f"{name} must have one entry per learning rate: {length} for {len(lrs)}")
        choice("stop_reason", self.stop_reason, get_args(StopReason))
        for name, value in (("lrs", lrs), ("losses", losses), ("all_losses", every), ("group_lrs", groups)):
            value.flags.writeable = False
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"Curve({len(self.lrs)} points, {self.stop_reason}, suggestion={self.suggestion})"

    def __len__(self) -> int:
        return len(self.lrs)

    @property
    def suggestion(self) -> float | None:
        """The learning rate that the rules combined suggest, or None; `reason` then says why."""
        return self.suggestions["combined"]

    @cached_property
    def suggestions(self) -> dict[str, float | None]:
        """The learning rate that each rule suggests, or None.

        steepest: where the smoothed loss falls fastest in log lr; valley: two thirds through its longest fall;
        half_depth: where half of the descent is done; minimum_tenth: a tenth of where it is lowest; edge_tenth: a tenth
        of where it is back at its first level; combined: 0.8 times the geometric mean of half_depth and edge_tenth, but
        where noise stays as large as it was, at most 1.6 times that of half_depth and of the rate that best divides the
        curve into a high and a low part.
        """
        found = self._descent
        if not isinstance(found, Descent):
            return dict.fromkeys(RULES)
        return {name: float(10.0 ** rule(found)) for name, rule in RULES.items()}

    @property
    def range(self) -> tuple[float, float] | None:
        """Bounds for a cyclical schedule: from where a tenth of the descent is done to where the loss is lowest."""
        found = self._descent
        return (10.0 ** found.depth(0.1), 10.0**found.lowest) if isinstance(found, Descent) else None

    @property
    def reason(self) -> str | None:
        """Why there is no suggestion, or None."""
        return None if isinstance(self._descent, Descent) else self._descent

    @property
    def warning(self) -> str | None:
        """What casts doubt on the suggestion, or None."""
        return self._descent.doubt(self.stop_reason) if isinstance(self._descent, Descent) else None

    @property
    def smoothed(self) -> tuple[Array, Array]:
        """Learning rates and smoothed losses: what the rules look at; empty where there are too few points."""
        points = self._points
        return (10.0**points.x, points.smooth()[0]) if points else (np.empty(0), np.empty(0))

    @cached_property
    def _points(self) -> Points | None:
        return usable_points(self.lrs, self.losses)

    @cached_property
    def _descent(self) -> Descent | str:
        if not len(self.lrs):
            none = self.stop_reason == "non-finite"
            return "non-finite at first step" if none else f"there are no points: {self.stop_reason}"
        few = f"there are too few points: {len(self.lrs)} of at least {LEAST}"
        return descent(self._points) if self._points else few

    def plot(self, ax: Any = None) -> Any:
        """Draw raw and smoothed losses, every rule's choice and the range into matplotlib axes, and return them."""
        lrs, smoothed = self.smoothed
        return plot.range_test(
            self.lrs, self.all_losses, lrs, smoothed, self.suggestions, self.range, ax=ax, title=self.reason or ""
        )

    def to_json(self) -> str:
        """Return the curve and what it suggests as JSON text; `from_json` reads the curve back."""
        data = {name: _listed(getattr(self, name)) for name in ("lrs", "losses", "all_losses", "group_lrs")}
        read = {name: getattr(self, name) for name in ("stop_reason", "suggestion", "suggestions", "range", "reason")}
        return json.dumps({"version": VERSION, **data, **read, "rule": "combined", "warning": self.warning})

    @classmethod
    def from_json(cls, text: str | bytes) -> Curve:
        """Return the curve that `to_json` wrote; ValueError where the text is none."""
        state = json.loads(text)
        if not isinstance(state, dict) or not {"lrs", "losses"} <= set(state):
            raise ValueError("text must be JSON of a curve, with lrs and losses")
        if state.get("version", VERSION) > VERSION:
            raise ValueError(f"text: version must be <= {VERSION}, got {state['version']}: update lrsched")
        names = ("lrs", "losses", "all_losses", "group_lrs", "stop_reason")
        return cls(**{name: state[name] for name in names if name in state})


def _array(name: str, values: object, dimensions: int) -> Array:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty((0,) * 9)
    if array.ndim != dimensions:
        raise TypeError(f"{name} must be numbers in {dimensions} dimension{'s'[: dimensions - 1]}, got {values!r}")
    return array


def _listed(array: Array) -> list[Any]:
    """Return nested lists, with None for what JSON cannot carry."""
    plain: list[Any] = array.tolist()
    return [_listed(row) for row in array] if array.ndim > 1 else [x if math.isfinite(x) else None for x in plain]
