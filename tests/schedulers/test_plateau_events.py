"""PlateauSequence and preview: a metric in, at most one advance along a sequence out."""

import copy
import gc
import inspect
import math
import pickle
import random
import re
import weakref
from functools import partial

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.optim.lr_scheduler import ChainedScheduler, LinearLR, LRScheduler, ReduceLROnPlateau, SequentialLR

from lrsched import (
    Cutoff,
    Event,
    Geometric,
    Inverse,
    Oscillation,
    Patience,
    PlateauSequence,
    Rule,
    Sawtooth,
    Values,
    Warmup,
    preview,
)
from tests.helpers import group_lrs, make_optimizer

HALF = Geometric(0.5)


def bumpy(seed, length=60):
    """Return a falling series with noise, ties and plateaus; every entry a sum of few bits."""
    rng = random.Random(seed)
    level, out = 2.0, []
    for i in range(length):
        level *= 0.9 if i % 20 < 12 else 1.0
        out.append(round((level + rng.gauss(0, 0.02)) * 256) / 256)
    return out


def make(sequence=HALF, on="cutoff", lrs=(0.1,), kind="float", **options):
    optimizer = make_optimizer(lrs, kind)
    return optimizer, PlateauSequence(optimizer, sequence, on, **options)


def feed(scheduler, metrics):
    for metric in metrics:
        scheduler.step(metric)
    return scheduler


def advance(scheduler, times=1):
    """Advance a scheduler whose rule is "oscillate" and that saw nothing else."""
    first = scheduler.last_epoch
    feed(scheduler, [float(i) for i in range(first, first + times + (first == 0))])


def everything(optimizer, scheduler):
    """Return all that a refused call must leave as it was."""
    return copy.deepcopy(
        (
            scheduler.state_dict(),
            [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups],
            scheduler.events,
            scheduler.get_last_lr(),
            repr(scheduler.rule),
            scheduler.position,
            scheduler.last_epoch,
        )
    )


class Never(Rule):
    """A user's rule without state that never advances."""

    def update(self, metric, mode):
        return None


class Always(Rule):
    """A user's rule that counts."""

    state_fields = ("seen",)

    def __init__(self):
        self.seen = 0

    def update(self, metric, mode):
        self.seen += 1
        return f"always: {self.seen}"


class FailsAbove(Rule):
    """A user's rule with a bug."""

    state_fields = ("seen",)

    def __init__(self, limit=1.0):
        self.limit = limit
        self.seen = 0

    def update(self, metric, mode):
        if metric > self.limit:
            raise ZeroDivisionError("the rule's own bug")
        self.seen += 1
        return "below"


class Returns(Rule):
    """A user's rule that returns what it was given."""

    def __init__(self, value):
        self.value = value

    def update(self, metric, mode):
        return self.value


class Wrapped(torch.optim.Optimizer):
    """An optimizer around another, as frameworks make them: no hook tables, no constructor of its own kind."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    @property
    def param_groups(self):
        return self.optimizer.param_groups

    @param_groups.setter
    def param_groups(self, groups):
        self.optimizer.param_groups = groups

    @property
    def state(self):
        return self.optimizer.state

    @property
    def defaults(self):
        return self.optimizer.defaults

    def step(self, closure=None):
        return self.optimizer.step(closure)

    def __getstate__(self):
        return self.__dict__.copy()

    def __setstate__(self, state):
        self.__dict__.update(state)


# --- against ReduceLROnPlateau


def random_plateau(rng):
    """Return metrics, learning rates and options for ReduceLROnPlateau(eps=0)."""
    count = rng.choice([1, 1, 2, 3])
    lrs = [10 ** rng.uniform(-4, 0) for _ in range(count)]
    options = {
        "mode": rng.choice(["min", "max"]),
        "factor": rng.choice([0.1, 0.5, rng.uniform(0.05, 0.99)]),
        "patience": rng.choice([0, 0, 1, 2, 5, 10]),
        "threshold": rng.choice([0.0, 1e-4, 1e-4, 1e-2, 0.2, 1.0, 1.5]),
        "threshold_mode": rng.choice(["rel", "abs"]),
        "cooldown": rng.choice([0, 0, 1, 3]),
        "min_lr": rng.choice([0.0, 10 ** rng.uniform(-5, 0), [10 ** rng.uniform(-5, 0) for _ in lrs]]),
    }
    level, noise = rng.uniform(-2, 2), rng.choice([0.0, 0.01, 0.5])
    slope = rng.choice([-0.05, 0.0, 0.05])
    metrics = [level + slope * i + rng.gauss(0, noise) for i in range(60)]
    if rng.random() < 0.3:
        metrics = [round(m, 1) for m in metrics]  # ties
    return metrics, lrs, options


def test_equals_reduce_lr_on_plateau_on_1000_random_series():
    rng = random.Random(0)
    reductions = 0
    for _ in range(1000):
        metrics, lrs, options = random_plateau(rng)
        theirs, ours = make_optimizer(lrs), make_optimizer(lrs)
        reference = ReduceLROnPlateau(theirs, eps=0, **options)
        mode, factor, min_lr = options.pop("mode"), options.pop("factor"), options.pop("min_lr")
        scheduler = PlateauSequence(ours, Geometric(factor), on=Patience(**options), mode=mode, min_lr=min_lr)
        for metric in metrics:
            reference.step(metric)
            scheduler.step(metric)
            pairs = zip(group_lrs(ours), group_lrs(theirs), strict=True)
            assert all(abs(our - their) <= 1e-12 * their for our, their in pairs), (metrics, options, min_lr)
            assert scheduler.get_last_lr() == group_lrs(ours)
        reductions += scheduler.position
    assert reductions > 3000


# --- acceptance cases 23 to 30, 34 and 35


def test_case_23_is_what_frameworks_look_for():
    optimizer, scheduler = make(lrs=[0.1, 0.5])
    assert isinstance(scheduler, ReduceLROnPlateau)
    assert isinstance(scheduler, LRScheduler)
    assert isinstance(scheduler._step_count, int)
    assert scheduler.base_lrs == [0.1, 0.5]
    assert [type(lr) for lr in scheduler.base_lrs] == [float, float]
    assert scheduler.mode == "min"
    assert scheduler.last_epoch == 0
    assert not hasattr(scheduler, "total_steps")
    assert scheduler.optimizer is optimizer
    assert scheduler.get_last_lr() == [0.1, 0.5]


def test_case_23_get_lr_is_the_current_learning_rates():
    optimizer, scheduler = make(on="oscillate", lrs=[0.1, 0.5])
    assert scheduler.get_lr() == [0.1, 0.5]
    advance(scheduler)
    assert scheduler.get_lr() == [0.05, 0.25] == group_lrs(optimizer)
    assert scheduler.get_lr() == [0.05, 0.25]


@pytest.mark.parametrize("kind", ["tensor", "float32"])
def test_case_23_get_last_lr_of_tensors_is_a_copy(kind):
    optimizer, scheduler = make(on="oscillate", kind=kind)
    for _ in range(2):
        (lr,) = scheduler.get_last_lr()
        assert isinstance(lr, torch.Tensor)
        assert lr == optimizer.param_groups[0]["lr"]
        assert lr.dtype == optimizer.param_groups[0]["lr"].dtype
        lr.fill_(7.0)
        assert group_lrs(optimizer) != [7.0]
        assert float(scheduler.get_last_lr()[0]) != 7.0
        assert scheduler.base_lrs == pytest.approx([0.1])
        advance(scheduler)


def test_case_23_torchs_composites_refuse_it():
    optimizer, scheduler = make()
    linear = LinearLR(make_optimizer(), 0.5, total_iters=3)
    with pytest.raises(ValueError, match="does not support `ReduceLROnPlateau`"):
        SequentialLR(optimizer, [scheduler, linear], milestones=[3])
    with pytest.raises(ValueError, match="does not support `ReduceLROnPlateau`"):
        ChainedScheduler([scheduler], optimizer)


def test_case_24_the_first_metric_never_fires():
    for on in ("cutoff", "oscillate", Cutoff(1e9), Patience(0), Cutoff(1e9) | Oscillation()):
        _, scheduler = make(on=on)
        scheduler.step(5.0)
        assert scheduler.position == 0
        assert scheduler.events == []


def test_case_24_a_difference_equal_to_the_cutoff_is_no_plateau():
    _, scheduler = make(on=Cutoff(0.5))
    assert feed(scheduler, [1.0, 0.5, 0.0]).position == 0
    assert feed(scheduler, [0.25]).position == 1


def test_case_24_two_reasons_are_one_advance():
    optimizer, scheduler = make(on=Cutoff(0.5) | Oscillation())
    feed(scheduler, [1.0, 1.25])
    assert scheduler.position == 1
    assert group_lrs(optimizer) == [0.05]
    (event,) = scheduler.events
    assert "cutoff: abs(1.25 - 1" in event.reason
    assert "oscillat" in event.reason
    feed(scheduler, [2.25, 2.3125])  # rises by 1, then by 0.0625: below 0.5·0.2 = 0.1, so the cutoff shrank once
    assert [("cutoff" in e.reason, "oscillat" in e.reason) for e in scheduler.events] == [
        (True, True),
        (False, True),
        (True, True),
    ]
    feed(scheduler, [2.28])  # 0.0325 is above 0.02
    assert len(scheduler.events) == 3


NONFINITE = [math.nan, math.inf, -math.inf]
each_nonfinite = pytest.mark.parametrize("bad", NONFINITE, ids=str)


@each_nonfinite
def test_case_25_hold_is_the_default(bad):
    _, scheduler = make(on=Cutoff(0.1))
    feed(scheduler, [bad, bad, 1.0])
    assert (scheduler.last_epoch, scheduler.position, scheduler.events) == (3, 0, [])
    feed(scheduler, [bad, 1.05])  # compared with 1.0
    assert (scheduler.last_epoch, scheduler.position) == (5, 1)
    assert scheduler.events[0].epoch == 5


@each_nonfinite
@pytest.mark.parametrize("on", ["cutoff", "oscillate", Patience(1), Cutoff(0.1) | Oscillation()], ids=repr)
@pytest.mark.parametrize("mode", ["min", "max"])
def test_case_25_hold_leaves_the_rule_as_if_the_metric_had_not_come(bad, on, mode):
    _, plain = make(on=on, mode=mode)
    _, disturbed = make(on=on, mode=mode)
    for metric in bumpy(1):
        plain.step(metric)
        feed(disturbed, [bad, metric])
    assert plain.position > 0
    assert disturbed.position == plain.position
    assert [e.metric for e in disturbed.events] == [e.metric for e in plain.events]
    assert [e.epoch for e in disturbed.events] == [2 * e.epoch for e in plain.events]
    assert disturbed.rule.state_dict() == plain.rule.state_dict()


@each_nonfinite
def test_case_25_advance(bad):
    optimizer, scheduler = make(on=Cutoff(0.1, decay=0.5), nonfinite="advance")
    scheduler.step(bad)
    assert (scheduler.last_epoch, scheduler.position) == (1, 1)
    feed(scheduler, [1.0, bad, 1.05])
    assert [e.epoch for e in scheduler.events] == [1, 3, 4]
    assert repr(scheduler.events[1].metric) == repr(bad)
    assert repr(bad) in scheduler.events[1].reason
    assert scheduler.rule.cutoff == 0.05  # shrunk once, by the finite plateau
    assert group_lrs(optimizer) == [0.1 * 0.5**3]


@each_nonfinite
def test_case_25_advance_starts_the_cutoff_from_the_first_finite_metric(bad):
    _, scheduler = make(on=Cutoff(relative=0.5), nonfinite="advance")
    feed(scheduler, [bad, 4.0])
    assert scheduler.rule.cutoff == 2.0


@each_nonfinite
def test_case_25_raise(bad):
    optimizer, scheduler = make(on=Cutoff(0.1), nonfinite="raise")
    for finite in (1.0, 1.05, 1.06):
        before = everything(optimizer, scheduler)
        for metric in (bad, torch.tensor(bad)):
            with pytest.raises(ValueError, match=f"metrics must be finite.*{bad}"):
                scheduler.step(metric)
        assert everything(optimizer, scheduler) == before
        scheduler.step(finite)
    assert scheduler.position == 2
    assert scheduler.last_epoch == 3


def test_case_26_repeated_calls_count_once():
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


def test_case_26_a_dropped_call_changes_nothing():
    optimizer, scheduler = make(on=Cutoff(0.5))
    optimizer.step()
    feed(scheduler, [1.0])
    before = everything(optimizer, scheduler)
    feed(scheduler, [1.0, torch.tensor(1.0), np.float32(1.0), 1])
    assert everything(optimizer, scheduler) == before


def test_case_26_the_same_metric_after_a_step_is_a_plateau():
    optimizer, scheduler = make(on=Cutoff(0.5))
    for expected in (0, 1, 2):
        optimizer.step()
        scheduler.step(1.0)
        assert scheduler.position == expected


def test_case_26_different_metrics_all_count_though_the_counter_never_moves():
    optimizer, scheduler = make(on="oscillate")
    optimizer.step()
    feed(scheduler, [1.0, 2.0, 3.0, 2.0, 3.0])
    assert scheduler.position == 3
    assert scheduler.last_epoch == 5


def test_case_26_values_replayed_without_any_step_all_count():
    optimizer = make_optimizer()
    optimizer.step()  # before the scheduler was made
    scheduler = PlateauSequence(optimizer, HALF, on=Cutoff(0.5))
    feed(scheduler, [1.0] * 4)
    assert scheduler.position == 3
    assert scheduler.last_epoch == 4


def test_case_26_the_guard_needs_a_step_since_the_scheduler_was_made():
    optimizer, scheduler = make(on=Cutoff(0.5, decay=1.0))
    feed(scheduler, [1.0, 1.0])
    assert scheduler.position == 1
    optimizer.step()
    feed(scheduler, [1.0, 1.0, 1.0])  # counted, dropped, dropped
    assert scheduler.position == 2


def test_case_26_guard_off():
    optimizer, scheduler = make(on=Cutoff(0.5), repeats="count")
    optimizer.step()
    feed(scheduler, [1.0] * 3)
    assert (scheduler.position, scheduler.last_epoch) == (2, 3)


@pytest.mark.parametrize(("policy", "position"), [("hold", 0), ("advance", 1)])
@each_nonfinite
def test_case_26_a_repeated_nonfinite_metric_counts_once(bad, policy, position):
    optimizer, scheduler = make(on=Cutoff(0.5), nonfinite=policy)
    optimizer.step()
    feed(scheduler, [bad, bad, torch.tensor(bad)])
    assert (scheduler.position, scheduler.last_epoch) == (position, 1)
    optimizer.step()
    feed(scheduler, [bad, bad])
    assert (scheduler.position, scheduler.last_epoch) == (2 * position, 2)


def drops_repeats(scheduler):
    """Say whether the guard of a fresh Cutoff(0.5, decay=1.0) works, with real optimizer steps."""
    optimizer = scheduler.optimizer
    before = scheduler.last_epoch
    for metric in (8.0, 7.0, 6.0):
        optimizer.step()
        feed(scheduler, [metric] * 3)
    return scheduler.last_epoch - before == 3 and scheduler.position == 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.compile's own
@pytest.mark.parametrize("when", ["before", "after"])
def test_case_26_with_a_compiled_step(when):
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
def test_case_26_with_a_replaced_step(replace):
    optimizer = make_optimizer()
    optimizer.step = replace(optimizer.step)
    assert drops_repeats(PlateauSequence(optimizer, HALF, on=Cutoff(0.5, decay=1.0)))


@pytest.mark.parametrize(
    "clone",
    [lambda s: pickle.loads(pickle.dumps(s)), copy.deepcopy, lambda s: copy.deepcopy(pickle.loads(pickle.dumps(s)))],
    ids=["pickle", "deepcopy", "both"],
)
class TestCopies:
    def test_case_26_the_guard_works_in_a_copy(self, clone):
        _, scheduler = make(on=Cutoff(0.5, decay=1.0))
        other = clone(scheduler)
        assert other.optimizer is not scheduler.optimizer
        assert drops_repeats(other)
        assert drops_repeats(scheduler)

    def test_the_guard_remembers_in_a_copy(self, clone):
        optimizer, scheduler = make(on=Cutoff(0.5))
        optimizer.step()
        scheduler.step(1.0)
        other = clone(scheduler)
        feed(other, [1.0])
        assert other.last_epoch == 1
        optimizer.step()  # is none of the copy's business
        feed(other, [1.0])
        assert other.last_epoch == 1
        other.optimizer.step()
        feed(other, [1.0])
        assert (other.last_epoch, other.position) == (2, 1)
        assert (scheduler.last_epoch, scheduler.position) == (1, 0)

    def test_a_copy_does_what_the_original_does(self, clone):
        optimizer, scheduler = make(on=Cutoff(0.1) | Oscillation(), lrs=[0.1, 0.5])
        feed(scheduler, bumpy(3)[:20])
        other = clone(scheduler)
        feed(other, bumpy(3)[20:])
        assert len(scheduler.events) < len(other.events)
        feed(scheduler, bumpy(3)[20:])
        assert other.events == scheduler.events
        assert group_lrs(other.optimizer) == group_lrs(optimizer)
        assert other.state_dict() == scheduler.state_dict()

    def test_hooks_of_a_copy_go_with_it(self, clone):
        _, scheduler = make()
        other = clone(scheduler)
        optimizer = other.optimizer
        assert len(optimizer._optimizer_step_post_hooks) == 1
        dead = weakref.ref(other)
        gc.collect()
        gc.disable()
        try:
            del other
            assert dead() is None
            assert len(optimizer._optimizer_step_post_hooks) == 0
        finally:
            gc.enable()
        assert drops_repeats(PlateauSequence(scheduler.optimizer, HALF, on=Cutoff(0.5, decay=1.0)))


def test_case_26_with_a_wrapped_optimizer():
    optimizer = Wrapped(make_optimizer())
    scheduler = PlateauSequence(optimizer, HALF, on=Cutoff(0.5, decay=1.0))
    assert drops_repeats(scheduler)
    feed(scheduler, [6.25])
    assert group_lrs(optimizer) == [0.05]


def test_case_26_with_a_twice_wrapped_optimizer():
    scheduler = PlateauSequence(Wrapped(Wrapped(make_optimizer())), HALF, on=Cutoff(0.5, decay=1.0))
    assert drops_repeats(scheduler)


def test_case_26_a_copy_with_a_wrapped_optimizer():
    scheduler = PlateauSequence(Wrapped(make_optimizer()), HALF, on=Cutoff(0.5, decay=1.0))
    assert drops_repeats(copy.deepcopy(scheduler))
    assert drops_repeats(pickle.loads(pickle.dumps(scheduler)))


def test_case_27_the_cutoff_shrinks_at_each_plateau():
    _, scheduler = make(on=Cutoff(0.1))
    feed(scheduler, [1.0, 0.5, 0.45, 0.2, 0.199])
    assert scheduler.position == 2
    assert scheduler.rule.cutoff == pytest.approx(0.1 * 0.2 * 0.2, rel=1e-15)
    feed(scheduler, [0.195])  # 0.004 is not below 0.004
    assert scheduler.rule.cutoff >= 0.0039


def test_case_27_a_thousand_plateaus_stay_finite():
    optimizer, scheduler = make(Geometric(0.5), on=Cutoff(0.01, min_cutoff=1e-6), min_lr=1e-4, history=10)
    feed(scheduler, [1.0] * 1001)
    assert scheduler.position == 1000
    assert scheduler.rule.cutoff == 1e-6
    assert group_lrs(optimizer) == [1e-4]


def test_case_27_the_rate_holds_past_the_end_of_a_sequence():
    optimizer, scheduler = make(Values([1.0, 0.5, 0.25]), on=Cutoff(0.01, decay=1.0))
    feed(scheduler, [1.0] * 8)
    assert scheduler.position == 7
    assert group_lrs(optimizer) == [0.025]
    assert [e.new_lrs for e in scheduler.events[-2:]] == [[0.025], [0.025]]


def test_case_27_a_cutoff_that_underflows_stops_advancing():
    cutoff, count = 0.01, 0
    while cutoff > 0.0:
        cutoff, count = cutoff * 0.2, count + 1
    optimizer, scheduler = make(Geometric(0.5), on=Cutoff(0.01))
    feed(scheduler, [1.0] * 1000)
    assert scheduler.position == count
    assert math.isfinite(group_lrs(optimizer)[0])


def test_case_27_bf16_metrics_above_the_resolution_do_not_race():
    """Losses that fall by less than bfloat16 resolves look equal: the cutoff shrinks below any real difference."""
    _, scheduler = make(Inverse(), on=Cutoff(0.1, previous=0.0))
    losses = torch.linspace(2.0, 0.5, 60, dtype=torch.bfloat16)  # differences of about 0.025, resolved to 1/128
    feed(scheduler, losses)
    assert scheduler.position == 1  # 0.1 → 0.02, below the differences


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
def test_case_28_metric_kinds(metric):
    _, scheduler = make(on=Oscillation(previous=0.0))
    scheduler.step(metric())
    (event,) = scheduler.events
    assert type(event.metric) is float
    assert event.metric == float(torch.as_tensor(metric()).detach())


NO_METRICS = {
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


@pytest.mark.parametrize("metric", NO_METRICS.values(), ids=NO_METRICS.keys())
@pytest.mark.parametrize("nonfinite", ["hold", "advance", "raise"])
def test_case_28_what_is_not_one_real_number_is_refused(metric, nonfinite):
    optimizer, scheduler = make(on=Cutoff(0.5), nonfinite=nonfinite)
    for good in (1.0, 1.25):
        before = everything(optimizer, scheduler)
        with pytest.raises((TypeError, ValueError), match="metrics"):
            scheduler.step(metric)
        with pytest.raises((TypeError, ValueError), match="metrics"):
            scheduler.step(metrics=metric)
        assert everything(optimizer, scheduler) == before
        scheduler.step(good)
    assert scheduler.position == 1


def test_case_28_a_refused_metric_is_named_with_its_value():
    _, scheduler = make()
    with pytest.raises(TypeError, match=r"metrics must be one real number, got 'x'"):
        scheduler.step("x")


def test_case_28_a_metric_keeps_no_graph():
    _, scheduler = make(on=Oscillation(previous=0.0))
    metric = torch.tensor(0.5, requires_grad=True) * 2
    dead = weakref.ref(metric)
    scheduler.step(metric)
    del metric
    assert dead() is None


def test_case_29_ways_to_call():
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


def test_case_29_a_call_without_a_metric_says_what_to_pass():
    optimizer, scheduler = make()
    before = everything(optimizer, scheduler)
    for call in (scheduler.step, partial(scheduler.step, epoch=3)):
        with pytest.raises(TypeError, match=r"metric.*step\("):
            call()
    with pytest.raises(TypeError, match="metric"):
        scheduler.step(None)
    assert everything(optimizer, scheduler) == before


def test_case_29_the_constructor_accepts_last_epoch():
    for last_epoch in (-1, 0, 17):
        optimizer, scheduler = make(last_epoch=last_epoch)
        assert scheduler.last_epoch == 0
        assert group_lrs(optimizer) == [0.1]


def test_case_29_signatures():
    assert list(inspect.signature(PlateauSequence.step).parameters)[:3] == ["self", "metrics", "epoch"]
    signature = inspect.signature(PlateauSequence)
    defaults = {name: p.default for name, p in signature.parameters.items() if p.default is not p.empty}
    assert defaults == {
        "on": "cutoff",
        "mode": "min",
        "min_lr": 0.0,
        "nonfinite": "hold",
        "repeats": "ignore",
        "sync": None,
        "process_group": None,
        "history": 1000,
        "last_epoch": -1,
    }


def test_case_29_never_warns():
    """Warnings are errors here: no order of calls makes one, the first step included."""
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


def test_case_30_a_constant_negative_metric_plateaus():
    for mode in ("min", "max"):
        _, scheduler = make(mode=mode)  # relative to |−1|
        feed(scheduler, [-1.0] * 4)
        assert [e.epoch for e in scheduler.events] == [2, 3, 4]


@pytest.mark.parametrize(
    "rule",
    [
        lambda sign: "cutoff",
        lambda sign: "oscillate",
        lambda sign: Cutoff(0.05, previous=sign * 0.5),
        lambda sign: Oscillation(previous=sign * 0.5),
        lambda sign: Patience(1, threshold=0.02, threshold_mode="abs", cooldown=2),
        lambda sign: Cutoff() | Oscillation(),
    ],
)
@pytest.mark.parametrize("nonfinite", ["hold", "advance"])
def test_case_30_max_mirrors_min_event_for_event(rule, nonfinite):
    count = 0
    for seed in range(10):
        series = [m - 1.0 for m in bumpy(seed)]
        series[seed] = math.inf
        series[2 * seed + 1] = math.nan
        _, low = make(on=rule(1), nonfinite=nonfinite)
        _, high = make(on=rule(-1), nonfinite=nonfinite, mode="max")
        feed(low, series)
        feed(high, [-m for m in series])
        assert [(e.epoch, repr(-e.metric), e.position, e.old_lrs, e.new_lrs) for e in high.events] == [
            (e.epoch, repr(e.metric), e.position, e.old_lrs, e.new_lrs) for e in low.events
        ]
        count += low.position
    assert count > 10


def test_case_34_a_guard_does_not_lock_when_steps_are_skipped():
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


def test_case_34_with_a_real_scaler():
    parameter = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    scheduler = PlateauSequence(optimizer, HALF, on=Cutoff(0.5, decay=1.0))
    for factor, expected in [(math.inf, 0), (math.inf, 1), (1.0, 2), (math.inf, 2), (1.0, 3)]:
        optimizer.zero_grad()
        scaler.scale((parameter * factor).sum()).backward()
        scaler.step(optimizer)  # skipped where the gradient is not finite
        scaler.update()
        scheduler.step(1.0)
        assert scheduler.position == expected


RULES = ["cutoff", "oscillate", Cutoff(0.05, previous=0.0), Patience(1, cooldown=1), Cutoff() | Oscillation(), Always()]


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("nonfinite", ["hold", "advance"])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_case_35_preview_gives_the_events_of_the_live_object(rule, nonfinite, mode):
    series = bumpy(4)
    series[3], series[11], series[12] = math.nan, math.inf, -math.inf
    options = {"mode": mode, "nonfinite": nonfinite, "min_lr": 0.002}
    for sequence in (HALF, Sawtooth(5), Values([0.5, 1.0, 0.25]), Warmup(3) * Inverse()):
        _, scheduler = make(sequence, rule, **options)
        feed(scheduler, series)
        events = preview(sequence, rule, series, base_lr=0.1, **options)
        assert len(events) > 1
        assert repr(events) == repr(scheduler.events)  # nan is not equal to itself


# --- preview


class TestPreview:
    def test_worked_by_hand(self):
        events = preview(Inverse(), Cutoff(0.1, decay=0.5), [1.0, 0.5, 0.45, 0.44], base_lr=0.6)
        assert [(e.epoch, e.metric, e.position, e.reason) for e in events] == [
            (3, 0.45, 1, "cutoff: abs(0.45 - 0.5) < 0.1"),
            (4, 0.44, 2, "cutoff: abs(0.44 - 0.45) < 0.05"),
        ]
        assert [e.old_lrs + e.new_lrs for e in events] == [
            pytest.approx([0.6, 0.3]),
            pytest.approx([0.3, 0.2]),
        ]
        assert all(type(e) is Event for e in events)

    def test_defaults(self):
        (event,) = preview(HALF, "cutoff", [1.0, 1.0, 3.0])
        assert (event.old_lrs, event.new_lrs) == ([1.0], [0.5])

    def test_min_lr(self):
        events = preview(HALF, "oscillate", range(5), base_lr=1.0, min_lr=0.3)
        assert [e.new_lrs for e in events] == [[0.5], [0.3], [0.3], [0.3]]

    def test_the_floor_is_at_most_the_base(self):
        assert [e.new_lrs for e in preview(HALF, "oscillate", [0, 1], base_lr=0.1, min_lr=0.5)] == [[0.1]]

    @pytest.mark.parametrize("kind", [list, tuple, iter, np.array, torch.tensor], ids=lambda kind: kind.__name__)
    def test_kinds_of_metrics(self, kind):
        series = bumpy(5)
        assert preview(HALF, "oscillate", kind(series)) == preview(HALF, "oscillate", series) != []

    def test_no_metrics(self):
        assert preview(HALF, "cutoff", []) == []

    def test_repeats_count(self):
        assert len(preview(HALF, Cutoff(0.1, decay=1.0), [1.0] * 5)) == 4

    def test_more_events_than_a_history(self):
        assert len(preview(HALF, "oscillate", range(1500))) == 1499

    def test_leaves_the_rule_alone(self):
        rule = Cutoff(0.1)
        assert preview(HALF, rule, [1.0] * 5) == preview(HALF, rule, [1.0] * 5) != []
        assert rule.cutoff == 0.1

    @pytest.mark.parametrize(
        ("arguments", "error", "match"),
        [
            ({"sequence": lambda k: 1.0}, TypeError, "sequence.*LambdaLR"),
            ({"sequence": 0.5}, TypeError, "sequence"),
            ({"on": "plateau"}, ValueError, "on must.*'plateau'"),
            ({"on": None}, TypeError, "on must.*None"),
            ({"on": Cutoff}, TypeError, "on must"),
            ({"metrics": 0.5}, TypeError, "metrics"),
            ({"metrics": None}, TypeError, "metrics"),
            ({"metrics": [0.5, "x"]}, TypeError, "metrics.*'x'"),
            ({"metrics": "0.5"}, TypeError, "metrics"),
            ({"metrics": [0.5, None]}, TypeError, "metrics.*None"),
            ({"metrics": [[0.5, 0.5]]}, TypeError, "metrics"),
            ({"base_lr": -0.1}, ValueError, "base_lr.*-0.1"),
            ({"base_lr": math.nan}, ValueError, "base_lr.*nan"),
            ({"base_lr": "0.1"}, TypeError, "base_lr.*'0.1'"),
            ({"mode": "lower"}, ValueError, "mode must.*'lower'"),
            ({"mode": None}, TypeError, "mode must.*None"),
            ({"min_lr": -1.0}, ValueError, "min_lr.*-1.0"),
            ({"min_lr": math.inf}, ValueError, "min_lr.*inf"),
            ({"nonfinite": "skip"}, ValueError, "nonfinite must.*'skip'"),
            ({"nonfinite": "raise", "metrics": [1.0, math.nan]}, ValueError, "metrics must be finite.*nan"),
        ],
    )
    def test_bad_arguments(self, arguments, error, match):
        good = {"sequence": HALF, "on": "cutoff", "metrics": [1.0, 1.0]}
        preview(**good)
        with pytest.raises(error, match=match):
            preview(**{**good, **arguments})

    def test_its_signature(self):
        parameters = inspect.signature(preview).parameters
        assert list(parameters) == ["sequence", "on", "metrics", "base_lr", "mode", "min_lr", "nonfinite"]
        assert [parameters[name].default for name in list(parameters)[3:]] == [1.0, "min", 0.0, "hold"]


# --- rules in a scheduler


each_side = pytest.mark.parametrize(
    "wrap",
    [lambda rule: rule, lambda rule: Cutoff(0.5) | rule, lambda rule: rule | Cutoff(0.5)],
    ids=["alone", "second", "first"],
)


class TestRules:
    def test_the_names_of_the_rules(self):
        assert repr(make(on="cutoff")[1].rule) == repr(Cutoff())
        assert repr(make(on="oscillate")[1].rule) == repr(Oscillation())

    def test_the_scheduler_owns_a_copy(self):
        rule = Cutoff(0.1)
        optimizer, scheduler = make(on=rule)
        assert scheduler.rule is not rule
        feed(scheduler, [1.0, 1.05])
        assert rule.cutoff == 0.1
        assert scheduler.rule.cutoff == pytest.approx(0.02)
        assert scheduler.optimizer is optimizer

    def test_one_rule_for_two_schedulers(self):
        rule = Cutoff(0.1) | Oscillation()
        _, first = make(on=rule)
        _, second = make(on=rule)
        feed(first, bumpy(6))
        feed(second, bumpy(7))
        assert first.events == preview(HALF, rule, bumpy(6), base_lr=0.1)
        assert second.events == preview(HALF, rule, bumpy(7), base_lr=0.1)

    def test_a_used_rule_goes_on_from_where_it_is(self):
        rule = Oscillation()
        rule.update(1.0, "min")
        _, scheduler = make(on=rule)
        assert feed(scheduler, [2.0]).position == 1

    def test_the_state_of_the_rule_shows(self):
        _, scheduler = make()
        feed(scheduler, [2.0])
        assert scheduler.rule.cutoff == 0.02

    def test_a_users_rule(self):
        optimizer, scheduler = make(on=Always() | Never())
        feed(scheduler, [3.0, 2.0, 1.0])
        assert [e.reason for e in scheduler.events] == ["always: 1", "always: 2", "always: 3"]
        assert group_lrs(optimizer) == [0.0125]

    def test_a_users_rule_sees_finite_floats_and_the_mode(self):
        calls = []

        class Spy(Rule):
            def __deepcopy__(self, memo):
                return self

            def update(self, metric, mode):
                calls.append((metric, mode))

        _, scheduler = make(on=Spy(), mode="max")
        feed(scheduler, [torch.tensor(0.5), math.nan, 1, np.float32(0.25), -math.inf])
        assert calls == [(0.5, "max"), (1.0, "max"), (0.25, "max")]
        assert all(type(metric) is float for metric, _ in calls)

    @each_side
    def test_a_rule_that_raises(self, wrap):
        optimizer, scheduler = make(on=wrap(FailsAbove(1.0)))
        feed(scheduler, [1.0])
        for again in range(2):
            before = everything(optimizer, scheduler)
            with pytest.raises(ZeroDivisionError, match="own bug"):
                scheduler.step(5.0 + again)
            assert everything(optimizer, scheduler) == before
        feed(scheduler, [0.75])
        assert scheduler.last_epoch == 2
        assert scheduler.position == 2

    @pytest.mark.parametrize("value", [True, False, 1, 0, 0.5, b"reason", ["reason"]], ids=repr)
    @each_side
    def test_a_rule_that_returns_no_string(self, value, wrap):
        optimizer, scheduler = make(on=wrap(Returns(value)))
        before = everything(optimizer, scheduler)
        with pytest.raises(TypeError, match=rf"Returns.*update.*string.*{re.escape(repr(value))}"):
            scheduler.step(1.0)
        assert everything(optimizer, scheduler) == before

    def test_a_rule_that_raises_adopts_no_group(self):
        optimizer, scheduler = make(Values([0.5]), on=FailsAbove(1.0))
        add_group(optimizer, 0.8)
        with pytest.raises(ZeroDivisionError, match="own bug"):
            scheduler.step(2.0)
        assert group_lrs(optimizer) == [0.05, 0.8]
        assert scheduler.base_lrs == [0.1]
        scheduler.step(0.5)
        assert group_lrs(optimizer) == [0.05, 0.4]

    def test_the_guard_does_not_remember_a_metric_that_failed(self):
        optimizer, scheduler = make(on=FailsAbove(1.0))
        optimizer.step()
        with pytest.raises(ZeroDivisionError, match="own bug"):
            scheduler.step(2.0)
        scheduler.rule.limit = 3.0
        scheduler.step(2.0)
        assert (scheduler.last_epoch, scheduler.position) == (1, 1)


# --- events


class TestEvents:
    def test_scheduler_and_event_print_readably(self):
        scheduler = feed(make(Inverse(), Oscillation(), lrs=(0.5,))[1], [0.25, 0.75])
        assert repr(scheduler) == (
            "PlateauSequence(sequence=Inverse(), rule=Oscillation(previous=None), position=1, lrs=[0.25])"
        )
        (event,) = scheduler.events
        assert repr(event) == (
            "Event(epoch=2, metric=0.75, reason='oscillation: 0.75 > 0.25', position=1, old_lrs=[0.5], new_lrs=[0.25])"
        )

    def test_an_event_in_full(self):
        _, scheduler = make(on=Cutoff(0.1), lrs=[0.1, 0.5])
        feed(scheduler, [1.0, 0.5, torch.tensor(0.4375)])
        assert scheduler.events == [
            Event(3, 0.4375, "cutoff: abs(0.4375 - 0.5) < 0.1", 1, old_lrs=[0.1, 0.5], new_lrs=[0.05, 0.25])
        ]
        (event,) = scheduler.events
        assert (type(event.epoch), type(event.position)) == (int, int)
        assert [type(lr) for lr in event.old_lrs + event.new_lrs] == [float] * 4

    @pytest.mark.parametrize("kind", ["tensor", "numpy"])
    def test_learning_rates_are_python_floats(self, kind):
        _, scheduler = make(on="oscillate", kind=kind)
        advance(scheduler, 2)
        assert {type(lr) for e in scheduler.events for lr in e.old_lrs + e.new_lrs} == {float}

    def test_old_lrs_are_those_of_the_optimizer(self):
        optimizer, scheduler = make(on="oscillate")
        scheduler.step(1.0)
        optimizer.param_groups[0]["lr"] = 0.03
        scheduler.step(2.0)
        assert scheduler.events[0].old_lrs == [0.03]
        assert scheduler.events[0].new_lrs == [0.05]

    @pytest.mark.parametrize(("history", "kept"), [(0, 0), (1, 1), (3, 3), (1000, 1000)])
    def test_history_is_bounded(self, history, kept):
        _, scheduler = make(on="oscillate", history=history)
        advance(scheduler, 1100)
        assert scheduler.position == 1100
        assert type(scheduler.events) is list
        assert [e.position for e in scheduler.events] == list(range(1101 - kept, 1101))

    def test_the_bound_is_1000_by_default(self):
        _, scheduler = make(on="oscillate")
        advance(scheduler, 1001)
        assert len(scheduler.events) == 1000


# --- groups and learning rates


class TestRates:
    def test_the_first_factor_is_written_at_construction(self):
        optimizer, scheduler = make(Values([0.5, 0.1]), lrs=[0.1, 0.4])
        assert group_lrs(optimizer) == [0.05, 0.2]
        assert scheduler.base_lrs == [0.1, 0.4]
        assert scheduler.get_last_lr() == [0.05, 0.2]

    def test_initial_lr_is_the_base(self):
        optimizer = make_optimizer([0.1])
        optimizer.param_groups[0]["initial_lr"] = 0.4
        scheduler = PlateauSequence(optimizer, HALF, "oscillate")
        assert scheduler.base_lrs == [0.4]
        assert group_lrs(optimizer) == [0.4]
        advance(scheduler)
        assert group_lrs(optimizer) == [0.2]

    def test_every_rate_comes_from_base_and_position(self):
        optimizer, scheduler = make(Inverse(), "oscillate", lrs=[0.1, 0.7])
        for k in range(50):
            assert group_lrs(optimizer) == [0.1 * (1 / (k + 1)), 0.7 * (1 / (k + 1))]
            advance(scheduler)

    @pytest.mark.parametrize("kind", ["float", "int", "numpy", "tensor", "float32"])
    def test_kinds_of_learning_rates(self, kind):
        optimizer, scheduler = make(on="oscillate", lrs=[1.0, 2.0], kind=kind)
        tensors = [group["lr"] for group in optimizer.param_groups]
        advance(scheduler, 2)
        assert group_lrs(optimizer) == [0.25, 0.5]
        for group, lr in zip(optimizer.param_groups, tensors, strict=True):
            if isinstance(lr, torch.Tensor):
                assert group["lr"] is lr
            else:
                assert type(group["lr"]) is float

    def test_base_rates_do_not_alias_a_tensor(self):
        optimizer, scheduler = make(on="oscillate", kind="tensor")
        optimizer.param_groups[0]["lr"].fill_(9.0)
        assert scheduler.base_lrs == [0.1]
        advance(scheduler)
        assert group_lrs(optimizer) == [0.05]

    def test_min_lr(self):
        optimizer, scheduler = make(on="oscillate", lrs=[0.1, 1.0, 0.001], min_lr=0.02)
        advance(scheduler, 10)
        assert group_lrs(optimizer) == [0.02, 0.02, 0.001]  # the floor is at most the base

    def test_min_lr_per_group(self):
        optimizer, scheduler = make(on="oscillate", lrs=[0.1, 1.0, 0.001], min_lr=[0.0, 0.5, 0.0005])
        assert scheduler.min_lr == [0.0, 0.5, 0.0005]
        advance(scheduler, 4)
        assert group_lrs(optimizer) == [0.1 / 16, 0.5, 0.0005]

    def test_a_learning_rate_of_zero(self):
        optimizer, scheduler = make(on="oscillate", lrs=[0.0, 0.1], min_lr=0.01)
        advance(scheduler, 20)
        assert group_lrs(optimizer) == [0.0, 0.01]

    def test_a_sequence_per_group(self):
        sequences = [HALF, Inverse()]
        optimizer, scheduler = make(sequences, "oscillate", lrs=[0.6, 0.6])
        advance(scheduler, 2)
        assert group_lrs(optimizer) == pytest.approx([0.15, 0.2], rel=1e-15)
        assert scheduler.sequence == sequences
        sequences[0] = Inverse()  # the list is the user's
        advance(scheduler)
        assert group_lrs(optimizer) == pytest.approx([0.075, 0.15], rel=1e-15)

    def test_a_manual_edit_lives_until_an_event(self):
        optimizer, scheduler = make(on=Patience(1))
        optimizer.param_groups[0]["lr"] = 0.007
        feed(scheduler, [5.0, 4.0, 3.0, 3.0, math.nan])
        assert group_lrs(optimizer) == [0.007]
        feed(scheduler, [3.0])
        assert group_lrs(optimizer) == [0.05]

    def test_a_dropped_or_refused_metric_writes_nothing(self):
        optimizer, scheduler = make(on="oscillate")
        optimizer.step()
        scheduler.step(1.0)
        optimizer.param_groups[0]["lr"] = 0.007
        scheduler.step(1.0)
        with pytest.raises(TypeError, match="metrics"):
            scheduler.step("x")
        assert group_lrs(optimizer) == [0.007]

    def test_a_warmup_made_after_it_works_until_the_first_event(self):
        optimizer, scheduler = make(on="oscillate")
        warmup = LinearLR(optimizer, start_factor=0.25, total_iters=3)
        lrs = group_lrs(optimizer)
        for metric in (5.0, 4.0, 3.0, 2.0):
            optimizer.step()
            warmup.step()
            scheduler.step(metric)
            lrs += group_lrs(optimizer)
        assert lrs == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1])
        assert scheduler.base_lrs == [0.1]
        optimizer.step()
        scheduler.step(6.0)
        assert group_lrs(optimizer) == [0.05]

    def test_groups_replaced_by_the_optimizer(self):
        optimizer, scheduler = make(on="oscillate", kind="tensor")
        scheduler.step(1.0)
        optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        tensor = optimizer.param_groups[0]["lr"]
        scheduler.step(2.0)
        assert optimizer.param_groups[0]["lr"] is tensor
        assert group_lrs(optimizer) == [0.05]


def add_group(optimizer, lr):
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))], "lr": lr})


class TestAddedGroups:
    def test_a_group_added_later_is_adopted_with_its_own_rate(self):
        optimizer, scheduler = make(on="oscillate")
        advance(scheduler, 2)
        add_group(optimizer, 0.8)
        scheduler.step(0.0)  # no event
        assert scheduler.position == 2
        assert group_lrs(optimizer) == [0.025, 0.2]
        assert scheduler.base_lrs == [0.1, 0.8]
        assert scheduler.get_last_lr() == [0.025, 0.2]
        scheduler.step(1.0)
        assert group_lrs(optimizer) == [0.0125, 0.1]
        assert scheduler.events[-1].old_lrs == [0.025, 0.2]

    def test_adopted_at_an_event(self):
        optimizer, scheduler = make(on="oscillate")
        advance(scheduler)
        add_group(optimizer, 0.8)
        scheduler.step(9.0)
        assert group_lrs(optimizer) == [0.025, 0.2]
        assert len(scheduler.events[-1].new_lrs) == 2

    def test_adopting_leaves_the_other_groups_alone(self):
        optimizer, scheduler = make(on="oscillate")
        scheduler.step(3.0)
        optimizer.param_groups[0]["lr"] = 0.007
        add_group(optimizer, 0.8)
        scheduler.step(2.0)
        assert group_lrs(optimizer) == [0.007, 0.8]

    def test_a_tensor_rate_is_kept(self):
        optimizer, scheduler = make(on="oscillate", kind="tensor")
        advance(scheduler)
        tensor = torch.tensor(0.8)
        add_group(optimizer, tensor)
        scheduler.step(0.0)
        assert optimizer.param_groups[1]["lr"] is tensor
        assert float(tensor) == pytest.approx(0.4)

    def test_the_scalar_floor_holds_for_it(self):
        optimizer, scheduler = make(on="oscillate", min_lr=0.02)
        advance(scheduler)
        add_group(optimizer, 0.01)
        advance(scheduler, 8)
        assert group_lrs(optimizer) == [0.02, 0.01]

    @pytest.mark.parametrize(
        "lists", [{"sequence": [HALF, HALF]}, {"min_lr": [0.0, 0.0]}, {"sequence": [HALF, HALF], "min_lr": [0.0, 0.0]}]
    )
    def test_lists_do_not_cover_it(self, lists):
        optimizer, scheduler = make(on="oscillate", lrs=[0.1, 0.2], **lists)
        advance(scheduler)
        add_group(optimizer, 0.8)
        for metric in (9.0, 0.0, math.nan):
            before = copy.deepcopy((scheduler.last_epoch, scheduler.position, scheduler.events, group_lrs(optimizer)))
            state = scheduler.rule.state_dict()
            with pytest.raises(ValueError, match=r"(sequence|min_lr).*\b2\b.*\b3\b"):
                scheduler.step(metric)
            assert (scheduler.last_epoch, scheduler.position, scheduler.events, group_lrs(optimizer)) == before
            assert scheduler.rule.state_dict() == state


# --- construction


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"sequence": lambda k: 0.5}, TypeError, "sequence.*LambdaLR"),
        ({"sequence": math.exp}, TypeError, "sequence.*LambdaLR"),
        ({"sequence": [HALF, lambda k: 0.5]}, TypeError, "sequence.*LambdaLR"),
        ({"sequence": 0.5}, TypeError, "sequence.*0.5"),
        ({"sequence": None}, TypeError, "sequence.*None"),
        ({"sequence": "inverse"}, TypeError, "sequence.*'inverse'"),
        ({"sequence": [HALF]}, ValueError, r"sequence.*\b1\b.*\b2\b"),
        ({"sequence": []}, ValueError, r"sequence.*\b0\b.*\b2\b"),
        ({"sequence": [HALF] * 3}, ValueError, r"sequence.*\b3\b.*\b2\b"),
        ({"on": "plateau"}, ValueError, "on must.*'plateau'"),
        ({"on": "Cutoff"}, ValueError, "on must.*'Cutoff'"),
        ({"on": 0.5}, TypeError, "on must.*0.5"),
        ({"on": None}, TypeError, "on must.*None"),
        ({"on": Cutoff}, TypeError, "on must.*Cutoff"),
        ({"on": lambda metric, mode: None}, TypeError, "on must"),
        ({"mode": "lower"}, ValueError, "mode must.*'lower'"),
        ({"mode": None}, TypeError, "mode must.*None"),
        ({"min_lr": -1e-9}, ValueError, "min_lr.*-1e-09"),
        ({"min_lr": math.nan}, ValueError, "min_lr.*nan"),
        ({"min_lr": math.inf}, ValueError, "min_lr.*inf"),
        ({"min_lr": "0"}, TypeError, "min_lr.*'0'"),
        ({"min_lr": None}, TypeError, "min_lr.*None"),
        ({"min_lr": True}, TypeError, "min_lr.*True"),
        ({"min_lr": [0.0]}, ValueError, r"min_lr.*\b1\b.*\b2\b"),
        ({"min_lr": [0.0, -1.0]}, ValueError, r"min_lr.*-1.0"),
        ({"min_lr": [0.0, "x"]}, TypeError, r"min_lr.*'x'"),
        ({"nonfinite": "skip"}, ValueError, "nonfinite must.*'skip'"),
        ({"nonfinite": None}, TypeError, "nonfinite must.*None"),
        ({"repeats": "drop"}, ValueError, "repeats must.*'drop'"),
        ({"repeats": True}, TypeError, "repeats must.*True"),
        ({"sync": "median"}, ValueError, "sync must.*'median'"),
        ({"sync": True}, TypeError, "sync must.*True"),
        ({"history": -1}, ValueError, "history must.*-1"),
        ({"history": 2.5}, TypeError, "history must.*2.5"),
        ({"history": None}, TypeError, "history must.*None"),
        ({"history": True}, TypeError, "history must.*True"),
    ],
)
def test_bad_arguments_change_nothing(arguments, error, match):
    optimizer = make_optimizer([0.1, 0.2])
    keys = [set(group) for group in optimizer.param_groups]
    with pytest.raises(error, match=match):
        PlateauSequence(optimizer, **{"sequence": Values([0.5]), **arguments})
    assert group_lrs(optimizer) == [0.1, 0.2]
    assert [set(group) for group in optimizer.param_groups] == keys
    assert len(optimizer._optimizer_step_post_hooks) == len(optimizer._optimizer_step_pre_hooks) == 0


@pytest.mark.parametrize("optimizer", [None, "sgd", 0.1, nn.Linear(1, 1), torch.optim.SGD], ids=str)
def test_not_an_optimizer(optimizer):
    with pytest.raises(TypeError, match=r"Optimizer"):
        PlateauSequence(optimizer, HALF)


@pytest.mark.parametrize("lr", [math.nan, math.inf], ids=str)
def test_a_learning_rate_that_is_no_number_is_refused(lr):
    optimizer = make_optimizer([0.1, 0.2])
    optimizer.param_groups[1]["lr"] = lr
    with pytest.raises(ValueError, match=rf"lr.*{lr}"):
        PlateauSequence(optimizer, Values([0.5]))
    assert group_lrs(optimizer)[0] == 0.1


def test_settings_are_public():
    rule = Cutoff(0.1)
    _, scheduler = make(HALF, rule, mode="max", min_lr=0.01)
    assert scheduler.sequence == HALF
    assert scheduler.min_lr == 0.01
    assert scheduler.mode == "max"
    assert repr(scheduler.rule) == repr(rule)


def test_keywords_only_after_on():
    with pytest.raises(TypeError, match="positional"):
        PlateauSequence(make_optimizer(), HALF, "cutoff", "min")


# --- lifetime


class TestLifetime:
    @pytest.fixture(autouse=True)
    def no_collector(self):
        gc.collect()
        gc.disable()
        yield
        gc.enable()

    @pytest.mark.parametrize("steps", [0, 3])
    def test_dies_by_reference_count_and_leaves_nothing(self, steps):
        optimizer, scheduler = make(on="oscillate")
        for i in range(steps):
            optimizer.step()
            scheduler.step(float(i))
        dead = weakref.ref(scheduler)
        assert len(optimizer._optimizer_step_post_hooks) == 1
        del scheduler
        assert dead() is None
        assert len(optimizer._optimizer_step_post_hooks) == len(optimizer._optimizer_step_pre_hooks) == 0
        dead = weakref.ref(optimizer)
        del optimizer
        assert dead() is None

    def test_the_optimizer_may_go_first(self):
        optimizer, scheduler = make(on="oscillate")
        dead = weakref.ref(optimizer)
        del optimizer
        scheduler.step(1.0)
        assert dead() is not None  # the scheduler holds it
        del scheduler
        assert dead() is None

    def test_with_a_wrapped_optimizer(self):
        inner = make_optimizer()
        optimizer = Wrapped(inner)
        scheduler = PlateauSequence(optimizer, HALF)
        assert len(inner._optimizer_step_post_hooks) == 1
        dead = weakref.ref(scheduler)
        del scheduler
        assert dead() is None
        assert len(inner._optimizer_step_post_hooks) == 0

    def test_no_cycles(self):
        optimizer, scheduler = make(on=Cutoff(0.1) | Oscillation())
        feed(scheduler, bumpy(8))
        scheduler.load_state_dict(scheduler.state_dict())
        other = copy.deepcopy(scheduler)
        gc.collect()
        del optimizer, scheduler, other
        assert gc.collect() == 0

    def test_many_schedulers_leave_nothing(self):
        optimizer = make_optimizer()
        for _ in range(20):
            PlateauSequence(optimizer, HALF).step(1.0)
        assert len(optimizer._optimizer_step_post_hooks) == 0

    def test_two_schedulers_on_one_optimizer_have_a_guard_each(self):
        optimizer = make_optimizer()
        first = PlateauSequence(optimizer, HALF, on=Cutoff(0.5))
        second = PlateauSequence(optimizer, HALF, on=Cutoff(0.5))
        optimizer.step()
        feed(first, [1.0, 1.0])
        feed(second, [1.0, 1.0])
        assert (first.last_epoch, second.last_epoch) == (1, 1)


def test_the_users_own_hooks_stay():
    optimizer, calls = make_optimizer(), []
    optimizer.register_step_post_hook(lambda *_: calls.append("post"))
    scheduler = PlateauSequence(optimizer, HALF)
    optimizer.step()
    del scheduler
    optimizer.step()
    assert calls == ["post", "post"]


# --- what it inherits


@pytest.mark.parametrize(
    "name",
    [
        "best",
        "num_bad_epochs",
        "in_cooldown",
        "cooldown",
        "cooldown_counter",
        "factor",
        "patience",
        "threshold",
        "threshold_mode",
        "mode_worse",
        "eps",
        "min_lrs",
        "default_min_lr",
    ],
)
def test_inherited_attributes_point_to_the_rule(name):
    _, scheduler = make(on=Patience(3))
    with pytest.raises((AttributeError, NotImplementedError), match=rf"{name}.*(scheduler\.rule|scheduler\.min_lr)"):
        getattr(scheduler, name)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("_reset", ()), ("_reduce_lr", (1,)), ("_is_better", (1.0, 2.0)), ("_init_is_better", ("min", 0.1, "rel"))],
)
def test_inherited_methods_point_to_the_rule(name, arguments):
    optimizer, scheduler = make(on=Patience(3))
    before = everything(optimizer, scheduler)
    with pytest.raises((AttributeError, NotImplementedError), match=r"scheduler\.rule"):
        getattr(scheduler, name)(*arguments)
    assert everything(optimizer, scheduler) == before


def test_an_unknown_attribute_is_an_ordinary_error():
    _, scheduler = make()
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        scheduler.nonsense  # noqa: B018
    assert not hasattr(scheduler, "__nonsense__")


# --- several processes


def refuse(*_, **__):
    raise AssertionError("communicated")


@pytest.fixture
def no_communication(monkeypatch):
    for name in dir(dist):
        if name.startswith(("all_", "broadcast", "gather", "reduce", "scatter", "send", "recv", "barrier")):
            monkeypatch.setattr(dist, name, refuse)


@pytest.mark.parametrize("sync", [None, "mean", "max", "min", "rank0"])
@pytest.mark.usefixtures("no_communication")
def test_no_communication_when_not_initialised(sync):
    _, scheduler = make(on=Cutoff(0.1) | Oscillation(), sync=sync)
    assert feed(scheduler, bumpy(9)).events == preview(HALF, Cutoff(0.1) | Oscillation(), bumpy(9), base_lr=0.1)


@pytest.mark.parametrize("sync", ["mean", "rank0"])
def test_no_communication_with_oneself(sync, request):
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    request.addfinalizer(dist.destroy_process_group)
    request.getfixturevalue("no_communication")
    _, scheduler = make(on="oscillate", sync=sync)
    assert feed(scheduler, bumpy(9)).events == preview(HALF, "oscillate", bumpy(9), base_lr=0.1)


def rank_losses(rank):
    """Return 30 losses that differ between the ranks, with a NaN on rank 1 only."""
    rng = random.Random(rank)
    losses = [2.0 * 0.9**i + rng.gauss(0, 0.2) for i in range(30)]
    if rank == 1:
        losses[7] = math.nan
    return losses


def agreed_losses(sync):
    """Return what both ranks should agree on."""
    join = {"mean": lambda a, b: (a + b) / 2, "max": max, "min": min, "rank0": lambda a, b: a}[sync]
    pairs = zip(rank_losses(0), rank_losses(1), strict=True)
    return [join(a, b) if math.isfinite(a + b) else math.nan for a, b in pairs]


def run_rank(rank, folder, syncs):
    """Train on one rank; every rank writes what it saw."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    seen = {}
    for sync in syncs:
        optimizer, scheduler = make(Inverse(), Oscillation(), sync=sync, process_group=dist.group.WORLD)
        lrs = []
        for loss in rank_losses(rank):
            optimizer.step()
            feed(scheduler, [loss, loss])  # the second call is dropped on both
            lrs += group_lrs(optimizer)
        pickle.dumps(scheduler)  # without the process group
        seen[sync] = (lrs, scheduler.events, scheduler.last_epoch, scheduler.state_dict())
    _, scheduler = make(Inverse(), Oscillation(), sync="mean")
    scheduler.step(1.0)
    if rank == 1:  # the other rank must not wait, nor pair its metric with the next one
        with pytest.raises(TypeError, match="metrics"):
            scheduler.step("no number")
    else:
        scheduler.step(0.5)
    scheduler.step(3.0 + rank)
    seen["a wrong type on rank 1"] = (scheduler.last_epoch, [event.metric for event in scheduler.events])
    dist.destroy_process_group()
    with open(f"{folder}/rank{rank}", "wb") as file:
        pickle.dump(seen, file)


def test_two_ranks_agree(tmp_path):
    syncs = ["mean", "max", "min", "rank0"]
    mp.start_processes(run_rank, args=(str(tmp_path), syncs), nprocs=2, start_method="spawn")
    first, second = (pickle.loads((tmp_path / f"rank{rank}").read_bytes()) for rank in range(2))
    assert rank_losses(0) != rank_losses(1)
    for sync in syncs:
        assert first[sync] == second[sync]
        lrs, events, epochs, _ = first[sync]
        assert epochs == 30
        expected = preview(Inverse(), Oscillation(), agreed_losses(sync), base_lr=0.1)
        assert events == expected
        assert len(events) > 2
        assert lrs[-1] == pytest.approx(0.1 / (len(events) + 1), rel=1e-15)
    assert first["a wrong type on rank 1"] == (3, [3.5])  # it saw NaN for the second, which holds
    assert second["a wrong type on rank 1"] == (2, [3.5])
