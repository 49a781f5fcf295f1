"""Rules inside a PlateauSequence: its own copy, users' rules, and rules that fail."""

import math
import re

import numpy as np
import pytest
import torch

from lrsched import (
    Cutoff,
    Oscillation,
    Patience,
    Rule,
    Values,
    preview,
)
from tests.helpers import group_lrs
from tests.schedulers.plateau import HALF, Always, FailsAbove, Never, Returns, add_group, bumpy, everything, feed, make

each_side = pytest.mark.parametrize(
    "wrap",
    [lambda rule: rule, lambda rule: Cutoff(0.5) | rule, lambda rule: rule | Cutoff(0.5)],
    ids=["alone", "second", "first"],
)


class TestRules:
    def test_the_names_of_the_rules(self):
        assert repr(make(on="cutoff")[1].rule) == repr(Cutoff())
        assert repr(make(on="oscillate")[1].rule) == repr(Oscillation())
        assert repr(make(on="either")[1].rule) == repr(Cutoff() | Oscillation())
        assert repr(make(on="patience")[1].rule) == repr(Patience())

    def test_the_scheduler_owns_a_copy(self):
        rule = Cutoff(0.1)
        optimizer, scheduler = make(on=rule)
        assert scheduler.rule is not rule
        feed(scheduler, [1.0, 1.05])
        assert rule.cutoff == 0.1
        assert scheduler.rule.cutoff == pytest.approx(0.02)
        assert scheduler.optimizer is optimizer

    def test_one_rule_for_two_schedulers(self):
        rule = Cutoff(0.1) | Oscillation()
        _, first = make(on=rule)
        _, second = make(on=rule)
        feed(first, bumpy(6))
        feed(second, bumpy(7))
        assert first.events == preview(HALF, rule, bumpy(6), base_lr=0.1)
        assert second.events == preview(HALF, rule, bumpy(7), base_lr=0.1)

    def test_a_used_rule_continues_from_its_present_state(self):
        rule = Oscillation()
        rule.update(1.0, "min")
        _, scheduler = make(on=rule)
        assert feed(scheduler, [2.0]).position == 1

    def test_the_state_of_the_rule_shows(self):
        _, scheduler = make()
        feed(scheduler, [2.0])
        assert scheduler.rule.cutoff == 0.02

    def test_a_users_rule(self):
        optimizer, scheduler = make(on=Always() | Never())
        feed(scheduler, [3.0, 2.0, 1.0])
        assert [e.reason for e in scheduler.events] == ["always: 1", "always: 2", "always: 3"]
        assert group_lrs(optimizer) == [0.0125]

    def test_a_users_rule_sees_finite_floats_and_the_mode(self):
        calls = []

        class Spy(Rule):
            def __deepcopy__(self, memo):
                return self

            def update(self, metric, mode):
                calls.append((metric, mode))

        _, scheduler = make(on=Spy(), mode="max")
        feed(scheduler, [torch.tensor(0.5), math.nan, 1, np.float32(0.25), -math.inf])
        assert calls == [(0.5, "max"), (1.0, "max"), (0.25, "max")]
        assert all(type(metric) is float for metric, _ in calls)

    @each_side
    def test_a_rule_that_raises_changes_nothing(self, wrap):
        optimizer, scheduler = make(on=wrap(FailsAbove(1.0)))
        feed(scheduler, [1.0])
        for again in range(2):
            before = everything(optimizer, scheduler)
            with pytest.raises(ZeroDivisionError, match="own bug"):
                scheduler.step(5.0 + again)
            assert everything(optimizer, scheduler) == before
        feed(scheduler, [0.75])
        assert scheduler.last_epoch == 2
        assert scheduler.position == 2

    @pytest.mark.parametrize("value", [True, False, 1, 0, 0.5, b"reason", ["reason"]], ids=repr)
    @each_side
    def test_a_rule_that_returns_anything_but_a_string_is_refused(self, value, wrap):
        optimizer, scheduler = make(on=wrap(Returns(value)))
        before = everything(optimizer, scheduler)
        with pytest.raises(TypeError, match=rf"Returns.*update.*string.*{re.escape(repr(value))}"):
            scheduler.step(1.0)
        assert everything(optimizer, scheduler) == before

    def test_a_rule_that_raises_adopts_no_group(self):
        optimizer, scheduler = make(Values([0.5]), on=FailsAbove(1.0))
        add_group(optimizer, 0.8)
        with pytest.raises(ZeroDivisionError, match="own bug"):
            scheduler.step(2.0)
        assert group_lrs(optimizer) == [0.05, 0.8]
        assert scheduler.base_lrs == [0.1]
        assert "initial_lr" not in optimizer.param_groups[1]
        scheduler.step(0.5)
        assert scheduler.base_lrs == [0.1, 0.8]
        assert group_lrs(optimizer) == [0.05, 0.8]  # Values([0.5]) holds its value, so the new group stays

    def test_the_guard_does_not_remember_a_metric_that_failed(self):
        optimizer, scheduler = make(on=FailsAbove(1.0))
        optimizer.step()
        with pytest.raises(ZeroDivisionError, match="own bug"):
            scheduler.step(2.0)
        scheduler.rule.limit = 3.0
        scheduler.step(2.0)
        assert (scheduler.last_epoch, scheduler.position) == (1, 1)
