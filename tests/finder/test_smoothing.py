import runpy
from pathlib import Path

import numpy as np
import pytest

from lrsched.finder._descent import descent
from lrsched.finder._divergence import Divergence
from lrsched.finder._smoothing import usable_points
from tests.finder.helpers import LRS, X, sigmoid

PICTURE = Path(__file__).parents[2] / "docs" / "range_test.py"


def picture_of_the_readme():
    if not PICTURE.exists():
        pytest.skip("docs/ is not part of this copy")
    pytest.importorskip("sklearn")
    return runpy.run_path(str(PICTURE))["measure"]()


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
    points = usable_points(LRS, losses)
    np.testing.assert_allclose(points.line, losses, atol=1e-9)
    np.testing.assert_allclose(points.slope, -0.2, atol=1e-9)


def test_in_the_readmes_picture_no_median_lies_further_from_the_line_than_the_noise():
    curve = picture_of_the_readme()
    spread = curve.all_losses.std(axis=0, ddof=1)
    noise = np.maximum(spread, np.median(spread))  # of five repeats; by chance, a few points hardly spread
    assert len(curve.smoothed[1]) == len(curve)
    assert (np.abs(curve.smoothed[1] - curve.losses) <= noise).all()
    lowest = curve.losses.argmin()
    assert curve.smoothed[1].argmin() == lowest
    assert curve.losses[lowest] < 1.2  # a steep valley, from 2.3


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.05])
@pytest.mark.parametrize("depth", [0.4, 1.8])
def test_the_line_follows_a_steep_valley_within_the_noise(depth, noise):
    """The fall is steepest at depth/(4·0.35) per decade, and the explosion adds 4·e^(4·0.08) within a point."""
    truth = sigmoid(depth)
    inside = truth <= truth[0] + 0.5  # what a picture shows
    for seed in range(10):
        losses = truth + noise * np.random.default_rng(seed).standard_normal(len(truth))
        line = usable_points(LRS, losses).line
        inside_line = inside[: len(line)]
        off = np.abs(line - truth[: len(line)])[inside_line]
        assert off.max() <= 4.5 * noise + 0.04  # four standard errors of a single point, of 90 points and 10 seeds
        assert np.sqrt(np.mean(off**2)) <= 0.75 * noise + 0.01


@pytest.mark.parametrize("noise", [0.02, 0.2])
def test_a_flat_noisy_curve_is_not_followed(noise):
    """A fit over 2·15 + 1 points, with weights that fall outwards, averages over about 20 of them."""
    errors, bends = [], []
    for seed in range(20):
        losses = 2.3 + noise * np.random.default_rng(seed).standard_normal(100)
        line = usable_points(LRS, losses).line
        errors.append(np.sqrt(np.mean((line - 2.3) ** 2)))
        bends.append(np.abs(np.diff(line, 2)).mean() / np.abs(np.diff(losses, 2)).mean())
    assert np.mean(errors) <= 0.5 * noise
    assert np.mean(bends) <= 0.1


def test_noise_that_grows_with_the_learning_rate_is_smoothed_too():
    """Where the noise is twenty times as large, the line errs by less than the noise."""
    truth = sigmoid(1.8)
    scale = np.where(X > -2.0, 0.2, 0.01)
    errors = []
    for seed in range(20):
        line = usable_points(LRS, truth + scale * np.random.default_rng(seed).standard_normal(100)).line
        noisy = (X[: len(line)] > -2.0) & (truth[: len(line)] < 2.8)
        errors.append(np.sqrt(np.mean((line - truth[: len(line)])[noisy] ** 2)))
    assert np.mean(errors) <= 0.85 * 0.2


def test_the_bottom_of_a_steep_valley_is_not_an_outlier():
    losses = np.array([2.3] * 20 + [2.2, 2.0, 1.7, 1.3, 0.9, 1.7, 3.2, 3.3])
    points = usable_points(np.logspace(-4, 0, 28), losses)
    assert points.y[24] == 0.9
    assert points.line[24] < 1.1


def test_linear_spacing_is_smoothed_in_log_lr():
    lrs = np.linspace(1e-3, 1.0, 200)
    losses = 3 - 0.2 * np.log10(lrs)
    np.testing.assert_allclose(usable_points(lrs, losses).line, losses, atol=1e-9)


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
