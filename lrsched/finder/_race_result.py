"""Race: the result of race(): the winner, and the losses of all members."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch.optim import Optimizer

from .._check import choice, integer, items, number
from ..ensembles._ensemble import Method
from ._drawings import notebook_png
from ._json import json_text, json_values
from ._race_drawing import draw_race
from ._sweep_result import checked_lrs


@dataclass(frozen=True)
class Retreat:
    """A member that left the race, as it was then: what `Race.retreat` goes back to.

    Args:
        lr: its learning rate.
        position: the steps it had taken.
        restore: puts its weights, buffers and optimizer state, and the random state, in place of the winner's.
    """

    lr: float
    position: int
    restore: Callable[[], object]


class Race:
    """The winner of a race, which is the training so far, and the losses of all members; `race` returns it.

        start = race(model, make_optimizer, loss_fn, batches, sequence, steps=steps, eval_batches=valid)
        scheduler = SequenceLR(start.optimizer, sequence, last_epoch=start.position - 1)
        for batch in islice(start.batches, steps - start.position):
            ...  # the training loop; the model has the winner's weights

    Attributes:
        lr: the winner's learning rate, for the first param group: its rate at position k is lr · sequence(k).
        position: the optimizer steps that the model has taken.
        optimizer: the winner's optimizer, with its state; its groups have `initial_lr` = lr (times their ratio) and
            `lr` = the rate at `position`. None after `from_json`.
        batches: an iterator over the batches that follow, to the end of the present pass. None after `from_json`.
        lrs: the learning rates of the members, shape (members,).
        marks: the steps after which members left, increasing, shape (rungs,).
        losses: what each member was judged by at each mark, shape (members, rungs); NaN once it was out.
        method: how members were trained: "side by side" or "one after another".
        reason: who won and by how much, what is in doubt, and why members were trained one after another.

    >>> import math
    >>> from lrsched import Race
    >>> start = Race([0.1, 1.0], [4, 8], [[0.5, 0.3], [0.9, math.nan]], lr=0.1, position=8)
    >>> start
    Race(2 rates from 0.1 to 1, one after another, lr=0.1, position=8)
    """

    optimizer: Optimizer | None
    batches: Iterator[Any] | None

    def __init__(
        self,
        lrs: Sequence[float] | np.ndarray,
        marks: Sequence[int] | np.ndarray,
        losses: ArrayLike,
        lr: float,
        position: int,
        method: Method = "one after another",
        reason: str = "",
        *,
        optimizer: Optimizer | None = None,
        batches: Iterator[Any] | None = None,
        retreats: Sequence[Retreat] = (),
    ) -> None:
        self.lrs: NDArray[np.float64] = np.array(checked_lrs(lrs))
        self.marks: NDArray[np.int64] = np.array(_checked_marks(marks))
        self.losses: NDArray[np.float64] = np.array(losses, dtype=np.float64)
        shape = len(self.lrs), len(self.marks)
        if self.losses.shape != shape:
            raise ValueError(f"losses must have shape (members, rungs) = {shape}, got {self.losses.shape}")
        for array in (self.lrs, self.marks, self.losses):
            array.flags.writeable = False
        self.lr = number("lr", lr, above=0.0)
        self.position = integer("position", position, low=1)
        self.method: Method = choice("method", method, get_args(Method))
        self.reason = reason
        self.optimizer = optimizer
        self.batches = batches
        self._retreats = [*retreats]  # in ascending order of their rates

    def __repr__(self) -> str:
        tried = f"{len(self.lrs)} rates from {min(self.lrs):.3g} to {max(self.lrs):.3g}"
        return f"Race({tried}, {self.method}, lr={self.lr:.3g}, position={self.position})"

    def _repr_png_(self) -> bytes | None:
        return notebook_png(self.plot)

    def retreat(self) -> None:
        """Go back to the next lower learning rate, at the last mark at which it was in the race.

        Call it if the loss of your loop diverges. It puts that member's weights, buffers and optimizer state into the
        same model and optimizer, sets the random state of that time, and updates `lr`, `position` and the optimizer's
        learning rates. Then make a new scheduler, as after the race, and continue from `position`. The data are not
        rewound: `batches` continues where it is.

        Raises RuntimeError, and changes nothing, if no lower rate is left.
        """
        if self.optimizer is None:
            raise RuntimeError("retreat() needs the model and its optimizer, and this race was read from JSON")
        if not self._retreats:
            raise RuntimeError(f"retreat(): no rate below {self.lr:g} is left; race again with lower lrs")
        target = self._retreats.pop()
        target.restore()
        self.lr, self.position = target.lr, target.position
        self.reason = f"{self.reason}; went back to {self.lr:g} at step {self.position}"

    def plot(self, ax: Any = None) -> Any:
        """Draw the losses over the learning rates, one line per mark, and return the matplotlib axes.

        Crosses mark the members that were dropped, a vertical line the winner. `ax` is the axes to draw into; None
        makes new ones.
        """
        return draw_race(self.lrs, self.losses, [f"{mark}" for mark in self.marks], self.lr, ax=ax)

    def to_json(self) -> str:
        """Return the race, without model and optimizer, as JSON text, with null for NaN; `from_json` reads it back."""
        names = ("lrs", "marks", "losses", "lr", "position", "method", "reason")
        return json_text(**{name: getattr(self, name) for name in names})

    @classmethod
    def from_json(cls, text: str | bytes) -> Race:
        """Return the race that `to_json` wrote, without model and optimizer. Raises ValueError if it is not a race."""
        required = ("lrs", "marks", "losses", "lr", "position")
        return cls(**json_values(text, "race", required, ("method", "reason")))


def _checked_marks(marks: object) -> list[int]:
    """Return the numbers of steps as ints, after checking that there is one and that they increase from ≥ 1."""
    steps = [integer(f"marks[{i}]", mark, low=1) for i, mark in enumerate(items("marks", marks))]
    if not steps or any(after <= before for before, after in pairwise(steps)):
        raise ValueError(f"marks must be increasing integers >= 1, at least one, got {steps}")
    return steps
