import json
import math
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar

import numpy as np
import pytest
import torch

from lrsched import _check

ONES = [1, 1.0, Fraction(1), Decimal(1), np.float32(1), np.int64(1), np.array(1.0), np.array([[1]])]
ONES += [torch.tensor(1), torch.tensor([1.0]), torch.tensor(1.0, dtype=torch.bfloat16)]
NO_NUMBERS = [None, True, False, "1", b"1", bytearray(b"1"), 1j, [1.0], (1.0,), {}, object()]
NO_NUMBERS += [np.True_, np.array([1.0, 2.0]), np.array([]), np.array("1"), np.array([True]), np.complex128(1)]
NO_NUMBERS += [torch.tensor([1.0, 2.0]), torch.tensor([]), torch.tensor(True), torch.tensor(1j)]
NO_NUMBERS += [torch.empty((), device="meta")]
NO_INTEGERS = [None, True, np.True_, np.array(True), torch.tensor(True), "1", [1], np.array([1, 2])]
NO_INTEGERS += [1.0, np.float64(1), math.nan, math.inf, Fraction(1), torch.tensor(1.0), torch.empty((), device="meta")]


def ident(value):
    return f"{type(value).__name__} {value!r}"[:40]


class TestReal:
    @pytest.mark.parametrize("one", ONES, ids=ident)
    def test_makes_a_python_float_of_every_kind_of_number(self, one):
        assert type(_check.real("x", one)) is float
        assert _check.real("x", one) == 1.0

    def test_does_not_warn_for_a_tensor_that_requires_grad(self):
        assert _check.real("x", torch.nn.Parameter(torch.ones(1))) == 1.0

    def test_lets_nan_and_infinity_pass(self):
        assert math.isnan(_check.real("x", math.nan))
        assert _check.real("x", np.float32("-inf")) == -math.inf

    @pytest.mark.parametrize("value", NO_NUMBERS, ids=ident)
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

    @pytest.mark.parametrize("value", NO_NUMBERS, ids=ident)
    def test_refuses_what_is_not_one_number(self, value):
        with pytest.raises(TypeError, match=r"^rate must be one real number, got "):
            _check.number("rate", value)


class TestInteger:
    @pytest.mark.parametrize("three", [3, np.int64(3), np.uint8(3), np.array(3), torch.tensor(3)], ids=ident)
    def test_makes_a_python_int_of_every_kind_of_integer(self, three):
        assert type(_check.integer("n", three)) is int
        assert _check.integer("n", three, low=3) == 3

    @pytest.mark.parametrize(
        "value",
        NO_INTEGERS,
        ids=ident,
    )
    def test_refuses_what_is_no_integer(self, value):
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

    def test_makes_a_python_string_of_numpys(self):
        assert type(_check.choice("mode", np.str_("max"), ("min", "max"))) is str

    def test_refuses_another_string_and_lists_the_options(self):
        with pytest.raises(ValueError, match=r"^mode must be one of 'min', 'max', got 'mean' \(str\)$"):
            _check.choice("mode", "mean", ("min", "max"))

    @pytest.mark.parametrize("value", [None, 1, b"min", ["min"]], ids=ident)
    def test_refuses_what_is_no_string(self, value):
        with pytest.raises(TypeError, match=r"^mode must be one of 'min', 'max', got "):
            _check.choice("mode", value, ("min", "max"))


class TestFlag:
    @pytest.mark.parametrize("value", [True, False, np.True_, np.False_], ids=repr)
    def test_makes_a_python_bool(self, value):
        assert _check.flag("aligned", value) is bool(value)

    @pytest.mark.parametrize("value", [None, 0, 1, 1.0, "no", [], np.array([True, False]), np.int64(1)], ids=ident)
    def test_refuses_what_is_neither_true_nor_false(self, value):
        with pytest.raises(TypeError, match=r"^aligned must be True or False, got "):
            _check.flag("aligned", value)


class TestItems:
    @pytest.mark.parametrize("make", [list, tuple, iter, np.array, torch.tensor], ids=repr)
    def test_lists_whatever_can_be_gone_through(self, make):
        assert _check.items("values", make([3, 1, 2])) == [3, 1, 2]
        assert type(_check.items("values", make([3, 1, 2]))) is list

    @pytest.mark.parametrize(
        "value", [None, 5, 0.5, "12", b"12", bytearray(b"12"), np.array(5.0), torch.tensor(5.0)], ids=ident
    )
    def test_refuses_text_and_single_things(self, value):
        with pytest.raises(TypeError, match=r"^values must be a list, got "):
            _check.items("values", value)


def test_messages_shorten_long_values():
    with pytest.raises(TypeError, match=r"^rate must be one real number, got 'aaa.*\.\.\. \(str\)$") as caught:
        _check.number("rate", "a" * 10**6)
    assert len(str(caught.value)) < 200


class TestKeys:
    def test_accepts_exactly_its_keys_in_any_order(self):
        _check.check_keys("state", {"b": 1, "a": 2}, ("a", "b"))

    @pytest.mark.parametrize("state", [{"a": 1}, {"a": 1, "b": 2, "c": 3}, {}, {"a": 1, 2: 2}], ids=repr)
    def test_refuses_missing_and_unknown_keys_and_shows_both(self, state):
        with pytest.raises(ValueError, match=r"^state must be a dict with the entries \['a', 'b'\], got \[") as caught:
            _check.check_keys("state", state, ("b", "a"))
        assert all(str(key) in str(caught.value) for key in state)

    @pytest.mark.parametrize("state", [None, "ab", ["a", "b"]], ids=repr)
    def test_refuses_what_is_no_dict(self, state):
        with pytest.raises(ValueError, match=r"^state must be a dict with the entries \['a', 'b'\], got "):
            _check.check_keys("state", state, ("a", "b"))


class TestState:
    keys = ("version", "settings", "position")
    state: ClassVar = {"version": 1, "settings": {"mode": "min"}, "position": 3}

    def test_accepts_its_own(self):
        _check.check_state(self.state, self.keys, {"mode": "min"}, strict=True)

    def test_refuses_other_settings_and_shows_both_unless_not_strict(self):
        with pytest.raises(ValueError, match=r"it has \{'mode': 'min'\}, this one \{'mode': 'max'\}.*strict=False"):
            _check.check_state(self.state, self.keys, {"mode": "max"}, strict=True)
        _check.check_state(self.state, self.keys, {"mode": "max"}, strict=False)

    @pytest.mark.parametrize("strict", [True, False])
    def test_refuses_a_newer_version(self, strict):
        newer = {**self.state, "version": 2, "more": 1}
        with pytest.raises(ValueError, match=r"^state: version must be <= 1, got 2"):
            _check.check_state(newer, self.keys, {"mode": "min"}, strict)

    @pytest.mark.parametrize("state", [None, [], {}, {"version": 1}, {"best": 1.0, "num_bad_epochs": 0}], ids=repr)
    def test_refuses_states_that_are_not_ours(self, state):
        with pytest.raises(ValueError, match=r"^state must be the state_dict\(\) of a lrsched scheduler, got "):
            _check.check_state(state, self.keys, {"mode": "min"}, strict=False)

    def test_refuses_a_state_without_all_its_entries(self):
        with pytest.raises(ValueError, match=r"^state must be a dict with the entries .*'position'"):
            _check.check_state({"version": 1, "settings": {"mode": "min"}}, self.keys, {"mode": "min"}, strict=True)


class TestStored:
    @pytest.mark.parametrize("value", [1.5, 0, 7, True, False, "min", None, [1.0], {"a": 1}], ids=repr)
    def test_keeps_plain_values(self, value):
        assert _check.storable(value) == value
        assert type(_check.storable(value)) is type(value)
        assert _check.stored("x", value, value) == value

    @pytest.mark.parametrize("value", [math.inf, -math.inf, np.float64("inf"), np.float64("-inf")], ids=repr)
    def test_infinite_numbers_pass_json(self, value):
        text = json.loads(json.dumps(_check.storable(value), allow_nan=False))
        assert _check.restored(text) == value
        assert type(_check.stored("x", text, 0.0)) is float
        assert _check.stored("x", text, 0.0) == value

    @pytest.mark.parametrize("value", [math.nan, np.float64("nan")], ids=repr)
    def test_nan_passes_json(self, value):
        text = json.loads(json.dumps(_check.storable(value), allow_nan=False))
        assert math.isnan(_check.stored("x", text, 0.0))

    @pytest.mark.parametrize("value", [np.float32(0.5), np.int64(3), np.bool_(True), np.str_("min")], ids=repr)
    def test_numpys_values_become_pythons(self, value):
        assert type(_check.storable(value)) is type(value.item())
        assert _check.storable(value) == value

    @pytest.mark.parametrize("value", [0.5, 3, True, "min", "infinite", None, [1.0]], ids=repr)
    def test_restores_what_was_plain_as_it_is(self, value):
        assert _check.restored(_check.storable(value)) == value
        assert type(_check.restored(_check.storable(value))) is type(value)

    def test_numbers_inside_lists_and_dicts_pass_json(self):
        value = {"window": [1.0, math.inf], "worst": {"loss": -math.inf}}
        text = json.dumps(_check.storable(value), allow_nan=False)
        assert _check.restored(json.loads(text)) == value

    def test_none_counts_as_a_float(self):
        assert _check.stored("x", None, 0.5) is None
        assert _check.stored("x", 0.5, None) == 0.5

    @pytest.mark.parametrize(
        ("value", "present", "wanted"),
        [
            (1, True, "a bool"),
            (True, 3, "one real number"),
            ("3", 3, "one real number"),
            ("3", 0.5, "one real number"),
            ([0.5], 0.5, "one real number"),
            (5, "min", "a str"),
            ((1,), [1], "a list"),
            ([1], {}, "a dict"),
        ],
        ids=repr,
    )
    def test_refuses_another_kind_and_names_it(self, value, present, wanted):
        with pytest.raises(TypeError, match=rf"^state: best must be {wanted}, got "):
            _check.stored("state: best", value, present)
