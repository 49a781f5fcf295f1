import copy
import math
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
from torch.optim import lr_scheduler

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
from tests.helpers import make_optimizer

NAN, INF = math.nan, math.inf
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

every_sequence = pytest.mark.parametrize("seq", EVERY, ids=lambda seq: repr(seq)[:60])


def first(seq, n=31):
    return [seq(k) for k in range(n)]


def exactly(*values):
    return pytest.approx([float(value) for value in values], rel=1e-14, abs=0)


# ---------------------------------------------------------------- hand-worked values, k = 0 … 30


def test_constant():
    assert first(Constant()) == [1.0] * 31


def test_warmup():
    assert first(Warmup(5)) == exactly(0, 0.2, 0.4, 0.6, 0.8, *[1] * 26)
    assert first(Warmup(4, start=0.2)) == exactly(0.2, 0.4, 0.6, 0.8, *[1] * 27)
    assert first(Warmup(1)) == exactly(0, *[1] * 30)
    assert first(Warmup(30)) == exactly(*[Fraction(k, 30) for k in range(31)])


@pytest.mark.parametrize(("steps", "start"), [(3, 0.25), (100, 0.1), (7, 1 / 3)])
def test_warmup_equals_torch(steps, start):
    scheduler = lr_scheduler.LinearLR(make_optimizer([1.0]), start_factor=start, total_iters=steps)
    for k in range(2 * steps):
        scheduler.last_epoch = k
        assert [Warmup(steps, start)(k)] == pytest.approx(scheduler._get_closed_form_lr(), rel=1e-12)


def test_ramp():
    assert first(Ramp(1e-3, 1, 4), 6) == exactly(0.001, 0.01, 0.1, 1, 1, 1)
    assert first(Ramp(1024, 1, 11)) == exactly(1024, 512, 256, 128, 64, 32, 16, 8, 4, 2, *[1] * 21)
    assert first(Ramp(1, 2**30, 31)) == exactly(*[2**k for k in range(31)])
    assert first(Ramp(0, 5, 11, scale="linear")) == exactly(0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, *[5] * 21)
    assert first(Ramp(3, 0, 31, scale="linear")) == pytest.approx([3 - k / 10 for k in range(31)], abs=1e-15)
    assert first(Ramp(2, 7, 2, scale="linear")) == exactly(2, *[7] * 30)


@pytest.mark.parametrize("scale", ["log", "linear"])
@pytest.mark.parametrize(("start", "end", "steps"), [(1e-7, 10, 100), (0.1, 0.3, 7), (3, 3, 5), (0.7, 0.1, 2)])
def test_ramp_meets_both_ends_exactly(start, end, steps, scale):
    seq = Ramp(start, end, steps, scale=scale)
    assert (seq(0), seq(steps - 1), seq(steps), seq(10**15)) == (start, end, end, end)
    space = np.geomspace if scale == "log" else np.linspace
    assert seq.values(steps) == pytest.approx(space(start, end, steps), rel=1e-12)


def test_piecewise():
    assert first(Piecewise([3, 10], [1, 0.5, 0.1])) == [1.0] * 3 + [0.5] * 7 + [0.1] * 21
    assert first(Piecewise(boundaries=[1], values=[0, 2])) == [0.0] + [2.0] * 30


def test_values():
    assert first(Values([0.5, 1, 0.25])) == [0.5, 1.0] + [0.25] * 29
    assert first(Values([3])) == [3.0] * 31
    assert first(Values(range(31))) == [float(k) for k in range(31)]


@pytest.mark.parametrize(
    ("seq", "last", "value"),
    [
        (Warmup(500), 500, 1.0),
        (Ramp(1, 0.01, 500), 499, 0.01),
        (Piecewise([500], [1, 0.3]), 500, 0.3),
        (Values(np.linspace(1, 0.2, 500)), 499, 0.2),
        (Piecewise([2, 5], [1, 0.4, 0.3]) * Values([2, 3]), 5, 0.3 * 3),
    ],
)
def test_holds_its_last_value(seq, last, value):
    assert seq(last - 1) != seq(last) == value
    assert {seq(last + j) for j in (1, 2, 1000, 10**6, 10**9, 10**15)} == {value}


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
    assert all(0.0 <= seq(k) < INF for k in (10**6, 10**6 + 1, 10**9, 10**9 + 7, 10**15, 10**15 + 1))


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
def test_refuses_a_position_that_is_no_integer(seq):
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


def test_warm_restarts_equal_torch():
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(make_optimizer([1.0]), T_0=100)
    seq = Cosine(100).repeated(100)
    for k in range(350):
        assert [seq(k)] == pytest.approx(scheduler.get_last_lr(), rel=1e-12)
        scheduler.optimizer.step()
        scheduler.step()


def test_a_sequence_per_epoch_stepped_per_batch():
    seq = Geometric(0.5).every(100)
    assert [seq(k) for k in (0, 99, 100, 199, 200, 1000)] == [1, 1, 0.5, 0.5, 0.25, 0.5**10]


@pytest.mark.parametrize("other", ["2", None, [2], abs, 1j, True, np.ones(2), torch.ones(2)], ids=repr)
def test_product_refuses_what_is_neither_sequence_nor_number(other):
    with pytest.raises(TypeError, match=r"must be|unsupported operand|can't multiply"):
        Inverse() * other
    with pytest.raises(TypeError, match=r"must be|unsupported operand|can't multiply"):
        other * Inverse()


@pytest.mark.parametrize("number", [NAN, INF, -1], ids=repr)
def test_product_refuses_numbers_that_are_no_factor(number):
    with pytest.raises(ValueError, match=r"must be finite, >= 0, got "):
        number * Inverse()


# ---------------------------------------------------------------- random expressions against plain functions


def combine(inner):
    """Strategy for (sequence, the same as a plain function) from one for the inner ones."""
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


def test_values_print_up_to_32_entries_and_a_digest_above():
    assert eval(repr(Values(range(32))), NAMES) == Values(range(32))
    long = repr(Values(range(33)))
    assert re.search(r"\b33\b", long)
    assert re.search(r"sha256\W+[0-9a-f]{8,64}", long)
    assert len(long) < 150
    assert repr(Values(range(33))) == long
    assert repr(Values([*range(32), 32.001])) != long
    assert repr(Values(range(34))) != long


@every_sequence
def test_prints_short(seq):
    assert len(repr(seq)) < 250


# ---------------------------------------------------------------- values of their own kind


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


def test_equals_nothing_but_its_own_class():
    assert Cosine(9) != Linear(9)
    assert Exponential(0.1) != TimeDecay(0.1)
    assert Constant() != 1.0
    assert Values([1.0]) != [1.0]
    assert Inverse() != "Inverse()"


def test_order_of_a_product_and_arguments_of_combinators_count():
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


@pytest.mark.parametrize("number", [np.float64, np.float32, lambda x: torch.tensor(x), Fraction, np.array])
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


@pytest.mark.parametrize("number", [np.int64, np.uint8, lambda x: torch.tensor(x), np.array])
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


@pytest.mark.parametrize("make", [list, tuple, np.array, torch.tensor, iter], ids=repr)
def test_lists_may_be_any_iterable_of_numbers(make):
    assert Values(make([1.0, 0.5, 0.25])) == Values([1.0, 0.5, 0.25])
    assert Piecewise(make([2, 5]), [1, 0.5, 0.25]) == Piecewise([2, 5], [1, 0.5, 0.25])
    assert Piecewise([2, 5], make([1.0, 0.5, 0.25])) == Piecewise([2, 5], [1.0, 0.5, 0.25])


def test_is_not_changed_through_the_callers_list():
    numbers, boundaries = [1.0, 0.5], [3]
    array = np.array(numbers)
    sequences = Values(numbers), Values(array), Piecewise(boundaries, numbers), Piecewise(boundaries, array)
    before = [first(seq) for seq in sequences]
    numbers[0] = array[0] = boundaries[0] = 9
    assert [first(seq) for seq in sequences] == before


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
def test_a_field_must_not_hide_a_method(name, default):
    def make():
        body = {"__annotations__": {name: int}, "_at": lambda self, k: 1.0}
        if default:
            body[name] = default["default"]
        return dataclass(frozen=True)(type("Hiding", (Sequence,), body))(3)

    with pytest.raises(TypeError, match=rf"\b{name}\b"):
        make()


# ---------------------------------------------------------------- bad arguments

NO_NUMBER = [None, "0.5", [0.5], True, 1j, np.array([0.5, 0.5]), torch.tensor([0.5, 0.5])]
NO_FACTOR = [NAN, INF, -INF, -0.5]
NO_COUNT = [None, "5", [5], True, 2.5, 5.0, NAN]

BAD_KINDS = [
    ("steps", NO_COUNT, Warmup),
    ("start", NO_NUMBER, lambda x: Warmup(5, x)),
    ("start", NO_NUMBER, lambda x: Ramp(x, 1, 5)),
    ("end", NO_NUMBER, lambda x: Ramp(1, x, 5)),
    ("steps", NO_COUNT, lambda x: Ramp(1, 2, x)),
    ("scale", [None, 1], lambda x: Ramp(1, 2, 5, x)),
    ("boundaries", [None, 5, "35", np.array(3), [2.5], [True], ["3"], [None]], lambda x: Piecewise(x, [1, 2])),
    ("values", [None, 5, "12", b"12", ["a", 1], [None, 1], [[1, 2], [3, 4]], [True, 1]], lambda x: Piecewise([3], x)),
    ("values", [None, 5, "12", b"12", ["a"], [None], [[1, 2]], np.ones((2, 2)), [1j], [True]], Values),
    ("values", [bytearray(b"12"), np.array(5.0), torch.tensor(5.0)], Values),
    ("c", NO_NUMBER, Inverse().scaled),
    ("low", NO_NUMBER, lambda x: Inverse().clipped(x, 1)),
    ("high", NO_NUMBER, lambda x: Inverse().clipped(0, x)),
    ("period", NO_COUNT, Inverse().repeated),
    ("m", NO_COUNT, Inverse().delayed),
    ("m", NO_COUNT, Inverse().every),
    ("at", NO_COUNT, lambda x: Inverse().then(Constant(), at=x)),
]
BAD_VALUES = [
    ("steps", [0, -1], Warmup),
    ("start", NO_FACTOR, lambda x: Warmup(5, x)),
    ("start", NO_FACTOR, lambda x: Ramp(x, 1, 5, "linear")),
    ("end", NO_FACTOR, lambda x: Ramp(1, x, 5, "linear")),
    ("start", [*NO_FACTOR, 0], lambda x: Ramp(x, 1, 5)),
    ("end", [*NO_FACTOR, 0], lambda x: Ramp(1, x, 5)),
    ("steps", [1, 0, -1], lambda x: Ramp(1, 2, x)),
    ("scale", ["", "cubic", "LOG"], lambda x: Ramp(1, 2, 5, x)),
    ("boundaries", [[0], [-1]], lambda x: Piecewise(x, [1, 2])),
    ("boundaries", [[3, 3], [5, 3]], lambda x: Piecewise(x, [1, 2, 3])),
    ("values", [[], [1], [1, 2, 3], [1, NAN], [1, INF], [-1, 1]], lambda x: Piecewise([3], x)),
    ("values", [[], (), [1, NAN], [INF], [1, -0.1], np.array([])], Values),
    ("c", NO_FACTOR, Inverse().scaled),
    ("low", [NAN, INF], lambda x: Inverse().clipped(x, 1)),
    ("high", [NAN, -0.5], lambda x: Inverse().clipped(0, x)),
    ("high|low", [0.5], lambda x: Inverse().clipped(1, x)),
    ("period", [0, -1], Inverse().repeated),
    ("m", [-1], Inverse().delayed),
    ("m", [0, -1], Inverse().every),
    ("at", [-1], lambda x: Inverse().then(Constant(), at=x)),
]


def each(table):
    """Turn (name, values, function) into one parameter set a value."""
    return [pytest.param(name, v, make, id=f"{i}-{name}-{v!r}") for i, (name, vs, make) in enumerate(table) for v in vs]


@pytest.mark.parametrize(("name", "value", "make"), each(BAD_KINDS))
def test_refuses_the_wrong_kind_and_names_the_argument(name, value, make):
    with pytest.raises(TypeError, match=rf"^({name})\b.* must "):
        make(value)


@pytest.mark.parametrize(("name", "value", "make"), each(BAD_VALUES))
def test_refuses_the_wrong_value_and_names_the_argument(name, value, make):
    with pytest.raises(ValueError, match=rf"^({name})\b.* must "):
        make(value)


@pytest.mark.parametrize("other", [None, 1.0, "Inverse()", [1.0], lambda k: 1.0], ids=repr)
def test_then_refuses_what_is_no_sequence(other):
    with pytest.raises(TypeError, match=r"must be a sequence"):
        Inverse().then(other, at=3)
