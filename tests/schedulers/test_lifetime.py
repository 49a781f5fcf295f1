"""Schedulers and optimizers are freed without the garbage collector, and leave no hooks behind."""

import copy
import gc
import pickle
import types
import weakref

import pytest

from lrsched import PlateauSequence
from tests.helpers import make_optimizer
from tests.schedulers.cases import every_kind, mixed, step
from tests.schedulers.plateau import HALF, Wrapped


@pytest.fixture(autouse=True)
def no_collector():
    """Turn the garbage collector off: objects are then freed by reference counting only."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def hooks(optimizer):
    return len(optimizer._optimizer_step_post_hooks) + len(optimizer._optimizer_step_pre_hooks)


@every_kind
@pytest.mark.parametrize("steps", [0, 3])
def test_scheduler_and_optimizer_are_freed_and_leave_nothing(case, steps):
    optimizer = mixed()
    scheduler = case.make(optimizer)
    for _ in range(steps):
        optimizer.step()
        step(scheduler)
    scheduler.load_state_dict(scheduler.state_dict())
    optimizer_ref, scheduler_ref = weakref.ref(optimizer), weakref.ref(scheduler)
    del scheduler
    assert scheduler_ref() is None
    assert hooks(optimizer) == 0
    assert [holder for holder in gc.get_referrers(optimizer) if not isinstance(holder, types.FrameType)] == []
    optimizer.step()
    del optimizer
    assert optimizer_ref() is None


@every_kind
def test_a_replaced_step_and_copies_are_freed_too(case):
    optimizer = mixed()
    optimizer.step = lambda closure=None: None
    scheduler = case.make(optimizer)
    optimizer.step()
    step(scheduler)
    twins = [pickle.loads(pickle.dumps(scheduler)), copy.deepcopy(scheduler)]
    things = [optimizer, scheduler, *twins, *(twin.optimizer for twin in twins)]
    refs = [weakref.ref(thing) for thing in things]
    del scheduler, optimizer, twins, things
    assert [ref() for ref in refs] == [None] * 6


@every_kind
def test_a_scheduler_keeps_its_optimizer(case):
    optimizer = mixed()
    scheduler = case.make(optimizer)
    optimizer_ref = weakref.ref(optimizer)
    optimizer.step()
    del optimizer
    step(scheduler)
    assert optimizer_ref() is not None
    del scheduler
    assert optimizer_ref() is None


@every_kind
def test_many_schedulers_on_one_optimizer_leave_no_hooks(case):
    optimizer = mixed()
    optimizer.step()
    for _ in range(20):
        case.make(optimizer)
    assert hooks(optimizer) == 0


def test_the_hook_in_a_wrapped_optimizer_goes_with_the_scheduler():
    inner = make_optimizer()
    scheduler = PlateauSequence(Wrapped(inner), HALF)
    assert hooks(inner) == 1
    del scheduler
    assert hooks(inner) == 0


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))], ids=["deepcopy", "pickle"])
def test_the_hook_of_a_copy_goes_with_the_copy(copied):
    scheduler = PlateauSequence(make_optimizer(), HALF)
    twin = copied(scheduler)
    optimizer = twin.optimizer
    assert hooks(optimizer) == hooks(scheduler.optimizer) == 1
    del twin
    assert hooks(optimizer) == 0
    assert hooks(scheduler.optimizer) == 1


@every_kind
def test_the_users_own_hooks_stay(case):
    optimizer, calls = mixed(), []
    optimizer.register_step_post_hook(lambda *_: calls.append("post"))
    scheduler = case.make(optimizer)
    optimizer.step()
    del scheduler
    optimizer.step()
    assert calls == ["post", "post"]
