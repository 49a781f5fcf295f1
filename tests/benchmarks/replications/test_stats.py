import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.replications.stats import differences, mean_interval, p_value, share_interval


def test_mean_and_interval_by_hand():
    found = mean_interval([1.0, 2.0, 3.0])  # s = 1, t(0.975, 2) = 4.3027
    assert (found.mean, found.n) == (2.0, 3)
    assert found.half == pytest.approx(4.302653 / math.sqrt(3), abs=1e-6)
    assert (found.low, found.high) == pytest.approx((2 - 2.484138, 2 + 2.484138), abs=1e-6)
    assert found.text(2) == "2.00 ± 2.48"


@pytest.mark.parametrize("n", [3, 4, 5, 7, 10, 20, 101])
def test_the_interval_is_scipys(n):
    values = np.random.default_rng(n).normal(1, 2, size=n)
    found = mean_interval(list(values))
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert found.half == pytest.approx((high - low) / 2, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)


@pytest.mark.parametrize(
    ("values", "text"), [([0.25], "0.2500"), ([0.8891, 0.97512], "0.8891, 0.9751"), ([0.5, 0.5], "0.5000, 0.5000")]
)
def test_below_three_values_there_is_no_interval_and_the_values_are_shown(values, text):
    found = mean_interval(values)
    assert found.mean == sum(values) / len(values)
    assert math.isnan(found.half)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.text(4) == text


def test_p_by_hand():
    # 1, 2, 3: t = 2/(1/√3) = 3.4641 with 2 degrees of freedom: p = 1 − t/√(t² + 2) = 1 − √(12/14)
    assert p_value([1.0, 2.0, 3.0]) == pytest.approx(1 - math.sqrt(12 / 14), abs=1e-12)
    assert p_value([1.0, 2.0, 3.0], expected=2.0) == 1


def test_the_paired_test_is_scipys():
    first, second = np.random.default_rng(1).normal(size=(2, 6))
    found = p_value(differences(list(first), list(second)))
    assert found == pytest.approx(stats.ttest_rel(first, second).pvalue, rel=1e-9)
    assert p_value(list(first), 0.3) == pytest.approx(stats.ttest_1samp(first, 0.3).pvalue, abs=1e-12)


def test_equal_differences_have_a_p_of_0_or_1():
    assert p_value(differences([0.5, 0.7, 0.6], [0.5, 0.7, 0.6])) == 1
    assert p_value([0.25, 0.25, 0.25]) == 0


def test_pairs_need_the_same_seeds():
    with pytest.raises(ValueError, match="shorter"):
        differences([1.0, 2.0], [1.0])


@pytest.mark.parametrize("values", [[0.3], [0.3, 0.5], [0.3, 0.4, math.nan], [0.3, math.inf, 0.4]])
def test_there_is_no_p_below_three_values_or_if_one_is_not_finite(values):
    assert math.isnan(p_value(values))


def test_shares_by_hand():
    # 3 of 3 has the lower end with p³ = 0.025, 2 of 3 the upper end with 1 − p³ = 0.025 (at most two)
    found = share_interval([True, True, True])
    assert (found.mean, found.n) == (1, 3)
    assert (found.low, found.high) == pytest.approx((0.025 ** (1 / 3), 1), abs=1e-9)
    found = share_interval([True, False, True])
    assert found.mean == 2 / 3
    assert found.high == pytest.approx(0.975 ** (1 / 3), abs=1e-9)


def test_a_share_of_two_has_no_interval():
    found = share_interval([True, False])
    assert (found.mean, found.n, math.isnan(found.low), math.isnan(found.high)) == (0.5, 2, True, True)


def test_no_value_has_no_mean():
    found = mean_interval([])
    assert found.text(2) == "–"
    assert (math.isnan(found.mean), math.isnan(found.half), found.n) == (True, True, 0)


def test_with_a_value_that_is_not_finite_there_is_no_mean():
    found = mean_interval([0.3, math.inf, 0.4])
    assert (math.isnan(found.mean), math.isnan(found.half), found.n) == (True, True, 3)
