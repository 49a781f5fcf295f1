"""The picture of a race."""

import math

import numpy as np
import pytest

from lrsched import Race
from lrsched.finder._race_drawing import draw_race

pytest.importorskip("matplotlib")
NAN = math.nan
LRS = [1.0, 0.01, 0.1, 10.0]
LOSSES = [[0.6, 0.5, 0.4], [0.9, NAN, NAN], [0.7, 0.6, 0.5], [0.8, 0.9, NAN]]


def test_a_line_per_rung_goes_through_the_members_that_were_in():
    ax = draw_race(LRS, LOSSES, ["4", "8", "16"], 1.0)
    lines = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert lines["after 4 steps"] == [[0.01, 0.9], [0.1, 0.7], [1.0, 0.6], [10.0, 0.8]]
    assert lines["after 8 steps"] == [[0.1, 0.6], [1.0, 0.5], [10.0, 0.9]]
    assert lines["after 16 steps"] == [[0.1, 0.5], [1.0, 0.4]]


def test_crosses_mark_the_dropped_and_a_line_the_winner():
    ax = draw_race(LRS, LOSSES, ["4", "8", "16"], 1.0, title="race")
    crosses = [line.get_xydata().tolist() for line in ax.lines if line.get_marker() == "x"]
    assert crosses == [[[0.01, 0.9], [10.0, 0.9], [0.1, 0.5]]]
    assert [line.get_xdata()[0] for line in ax.lines if line.get_label() == "winner 1"] == [1.0]
    assert ax.get_title(loc="left") == "race"


def test_a_loss_that_towers_above_the_others_does_not_flatten_them():
    ax = draw_race([0.1, 1.0, 10.0], [[0.5, 0.4], [0.6, 0.5], [1e9, NAN]], ["4", "8"], 0.1)
    assert 0.6 < ax.get_ylim()[1] < 10
    assert np.isfinite(ax.get_ylim()).all()


def test_the_losses_of_the_lowest_rate_are_shown_even_if_they_are_high():
    losses = [[0.05, 0.02], [0.06, 0.03], [0.9, NAN], [7.0, NAN]]
    assert 0.9 < draw_race([0.1, 0.3, 0.001, 1.0], losses, ["4", "8"], 0.1).get_ylim()[1] < 2


@pytest.mark.parametrize("losses", [[[0.5]], [[NAN]]], ids=["one loss", "no loss"])
def test_a_race_of_one_can_be_drawn(losses):
    ax = Race([0.1], [4], losses, 0.1, 4).plot()
    assert np.isfinite(ax.get_ylim()).all()
