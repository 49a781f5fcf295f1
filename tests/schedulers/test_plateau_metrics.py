"""What `PlateauSequence.step` takes as a metric, and what it refuses."""

import copy
import weakref
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from lrsched import (
    Cutoff,
    Oscillation,
)
from tests.schedulers.plateau import (
    everything,
    feed,
    make,
)

METRICS = {
    "float": lambda: 0.5,
    "int": lambda: 1,
    "0-dim": lambda: torch.tensor(0.5),
    "1-element": lambda: torch.tensor([0.5]),
    "1x1": lambda: torch.tensor([[0.5]]),
    "float64": lambda: torch.tensor(0.5, dtype=torch.float64),
    "bfloat16": lambda: torch.tensor(0.5, dtype=torch.bfloat16),
    "float16": lambda: torch.tensor(0.5, dtype=torch.float16),
    "int tensor": lambda: torch.tensor(1),
    "requires_grad": lambda: torch.tensor(0.5, requires_grad=True),
    "with a graph": lambda: torch.tensor([0.25], requires_grad=True).sum() * 2,
    "parameter": lambda: nn.Parameter(torch.tensor(0.5)),
    "numpy float64": lambda: np.float64(0.5),
    "numpy float32": lambda: np.float32(0.5),
    "numpy int": lambda: np.int64(1),
    "numpy 0-dim": lambda: np.array(0.5),
    "numpy 1-element": lambda: np.array([0.5]),
}


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS.keys())
def test_every_kind_of_real_number_becomes_a_float(metric):
    _, scheduler = make(on=Oscillation(previous=0.0))
    scheduler.step(metric())
    (event,) = scheduler.events
    assert type(event.metric) is float
    assert event.metric == float(torch.as_tensor(metric()).detach())


NOT_METRICS = {
    "None": None,
    "string": "x",
    "number as string": "0.5",
    "bytes": b"1",
    "2 elements": torch.tensor([1.0, 2.0]),
    "empty tensor": torch.tensor([]),
    "complex": 1j,
    "complex tensor": torch.tensor(1j),
    "numpy complex": np.complex128(1),
    "bool": True,
    "bool tensor": torch.tensor(True),
    "numpy bool": np.bool_(True),
    "list": [0.5],
    "dict": {"loss": 0.5},
    "object": object(),
    "function": len,
    "meta tensor": torch.empty((), device="meta"),
    "too large": 10**400,
    "numpy string": np.array("x"),
    "numpy object": np.array(None),
}


@pytest.mark.parametrize("metric", NOT_METRICS.values(), ids=NOT_METRICS.keys())
def test_a_metric_that_is_not_one_real_number_is_refused(metric):
    optimizer, scheduler = make(on=Cutoff(0.5), nonfinite="advance")
    for good in (1.0, 1.25):
        before = everything(optimizer, scheduler)
        with pytest.raises((TypeError, ValueError), match="metrics"):
            scheduler.step(metric)
        with pytest.raises((TypeError, ValueError), match="metrics"):
            scheduler.step(metrics=metric)
        assert everything(optimizer, scheduler) == before
        scheduler.step(good)
    assert scheduler.position == 1


def test_a_refused_metric_is_named_with_its_value():
    _, scheduler = make()
    with pytest.raises(TypeError, match=r"metrics must be one real number, got 'x'"):
        scheduler.step("x")


def test_the_graph_of_a_metric_is_not_kept():
    _, scheduler = make(on=Oscillation(previous=0.0))
    metric = torch.tensor(0.5, requires_grad=True) * 2
    dead = weakref.ref(metric)
    scheduler.step(metric)
    del metric
    assert dead() is None


def test_every_way_to_pass_a_metric():
    for call in (
        lambda s, v: s.step(v),
        lambda s, v: s.step(metrics=v),
        lambda s, v: s.step(v, 7),
        lambda s, v: s.step(v, None),
        lambda s, v: s.step(v, epoch=3),
        lambda s, v: s.step(metrics=v, epoch=3),
    ):
        _, scheduler = make(on="oscillate")
        call(scheduler, 1.0)
        call(scheduler, 2.0)
        assert scheduler.position == 1
        assert scheduler.last_epoch == 2
        assert scheduler.events[0].epoch == 2


def test_a_call_without_a_metric_says_what_to_pass():
    optimizer, scheduler = make()
    before = everything(optimizer, scheduler)
    for call in (scheduler.step, partial(scheduler.step, epoch=3)):
        with pytest.raises(TypeError, match=r"metric.*step\("):
            call()
    with pytest.raises(TypeError, match="metric"):
        scheduler.step(None)
    assert everything(optimizer, scheduler) == before


def test_no_order_of_calls_warns():
    """Warnings are errors in these tests."""
    optimizer, scheduler = make(on="oscillate")
    feed(scheduler, [1.0, 2.0])  # before any optimizer step
    optimizer.step()
    scheduler.step(3.0, 2)
    optimizer.step = partial(optimizer.step)
    feed(scheduler, [4.0, 5.0])
    scheduler.get_lr()
    scheduler.load_state_dict(scheduler.state_dict())
    copy.deepcopy(scheduler).step(6.0)
    assert scheduler.position == 4
