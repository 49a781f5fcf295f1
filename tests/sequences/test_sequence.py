import copy
import operator
import pickle
from dataclasses import FrozenInstanceError, dataclass
from fractions import Fraction

import numpy as np
import pytest
import torch

from lrsched import (
    Constant,
    Cosine,
    Exponential,
    Geometric,
    Inverse,
    InverseSqrt,
    Linear,
    Piecewise,
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
from tests.sequences.cases import COMBINED, EVERY, NAMES, PLAIN, Alternate, HalfLife
from tests.sequences.helpers import FAR_OUT, INF, NAN, first

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
        (InverseSqrt(), "InverseSqrt()"),
        (InverseSqrt(4), "InverseSqrt(timescale=4.0)"),
        (Warmup(5, 0.1, "cosine"), "Warmup(steps=5, start=0.1, shape='cosine')"),
        (Cosine(9), "Cosine(steps=9, end=0.0)"),
        (Cosine(9, cycles=3), "Cosine(steps=9, end=0.0, cycles=3)"),
        (Warmup(5).then(Inverse()), "Warmup(steps=5, start=0.0).then(Inverse(), at=5)"),
        (Inverse().skipped(3), "Inverse().skipped(3)"),
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
    for method in ("scaled", "repeated", "delayed", "skipped", "every"):
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


HIDDEN = ["then", "scaled", "clipped", "repeated", "delayed", "skipped", "every", "values"]


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
