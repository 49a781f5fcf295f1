"""The rules, on a curve whose descent is known in closed form."""

import numpy as np
import pytest

from lrsched.finder._descent import Descent, descent
from lrsched.finder._smoothing import usable_points
from tests.finder.helpers import LRS, sigmoid


def test_rules_find_the_known_points_of_a_sigmoid():
    found = descent(usable_points(LRS, sigmoid(1.8)))
    assert isinstance(found, Descent)
    assert found.depth(0.5) == pytest.approx(-2.5, abs=0.05)  # the middle of the sigmoid
    assert found.steepest() == pytest.approx(-2.5, abs=0.1)  # its inflection
    assert found.depth(0.1) == pytest.approx(-2.5 - 0.35 * np.log(9), abs=0.15)  # 1/(1+e^-t) = 0.1
    assert found.edge() == pytest.approx(-0.5 + np.log(2.8) / 4, abs=0.1)  # e^(4t) - 1 = 1.8
    assert -1.2 < found.lowest < -0.4
    middle = (-2.5 + 0.35 * np.log(9) - 0.5 + np.log(2.8) / 4) / 2  # from 1/(1+e^-t) = 0.9 to the edge
    assert found.suggestion() == pytest.approx(middle - np.log10(5), abs=0.05)


def test_pure_noise_rarely_has_a_descent():
    rng = np.random.default_rng(0)
    found = sum(
        isinstance(descent(usable_points(LRS, 2 + 0.2 * rng.standard_normal(100))), Descent) for _ in range(300)
    )
    assert found <= 15
