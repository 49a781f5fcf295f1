"""Schedulers inside torch's SequentialLR and ChainedScheduler, and beside others."""

import copy

import pytest
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    SequentialLR,
)
from torch.optim.swa_utils import SWALR

from lrsched import InverseLR
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.cases import BASES, CASES, every_stepwise_kind, mixed, quietly, started
from tests.versions import OLD_SEQUENTIAL, ignore_step_of_sequential, needs_milestone_at_zero, needs_recursive_undo

pytestmark = ignore_step_of_sequential


def without_aliases():
    """Return an optimizer whose `initial_lr` stays as it is; torch ≤ 2.8's SequentialLR lets tensors be overwritten."""
    return make_optimizer(BASES, momentum=0.9) if OLD_SEQUENTIAL else mixed()


def sequential(optimizer, children, milestones):
    """Return a SequentialLR whose optimizer has stepped once, so that it does not warn."""
    scheduler = SequentialLR(optimizer, children, milestones)
    optimizer.step()
    return scheduler


def trace(optimizer, scheduler, n):
    lrs = [group_lrs(optimizer)]
    for _ in range(n - 1):
        scheduler.step()
        lrs.append(group_lrs(optimizer))
        assert [float(lr) for lr in scheduler.get_last_lr()] == lrs[-1]
    return lrs


def same(lrs, expected):
    assert len(lrs) == len(expected)
    for got, wanted in zip(lrs, expected, strict=True):
        assert got == pytest.approx(wanted, rel=1e-9)


def warmed(case, optimizer):
    """Return a LinearLR followed by the case's scheduler, and the rates that they should give."""
    rise, then = LinearLR(optimizer, 0.25, 1.0, total_iters=3), case.make(optimizer)
    initial = [float(group["initial_lr"]) for group in optimizer.param_groups]
    expected = [[lr * (0.25 + 0.25 * k) for lr in initial] for k in range(3)] + [case.lrs(k) for k in range(9)]
    return sequential(optimizer, [rise, then], [3]), expected


@every_stepwise_kind
def test_after_a_warm_up_it_starts_at_its_first_rate(case):
    optimizer = mixed()
    scheduler, expected = warmed(case, optimizer)
    same(trace(optimizer, scheduler, 12), expected)


@every_stepwise_kind
def test_a_child_that_has_not_started_can_be_asked_for_its_rates(case):
    optimizer = mixed()
    waiting = case.make(optimizer)
    sequential(optimizer, [LinearLR(optimizer, 0.25, 1.0, total_iters=3), waiting], [3])
    assert waiting.last_epoch == -1
    assert [float(lr) for lr in quietly(waiting.get_lr)] == case.lrs(0)


def test_a_warm_up_then_inverse_by_hand():
    optimizer = make_optimizer((0.1,))
    children = [LinearLR(optimizer, 0.25, 1.0, total_iters=3), InverseLR(optimizer)]
    lrs = trace(optimizer, sequential(optimizer, children, [3]), 6)
    same(lrs, [[0.025], [0.05], [0.075], [0.1], [0.05], [0.1 / 3]])


@every_stepwise_kind
def test_before_a_scheduler_that_starts_from_its_base(case):
    optimizer = without_aliases()
    children = [case.make(optimizer), ExponentialLR(optimizer, 0.5)]
    bases = [float(base) for base in children[1].base_lrs]
    lrs = trace(optimizer, sequential(optimizer, children, [3]), 7)
    same(lrs, [case.lrs(k) for k in range(3)] + [[base * 0.5**k for base in bases] for k in range(4)])


@every_stepwise_kind
def test_three_of_a_kind_in_sequence(case):
    optimizer = mixed()
    children = [case.make(optimizer), case.make(optimizer), case.make(optimizer)]
    lrs = trace(optimizer, sequential(optimizer, children, [4, 6]), 12)
    same(lrs, [case.lrs(k) for k in (0, 1, 2, 3, 0, 1, 0, 1, 2, 3, 4, 5)])


@every_stepwise_kind
@needs_milestone_at_zero
def test_a_milestone_at_zero(case):
    optimizer = mixed()
    children = [ExponentialLR(optimizer, 0.5), case.make(optimizer)]
    same(trace(optimizer, sequential(optimizer, children, [0]), 6), [case.lrs(k) for k in range(6)])


@every_stepwise_kind
def test_a_sequence_inside_a_chain(case):
    optimizer = mixed()
    inner, expected = warmed(case, optimizer)
    same(trace(optimizer, ChainedScheduler([inner]), 12), expected)


@every_stepwise_kind
@needs_recursive_undo
def test_a_sequence_of_sequences_is_the_same_as_with_lambda_lr(case):
    """The inner SequentialLR of torch is off by one, and warns about the order of calls when it is made."""

    def build(make):
        optimizer = without_aliases()
        inner = SequentialLR(optimizer, [make(optimizer), make(optimizer)], [3])
        outer = quietly(lambda: SequentialLR(optimizer, [inner, make(optimizer)], [5]))
        optimizer.step()
        return trace(optimizer, outer, 9)

    factors = [lambda k, base=base: case.lr(base, k) / base for base in BASES]
    same(build(case.make), build(lambda optimizer: LambdaLR(optimizer, factors)))


@every_stepwise_kind
@pytest.mark.parametrize("shape", ["warm-up, case", "case, exponential", "case, case"])
def test_a_sequence_that_is_saved_and_loaded_continues_identically(case, shape):
    def build():
        optimizer = without_aliases()
        if shape == "warm-up, case":
            return optimizer, warmed(case, optimizer)[0]
        first = case.make(optimizer)
        second = case.make(optimizer) if shape == "case, case" else ExponentialLR(optimizer, 0.5)
        return optimizer, sequential(optimizer, [first, second], [3])

    for saved_at in range(9):
        optimizer, scheduler = build()
        for _ in range(saved_at):
            scheduler.step()
        state = copy.deepcopy(scheduler.state_dict())
        resumed, loader = build()
        loader.load_state_dict(state)
        assert group_lrs(resumed) == group_lrs(optimizer)
        for _ in range(9):
            loader.step()
            scheduler.step()
            assert group_lrs(resumed) == group_lrs(optimizer)


@every_stepwise_kind
def test_in_a_chain_alone_and_before_a_chainable_scheduler(case):
    optimizer = mixed()
    chain = ChainedScheduler([case.make(optimizer)])
    optimizer.step()
    same(trace(optimizer, chain, 10), [case.lrs(k) for k in range(10)])
    optimizer = mixed()
    chain = ChainedScheduler([case.make(optimizer), ExponentialLR(optimizer, 0.5)])
    optimizer.step()
    halvings = [min(k, 1) if case.names_limits else k for k in range(5)]  # named limits undo the others' halvings
    same(trace(optimizer, chain, 5), [[lr * 0.5 ** halvings[k] for lr in case.lrs(k)] for k in range(5)])


@every_stepwise_kind
def test_swalr_takes_over_without_a_jump(case):
    optimizer, scheduler = started(case)
    for _ in range(5):
        scheduler.step()
    swa = SWALR(optimizer, swa_lr=0.01, anneal_epochs=4, anneal_strategy="linear")
    expected = [[lr + (0.01 - lr) * j / 4 for lr in case.lrs(5)] for j in range(5)]
    same(trace(optimizer, swa, 5), expected)


@pytest.mark.parametrize("name", ["CyclicLR", "ImageLR", "OneCycleLR"])
def test_named_limits_survive_another_scheduler(name):
    case = CASES[name]
    optimizer = make_optimizer((0.5, 0.5), momentum=0.9)
    first, second = CosineAnnealingLR(optimizer, 20, eta_min=0.1), case.make(optimizer)
    optimizer.step()
    for _ in range(20):
        first.step()
    for k in range(1, 20):
        second.step()
        assert group_lrs(optimizer) == pytest.approx(case.lrs(k), rel=1e-12)
