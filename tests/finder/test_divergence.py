import numpy as np
import pytest

from lrsched.finder._divergence import Divergence
from tests.finder.helpers import sigmoid


def diverges_at(losses):
    divergence = Divergence()
    return next((k for k, loss in enumerate(losses) if divergence.update(loss)), None)


def test_divergence_needs_three_of_five_losses_above_the_limit():
    losses = [2.0] * 10 + [1.0] * 5  # head 2, best 1, no noise: the limit is 3
    assert diverges_at([*losses, 3.1, 3.1, 3.1]) == 17
    assert diverges_at([*losses, 3.1, 3.1, 2.9, 3.1]) == 18
    assert diverges_at([*losses, 2.9, 2.9, 2.9, 2.9, 2.9]) is None
    assert diverges_at([*losses, *[3.1, 3.1, 1, 1, 1] * 5]) is None


def test_no_divergence_before_the_tenth_loss():
    assert diverges_at([1.0, *np.geomspace(1, 1e9, 30)]) >= 9


@pytest.mark.parametrize(("scale", "shift"), [(1, -10), (1, 1e3), (1e-6, 0), (50, -7)])
def test_divergence_does_not_change_when_losses_are_shifted_and_scaled(scale, shift):
    losses = sigmoid(1.8) + 0.05 * np.random.default_rng(0).standard_normal(100)
    assert diverges_at(losses) is not None
    assert diverges_at(scale * losses + shift) == diverges_at(losses)


def test_outliers_and_noise_are_not_divergence():
    rng = np.random.default_rng(0)
    for _ in range(50):
        losses = 2 + 0.2 * rng.standard_normal(100)
        losses[[5, 40, 70]] *= 10
        assert diverges_at(losses) is None


def test_rounding_of_a_constant_loss_is_not_divergence():
    losses = np.where(np.arange(100) % 7 < 4, 2.3, np.nextafter(np.float32(2.3), np.float32(3)))
    assert diverges_at(losses) is None
