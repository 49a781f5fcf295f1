"""PlateauSequence beside torch's ReduceLROnPlateau: the same rates, the type, and what is inherited."""

import random

import pytest
import torch
from torch.optim.lr_scheduler import ChainedScheduler, LinearLR, LRScheduler, ReduceLROnPlateau, SequentialLR

from lrsched import (
    Geometric,
    Patience,
    PlateauSequence,
)
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.plateau import advance, everything, make


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


def test_attributes_that_frameworks_look_for():
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


def test_get_lr_is_the_current_learning_rates():
    optimizer, scheduler = make(on="oscillate", lrs=[0.1, 0.5])
    assert scheduler.get_lr() == [0.1, 0.5]
    advance(scheduler)
    assert scheduler.get_lr() == [0.05, 0.25] == group_lrs(optimizer)
    assert scheduler.get_lr() == [0.05, 0.25]


@pytest.mark.parametrize("kind", ["tensor", "float32"])
def test_get_last_lr_of_tensors_is_a_copy(kind):
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


def test_torchs_composites_refuse_it():
    optimizer, scheduler = make()
    linear = LinearLR(make_optimizer(), 0.5, total_iters=3)
    with pytest.raises(ValueError, match="does not support `ReduceLROnPlateau`"):
        SequentialLR(optimizer, [scheduler, linear], milestones=[3])
    with pytest.raises(ValueError, match="does not support `ReduceLROnPlateau`"):
        ChainedScheduler([scheduler], optimizer)


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


IS_BETTER = "_is_better" if hasattr(ReduceLROnPlateau, "_is_better") else "is_better"  # torch ≤ 2.8


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("_reset", ()), ("_reduce_lr", (1,)), (IS_BETTER, (1.0, 2.0)), ("_init_is_better", ("min", 0.1, "rel"))],
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
