"""The one-cycle policy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

from .._check import choice, flag, integer, number
from ._sequence import Sequence
from ._shapes import between, half_cosine, straight

OneCycleShape = Literal["cosine", "linear"]

_FALLS = {"cosine": half_cosine, "linear": straight}


@dataclass(frozen=True)
class OneCycle(Sequence):
    """A rise from `start` to 1 and a longer fall to `end`, within `steps` positions (super-convergence).

    Two phases, start → 1 and 1 → end, end at k₁ = rise·steps − 1 and k = steps − 1. With `three_phase` they are
    start → 1, 1 → start and start → end, and end at k₁, k₂ = 2·rise·steps − 2 and steps − 1. In the phase from
    (k_a, a) to (k_b, b), with x = (k − k_a)/(k_b − k_a),
    cosine: f(k) = b + (a − b)·(1 + cos(π·x))/2; linear: f(k) = a + (b − a)·x.

    These are the learning rates of torch's OneCycleLR as factors of `max_lr`, with total_steps = steps,
    pct_start = rise, div_factor = 1/start and final_div_factor = start/end. Step it by the batch, and set the
    optimizer's learning rate to the highest one: `SequenceLR(optimizer, OneCycle(epochs * len(loader)))`. The class
    `OneCycleLR` also cycles the momentum.

    Args:
        steps: the number of positions, including both ends, an integer ≥ 1.
        rise: the share of `steps` in which the factor rises to 1, in [0, 1]. As in torch, a rise of less than two
            positions does not start at `start`, and a rise of less than one position is left out.
        start: the factor at k = 0, ≥ 0.
        end: the factor at k = steps − 1, ≥ 0, which holds after that.
        shape: "cosine" or "linear".
        three_phase: whether to fall back to `start` as fast as the factor rose, before the fall to `end`.

    Raises TypeError or ValueError if an argument is invalid.
    Source: Smith & Topin (2018), arXiv:1708.07120, section 3; torch's OneCycleLR.

    >>> from lrsched import OneCycle
    >>> OneCycle(10, rise=0.4, start=0.1, end=0.0, shape="linear").values(11).round(3).tolist()
    [0.1, 0.4, 0.7, 1.0, 0.833, 0.667, 0.5, 0.333, 0.167, 0.0, 0.0]
    """

    steps: int
    rise: float = 0.3
    start: float = 1 / 25
    end: float = 4e-6
    shape: OneCycleShape = "cosine"
    three_phase: bool = False

    def __post_init__(self) -> None:
        self._coerce(
            steps=integer("steps", self.steps, low=1),
            rise=number("rise", self.rise, high=1.0),
            start=number("start", self.start),
            end=number("end", self.end),
            shape=choice("shape", self.shape, get_args(OneCycleShape)),
            three_phase=flag("three_phase", self.three_phase),
        )

    @property
    def length(self) -> int:
        return self.steps

    def _at(self, k: int) -> float:
        k = min(k, self.steps - 1)
        begin, value = 0.0, self.start
        for stop, target in self._phases:
            if k <= stop:
                span = stop - begin
                height = _FALLS[self.shape](k - begin, span) if span else 0.0
                return between(value, target, height)
            begin, value = stop, target
        return self.end

    @cached_property
    def _phases(self) -> list[tuple[float, float]]:
        """Return where each phase ends, and the factor there. An end may lie before 0, or before the previous one."""
        top, last = self.rise * self.steps - 1.0, self.steps - 1.0
        if self.three_phase:
            return [(top, 1.0), (2.0 * self.rise * self.steps - 2.0, self.start), (last, self.end)]
        return [(top, 1.0), (last, self.end)]
