"""The t distribution against scipy and by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from lrsched import Estimate
from lrsched.comparison._statistics import interval, p_value, within


@pytest.mark.parametrize("nu", [1, 2, 3, 4, 5, 8, 9, 30, 31, 200])
@pytest.mark.parametrize("t", [0.0, 0.01, 0.5, 1.0, 2.0, 12.7, 100.0])
def test_the_distribution_is_scipys(nu, t):
    assert within(t, nu) == pytest.approx(1 - 2 * stats.t.sf(t, nu), abs=1e-13)


def test_the_interval_by_hand():
    mean, half = interval([1.0, 2.0, 3.0])  # s = 1, t(0.975, 2) = 4.3027
    assert mean == 2.0
    assert half == pytest.approx(4.302653 / math.sqrt(3), abs=1e-6)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 20])
def test_interval_and_p_are_scipys(n):
    values = list(np.random.default_rng(n).normal(0.5, size=n))
    test = stats.ttest_1samp(values, 0)
    mean, half = interval(values)
    assert (mean - half, mean + half) == pytest.approx(tuple(test.confidence_interval(0.95)), abs=1e-12)
    assert p_value(values) == pytest.approx(test.pvalue, abs=1e-13)


def test_one_value_has_no_interval_and_no_p():
    mean, half = interval([0.25])
    assert mean == 0.25
    assert math.isnan(half)
    assert math.isnan(p_value([0.25]))


def test_p_is_never_below_0():
    for t in (150.0, 199.5, 250.0, 1e3, 1e6):
        for n in range(3, 40):
            spread = [-1.0, 1.0] * (n // 2) + [0.0] * (n % 2)
            error = np.std(spread, ddof=1) / math.sqrt(n)
            assert 0 <= p_value([value + t * error for value in spread]) < 1e-2


def test_values_without_spread():
    assert interval([0.5, 0.5]) == (0.5, 0.0)
    assert p_value([0.0, 0.0, 0.0]) == 1.0
    assert p_value([0.5, 0.5]) == 0.0


# ---------------------------------------------------------------- Estimate


def test_an_estimate_by_hand():
    found = Estimate.of([1.0, 2.0, 3.0])  # s = 1, t(0.975, 2) = 4.3027
    assert (found.values, found.mean, found.n) == ((1.0, 2.0, 3.0), 2.0, 3)
    assert found.half == pytest.approx(4.302653 / math.sqrt(3), abs=1e-6)
    assert (found.low, found.high) == pytest.approx((2 - 2.484138, 2 + 2.484138), abs=1e-6)
    assert found.text(3) == "2.000 ± 2.484"
    assert str(found) == found.text() == "2.0 ± 2.5"
    assert found.text(sign="+") == "+2.0 ± 2.5"


@pytest.mark.parametrize("n", [3, 4, 5, 7, 10, 20, 101])
def test_an_estimate_is_scipys(n):
    values = np.random.default_rng(n).normal(1, 2, size=n)
    found = Estimate.of(values)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert found.half == pytest.approx((high - low) / 2, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)
    assert found.p_value(0.3) == pytest.approx(stats.ttest_1samp(values, 0.3).pvalue, abs=1e-12)


def test_p_by_hand():
    # 1, 2, 3: t = 2/(1/√3) = 3.4641 with 2 degrees of freedom: p = 1 − t/√(t² + 2) = 1 − √(12/14)
    assert Estimate.of([1.0, 2.0, 3.0]).p_value() == pytest.approx(1 - math.sqrt(12 / 14), abs=1e-12)
    assert Estimate.of([1.0, 2.0, 3.0]).p_value(2.0) == 1
    assert Estimate.of([0.25, 0.25, 0.25]).p_value() == 0


@pytest.mark.parametrize(
    ("values", "text", "short"),
    [
        ([], "–", "–"),
        ([0.25], "0.2500", "0.25"),
        ([0.8891, 0.97512], "0.8891, 0.9751", "0.8891, 0.9751"),
        ([0.5, 0.5], "0.5000, 0.5000", "0.5, 0.5"),
    ],
)
def test_below_three_values_there_is_no_interval_and_the_values_are_shown(values, text, short):
    found = Estimate.of(values)
    assert all(map(math.isnan, (found.half, found.low, found.high, found.p_value())))
    assert math.isnan(found.mean) if not values else found.mean == sum(values) / len(values)
    assert found.text(4) == text
    assert found.text() == short


@pytest.mark.parametrize("values", [[0.3, math.inf, 0.4], [math.nan, 0.5], [math.nan] * 3])
def test_with_a_value_that_is_not_finite_there_is_no_mean(values):
    found = Estimate.of(values)
    assert all(map(math.isnan, (found.mean, found.half, found.p_value())))
    assert found.n == len(values)
    assert "nan" in found.text()


# The half-widths are t(0.975, 2)·s/√3 = 2.484·s, where s is the distance between the values.
@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.5, 0.5, 0.5], "0.5 ± 0"),
        ([0.30, 0.40, 0.50], "0.40 ± 0.25"),
        ([100.0, 200.0, 300.0], "200 ± 248"),
        ([1e-5, 2e-5, 3e-5], "0.000020 ± 0.000025"),
        ([1e-9, 2e-9, 3e-9], "2e-09 ± 2.5e-09"),
        ([1e30, 2e30, 3e30], "2e+30 ± 2.5e+30"),
    ],
)
def test_an_interval_has_two_significant_digits_and_very_small_or_large_ones_an_exponent(values, text):
    assert Estimate.of(values).text() == text
