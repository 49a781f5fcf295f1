import base64
import io
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from lrsched import (
    Constant,
    Cosine,
    CosineRestarts,
    Function,
    Geometric,
    Inverse,
    InverseSqrt,
    Linear,
    OneCycle,
    Piecewise,
    Sawtooth,
    Sequence,
    StepDecay,
    Triangular,
    Values,
    Warmup,
)
from lrsched.sequences._drawing import steps_to_show

from .cases import EVERY


@dataclass(frozen=True)
class Broken(Sequence):
    """A user's sequence with a bug."""

    def _at(self, k):
        raise KeyError("a bug")


# How much is shown


@pytest.mark.parametrize(
    ("sequence", "steps"),
    [
        (Cosine(50), 56),
        (Values([1.0]), 3),
        (Warmup(10).then(Linear(90)), 111),
        (OneCycle(1000), 1101),
        (Constant(), 100),
        (Inverse(), 100),
        (Geometric(0.9), 100),
        (Geometric(0.999), 3200),  # 0.999^2303 is a tenth, and 1600 is too few
        (InverseSqrt(1000), 102400),  # a tenth at 99,000
        (StepDecay(0.5, 30), 200),  # a quarter at 99, and 1/64 at 199
        (Triangular(1000), 3200),  # one and a half cycles are 3000
        (Cosine(1000).repeated(1000), 3200),  # at 800 it is low, but it rises again
        (CosineRestarts(10, mult=2), 100),
    ],
    ids=repr,
)
def test_a_picture_shows_the_length_and_a_tenth_more_or_the_shape_of_an_endless_sequence(sequence, steps):
    assert steps_to_show(sequence) == steps


def test_a_very_slow_decay_is_shown_as_far_as_possible():
    assert steps_to_show(Geometric(1 - 1e-12)) == 100 * 2**20


# plot


def test_plot_draws_the_factors_and_labels_them_with_the_print():
    ax = Piecewise([2, 4], [1, 0.5, 0.1]).plot(6)
    (line,) = ax.lines
    assert line.get_ydata().tolist() == [1, 1, 0.5, 0.5, 0.1, 0.1]
    assert line.get_drawstyle() == "steps-post"
    assert [text.get_text().replace("\n", " ") for text in ax.texts] == ["Piecewise([2, 4], [1.0, 0.5, 0.1])"]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("position k", "factor", "linear")


def test_options_of_plot():
    figure = Figure()
    given = figure.add_subplot()
    ax = Geometric(0.5).plot(9, ax=given, log=True, label="halved", title="t", xlabel="epoch")
    assert ax is given
    assert ax.get_yscale() == "log"
    assert [text.get_text() for text in ax.texts] == ["halved"]
    assert (ax.get_title(loc="left"), ax.get_xlabel()) == ("t", "epoch")
    assert not Geometric(0.5).plot(9, label="").texts


def test_sequences_in_the_same_axes_differ_in_colour_and_their_labels_do_not_overlap():
    ax = Linear(50).plot()
    for sequence in (Cosine(50), Linear(50).every(2)):
        sequence.plot(60, ax=ax)
    ax.figure.draw_without_rendering()
    assert len({line.get_color() for line in ax.lines}) == 3
    heights = sorted(text.xyann[1] for text in ax.texts)
    assert len(heights) == 3
    assert min(np.diff(heights)) > 0.03


@pytest.mark.parametrize("sequence", EVERY, ids=lambda sequence: f"{sequence!r}"[:60])
def test_every_sequence_has_a_picture(sequence):
    ax = sequence.plot()
    assert isinstance(ax, Axes)
    assert len(ax.lines[0].get_ydata()) == min(steps_to_show(sequence), 3200)
    assert sequence._repr_html_().startswith("<pre>")


def test_a_jump_among_a_billion_positions_is_a_vertical_line_where_it_belongs():
    (line,) = Piecewise([300_000_000], [1, 0.1]).plot(10**9).lines
    x, y = line.get_xdata(), line.get_ydata()
    assert y.tolist() == sorted(y, reverse=True)
    assert set(y) == {1, 0.1}
    assert x[y < 1][0] == pytest.approx(300_000_000, abs=2e5)
    assert (x[0], x[-1]) == (0, 10**9 - 1)
    assert len(x) <= 3200


def test_a_short_cycle_among_a_million_positions_is_a_band_of_its_height():
    (line,) = Sawtooth(16, aligned=True).repeated(16).plot(2**20).lines  # evenly spaced positions would all fall alike
    y = line.get_ydata()
    assert (y.min(), y.max()) == (1 / 16, 1)
    assert np.mean(y < 0.2) > 0.2
    assert np.mean(y > 0.9) > 0.2


@pytest.mark.parametrize(
    ("steps", "error", "message"),
    [
        (0, ValueError, r"^steps must be an integer >= 1, got 0$"),
        (-5, ValueError, r"^steps must be an integer >= 1, got -5$"),
        (2.0, TypeError, r"^steps must be an integer, got 2\.0 \(float\)$"),
        (True, TypeError, r"^steps must be an integer, got True \(bool\)$"),
        ("10", TypeError, r"^steps must be an integer, got '10' \(str\)$"),
        (10**16, ValueError, r"^steps must be finite, >= 0 and <= 1e\+15, got 10000000000000000 \(int\)$"),
    ],
)
def test_plot_refuses_bad_steps(steps, error, message):
    with pytest.raises(error, match=message):
        Inverse().plot(steps)


def test_a_logarithmic_axis_without_a_positive_factor_is_refused():
    with pytest.raises(ValueError, match=r"^a logarithmic axis needs a value > 0, got none: draw with log=False$"):
        Constant().scaled(0).plot(log=True)


def test_what_a_users_function_raises_is_not_hidden():
    with pytest.raises(KeyError, match="a bug"):
        Broken().plot()


def test_without_matplotlib_plot_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"^drawing needs matplotlib: pip install matplotlib$"):
        Inverse().plot()


# Notebooks


def test_a_notebook_shows_the_print_and_the_picture():
    text = Function(lambda k: 1.0, name="a < b")._repr_html_()
    assert text.startswith("<pre>Function(&lt;a &lt; b&gt;)</pre><img ")
    encoded = text.partition("base64,")[2].partition('"')[0]
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
        assert image.size == (810, 360)
        assert len(image.convert("RGB").getcolors(1 << 20)) > 20


def test_a_notebook_shows_the_print_alone_if_nothing_can_be_drawn(monkeypatch):
    assert Broken()._repr_html_() is None
    assert Linear(10**17)._repr_html_() is None
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert Inverse()._repr_html_() is None


def test_a_billion_steps_are_shown_from_few_of_them():
    calls = []
    Function(lambda k: calls.append(k) or 1.0, name="counted").then(Constant(), at=10**9).clipped()._repr_html_()
    counted = Function(lambda k: calls.append(k) or 1 / (1 + k / 1e6), name="counted")
    calls.clear()
    assert counted.clipped().plot(10**9) is not None
    assert len(calls) == 20_000
    assert Linear(10**9)._repr_html_() is not None


def test_the_picture_never_imports_pyplot():
    code = "import sys, lrsched\nlrsched.Inverse()._repr_html_()\nprint('matplotlib.pyplot' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "False"
