"""What NaN and infinite metrics do: hold, advance or raise."""

import pytest
import torch

from lrsched import (
    Cutoff,
    Oscillation,
    Patience,
)
from tests.helpers import group_lrs
from tests.schedulers.plateau import bumpy, each_nonfinite, everything, feed, make


@each_nonfinite
def test_hold_is_the_default_and_only_counts_the_metric(bad):
    _, scheduler = make(on=Cutoff(0.1))
    feed(scheduler, [bad, bad, 1.0])
    assert (scheduler.last_epoch, scheduler.position, scheduler.events) == (3, 0, [])
    feed(scheduler, [bad, 1.05])  # compared with 1.0
    assert (scheduler.last_epoch, scheduler.position) == (5, 1)
    assert scheduler.events[0].epoch == 5


@each_nonfinite
@pytest.mark.parametrize("on", ["cutoff", "oscillate", Patience(1), Cutoff(0.1) | Oscillation()], ids=repr)
@pytest.mark.parametrize("mode", ["min", "max"])
def test_hold_leaves_the_rule_as_if_the_metric_had_not_come(bad, on, mode):
    _, plain = make(on=on, mode=mode)
    _, disturbed = make(on=on, mode=mode)
    for metric in bumpy(1):
        plain.step(metric)
        feed(disturbed, [bad, metric])
    assert plain.position > 0
    assert disturbed.position == plain.position
    assert [e.metric for e in disturbed.events] == [e.metric for e in plain.events]
    assert [e.epoch for e in disturbed.events] == [2 * e.epoch for e in plain.events]
    assert disturbed.rule.state_dict() == plain.rule.state_dict()


@each_nonfinite
def test_advance_counts_a_nonfinite_metric_as_a_plateau(bad):
    optimizer, scheduler = make(on=Cutoff(0.1, decay=0.5), nonfinite="advance")
    scheduler.step(bad)
    assert (scheduler.last_epoch, scheduler.position) == (1, 1)
    feed(scheduler, [1.0, bad, 1.05])
    assert [e.epoch for e in scheduler.events] == [1, 3, 4]
    assert repr(scheduler.events[1].metric) == repr(bad)
    assert repr(bad) in scheduler.events[1].reason
    assert scheduler.rule.cutoff == 0.05  # it shrank once, at the finite plateau
    assert group_lrs(optimizer) == [0.1 * 0.5**3]


@each_nonfinite
def test_the_cutoff_starts_from_the_first_finite_metric(bad):
    _, scheduler = make(on=Cutoff(relative=0.5), nonfinite="advance")
    feed(scheduler, [bad, 4.0])
    assert scheduler.rule.cutoff == 2.0


@each_nonfinite
def test_raise_refuses_a_nonfinite_metric_and_changes_nothing(bad):
    optimizer, scheduler = make(on=Cutoff(0.1), nonfinite="raise")
    for finite in (1.0, 1.05, 1.06):
        before = everything(optimizer, scheduler)
        for metric in (bad, torch.tensor(bad)):
            with pytest.raises(ValueError, match=f"metrics must be finite.*{bad}"):
                scheduler.step(metric)
        assert everything(optimizer, scheduler) == before
        scheduler.step(finite)
    assert scheduler.position == 2
    assert scheduler.last_epoch == 3


@each_nonfinite
@pytest.mark.parametrize(("policy", "position"), [("hold", 0), ("advance", 1)])
def test_a_repeated_nonfinite_metric_counts_once(bad, policy, position):
    optimizer, scheduler = make(on=Cutoff(0.5), nonfinite=policy)
    optimizer.step()
    feed(scheduler, [bad, bad, torch.tensor(bad)])
    assert (scheduler.position, scheduler.last_epoch) == (position, 1)
    optimizer.step()
    feed(scheduler, [bad, bad])
    assert (scheduler.position, scheduler.last_epoch) == (2 * position, 2)
