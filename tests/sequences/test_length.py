"""The positions until a finite sequence holds its last value."""

import numpy as np
import pytest

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
    StepDecay,
    TimeDecay,
    Triangular,
    Values,
    Warmup,
    WarmupStableDecay,
)
from tests.sequences.cases import EVERY, HalfLife, tenths

ENDLESS = [Constant(), Inverse(), InverseSqrt(), Geometric(0.8), Sawtooth(3), Exponential(0.1), StepDecay(0.5, 3)]
ENDLESS += [TimeDecay(0.1), Triangular(3, 4), HalfLife(), Warmup(3).repeated(3), Warmup(3) * Inverse()]
ENDLESS += [Warmup(3).then(Inverse(), at=3), Inverse().scaled(2).clipped(0.1), Inverse().delayed(3), Inverse().every(3)]
ENDLESS += [CosineRestarts(4), CosineRestarts(4, 2), InverseTime(0.5), Function(tenths), Inverse().skipped(3)]
FINITE = [
    (Warmup(5, 0.1, "cosine"), 5),
    (WarmupStableDecay(3, 4, 5), 12),
    (WarmupStableDecay(0, 0, 1), 1),
    (OneCycle(20), 20),
    (Cosine(9, cycles=2), 9),
    (Cosine(9).skipped(4), 5),
    (Cosine(9).skipped(12), 0),
    (Warmup(5).then(Cosine(9)), 14),
    (Warmup(5).then(Cosine(9)).then(Values([1, 2])), 16),
    (Warmup(5), 5),
    (Ramp(1e-3, 1, 7), 7),
    (Cosine(9), 9),
    (Linear(1), 1),
    (Polynomial(12, 0.5, 0.1), 12),
    (Values([0.5, 1, 0.25]), 3),
    (Values(np.linspace(1, 0, 33)), 33),
    (Piecewise([3, 10], [1, 0.5, 0.1]), 10),
    (Piecewise([], [1]), 0),
    (Pixels(np.zeros((2, 3)), 6, channels="gray"), 6),
    (Warmup(5) * Cosine(9), 9),
    (Cosine(9) * Warmup(5), 9),
    (Warmup(5).then(Cosine(9), at=20), 29),
    (Inverse().then(Cosine(9), at=20), 29),
    (Warmup(5).then(Cosine(9), at=5).then(Values([1, 2]), at=30), 32),
    (Warmup(5).then(Cosine(9), at=5).then(Values([1, 2]), at=3), 5),
    (2 * Cosine(9), 9),
    (Cosine(9).clipped(0.1, 0.9), 9),
    (Cosine(9).delayed(4), 13),
    (Cosine(9).every(4), 36),
    (Values([3, 1]).every(3).delayed(2).scaled(2).then(Warmup(5), at=9), 14),
]


@pytest.mark.parametrize("sequence", ENDLESS, ids=repr)
def test_an_endless_sequence_has_none(sequence):
    assert sequence.length is None


@pytest.mark.parametrize(("sequence", "length"), FINITE, ids=[repr(sequence) for sequence, _ in FINITE])
def test_a_finite_sequence_by_hand(sequence, length):
    assert sequence.length == length


@pytest.mark.parametrize("sequence", [*EVERY, *(sequence for sequence, _ in FINITE)], ids=repr)
def test_from_its_length_on_a_sequence_holds_its_value(sequence):
    if sequence.length is not None:
        assert {sequence(sequence.length + more) for more in (0, 1, 2, 50, 10**6)} == {sequence(sequence.length)}


@pytest.mark.parametrize("sequence", [Warmup(5), Cosine(9), Linear(7), Polynomial(12), Warmup(3).delayed(4)], ids=repr)
def test_before_its_length_it_has_not_reached_its_last_value(sequence):
    assert sequence(sequence.length - 1) != sequence(sequence.length)
