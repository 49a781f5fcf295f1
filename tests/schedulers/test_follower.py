"""Events, the follower that asks a rule, and the preview of events."""

import json
import math

import pytest

from lrsched import Cutoff, Event, Geometric, Inverse, Oscillation, Patience, PlateauSequence, preview
from lrsched.schedulers._follower import Follower
from tests.helpers import make_optimizer


@pytest.mark.parametrize(
    ("on", "rule"),
    [
        ("either", Cutoff() | Oscillation()),
        ("cutoff", Cutoff()),
        ("oscillate", Oscillation()),
        ("patience", Patience(10)),
        (Patience(3), Patience(3)),
    ],
    ids=["either", "cutoff", "oscillate", "patience", "rule"],
)
def test_a_word_stands_for_a_rule(on, rule):
    assert repr(Follower(on).rule) == repr(rule)
    assert repr(PlateauSequence(make_optimizer((0.1,)), Inverse(), on).rule) == repr(rule)


def test_either_is_the_rule_if_none_is_named():
    assert repr(PlateauSequence(make_optimizer((0.1,)), Inverse()).rule) == repr(Cutoff() | Oscillation())


def test_a_rule_is_copied():
    rule = Patience(3)
    assert Follower(rule).rule is not rule


@pytest.mark.parametrize(
    ("on", "error"),
    [("plateau", ValueError), ("Either", ValueError), (Patience, TypeError), (None, TypeError)],
    ids=["another word", "capitals", "a class", "None"],
)
def test_anything_else_is_answered_with_the_words_and_an_example_of_a_rule(on, error):
    wanted = r"^on must be one of 'either', 'cutoff', 'oscillate', 'patience', or a Rule such as Patience\(3\), got "
    with pytest.raises(error, match=wanted):
        Follower(on)
    with pytest.raises(error, match=wanted):
        PlateauSequence(make_optimizer((0.1,)), Inverse(), on=on)


def test_metrics_and_advances_are_counted():
    follower = Follower("oscillate")
    assert [follower.update(metric) for metric in (0.9, 0.7, 0.8)] == [None, None, "oscillation: 0.8 > 0.7"]
    assert (follower.epoch, follower.position) == (3, 1)


@pytest.mark.parametrize("metric", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_not_finite_never_reaches_the_rule(metric):
    held, advanced, refused = (Follower("oscillate", nonfinite=policy) for policy in ("hold", "advance", "raise"))
    assert held.update(metric) is None
    assert advanced.update(metric) == f"nonfinite: {metric}"
    with pytest.raises(ValueError, match=r'^metrics must be finite with nonfinite="raise", got '):
        refused.check(metric)
    assert [follower.position for follower in (held, advanced, refused)] == [0, 1, 0]
    assert [follower.rule.last for follower in (held, advanced, refused)] == [None, None, None]


def test_a_rule_that_fails_has_not_seen_the_metric():
    class Fails(Oscillation):
        def update(self, metric, mode):
            super().update(metric, mode)
            raise RuntimeError("boom")

    follower = Follower(Fails() | Oscillation())
    with pytest.raises(RuntimeError, match="boom"):
        follower.update(0.5)
    assert (follower.epoch, follower.rule.first.last, follower.rule.second.last) == (0, None, None)


def test_a_resumed_copy_leaves_the_first_alone():
    follower = Follower("oscillate")
    follower.update(0.5)
    other = follower.resumed({"last": 0.25}, 7, 3)
    assert (other.epoch, other.position, other.rule.last) == (7, 3, 0.25)
    assert (follower.epoch, follower.position, follower.rule.last) == (1, 0, 0.5)


def test_an_event_passes_json_also_with_infinite_numbers():
    event = Event(3, math.inf, "nonfinite: inf", 1, [0.1, 0.2], [0.05, 0.1])
    text = json.dumps(event.state_dict(), allow_nan=False)
    assert Event.from_state_dict(json.loads(text)) == event


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("epoch", -1, "epoch must be an integer >= 0"),
        ("reason", 3, "reason must be a str"),
        ("new_lrs", [0.1], "old_lrs and new_lrs must have the same length"),
    ],
    ids=["epoch", "reason", "new_lrs"],
)
def test_a_damaged_event_is_refused(entry, value, message):
    state = Event(3, 0.5, "why", 1, [0.1, 0.2], [0.05, 0.1]).state_dict()
    with pytest.raises((TypeError, ValueError), match=f"^state: event: {message}"):
        Event.from_state_dict({**state, entry: value})


def test_a_preview_gives_the_events_that_the_scheduler_has():
    metrics = [0.9, 0.7, 0.8, math.nan, 0.6, 0.65, 0.65]
    optimizer = make_optimizer((0.1,))
    scheduler = PlateauSequence(optimizer, Geometric(0.5), "oscillate", min_lr=0.04, nonfinite="advance")
    for metric in metrics:
        scheduler.step(metric)
    events = preview(Geometric(0.5), "oscillate", metrics, base_lr=0.1, min_lr=0.04, nonfinite="advance")
    assert list(map(repr, events)) == list(map(repr, scheduler.events))
    assert [event.epoch for event in events] == [3, 4, 6]


def test_a_preview_names_the_metric_that_is_not_a_number():
    with pytest.raises(TypeError, match=r"^metrics\[1\] must be one real number, got 'x'"):
        preview(Inverse(), "cutoff", [0.5, "x"])
