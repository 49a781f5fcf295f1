import copy
import operator
import pickle
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lrsched
from lrsched import (
    Constant,
    Cosine,
    Exponential,
    Geometric,
    Inverse,
    InverseSqrt,
    Linear,
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
)
from tests.sequences.helpers import FAR_OUT, INF, NAN, NOT_A_FACTOR, NOT_A_NUMBER, NOT_AN_INTEGER, each, exactly, first

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
COMBINED = [Warmup(5) * Inverse(), 2 * Cosine(9), Warmup(4).then(Constant(), at=4).then(Linear(5), at=9)]
COMBINED += [(Geometric() * Sawtooth()).scaled(3).clipped(0.1, 2), Values([3, 1]).repeated(2).every(3).delayed(2)]
BY_DIGEST = [Pixels(PICTURE, 30), Pixels(PICTURE, 600, "serpentine", "gray"), Values(np.linspace(1, 0, 33))]
EVERY = PLAIN + COMBINED + BY_DIGEST
NAMES = {**vars(lrsched), "HalfLife": HalfLife}

by_name = operator.attrgetter("__name__")
every_sequence = pytest.mark.parametrize("seq", EVERY, ids=lambda seq: repr(seq)[:60])


# ---------------------------------------------------------------- calling


@every_sequence
def test_values_equals_calling(seq):
    for n in (0, 1, 2, 31, 500):
        values = seq.values(n)
        assert isinstance(values, np.ndarray)
        assert values.shape == (n,)
        assert values.dtype == np.float64
        assert values.tolist() == first(seq, n)


@every_sequence
def test_returns_a_python_float_for_every_kind_of_integer(seq):
    for k in (np.int64(7), np.uint8(7), torch.tensor(7)):
        assert type(seq(k)) is float
        assert seq(k) == seq(7)
    assert seq.values(np.int64(7)).tolist() == seq.values(7).tolist()


@every_sequence
def test_is_finite_and_not_negative_however_far_out(seq):
    assert all(0.0 <= seq(k) < INF for k in FAR_OUT)


@every_sequence
def test_does_not_depend_on_the_order_of_calls(seq):
    assert [seq(k) for k in reversed(range(60))] == first(seq, 60)[::-1]


@every_sequence
def test_refuses_a_position_below_0(seq):
    with pytest.raises(ValueError, match=r"^k must be an integer >= 0, got -1"):
        seq(-1)
    with pytest.raises(ValueError, match=r"^n must be an integer >= 0, got -1"):
        seq.values(-1)


@every_sequence
def test_refuses_a_position_that_is_not_an_integer(seq):
    for k in (1.0, 0.5, True, np.float64(1), NAN, "1", None, [1]):
        with pytest.raises(TypeError, match=r"^k must be an integer, got "):
            seq(k)
        with pytest.raises(TypeError, match=r"^n must be an integer, got "):
            seq.values(k)


# ---------------------------------------------------------------- combinators


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
    seq = Warmup(500).then(Constant(), at=500).then(Linear(1000), at=9000)
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


# ---------------------------------------------------------------- printing


@pytest.mark.parametrize(
    ("seq", "text"),
    [
        (Constant(), "Constant()"),
        (Geometric(), "Geometric(gamma=0.9)"),
        (Sawtooth(), "Sawtooth(period=10, aligned=False)"),
        (Warmup(5) * Inverse(), "Warmup(steps=5, start=0.0) * Inverse()"),
        (2 * Inverse(), "Inverse().scaled(2.0)"),
        (Inverse().then(Constant(), at=500), "Inverse().then(Constant(), at=500)"),
        (Inverse().clipped(0, 1), "Inverse().clipped(low=0.0, high=1.0)"),
        (Inverse().repeated(3), "Inverse().repeated(3)"),
        (Inverse().delayed(3), "Inverse().delayed(3)"),
        (Inverse().every(3), "Inverse().every(3)"),
        ((Inverse() * Constant()).every(3), "(Inverse() * Constant()).every(3)"),
        (Inverse() * Constant().every(3), "Inverse() * Constant().every(3)"),
        (Constant().then(Inverse() * Inverse(), at=1), "Constant().then(Inverse() * Inverse(), at=1)"),
        (HalfLife(), "HalfLife(steps=8)"),
        (Values([1, 0.5]), "Values([1.0, 0.5])"),
    ],
    ids=str,
)
def test_prints_as_the_call_that_makes_it(seq, text):
    assert repr(seq) == text
    assert eval(text, NAMES) == seq


@pytest.mark.parametrize("seq", PLAIN + COMBINED, ids=repr)
def test_the_printed_form_makes_an_equal_sequence(seq):
    again = eval(repr(seq), NAMES)
    assert type(again) is type(seq)
    assert again == seq
    assert hash(again) == hash(seq)


def test_printed_products_keep_their_grouping():
    a, b, c = Geometric(0.5), Inverse(), Warmup(3)
    for seq in (a * (b * c), (a * b) * c, (2 * a) * b, 2 * (a * b), a * (b * c).then(a * b, at=4), (a * b) * (b * c)):
        assert eval(repr(seq), NAMES) == seq
        assert first(eval(repr(seq), NAMES)) == first(seq)


@every_sequence
def test_prints_short(seq):
    assert len(repr(seq)) < 250


# ---------------------------------------------------------------- equality, copies and types


@every_sequence
def test_pickles_and_copies(seq):
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(seq, protocol))
        assert type(again) is type(seq)
        assert again == seq
        assert hash(again) == hash(seq)
        assert repr(again) == repr(seq)
        assert first(again) == first(seq)
    for again in (copy.copy(seq), copy.deepcopy(seq)):
        assert again == seq
        assert first(again) == first(seq)


def test_no_two_of_them_are_equal():
    for i, one in enumerate(EVERY):
        for j, other in enumerate(EVERY):
            assert (one == other) is (i == j), (one, other)
            assert (one != other) is (i != j), (one, other)
    assert len(set(EVERY)) == len(EVERY)
    assert len({repr(seq) for seq in EVERY}) == len(EVERY)


def test_equals_only_its_own_class():
    assert Cosine(9) != Linear(9)
    assert Exponential(0.1) != TimeDecay(0.1)
    assert Constant() != 1.0
    assert Values([1.0]) != [1.0]
    assert Inverse() != "Inverse()"


def test_equality_depends_on_the_order_of_a_product_and_on_arguments():
    a, b = Inverse(), Warmup(3)
    assert a * b == a * b != b * a
    for method in ("scaled", "repeated", "delayed", "every"):
        assert getattr(a, method)(2) == getattr(a, method)(2) != getattr(a, method)(3)
    assert a.clipped(0, 1) == a.clipped(0, 1) != a.clipped(0, 2)
    assert a.then(b, at=2) == a.then(b, at=2) != a.then(b, at=3)
    assert a.delayed(3) != a.every(3) != a.repeated(3)


@every_sequence
def test_is_frozen(seq):
    for name in (*getattr(seq, "__dataclass_fields__", {}), "note"):
        with pytest.raises(FrozenInstanceError, match=name):
            setattr(seq, name, 1)
    for name in getattr(seq, "__dataclass_fields__", {}):
        with pytest.raises(FrozenInstanceError, match=name):
            delattr(seq, name)


def test_is_abstract_without_a_formula():
    with pytest.raises(TypeError, match=r"abstract.*_at|_at.*"):
        Sequence()


@pytest.mark.parametrize("number", [np.float64, np.float32, torch.tensor, Fraction, np.array], ids=by_name)
def test_real_arguments_become_python_floats(number):
    half = number(0.5)
    found = [Geometric(half).gamma, Exponential(half).decay, StepDecay(half, 3).drop, TimeDecay(half).decay]
    found += [Cosine(5, half).end, Linear(5, half).end, Polynomial(5, half, half).power, Polynomial(5, end=half).end]
    found += [Ramp(half, 1, 5).start, Ramp(1, half, 5).end, Warmup(5, half).start, Triangular(gamma=half).gamma]
    assert [type(value) for value in found] == [float] * len(found)
    assert found == [0.5] * len(found)
    assert repr(Geometric(half).scaled(half).clipped(half, half)) == (
        "Geometric(gamma=0.5).scaled(0.5).clipped(low=0.5, high=0.5)"
    )
    assert repr(Piecewise([3], [half, half])) == repr(Piecewise([3], [0.5, 0.5]))
    assert repr(Values([half, half])) == repr(Values([0.5, 0.5]))


@pytest.mark.parametrize("number", [np.int64, np.uint8, torch.tensor, np.array], ids=by_name)
def test_whole_arguments_become_python_integers(number):
    five = number(5)
    found = [Sawtooth(five).period, StepDecay(0.5, five).interval, Cosine(five).steps, Linear(five).steps]
    found += [Polynomial(five).steps, Ramp(1, 2, five).steps, Warmup(five).steps]
    assert [type(value) for value in found] == [int] * len(found)
    assert found == [5] * len(found)
    seq = Inverse().then(Inverse(), at=five).repeated(five).delayed(five).every(five)
    assert repr(seq) == "Inverse().then(Inverse(), at=5).repeated(5).delayed(5).every(5)"
    assert repr(Piecewise([five], [1, 2])) == repr(Piecewise([5], [1, 2]))
    assert type(Sawtooth(five, aligned=np.True_).aligned) is bool


# ---------------------------------------------------------------- users' own


def test_a_subclass_needs_only_its_formula():
    assert first(HalfLife(2), 5) == pytest.approx([1, 0.5**0.5, 0.5, 0.5**1.5, 0.25])
    assert first(Alternate(), 4) == [1.0, 0.0, 1.0, 0.0]
    assert {type(value) for value in first(Alternate())} == {float}
    assert (Alternate() * HalfLife(1)).values(4).tolist() == [1.0, 0.0, 0.25, 0.0]
    assert Alternate() == Alternate()
    assert first(eval(repr(Alternate().every(2)), {"Alternate": Alternate}), 4) == [1.0, 1.0, 0.0, 0.0]


HIDDEN = ["then", "scaled", "clipped", "repeated", "delayed", "every", "values"]


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize("default", [{}, {"default": 3}], ids=["required", "default"])
def test_a_field_that_hides_a_method_is_refused(name, default):
    def make():
        body = {"__annotations__": {name: int}, "_at": lambda self, k: 1.0}
        if default:
            body[name] = default["default"]
        return dataclass(frozen=True)(type("Hiding", (Sequence,), body))(3)

    with pytest.raises(TypeError, match=rf"^Hiding: the field '{name}' hides Sequence.{name}; rename the field$"):
        make()


# ---------------------------------------------------------------- bad arguments

BAD_TYPES = [
    (Inverse().scaled, {}, "c", NOT_A_NUMBER),
    (Inverse().clipped, {"high": 1}, "low", NOT_A_NUMBER),
    (Inverse().clipped, {"low": 0}, "high", NOT_A_NUMBER),
    (Inverse().repeated, {}, "period", NOT_AN_INTEGER),
    (Inverse().delayed, {}, "m", NOT_AN_INTEGER),
    (Inverse().every, {}, "m", NOT_AN_INTEGER),
    (Inverse().then, {"other": Constant()}, "at", NOT_AN_INTEGER),
    (Inverse().then, {"at": 3}, "other", [None, 1.0, "Inverse()", [1.0], Inverse, abs]),
]
BAD_VALUES = [
    (Inverse().scaled, {}, "c", NOT_A_FACTOR),
    (Inverse().clipped, {"high": 1}, "low", [NAN, INF]),
    (Inverse().clipped, {"low": 0}, "high", [NAN, -0.5]),
    (Inverse().clipped, {"low": 1}, "high", [0.5]),
    (Inverse().repeated, {}, "period", [0, -1]),
    (Inverse().delayed, {}, "m", [-1]),
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
