"""The finder's optimizer steps reach an attached PlateauSequence: its warm-up must not write, and all is restored."""

import pytest
import torch
from torch.optim import SGD

from lrsched import Geometric, InverseSqrt, PlateauSequence, SequenceLR, Warmup, lr_sweep, range_test, set_lr, snapshot
from tests.finder.helpers import BATCHES, Record, line, loss_of, setup, square

WARM = 12
warmth = Warmup(WARM, start=1 / WARM)  # what warmup=WARM means
BEFORE = {"in the warm-up": 5, "after the warm-up": WARM + 4}


def per_step(optimizer):
    scheduler = SequenceLR(optimizer, InverseSqrt())
    return scheduler, lambda step, loss: scheduler.step()


def plateau(optimizer, warmup=WARM):
    scheduler = PlateauSequence(optimizer, Geometric(0.5), on="oscillate", warmup=warmup)
    return scheduler, lambda step, loss: None if step % 2 else scheduler.step(loss)


def both(optimizer):
    first, step_first = per_step(optimizer)
    second, step_second = plateau(optimizer)
    return (first, second), lambda step, loss: (step_first(step, loss), step_second(step, loss))


SCHEDULERS = {"SequenceLR": per_step, "PlateauSequence": plateau, "both": both}


def range_tested(model, optimizer, loader, **options):
    assert len(range_test(model, optimizer, loss_of, loader, **options)) > 10


def trained_in_a_snapshot(model, optimizer, loader):
    with snapshot(model, optimizer, extra=[loader]) as saved:
        for _ in range(2):
            train(model, optimizer, loader, lambda step, loss: None, 0, 9)
            saved.restore()
        train(model, optimizer, loader, lambda step, loss: None, 0, 9)


USES = {
    "range_test": range_tested,
    "range_test with more steps": lambda *setting: range_tested(*setting, batches_per_lr=3, repeats=2),
    "snapshot": trained_in_a_snapshot,
}


def train(model, optimizer, loader, advance, first, last):
    """Take steps and step the scheduler; return the losses and the rate after each step."""
    seen, batches = [], iter(loader)
    for step in range(first, last):
        batch = next(batches, None)
        if batch is None:
            batches = iter(loader)
            batch = next(batches)
        optimizer.zero_grad()
        loss = loss_of(model, batch)
        loss.backward()
        optimizer.step()
        advance(step, loss.item())
        seen.append((loss.item(), float(optimizer.param_groups[0]["lr"])))
    return seen


def started(make, before, tensor):
    """Return a setting in the middle of training: model, optimizer and loader, what steps the scheduler, and it."""
    model, optimizer, loader = setup("SGD")
    if tensor:
        optimizer.param_groups[0]["lr"] = torch.tensor(0.1)
    scheduler, advance = make(optimizer)
    train(model, optimizer, loader, advance, 0, before)
    return (model, optimizer, loader), advance, scheduler


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("tensor", [False, True], ids=["float", "tensor"])
@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_rest_of_training_is_as_if_there_had_been_no_test(name, before, tensor, use):
    runs = []
    for used in (False, True):
        setting, advance, _ = started(SCHEDULERS[name], BEFORE[before], tensor)
        record = Record(*setting[:2], [setting[2].generator])
        if used:
            USES[use](*setting)
            record.verify()
        runs.append(train(*setting, advance, BEFORE[before], 40))
    assert runs[0] == runs[1]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("tensor", [False, True], ids=["float", "tensor"])
@pytest.mark.parametrize("before", [0, *BEFORE.values()])
def test_everything_that_the_scheduler_holds_is_as_it_was(before, tensor, use):
    setting, _, scheduler = started(plateau, before, tensor)
    held, watch, state = dict(vars(scheduler)), dict(vars(scheduler._steps)), scheduler.state_dict()
    marks = list(scheduler._marks)
    USES[use](*setting)
    assert vars(scheduler) == held
    assert vars(scheduler._steps) == watch
    assert (scheduler.state_dict(), scheduler._marks) == (state, marks)
    assert not scheduler._steps.muted


@pytest.mark.parametrize("tensor", [False, True], ids=["float", "tensor"])
def test_a_rate_that_was_set_before_a_test_is_still_heard(tensor):
    runs = []
    for used in (False, True):
        setting, advance, _ = started(plateau, 5, tensor)
        set_lr(setting[1], 0.02)
        if used:
            range_tested(*setting)
        runs.append(train(*setting, advance, 5, 30))
    assert runs[0] == runs[1]


@pytest.mark.parametrize("before", BEFORE)
def test_the_rates_of_a_test_are_its_own(before):
    setting, _, _ = started(plateau, BEFORE[before], tensor=False)
    rates = []
    setting[1].register_step_pre_hook(lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"]))
    curve = range_test(*setting[:2], loss_of, setting[2], batches_per_lr=3, steps=20)
    assert rates == [rate for rate in curve.lrs.tolist() for _ in range(3)]


def test_the_warm_up_continues_after_an_exception():
    setting, _, scheduler = started(plateau, 5, tensor=False)

    def interrupt(k, lr, loss):
        if k == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        range_test(*setting[:2], loss_of, setting[2], batches_per_lr=2, callback=interrupt)
    (lr,) = scheduler.get_last_lr()
    train(*setting, lambda step, loss: None, 0, 1)
    assert scheduler.get_last_lr() == [pytest.approx(lr * warmth(6) / warmth(5))]


def test_a_warm_up_continues_within_a_snapshot():
    setting, _, scheduler = started(plateau, 0, tensor=False)
    with snapshot(*setting[:2]) as saved:
        for _ in range(2):
            seen = train(*setting, lambda step, loss: None, 0, 4)
            assert [rate for _, rate in seen] == [0.1 * warmth(j) for j in range(1, 5)]
            saved.restore()
    assert scheduler._steps.warm == 0


def test_a_scheduler_in_extra_may_be_stepped():
    runs = []
    for used in (False, True):
        setting, advance, scheduler = started(plateau, 5, tensor=False)
        if used:
            with snapshot(*setting[:2], extra=[scheduler, setting[2]]):
                train(*setting, advance, 5, 30)
                assert scheduler.position > 0
        runs.append((train(*setting, advance, 5, 30), scheduler.state_dict()))
    assert runs[0] == runs[1]


class Wrapper(torch.optim.Optimizer):
    """A wrapper without hooks of its own, such as Accelerate's."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    param_groups = property(lambda self: self.optimizer.param_groups)
    state = property(lambda self: self.optimizer.state)

    def step(self, closure=None):
        return self.optimizer.step(closure)

    def zero_grad(self, set_to_none=True):
        self.optimizer.zero_grad(set_to_none)


def test_a_scheduler_on_the_optimizer_inside_a_wrapper_is_restored():
    (model, optimizer, loader), _, scheduler = started(plateau, 5, tensor=False)
    state = scheduler.state_dict()
    rates = []
    optimizer.register_step_pre_hook(lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"]))
    curve = range_test(model, Wrapper(optimizer), loss_of, loader, batches_per_lr=2, steps=20)
    assert rates == [rate for rate in curve.lrs.tolist() for _ in range(2)]
    assert scheduler.state_dict() == state


def test_the_warm_up_of_another_optimizer_is_restored_if_it_is_in_extra():
    model, optimizer = line()
    other, second = line()
    scheduler, _ = plateau(second)

    def train_step(batch):
        loss = square(model, batch) + square(other, batch)
        loss.backward()
        optimizer.step()
        second.step()
        return loss

    state = scheduler.state_dict()
    range_test(model, optimizer, None, BATCHES, train_step=train_step, extra=[other, second], steps=5)
    assert scheduler.state_dict() == state


def test_a_warm_up_does_not_write_during_a_sweep():
    kept = []

    def make_optimizer(params, warmup=None):
        optimizer = SGD(params, lr=0.1)
        kept.append(PlateauSequence(optimizer, Geometric(), warmup=warmup))
        return optimizer

    def losses(make):
        model, _ = line()
        return lr_sweep(model, make, square, BATCHES, [0.01, 0.1], steps=(1, 3), vectorize=False).losses.tolist()

    warm = Warmup(4, start=0.5)
    assert losses(lambda params: make_optimizer(params, warm)) == losses(lambda params: SGD(params, lr=0.1))
    assert kept[0]._steps.state_dict() == {"ever": False, "since_metric": False, "warm": 0}
