"""`preview` gives the events that a PlateauSequence would have, without an optimizer."""

import inspect
import math

import numpy as np
import pytest
import torch

from lrsched import (
    Cutoff,
    Event,
    Inverse,
    Oscillation,
    Patience,
    Sawtooth,
    Values,
    Warmup,
    preview,
)
from tests.schedulers.plateau import HALF, Always, bumpy, feed, make

RULES = ["cutoff", "oscillate", Cutoff(0.05, previous=0.0), Patience(1, cooldown=1), Cutoff() | Oscillation(), Always()]


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("nonfinite", ["hold", "advance"])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_preview_gives_the_events_of_the_live_object(rule, nonfinite, mode):
    series = bumpy(4)
    series[3], series[11], series[12] = math.nan, math.inf, -math.inf
    options = {"mode": mode, "nonfinite": nonfinite, "min_lr": 0.002}
    for sequence in (HALF, Sawtooth(5), Values([0.5, 1.0, 0.25]), Warmup(3) * Inverse()):
        _, scheduler = make(sequence, rule, **options)
        feed(scheduler, series)
        events = preview(sequence, rule, series, base_lr=0.1, **options)
        assert len(events) > 1
        assert repr(events) == repr(scheduler.events)  # nan is not equal to itself


class TestPreview:
    def test_worked_by_hand(self):
        events = preview(Inverse(), Cutoff(0.1, decay=0.5), [1.0, 0.5, 0.45, 0.44], base_lr=0.6)
        assert [(e.epoch, e.metric, e.position, e.reason) for e in events] == [
            (3, 0.45, 1, "cutoff: abs(0.45 - 0.5) < 0.1"),
            (4, 0.44, 2, "cutoff: abs(0.44 - 0.45) < 0.05"),
        ]
        assert [e.old_lrs + e.new_lrs for e in events] == [
            pytest.approx([0.6, 0.3]),
            pytest.approx([0.3, 0.2]),
        ]
        assert all(type(e) is Event for e in events)

    def test_the_defaults(self):
        (event,) = preview(HALF, "cutoff", [1.0, 1.0, 3.0])
        assert (event.old_lrs, event.new_lrs) == ([1.0], [0.5])

    def test_min_lr(self):
        events = preview(HALF, "oscillate", range(5), base_lr=1.0, min_lr=0.3)
        assert [e.new_lrs for e in events] == [[0.5], [0.3], [0.3], [0.3]]

    def test_the_floor_is_at_most_the_base(self):
        assert [e.new_lrs for e in preview(HALF, "oscillate", [0, 1], base_lr=0.1, min_lr=0.5)] == [[0.1]]

    @pytest.mark.parametrize("kind", [list, tuple, iter, np.array, torch.tensor], ids=lambda kind: kind.__name__)
    def test_kinds_of_metrics(self, kind):
        series = bumpy(5)
        assert preview(HALF, "oscillate", kind(series)) == preview(HALF, "oscillate", series) != []

    def test_no_metrics(self):
        assert preview(HALF, "cutoff", []) == []

    def test_repeats_count(self):
        assert len(preview(HALF, Cutoff(0.1, decay=1.0), [1.0] * 5)) == 4

    def test_more_events_than_a_history(self):
        assert len(preview(HALF, "oscillate", range(1500))) == 1499

    def test_leaves_the_rule_alone(self):
        rule = Cutoff(0.1)
        assert preview(HALF, rule, [1.0] * 5) == preview(HALF, rule, [1.0] * 5) != []
        assert rule.cutoff == 0.1

    @pytest.mark.parametrize(
        ("arguments", "error", "match"),
        [
            ({"sequence": lambda k: 1.0}, TypeError, "sequence.*Function"),
            ({"sequence": 0.5}, TypeError, "sequence"),
            ({"on": "plateau"}, ValueError, "on must.*'plateau'"),
            ({"on": None}, TypeError, "on must.*None"),
            ({"on": Cutoff}, TypeError, "on must"),
            ({"metrics": 0.5}, TypeError, "metrics"),
            ({"metrics": None}, TypeError, "metrics"),
            ({"metrics": [0.5, "x"]}, TypeError, "metrics.*'x'"),
            ({"metrics": "0.5"}, TypeError, "metrics"),
            ({"metrics": [0.5, None]}, TypeError, "metrics.*None"),
            ({"metrics": [[0.5, 0.5]]}, TypeError, "metrics"),
            ({"base_lr": -0.1}, ValueError, "base_lr.*-0.1"),
            ({"base_lr": math.nan}, ValueError, "base_lr.*nan"),
            ({"base_lr": "0.1"}, TypeError, "base_lr.*'0.1'"),
            ({"mode": "lower"}, ValueError, "mode must.*'lower'"),
            ({"mode": None}, TypeError, "mode must.*None"),
            ({"min_lr": -1.0}, ValueError, "min_lr.*-1.0"),
            ({"min_lr": math.inf}, ValueError, "min_lr.*inf"),
            ({"nonfinite": "skip"}, ValueError, "nonfinite must.*'skip'"),
            ({"nonfinite": "raise", "metrics": [1.0, math.nan]}, ValueError, "metrics must be finite.*nan"),
        ],
    )
    def test_bad_arguments(self, arguments, error, match):
        good = {"sequence": HALF, "on": "cutoff", "metrics": [1.0, 1.0]}
        preview(**good)
        with pytest.raises(error, match=match):
            preview(**{**good, **arguments})

    def test_its_signature(self):
        parameters = inspect.signature(preview).parameters
        assert list(parameters) == ["sequence", "on", "metrics", "base_lr", "mode", "min_lr", "nonfinite"]
        assert [parameters[name].default for name in list(parameters)[3:]] == [1.0, "min", 0.0, "hold"]
