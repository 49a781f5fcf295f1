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


def test_interval_is_scipys():
    values = np.random.default_rng(0).normal(size=7)
    found = mean_interval(list(values))
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)


def test_one_value_has_no_interval():
    found = mean_interval([0.25])
    assert math.isnan(found.half)
    assert math.isnan(found.low)
    assert found.text(4) == "0.2500"


def test_p_by_hand():
    # 1, 2, 3: t = 2/(1/√3) = 3.4641 with 2 degrees of freedom: p = 1 − t/√(t² + 2) = 1 − √(12/14)
    assert p_value([1.0, 2.0, 3.0]) == pytest.approx(1 - math.sqrt(12 / 14), abs=1e-12)
    assert p_value([1.0, 2.0, 3.0], expected=2.0) == 1


def test_the_paired_test_is_scipys():
    ours, theirs = np.random.default_rng(1).normal(size=(2, 6))
    found = p_value(differences(list(ours), list(theirs)))
    assert found == pytest.approx(stats.ttest_rel(ours, theirs).pvalue, abs=1e-12)
    assert p_value(list(ours), 0.3) == pytest.approx(stats.ttest_1samp(ours, 0.3).pvalue, abs=1e-12)


def test_pairs_that_all_differ_alike():
    assert p_value(differences([0.5, 0.7], [0.5, 0.7])) == 1
    assert p_value([0.25, 0.25, 0.25]) == 0


def test_pairs_need_the_same_seeds():
    with pytest.raises(ValueError, match="shorter"):
        differences([1.0, 2.0], [1.0])


@pytest.mark.parametrize("values", [[0.3], [0.3, math.nan], [0.3, math.inf, 0.4]])
def test_there_is_no_p_for_one_value_or_one_that_is_not_finite(values):
    assert math.isnan(p_value(values))


def test_shares_by_hand():
    # 1 of 2, from where at least one has the chance 1 − (1 − p)² = 0.025 to where at most one has 1 − p² = 0.025
    found = share_interval([True, False])
    assert (found.mean, found.n) == (0.5, 2)
    assert (found.low, found.high) == pytest.approx((1 - math.sqrt(0.975), math.sqrt(0.975)), abs=1e-9)


def test_no_value_has_no_mean():
    found = mean_interval([])
    assert (math.isnan(found.mean), math.isnan(found.half), found.n) == (True, True, 0)


def test_a_value_that_is_not_finite_leaves_no_mean():
    found = mean_interval([0.3, math.inf, 0.4])
    assert (math.isnan(found.mean), math.isnan(found.half), found.n) == (True, True, 3)
