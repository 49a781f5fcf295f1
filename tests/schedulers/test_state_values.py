"""Values in a state that need care: numbers of numpy and torch, functions and objects, events, repeated metrics."""

import functools
import json
import math

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import ExponentialLR

from lrsched import (
    Cosine,
    Cutoff,
    CyclicLR,
    GeometricLR,
    ImageLR,
    Oscillation,
    PlateauSequence,
    SawtoothLR,
    SequenceLR,
    StepDecayLR,
    Values,
)
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.cases import PICTURE, Halve, mixed, step
from tests.schedulers.plateau import HALF, feed
from tests.schedulers.states import PLAIN, ROUTES, types_in

NUMBERS = {
    "GeometricLR numpy": lambda opt: GeometricLR(opt, np.float64(0.9), min_lr=np.float32(0.25)),
    "GeometricLR torch": lambda opt: GeometricLR(opt, torch.tensor(0.9), min_lr=[torch.tensor(0.25), np.float64(0)]),
    "StepDecayLR": lambda opt: StepDecayLR(opt, torch.tensor(0.5), np.int64(3)),
    "SawtoothLR": lambda opt: SawtoothLR(opt, torch.tensor(4), np.bool_(True)),
    "SequenceLR": lambda opt: SequenceLR(
        opt, Values(np.array([1.0, 0.5])) * Cosine(np.int32(5)), last_epoch=np.int64(-1)
    ),
    "ImageLR": lambda opt: ImageLR(opt, PICTURE, np.int64(60), np.float64(0.1), torch.tensor(0.3)),
    "CyclicLR": lambda opt: CyclicLR(
        opt, np.float64(0.1), torch.tensor(0.3), np.int64(3), gamma=np.float32(1), max_momentum=np.float64(0.9)
    ),
    "CyclicLR tuple": lambda opt: CyclicLR(opt, (0.1, 0.2), np.array([0.3, 0.4]).tolist(), 3),
    "PlateauSequence": lambda opt: PlateauSequence(
        opt, HALF, Oscillation(torch.tensor(0.0)), min_lr=torch.tensor(0.25)
    ),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_of_numpy_and_torch_are_plain_in_a_state(name):
    make = NUMBERS[name]
    for kind in ("numpy", "tensor", "float32", "int"):
        optimizer = make_optimizer((1, 2), kind, momentum=0.9)
        scheduler = make(optimizer)
        optimizer.step()
        step(scheduler)
        state = scheduler.state_dict()
        assert types_in(state) <= PLAIN
        for route in ROUTES.values():
            other = make_optimizer((1, 2), kind, momentum=0.9)
            make(other).load_state_dict(route(state))
            assert group_lrs(other) == group_lrs(optimizer)


def test_metrics_of_numpy_and_torch_are_plain_in_a_state():
    scheduler = PlateauSequence(make_optimizer(), HALF, "oscillate")
    feed(scheduler, [torch.tensor(1.0), torch.tensor(2.0, dtype=torch.bfloat16), np.float32(3.0), np.int64(4)])
    assert len(scheduler.events) == 3
    assert types_in(scheduler.state_dict()) <= PLAIN


# ---- scale_fn


def cyclic(scale_fn):
    optimizer = mixed()
    scheduler = CyclicLR(optimizer, 0.05, 0.4, 3, 4, scale_fn=scale_fn)
    optimizer.step()
    scheduler.step()
    return optimizer, scheduler


def test_a_function_is_not_in_the_state_and_the_loaders_own_function_stays():
    def half(x):
        return 0.5

    state = cyclic(half)[1].state_dict()
    assert types_in(state) <= PLAIN
    optimizer, loader = cyclic(lambda x: 0.25)
    loader.load_state_dict(state)
    loader.step()
    assert group_lrs(optimizer)[0] == pytest.approx(0.05 + 0.35 * (2 / 3) * 0.25)


def test_an_object_is_in_the_state_by_its_attributes():
    saved, mine = Halve(0.75), Halve(0.125)
    state = cyclic(saved)[1].state_dict()
    assert {"factor": 0.75} in state.values()
    optimizer, loader = cyclic(mine)
    loader.load_state_dict(state)
    assert mine.factor == 0.75
    loader.step()
    assert group_lrs(optimizer)[0] == pytest.approx(0.05 + 0.35 * (2 / 3) * 0.75)
    saved.factor = 0.5
    assert {"factor": 0.75} in state.values()


class Scaler:
    def scale(self, x):
        return 0.5


@pytest.mark.parametrize(
    "scale_fn",
    [functools.partial(pow, 0.5), math.exp, Scaler().scale],
    ids=["partial", "builtin", "method"],
)
def test_any_callable_can_be_a_scale_fn_in_a_state(scale_fn):
    optimizer, scheduler = cyclic(scale_fn)
    other = mixed()
    CyclicLR(other, 0.05, 0.4, 3, 4, scale_fn=scale_fn).load_state_dict(scheduler.state_dict())
    assert group_lrs(other) == group_lrs(optimizer)


# ---- PlateauSequence


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf], ids=str)
def test_events_of_nonfinite_metrics_pass_json(bad):
    scheduler = PlateauSequence(make_optimizer(), HALF, nonfinite="advance")
    scheduler.step(bad)
    state = json.loads(json.dumps(scheduler.state_dict(), allow_nan=False))
    loader = PlateauSequence(make_optimizer(), HALF, nonfinite="advance")
    loader.load_state_dict(state)
    assert repr(loader.events) == repr(scheduler.events)
    assert repr(loader.events[0].metric) == repr(bad)
    assert loader.state_dict() == scheduler.state_dict()


def test_the_process_group_is_not_in_the_state():
    scheduler = PlateauSequence(make_optimizer(), HALF, process_group=object())
    assert "process_group" not in json.dumps(scheduler.state_dict())


def test_beside_a_second_scheduler_the_state_holds_the_rate_of_both():
    def build():
        optimizer = make_optimizer([0.4])
        first = PlateauSequence(optimizer, HALF, "oscillate")
        return optimizer, first, ExponentialLR(optimizer, 0.5)

    optimizer, first, second = build()
    optimizer.step()
    first.step(1.0)
    second.step()
    other, loader, _ = build()
    loader.load_state_dict(first.state_dict())
    assert group_lrs(other) == group_lrs(optimizer) == [0.2]


def test_a_shorter_history_keeps_the_last_events():
    long = PlateauSequence(make_optimizer(), HALF, "oscillate", history=10)
    feed(long, [float(i) for i in range(8)])
    short = PlateauSequence(make_optimizer(), HALF, "oscillate", history=3)
    short.load_state_dict(long.state_dict())
    assert short.events == long.events[-3:]
    short.step(9.0)
    assert [event.position for event in short.events] == [6, 7, 8]


@pytest.mark.parametrize(("history", "kept"), [(0, 0), (3, 3), (1000, 1000)])
def test_a_state_holds_as_many_events_as_the_history(history, kept):
    scheduler = PlateauSequence(make_optimizer(), HALF, "oscillate", history=history)
    feed(scheduler, [float(i) for i in range(1100)])
    assert len(scheduler.state_dict()["events"]) == kept
    assert len(json.dumps(scheduler.state_dict())) < 400 * kept + 2000


def resumed(scheduler):
    optimizer = make_optimizer()
    loader = PlateauSequence(optimizer, HALF, Cutoff(0.5))
    loader.load_state_dict(json.loads(json.dumps(scheduler.state_dict())))
    return optimizer, loader


def test_a_repeat_is_dropped_after_a_restart_too():
    """The second of two equal calls comes after the restart, with no optimizer step in between."""
    optimizer = make_optimizer()
    scheduler = PlateauSequence(optimizer, HALF, Cutoff(0.5))
    optimizer.step()
    scheduler.step(1.0)
    other, loader = resumed(scheduler)
    loader.step(1.0)
    assert (loader.last_epoch, loader.position) == (1, 0)
    other.step()
    loader.step(1.0)
    assert (loader.last_epoch, loader.position) == (2, 1)


def test_an_optimizer_step_between_the_metric_and_the_save_is_saved():
    optimizer = make_optimizer()
    scheduler = PlateauSequence(optimizer, HALF, Cutoff(0.5))
    optimizer.step()
    scheduler.step(1.0)
    optimizer.step()
    _, loader = resumed(scheduler)
    loader.step(1.0)
    assert (loader.last_epoch, loader.position) == (2, 1)
