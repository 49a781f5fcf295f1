import numpy as np
import pytest

from lrsched.finder._descent import descent
from lrsched.finder._divergence import Divergence
from lrsched.finder._smoothing import usable_points
from tests.finder.helpers import LRS, X, sigmoid


def test_points_end_with_divergence_or_before_the_first_non_finite_loss():
    losses = sigmoid(1.8)
    divergence = Divergence()
    last = next(k for k, loss in enumerate(losses) if divergence.update(loss))
    assert len(usable_points(LRS, losses).x) == last + 1
    losses[30] = np.nan
    assert len(usable_points(LRS, losses).x) == 30
    losses[5] = np.inf
    assert usable_points(LRS, losses) is None


def test_smoothing_keeps_straight_lines_and_does_not_lag():
    losses = 3 - 0.2 * X
    smoothed, slopes = (lambda p: (p.line, p.slope))(usable_points(LRS, losses))
    np.testing.assert_allclose(smoothed, losses, atol=1e-9)
    np.testing.assert_allclose(slopes, -0.2, atol=1e-9)


def test_outliers_are_replaced_but_trends_are_kept():
    losses = sigmoid(1.8, rise=False)
    clean = usable_points(LRS, losses).y
    np.testing.assert_allclose(clean, losses, atol=0.02)
    losses[20] *= 10
    np.testing.assert_allclose(usable_points(LRS, losses).y, clean, atol=0.02)


def test_neighbours_are_averaged_if_there_are_more_than_500_points():
    lrs = np.logspace(-7, 1, 4321)
    losses = np.interp(np.log10(lrs), X, sigmoid(1.8, rise=False))
    points = usable_points(lrs, losses)
    assert len(points.x) <= 500
    assert descent(points).depth(0.5) == pytest.approx(-2.5, abs=0.02)
