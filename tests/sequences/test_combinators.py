import copy
import pickle
import re
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsched import (
    Constant,
    Cosine,
    Geometric,
    Inverse,
    Linear,
    Sequence,
    Values,
    Warmup,
)
from tests.sequences.cases import NAMES, PLAIN
from tests.sequences.helpers import INF, NAN, NOT_A_FACTOR, NOT_A_NUMBER, NOT_AN_INTEGER, each, exactly, first


def test_product():
    # Inverse times a warm-up over 3 positions from 0.25
    expected = exactly(0.25, 0.25, 0.25, 0.25, Fraction(1, 5), Fraction(1, 6), Fraction(1, 7))
    assert first(Inverse() * Warmup(3, start=0.25), 7) == expected
    assert first(Warmup(5) * Inverse(), 7) == exactly(
        0, 0.1, Fraction(2, 15), 0.15, 0.16, Fraction(1, 6), Fraction(1, 7)
    )


@pytest.mark.parametrize("two", [2, 2.0, np.float32(2), np.int64(2), np.float64(2), torch.tensor(2.0)], ids=repr)
def test_product_with_a_number_on_either_side_scales(two):
    for seq in (two * Inverse(), Inverse() * two, Inverse().scaled(two)):
        assert isinstance(seq, Sequence)
        assert seq == Inverse().scaled(2.0)
        assert first(seq, 4) == exactly(2, 1, Fraction(2, 3), 0.5)


def test_then_starts_the_second_at_its_own_zero():
    seq = Values([5, 4, 3, 2]).then(Inverse(), at=2)
    assert first(seq, 6) == exactly(5, 4, 1, 0.5, Fraction(1, 3), 0.25)


@pytest.mark.parametrize(
    ("first_part", "length"),
    [
        (Warmup(3), 3),
        (Values([5, 4]), 2),
        (Linear(4).delayed(2), 6),
        (Values([1, 2, 3]).skipped(2), 1),
        (Values([1, 2, 3]).skipped(9), 0),
        (Warmup(3).then(Values([2, 1]), at=9), 11),
        (Warmup(2) * Linear(7), 7),
        ((2 * Warmup(2)).clipped(0, 1).every(3), 6),
    ],
    ids=repr,
)
def test_then_without_at_starts_where_the_first_ends(first_part, length):
    seq = first_part.then(Inverse())
    assert seq == first_part.then(Inverse(), at=None) == first_part.then(Inverse(), at=length)
    assert f", at={length})" in repr(seq)
    assert eval(repr(seq), NAMES) == seq
    assert first(seq, length) == first(first_part, length)
    assert (seq(length), seq(length + 1)) == (1.0, 0.5)


@pytest.mark.parametrize(
    "endless", [Inverse(), Warmup(3).repeated(3), Warmup(3).then(Constant()), Inverse().skipped(1)], ids=repr
)
def test_then_needs_at_after_an_endless_sequence(endless):
    message = rf"^at must be given, because {re.escape(repr(endless))} .* never ends: write \.then\(…, at=k\)$"
    with pytest.raises(ValueError, match=message):
        endless.then(Constant())


def test_skipped_leaves_out_the_first_positions():
    assert first(Values([3, 2, 1]).skipped(1), 4) == exactly(2, 1, 1, 1)
    assert first(Inverse().skipped(3), 2) == exactly(Fraction(1, 4), Fraction(1, 5))
    assert first(Inverse().delayed(2).skipped(2), 9) == first(Inverse(), 9)
    assert first(Cosine(9).skipped(0), 9) == first(Cosine(9), 9)


def test_clipped():
    assert first(Inverse().clipped(0.25, 0.5), 7) == exactly(0.5, 0.5, Fraction(1, 3), 0.25, 0.25, 0.25, 0.25)
    assert first(Inverse().clipped(low=0.3, high=0.3), 3) == exactly(0.3, 0.3, 0.3)


def test_repeated():
    assert first(Values([3, 2, 1]).repeated(2), 5) == exactly(3, 2, 3, 2, 3)
    assert first(Values([3, 2, 1]).repeated(5), 12) == exactly(3, 2, 1, 1, 1, 3, 2, 1, 1, 1, 3, 2)
    assert first(Inverse().repeated(1), 3) == exactly(1, 1, 1)


def test_delayed_holds_the_first_value_longer():
    assert first(Values([3, 2, 1]).delayed(2), 6) == exactly(3, 3, 3, 2, 1, 1)


def test_every_advances_once_in_m_positions():
    assert first(Values([3, 2, 1]).every(2), 7) == exactly(3, 3, 2, 2, 1, 1, 1)
    assert first(Values([3, 2, 1]).every(1), 4) == exactly(3, 2, 1, 1)


def test_combinators_nest():
    seq = Values([4, 2]).repeated(2).every(2).delayed(1).then(10 * Inverse(), at=6).clipped(0, 8)
    assert first(seq, 10) == exactly(4, 4, 4, 2, 2, 4, 8, 5, Fraction(10, 3), 2.5)


def test_warmup_stable_decay():
    seq = Warmup(500).then(Constant()).then(Linear(1000), at=9000)
    positions = [0, 1, 250, 499, 500, 5000, 8999, 9000, 9001, 9500, 9999, 10_000, 10**9]
    expected = exactly(0, 0.002, 0.5, 0.998, 1, 1, 1, 1, 0.999, 0.5, 0.001, 0, 0)
    assert [seq(k) for k in positions] == expected


def test_a_sequence_per_epoch_stepped_per_batch():
    seq = Geometric(0.5).every(100)
    assert [seq(k) for k in (0, 99, 100, 199, 200, 1000)] == [1, 1, 0.5, 0.5, 0.25, 0.5**10]


class Scheduler:
    """An object that is not a number, such as a scheduler in place of its sequence."""

    def __repr__(self):
        return "Scheduler()"


@pytest.mark.parametrize(
    "other", ["2", None, [2], abs, 1j, True, np.ones(2), torch.ones(2), Inverse, Scheduler()], ids=repr
)
def test_product_says_what_a_sequence_can_be_multiplied_by(other):
    message = rf"^a Sequence can be multiplied by another Sequence or by a number, got {re.escape(repr(other))} \("
    with pytest.raises(TypeError, match=message):
        Inverse() * other
    with pytest.raises(TypeError, match=message):
        other * Inverse()


def test_a_function_that_can_multiply_itself_decides_about_the_product():
    class Function:
        def __call__(self, k):
            return 1.0

        def __rmul__(self, other):
            return "my product"

    assert Inverse() * Function() == "my product"


@pytest.mark.parametrize("number", [NAN, INF, -1], ids=repr)
def test_product_refuses_numbers_that_are_not_factors(number):
    message = r"^the number that multiplies a Sequence must be finite, >= 0, got "
    with pytest.raises(ValueError, match=message):
        number * Inverse()
    with pytest.raises(ValueError, match=message):
        Inverse() * number


# ---------------------------------------------------------------- random expressions against plain functions


def combine(inner):
    """Return a strategy for pairs of a sequence and the same plain function, from a strategy for the inner pairs."""
    few, number = st.integers(1, 12), st.floats(0.01, 10)

    def one(method: str, rule: Callable, *arguments):
        return st.builds(lambda pair, *x: (getattr(pair[0], method)(*x), rule(pair[1], *x)), inner, *arguments)

    return st.one_of(
        st.builds(lambda a, b: (a[0] * b[0], lambda k: a[1](k) * b[1](k)), inner, inner),
        st.builds(lambda c, a: (c * a[0], lambda k: c * a[1](k)), number, inner),
        st.builds(
            lambda a, b, m: (a[0].then(b[0], at=m), lambda k: a[1](k) if k < m else b[1](k - m)), inner, inner, few
        ),
        st.builds(
            lambda a, low, width: (
                a[0].clipped(low, low + width),
                lambda k: min(max(a[1](k), low), low + width),
            ),
            inner,
            number,
            number,
        ),
        one("scaled", lambda f, c: lambda k: f(k) * c, number),
        one("repeated", lambda f, m: lambda k: f(k % m), few),
        one("delayed", lambda f, m: lambda k: f(max(0, k - m)), few),
        one("every", lambda f, m: lambda k: f(k // m), few),
    )


expressions = st.recursive(st.sampled_from(PLAIN).map(lambda seq: (seq, seq)), combine, max_leaves=8)


@settings(deadline=None)
@given(expressions)
def test_expressions_have_the_values_of_plain_functions(pair):
    seq, function = pair
    expected = [function(k) for k in range(40)]
    assert first(seq, 40) == pytest.approx(expected, rel=1e-12, abs=0)
    assert seq.values(40).tolist() == first(seq, 40)


@settings(deadline=None)
@given(expressions)
def test_expressions_print_as_the_calls_that_make_them(pair):
    seq, _ = pair
    again = eval(repr(seq), NAMES)
    assert again == seq
    assert hash(again) == hash(seq)
    assert repr(again) == repr(seq)
    assert first(again) == first(seq)


@settings(deadline=None)
@given(expressions)
def test_expressions_pickle_and_copy(pair):
    seq, _ = pair
    for again in (pickle.loads(pickle.dumps(seq)), copy.copy(seq), copy.deepcopy(seq)):
        assert again == seq
        assert hash(again) == hash(seq)
        assert first(again, 5) == first(seq, 5)


# ---------------------------------------------------------------- bad arguments

BAD_TYPES = [
    (Inverse().scaled, {}, "c", NOT_A_NUMBER),
    (Inverse().clipped, {"high": 1}, "low", NOT_A_NUMBER),
    (Inverse().clipped, {"low": 0}, "high", NOT_A_NUMBER),
    (Inverse().repeated, {}, "period", NOT_AN_INTEGER),
    (Inverse().delayed, {}, "m", NOT_AN_INTEGER),
    (Inverse().skipped, {}, "m", NOT_AN_INTEGER),
    (Inverse().every, {}, "m", NOT_AN_INTEGER),
    (Inverse().then, {"other": Constant()}, "at", [value for value in NOT_AN_INTEGER if value is not None]),
    (Inverse().then, {"at": 3}, "other", [None, 1.0, "Inverse()", [1.0], Inverse, abs]),
]
BAD_VALUES = [
    (Inverse().scaled, {}, "c", NOT_A_FACTOR),
    (Inverse().clipped, {"high": 1}, "low", [NAN, INF]),
    (Inverse().clipped, {"low": 0}, "high", [NAN, -0.5]),
    (Inverse().clipped, {"low": 1}, "high", [0.5]),
    (Inverse().repeated, {}, "period", [0, -1]),
    (Inverse().delayed, {}, "m", [-1]),
    (Inverse().skipped, {}, "m", [-1]),
    (Inverse().every, {}, "m", [0, -1]),
    (Inverse().then, {"other": Constant()}, "at", [-1]),
]


@pytest.mark.parametrize(("call", "others", "name", "value"), each(BAD_TYPES))
def test_refuses_the_wrong_type_and_names_the_argument(call, others, name, value):
    with pytest.raises(TypeError, match=rf"^{name}\b.* must "):
        call(**others, **{name: value})


@pytest.mark.parametrize(("call", "others", "name", "value"), each(BAD_VALUES))
def test_refuses_the_wrong_value_and_names_the_argument(call, others, name, value):
    with pytest.raises(ValueError, match=rf"^{name}\b.* must "):
        call(**others, **{name: value})


def test_then_says_that_it_needs_a_sequence():
    with pytest.raises(TypeError, match=r"^other must be a Sequence, got 'Inverse\(\)' \(str\)$"):
        Inverse().then("Inverse()", at=3)
