"""What every kind of scheduler must do: attributes, get_lr, step(epoch), last_epoch."""

import copy
import functools

import pytest
import torch
from torch.optim.lr_scheduler import (
    EPOCH_DEPRECATION_WARNING,
    LRScheduler,
)

from lrsched import CyclicLR, GeometricLR, Inverse, InverseLR, OneCycleLR, SequenceLR
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.cases import BASES, caught, every_kind, every_stepwise_kind, mixed, quietly, started, step


@every_kind
def test_attributes_that_frameworks_read(case):
    optimizer, scheduler = started(case)
    assert isinstance(scheduler, LRScheduler)
    assert scheduler.optimizer is optimizer
    assert (scheduler.last_epoch, scheduler._step_count) == (0, 1)
    step(scheduler)
    assert (scheduler.last_epoch, scheduler._step_count) == (1, 2)
    assert [type(base) for base in scheduler.base_lrs] == [float, float]
    assert hasattr(scheduler, "total_steps") == (case.cls is OneCycleLR)  # Accelerate stops there


@every_stepwise_kind
def test_get_lr_is_pure_and_warns_outside_step_at_the_users_line(case):
    optimizer, scheduler = started(case)
    for _ in range(3):
        scheduler.step()
    assert [float(lr) for lr in scheduler._get_closed_form_lr()] == group_lrs(optimizer)
    before = (copy.deepcopy(optimizer.state_dict()), scheduler.state_dict(), scheduler._step_count)
    values = []
    for _ in range(2):
        call = lambda: values.append([float(lr) for lr in scheduler.get_lr()])  # noqa: E731
        (warning,) = caught(call)
        assert warning.category is UserWarning
        assert "please use `get_last_lr()`" in str(warning.message)
        assert (warning.filename, warning.lineno) == (__file__, call.__code__.co_firstlineno)
    assert values[0] == values[1] == pytest.approx(case.lrs(3), rel=1e-12)
    assert (copy.deepcopy(optimizer.state_dict()), scheduler.state_dict(), scheduler._step_count) == before


@every_stepwise_kind
def test_get_lr_follows_a_position_that_others_count(case):
    """Ignite's LRScheduler does this: it never calls step()."""
    _, scheduler = started(case)
    for k in range(20):
        scheduler._get_lr_called_within_step = True
        assert [float(lr) for lr in scheduler.get_lr()] == pytest.approx(case.lrs(k), rel=1e-12)
        scheduler._get_lr_called_within_step = False
        scheduler.last_epoch += 1


@every_kind
def test_rates_that_are_returned_never_alias_the_group(case):
    optimizer, scheduler = started(case)
    for values in (quietly(scheduler.get_lr), scheduler.get_last_lr()):
        for value, group in zip(values, optimizer.param_groups, strict=True):
            assert not isinstance(value, torch.Tensor) or value is not group["lr"]
            if isinstance(value, torch.Tensor):
                value.fill_(9.0)
    assert group_lrs(optimizer) == case.lrs(0)
    assert [float(lr) for lr in scheduler.get_last_lr()] == case.lrs(0)


@every_stepwise_kind
def test_get_lr_with_another_signature_fails_at_construction(case):
    cls = type("Wrong", (case.cls,), {"get_lr": lambda self, epoch: [0.1, 0.1]})
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'epoch'"):
        cls(mixed(), **case.options)


@every_stepwise_kind
def test_the_get_lr_of_a_subclass_decides(case):
    cls = type("Doubled", (case.cls,), {"get_lr": lambda self: [2 * float(lr) for lr in case.cls.get_lr(self)]})
    optimizer = mixed()
    scheduler = type("Grandchild", (cls,), {})(optimizer, **case.options)
    tensor = optimizer.param_groups[1]["lr"]
    optimizer.step()
    for k in range(6):
        doubled = [2 * lr for lr in case.lrs(k)]
        assert group_lrs(optimizer) == pytest.approx(doubled, rel=1e-12)
        assert [type(lr) for lr in scheduler.get_last_lr()] == [float, torch.Tensor]
        assert [float(lr) for lr in scheduler.get_last_lr()] == pytest.approx(doubled, rel=1e-12)
        scheduler.step()
    assert optimizer.param_groups[1]["lr"] is tensor


@pytest.mark.filterwarnings("ignore:The epoch parameter")
def test_a_subclass_with_its_own_get_lr_counts_warns_and_survives_its_errors_as_torchs_does():
    def classes(base):
        class Mine(base):
            fails = False

            def get_lr(self):
                if self.fails:
                    raise RuntimeError("mine")
                return [0.5**self.last_epoch for _ in self.optimizer.param_groups]

        return Mine

    def trace(make):
        optimizer = mixed()
        scheduler, seen = make(optimizer), [group_lrs(optimizer)]
        optimizer.step()
        for _ in range(3):
            scheduler.step()
            seen.append([scheduler.last_epoch, group_lrs(optimizer), [float(lr) for lr in scheduler.get_last_lr()]])
        scheduler.fails = True
        with pytest.raises(RuntimeError, match="mine"):
            scheduler.step()
        assert scheduler._get_lr_called_within_step is False
        scheduler.fails = False
        scheduler.step()
        return [*seen, scheduler.last_epoch, group_lrs(optimizer)]

    ours = trace(lambda optimizer: classes(SequenceLR)(optimizer, Inverse()))
    assert ours == trace(classes(LRScheduler))
    assert ours[3] == [3, [0.125, 0.125], [0.125, 0.125]]


def test_a_subclass_with_its_own_get_lr_adopts_a_new_group():
    class Doubled(InverseLR):
        def get_lr(self):
            return [2 * lr for lr in super().get_lr()]

    optimizer = make_optimizer((0.1,))
    scheduler = Doubled(optimizer)
    optimizer.step()
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "lr": 0.3})
    scheduler.step()
    assert group_lrs(optimizer) == [0.1, 0.3]


@every_kind
def test_get_last_lr_before_each_step_is_the_rate_in_use(case):
    optimizer, scheduler = started(case)
    for k in range(35):
        last = scheduler.get_last_lr()
        assert [type(lr) for lr in last] == [float, torch.Tensor]
        assert [float(lr) for lr in last] == group_lrs(optimizer) == pytest.approx(case.lrs(k), rel=1e-12)
        step(scheduler)


@every_stepwise_kind
def test_a_constant_epoch_gives_a_constant_rate_and_one_warning_a_call(case):
    optimizer, scheduler = started(case)
    for epoch in [0] * 3 + [2] * 3 + [40] * 3:
        (warning,) = caught(lambda epoch=epoch: scheduler.step(epoch))
        assert str(warning.message) == EPOCH_DEPRECATION_WARNING
        assert warning.category is UserWarning
        assert warning.filename == __file__
        assert scheduler.last_epoch == epoch
        assert group_lrs(optimizer) == pytest.approx(case.lrs(epoch), rel=1e-12)
        assert [float(lr) for lr in scheduler.get_last_lr()] == group_lrs(optimizer)


@every_stepwise_kind
def test_step_equals_step_with_the_epoch(case):
    (plain, stepper), (jumped, jumper) = started(case), started(case)
    for epoch in range(1, 21):
        stepper.step()
        quietly(lambda epoch=epoch: jumper.step(epoch))
        assert group_lrs(plain) == group_lrs(jumped)
        assert plain.param_groups[0]["momentum"] == jumped.param_groups[0]["momentum"]
    quietly(lambda: jumper.step(3))
    jumper.step()
    assert group_lrs(jumped) == pytest.approx(case.lrs(4), rel=1e-12)


@every_stepwise_kind
def test_epoch_can_be_a_keyword(case):
    optimizer, scheduler = started(case)
    quietly(lambda: scheduler.step(epoch=7))
    assert group_lrs(optimizer) == pytest.approx(case.lrs(7), rel=1e-12)


@every_stepwise_kind
def test_a_metric_is_refused_and_the_error_names_plateau_sequence(case):
    _, scheduler = started(case)
    before = scheduler.state_dict()
    for metric in (0.73, torch.tensor(0.73), torch.ones(2)):
        with pytest.raises(TypeError, match=r"epoch must be an integer.*PlateauSequence"):
            scheduler.step(metric)
        assert scheduler.state_dict() == before


@every_stepwise_kind
def test_last_epoch_without_initial_lr_is_a_key_error(case):
    optimizer = mixed()
    before = copy.deepcopy(optimizer.state_dict())
    text = r"param 'initial_lr' is not specified in param_groups\[0\] when resuming"
    for last_epoch in (0, 10):
        with pytest.raises(KeyError, match=text):
            case.make(optimizer, last_epoch=last_epoch)
    assert optimizer.state_dict() == before
    assert "step" not in vars(optimizer)
    optimizer.step = step = functools.partial(type(optimizer).step, optimizer)
    with pytest.raises(KeyError, match=text):
        case.make(optimizer, last_epoch=3)
    assert optimizer.step is step


@every_stepwise_kind
def test_a_second_instance_with_last_epoch_continues(case):
    optimizer, scheduler = started(case)
    for k in range(1, 12):
        scheduler.step()
        second = case.make(optimizer, last_epoch=k - 1)
        assert second.last_epoch == k
        assert second.get_last_lr() == scheduler.get_last_lr()
        assert group_lrs(optimizer) == pytest.approx(case.lrs(k), rel=1e-12)


@every_stepwise_kind
def test_last_epoch_after_a_load_of_the_optimizer(case):
    optimizer, scheduler = started(case)
    scheduler.step()
    other = mixed()
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    again = case.make(other, last_epoch=0)
    assert group_lrs(other) == group_lrs(optimizer)
    other.step()
    again.step()
    scheduler.step()
    assert group_lrs(other) == group_lrs(optimizer)


@every_stepwise_kind
def test_a_second_scheduler_on_a_used_optimizer_starts_from_the_present_rate_or_its_limits(case):
    optimizer, scheduler = started(case)
    for _ in range(5):
        scheduler.step()
    case.make(optimizer)
    first = [lr / base for lr, base in zip(case.lrs(0), BASES, strict=True)]
    expected = [lr * factor for lr, factor in zip(case.lrs(5), first, strict=True)]
    assert group_lrs(optimizer) == pytest.approx(case.lrs(0) if case.names_limits else expected, rel=1e-12)


@every_stepwise_kind
def test_two_schedulers_multiply_but_named_limits_own_the_rate(case):
    optimizer, first = started(case)
    second = GeometricLR(optimizer, gamma=0.5)
    first.step()
    assert group_lrs(optimizer) == pytest.approx(case.lrs(1), rel=1e-12)
    second.step()
    assert group_lrs(optimizer) == pytest.approx([lr / 2 for lr in case.lrs(1)], rel=1e-12)
    optimizer.param_groups[0]["lr"] = 0.007
    optimizer.param_groups[1]["lr"].fill_(0.007)
    first.step()
    expected = [0.007 * after / before for before, after in zip(case.lrs(1), case.lrs(2), strict=True)]
    assert group_lrs(optimizer) == pytest.approx(case.lrs(2) if case.names_limits else expected, rel=1e-12)


def test_a_get_lr_from_a_mixin_decides_and_momentum_keeps_cycling():
    class Doubled:
        def get_lr(self):
            return [2 * lr for lr in super().get_lr()]

    class Cyclic(Doubled, CyclicLR):
        pass

    class TorchCyclic(Doubled, torch.optim.lr_scheduler.CyclicLR):
        pass

    followed = []
    for cls in (Cyclic, TorchCyclic):
        optimizer = make_optimizer([0.1], momentum=0.9)
        scheduler = cls(optimizer, 0.1, 0.5, 4)
        rates = []
        for _ in range(12):
            rates.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))
            optimizer.step()
            scheduler.step()
        followed.append(rates)
    assert followed[0] == [pytest.approx(pair, rel=1e-12) for pair in followed[1]]
    assert max(lr for lr, _ in followed[0]) == pytest.approx(1.0)
