"""What every rule must do: repr, state, copies; users' rules; arguments; events."""

import copy
import dataclasses
import json
import math
import pickle
import re

import numpy as np
import pytest

import lrsched
from lrsched import Cutoff, Event, Inverse, Oscillation, Patience, PlateauSequence, Rule, preview
from tests.helpers import make_optimizer
from tests.schedulers.plateau import bumpy
from tests.schedulers.rules import EveryThird, feed, fires

RULES = {
    "cutoff": lambda: Cutoff(),
    "cutoff fixed": lambda: Cutoff(0.05, decay=0.5, min_cutoff=1e-3),
    "cutoff previous": lambda: Cutoff(relative=0.01, previous=0.0),
    "cutoff all": lambda: Cutoff(cutoff=0.5, relative=0.2, decay=0.9, min_cutoff=0.25, previous=-1.5),
    "oscillation": lambda: Oscillation(),
    "oscillation previous": lambda: Oscillation(previous=0.0),
    "patience": lambda: Patience(),
    "patience all": lambda: Patience(patience=2, threshold=0.01, threshold_mode="abs", cooldown=3),
    "two": lambda: Cutoff(relative=0.05) | Oscillation(),
    "three": lambda: Cutoff(0.1) | Oscillation(previous=1.0) | Patience(1),
    "three, other side": lambda: Cutoff(0.1) | (Oscillation() | Patience(1)),
}


each_rule = pytest.mark.parametrize("make", RULES.values(), ids=RULES.keys())


@each_rule
class TestEveryRule:
    def test_prints_as_the_call_that_makes_it(self, make):
        rule = make()
        again = eval(repr(rule), dict(vars(lrsched)))
        assert type(again) is type(rule)
        assert repr(again) == repr(rule)
        assert feed(again, bumpy(5)) == feed(rule, bumpy(5))

    def test_prints_the_same_whatever_it_saw(self, make):
        rule = make()
        before = repr(rule)
        assert fires(rule, [1.0, 1.5] + [2.0] * 30)
        assert repr(rule) == before

    def test_state_is_plain_and_a_copy(self, make):
        rule = make()
        feed(rule, bumpy(6)[:25])
        state = rule.state_dict()
        kept = copy.deepcopy(state)
        assert json.loads(json.dumps(state, allow_nan=False)) == state
        feed(rule, bumpy(7))
        assert state == kept

    def test_state_before_the_first_metric_is_plain(self, make):
        state = make().state_dict()
        assert json.loads(json.dumps(state, allow_nan=False)) == state

    def test_continues_from_its_state(self, make):
        for cut in (0, 1, 2, 17, 30, 59):
            whole, first, second = make(), make(), make()
            series = bumpy(8)
            reasons = feed(whole, series)
            feed(first, series[:cut])
            state = json.loads(json.dumps(first.state_dict()))
            kept = copy.deepcopy(state)
            second.load_state_dict(state)
            assert feed(second, series[cut:]) == reasons[cut:]
            assert state == kept

    def test_forgets_what_it_saw_when_a_fresh_state_is_loaded(self, make):
        rule = make()
        fresh = make().state_dict()
        feed(rule, bumpy(9))
        rule.load_state_dict(fresh)
        assert feed(rule, bumpy(10)) == feed(make(), bumpy(10))

    def test_refuses_a_broken_state(self, make):
        rule = make()
        feed(rule, bumpy(11))
        state = rule.state_dict()
        for key in state:
            broken = {name: value for name, value in state.items() if name != key}
            with pytest.raises((TypeError, ValueError), match=re.escape(key)):
                rule.load_state_dict(broken)
            assert rule.state_dict() == state
            with pytest.raises((TypeError, ValueError), match="'wrong'"):
                rule.load_state_dict({**state, key: "wrong"})
            assert rule.state_dict() == state
        with pytest.raises((TypeError, ValueError), match="state"):
            rule.load_state_dict(None)
        assert rule.state_dict() == state

    @pytest.mark.parametrize(
        "clone", [copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))], ids=["deepcopy", "pickle"]
    )
    def test_a_copy_is_independent(self, make, clone):
        rule = make()
        feed(rule, bumpy(12)[:20])
        other = clone(rule)
        state = rule.state_dict()
        reasons = feed(other, bumpy(12)[20:])
        assert rule.state_dict() == state
        assert feed(rule, bumpy(12)[20:]) == reasons

    def test_reasons_are_one_line_of_text(self, make):
        for reason in feed(make(), bumpy(13)):
            assert reason is None or (type(reason) is str and reason and "\n" not in reason)


class TestUsersRules:
    def test_state_fields_are_the_state(self):
        rule = EveryThird()
        assert fires(rule, [1.0] * 7) == [2, 5]
        state = rule.state_dict()
        assert state == {"seen": 7}
        again = EveryThird()
        again.load_state_dict(state)
        assert fires(again, [1.0] * 3) == [1]

    def test_a_list_in_the_state_is_copied_both_ways(self):
        class Window(Rule):
            state_fields = ("window",)

            def __init__(self):
                self.window = []

            def update(self, metric, mode):
                self.window.append(metric)

        rule = Window()
        rule.update(1.0, "min")
        state = rule.state_dict()
        rule.update(2.0, "min")
        assert state == {"window": [1.0]}
        other = Window()
        other.load_state_dict(state)
        other.update(3.0, "min")
        assert state == {"window": [1.0]}
        assert other.window == [1.0, 3.0]

    @pytest.mark.parametrize(
        ("fresh", "later"),
        [
            (None, 0.5),
            (None, "rising"),
            (None, [1.0, 2.0]),
            (0, -3),
            (0, 0.75),
            (0.0, 2),
            (0.0, None),
            ("", "rising"),
            (False, True),
            ([], [[1.0], None]),
            ({}, {"best": 1.0}),
            (math.inf, 0.5),
            (0.5, -math.inf),
        ],
    )
    def test_a_field_may_hold_any_plain_value_later(self, fresh, later):
        class Keeps(Rule):
            state_fields = ("kept",)

            def __init__(self):
                self.kept = fresh

            def update(self, metric, mode):
                self.kept = later

        rule, again = Keeps(), Keeps()
        rule.update(1.0, "min")
        again.load_state_dict(json.loads(json.dumps(rule.state_dict(), allow_nan=False)))
        assert again.kept == later

    def test_update_is_compulsory(self):
        class Nothing(Rule):
            state_fields = ()

        with pytest.raises(TypeError, match="update"):
            Nothing()
        with pytest.raises(TypeError, match="update"):
            Rule()

    def test_a_rule_without_state_needs_no_fields(self):
        class Below(Rule):
            def update(self, metric, mode):
                return f"below: {metric} < 0.5" if metric < 0.5 else None

        rule = Below()
        assert fires(rule, [1.0, 0.25]) == [1]
        assert rule.state_dict() == {}
        rule.load_state_dict({})

    def test_prints_without_an_address(self):
        assert repr(EveryThird()) == repr(EveryThird())
        assert "EveryThird" in repr(EveryThird())


class TestRulesThatFail:
    def test_the_error_is_raised_and_the_state_of_the_rule_is_restored(self):
        class Faulty(Rule):
            state_fields = ("window",)

            def __init__(self):
                self.window = None

            def update(self, metric, mode):
                self.window = [metric]
                raise RuntimeError("boom")

        for on in (Faulty(), Cutoff(0.5) | Faulty(), (Oscillation() | Cutoff(0.5)) | Faulty()):
            scheduler = PlateauSequence(make_optimizer(), Inverse(), on)
            before = scheduler.state_dict()
            with pytest.raises(RuntimeError, match="boom"):
                scheduler.step(1.0)
            assert scheduler.state_dict() == before
            assert (scheduler.last_epoch, scheduler.position) == (0, 0)

    def test_an_empty_reason_is_refused(self):
        class Silent(Rule):
            def update(self, metric, mode):
                return ""

        with pytest.raises(TypeError, match="not empty"):
            preview(Inverse(), Silent(), [1.0])

    def test_a_subclass_may_keep_more_than_numbers(self):
        class WithHistory(Patience):
            state_fields = (*Patience.state_fields, "history")

            def __init__(self):
                super().__init__(3)
                self.history = []

        rule, other = WithHistory(), WithHistory()
        rule.update(1.0, "min")
        rule.history.append(1.0)
        other.load_state_dict(rule.state_dict())
        assert (other.best, other.history) == (1.0, [1.0])
        with pytest.raises(TypeError, match="best"):
            other.load_state_dict({**rule.state_dict(), "best": [1.0]})


@pytest.mark.parametrize(
    ("name", "values", "error"),
    [
        ("cutoff", [-0.1, math.nan, math.inf], ValueError),
        ("cutoff", ["0.1", True, [0.1], {}], TypeError),
        ("relative", [-0.1, math.nan, math.inf], ValueError),
        ("relative", ["0.1", None, False, 1j], TypeError),
        ("decay", [0.0, -0.5, 1.0001, math.nan, math.inf], ValueError),
        ("decay", ["0.1", None, True], TypeError),
        ("min_cutoff", [-1e-9, math.nan, math.inf], ValueError),
        ("min_cutoff", ["0.1", None, True], TypeError),
        ("previous", [math.nan, math.inf, -math.inf], ValueError),
        ("previous", ["0.1", True, [0.1]], TypeError),
    ],
)
def test_cutoff_refuses(name, values, error):
    for value in values:
        with pytest.raises(error, match=rf"\b{name} must .*{re.escape(repr(value))}"):
            Cutoff(**{name: value})


def test_oscillation_refuses():
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match=rf"previous must .*{value}"):
            Oscillation(previous=value)
    for value in ("0", True, [0.0]):
        with pytest.raises(TypeError, match=rf"previous must .*{re.escape(repr(value))}"):
            Oscillation(previous=value)


@pytest.mark.parametrize(
    ("name", "values", "error"),
    [
        ("patience", [-1], ValueError),
        ("patience", [1.5, 2.0, "3", None, True, math.nan], TypeError),
        ("threshold", [-1e-4, math.nan, math.inf], ValueError),
        ("threshold", ["0.1", None, True], TypeError),
        ("threshold_mode", ["relative", ""], ValueError),
        ("threshold_mode", [None, 1], TypeError),
        ("cooldown", [-1], ValueError),
        ("cooldown", [0.5, "0", None, False], TypeError),
    ],
)
def test_patience_refuses(name, values, error):
    for value in values:
        with pytest.raises(error, match=rf"\b{name} must .*{re.escape(repr(value))}"):
            Patience(**{name: value})


def test_arguments_become_python_numbers():
    rule = Cutoff(np.float64(0.5), decay=np.float32(0.25), previous=np.int64(1))
    assert repr(rule) == repr(Cutoff(0.5, decay=0.25, previous=1.0))
    assert type(rule.cutoff) is float
    assert repr(Patience(np.int64(3), threshold=np.float64(0.5))) == repr(Patience(3, threshold=0.5))


def test_an_event_is_a_frozen_record():
    assert [field.name for field in dataclasses.fields(Event)] == [
        "epoch",
        "metric",
        "reason",
        "position",
        "old_lrs",
        "new_lrs",
    ]
    event = Event(epoch=3, metric=0.5, reason="cutoff: …", position=1, old_lrs=[0.1], new_lrs=[0.05])
    assert event == Event(3, 0.5, "cutoff: …", 1, [0.1], [0.05])
    with pytest.raises(dataclasses.FrozenInstanceError, match="position"):
        event.position = 2
