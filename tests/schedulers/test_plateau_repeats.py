"""A metric that is passed again, with no optimizer step in between, is dropped."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from lrsched import (
    Cutoff,
    Patience,
    PlateauSequence,
)
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.plateau import (
    HALF,
    Wrapped,
    bumpy,
    drops_repeats,
    everything,
    feed,
    make,
)


def test_repeated_calls_count_once():
    metrics = bumpy(2)
    for calls in (2, 8):
        for on in ("cutoff", "oscillate", Patience(1)):
            once_optimizer, once = make(on=on)
            many_optimizer, many = make(on=on)
            for metric in metrics:
                once_optimizer.step()
                many_optimizer.step()
                once.step(metric)
                feed(many, [metric] * calls)
            assert once.position > 0
            assert many.events == once.events
            assert many.last_epoch == once.last_epoch == len(metrics)


def test_a_dropped_call_changes_nothing():
    optimizer, scheduler = make(on=Cutoff(0.5))
    optimizer.step()
    feed(scheduler, [1.0])
    before = everything(optimizer, scheduler)
    feed(scheduler, [1.0, torch.tensor(1.0), np.float32(1.0), 1])
    assert everything(optimizer, scheduler) == before


def test_the_same_metric_after_a_step_is_a_plateau():
    optimizer, scheduler = make(on=Cutoff(0.5))
    for expected in (0, 1, 2):
        optimizer.step()
        scheduler.step(1.0)
        assert scheduler.position == expected


def test_different_metrics_all_count_without_a_step_between_them():
    optimizer, scheduler = make(on="oscillate")
    optimizer.step()
    feed(scheduler, [1.0, 2.0, 3.0, 2.0, 3.0])
    assert scheduler.position == 3
    assert scheduler.last_epoch == 5


def test_metrics_replayed_without_any_step_all_count():
    optimizer = make_optimizer()
    optimizer.step()  # before the scheduler was made
    scheduler = PlateauSequence(optimizer, HALF, on=Cutoff(0.5))
    feed(scheduler, [1.0] * 4)
    assert scheduler.position == 3
    assert scheduler.last_epoch == 4


def test_repeats_count_until_the_optimizer_has_stepped():
    optimizer, scheduler = make(on=Cutoff(0.5, decay=1.0))
    feed(scheduler, [1.0, 1.0])
    assert scheduler.position == 1
    optimizer.step()
    feed(scheduler, [1.0, 1.0, 1.0])  # counted, dropped, dropped
    assert scheduler.position == 2


def test_repeats_count_keeps_every_metric():
    optimizer, scheduler = make(on=Cutoff(0.5), repeats="count")
    optimizer.step()
    feed(scheduler, [1.0] * 3)
    assert (scheduler.position, scheduler.last_epoch) == (2, 3)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.compile's own
@pytest.mark.parametrize("when", ["before", "after"])
def test_repeats_are_dropped_with_a_compiled_step(when):
    optimizer = make_optimizer()
    optimizer.param_groups[0]["params"][0].grad = torch.ones(1)
    if when == "before":
        optimizer.step = torch.compile(optimizer.step, backend="eager")
    scheduler = PlateauSequence(optimizer, HALF, on=Cutoff(0.5, decay=1.0))
    if when == "after":
        optimizer.step = torch.compile(optimizer.step, backend="eager")
    assert drops_repeats(scheduler)
    torch._dynamo.reset()


@pytest.mark.parametrize("replace", [lambda step: lambda: step(), partial], ids=["lambda", "partial"])
def test_repeats_are_dropped_with_a_replaced_step(replace):
    optimizer = make_optimizer()
    optimizer.step = replace(optimizer.step)
    assert drops_repeats(PlateauSequence(optimizer, HALF, on=Cutoff(0.5, decay=1.0)))


def test_repeats_are_dropped_with_a_wrapped_optimizer():
    optimizer = Wrapped(make_optimizer())
    scheduler = PlateauSequence(optimizer, HALF, on=Cutoff(0.5, decay=1.0))
    assert drops_repeats(scheduler)
    feed(scheduler, [6.25])
    assert group_lrs(optimizer) == [0.05]


def test_repeats_are_dropped_with_a_twice_wrapped_optimizer():
    scheduler = PlateauSequence(Wrapped(Wrapped(make_optimizer())), HALF, on=Cutoff(0.5, decay=1.0))
    assert drops_repeats(scheduler)


def test_skipped_optimizer_steps_do_not_block_later_metrics():
    optimizer, scheduler = make(on=Cutoff(0.5, decay=1.0))
    feed(scheduler, [1.0, 1.0])  # nothing stepped yet: both count
    assert scheduler.position == 1
    optimizer.step()
    feed(scheduler, [1.0, 1.0])
    assert scheduler.position == 2
    feed(scheduler, [4.0])  # skipped again, another value
    assert scheduler.last_epoch == 4
    optimizer.step()
    feed(scheduler, [4.0])
    assert scheduler.position == 3


def test_steps_skipped_by_a_grad_scaler():
    parameter = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    scheduler = PlateauSequence(optimizer, HALF, on=Cutoff(0.5, decay=1.0))
    for factor, expected in [(math.inf, 0), (math.inf, 1), (1.0, 2), (math.inf, 2), (1.0, 3)]:
        optimizer.zero_grad()
        scaler.scale((parameter * factor).sum()).backward()
        scaler.step(optimizer)  # skipped if the gradient is not finite
        scaler.update()
        scheduler.step(1.0)
        assert scheduler.position == expected


def test_two_schedulers_on_one_optimizer_each_drop_their_own_repeats():
    optimizer = make_optimizer()
    first = PlateauSequence(optimizer, HALF, on=Cutoff(0.5))
    second = PlateauSequence(optimizer, HALF, on=Cutoff(0.5))
    optimizer.step()
    feed(first, [1.0, 1.0])
    feed(second, [1.0, 1.0])
    assert (first.last_epoch, second.last_epoch) == (1, 1)
