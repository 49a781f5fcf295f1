"""Sequences of every kind, two of them a user's own, for the tests that must hold for all."""

from dataclasses import dataclass

import numpy as np

import lrsched
from lrsched import (
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    Function,
    Geometric,
    Inverse,
    InverseSqrt,
    InverseTime,
    Linear,
    OneCycle,
    Piecewise,
    Pixels,
    Polynomial,
    Ramp,
    Sawtooth,
    Sequence,
    StepDecay,
    TimeDecay,
    Triangular,
    Values,
    Warmup,
    WarmupStableDecay,
)

PICTURE = np.arange(60, dtype=np.uint8).reshape(5, 4, 3)


@dataclass(frozen=True)
class HalfLife(Sequence):
    """A user's sequence: ½ after `steps` positions."""

    steps: int = 8

    def _at(self, k):
        return 0.5 ** (k / self.steps)


@dataclass(frozen=True)
class Alternate(Sequence):
    """A user's sequence without arguments that returns integers."""

    def _at(self, k):
        return 1 - k % 2


PLAIN = [Constant(), Inverse(), InverseSqrt(), Geometric(0.8), Sawtooth(3), Sawtooth(4, aligned=True), Exponential(0.1)]
PLAIN += [StepDecay(0.5, 3), TimeDecay(0.1), Triangular(3, 4.5), Triangular(3, None, "exp_range", 0.9), Cosine(9, 0.1)]
PLAIN += [Linear(9), Polynomial(9, 1.5, 0.1), Ramp(1e-3, 2, 7), Ramp(0, 5, 11, "linear"), Warmup(5), Warmup(4, 0.2)]
PLAIN += [Piecewise([3, 10], [1, 0.5, 0.1]), Values([0.5, 1, 0.25]), HalfLife(), HalfLife(3)]
PLAIN += [InverseSqrt(4), InverseTime(0.5), Warmup(4, 0.2, "cosine"), Warmup(4, 0.2, "exponential"), Cosine(9, 0.1, 2)]
PLAIN += [CosineRestarts(4), CosineRestarts(3, 2, 0.1), OneCycle(20), OneCycle(21, 0.4, 0.1, 0.01, "linear", True)]
PLAIN += [WarmupStableDecay(3, 4, 5), WarmupStableDecay(0, 0, 9, "cosine", end=0.2)]
PLAIN += [WarmupStableDecay(2, 0, 7, "sqrt", 0.1)]
COMBINED = [Warmup(5) * Inverse(), 2 * Cosine(9), Warmup(4).then(Constant(), at=4).then(Linear(5), at=9)]
COMBINED += [Warmup(4).then(Cosine(9)).then(Inverse()).skipped(2)]
COMBINED += [(Geometric() * Sawtooth()).scaled(3).clipped(0.1, 2), Values([3, 1]).repeated(2).every(3).delayed(2)]


def tenths(k):
    """A user's function."""
    return (k % 10) / 10


BY_DIGEST = [
    Function(tenths),
    Function(tenths, "another name"),
    Pixels(PICTURE, 30),
    Pixels(PICTURE, 600, "serpentine", "gray"),
    Values(np.linspace(1, 0, 33)),
]
EVERY = PLAIN + COMBINED + BY_DIGEST
NAMES = {**vars(lrsched), "HalfLife": HalfLife}
