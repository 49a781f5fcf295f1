"""Warm-up, alone and followed by a stable phase and a decay."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from .._check import choice, integer, number
from ._sequence import Sequence, printed
from ._shapes import descent, half_cosine, rise, square_root, straight

WarmupShape = Literal["linear", "cosine", "exponential"]
DecayShape = Literal["linear", "cosine", "sqrt"]

_FALLS = {"linear": straight, "cosine": half_cosine, "sqrt": square_root}


@dataclass(frozen=True, repr=False)
class Warmup(Sequence):
    """A rise from `start` to 1 over `steps` positions; 1 from k = steps.

    With x = k/steps:
    linear: f(k) = start + (1 − start)·x; cosine: f(k) = start + (1 − start)·(1 − cos(π·x))/2;
    exponential: f(k) = start^(1 − x), so that each factor has the same ratio to the previous one.

    `Warmup(500).then(Cosine(9_500))` warms up first; `Warmup(500) * Cosine(10_000)` warms up while the cosine runs.

    Args:
        steps: the position at which the factor reaches 1, an integer ≥ 1.
        start: the factor at k = 0, in [0, 1]; > 0 for "exponential".
        shape: "linear", "cosine" or "exponential".

    Raises TypeError or ValueError if an argument is invalid.
    Source: Goyal et al. (2017), arXiv:1706.02677, section 2.2 ("gradual warmup"; linear there).

    >>> from lrsched import Warmup
    >>> Warmup(4).values(6).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    >>> Warmup(2, start=0.01, shape="exponential").values(3).round(6).tolist()
    [0.01, 0.1, 1.0]
    """

    steps: int
    start: float = 0.0
    shape: WarmupShape = "linear"

    def __post_init__(self) -> None:
        shape = choice("shape", self.shape, get_args(WarmupShape))
        start = number("start", self.start, high=1.0)
        if shape == "exponential" and start == 0.0:
            raise ValueError(f"start must be > 0 for the shape 'exponential', got {start}: try start=0.01")
        self._coerce(steps=integer("steps", self.steps, low=1), start=start, shape=shape)

    def __repr__(self) -> str:
        return printed(self, unless_default="shape")

    @property
    def length(self) -> int:
        return self.steps

    def _at(self, k: int) -> float:
        if k >= self.steps:
            return 1.0
        if self.shape == "exponential":
            return math.pow(self.start, 1.0 - k / self.steps)
        if self.shape == "cosine":
            return descent(self.start, math.sin(math.pi * k / (2 * self.steps)) ** 2)  # sin²(x/2) = (1 − cos x)/2
        return rise(self.start, k, self.steps)


@dataclass(frozen=True)
class WarmupStableDecay(Sequence):
    """A linear rise from `start` to 1, a stable phase at 1, and a decay to `end` ("WSD", "trapezoidal").

    f(k) = start + (1 − start)·k/warmup for k < warmup; 1 for the next `stable` positions; then, with
    x = (k − warmup − stable)/decay, f(k) = end + (1 − end)·h(x) for x ≤ 1, where h(x) is
    linear: 1 − x; cosine: (1 + cos(π·x))/2; sqrt: 1 − √x. After that, `end`.

    `WarmupStableDecay(500, 8_500, 1_000, shape="sqrt")` trains at the full rate until the last tenth of 10,000 steps.
    A run can be extended by making `stable` longer before the decay begins.

    Args:
        warmup: the number of positions of the rise, an integer ≥ 0.
        stable: the number of positions of the stable phase, an integer ≥ 0.
        decay: the number of positions of the decay, an integer ≥ 1.
        shape: "linear", "cosine" or "sqrt", the shape of the decay.
        start: the factor at k = 0 if there is a warm-up, in [0, 1].
        end: the last factor, ≥ 0.

    Raises TypeError or ValueError if an argument is invalid.
    Source: Hu et al. (2024), arXiv:2404.06395, section 4; Hägele et al. (2024), arXiv:2405.18392, for "sqrt";
    transformers' get_wsd_schedule, whose `min_lr_ratio` is both `start` and `end`.

    >>> from lrsched import WarmupStableDecay
    >>> WarmupStableDecay(2, 3, 4).values(11).tolist()
    [0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """

    warmup: int
    stable: int
    decay: int
    shape: DecayShape = "linear"
    start: float = 0.0
    end: float = 0.0

    def __post_init__(self) -> None:
        self._coerce(
            warmup=integer("warmup", self.warmup),
            stable=integer("stable", self.stable),
            decay=integer("decay", self.decay, low=1),
            shape=choice("shape", self.shape, get_args(DecayShape)),
            start=number("start", self.start, high=1.0),
            end=number("end", self.end),
        )

    @property
    def length(self) -> int:
        return self.warmup + self.stable + self.decay

    def _at(self, k: int) -> float:
        if k < self.warmup:
            return rise(self.start, k, self.warmup)
        decayed = k - self.warmup - self.stable
        if decayed <= 0:
            return 1.0
        return descent(self.end, _FALLS[self.shape](min(decayed, self.decay), self.decay))
