import re

import numpy as np
import pytest
import torch

import lrsched
from lrsched import Constant, Piecewise, Values
from tests.sequences.helpers import INF, NAN, each, first

NAMES = vars(lrsched)


def test_constant():
    assert first(Constant()) == [1.0] * 31


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
        (Piecewise([500], [1, 0.3]), 500, 0.3),
        (Values(np.linspace(1, 0.2, 500)), 499, 0.2),
        (Piecewise([2, 5], [1, 0.4, 0.3]) * Values([2, 3]), 5, 0.3 * 3),
    ],
    ids=["Piecewise", "Values", "product"],
)
def test_holds_its_last_value(seq, last, value):
    assert seq(last - 1) != seq(last) == value
    assert {seq(last + j) for j in (1, 2, 1000, 10**6, 10**9, 10**15)} == {value}


def test_values_print_up_to_32_entries_and_a_digest_above():
    assert eval(repr(Values(range(32))), NAMES) == Values(range(32))
    long = repr(Values(range(33)))
    assert re.search(r"\b33\b", long)
    assert re.search(r"sha256\W+[0-9a-f]{8,64}", long)
    assert len(long) < 150
    assert repr(Values(range(33))) == long
    assert repr(Values([*range(32), 32.001])) != long
    assert repr(Values(range(34))) != long


@pytest.mark.parametrize("make", [list, tuple, np.array, torch.tensor, iter], ids=lambda make: make.__name__)
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


# ---------------------------------------------------------------- bad arguments

NOT_A_LIST = [None, 5, "12", b"12"]
BAD_TYPES = [
    (Piecewise, {"values": [1, 2]}, "boundaries", [None, 5, "35", np.array(3), [2.5], [True], ["3"], [None]]),
    (Piecewise, {"boundaries": [3]}, "values", [*NOT_A_LIST, ["a", 1], [None, 1], [[1, 2], [3, 4]], [True, 1]]),
    (Values, {}, "values", [*NOT_A_LIST, ["a"], [None], [[1, 2]], np.ones((2, 2)), [1j], [True]]),
    (Values, {}, "values", [bytearray(b"12"), np.array(5.0), torch.tensor(5.0)]),
]
BAD_VALUES = [
    (Piecewise, {"values": [1, 2]}, "boundaries", [[0], [-1]]),
    (Piecewise, {"values": [1, 2, 3]}, "boundaries", [[3, 3], [5, 3]]),
    (Piecewise, {"boundaries": [3]}, "values", [[], [1], [1, 2, 3], [1, NAN], [1, INF], [-1, 1]]),
    (Values, {}, "values", [[], (), [1, NAN], [INF], [1, -0.1], np.array([])]),
]


@pytest.mark.parametrize(("call", "others", "name", "value"), each(BAD_TYPES))
def test_refuses_the_wrong_type_and_names_the_argument(call, others, name, value):
    with pytest.raises(TypeError, match=rf"^{name}\b.* must "):
        call(**others, **{name: value})


@pytest.mark.parametrize(("call", "others", "name", "value"), each(BAD_VALUES))
def test_refuses_the_wrong_value_and_names_the_argument(call, others, name, value):
    with pytest.raises(ValueError, match=rf"^{name}\b.* must "):
        call(**others, **{name: value})


def test_errors_say_what_is_wrong_with_a_list():
    with pytest.raises(ValueError, match=r"^boundaries must be strictly increasing, got \[5, 3\]$"):
        Piecewise([5, 3], [1, 2, 3])
    with pytest.raises(ValueError, match=r"^values must have 3 entries, one more than boundaries has, got 2$"):
        Piecewise([3, 5], [1, 2])
    with pytest.raises(ValueError, match=r"^values must have at least one entry, got none$"):
        Values([])
