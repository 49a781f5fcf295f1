"""The order of `optimizer.step()` and `scheduler.step()` is watched, whatever `optimizer.step` has become."""

import functools
import types
import weakref

import pytest
import torch
from torch.optim.lr_scheduler import (
    EPOCH_DEPRECATION_WARNING,
    ExponentialLR,
    LambdaLR,
)

from lrsched import GeometricLR, InverseLR
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.cases import caught, every_kind, every_stepwise_kind, mixed, step

TOO_EARLY = "how-to-adjust-learning-rate"


@every_kind
def test_the_right_order_gives_no_warning(case):
    optimizer = mixed()

    def train():
        scheduler = case.make(optimizer)
        for _ in range(35):
            optimizer.step()
            step(scheduler)

    assert caught(train) == []


@every_stepwise_kind
@pytest.mark.parametrize("resuming", [False, True])
def test_stepping_before_the_optimizer_warns_once_at_the_users_line(case, resuming):
    optimizer = mixed()
    for group in optimizer.param_groups:
        group["initial_lr"] = 0.01
    scheduler = case.make(optimizer, last_epoch=10 if resuming else -1)
    call = lambda: scheduler.step()  # noqa: E731
    (warning,) = caught(call)
    assert warning.category is UserWarning
    assert TOO_EARLY in str(warning.message)
    assert "Detected call of `lr_scheduler.step()` before `optimizer.step()`" in str(warning.message)
    assert (warning.filename, warning.lineno) == (__file__, call.__code__.co_firstlineno)
    assert caught(call) == []
    optimizer.step()
    assert caught(call) == []


@every_stepwise_kind
def test_stepping_before_the_optimizer_with_an_epoch_gives_both_warnings(case):
    scheduler = case.make(mixed())
    first, second = caught(lambda: scheduler.step(1))
    assert TOO_EARLY in str(first.message)
    assert str(second.message) == EPOCH_DEPRECATION_WARNING
    assert {first.filename, second.filename} == {__file__}


@every_stepwise_kind
def test_a_step_that_is_replaced_later_warns_once_at_the_users_line(case):
    optimizer = mixed()
    scheduler = case.make(optimizer)
    tracked = optimizer.step
    optimizer.step = types.MethodType(lambda self, *args: tracked(*args), optimizer)
    optimizer.step()
    (warning,) = caught(lambda: scheduler.step())
    assert "`optimizer.step()` has been overridden" in str(warning.message)
    assert TOO_EARLY in str(warning.message)
    assert warning.category is UserWarning
    assert warning.filename == __file__
    optimizer.step()
    assert caught(lambda: scheduler.step()) == []


def test_filters_written_for_torchs_warnings_match():
    seen = []
    for make in (InverseLR, lambda opt: LambdaLR(opt, lambda k: 1.0)):
        early, replaced = make(make_optimizer()), make(make_optimizer())
        replaced.optimizer.step = lambda: None
        warned = caught(early.step) + caught(replaced.step) + caught(lambda early=early: early.step(3))
        seen.append([(warning.category, str(warning.message).split(". ")[0]) for warning in warned])
    assert seen[0] == seen[1]
    assert len(seen[0]) == 3


class Wrapped(torch.optim.Optimizer):
    """An optimizer around an optimizer, as distributed wrappers make them."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    @property
    def param_groups(self):
        return self.optimizer.param_groups

    @property
    def defaults(self):
        return self.optimizer.defaults

    def step(self, closure=None):
        return self.optimizer.step(closure)


def wrapped(optimizer):
    return Wrapped(optimizer)


def with_lambda(optimizer):
    ref, step = weakref.ref(optimizer), type(optimizer).step
    optimizer.step = lambda closure=None: step(ref(), closure)
    return optimizer


def with_partial(optimizer):
    optimizer.step = functools.partial(type(optimizer).step, optimizer)
    return optimizer


def with_compiled(optimizer):
    optimizer.step = torch.compile(optimizer.step, backend="eager")
    return optimizer


class Stepper:
    """An object whose method replaces the step of an optimizer."""

    def __init__(self, optimizer):
        self.plain_step = optimizer.step

    def step(self, closure=None):
        return self.plain_step(closure)


def with_another_objects_method(optimizer):
    optimizer.step = Stepper(optimizer).step
    return optimizer


REPLACED = [with_lambda, with_partial, with_compiled, with_another_objects_method, wrapped]


compiles = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


@compiles
@every_kind
@pytest.mark.parametrize("replace", REPLACED)
def test_a_replaced_step_still_trains_at_the_scheduled_rates(case, replace):
    optimizer = replace(mixed())
    parameter = optimizer.param_groups[0]["params"][0]
    scheduler = case.make(optimizer)
    for k in range(3):
        assert group_lrs(optimizer) == pytest.approx(case.lrs(k), rel=1e-12)
        parameter.grad = torch.ones(1)
        before = parameter.item()
        optimizer.step()
        assert parameter.item() < before
        step(scheduler)


@compiles
@pytest.mark.parametrize("replace", REPLACED)
def test_a_replaced_step_is_watched_for_the_order_of_calls(replace):
    scheduler = InverseLR(replace(mixed()))
    (warning,) = caught(lambda: scheduler.step())
    assert "Detected call of `lr_scheduler.step()` before `optimizer.step()`" in str(warning.message)


@compiles
@pytest.mark.parametrize("replace", REPLACED)
def test_schedulers_share_one_tracker_and_step_returns_its_loss(replace):
    optimizer = replace(mixed())
    first = InverseLR(optimizer)
    step = optimizer.step
    second = GeometricLR(optimizer)
    assert optimizer.step is step or optimizer.step == step
    assert optimizer.step(lambda: 5.0) == 5.0
    first.step()
    second.step()


def test_torchs_schedulers_can_be_made_on_the_same_optimizer_afterwards():
    optimizer = with_lambda(mixed())
    InverseLR(optimizer)
    follower = ExponentialLR(optimizer, 0.5)
    optimizer.step()
    follower.step()
    assert group_lrs(optimizer) == [0.025, 0.25]
