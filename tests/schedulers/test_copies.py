"""Copies of schedulers, by deepcopy and pickle, are independent and keep watching their optimizer."""

import copy
import pickle

import pytest

from lrsched import Cutoff, CyclicLR, InverseLR, PlateauSequence
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.cases import CASES, caught, every_kind, mixed, started, step
from tests.schedulers.plateau import HALF, Wrapped, drops_repeats, feed, make

COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda scheduler: pickle.loads(pickle.dumps(scheduler))}
every_way = pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)


@every_kind
@every_way
def test_a_copy_is_independent_and_continues_without_a_warning(case, copied):
    for steps in (0, 1, 6):
        optimizer, scheduler = started(case)
        for _ in range(steps):
            step(scheduler)
        twin = copied(copied(scheduler))
        assert twin.optimizer is not optimizer
        assert group_lrs(twin.optimizer) == group_lrs(optimizer)
        assert twin.state_dict() == scheduler.state_dict()
        tensor = twin.optimizer.param_groups[1]["lr"]
        for k in range(steps + 1, steps + 5):
            twin.optimizer.step()
            step(twin)
            assert group_lrs(twin.optimizer) == pytest.approx(case.lrs(k), rel=1e-12)
            assert twin.optimizer.param_groups[1]["lr"] is tensor
        assert group_lrs(optimizer) == pytest.approx(case.lrs(steps), rel=1e-12)
        step(scheduler)
        assert group_lrs(optimizer) == pytest.approx(case.lrs(steps + 1), rel=1e-12)


@every_kind
@every_way
def test_optimizer_and_scheduler_that_are_copied_together_stay_together(case, copied):
    optimizer, scheduler = copied(list(started(case)))
    assert scheduler.optimizer is optimizer
    optimizer.step()
    step(scheduler)
    assert group_lrs(optimizer) == pytest.approx(case.lrs(1), rel=1e-12)


@every_way
def test_a_copy_still_watches_the_order_of_calls(copied):
    twin = copied(InverseLR(mixed()))
    (warning,) = caught(lambda: twin.step())
    assert "Detected call of `lr_scheduler.step()` before `optimizer.step()`" in str(warning.message)


@every_way
def test_a_copy_knows_that_its_optimizer_has_stepped(copied):
    _, scheduler = started(CASES["InverseLR"])
    twin = copied(scheduler)
    assert caught(lambda: twin.step()) == []


@every_way
def test_a_copy_drops_repeated_metrics(copied):
    _, scheduler = make(on=Cutoff(0.5, decay=1.0))
    twin = copied(scheduler)
    assert drops_repeats(twin)
    assert drops_repeats(scheduler)
    wrapped = PlateauSequence(Wrapped(make_optimizer()), HALF, on=Cutoff(0.5, decay=1.0))
    assert drops_repeats(copied(wrapped))


@every_way
def test_a_copy_remembers_the_last_metric_and_watches_its_own_optimizer(copied):
    optimizer, scheduler = make(on=Cutoff(0.5))
    optimizer.step()
    scheduler.step(1.0)
    twin = copied(scheduler)
    feed(twin, [1.0])
    assert twin.last_epoch == 1
    optimizer.step()  # not the optimizer of the copy
    feed(twin, [1.0])
    assert twin.last_epoch == 1
    twin.optimizer.step()
    feed(twin, [1.0])
    assert (twin.last_epoch, twin.position) == (2, 1)
    assert (scheduler.last_epoch, scheduler.position) == (1, 0)


@every_way
def test_a_copy_leaves_the_process_group_out(copied):
    scheduler = PlateauSequence(make_optimizer(), HALF, process_group=object())
    assert copied(scheduler).process_group is None
    assert scheduler.process_group is not None


def test_a_function_that_cannot_be_pickled_is_a_clear_error():
    optimizer = mixed()
    scheduler = CyclicLR(optimizer, 0.05, 0.4, 3, 4, scale_fn=lambda x: 0.5)
    optimizer.step()
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError), match=r"scale_fn|lambda"):
        pickle.dumps(scheduler)
    twin = copy.deepcopy(scheduler)
    twin.optimizer.step()
    for _ in range(2):
        scheduler.step()
        twin.step()
    assert group_lrs(twin.optimizer) == group_lrs(optimizer)
