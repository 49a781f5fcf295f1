import math

import pytest
import torch

from lrsched.ensembles._same import random_state, same, tolerance

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("found", "expected", "verdict"),
    [
        ([1.0, 2.0], [1.001, 2.0], True),
        ([1.0, 2.0], [1.0, 2.1], False),
        (2.0, 2.0, True),
        (2.0, 3.0, False),
        ([0.0], [1e-6], True),  # the absolute tolerance of float32 is 1.2e-5
        ([0.0], [1e-4], False),
        ([1, 2], [1, 2], True),
        ([1, 2], [1, 3], False),
        ([True, False], [True, True], False),
        ([1 + 1j], [1 + 1.0001j], False),
        ([1.0, 1.0], [[1.0, 1.0]], False),
        ([], [], True),
    ],
)
def test_only_real_floats_may_differ_by_rounding(found, expected, verdict):
    assert same(torch.tensor(found), torch.tensor(expected)) is verdict


@pytest.mark.parametrize(
    ("per", "verdicts"),
    [("tensor", (True, True)), ("member", (False, True)), ("element", (False, False))],
)
def test_large_values_hide_differences_only_within_one_norm(per, verdicts):
    large = torch.tensor([[1.0, 0.0], [1e9, 1.0]])
    other_member = large + torch.tensor([[0.1, 0.0], [0.0, 0.0]])
    same_member = large + torch.tensor([[0.0, 0.0], [0.0, 0.1]])
    assert (same(other_member, large, per=per), same(same_member, large, per=per)) == verdicts


@pytest.mark.parametrize("per", ["tensor", "member", "element"])
@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (3, 2)], ids=str)
def test_every_shape_equals_itself(per, shape):
    if per != "member" or shape != (0,):  # a tensor of members has at least one
        assert same(torch.ones(shape), torch.ones(shape), per=per)


@pytest.mark.parametrize(
    ("found", "expected", "skipped"),
    [
        ([1.0, NAN], [1.0, NAN], True),
        ([1.0, INF], [1.0, 3e38], True),
        ([1.0, 3e38], [1.0, INF], True),
        ([1.0, INF], [1.0, INF], True),
        ([1.0, -INF], [1.0, INF], True),
        ([1.0, NAN], [2.0, NAN], False),
    ],
)
def test_nonfinite_entries_are_differences_or_skipped(found, expected, skipped):
    assert not same(torch.tensor(found), torch.tensor(expected))
    assert same(torch.tensor(found), torch.tensor(expected), skip_nonfinite=True) is skipped


@pytest.mark.parametrize(
    ("found", "expected", "none_is_zero", "verdict"),
    [
        (None, None, False, True),
        (None, None, True, True),
        (None, [0.0], False, False),
        ([0.0], None, False, False),
        (None, [0.0], True, True),
        ([0.0], None, True, True),
        (None, [1e-30], True, False),
        ([1e-30], None, True, False),
    ],
)
def test_none_equals_exact_zeros_if_asked(found, expected, none_is_zero, verdict):
    pair = (None if each is None else torch.tensor(each) for each in (found, expected))
    assert same(*pair, none_is_zero=none_is_zero) is verdict


def test_the_tolerance_depends_on_the_dtype():
    assert tolerance(torch.float32) == pytest.approx(3.45e-3, rel=1e-3)
    assert tolerance(torch.float64) == pytest.approx(1.49e-7, rel=1e-3)
    expected = torch.ones(3, dtype=torch.float64)
    assert not same(expected + 1e-6, expected)
    assert same((expected + 1e-6).float(), expected.float())


def test_tolerances_may_be_given():
    one = torch.ones(1)
    assert same(one * 1.05, one, relative=0.1)
    assert not same(one * 1.05, one, relative=0.01)
    assert same(one * 1.05, one, relative=0.01, absolute=0.05)


def test_norms_of_half_precision_do_not_overflow():
    large = torch.full((1, 400), 1e4).half()
    assert not same(2 * large, large)


def test_random_state_is_put_back():
    rewind = random_state(torch.device("cpu"))
    first = torch.rand(3)
    rewind()
    assert torch.equal(torch.rand(3), first)
