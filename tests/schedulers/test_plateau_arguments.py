"""The arguments of PlateauSequence: signature, refusals, public settings."""

import inspect
import math

import pytest
import torch
from torch import nn

from lrsched import (
    Cutoff,
    Inverse,
    PlateauSequence,
    Values,
    Warmup,
)
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.plateau import HALF, make


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"sequence": lambda k: 0.5}, TypeError, "sequence.*Function"),
        ({"sequence": math.exp}, TypeError, "sequence.*Function"),
        ({"sequence": [HALF, lambda k: 0.5]}, TypeError, "sequence.*Function"),
        ({"sequence": 0.5}, TypeError, "sequence.*0.5"),
        ({"sequence": None}, TypeError, "sequence.*None"),
        ({"sequence": "inverse"}, TypeError, "sequence.*'inverse'"),
        ({"sequence": [HALF]}, ValueError, r"sequence.*\b1\b.*\b2\b"),
        ({"sequence": []}, ValueError, r"sequence.*\b0\b.*\b2\b"),
        ({"sequence": [HALF] * 3}, ValueError, r"sequence.*\b3\b.*\b2\b"),
        ({"on": "plateau"}, ValueError, "on must.*'plateau'"),
        ({"on": "Cutoff"}, ValueError, "on must.*'Cutoff'"),
        ({"on": 0.5}, TypeError, "on must.*0.5"),
        ({"on": None}, TypeError, "on must.*None"),
        ({"on": Cutoff}, TypeError, "on must.*Cutoff"),
        ({"on": lambda metric, mode: None}, TypeError, "on must"),
        ({"mode": "lower"}, ValueError, "mode must.*'lower'"),
        ({"mode": None}, TypeError, "mode must.*None"),
        ({"min_lr": -1e-9}, ValueError, "min_lr.*-1e-09"),
        ({"min_lr": math.nan}, ValueError, "min_lr.*nan"),
        ({"min_lr": math.inf}, ValueError, "min_lr.*inf"),
        ({"min_lr": "0"}, TypeError, "min_lr.*'0'"),
        ({"min_lr": None}, TypeError, "min_lr.*None"),
        ({"min_lr": True}, TypeError, "min_lr.*True"),
        ({"min_lr": [0.0]}, ValueError, r"min_lr.*\b1\b.*\b2\b"),
        ({"min_lr": [0.0, -1.0]}, ValueError, r"min_lr.*-1.0"),
        ({"min_lr": [0.0, "x"]}, TypeError, r"min_lr.*'x'"),
        ({"nonfinite": "skip"}, ValueError, "nonfinite must.*'skip'"),
        ({"nonfinite": None}, TypeError, "nonfinite must.*None"),
        ({"repeats": "drop"}, ValueError, "repeats must.*'drop'"),
        ({"repeats": True}, TypeError, "repeats must.*True"),
        ({"sync": "median"}, ValueError, "sync must.*'median'"),
        ({"sync": True}, TypeError, "sync must.*True"),
        ({"history": -1}, ValueError, "history must.*-1"),
        ({"history": 2.5}, TypeError, "history must.*2.5"),
        ({"history": None}, TypeError, "history must.*None"),
        ({"history": True}, TypeError, "history must.*True"),
        ({"warmup": 0}, ValueError, "warmup must be an integer >= 1, got 0"),
        ({"warmup": -3}, ValueError, "warmup must be an integer >= 1, got -3"),
        ({"warmup": 2.5}, TypeError, "warmup must be a finite Sequence, or the number of .*, got 2.5"),
        ({"warmup": 5.0}, TypeError, "warmup must be a finite Sequence, or the number of .*, got 5.0"),
        ({"warmup": True}, TypeError, "warmup must be a finite Sequence, or the number of .*, got True"),
        ({"warmup": "5"}, TypeError, "warmup must be a finite Sequence, or the number of .*, got '5'"),
        ({"warmup": [5, 5]}, TypeError, "warmup must be a finite Sequence, or the number of .*, got "),
        ({"warmup": Warmup}, TypeError, "warmup must be a finite Sequence, or the number of .*, got "),
        ({"warmup": Inverse()}, ValueError, r"warmup must be a finite Sequence such as Warmup\(500\), got Inverse\(\)"),
        ({"warmup": Warmup(3).repeated(3)}, ValueError, "warmup must be a finite Sequence .*, which never ends"),
        ({"on_advance": "print"}, TypeError, "on_advance must be a function of an event, or None, got 'print'"),
        ({"on_advance": 3}, TypeError, "on_advance must be a function of an event, or None, got 3"),
        ({"strict": None}, TypeError, "strict must.*None"),
        ({"strict": 0}, TypeError, "strict must.*0"),
    ],
)
def test_bad_arguments_change_nothing(arguments, error, match):
    optimizer = make_optimizer([0.1, 0.2])
    keys = [set(group) for group in optimizer.param_groups]
    with pytest.raises(error, match=match):
        PlateauSequence(optimizer, **{"sequence": Values([0.5]), **arguments})
    assert group_lrs(optimizer) == [0.1, 0.2]
    assert [set(group) for group in optimizer.param_groups] == keys
    assert len(optimizer._optimizer_step_post_hooks) == len(optimizer._optimizer_step_pre_hooks) == 0


@pytest.mark.parametrize("optimizer", [None, "sgd", 0.1, nn.Linear(1, 1), torch.optim.SGD], ids=str)
def test_anything_but_an_optimizer_is_refused(optimizer):
    with pytest.raises(TypeError, match=r"Optimizer"):
        PlateauSequence(optimizer, HALF)


@pytest.mark.parametrize("lr", [math.nan, math.inf], ids=str)
def test_a_learning_rate_that_is_not_finite_is_refused(lr):
    optimizer = make_optimizer([0.1, 0.2])
    optimizer.param_groups[1]["lr"] = lr
    with pytest.raises(ValueError, match=rf"lr.*{lr}"):
        PlateauSequence(optimizer, Values([0.5]))
    assert group_lrs(optimizer)[0] == 0.1


def test_settings_are_public():
    rule = Cutoff(0.1)
    _, scheduler = make(HALF, rule, mode="max", min_lr=0.01)
    assert scheduler.sequence == HALF
    assert scheduler.min_lr == 0.01
    assert scheduler.mode == "max"
    assert repr(scheduler.rule) == repr(rule)


def test_keywords_only_after_on():
    with pytest.raises(TypeError, match="positional"):
        PlateauSequence(make_optimizer(), HALF, "cutoff", "min")


def test_the_constructor_ignores_last_epoch():
    for last_epoch in (-1, 0, 17):
        optimizer, scheduler = make(last_epoch=last_epoch)
        assert scheduler.last_epoch == 0
        assert group_lrs(optimizer) == [0.1]


def test_the_signatures_are_the_documented_ones():
    assert list(inspect.signature(PlateauSequence.step).parameters)[:3] == ["self", "metrics", "epoch"]
    signature = inspect.signature(PlateauSequence)
    defaults = {name: p.default for name, p in signature.parameters.items() if p.default is not p.empty}
    assert defaults == {
        "on": "either",
        "mode": "min",
        "min_lr": 0.0,
        "warmup": None,
        "nonfinite": "hold",
        "repeats": "ignore",
        "sync": None,
        "process_group": None,
        "history": 1000,
        "on_advance": None,
        "strict": True,
        "last_epoch": -1,
    }
