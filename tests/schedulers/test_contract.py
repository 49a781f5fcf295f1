"""What torch and its users expect of every scheduler: order of calls, life time, composition, copies, compilation."""

import copy
import functools
import gc
import pickle
import types
import weakref

import pytest
import torch
from torch._dynamo.testing import CompileCounter
from torch.optim.lr_scheduler import (
    EPOCH_DEPRECATION_WARNING,
    ChainedScheduler,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    SequentialLR,
)
from torch.optim.lr_scheduler import CyclicLR as TorchCyclicLR
from torch.optim.swa_utils import SWALR

from lrsched import CyclicLR, GeometricLR, InverseLR
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.cases import BASES, CASES, caught, mixed, quietly, started

every_class = pytest.mark.parametrize("case", CASES.values(), ids=CASES)

TOO_EARLY = "how-to-adjust-learning-rate"


# ---- attributes and get_lr


@every_class
def test_attributes_that_others_read(case):
    _, scheduler = started(case)
    assert isinstance(scheduler, LRScheduler)
    assert (scheduler.last_epoch, scheduler._step_count) == (0, 1)
    scheduler.step()
    assert (scheduler.last_epoch, scheduler._step_count) == (1, 2)
    assert [type(base) for base in scheduler.base_lrs] == [float, float]
    assert not hasattr(scheduler, "total_steps")
    assert len(scheduler._get_closed_form_lr()) == 2


@every_class
def test_case_02_get_lr_is_pure_and_warns_outside_step_at_the_users_line(case):
    optimizer, scheduler = started(case)
    for _ in range(3):
        scheduler.step()
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


@every_class
def test_case_02_get_lr_and_a_position_counted_from_outside_give_the_same_list(case):
    """As ignite's LRScheduler does: it never calls step()."""
    _, scheduler = started(case)
    for k in range(20):
        scheduler._get_lr_called_within_step = True
        assert [float(lr) for lr in scheduler.get_lr()] == pytest.approx(case.lrs(k), rel=1e-12)
        scheduler._get_lr_called_within_step = False
        scheduler.last_epoch += 1


@every_class
def test_get_lr_never_aliases_the_group(case):
    optimizer, scheduler = started(case)
    for values in (quietly(scheduler.get_lr), scheduler.get_last_lr(), scheduler._get_closed_form_lr()):
        for value, group in zip(values, optimizer.param_groups, strict=True):
            assert not isinstance(value, torch.Tensor) or value is not group["lr"]
            if isinstance(value, torch.Tensor):
                value.fill_(9.0)
    assert group_lrs(optimizer) == case.lrs(0)
    assert [float(lr) for lr in scheduler.get_last_lr()] == case.lrs(0)


@every_class
def test_get_lr_with_another_signature_fails_at_construction(case):
    cls = type("Wrong", (case.cls,), {"get_lr": lambda self, epoch: [0.1, 0.1]})
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'epoch'"):
        cls(mixed(), **case.options)


@every_class
def test_a_subclass_decides_by_its_get_lr(case):
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


@every_class
def test_get_last_lr_before_each_step_is_the_rate_in_use(case):
    optimizer, scheduler = started(case)
    for k in range(35):
        last = scheduler.get_last_lr()
        assert [type(lr) for lr in last] == [float, torch.Tensor]
        assert [float(lr) for lr in last] == group_lrs(optimizer) == pytest.approx(case.lrs(k), rel=1e-12)
        scheduler.step()


# ---- the order of calls


@every_class
def test_case_12_no_warning_at_construction_nor_in_the_right_order(case):
    optimizer = mixed()

    def train():
        scheduler = case.make(optimizer)
        for _ in range(35):
            optimizer.step()
            scheduler.step()

    assert caught(train) == []


@every_class
@pytest.mark.parametrize("resuming", [False, True])
def test_case_12_stepping_before_the_optimizer_warns_once_at_the_users_line(case, resuming):
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


@every_class
def test_case_12_stepping_before_the_optimizer_with_an_epoch_warns_of_both(case):
    scheduler = case.make(mixed())
    first, second = caught(lambda: scheduler.step(1))
    assert TOO_EARLY in str(first.message)
    assert str(second.message) == EPOCH_DEPRECATION_WARNING
    assert {first.filename, second.filename} == {__file__}


@every_class
def test_case_12_a_step_overridden_afterwards_warns_once_at_the_users_line(case):
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


def test_case_12_filters_written_for_torchs_warnings_fit():
    seen = []
    for make in (InverseLR, lambda opt: LambdaLR(opt, lambda k: 1.0)):
        early, replaced = make(make_optimizer()), make(make_optimizer())
        replaced.optimizer.step = lambda: None
        warned = caught(early.step) + caught(replaced.step) + caught(lambda early=early: early.step(3))
        seen.append([(warning.category, str(warning.message).split(". ")[0]) for warning in warned])
    assert seen[0] == seen[1]
    assert len(seen[0]) == 3


# ---- step(epoch)


@every_class
@pytest.mark.parametrize("epoch", [0, 2, 40])
def test_a_constant_epoch_gives_a_constant_rate_and_one_warning_each(case, epoch):
    optimizer, scheduler = started(case)
    for _ in range(10):
        (warning,) = caught(lambda: scheduler.step(epoch))
        assert str(warning.message) == EPOCH_DEPRECATION_WARNING
        assert warning.category is UserWarning
        assert warning.filename == __file__
        assert scheduler.last_epoch == epoch
        assert group_lrs(optimizer) == pytest.approx(case.lrs(epoch), rel=1e-12)
        assert [float(lr) for lr in scheduler.get_last_lr()] == group_lrs(optimizer)


@every_class
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


@every_class
def test_epoch_goes_by_keyword_too(case):
    optimizer, scheduler = started(case)
    quietly(lambda: scheduler.step(epoch=7))
    assert group_lrs(optimizer) == pytest.approx(case.lrs(7), rel=1e-12)


@every_class
@pytest.mark.parametrize("metric", [0.73, torch.tensor(0.73), torch.ones(2)], ids=str)
def test_a_metric_is_refused_with_a_word_on_who_takes_one(case, metric):
    _, scheduler = started(case)
    before = scheduler.state_dict()
    with pytest.raises(TypeError, match=r"epoch must be an integer, got .*; a metric is for PlateauSequence\.step\(\)"):
        scheduler.step(metric)
    assert scheduler.state_dict() == before


# ---- last_epoch and initial_lr


@every_class
def test_last_epoch_without_initial_lr_is_a_key_error(case):
    optimizer = mixed()
    before = copy.deepcopy(optimizer.state_dict())
    text = r"param 'initial_lr' is not specified in param_groups\[0\] when resuming scheduler with last_epoch >= 0"
    for last_epoch in (0, 10):
        with pytest.raises(KeyError, match=text):
            case.make(optimizer, last_epoch=last_epoch)
    assert optimizer.state_dict() == before
    assert "step" not in vars(optimizer)
    optimizer.step = step = functools.partial(type(optimizer).step, optimizer)
    with pytest.raises(KeyError, match=text):
        case.make(optimizer, last_epoch=3)
    assert optimizer.step is step


@every_class
def test_a_second_instance_with_last_epoch_continues(case):
    optimizer, scheduler = started(case)
    for k in range(1, 12):
        scheduler.step()
        second = case.make(optimizer, last_epoch=k - 1)
        assert second.last_epoch == k
        assert second.get_last_lr() == scheduler.get_last_lr()
        assert group_lrs(optimizer) == pytest.approx(case.lrs(k), rel=1e-12)


@every_class
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


@every_class
def test_a_second_scheduler_on_a_used_optimizer_starts_anew(case):
    optimizer, scheduler = started(case)
    for _ in range(5):
        scheduler.step()
    case.make(optimizer)
    assert group_lrs(optimizer) == case.lrs(0)


@every_class
def test_case_08_two_schedulers_the_last_to_step_writes(case):
    optimizer, first = started(case)
    second = GeometricLR(optimizer, gamma=0.5)
    bases = second.base_lrs
    first.step()
    assert group_lrs(optimizer) == pytest.approx(case.lrs(1), rel=1e-12)
    second.step()
    assert group_lrs(optimizer) == [base / 2 for base in bases]
    optimizer.param_groups[0]["lr"] = 0.007
    optimizer.param_groups[1]["lr"].fill_(0.007)
    first.step()
    assert group_lrs(optimizer) == pytest.approx(case.lrs(2), rel=1e-12)


# ---- life time


@pytest.fixture
def no_collector():
    """Objects die by counting alone, or not at all."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@every_class
@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.usefixtures("no_collector")
def test_case_14_scheduler_and_optimizer_die_by_counting_and_leave_nothing(case, steps):
    optimizer = mixed()
    scheduler = case.make(optimizer)
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
    scheduler.load_state_dict(scheduler.state_dict())
    optimizer_ref, scheduler_ref = weakref.ref(optimizer), weakref.ref(scheduler)
    del scheduler
    assert scheduler_ref() is None
    assert not optimizer._optimizer_step_post_hooks
    assert not optimizer._optimizer_step_pre_hooks
    assert [holder for holder in gc.get_referrers(optimizer) if not isinstance(holder, types.FrameType)] == []
    optimizer.step()
    del optimizer
    assert optimizer_ref() is None


@every_class
@pytest.mark.usefixtures("no_collector")
def test_case_14_with_a_replaced_step_and_in_copies(case):
    optimizer = mixed()
    optimizer.step = lambda closure=None: None
    scheduler = case.make(optimizer)
    optimizer.step()
    scheduler.step()
    twin = pickle.loads(pickle.dumps(scheduler))
    refs = [weakref.ref(thing) for thing in (optimizer, scheduler, twin.optimizer, twin)]
    del scheduler, optimizer, twin
    assert [ref() for ref in refs] == [None] * 4


# ---- a step that was replaced before


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
    """Another object whose method takes the place of the optimizer's."""

    def __init__(self, optimizer):
        self.plain_step = optimizer.step

    def step(self, closure=None):
        return self.plain_step(closure)


def with_another_objects_method(optimizer):
    optimizer.step = Stepper(optimizer).step
    return optimizer


REPLACED = [with_lambda, with_partial, with_compiled, with_another_objects_method, wrapped]

# torch's own, given when its compiler is first imported
compiles = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


@compiles
@every_class
@pytest.mark.parametrize("replace", REPLACED)
def test_case_13_construction_and_order_tracking_on_a_replaced_step(case, replace):
    optimizer = replace(mixed())
    for group in optimizer.param_groups:
        group["params"][0].grad = torch.ones(1)
    scheduler = case.make(optimizer)
    (warning,) = caught(lambda: scheduler.step())
    assert "Detected call of `lr_scheduler.step()` before `optimizer.step()`" in str(warning.message)
    optimizer = replace(mixed())
    parameter = optimizer.param_groups[0]["params"][0]
    scheduler = case.make(optimizer)
    for k in range(3):
        assert group_lrs(optimizer) == pytest.approx(case.lrs(k), rel=1e-12)
        parameter.grad = torch.ones(1)
        before = parameter.item()
        optimizer.step()
        assert parameter.item() < before or case.lrs(k)[0] == 0.0
        scheduler.step()


@compiles
@pytest.mark.parametrize("replace", REPLACED)
def test_case_13_several_schedulers_share_one_tracker_and_step_returns_its_loss(replace):
    optimizer = replace(mixed())
    first = InverseLR(optimizer)
    step = optimizer.step
    second = GeometricLR(optimizer)
    assert optimizer.step is step or optimizer.step == step
    assert optimizer.step(lambda: 5.0) == 5.0
    first.step()
    second.step()


def test_case_13_torchs_own_schedulers_can_follow_on_the_same_optimizer():
    optimizer = with_lambda(mixed())
    InverseLR(optimizer)
    follower = ExponentialLR(optimizer, 0.5)
    optimizer.step()
    follower.step()
    assert group_lrs(optimizer) == [0.025, 0.25]


# ---- composition


def sequential(optimizer, children, milestones):
    """Return a SequentialLR that makes no warning, its optimizer stepped once."""
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
    """Return [LinearLR, X] in sequence, and its expected rates."""
    rise, then = LinearLR(optimizer, 0.25, 1.0, total_iters=3), case.make(optimizer)
    initial = [float(group["initial_lr"]) for group in optimizer.param_groups]
    expected = [[lr * (0.25 + 0.25 * k) for lr in initial] for k in range(3)] + [case.lrs(k) for k in range(9)]
    return sequential(optimizer, [rise, then], [3]), expected


@every_class
def test_case_09_after_a_warm_up(case):
    optimizer = mixed()
    scheduler, expected = warmed(case, optimizer)
    same(trace(optimizer, scheduler, 12), expected)


@every_class
def test_a_child_that_waits_for_its_turn_can_be_asked(case):
    optimizer = mixed()
    waiting = case.make(optimizer)
    sequential(optimizer, [LinearLR(optimizer, 0.25, 1.0, total_iters=3), waiting], [3])
    assert waiting.last_epoch == -1
    assert [float(lr) for lr in quietly(waiting.get_lr)] == case.lrs(0)


def test_case_09_figures_by_hand():
    optimizer = make_optimizer((0.1,))
    children = [LinearLR(optimizer, 0.25, 1.0, total_iters=3), InverseLR(optimizer)]
    lrs = trace(optimizer, sequential(optimizer, children, [3]), 6)
    same(lrs, [[0.025], [0.05], [0.075], [0.1], [0.05], [0.1 / 3]])


@every_class
def test_case_09_before_another_that_resets_to_its_base(case):
    optimizer = mixed()
    children = [case.make(optimizer), ExponentialLR(optimizer, 0.5)]
    bases = [float(base) for base in children[1].base_lrs]
    lrs = trace(optimizer, sequential(optimizer, children, [3]), 7)
    same(lrs, [case.lrs(k) for k in range(3)] + [[base * 0.5**k for base in bases] for k in range(4)])


@every_class
def test_case_09_two_of_ours(case):
    optimizer = mixed()
    children = [case.make(optimizer), case.make(optimizer), case.make(optimizer)]
    lrs = trace(optimizer, sequential(optimizer, children, [4, 6]), 12)
    same(lrs, [case.lrs(k) for k in (0, 1, 2, 3, 0, 1, 0, 1, 2, 3, 4, 5)])


@every_class
def test_case_09_milestone_zero(case):
    optimizer = mixed()
    children = [ExponentialLR(optimizer, 0.5), case.make(optimizer)]
    same(trace(optimizer, sequential(optimizer, children, [0]), 6), [case.lrs(k) for k in range(6)])


@every_class
def test_case_09_nested_in_chained(case):
    optimizer = mixed()
    inner, expected = warmed(case, optimizer)
    same(trace(optimizer, ChainedScheduler([inner]), 12), expected)


@every_class
def test_case_09_a_sequence_of_sequences_is_what_it_is_with_lambda_lr(case):
    """torch's inner SequentialLR has a position off by one, and warns of the order at construction."""

    def build(make):
        optimizer = mixed()
        inner = SequentialLR(optimizer, [make(optimizer), make(optimizer)], [3])
        outer = quietly(lambda: SequentialLR(optimizer, [inner, make(optimizer)], [5]))
        optimizer.step()
        return trace(optimizer, outer, 9)

    factors = [lambda k, base=base: case.lr(base, k) / base for base in BASES]
    same(build(case.make), build(lambda optimizer: LambdaLR(optimizer, factors)))


@every_class
@pytest.mark.parametrize("saved_at", range(9))
@pytest.mark.parametrize("shape", ["warm-up first", "ours first", "only ours"])
def test_case_09_saved_and_loaded_in_a_sequence_it_continues_identically(case, saved_at, shape):
    def build():
        optimizer = mixed()
        if shape == "warm-up first":
            return optimizer, warmed(case, optimizer)[0]
        second = ExponentialLR(optimizer, 0.5) if shape == "ours first" else None
        children = [case.make(optimizer), second or case.make(optimizer)]
        return optimizer, sequential(optimizer, children, [3])

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


@every_class
def test_chained_alone_and_before_a_chainable_one(case):
    optimizer = mixed()
    chain = ChainedScheduler([case.make(optimizer)])
    optimizer.step()
    same(trace(optimizer, chain, 10), [case.lrs(k) for k in range(10)])
    optimizer = mixed()
    chain = ChainedScheduler([case.make(optimizer), ExponentialLR(optimizer, 0.5)])
    optimizer.step()
    same(trace(optimizer, chain, 5), [case.lrs(0)] + [[lr / 2 for lr in case.lrs(k)] for k in range(1, 5)])


@every_class
def test_case_11_swalr_takes_over_without_a_jump(case):
    optimizer, scheduler = started(case)
    for _ in range(5):
        scheduler.step()
    swa = SWALR(optimizer, swa_lr=0.01, anneal_epochs=4, anneal_strategy="linear")
    expected = [[lr + (0.01 - lr) * j / 4 for lr in case.lrs(5)] for j in range(5)]
    same(trace(optimizer, swa, 5), expected)


@pytest.mark.parametrize("name", ["CyclicLR", "ImageLR"])
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


# ---- copies


COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda scheduler: pickle.loads(pickle.dumps(scheduler))}


@every_class
@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("steps", [0, 1, 6])
def test_case_15_a_copy_is_independent_and_continues_without_a_warning(case, how, steps):
    optimizer, scheduler = started(case)
    for _ in range(steps):
        scheduler.step()
    twin = COPIES[how](scheduler)
    assert twin.optimizer is not optimizer
    assert group_lrs(twin.optimizer) == group_lrs(optimizer)
    assert twin.state_dict() == scheduler.state_dict()
    tensor = twin.optimizer.param_groups[1]["lr"]
    for k in range(steps + 1, steps + 5):
        twin.optimizer.step()
        twin.step()
        assert group_lrs(twin.optimizer) == pytest.approx(case.lrs(k), rel=1e-12)
        assert twin.optimizer.param_groups[1]["lr"] is tensor
    assert group_lrs(optimizer) == pytest.approx(case.lrs(steps), rel=1e-12)
    scheduler.step()
    assert group_lrs(optimizer) == pytest.approx(case.lrs(steps + 1), rel=1e-12)


@pytest.mark.parametrize("how", COPIES)
def test_case_15_a_copy_still_watches_the_order(how):
    twin = COPIES[how](InverseLR(mixed()))
    (warning,) = caught(lambda: twin.step())
    assert "Detected call of `lr_scheduler.step()` before `optimizer.step()`" in str(warning.message)


@pytest.mark.parametrize("how", COPIES)
def test_case_15_a_copy_knows_that_its_optimizer_has_stepped(how):
    _, scheduler = started(CASES["InverseLR"])
    twin = COPIES[how](scheduler)
    assert caught(lambda: twin.step()) == []


@pytest.mark.parametrize("how", COPIES)
def test_case_15_optimizer_and_scheduler_copied_together_stay_together(how):
    pair = list(started(CASES["CyclicLR"]))
    optimizer, scheduler = COPIES[how](pair)
    assert scheduler.optimizer is optimizer
    optimizer.step()
    scheduler.step()
    assert group_lrs(optimizer) == pytest.approx(CASES["CyclicLR"].lrs(1), rel=1e-12)


def test_case_15_a_function_that_cannot_be_pickled_is_told_clearly():
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


# ---- compilation


@pytest.fixture
def counter():
    torch._dynamo.reset()
    yield CompileCounter()
    torch._dynamo.reset()


def trainable(kind, momentum=0.0):
    optimizer = make_optimizer(BASES, kind, momentum=momentum)
    for group in optimizer.param_groups:
        group["params"][0].grad = torch.full((1,), 0.1)
    return optimizer


def graphs(make, kind, counter, inside=False, momentum=0.0):
    """Return how many graphs thirty steps take, checked against the same steps uncompiled."""
    torch._dynamo.reset()
    counter.clear()
    optimizer, plain = trainable(kind, momentum), trainable(kind, momentum)
    scheduler, reference = make(optimizer), make(plain)

    def train():
        optimizer.step()
        scheduler.step()

    step = torch.compile(train if inside else optimizer.step, backend=counter)
    for _ in range(30):
        step()
        if not inside:
            scheduler.step()
        plain.step()
        reference.step()
    assert group_lrs(optimizer) == group_lrs(plain)
    for group, other in zip(optimizer.param_groups, plain.param_groups, strict=True):
        torch.testing.assert_close(group["params"], other["params"])
    return counter.frame_count


@compiles
@pytest.mark.parametrize(("kind", "wanted"), [("float32", 1), ("float", 2)])
@pytest.mark.parametrize("inside", [False, True], ids=["step compiled", "scheduler inside"])
@pytest.mark.parametrize("name", ["InverseLR", "ImageLR"])
def test_a_compiled_step_costs_one_graph_with_a_tensor_lr_and_two_with_a_float(name, inside, kind, wanted, counter):
    assert graphs(CASES[name].make, kind, counter, inside) == wanted


@compiles
@pytest.mark.parametrize("inside", [False, True], ids=["step compiled", "scheduler inside"])
def test_cycled_momentum_costs_no_more_graphs_than_torchs(inside, counter):
    ours, theirs = (
        graphs(lambda optimizer, cls=cls: cls(optimizer, 0.05, 0.4, 3, 4), "float32", counter, inside, momentum=0.9)
        for cls in (CyclicLR, TorchCyclicLR)
    )
    assert ours <= theirs


@compiles
def test_a_compiled_step_set_before_the_scheduler_compiles_once(counter):
    optimizer = trainable("float32")
    optimizer.step = torch.compile(optimizer.step, backend=counter)
    scheduler = InverseLR(optimizer)
    for _ in range(30):
        optimizer.step()
        scheduler.step()
    assert counter.frame_count == 1


# ---- training


@every_class
def test_training_goes_in_the_right_direction(case):
    optimizer = mixed()
    scheduler = case.make(optimizer)
    parameters = [group["params"][0] for group in optimizer.param_groups]
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = sum((parameter - 3.0).square().sum() for parameter in parameters)
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
        scheduler.step()
    assert min(losses[-5:]) < losses[0]


def test_a_users_get_lr_decides_also_from_a_mixin_and_momentum_keeps_cycling():
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
