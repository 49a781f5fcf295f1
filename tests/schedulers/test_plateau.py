"""PlateauSequence advances when its rule says so, and records each advance as an event."""

import math

import pytest
import torch

from lrsched import (
    Cutoff,
    Event,
    Geometric,
    Inverse,
    Oscillation,
    Patience,
    Values,
)
from tests.helpers import group_lrs
from tests.schedulers.plateau import advance, bumpy, feed, make


def test_the_first_metric_never_fires():
    for on in ("cutoff", "oscillate", Cutoff(1e9), Patience(0), Cutoff(1e9) | Oscillation()):
        _, scheduler = make(on=on)
        scheduler.step(5.0)
        assert scheduler.position == 0
        assert scheduler.events == []


def test_a_difference_equal_to_the_cutoff_is_not_a_plateau():
    _, scheduler = make(on=Cutoff(0.5))
    assert feed(scheduler, [1.0, 0.5, 0.0]).position == 0
    assert feed(scheduler, [0.25]).position == 1


def test_two_rules_that_fire_together_advance_once():
    optimizer, scheduler = make(on=Cutoff(0.5) | Oscillation())
    feed(scheduler, [1.0, 1.25])
    assert scheduler.position == 1
    assert group_lrs(optimizer) == [0.05]
    (event,) = scheduler.events
    assert "cutoff: abs(1.25 - 1" in event.reason
    assert "oscillat" in event.reason
    feed(scheduler, [2.25, 2.3125])  # rises by 1, then by 0.0625: below 0.5·0.2 = 0.1, so the cutoff shrank once
    assert [("cutoff" in e.reason, "oscillat" in e.reason) for e in scheduler.events] == [
        (True, True),
        (False, True),
        (True, True),
    ]
    feed(scheduler, [2.28])  # 0.0325 is above 0.02
    assert len(scheduler.events) == 3


def test_the_cutoff_shrinks_at_each_plateau():
    _, scheduler = make(on=Cutoff(0.1))
    feed(scheduler, [1.0, 0.5, 0.45, 0.2, 0.199])
    assert scheduler.position == 2
    assert scheduler.rule.cutoff == pytest.approx(0.1 * 0.2 * 0.2, rel=1e-15)
    feed(scheduler, [0.195])  # 0.004 is not below 0.004
    assert scheduler.rule.cutoff >= 0.0039


def test_a_thousand_plateaus_stay_finite():
    optimizer, scheduler = make(Geometric(0.5), on=Cutoff(0.01, min_cutoff=1e-6), min_lr=1e-4, history=10)
    feed(scheduler, [1.0] * 1001)
    assert scheduler.position == 1000
    assert scheduler.rule.cutoff == 1e-6
    assert group_lrs(optimizer) == [1e-4]


def test_the_rate_holds_past_the_end_of_a_sequence():
    optimizer, scheduler = make(Values([1.0, 0.5, 0.25]), on=Cutoff(0.01, decay=1.0))
    feed(scheduler, [1.0] * 8)
    assert scheduler.position == 7
    assert group_lrs(optimizer) == [0.025]
    assert [e.new_lrs for e in scheduler.events[-2:]] == [[0.025], [0.025]]


def test_a_cutoff_that_underflows_stops_advancing():
    cutoff, count = 0.01, 0
    while cutoff > 0.0:
        cutoff, count = cutoff * 0.2, count + 1
    optimizer, scheduler = make(Geometric(0.5), on=Cutoff(0.01))
    feed(scheduler, [1.0] * 1000)
    assert scheduler.position == count
    assert math.isfinite(group_lrs(optimizer)[0])


def test_metrics_in_bfloat16_do_not_advance_at_every_epoch():
    """Losses that differ by less than the resolution of bfloat16 look equal; the cutoff soon shrinks below that."""
    _, scheduler = make(Inverse(), on=Cutoff(0.1, previous=0.0))
    losses = torch.linspace(2.0, 0.5, 60, dtype=torch.bfloat16)  # differences of about 0.025, resolved to 1/128
    feed(scheduler, losses)
    assert scheduler.position == 1  # 0.1 → 0.02, below the differences


def test_a_constant_negative_metric_plateaus():
    for mode in ("min", "max"):
        _, scheduler = make(mode=mode)  # relative to |−1|
        feed(scheduler, [-1.0] * 4)
        assert [e.epoch for e in scheduler.events] == [2, 3, 4]


@pytest.mark.parametrize(
    "rule",
    [
        lambda sign: "cutoff",
        lambda sign: "oscillate",
        lambda sign: Cutoff(0.05, previous=sign * 0.5),
        lambda sign: Oscillation(previous=sign * 0.5),
        lambda sign: Patience(1, threshold=0.02, threshold_mode="abs", cooldown=2),
        lambda sign: Cutoff() | Oscillation(),
    ],
)
@pytest.mark.parametrize("nonfinite", ["hold", "advance"])
def test_max_mirrors_min_event_for_event(rule, nonfinite):
    count = 0
    for seed in range(10):
        series = [m - 1.0 for m in bumpy(seed)]
        series[seed] = math.inf
        series[2 * seed + 1] = math.nan
        _, low = make(on=rule(1), nonfinite=nonfinite)
        _, high = make(on=rule(-1), nonfinite=nonfinite, mode="max")
        feed(low, series)
        feed(high, [-m for m in series])
        assert [(e.epoch, repr(-e.metric), e.position, e.old_lrs, e.new_lrs) for e in high.events] == [
            (e.epoch, repr(e.metric), e.position, e.old_lrs, e.new_lrs) for e in low.events
        ]
        count += low.position
    assert count > 10


class TestEvents:
    def test_scheduler_and_event_print_readably(self):
        scheduler = feed(make(Inverse(), Oscillation(), lrs=(0.5,))[1], [0.25, 0.75])
        assert repr(scheduler) == (
            "PlateauSequence(sequence=Inverse(), rule=Oscillation(previous=None), position=1, lrs=[0.25])"
        )
        (event,) = scheduler.events
        assert repr(event) == (
            "Event(epoch=2, metric=0.75, reason='oscillation: 0.75 > 0.25', position=1, old_lrs=[0.5], new_lrs=[0.25])"
        )

    def test_an_event_in_full(self):
        _, scheduler = make(on=Cutoff(0.1), lrs=[0.1, 0.5])
        feed(scheduler, [1.0, 0.5, torch.tensor(0.4375)])
        assert scheduler.events == [
            Event(3, 0.4375, "cutoff: abs(0.4375 - 0.5) < 0.1", 1, old_lrs=[0.1, 0.5], new_lrs=[0.05, 0.25])
        ]
        (event,) = scheduler.events
        assert (type(event.epoch), type(event.position)) == (int, int)
        assert [type(lr) for lr in event.old_lrs + event.new_lrs] == [float] * 4

    @pytest.mark.parametrize("kind", ["tensor", "numpy"])
    def test_learning_rates_are_python_floats(self, kind):
        _, scheduler = make(on="oscillate", kind=kind)
        advance(scheduler, 2)
        assert {type(lr) for e in scheduler.events for lr in e.old_lrs + e.new_lrs} == {float}

    def test_old_lrs_are_those_of_the_optimizer(self):
        optimizer, scheduler = make(on="oscillate")
        scheduler.step(1.0)
        optimizer.param_groups[0]["lr"] = 0.03
        scheduler.step(2.0)
        assert scheduler.events[0].old_lrs == [0.03]
        assert scheduler.events[0].new_lrs == [0.015]

    @pytest.mark.parametrize(("history", "kept"), [(0, 0), (1, 1), (3, 3), (1000, 1000)])
    def test_history_is_bounded(self, history, kept):
        _, scheduler = make(on="oscillate", history=history)
        advance(scheduler, 1100)
        assert scheduler.position == 1100
        assert type(scheduler.events) is list
        assert [e.position for e in scheduler.events] == list(range(1101 - kept, 1101))

    def test_the_bound_is_1000_by_default(self):
        _, scheduler = make(on="oscillate")
        advance(scheduler, 1001)
        assert len(scheduler.events) == 1000
