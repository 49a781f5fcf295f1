"""Sweep as data."""

import json
import math

import numpy as np
import pytest

from lrsched import Sweep


def test_json_contains_everything_and_can_be_read_back():
    sweep = Sweep([0.1, 1.0], [1, 2], [[0.5, 0.4], [0.6, math.nan]], "side by side")
    back = Sweep.from_json(sweep.to_json())
    assert json.loads(sweep.to_json())["losses"] == [[0.5, 0.4], [0.6, None]]
    assert np.array_equal(back.losses, sweep.losses, equal_nan=True)
    assert (back.lrs.tolist(), back.steps.tolist(), back.method, back.suggestion) == (
        [0.1, 1.0],
        [1, 2],
        "side by side",
        0.1,
    )
    with pytest.raises(ValueError, match=r"^text must be the JSON of a sweep, with the keys lrs, steps and losses$"):
        Sweep.from_json("[]")
    with pytest.raises(ValueError, match="version must be <= 1, got 2: update lrsched to read it"):
        Sweep.from_json('{"version": 2, "lrs": [1], "steps": [1], "losses": [[1]]}')
    with pytest.raises(ValueError, match=r"losses must have shape \(rates, marks\) = \(1, 1\), got \(2,\)"):
        Sweep([1.0], [1], [1.0, 2.0])


def test_the_warning_says_how_long_a_run_the_suggestion_is_for():
    sweep = Sweep([0.1, 1.0], [1, 128], [[0.5, 0.4], [0.6, math.nan]])
    assert sweep.warning.startswith(
        "the best rate after 128 steps is too high for a longer run with SGD, by a factor of"
    )
    assert sweep.warning.endswith("use race() to choose a rate for a whole run")
    assert json.loads(sweep.to_json())["warning"] == sweep.warning
    assert Sweep([0.1], [1], [[math.nan]]).warning is None


def test_a_plot_has_one_line_per_mark_and_the_suggestion():
    sweep = Sweep([0.1, 1.0, 10.0], [1, 2], [[0.5, 0.4], [0.6, 0.2], [9.0, math.nan]])
    ax = sweep.plot()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["1 step", "2 steps", "suggestion 1"]
    assert ax.lines[1].get_ydata()[:2].tolist() == [0.4, 0.2]
