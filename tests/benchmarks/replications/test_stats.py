import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.replications.stats import differences, share_interval
from lrsched import Estimate


def test_the_paired_test_is_scipys():
    first, second = np.random.default_rng(1).normal(size=(2, 6))
    found = Estimate.of(differences(list(first), list(second))).p_value()
    assert found == pytest.approx(stats.ttest_rel(first, second).pvalue, rel=1e-9)


def test_equal_differences_have_a_p_of_1():
    assert Estimate.of(differences([0.5, 0.7, 0.6], [0.5, 0.7, 0.6])).p_value() == 1


def test_pairs_need_the_same_seeds():
    with pytest.raises(ValueError, match="shorter"):
        differences([1.0, 2.0], [1.0])


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
