import math

import pytest

from lrsched.sequences._shapes import between, descent, half_cosine, rise, square_root, straight


@pytest.mark.parametrize("fall", [straight, half_cosine, square_root])
def test_a_fall_goes_from_1_to_0_and_never_up(fall):
    heights = [fall(k, 30) for k in range(31)]
    assert (heights[0], heights[-1]) == (1.0, 0.0)
    assert heights == sorted(heights, reverse=True)


def test_a_fall_by_hand():
    assert [rise(0.2, k, 4) for k in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0], rel=1e-15)
    assert [straight(k, 4) for k in range(5)] == [1, 0.75, 0.5, 0.25, 0]
    assert [half_cosine(k, 3) for k in range(4)] == pytest.approx([1, 0.75, 0.25, 0], rel=1e-15)
    assert [square_root(k, 9) for k in (0, 1, 4, 9)] == pytest.approx([1, 2 / 3, 1 / 3, 0], rel=1e-15)


@pytest.mark.parametrize("end", [0.0, 0.1, 1 / 3, 1.0, 7.3])
def test_descent_and_between_meet_both_ends_exactly(end):
    assert (descent(end, 1.0), descent(end, 0.0)) == (1.0, end)
    for start in (0.0, 0.7, 1.0, 25.0):
        assert (between(start, end, 1.0), between(start, end, 0.0)) == (start, end)
        assert math.isclose(between(start, end, 0.25), start / 4 + end * 3 / 4)
