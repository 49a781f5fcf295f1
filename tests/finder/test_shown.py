"""What consoles and notebooks show of a result: a repr of one line, and a picture."""

import math
import re
import struct
import subprocess
import sys

import numpy as np
import pytest

from lrsched import Curve, Race, Sweep
from tests.finder.helpers import LRS, sigmoid

NAN = math.nan
NOISE = np.random.default_rng(3).standard_normal(len(LRS))
TINY = 1.234567e-5
SHOWN = {
    "curve": (Curve(LRS, sigmoid(1.8)), r"Curve\(100 rates, completed, suggestion=0.0\d+, range=\(0.0\d+, 0.\d+\)\)"),
    "doubtful curve": (
        Curve(LRS[:60], sigmoid(1.8)[:60], stop_reason="data exhausted"),
        r"Curve\(60 rates, data exhausted, suggestion=\S+, range=\(\S+, \S+\), doubtful: range too short\)",
    ),
    "flat curve": (
        Curve(LRS, 2.3 + TINY * NOISE, stop_reason="data exhausted"),
        r"Curve\(100 rates, data exhausted, suggestion=None, reason='flat: the loss never falls by more than its "
        r"noise, [\de.-]+'\)",
    ),
    "rising curve": (
        Curve(LRS, 2 + LRS),
        r"Curve\(100 rates, completed, suggestion=None, reason='the loss only rises, from 2'\)",
    ),
    "empty curve": (
        Curve([], [], stop_reason="non-finite"),
        r"Curve\(0 rates, non-finite, suggestion=None, reason='non-finite at first step'\)",
    ),
    "sweep": (
        Sweep([0.3, 1e-5, 1.23456], [1, 128], [[0.5, 0.2], [0.6, 0.6], [0.5, 0.3]], "side by side"),
        r"Sweep\(3 rates from 1e-05 to 1.23, 128 steps, side by side, suggestion=0.3\)",
    ),
    "sweep without losses": (
        Sweep([TINY, 123456.7], [1, 100_000], [[0.5, NAN], [0.6, NAN]]),
        r"Sweep\(2 rates from 1.23e-05 to 1.23e\+05, 100000 steps, one after another, suggestion=None, no losses at "
        r"the last mark\)",
    ),
    "race": (
        Race([TINY, 0.1], [4, 800_000], [[0.5, 0.3], [0.9, 0.8]], TINY, 800_000, reason="it won " * 50),
        r"Race\(2 rates from 1.23e-05 to 0.1, one after another, lr=1.23e-05, position=800000\)",
    ),
}
each = pytest.mark.parametrize("name", SHOWN)


@each
def test_a_repr_is_one_line_with_what_matters(name):
    value, pattern = SHOWN[name]
    assert "\n" not in repr(value)
    assert len(repr(value)) <= 120
    assert re.fullmatch(pattern, repr(value))


@each
def test_a_notebook_shows_a_picture(name):
    pytest.importorskip("matplotlib")
    data = SHOWN[name][0]._repr_png_()
    assert data.startswith(b"\x89PNG\r\n")
    assert struct.unpack(">II", data[16:24]) == (1080, 600)
    assert 5_000 < len(data) < 200_000


def test_without_matplotlib_a_notebook_shows_the_repr():
    code = (
        "import sys; sys.modules['matplotlib'] = None; from lrsched import Curve, Race, Sweep;"
        "results = Curve([1], [1]), Sweep([1], [1], [[1]]), Race([1], [1], [[1]], 1, 1);"
        "print([result._repr_png_() for result in results])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[None, None, None]"


def test_the_title_of_a_curve_says_why_the_suggestion_is_doubtful():
    pytest.importorskip("matplotlib")
    curve, _ = SHOWN["doubtful curve"]
    assert (
        curve.plot().get_title(loc="left")
        == curve.warning
        == ("range too short: the loss was still falling at the end, raise end_lr")
    )
    assert SHOWN["curve"][0].plot().get_title(loc="left") == ""


def test_the_title_of_a_sweep_without_losses_says_so():
    pytest.importorskip("matplotlib")
    assert SHOWN["sweep without losses"][0].plot().get_title(loc="left") == "no losses at the last mark"
    assert SHOWN["sweep"][0].plot().get_title(loc="left") == ""
