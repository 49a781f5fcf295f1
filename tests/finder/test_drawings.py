import numpy as np

from lrsched.finder._drawings import draw_range_test, draw_sweep


def test_a_range_test_shows_raw_losses_the_smoothed_line_the_range_and_each_choice():
    lrs, losses = [0.1, 1.0, 10.0], [[3.0, 1.0, 9.0], [3.2, 1.2, 9.9]]
    ax = draw_range_test(
        lrs, losses, lrs, [3.0, 1.0, 9.0], {"low": 0.2, "best": 0.5, "none": None}, (0.1, 1.0), chosen="best"
    )
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["loss", "smoothed", "best: 0.5", "low: 0.2", "range: 0.1 … 1"]
    assert ax.get_ylim()[1] < 5  # the divergence at the right does not flatten the descent
    widths = {line.get_label(): line.get_linewidth() for line in ax.lines}
    assert widths["best: 0.5"] > widths["low: 0.2"]


def test_a_range_test_without_points_is_drawn():
    assert draw_range_test([], np.empty((0, 0)), [], [], {"none": None}, (0.1, 1.0)).get_xscale() == "log"


def test_a_sweep_has_a_line_for_each_mark_over_ascending_rates():
    ax = draw_sweep([1.0, 0.1], [[0.5, 0.4], [0.9, np.nan]], ["1", "8"], 0.1)
    assert [line.get_label() for line in ax.lines] == ["1 step", "8 steps", "suggestion 0.1"]
    assert [line.get_xdata().tolist() for line in ax.lines[:2]] == [[0.1, 1.0]] * 2
    assert ax.lines[0].get_ydata().tolist() == [0.9, 0.5]
