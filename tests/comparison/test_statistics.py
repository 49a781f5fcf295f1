"""The t distribution against scipy and by hand."""

import math

import numpy as np
import pytest
from scipy import stats

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


def test_values_without_spread():
    assert interval([0.5, 0.5]) == (0.5, 0.0)
    assert p_value([0.0, 0.0, 0.0]) == 1.0
    assert p_value([0.5, 0.5]) == 0.0
