"""Sweep: the result of lr_sweep() as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._check import choice, integer, items, number
from ..ensembles._ensemble import Method
from ._drawings import draw_sweep, notebook_png
from ._json import json_text, json_values


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Sweep:
    """The losses after training at each learning rate from the same start, and the learning rate that they suggest.

    `lr_sweep` returns a sweep. The attributes have the names of the arguments; arrays are read-only copies.

    Args:
        lrs: learning rates, finite and > 0, in any order, shape (rates,).
        steps: the marks: numbers of optimizer steps, increasing integers ≥ 1, shape (marks,).
        losses: the loss of each rate at each mark, (rates, marks); NaN if it diverged or is masked by `stop_above`.
        method: how the rates were trained: "side by side" or "one after another".
        reason: why they were trained one after another, or "".

    Raises TypeError or ValueError if an argument is invalid.

    >>> import math
    >>> from lrsched import Sweep
    >>> sweep = Sweep([0.01, 0.1, 1.0], [1, 8], [[1.0, 0.9], [0.9, 0.4], [1.2, math.nan]])
    >>> sweep.suggestion, sweep
    (0.1, Sweep(3 rates from 0.01 to 1, 8 steps, one after another, suggestion=0.1))
    """

    lrs: NDArray[np.float64]
    steps: NDArray[np.int64]
    losses: NDArray[np.float64]
    method: Method
    reason: str

    def __init__(
        self,
        lrs: Sequence[float] | np.ndarray,
        steps: Sequence[int] | np.ndarray,
        losses: ArrayLike,
        method: Method = "one after another",
        reason: str = "",
    ) -> None:
        arrays: dict[str, np.ndarray] = {
            "lrs": np.array(checked_lrs(lrs)),
            "steps": np.array(checked_steps(steps)),
            "losses": np.array(losses, dtype=np.float64),
        }
        shape = len(arrays["lrs"]), len(arrays["steps"])
        if arrays["losses"].shape != shape:
            raise ValueError(f"losses must have shape (rates, marks) = {shape}, got {arrays['losses'].shape}")
        choice("method", method, get_args(Method))
        for name, array in arrays.items():
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, "method", method)
        object.__setattr__(self, "reason", reason)

    def __repr__(self) -> str:
        tried = f"{len(self.lrs)} rates from {min(self.lrs):.3g} to {max(self.lrs):.3g}, {self.steps[-1]} steps"
        if self.suggestion is None:
            return f"Sweep({tried}, {self.method}, suggestion=None, no losses at the last mark)"
        return f"Sweep({tried}, {self.method}, suggestion={self.suggestion:.3g})"

    def _repr_png_(self) -> bytes | None:
        return notebook_png(self.plot)

    @property
    def suggestion(self) -> float | None:
        """The learning rate with the lowest loss at the last mark, or None if all rates are NaN there."""
        last = self.losses[:, -1]
        return None if np.isnan(last).all() else float(self.lrs[np.nanargmin(last)])

    @property
    def warning(self) -> str | None:
        """Why the suggestion may be too high, and what to do about it; None if there is no suggestion."""
        if self.suggestion is None:
            return None
        return (
            f"the best rate after {self.steps[-1]} steps is too high for a longer run with SGD, by a factor of 2 to 60 "
            "for one that is 50 times as long; use race() to choose a rate for a whole run"
        )

    def plot(self, ax: Any = None) -> Any:
        """Draw loss over learning rate, one line per mark, with the suggestion, and return the matplotlib axes.

        `ax` is the axes to draw into; None makes new ones.
        """
        title = "no losses at the last mark" if self.suggestion is None else ""
        return draw_sweep(
            self.lrs, self.losses, [f"{mark}" for mark in self.steps], self.suggestion, ax=ax, title=title
        )

    def to_json(self) -> str:
        """Return the sweep and its suggestion as JSON text, with null for NaN; `from_json` reads the sweep back."""
        names = ("lrs", "steps", "losses", "method", "reason", "suggestion", "warning")
        return json_text(**{name: getattr(self, name) for name in names})

    @classmethod
    def from_json(cls, text: str | bytes) -> Sweep:
        """Return the sweep that `to_json` wrote. Raises ValueError if the text is not a sweep."""
        return cls(**json_values(text, "sweep", ("lrs", "steps", "losses"), ("method", "reason")))


def checked_lrs(lrs: object) -> list[float]:
    """Return the learning rates as floats, after checking that there is one and that all are finite and > 0."""
    rates = [number(f"lrs[{i}]", lr, above=0.0) for i, lr in enumerate(items("lrs", lrs))]
    if not rates:
        raise ValueError("lrs must have at least one learning rate, got none")
    return rates


def checked_steps(steps: object) -> list[int]:
    """Return the numbers of steps as ints, after checking that there is one and that they increase from ≥ 1."""
    marks = [integer(f"steps[{i}]", step, low=1) for i, step in enumerate(items("steps", steps))]
    if not marks or any(after <= before for before, after in pairwise(marks)):
        raise ValueError(f"steps must be increasing integers >= 1, at least one, got {marks}")
    return marks
