"""Sequences that repeat in cycles: sawtooth and triangular."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from .._check import choice, flag, integer, number
from ._sequence import Sequence

CycleMode = Literal["triangular", "triangular2", "exp_range"]


@dataclass(frozen=True)
class Sawtooth(Sequence):
    """Teeth that fall in straight lines from an envelope 1/1, 1/2, 1/3, … towards 0.

    With n = k + 1 (the literature's n) and period p: f(k) = (1 − ((n−1) mod p)/p) / (⌊n/p⌋ + 1). In this published
    formula the envelope drops one position before the tooth ends. `aligned=True` uses ⌊(n−1)/p⌋, so that the envelope
    drops when the next tooth starts.

    `Sawtooth(10).every(batches_per_epoch)` falls for 10 epochs, and then restarts from a lower envelope.

    Args:
        period: the number of positions per tooth, an integer ≥ 1.
        aligned: whether the envelope drops when the next tooth starts.

    Raises TypeError or ValueError if an argument is invalid.
    Source: sequence 4 of Yang & Huang (2019), with p = 10.

    >>> from lrsched import Sawtooth
    >>> Sawtooth(4).values(6).tolist()
    [1.0, 0.75, 0.5, 0.125, 0.5, 0.375]
    >>> Sawtooth(4, aligned=True).values(6).tolist()
    [1.0, 0.75, 0.5, 0.25, 0.5, 0.375]
    """

    period: int = 10
    aligned: bool = False

    def __post_init__(self) -> None:
        self._coerce(period=integer("period", self.period, low=1), aligned=flag("aligned", self.aligned))

    def _at(self, k: int) -> float:
        tooth = (k if self.aligned else k + 1) // self.period
        return (1.0 - k % self.period / self.period) / (tooth + 1)


@dataclass(frozen=True)
class Triangular(Sequence):
    """Cycles 0 → 1 → 0: with j = k mod (up + down), f(k) = j/up for j ≤ up, then (up + down − j)/down.

    This is the shape of cyclical learning rates, which `CyclicLR` follows. Mode "triangular2" halves the
    height after each cycle; "exp_range" multiplies f(k) by γᵏ.

    Args:
        up: the number of positions from 0 to 1, > 0.
        down: the number of positions from 1 to 0, ≥ 0; None for the same as `up`.
        mode: "triangular", "triangular2" or "exp_range".
        gamma: the γ of "exp_range", 0 < γ ≤ 1.

    The attribute `period` is up + down. Raises TypeError or ValueError if an argument is invalid.
    Source: Smith (2017), arXiv:1506.01186, section 3.

    >>> from lrsched import Triangular
    >>> Triangular(up=2, mode="triangular2").values(9).tolist()
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.25, 0.5, 0.25, 0.0]
    """

    up: float = 1000
    down: float | None = None
    mode: CycleMode = "triangular"
    gamma: float = 1.0
    period: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        up = _length("up", self.up, above=0.0)
        down = None if self.down is None else _length("down", self.down)
        self._coerce(
            up=up,
            down=down,
            mode=choice("mode", self.mode, get_args(CycleMode)),
            gamma=number("gamma", self.gamma, above=0.0, high=1.0),
            period=up + (up if down is None else down),
        )

    def _at(self, k: int) -> float:
        up, period = self.up, self.period
        position = k % period
        height = position / up if position <= up else (period - position) / (period - up)
        if self.mode == "triangular2":
            halvings = int(min(k // period, 2000))  # ldexp refuses huge exponents; 2000 halvings already give 0
            return math.ldexp(height, -halvings)
        return height if self.mode == "triangular" else height * self.gamma**k


def _length(name: str, value: float, above: float | None = None) -> float:
    """Return a number of positions, as an int if it is whole."""
    length = number(name, value, above=above)
    return int(length) if length.is_integer() else length
