"""Bad arguments of the schedulers raise errors that name them, and change nothing."""

import copy
import functools
import io
import math

import numpy as np
import pytest
import torch

from lrsched import (
    CyclicLR,
    Geometric,
    GeometricLR,
    ImageLR,
    Inverse,
    InverseLR,
    SawtoothLR,
    SequenceLR,
)
from tests.helpers import group_lrs
from tests.schedulers.cases import (
    CASES,
    PICTURE,
    every_stepwise_kind,
    mixed,
    quietly,
    started,
)

NAN, INF = float("nan"), float("inf")


BAD = {
    "GeometricLR": {"gamma": [NAN, INF, 0.0, -0.5, 1.5, "x", None, [0.9, 0.8]]},
    "SawtoothLR": {"period": [0, -1, 2.5, "x", None, NAN], "aligned": ["x", None, 3]},
    "ExponentialDecayLR": {"decay": [-0.1, NAN, INF, "x", None]},
    "StepDecayLR": {"drop": [0.0, -0.5, NAN, "x", None], "interval": [0, -1, 1.5, "x", NAN]},
    "TimeDecayLR": {"decay": [-0.1, NAN, INF, "x", None]},
    "ImageLR": {
        "image": [3, None, "no such file.png", io.BytesIO(b"no picture"), np.zeros((0, 3, 3), np.uint8)],
        "steps": [0, -1, 1.5, "x", None],
        "base_lr": [-1.0, NAN, INF, "x", None],
        "max_lr": [-1.0, NAN, INF, "x", None],
        "order": ["x", None, 3],
        "channels": ["x", None, 3],
    },
    "CyclicLR": {
        "base_lr": [-1.0, NAN, INF, "x", None, [0.1], [0.1, -1.0]],
        "max_lr": [-1.0, NAN, INF, "x", None, [0.1, 0.2, 0.3], [0.1, NAN]],
        "step_size_up": [0, -1, NAN, "x", None],
        "step_size_down": [-1, NAN, "x"],
        "mode": ["x", None, 3],
        "gamma": [NAN, -0.5, "x", None],
        "scale_fn": [3, "x"],
        "base_momentum": [NAN, "x", None, [0.8], [0.8, NAN]],
        "max_momentum": [NAN, "x", None, [0.8], [0.8, NAN]],
    },
    "OneCycleLR": {
        "max_lr": [-1.0, NAN, INF, "x", None, [], [0.1], [0.1, 0.2, 0.3], [0.1, NAN], [0.1, "x"], True],
        "total_steps": [0, -1, 10.0, "x", NAN, True, None],
        "pct_start": [-0.1, 1.1, NAN, INF, "x", None, [0.3]],
        "anneal_strategy": ["cosine", "", None, 3],
        "cycle_momentum": ["x", None, 1],
        "base_momentum": [-0.1, NAN, INF, "x", None, [], [0.8], [0.8, NAN]],
        "max_momentum": [-0.1, NAN, INF, "x", None, [], [0.8], [0.8, NAN]],
        "div_factor": [0.0, -1.0, NAN, INF, "x", None],
        "final_div_factor": [0.0, -1.0, NAN, INF, "x", None],
        "three_phase": ["x", None, 1],
    },
    "SequenceLR": {
        "sequence": [None, 3, "x", [], [Inverse()], [Inverse(), 3], [Inverse()] * 3, Inverse],
    },
}


for _name in CASES:
    BAD.setdefault(_name, {})["last_epoch"] = [-2, 1.5, "x", None, NAN]
    if _name not in ("ImageLR", "CyclicLR", "OneCycleLR"):
        BAD[_name]["min_lr"] = [-0.1, NAN, INF, "x", None, [0.1], [0.1] * 3, [0.1, -0.1], [0.1, "x"]]


@pytest.mark.parametrize(
    ("name", "argument"), [(name, argument) for name, arguments in BAD.items() for argument in arguments]
)
def test_bad_arguments_are_named_and_change_nothing(name, argument):
    for value in BAD[name][argument]:
        optimizer = mixed()
        before = copy.deepcopy(optimizer.state_dict())
        with pytest.raises((TypeError, ValueError), match=argument):
            CASES[name].make(optimizer, **{argument: value})
        assert optimizer.state_dict() == before, value
        assert "step" not in vars(optimizer), value
        assert not optimizer._optimizer_step_post_hooks, value


@every_stepwise_kind
def test_anything_but_an_optimizer_is_refused(case):
    parameters = torch.nn.Linear(2, 2)
    for value in (None, 3, "x", parameters, [torch.ones(1)]):
        with pytest.raises(TypeError, match=r"(?i)optimizer"):
            case.make(value)


@pytest.mark.parametrize("function", [lambda k: 1.0, math.sqrt, functools.partial(pow, 2)])
def test_a_plain_function_is_refused_as_a_sequence(function):
    for sequence in (function, [Inverse(), function]):
        optimizer = mixed()
        with pytest.raises(TypeError, match="Function"):
            SequenceLR(optimizer, sequence)
        assert "initial_lr" not in optimizer.param_groups[0]


def test_wrong_lengths_name_both_counts():
    for make in (
        lambda opt: SequenceLR(opt, [Inverse()] * 3),
        lambda opt: InverseLR(opt, min_lr=[0.1] * 3),
        lambda opt: CyclicLR(opt, [0.1] * 3, 1.0),
        lambda opt: CyclicLR(opt, 0.1, [1.0] * 3),
    ):
        with pytest.raises(ValueError, match=r"3\D+2\b|2\D+3\b"):
            make(mixed())


def test_errors_show_the_value():
    for make, shown in (
        (lambda opt: GeometricLR(opt, gamma=1.5), "1.5"),
        (lambda opt: SawtoothLR(opt, period=-3), "-3"),
        (lambda opt: InverseLR(opt, min_lr="low"), "low"),
        (lambda opt: ImageLR(opt, PICTURE, 60, order="zigzag"), "zigzag"),
        (lambda opt: CyclicLR(opt, 0.1, 0.3, mode="square"), "square"),
        (lambda opt: CyclicLR(opt, -0.25, 0.3), "-0.25"),
        (lambda opt: SequenceLR(opt, "steep"), "steep"),
    ):
        with pytest.raises((TypeError, ValueError), match=shown):
            make(mixed())


@every_stepwise_kind
def test_a_bad_epoch_is_named_and_changes_nothing(case):
    optimizer, scheduler = started(case)
    scheduler.step()
    before = (group_lrs(optimizer), scheduler.state_dict())
    for epoch in (-1, 1.5, "x", NAN):
        with pytest.raises((TypeError, ValueError), match="epoch"):
            quietly(lambda epoch=epoch: scheduler.step(epoch))
        assert (group_lrs(optimizer), scheduler.state_dict()) == before


def test_no_argument_is_edited():
    sequences, floors, rates = [Inverse(), Geometric()], [0.0, 0.1], [0.1, 0.2]
    SequenceLR(mixed(), sequences, min_lr=floors)
    CyclicLR(mixed(), rates, rates, base_momentum=rates, max_momentum=rates)
    assert (sequences, floors, rates) == ([Inverse(), Geometric()], [0.0, 0.1], [0.1, 0.2])
