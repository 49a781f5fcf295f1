"""The formula of the learning rates, without an optimizer."""

import copy

import pytest
import torch

from lrsched import Constant, Geometric, Inverse, Sawtooth, Values
from lrsched.schedulers._rates import Rates

LIMITS = {"base_lr": 0.1, "max_lr": [0.3, 0.5]}


def test_without_limits_a_rate_is_the_base_times_the_factor():
    rates = Rates([1.0, 0.5], Inverse())
    assert [rates.at(k) for k in range(3)] == [[1.0, 0.5], [0.5, 0.25], [1 / 3, 0.5 / 3]]
    assert rates.bases == [1.0, 0.5]


def test_with_limits_a_rate_lies_between_them_and_the_bases_are_the_lower_ones():
    rates = Rates([7.0, 7.0], Values([0.0, 0.5, 1.0]), limits=LIMITS)
    assert [rates.at(k) for k in range(3)] == [[0.1, 0.1], pytest.approx([0.2, 0.3]), [0.3, 0.5]]
    assert rates.bases == [0.1, 0.1]


def test_each_group_may_have_its_own_sequence_and_floor():
    rates = Rates([1.0, 1.0], [Inverse(), Geometric(0.5)], min_lr=[0.4, 0.0])
    assert [rates.at(k) for k in range(4)] == [[1.0, 1.0], [0.5, 0.5], [0.4, 0.25], [0.4, 0.125]]


def test_the_floor_is_never_above_the_upper_limit():
    assert Rates([0.01], Constant(), min_lr=0.1).at(0) == [0.01]
    assert Rates([0.0], Values([0.0]), min_lr=0.1, limits={"base_lr": 0.0, "max_lr": 0.05}).at(0) == [0.05]


def test_other_bases_make_other_rates_and_leave_these_alone():
    rates = Rates([1.0], Inverse(), min_lr=0.1)
    more = rates.with_bases([2.0, 4.0], [1.0, 1.0])
    assert more.at(1) == [1.0, 2.0]
    assert more.settings() == rates.settings()
    assert rates.at(1) == [0.5]


def test_a_scale_multiplies_the_rate_above_the_floor():
    rates = Rates([1.0, 1.0], Inverse(), min_lr=0.1).with_bases([1.0, 1.0], [0.5, 0.25])
    assert rates.at(0) == [0.5, 0.25]
    assert rates.at(1) == [0.25, 0.125]
    assert rates.at(3) == [0.125, 0.1]
    assert rates.bases == [1.0, 1.0]
    assert rates.scales == [0.5, 0.25]


def test_a_warm_up_is_a_further_factor():
    rates = Rates([1.0, 0.5], Inverse(), min_lr=0.01)
    assert rates.at(1, warmup=0.25) == [0.125, 0.0625]
    assert rates.at(1, warmup=0.0) == [0.01, 0.01]


def test_with_limits_other_bases_only_count_the_groups():
    rates = Rates([0.0], Constant(), limits={"base_lr": 0.1, "max_lr": 0.3})
    assert rates.with_bases([9.0, 9.0], [1.0, 1.0]).at(0) == [0.3, 0.3]


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        ("sequence", Rates([1.0, 1.0], [Inverse(), Inverse()])),
        ("min_lr", Rates([1.0, 1.0], Inverse(), min_lr=[0.1, 0.1])),
        ("max_lr", Rates([1.0, 1.0], Inverse(), limits=LIMITS)),
    ],
    ids=["sequence", "min_lr", "max_lr"],
)
def test_a_list_must_cover_every_group(name, rates):
    with pytest.raises(ValueError, match=f"^{name} must have one entry per param group: 2 entries for 3 param groups$"):
        rates.with_bases([1.0, 1.0, 1.0], [1.0, 1.0, 1.0])


def test_settings_are_plain_python_and_copies():
    rates = Rates([1.0, 1.0], [Inverse(), Geometric(0.5)], min_lr=[0.1, 0.2], limits=LIMITS)
    settings = rates.settings()
    assert settings == {"sequence": ["Inverse()", "Geometric(gamma=0.5)"], "min_lr": [0.1, 0.2], **LIMITS}
    before = copy.deepcopy(settings)
    settings["min_lr"].append(3.0)
    assert rates.settings() == before


def test_a_sequence_class_without_parentheses_is_named():
    with pytest.raises(TypeError, match=r"^sequence must be a Sequence, got the class Sawtooth: write Sawtooth\(…\)$"):
        Rates([1.0], Sawtooth)
    with pytest.raises(TypeError, match=r"^sequence\[1\] must be a Sequence, got the class Sawtooth"):
        Rates([1.0, 1.0], [Inverse(), Sawtooth])


def test_a_function_is_pointed_to_sequence_and_to_lambda_lr():
    hint = r"got <function .* \(function\): wrap a function as Function\(fn\)$"
    with pytest.raises(TypeError, match=f"^sequence must be a Sequence, or a list with one per param group, {hint}"):
        Rates([1.0], lambda k: 1.0)


@pytest.mark.parametrize("value", [None, 0.5, "Inverse()"])
def test_anything_else_is_refused_without_the_hint(value):
    with pytest.raises(TypeError, match=r"^sequence must be a Sequence, or a list .*, got .*\)$"):
        Rates([1.0], value)


@pytest.mark.parametrize(("value", "error"), [(-0.1, ValueError), (float("nan"), ValueError), ("0.1", TypeError)])
def test_a_limit_is_a_number_from_zero_up(value, error):
    with pytest.raises(error, match=r"^max_lr\[1\] must be "):
        Rates([1.0, 1.0], Inverse(), limits={"base_lr": 0.0, "max_lr": [0.1, value]})


def test_tensors_among_the_arguments_become_floats():
    rates = Rates([1.0], Constant(), limits={"base_lr": torch.tensor(0.0), "max_lr": torch.tensor(0.5)})
    assert [type(rate) for rate in rates.at(0)] == [float]
    assert type(rates.settings()["max_lr"]) is float
