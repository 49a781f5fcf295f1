import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from lrsched import _check

ONES = [1, 1.0, Fraction(1), Decimal(1), np.float32(1), np.int64(1), np.array(1.0), np.array([[1]])]
ONES += [torch.tensor(1), torch.tensor([1.0]), torch.tensor(1.0, dtype=torch.bfloat16)]
NOT_NUMBERS = [None, True, False, "1", b"1", bytearray(b"1"), 1j, [1.0], (1.0,), {}, object()]
NOT_NUMBERS += [np.True_, np.array([1.0, 2.0]), np.array([]), np.array("1"), np.array([True]), np.complex128(1)]
NOT_NUMBERS += [torch.tensor([1.0, 2.0]), torch.tensor([]), torch.tensor(True), torch.tensor(1j)]
NOT_NUMBERS += [torch.empty((), device="meta")]
NOT_INTEGERS = [None, True, np.True_, np.array(True), torch.tensor(True), "1", [1], np.array([1, 2])]
NOT_INTEGERS += [1.0, np.float64(1), math.nan, math.inf, Fraction(1), torch.tensor(1.0), torch.empty((), device="meta")]


def ident(value):
    """Return a name for a test, which must not contain an address in memory."""
    return type(value).__name__ if type(value) is object else f"{type(value).__name__} {value!r}"[:40]


class TestReal:
    @pytest.mark.parametrize("one", ONES, ids=ident)
    def test_turns_every_kind_of_number_into_a_python_float(self, one):
        assert type(_check.real("x", one)) is float
        assert _check.real("x", one) == 1.0

    def test_does_not_warn_for_a_tensor_that_requires_grad(self):
        assert _check.real("x", torch.nn.Parameter(torch.ones(1))) == 1.0

    def test_accepts_nan_and_infinity(self):
        assert math.isnan(_check.real("x", math.nan))
        assert _check.real("x", np.float32("-inf")) == -math.inf

    @pytest.mark.parametrize("value", NOT_NUMBERS, ids=ident)
    def test_refuses_what_is_not_one_number(self, value):
        with pytest.raises(TypeError, match=r"^rate must be one real number, got "):
            _check.real("rate", value)

    def test_refuses_an_integer_too_large_for_a_float(self):
        with pytest.raises(ValueError, match=r"^rate must fit into a float, got 1000"):
            _check.real("rate", 10**400)


class TestNumber:
    @pytest.mark.parametrize(
        ("value", "limits"), [(0, {}), (-1, {"low": -1}), (2, {"high": 2}), (1e-300, {"above": 0}), (1, {"high": 1})]
    )
    def test_includes_its_limits(self, value, limits):
        assert _check.number("x", value, **limits) == value

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1, -1e-300, np.float64("nan")])
    def test_refuses_non_finite_and_negative_numbers(self, value):
        with pytest.raises(ValueError, match=r"^rate must be finite, >= 0, got "):
            _check.number("rate", value)

    def test_names_both_limits_and_the_value(self):
        with pytest.raises(ValueError, match=r"^rate must be finite, > 0 and <= 1, got 0 \(int\)$"):
            _check.number("rate", 0, high=1, above=0)
        with pytest.raises(ValueError, match=r"^rate must be finite, >= 0 and <= 1, got 1\.5 \(float\)$"):
            _check.number("rate", 1.5, high=1)

    @pytest.mark.parametrize("value", NOT_NUMBERS, ids=ident)
    def test_refuses_what_is_not_one_number(self, value):
        with pytest.raises(TypeError, match=r"^rate must be one real number, got "):
            _check.number("rate", value)


class TestInteger:
    @pytest.mark.parametrize("three", [3, np.int64(3), np.uint8(3), np.array(3), torch.tensor(3)], ids=ident)
    def test_turns_every_kind_of_integer_into_a_python_int(self, three):
        assert type(_check.integer("n", three)) is int
        assert _check.integer("n", three, low=3) == 3

    @pytest.mark.parametrize("value", NOT_INTEGERS, ids=ident)
    def test_refuses_what_is_not_an_integer(self, value):
        with pytest.raises(TypeError, match=r"^steps must be an integer, got "):
            _check.integer("steps", value)

    def test_refuses_less_than_its_limit(self):
        with pytest.raises(ValueError, match=r"^steps must be an integer >= 0, got -1$"):
            _check.integer("steps", -1)
        with pytest.raises(ValueError, match=r"^steps must be an integer >= 2, got 1$"):
            _check.integer("steps", np.int64(1), low=2)


class TestChoice:
    def test_returns_an_option(self):
        assert _check.choice("mode", "max", ("min", "max")) == "max"

    def test_turns_numpy_strings_into_python_strings(self):
        assert type(_check.choice("mode", np.str_("max"), ("min", "max"))) is str

    def test_refuses_another_string_and_lists_the_options(self):
        with pytest.raises(ValueError, match=r"^mode must be one of 'min', 'max', got 'mean' \(str\)$"):
            _check.choice("mode", "mean", ("min", "max"))

    @pytest.mark.parametrize("value", [None, 1, b"min", ["min"]], ids=ident)
    def test_refuses_what_is_not_a_string(self, value):
        with pytest.raises(TypeError, match=r"^mode must be one of 'min', 'max', got "):
            _check.choice("mode", value, ("min", "max"))


class TestFlag:
    @pytest.mark.parametrize("value", [True, False, np.True_, np.False_], ids=repr)
    def test_turns_numpy_bools_into_python_bools(self, value):
        assert _check.flag("aligned", value) is bool(value)

    @pytest.mark.parametrize("value", [None, 0, 1, 1.0, "no", [], np.array([True, False]), np.int64(1)], ids=ident)
    def test_refuses_what_is_neither_true_nor_false(self, value):
        with pytest.raises(TypeError, match=r"^aligned must be True or False, got "):
            _check.flag("aligned", value)


class TestItems:
    @pytest.mark.parametrize("make", [list, tuple, iter, np.array, torch.tensor], ids=lambda make: make.__name__)
    def test_lists_the_items_of_any_iterable(self, make):
        assert _check.items("values", make([3, 1, 2])) == [3, 1, 2]
        assert type(_check.items("values", make([3, 1, 2]))) is list

    @pytest.mark.parametrize(
        "value", [None, 5, 0.5, "12", b"12", bytearray(b"12"), np.array(5.0), torch.tensor(5.0)], ids=ident
    )
    def test_refuses_text_and_single_values(self, value):
        with pytest.raises(TypeError, match=r"^values must be a list, got "):
            _check.items("values", value)


def test_messages_shorten_long_values():
    with pytest.raises(TypeError, match=r"^rate must be one real number, got 'aaa.*\.\.\. \(str\)$") as caught:
        _check.number("rate", "a" * 10**6)
    assert len(str(caught.value)) < 200


def test_the_first_line_of_an_error_is_its_message_or_its_type():
    assert _check.first_line(ValueError("\nfirst\nsecond")) == "first"
    assert _check.first_line(ValueError()) == "ValueError"
