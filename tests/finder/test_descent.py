import numpy as np
import pytest

from lrsched.finder._descent import Descent, Divergence, descent, usable_points
from tests.finder.helpers import LRS, X, sigmoid


def diverges_at(losses):
    divergence = Divergence()
    return next((k for k, loss in enumerate(losses) if divergence.update(loss)), None)


# ---------------------------------------------------------------- divergence


def test_divergence_needs_three_of_five_above_the_limit():
    losses = [2.0] * 10 + [1.0] * 5  # head 2, best 1, no noise: the limit is 3
    assert diverges_at([*losses, 3.1, 3.1, 3.1]) == 17
    assert diverges_at([*losses, 3.1, 3.1, 2.9, 3.1]) == 18
    assert diverges_at([*losses, 2.9, 2.9, 2.9, 2.9, 2.9]) is None
    assert diverges_at([*losses, *[3.1, 3.1, 1, 1, 1] * 5]) is None


def test_divergence_never_speaks_before_the_tenth_loss():
    assert diverges_at([1.0, *np.geomspace(1, 1e9, 30)]) >= 9


@pytest.mark.parametrize(("scale", "shift"), [(1, -10), (1, 1e3), (1e-6, 0), (50, -7)])
def test_divergence_is_invariant_under_shift_and_scale(scale, shift):
    losses = sigmoid(1.8) + 0.05 * np.random.default_rng(0).standard_normal(100)
    assert diverges_at(losses) is not None
    assert diverges_at(scale * losses + shift) == diverges_at(losses)


def test_divergence_is_deaf_to_outliers_and_to_noise():
    rng = np.random.default_rng(0)
    for _ in range(50):
        losses = 2 + 0.2 * rng.standard_normal(100)
        losses[[5, 40, 70]] *= 10
        assert diverges_at(losses) is None


def test_rounding_of_a_constant_loss_is_no_divergence():
    losses = np.where(np.arange(100) % 7 < 4, 2.3, np.nextafter(np.float32(2.3), np.float32(3)))
    assert diverges_at(losses) is None


# ---------------------------------------------------------------- points and smoothing


def test_points_end_with_divergence_or_before_what_is_not_finite():
    losses = sigmoid(1.8)
    assert len(usable_points(LRS, losses).x) == diverges_at(losses) + 1
    losses[30] = np.nan
    assert len(usable_points(LRS, losses).x) == 30
    losses[5] = np.inf
    assert usable_points(LRS, losses) is None


def test_smoothing_keeps_straight_lines_and_has_no_lag():
    losses = 3 - 0.2 * X
    smoothed, slopes = usable_points(LRS, losses).smooth()
    np.testing.assert_allclose(smoothed, losses, atol=1e-9)
    np.testing.assert_allclose(slopes, -0.2, atol=1e-9)


def test_outliers_are_replaced_and_trends_are_not():
    losses = sigmoid(1.8, rise=False)
    clean = usable_points(LRS, losses).y
    np.testing.assert_allclose(clean, losses, atol=0.02)
    losses[20] *= 10
    np.testing.assert_allclose(usable_points(LRS, losses).y, clean, atol=0.02)


def test_many_points_are_averaged():
    lrs = np.logspace(-7, 1, 4321)
    losses = np.interp(np.log10(lrs), X, sigmoid(1.8, rise=False))
    points = usable_points(lrs, losses)
    assert len(points.x) <= 500
    assert descent(points).depth(0.5) == pytest.approx(-2.5, abs=0.02)


# ---------------------------------------------------------------- the rules on a curve known in closed form


def test_rules_find_the_places_of_a_sigmoid():
    found = descent(usable_points(LRS, sigmoid(1.8)))
    assert isinstance(found, Descent)
    assert found.depth(0.5) == pytest.approx(-2.5, abs=0.05)  # where the sigmoid is half down
    assert found.steepest() == pytest.approx(-2.5, abs=0.1)  # its inflection
    assert found.depth(0.1) == pytest.approx(-2.5 - 0.35 * np.log(9), abs=0.15)  # 1/(1+e^-t) = 0.1
    assert found.edge() == pytest.approx(-0.5 + np.log(2.8) / 4, abs=0.1)  # e^(4t) - 1 = 1.8
    assert -1.2 < found.lowest < -0.4
    assert found.split == pytest.approx(-2.5, abs=0.2)


def test_pure_noise_has_a_descent_in_few_of_a_hundred_curves():
    rng = np.random.default_rng(0)
    found = sum(
        isinstance(descent(usable_points(LRS, 2 + 0.2 * rng.standard_normal(100))), Descent) for _ in range(300)
    )
    assert found <= 15
