"""Smoothed: another rule sees the debiased exponential average of the metric."""

import json
import math

import numpy as np
import pytest

from lrsched import Cutoff, Geometric, Oscillation, Patience, PlateauSequence, Rule, Smoothed, preview
from tests.helpers import make_optimizer
from tests.schedulers.plateau import FailsAbove, bumpy
from tests.schedulers.rules import feed, fires


class Seen(Rule):
    """Keep what the rule inside has seen."""

    state_fields = ("metrics",)

    def __init__(self):
        self.metrics = []

    def update(self, metric, mode):
        self.metrics.append((metric, mode))


def test_the_average_by_hand():
    rule = Smoothed(Seen(), weight=0.5)
    feed(rule, [1.0, 0.7, 0.75, 1.0], "max")
    # s: 0.5, 0.6, 0.675, 0.8375; divided by 1 − 0.5ᵗ: 0.5, 0.75, 0.875, 0.9375
    assert [metric for metric, _ in rule.rule.metrics] == pytest.approx([1.0, 0.8, 0.675 / 0.875, 0.8375 / 0.9375])
    assert {mode for _, mode in rule.rule.metrics} == {"max"}


def test_the_average_is_the_weighted_mean_of_all_metrics():
    metrics = bumpy(3)
    rule = Smoothed(Seen(), weight=0.1)
    feed(rule, metrics)
    for t, (average, _) in enumerate(rule.rule.metrics):
        weights = 0.9 ** np.arange(t, -1, -1)
        assert average == pytest.approx(float(np.average(metrics[: t + 1], weights=weights)), rel=1e-12)


@pytest.mark.parametrize("make", [Cutoff, Oscillation, lambda: Patience(2), lambda: Cutoff() | Oscillation()])
def test_weight_1_is_the_rule_itself(make):
    plain, smoothed = feed(make(), bumpy(5)), feed(Smoothed(make(), weight=1), bumpy(5))
    assert smoothed == [None if reason is None else f"smoothed: {reason}" for reason in plain]
    assert any(plain)


def test_noise_alone_does_not_advance_it():
    metrics = [1.0 - 0.01 * k + 0.02 * (-1) ** k for k in range(60)]  # falls; every second metric is worse
    assert len(fires(Oscillation(), metrics)) == 29
    assert fires(Smoothed(Patience(2), weight=0.1), metrics) == []


@pytest.mark.parametrize("seed", range(5))
def test_on_a_flat_noisy_loss_it_keeps_advancing_at_a_sane_pace(seed):
    """Losses of 200 epochs, flat from epoch 40 on, with noise of 1 %: Patience(10) alone advances 9 to 13 times."""
    noise = 0.005 * np.random.default_rng(seed).standard_normal(200)
    losses = [float(np.exp(-k / 8) + 0.5 + noise[k]) for k in range(200)]
    epochs = [event.epoch for event in preview(Geometric(0.5), Smoothed(Patience(10)), losses)]
    assert 5 <= len(epochs) <= 16
    assert epochs[-1] > 150
    assert max(np.diff([*epochs, 200])) <= 30


@pytest.mark.parametrize(
    ("weight", "error"),
    [
        (0, ValueError),
        (0.0, ValueError),
        (-0.1, ValueError),
        (1.5, ValueError),
        (math.nan, ValueError),
        (math.inf, ValueError),
        ("0.1", TypeError),
        (None, TypeError),
        (True, TypeError),
    ],
)
def test_a_weight_outside_0_to_1_is_refused(weight, error):
    with pytest.raises(error, match=r"^weight must be "):
        Smoothed(Patience(3), weight)


@pytest.mark.parametrize("rule", [None, "patience", Patience, 3], ids=["None", "word", "class", "number"])
def test_anything_but_a_rule_is_refused(rule):
    with pytest.raises(TypeError, match=r"^rule must be a Rule such as Patience\(3\), got "):
        Smoothed(rule)


def test_the_rule_is_copied():
    inner = Oscillation()
    rule = Smoothed(inner)
    feed(rule, [1.0, 2.0])
    assert inner.last is None
    assert rule.rule is not inner


def test_a_rule_inside_that_fails_has_not_seen_the_metric_and_the_average_neither():
    scheduler = PlateauSequence(make_optimizer(), Geometric(0.5), Smoothed(FailsAbove(1.0), weight=0.5))
    scheduler.step(0.5)
    before = scheduler.state_dict()
    with pytest.raises(ZeroDivisionError, match="own bug"):
        scheduler.step(9.0)
    assert scheduler.state_dict() == before
    scheduler.step(0.75)  # the average of 0.5 and 0.75 with weights 1 and 2
    assert scheduler.rule.average / 0.75 == pytest.approx(2 / 3)


def test_metrics_that_are_not_finite_are_left_out_of_the_average():
    scheduler = PlateauSequence(make_optimizer(), Geometric(0.5), Smoothed(Seen(), weight=0.5))
    for metric in (1.0, math.nan, math.inf, 0.7):
        scheduler.step(metric)
    assert [metric for metric, _ in scheduler.rule.rule.metrics] == pytest.approx([1.0, 0.8])


# ---- rules inside rules


class Confirmed(Rule):
    """A user's rule around another: advance if the inner one has fired `times` times."""

    state_fields = ("count",)

    def __init__(self, rule, times=2):
        self.rule, self.times, self.count = rule, times, 0

    def update(self, metric, mode):
        self.count += self.rule.update(metric, mode) is not None
        if self.count < self.times:
            return None
        self.count = 0
        return f"confirmed {self.times} times"

    def __repr__(self):
        return f"Confirmed({self.rule!r}, {self.times})"


class Any(Rule):
    """A user's rule around a list of others."""

    def __init__(self, *rules):
        self.rules = list(rules)

    def update(self, metric, mode):
        return "; ".join(filter(None, [rule.update(metric, mode) for rule in self.rules])) or None

    def __repr__(self):
        return f"Any{tuple(self.rules)!r}"


NESTED = {
    "smoothed": lambda: Smoothed(Patience(0), weight=0.9),
    "smoothed two": lambda: Smoothed(Cutoff(0.05, decay=0.9) | Oscillation() | Patience(1), weight=0.4),
    "two smoothed": lambda: Smoothed(Oscillation(), weight=0.5) | Smoothed(Cutoff(), weight=0.3),
    "smoothed twice": lambda: Smoothed(Smoothed(Oscillation(), weight=0.5), weight=0.7),
    "a user's": lambda: Confirmed(Patience(1)),
    "a user's around two": lambda: Confirmed(Cutoff(0.1, decay=0.99) | Oscillation(), 3),
    "smoothed user's": lambda: Smoothed(Confirmed(Oscillation()), weight=0.6) | Patience(3),
    "a list": lambda: Any(Patience(1), Smoothed(Oscillation(), weight=0.3), Confirmed(Oscillation())),
}


@pytest.mark.parametrize("name", NESTED)
def test_rules_inside_rules_lose_nothing_on_resuming(name):
    make, series = NESTED[name], bumpy(9)
    whole = feed(make(), series)
    assert any(whole)
    for cut in range(0, len(series), 3):
        first, second = make(), make()
        feed(first, series[:cut])
        second.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
        assert feed(second, series[cut:]) == whole[cut:]
        feed(first, series[cut:])
        assert second.state_dict() == first.state_dict()


@pytest.mark.parametrize("name", NESTED)
def test_a_state_that_a_rule_inside_refuses_changes_nothing(name):
    rule = NESTED[name]()
    feed(rule, bumpy(4))
    before = rule.state_dict()
    inner = [key for key, value in before.items() if isinstance(value, dict)]
    for key in inner:
        with pytest.raises(ValueError, match="must be a dict with the entries"):
            rule.load_state_dict({**NESTED[name]().state_dict(), key: {"other": 1}})
        assert rule.state_dict() == before


def test_the_state_of_a_smoothed_rule_by_hand():
    rule = Smoothed(Oscillation(), weight=0.5)
    feed(rule, [1.0, 0.5])
    assert rule.state_dict() == {"average": 0.5, "seen": 2, "rule": {"last": pytest.approx(2 / 3)}}
