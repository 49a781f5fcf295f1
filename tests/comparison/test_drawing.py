from itertools import pairwise

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.text import Text
from scipy import stats

from lrsched import plot
from lrsched.comparison._drawing import draw_comparison

FALLING = np.geomspace(1, 0.1, 10)


def rates(values, lr=0.1):
    return {label: np.full((*np.shape(array), 1), lr) for label, array in values.items()}


def draw(values, **options):
    return draw_comparison(values, rates(values), **options)


def bands(ax):
    """Return the lowest and highest vertical coordinate of each band, at each epoch."""
    found = []
    for band in ax.collections:
        assert isinstance(band, PolyCollection)
        x, y = np.concatenate([np.empty((0, 2)), *(path.vertices for path in band.get_paths())]).T
        found.append({epoch: (y[x == epoch].min(), y[x == epoch].max()) for epoch in np.unique(x)})
    return found


def test_a_mean_is_taken_over_the_runs_that_are_left():
    above, below = draw_comparison({"a": [[1.0, np.nan], [3.0, 2.0]]}, {"a": [[[0.1], [0.1]], [[0.1], [0.05]]]})
    assert above.lines[-1].get_ydata().tolist() == [2.0, 2.0]
    assert below.lines[-1].get_ydata().tolist() == pytest.approx([0.1, 0.075])


def test_the_band_is_the_interval_of_the_mean_where_three_runs_are_left():
    values = np.array([[1.0, 2.0, 1.0], [2.0, 2.5, 3.0], [3.0, 4.0, np.nan]])
    above, _ = draw({"a": values}, log=False)
    (band,) = bands(above)
    assert list(band) == [1, 2]
    for epoch, column in [(1, values[:, 0]), (2, values[:, 1])]:
        assert band[epoch] == pytest.approx(tuple(stats.ttest_1samp(column, 0).confidence_interval(0.95)))
    assert band[1] == pytest.approx((2 - 2.484138, 2 + 2.484138), abs=1e-6)  # s = 1, t(0.975, 2) = 4.3027


def test_on_a_logarithmic_axis_a_band_that_extends_below_zero_leaves_the_axes():
    above, _ = draw({"a": [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]})
    low, high = bands(above)[0][1]
    assert high == pytest.approx(4.484138, abs=1e-6)
    assert 0 < low < above.get_ylim()[0] / 100


def test_a_wide_band_does_not_change_the_axes():
    above, _ = draw({"a": [[1.0, 1.0], [1.1, 1.1], [1.2, 3.0]]}, log=False)
    assert bands(above)[0][2][1] > 4
    assert above.get_ylim()[1] < 3.3


def test_two_runs_have_no_band():
    above, _ = draw({"a": [[1.0, 0.9], [0.9, 0.8]]})
    assert bands(above) == [{}]


def test_runs_are_thin_and_below_the_means():
    above, _ = draw({"a": [FALLING] * 3, "b": [FALLING / 2] * 3})
    means = [line for line in above.lines if line.get_label() in "ab"]
    thin = [line for line in above.lines if line not in means]
    assert (len(means), len(thin)) == (2, 6)
    assert max(line.get_zorder() for line in thin) < min(line.get_zorder() for line in means)
    assert max(line.get_linewidth() for line in thin) < min(line.get_linewidth() for line in means)
    assert max(band.get_zorder() for band in above.collections) < min(line.get_zorder() for line in thin)


@pytest.mark.parametrize("low", [0.41, 0.05, 0.002])
def test_ticks_are_plain_numbers(low):
    above, below = draw({"a": [np.geomspace(0.9, low, 5)]})
    above.figure.draw_without_rendering()
    for ax in (above, below):
        labels = [*ax.get_yticklabels(), *ax.get_yticklabels(minor=True)]
        assert [float(label.get_text()) for label in labels if label.get_text()]
        assert not any("e" in label.get_text() or "times" in label.get_text() for label in labels)


def test_epochs_are_whole_numbers():
    above, _ = draw({"a": [[0.9, 0.8, 0.7]]})
    above.figure.draw_without_rendering()
    assert {label.get_text() for label in above.get_xticklabels()} <= {"0", "1", "2", "3", "4"}


@pytest.mark.parametrize(("values", "scale"), [([1.0, 0.1], "log"), ([1.0, -0.1], "linear"), ([0.0, 0.0], "linear")])
def test_a_logarithmic_axis_hides_no_negative_values(values, scale):
    assert draw({"a": [values]})[0].get_yscale() == scale


def test_a_curve_that_would_hide_an_equal_one_is_dashed():
    values = {"a": [FALLING], "b": [FALLING], "c": [FALLING / 2]}
    given = {**rates(values), "c": np.full((1, 10, 1), 0.2)}
    _, below = draw_comparison(values, given)
    first, second, third = below.lines[1::2]
    assert (first.get_linestyle(), second.get_linestyle(), third.get_linestyle()) == ("-", "--", "-")
    assert first.get_color() != second.get_color()


def test_one_epoch_is_a_dot_with_its_interval():
    above, below = draw({"a": [[0.5], [0.6], [0.7]]}, log=False)
    assert {line.get_marker() for line in (*above.lines, *below.lines)} == {"o"}
    assert bands(above)[0][0.9] == pytest.approx((0.6 - 0.248414, 0.6 + 0.248414), abs=1e-6)  # 4.3027 · 0.1/√3
    above.figure.draw_without_rendering()
    assert {label.get_text() for label in below.get_xticklabels()} == {"0", "1", "2"}


def test_a_point_without_neighbours_is_a_dot():
    above, _ = draw({"a": [[3.0, np.nan, 2.0, 1.0, np.nan]], "b": [[3.0, 2.0, 1.0, 0.5, 0.25]]})
    assert [line.get_markevery() for line in above.lines] == [[0], [0], None, None]


@pytest.mark.parametrize("lr", [0.1, 0.3, 1e-7])
def test_equal_rates_are_a_straight_line_with_a_labelled_tick(lr):
    _, below = draw({"a": [FALLING] * 3, "b": [FALLING] * 7})
    for line in below.lines:
        assert set(line.get_ydata()) == {0.1}
    _, below = draw_comparison({"a": [FALLING] * 3}, {"a": np.full((3, 10, 1), lr)})
    below.figure.draw_without_rendering()
    box = below.get_window_extent()
    heights = [label.get_window_extent().y0 for label in below.get_yticklabels() if label.get_text()]
    assert any(box.y0 < height < box.y1 for height in heights)
    assert set(below.lines[-1].get_ydata()) == {lr}


def test_values_that_are_equal_but_for_rounding_have_ticks():
    above, _ = draw({"a": [[0.1, 0.1], [0.1, 0.1 + 2e-17]]})
    above.figure.draw_without_rendering()
    low, high = above.get_ylim()
    assert low < 0.06
    assert high > 0.19


def test_a_setting_that_diverged_says_so_at_its_label():
    above, _ = draw({"a": [[0.5, 0.4]], "b": [[np.nan, np.nan]]})
    assert [text.get_text() for text in above.texts] == ["a", "b: no finite value"]


def test_a_dollar_sign_does_not_begin_a_formula():
    above, _ = draw({r"$\no such formula$": [FALLING], "a_b^c <&>": [FALLING], "": [FALLING]}, ylabel="$x$")
    assert plot.png(above)
    above.figure.draw_without_rendering()
    assert [text.get_text() for text in above.texts] == [r"\$\no such formula\$", "a_b^c <&>", ""]


@pytest.mark.parametrize("n", [2, 20, 60])
def test_labels_do_not_hide_each_other(n):
    long = "a name so long that it takes two lines, "
    above, below = draw({f"{long if i % 2 else ''}{i}": [FALLING * (1 + i % 3 / 100)] for i in range(n)})
    above.figure.draw_without_rendering()
    boxes = sorted((Text.get_window_extent(text) for text in above.texts), key=lambda box: box.y0)
    assert all(lower.y1 <= upper.y0 for lower, upper in pairwise(boxes))
    assert {text.get_fontsize() for text in above.texts} == {8.5}
    assert below.get_window_extent().height > 150


def test_many_rates_are_a_band_and_a_line_through_the_means():
    jagged = np.tile([0.001, 0.1], 600)
    _, below = draw_comparison({"a": [FALLING]}, {"a": jagged.reshape(1, 10, 120)})
    (line,) = below.lines
    assert len(line.get_xdata()) == 250
    assert line.get_ydata() == pytest.approx(0.0505, rel=0.25)
    (band,) = bands(below)
    assert set(band.values()) == {(0.001, 0.1)}


def test_a_thousand_rates_are_all_drawn():
    every = np.linspace(0.1, 0.2, plot.FEW)
    _, below = draw_comparison({"a": [FALLING]}, {"a": every.reshape(1, 10, 100)})
    assert below.lines[-1].get_ydata().tolist() == every.tolist()


def test_many_rates_may_be_zero_or_missing():
    every = np.linspace(0.1, 0.0, 2000)
    two = np.stack([every, np.where(every > 0.05, every, np.nan)]).reshape(2, 10, 200)  # the second run ended early
    above, below = draw_comparison({"a": [FALLING, FALLING]}, {"a": two})
    assert plot.png(above)
    assert below.get_ylim()[0] > 0


BAD = "values and rates must have the same labels, and shapes"


@pytest.mark.parametrize(
    ("values", "rates", "message"),
    [
        ({}, {}, "there is nothing to draw: got 0 settings without any validation loss"),
        (
            {"a": np.empty((2, 0))},
            {"a": np.empty((2, 0, 1))},
            "there is nothing to draw: got 1 setting without any validation loss",
        ),
        ({"a": [[1.0]]}, {"b": [[[1.0]]]}, BAD),
        ({"a": [[1.0, 2.0]]}, {"a": [[1.0]]}, BAD),
        ({"a": [1.0]}, {"a": [[[1.0]]]}, BAD),
        ({"a": [[1.0]]}, {"a": [[[1.0]], [[1.0]]]}, BAD),
    ],
)
def test_other_labels_or_shapes_are_refused(values, rates, message):
    with pytest.raises(ValueError, match=message):
        draw_comparison(values, rates)
