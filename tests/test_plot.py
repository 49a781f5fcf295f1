import gc
import io
import runpy
import shutil
import subprocess
import sys
import weakref
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from lrsched import Cutoff, Geometric, PlateauSequence, plot
from tests.helpers import group_lrs, make_optimizer

HERE = Path(__file__).parent


def colours(path):
    with Image.open(path) as image:
        return len(image.convert("RGB").getcolors(maxcolors=1 << 24))


# Curves


def test_the_lines_hold_the_given_arrays():
    x = np.array([0, 1, 5, 9])
    curves = {"falling": np.array([1.0, 0.5, 0.25, 0.125]), "rising": [0, 1, 2, 3]}
    ax = plot.schedules(x, curves)
    assert [line.get_label() for line in ax.lines] == ["falling", "rising"]
    for line, values in zip(ax.lines, curves.values(), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), x)
        np.testing.assert_array_equal(line.get_ydata(), values)


def test_every_curve_is_labelled_in_its_colour():
    ax = plot.schedules(range(3), {f"curve {i}": [i, i, i] for i in range(7)})
    assert [text.get_text() for text in ax.texts] == [f"curve {i}" for i in range(7)]
    assert [text.get_color() for text in ax.texts] == [line.get_color() for line in ax.lines]


def test_labels_never_overlap_and_keep_the_order_of_the_curves():
    ends = [0.0, 0.0, 0.001, 1.0, 0.5, 0.999]
    ax = plot.schedules(range(2), {f"a label so long that it takes two, {i}": [0.5, end] for i, end in enumerate(ends)})
    ax.figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in ax.texts]  # the extent of an annotation includes its leader
    order = np.argsort([box.y0 for box in boxes]).tolist()
    assert order == [0, 1, 2, 4, 5, 3]
    assert all(0 <= text.xyann[1] <= 1 for text in ax.texts)
    assert all(boxes[below].y1 <= boxes[above].y0 for below, above in pairwise(order))


def test_twenty_five_curves_all_differ_in_colour_or_dash():
    styles = {(style["color"], style["linestyle"]) for style in map(plot.line_style, range(25))}
    assert len(styles) == 25
    assert "marker" not in plot.line_style(5, points=10)  # dots would hide the dashes


def test_only_short_curves_have_dots():
    assert plot.schedules(range(10), {"a": range(10)}).lines[0].get_marker() == "o"
    assert plot.schedules(range(1000), {"a": range(1000)}).lines[0].get_marker() == "None"


def test_a_logarithmic_axis_leaves_zero_out():
    ax = plot.schedules(range(3), {"a": [1.0, 0.1, 0.0]}, log=True)
    assert ax.get_yscale() == "log"
    assert ax.get_ylim()[0] > 0
    assert not np.isfinite(ax.yaxis.get_transform().transform([0.0]))  # so no line runs down to it
    assert 0 < ax.texts[0].xy[1] < 0.1  # the label is at the last value drawn, 0.1


def test_a_linear_axis_starts_at_zero_unless_a_value_is_negative():
    assert plot.schedules(range(2), {"a": [2.0, 1.5]}).get_ylim()[0] == 0
    assert plot.schedules(range(2), {"a": [2.0, -1.5]}).get_ylim()[0] < -1.5


def test_curves_with_gaps_or_of_one_position_are_drawn(tmp_path):
    plot.save(plot.schedules([0], {"a": [1.0]}), tmp_path / "one.png")
    plot.save(plot.schedules([0, 1], {"a": [1.0, np.nan], "b": [np.nan, np.nan]}), tmp_path / "gaps.png")
    assert colours(tmp_path / "gaps.png") > 10


def test_events_are_vertical_lines_at_their_positions():
    ax = plot.frame()
    plot.events(ax, [3, 7])
    assert [line.get_xdata() for line in ax.lines] == [[3, 3], [7, 7]]


def test_drawing_into_given_axes_makes_no_figure_of_its_own():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert plot.schedules(range(2), {"a": [1, 2]}, ax=right) is right
    assert (len(left.lines), len(right.lines), len(figure.axes)) == (0, 1, 2)


def test_titles_and_axis_labels():
    ax = plot.schedules(range(2), {"a": [1, 2]}, title="t", xlabel="epoch", ylabel="rate")
    assert (ax.get_title(loc="left"), ax.get_xlabel(), ax.get_ylabel()) == ("t", "epoch", "rate")


# Jumps and many positions


def test_a_value_holds_until_the_next_position_so_a_jump_is_vertical():
    ax = plot.schedules([0, 1, 2, 3], {"a": [1.0, 1.0, 0.1, 0.1]}, ax=Figure(figsize=(4, 3), dpi=100).add_subplot())
    ax.lines[0].set_marker("")
    ax.set_axis_off()
    ax.grid(False)
    for text in list(ax.texts):
        text.remove()
    written = io.BytesIO(plot.png(ax))
    blue = np.asarray(Image.open(written).convert("RGB")).astype(int)[:, :, 0] < 100
    columns = blue.sum(0)
    upright = np.flatnonzero(columns > 10)
    left, right = np.flatnonzero(columns)[[0, -1]]
    assert upright.max() - upright.min() < 4  # one column, of the width of the line
    assert (upright.mean() - left) / (right - left) == pytest.approx(2 / 3, abs=0.02)


def test_of_many_points_those_are_kept_that_can_be_seen():
    values = np.zeros(1_000_000)
    values[123_456], values[654_321] = 1.0, -1.0
    (line,) = plot.schedules(np.arange(1_000_000), {"spikes": values}).lines
    x, y = line.get_xdata(), line.get_ydata()
    assert x[y != 0].tolist() == [123_456, 654_321]
    assert y[y != 0].tolist() == [1.0, -1.0]
    assert (x[0], x[-1]) == (0, 999_999)
    assert len(x) <= 3200
    assert len(plot.schedules(range(3200), {"a": np.zeros(3200)}).lines[0].get_xdata()) == 3200


def test_positions_are_all_or_one_in_each_of_twenty_thousand_stretches():
    assert plot.positions(1).tolist() == [0]
    assert plot.positions(20_000).tolist() == list(range(20_000))
    for steps in (10**6, 10**15):
        chosen = plot.positions(steps)
        assert (chosen[0], chosen[-1], len(chosen), chosen.dtype) == (0, steps - 1, 20_000, np.int64)
        assert (chosen // (steps // 20_000)).tolist() == list(range(20_000))
    assert np.array_equal(plot.positions(10**6), plot.positions(10**6))
    remainders = np.bincount(plot.positions(10**6) % 50)  # evenly spaced positions would all have the remainder 0
    assert (remainders.min(), remainders.max()) > (300, 400)


def test_curves_drawn_later_into_the_same_axes_get_other_colours_and_room_for_their_labels():
    ax = plot.schedules(range(2), {"first": [1, 0]})
    plot.schedules(range(2), {"second": [2, 0]}, ax=ax)
    ax.figure.draw_without_rendering()
    assert [line.get_color() for line in ax.lines] == list(plot.COLOURS[:2])
    first, second = (Text.get_window_extent(text) for text in ax.texts)
    assert first.y1 <= second.y0


def test_a_drawing_that_nobody_holds_is_freed():
    drawing = weakref.ref(plot.schedules(range(2), {"a": [1, 2]}))
    gc.collect()
    assert drawing() is None


def test_a_curve_without_a_label_has_none():
    assert not plot.schedules(range(2), {"": [1, 0]}).texts


# Runs and pictures


def test_a_run_shows_losses_rates_and_the_ends_of_epochs_with_an_event():
    losses = [0.9, 0.7, 0.7, 0.6, 0.6]
    optimizer = make_optimizer()
    scheduler = PlateauSequence(optimizer, Geometric(0.5), on=Cutoff(0.01, decay=1.0))
    lrs = []
    for loss in losses:
        lrs += group_lrs(optimizer)
        optimizer.step()
        scheduler.step(loss)
    above, below = plot.run({"valid": losses, "train": [0.5] * 5}, lrs, scheduler.events, title="mine")
    assert [line.get_ydata().tolist() for line in above.lines[:2]] == [losses, [0.5] * 5]
    (rates,) = (line for line in below.lines if line.get_drawstyle() == "steps-mid")
    assert (rates.get_xdata().tolist(), rates.get_ydata().tolist()) == ([1, 2, 3, 4, 5], [0.1, 0.1, 0.1, 0.05, 0.05])
    for ax, curves in ((above, 2), (below, 1)):
        assert [line.get_xdata() for line in ax.lines[curves:]] == [[3.5, 3.5], [5.5, 5.5]]
    assert [text.get_text() for text in above.texts] == ["valid", "train"]
    assert (above.get_title(loc="left"), below.get_xlabel(), below.get_yscale()) == ("mine", "epoch", "log")


def test_a_run_of_several_groups_and_of_one_epoch_and_on_given_axes():
    axes = plot.figure().subplots(2, 1)
    above, below = plot.run([1.0], [[0.1, 0.2]], [1], axes=tuple(axes), log=True)
    assert (above, below) == tuple(axes)
    assert [line.get_ydata().tolist() for line in below.lines[:2]] == [[0.1], [0.2]]
    assert above.get_yscale() == "log"
    assert plot.run([1.0], [0.0])[1].get_yscale() == "linear"


@pytest.mark.parametrize(("losses", "lrs"), [([1.0, 2.0], [0.1]), ([], []), ({"a": [1.0], "b": []}, [0.1])])
def test_a_run_of_unequal_lengths_is_refused(losses, lrs):
    with pytest.raises(ValueError, match=r"^losses .* and lrs must have the same length, at least 1, got shapes "):
        plot.run(losses, lrs)


def test_picture_shows_the_image_and_its_rates():
    image = np.array([[[255, 0, 0], [0, 51, 255]]], dtype=np.uint8)
    left, right = plot.picture(image, [1e-2, 1e-5, 1e-5, 1e-5, 2e-3, 1e-2])
    np.testing.assert_allclose(left.images[0].get_array(), [[[1, 0, 0], [0, 0.2, 1]]], rtol=1e-15)
    assert right.lines[0].get_ydata().tolist() == [1e-2, 1e-5, 1e-5, 1e-5, 2e-3, 1e-2]


@pytest.mark.parametrize(
    ("image", "shown"),
    [
        (np.array([[[255], [0]]], dtype=np.uint8), [[1.0, 0.0]]),
        (np.array([[65535, 0]], dtype=np.uint16), [[1.0, 0.0]]),
        (np.array([[0.25, 0.5]]), [[0.25, 0.5]]),
    ],
    ids=["8-bit grey", "16-bit", "float"],
)
def test_picture_takes_grey_16_bit_and_float_images(image, shown):
    left, _ = plot.picture(image, [1.0])
    assert left.images[0].get_array().tolist() == shown
    assert left.images[0].get_clim() == (0, 1)


def test_many_rates_become_the_mean_and_the_range_of_each_stretch():
    rates = np.tile([0.0, 1.0, 2.0, 5.0], 500)  # 2000 rates, 250 stretches of 8: mean 2, from 0 to 5
    _, right = plot.picture(np.zeros((2, 2)), rates)
    (mean,) = right.lines
    np.testing.assert_allclose(mean.get_xdata(), 8 * np.arange(250) + 3.5)
    np.testing.assert_allclose(mean.get_ydata(), 2.0)
    (band,) = right.collections
    assert set(band.get_paths()[0].vertices[:, 1]) == {0.0, 5.0}
    assert right.get_xlabel() == "step (line: mean of about 8, band: their range)"


def test_the_rates_of_a_picture_can_be_those_of_some_steps():
    _, few = plot.picture(np.zeros((2, 2)), [1.0, 0.5], x=[0, 40])
    assert few.lines[0].get_xdata().tolist() == [0, 40]
    _, many = plot.picture(np.zeros((2, 2)), np.ones(2000), x=10 * np.arange(2000))
    np.testing.assert_allclose(many.lines[0].get_xdata(), 80 * np.arange(250) + 35)
    assert many.get_xlabel() == "step (line: mean of about 80, band: their range)"


def test_picture_draws_into_given_axes():
    axes = tuple(Figure().subplots(1, 2))
    assert plot.picture(np.zeros((2, 2)), [1.0], axes=axes) == axes


# Files


def test_png_has_the_size_of_the_figure_and_is_not_blank(tmp_path):
    ax = plot.schedules(range(5), {"a": range(5)})
    plot.save(ax, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (1080, 600)  # 7.2 × 4 inches of 150 dots
    assert colours(tmp_path / "a.png") > 50
    plot.save(plot.figure(), tmp_path / "blank.png")
    assert colours(tmp_path / "blank.png") == 1


def test_svg_is_xml_and_pdf_is_pdf(tmp_path):
    ax = plot.schedules(range(5), {"a": range(5)})
    plot.save(ax.figure, tmp_path / "a.SVG")
    root = ElementTree.parse(tmp_path / "a.SVG").getroot()
    assert root.tag.endswith("}svg")
    assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) > 5
    plot.save(ax, tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


def test_axes_of_a_subfigure_save_the_whole_figure(tmp_path):
    figure = Figure(figsize=(4, 2), dpi=100)
    ax = figure.subfigures(1, 2)[1].subplots()
    plot.save(plot.schedules(range(2), {"a": [1, 2]}, ax=ax), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (400, 200)


# Bad arguments


def test_bad_arguments():
    with pytest.raises(ValueError, match="there is nothing to draw: got 0 curves over 2 positions"):
        plot.schedules(range(2), {})
    with pytest.raises(ValueError, match="there is nothing to draw: got 1 curves over 0 positions"):
        plot.schedules([], {"a": []})
    with pytest.raises(ValueError, match=r"curve 'b' must have the shape of x, \(2,\), got \(3,\)"):
        plot.schedules(range(2), {"a": [1, 2], "b": [1, 2, 3]})
    with pytest.raises(ValueError, match="a logarithmic axis needs a value > 0, got none: draw with log=False"):
        plot.schedules(range(2), {"a": [0, 0]}, log=True)
    with pytest.raises(ValueError, match="rates must have at least one entry, got none"):
        plot.picture(np.zeros((2, 2)), [])
    with pytest.raises(ValueError, match=r"path must end in one of \.pdf, \.png, \.svg, got 'a\.jpg'"):
        plot.save(plot.figure(), "a.jpg")


def test_an_unwritable_folder_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        plot.save(plot.figure(), tmp_path / "missing" / "a.png")


# Imports


def test_the_first_drawing_imports_matplotlib_but_never_pyplot(tmp_path):
    code = f"""
import sys
import lrsched
from lrsched import plot
print("matplotlib" in sys.modules)
plot.save(plot.schedules(range(3), {{"a": [1, 2, 3]}}), {str(tmp_path / "a.png")!r})
plot.picture([[0.0]], [1.0])
print("matplotlib" in sys.modules, "matplotlib.pyplot" in sys.modules)
"""
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["False", "True", "False"]
    assert colours(tmp_path / "a.png") > 50


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"drawing needs matplotlib: pip install matplotlib"):
        plot.schedules(range(2), {"a": [1, 2]})


@pytest.mark.parametrize(("name", "size"), [("schedules", (1600, 1080)), ("run", (1080, 660))])
def test_the_pictures_of_the_docs_are_drawn(name, size, tmp_path):
    script = HERE.parent / "docs" / f"{name}.py"
    if not script.exists():
        pytest.skip("docs/ is not part of this copy")
    runpy.run_path(shutil.copy(script, tmp_path), run_name="__main__")
    with Image.open(tmp_path / f"{name}.png") as image:
        assert image.size == size
    assert colours(tmp_path / f"{name}.png") > 500


def test_a_logarithmic_axis_of_less_than_a_decade_has_plain_numbers():
    axes = plot.frame(log=True)
    axes.plot([0, 1], [1.47, 1.92])
    axes.figure.canvas.draw()
    labels = [label.get_text() for label in axes.get_yticklabels(which="minor")]
    assert {"1.5", "1.6", "1.7"} <= set(labels)


@pytest.mark.parametrize(
    ("low", "high", "shown", "hidden"),
    [
        (0.41, 0.92, {"0.5", "0.6", "0.9"}, "e"),
        (0.002, 1.5, {"0.01", "0.1", "1"}, "10^"),
        (3, 40, {"4", "10", "20"}, "10^"),
        (2e-6, 0.1, {r"$\mathdefault{10^{-5}}$", r"$\mathdefault{10^{-1}}$"}, "0.1"),
    ],
)
def test_ticks_of_a_logarithmic_axis(low, high, shown, hidden):
    ax = plot.frame(log=True)
    ax.plot([0, 1], [low, high])
    labels = {label.get_text() for minor in (False, True) for label in ax.get_yticklabels(minor=minor)}
    assert shown <= labels
    assert not any(hidden in label for label in labels)


def test_labels_shrink_if_there_is_no_room_for_them():
    ax = plot.figure(5, 1.5).add_subplot()
    plot.schedules(range(2), {f"curve {i}": [0, i] for i in range(16)}, ax=ax)
    ax.figure.draw_without_rendering()
    (size,) = {text.get_fontsize() for text in ax.texts}
    assert 4 <= size < 8.5
    assert plot.label_room(["a", "a label so long that it takes two lines"]) == pytest.approx(3 * 1.25 * 8.5 / 72)


def test_labels_follow_their_lines_if_shared_axes_grow():
    left, right = plot.figure(8, 3).subplots(1, 2, sharey=True)
    (line,) = left.plot([0, 1], [0, 1], label="first")
    plot.name_ends(left, [line])
    right.plot([0, 1], [0, 9])
    left.figure.savefig(io.BytesIO())
    (name,) = left.texts
    end = (left.transData + left.transAxes.inverted()).transform((1, 1))
    assert name.xy == pytest.approx(tuple(end))
    assert name.get_position()[1] == pytest.approx(end[1])
    assert end[1] < 0.2


def test_a_second_drawing_keeps_the_title_of_the_first():
    ax = plot.schedules([0, 1], {"a": [1, 0.5]}, title="first")
    plot.schedules([0, 1], {"b": [1, 0.25]}, ax=ax)
    assert ax.get_title(loc="left") == "first"


@pytest.mark.parametrize("logs", [(True, False), (False, True), (True, True)])
def test_a_logarithmic_drawing_and_another_share_axes(logs):
    ax = plot.schedules([0, 1, 2], {"a": [1, 0.1, 0.01]}, log=logs[0])
    plot.schedules([0, 1, 2], {"b": [1, 0.5, 0]}, ax=ax, log=logs[1])
    assert ax.get_yscale() == "log"
    low, high = ax.get_ylim()
    assert 0.001 < low < 0.01
    assert 1 < high < 10
    heights = [label.get_position()[1] for label in ax.texts]
    assert 0 <= heights[0] < heights[1] <= 1
