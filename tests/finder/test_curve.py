import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

import lrsched
from lrsched import Curve
from tests.finder.helpers import LRS, X, sigmoid

RULES = ["suggestion", "minimum / 10", "steepest", "valley"]
SUGGESTED = (-2.5 + 0.35 * np.log(9) - 0.5 + np.log(2.8) / 4) / 2 - np.log10(5)  # of sigmoid(1.8), in closed form


def noisy(depth, noise, seed):
    return sigmoid(depth) + noise * np.random.default_rng(seed).standard_normal(len(X))


@pytest.mark.parametrize(
    ("depth", "noise", "spread"), [(1.8, 0.05, 0.25), (1.8, 0.2, 0.5), (0.4, 0.05, 0.5), (0.4, 0.2, 0.75)]
)
def test_suggestions_on_noisy_curves_scatter_little_around_a_fifth_of_the_middle_of_the_valley(depth, noise, spread):
    found = [Curve(LRS, noisy(depth, noise, seed)).suggestion for seed in range(100)]
    assert found.count(None) <= 2
    edge = -0.5 + np.log(1 + depth) / 4  # e^(4t) - 1 = depth
    off = np.log10([lr for lr in found if lr is not None]) - SUGGESTED - (edge - (-0.5 + np.log(2.8) / 4)) / 2
    assert abs(np.median(off)) <= 0.25
    assert np.abs(np.percentile(off, [5, 95])).max() <= spread


def test_without_noise_the_suggestion_is_a_fifth_of_the_middle_of_the_valley():
    assert np.log10(Curve(LRS, sigmoid(1.8)).suggestion) == pytest.approx(SUGGESTED, abs=0.05)


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize(("scale", "shift"), [(1, -10), (1, 500), (1e-5, 0), (40, -70), (1, -2)])
def test_suggestions_do_not_change_when_the_loss_is_shifted_and_scaled(noise, scale, shift):
    losses = noisy(1.8, noise, 1)
    here, there = Curve(LRS, losses), Curve(LRS, scale * losses + shift)
    for rule in RULES:
        assert there.suggestions[rule] == pytest.approx(here.suggestions[rule], rel=1e-3)
    assert there.range == pytest.approx(here.range, rel=1e-3)


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("place", [5, 50, 56, 70])
def test_one_outlier_moves_the_suggestion_by_less_than_a_third_of_a_decade(noise, place):
    for seed in range(10):
        losses = noisy(1.8, noise, seed)
        before = Curve(LRS, losses).suggestion
        losses[place] *= 10
        assert abs(np.log10(Curve(LRS, losses).suggestion / before)) < 0.3


@pytest.mark.parametrize(
    "losses", [np.full(100, 2.3), np.zeros(100), np.full(100, -4.0)], ids=["positive", "zero", "negative"]
)
def test_a_constant_loss_is_flat(losses):
    curve = Curve(LRS, losses)
    assert curve.suggestion is None
    assert curve.range is None
    assert curve.reason.startswith("flat")
    assert curve.suggestions == dict.fromkeys(curve.suggestions)


@pytest.mark.parametrize(
    "losses",
    [2 + LRS, 2 + np.geomspace(1e-3, 1e3, 100), 1 + 0.05 * np.arange(100)],
    ids=["late", "exponential", "steady"],
)
def test_a_rising_loss_has_no_suggestion(losses):
    noise = 0.01 * np.random.default_rng(0).standard_normal(100)
    for values in (losses, losses + noise):
        curve = Curve(LRS, values)
        assert curve.suggestion is None
        assert "only rises" in curve.reason


def test_a_loss_that_falls_to_the_end_has_a_warning():
    curve = Curve(LRS, 2 - 1 / (1 + np.exp(-(X - 1) / 0.5)))
    assert "range too short" in curve.warning
    assert "raise end_lr" in curve.warning
    assert curve.suggestion is not None


def test_a_loss_that_falls_from_the_start_has_a_warning():
    curve = Curve(LRS, 2 - 1 / (1 + np.exp(-(X + 7) / 0.35)) + (X > -2) * 10 * (X + 2))
    assert "lower start_lr" in curve.warning


def test_a_noisy_descent_has_a_warning_and_a_clear_one_does_not():
    warnings = [Curve(LRS, noisy(0.25, 0.2, seed)).warning for seed in range(20)]
    assert sum(warning is not None and "noisy" in warning for warning in warnings) >= 10
    assert Curve(LRS, noisy(1.8, 0.05, 0)).warning is None


def test_the_range_goes_from_a_tenth_of_the_descent_to_the_lowest_loss():
    low, high = np.log10(Curve(LRS, sigmoid(1.8)).range)
    assert low == pytest.approx(-2.5 - 0.35 * np.log(9), abs=0.15)
    assert -1.2 < high < -0.4


def test_points_after_divergence_do_not_count():
    losses = sigmoid(1.8)
    losses[95:] = [1e30, 5, -1e30, np.nan, 0]
    assert Curve(LRS, losses).suggestion == pytest.approx(Curve(LRS[:93], losses[:93]).suggestion, rel=0.05)


def test_a_loss_that_falls_until_it_is_non_finite_suggests_a_rate_below_the_last():
    lrs, losses = LRS[:15], 2 - 0.1 * np.arange(15.0)
    curve = Curve(lrs, losses, stop_reason="non-finite")
    assert 0 < curve.suggestion < lrs[-1]
    assert curve.warning is None or "raise" not in curve.warning


def test_log_and_linear_spacing_of_the_same_loss_agree():
    def loss(lrs):
        t = np.log10(lrs)
        return 2.3 - 1.8 / (1 + np.exp(-(t + 1) / 0.15)) + np.where(t > 0, 50 * t, 0)

    log, linear = np.geomspace(1e-3, 10, 200), np.linspace(1e-3, 10, 200)
    here, there = Curve(log, loss(log)), Curve(linear, loss(linear))
    assert abs(np.log10(here.suggestion / there.suggestion)) < 0.3


@pytest.mark.parametrize("points", [0, 1, 7])
def test_too_few_points_are_the_reason_for_no_suggestion(points):
    curve = Curve(LRS[:points], np.ones(points), stop_reason="data exhausted")
    assert curve.suggestion is None
    assert (f"too few points: {points}, at least 8" if points else "no points: data exhausted") in curve.reason
    assert len(curve) == points


def test_a_non_finite_first_loss_is_the_reason_for_no_suggestion():
    assert Curve([], [], stop_reason="non-finite").reason == "non-finite at first step"


def test_json_contains_everything_and_can_be_read_back():
    curve = Curve(
        LRS, noisy(1.8, 0.05, 0), np.stack([noisy(1.8, 0.05, 0)] * 2), np.stack([LRS, 2 * LRS], 1), "diverged"
    )
    text = curve.to_json()
    state = json.loads(text)
    assert set(state) == {
        *("version", "lrs", "losses", "all_losses", "group_lrs", "stop_reason"),
        *("suggestion", "suggestions", "range", "reason", "warning"),
    }
    assert set(state["suggestions"]) == set(RULES)
    back = Curve.from_json(text)
    for name in ("lrs", "losses", "all_losses", "group_lrs"):
        np.testing.assert_array_equal(getattr(back, name), getattr(curve, name))
    assert back.to_json() == text
    assert back.stop_reason == "diverged"


def test_json_of_earlier_rules_can_be_read():
    text = (
        '{"version": 1, "lrs": [0.1, 1.0], "losses": [2.0, 1.0], "rule": "combined", "suggestions": {"combined": 0.1}}'
    )
    assert Curve.from_json(text).lrs.tolist() == [0.1, 1.0]
    assert set(Curve.from_json(text).suggestions) == set(RULES)


def test_json_of_empty_and_non_finite_curves_is_valid():
    json.loads(Curve([], []).to_json(), parse_constant=pytest.fail)
    odd = Curve([1.0, 2.0], [np.nan, np.inf])
    text = odd.to_json()
    json.loads(text, parse_constant=pytest.fail)
    assert np.isnan(Curve.from_json(text).losses).all()
    with pytest.raises(ValueError, match=r"^text must be the JSON of a curve, with the keys lrs and losses$"):
        Curve.from_json("[1, 2]")
    with pytest.raises(ValueError, match="version must be <= 1, got 9"):
        Curve.from_json('{"version": 9, "lrs": [], "losses": []}')


def test_curves_can_be_pickled():
    curve = Curve(LRS, sigmoid(1.8))
    assert pickle.loads(pickle.dumps(curve)).suggestion == curve.suggestion


def test_arrays_are_read_only_copies():
    lrs = LRS.copy()
    curve = Curve(lrs, sigmoid(1.8))
    lrs[:] = 0
    assert curve.lrs[0] == LRS[0]
    with pytest.raises(ValueError, match="read-only"):
        curve.losses[0] = 1


INVALID = [
    (([1, 2], [1]), ValueError, "losses must have one entry per learning rate, got 1 for 2"),
    (([2, 1], [1, 1]), ValueError, "lrs must be finite, > 0 and increasing"),
    (([0, 1], [1, 1]), ValueError, "lrs must be finite, > 0 and increasing"),
    (([1, np.nan], [1, 1]), ValueError, "lrs must be finite, > 0 and increasing"),
    (([1, np.nan, 2], [1, 1, 1]), ValueError, "lrs must be finite, > 0 and increasing"),
    (([1, np.inf], [1, 1]), ValueError, "lrs must be finite, > 0 and increasing"),
    (([1, 1], [1, 1]), ValueError, "lrs must be finite, > 0 and increasing"),
    (([np.nan], [1]), ValueError, "lrs must be finite, > 0 and increasing"),
    (([np.inf], [1]), ValueError, "lrs must be finite, > 0 and increasing"),
    ((["a"], [1]), TypeError, r"lrs must be numbers of shape \(points,\), got \['a'\]"),
    (([1], [[1]]), TypeError, r"losses must be numbers of shape \(points,\), got \[\[1\]\]"),
    (([1], [1], [1]), TypeError, r"all_losses must be numbers of shape \(repeats, points\), got \[1\]"),
    (([1], [1], [[1, 2]]), ValueError, "all_losses must have one entry per learning rate, got 2 for 1"),
    (([1], [1], None, [[1], [2]]), ValueError, "group_lrs must have one entry per learning rate, got 2 for 1"),
    (([1], [1], None, None, "bored"), ValueError, "stop_reason must be one of"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), INVALID, ids=[message for *_, message in INVALID])
def test_invalid_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        Curve(*arguments)


def test_plot_draws_everything_into_the_given_axes():
    from matplotlib.figure import Figure

    given = Figure().add_subplot()
    curve = Curve(LRS, sigmoid(1.8), np.stack([sigmoid(1.8)] * 3))
    assert curve.plot(given) is given
    labels = given.get_legend_handles_labels()[1]
    assert {"loss", "smoothed"} <= set(labels)
    assert all(any(label.startswith(rule) for label in labels) for rule in RULES)
    assert any(label.startswith("range") for label in labels)
    points = [line for line in given.lines if line.get_marker() == "."]
    assert len(points) == 3
    np.testing.assert_array_equal(points[0].get_ydata(), curve.losses)
    chosen = next(line for line in given.lines if str(line.get_label()).startswith("suggestion"))
    assert chosen.get_xdata()[0] == curve.suggestion


@pytest.mark.parametrize("losses", [np.full(100, 2.3), 2 + LRS], ids=["flat", "rising"])
def test_a_plot_without_a_suggestion_says_why(losses):
    curve = Curve(LRS, losses)
    assert curve.plot().get_title(loc="left") == curve.reason


def test_a_curve_without_points_can_be_plotted():
    Curve([], []).plot()


def test_curves_work_without_matplotlib_and_tqdm():
    code = (
        "import sys; sys.modules.update(matplotlib=None, tqdm=None); import numpy as np; import lrsched;"
        "x = np.logspace(-5, 1, 61); c = lrsched.Curve(x, 2 - 1 / (1 + (0.01 / x) ** 2) + x);"
        "c.to_json(); print(c.suggestion)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) > 0
    assert lrsched.Curve is Curve
