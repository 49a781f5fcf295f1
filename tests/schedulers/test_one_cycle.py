"""OneCycleLR has the learning rates, momenta and group entries of torch's OneCycleLR, and can be resumed anywhere."""

import copy
import itertools
import json
import math
import pickle

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from lrsched import OneCycle, OneCycleLR
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.cases import CASES, quietly, started

OPTIMIZERS = {
    "SGD": lambda kind="float": make_optimizer((0.3, 0.2), kind, momentum=0.5),
    "SGD with nesterov": lambda kind="float": make_optimizer((0.3, 0.2), kind, momentum=0.5, nesterov=True),
    "Adam": lambda kind="float": make_optimizer((0.3, 0.2), kind, optimizer=torch.optim.Adam, betas=(0.5, 0.99)),
    "AdamW": lambda kind="float": make_optimizer((0.3, 0.2), kind, optimizer=torch.optim.AdamW),
    "RMSprop": lambda kind="float": make_optimizer((0.3, 0.2), kind, optimizer=torch.optim.RMSprop),
}
SIZES = [
    {"total_steps": 1},
    {"total_steps": 2, "pct_start": 0.4},
    {"epochs": 3, "steps_per_epoch": 4},
    {"total_steps": 30, "epochs": 2, "steps_per_epoch": 2},  # total_steps counts
    {"total_steps": 25, "pct_start": 0.0},
    {"total_steps": 25, "pct_start": 0.1},
    {"total_steps": 25, "pct_start": 0.5},
    {"total_steps": 25, "pct_start": 0.6},
    {"total_steps": 25, "pct_start": 1.0},
]
LIMITS = [
    {"max_lr": 0.4},
    {"max_lr": [0.4, 3.0], "base_momentum": [0.7, 0.8], "max_momentum": [0.9, 0.99]},
    {"max_lr": 0.4, "div_factor": 1.0, "final_div_factor": 1.0, "max_momentum": 0.9},
    {"max_lr": (0.4, 0.0), "div_factor": 0.5, "final_div_factor": 10.0, "base_momentum": 0.99},
    {"max_lr": torch.tensor(0.4, dtype=torch.float64), "cycle_momentum": False},
]


def hyper(optimizer):
    """Return everything that a scheduler may write, as numbers."""
    numbers = []
    for group in optimizer.param_groups:
        keys = [key for key, value in sorted(group.items()) if isinstance(value, (float, torch.Tensor))]
        numbers.append({key: float(group[key]) for key in keys} | dict(enumerate(group.get("betas", ()))))
    return numbers


def same(ours, theirs):
    for group, other in zip(hyper(ours), hyper(theirs), strict=True):
        assert group.keys() == other.keys()
        np.testing.assert_allclose([*group.values()], [other[key] for key in group], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("three_phase", [False, True])
def test_rates_momenta_and_group_entries_equal_torchs(three_phase, strategy, name):
    for size, limits in itertools.product(SIZES, LIMITS):
        kind = "tensor" if "epochs" in size else "float"
        options = {**size, **limits, "anneal_strategy": strategy, "three_phase": three_phase}
        theirs, ours = OPTIMIZERS[name](kind), OPTIMIZERS[name](kind)
        reference, scheduler = lr_scheduler.OneCycleLR(theirs, **options), OneCycleLR(ours, **options)
        assert scheduler.total_steps == reference.total_steps
        assert scheduler.base_lrs == pytest.approx([float(lr) for lr in reference.base_lrs], rel=1e-12)
        theirs.step()
        ours.step()
        for _ in range(scheduler.total_steps - 1):
            same(ours, theirs)
            reference.step()
            scheduler.step()
        same(ours, theirs)


def test_torchs_arguments_by_position():
    theirs, ours = OPTIMIZERS["SGD"](), OPTIMIZERS["SGD"]()
    arguments = (0.5, None, 4, 5, 0.4, "linear", True, 0.8, 0.9, 10.0, 100.0, True, -1)
    reference, scheduler = lr_scheduler.OneCycleLR(theirs, *arguments), OneCycleLR(ours, *arguments)
    for _ in range(19):
        same(ours, theirs)
        for stepped in (theirs, ours, reference, scheduler):
            stepped.step()
    same(ours, theirs)


def test_hand_worked_rates_and_momenta():
    """pct_start·steps − 1 = 2 is the top; then four steps down. The halves are at cos(π/2) = 0."""
    optimizer = make_optimizer((9.0,), momentum=0.5)
    scheduler = OneCycleLR(optimizer, 1.0, total_steps=7, pct_start=3 / 7, div_factor=4.0, final_div_factor=25.0)
    seen = []
    optimizer.step()
    for _ in range(9):
        seen.append((group_lrs(optimizer)[0], optimizer.param_groups[0]["momentum"]))
        scheduler.step()
    half, near = (0.25 + 1) / 2, (1 + math.sqrt(0.5)) / 2
    falls = [0.01 + 0.99 * share for share in (near, 0.5, 1 - near, 0.0, 0.0, 0.0)]  # the last value holds
    assert [lr for lr, _ in seen] == pytest.approx([0.25, half, 1.0, *falls], rel=1e-12)
    rises = [0.95 - 0.1 * share for share in (near, 0.5, 1 - near, 0.0, 0.0, 0.0)]
    assert [momentum for _, momentum in seen] == pytest.approx([0.95, 0.9, 0.85, *rises], rel=1e-12)


def test_the_momentum_rests_in_the_third_phase():
    optimizer = make_optimizer((9.0,), momentum=0.5)
    options = {"pct_start": 0.3, "anneal_strategy": "linear", "three_phase": True}
    scheduler = OneCycleLR(optimizer, 1.0, total_steps=10, **options)
    momenta = []
    optimizer.step()
    for _ in range(10):
        momenta.append(optimizer.param_groups[0]["momentum"])
        scheduler.step()
    assert momenta == pytest.approx([0.95, 0.9, 0.85, 0.9, *[0.95] * 6], rel=1e-12)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
@pytest.mark.parametrize("three_phase", [False, True])
def test_interrupted_at_any_step_equals_uninterrupted(name, three_phase):
    def new():
        optimizer = OPTIMIZERS[name]()
        scheduler = OneCycleLR(optimizer, [0.5, 0.7], total_steps=12, pct_start=0.4, three_phase=three_phase)
        optimizer.step()
        return optimizer, scheduler

    def played(optimizer, scheduler, steps):
        seen = []
        for _ in range(steps):
            scheduler.step()
            seen.append(hyper(optimizer))
        return seen

    whole = played(*new(), 16)
    for stop in range(16):
        optimizer, scheduler = new()
        played(optimizer, scheduler, stop)
        resumed, loader = new()
        loader.load_state_dict(json.loads(json.dumps(scheduler.state_dict(), allow_nan=False)))
        assert hyper(resumed) == hyper(optimizer)
        assert played(resumed, loader, 16 - stop) == whole[stop:]
        if stop:
            again = OPTIMIZERS[name]()
            again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
            options = {"total_steps": 12, "pct_start": 0.4, "three_phase": three_phase, "last_epoch": stop - 1}
            rebuilt = OneCycleLR(again, [0.5, 0.7], **options)
            again.step()
            assert played(again, rebuilt, 16 - stop) == whole[stop:]
        twin = pickle.loads(pickle.dumps(scheduler))
        assert played(twin.optimizer, twin, 16 - stop) == whole[stop:]


def test_get_lr_writes_no_momentum():
    optimizer, scheduler = started(CASES["OneCycleLR"])
    scheduler.step()
    scheduler.last_epoch = 20
    before = copy.deepcopy(optimizer.state_dict())
    quietly(scheduler.get_lr)
    assert optimizer.state_dict() == before


def test_it_takes_the_place_of_an_initial_lr_as_in_torch():
    for cls in (lr_scheduler.OneCycleLR, OneCycleLR):
        optimizer = make_optimizer((0.3,), momentum=0.9)
        lr_scheduler.ConstantLR(optimizer)
        cls(optimizer, 1.0, total_steps=10)
        assert optimizer.param_groups[0]["initial_lr"] == pytest.approx(0.04, rel=1e-12)


def test_without_cycled_momentum_the_momentum_stays_and_has_no_limits():
    optimizer, adagrad = OPTIMIZERS["SGD"](), make_optimizer(optimizer=torch.optim.Adagrad)
    scheduler = OneCycleLR(optimizer, 0.5, total_steps=5, cycle_momentum=False)
    optimizer.step()
    scheduler.step()
    assert [group["momentum"] for group in optimizer.param_groups] == [0.5, 0.5]
    assert not {"max_momentum", "base_momentum"} & set(optimizer.param_groups[0])
    assert scheduler.state_dict()["momenta"] == []
    OneCycleLR(adagrad, 0.5, total_steps=5, cycle_momentum=False)


def test_a_tensor_beta_is_filled_in_place():
    betas = (torch.tensor(0.5), torch.tensor(0.99))
    optimizer = make_optimizer((0.1,), optimizer=torch.optim.Adam, betas=betas, capturable=True, foreach=False)
    scheduler = OneCycleLR(optimizer, 0.5, total_steps=10)
    assert optimizer.param_groups[0]["betas"][0] is betas[0]
    assert float(betas[0]) == pytest.approx(0.95)
    scheduler.load_state_dict({**scheduler.state_dict(), "momenta": [0.7]})
    assert optimizer.param_groups[0]["betas"][0] is betas[0]
    assert float(betas[0]) == pytest.approx(0.7)


def test_a_new_group_follows_the_cycle_and_gets_the_entries():
    optimizer, scheduler = started(CASES["OneCycleLR"])
    for _ in range(3):
        scheduler.step()
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "lr": 0.3})
    scheduler.step()
    first, new = optimizer.param_groups[0], optimizer.param_groups[2]
    assert {key: new[key] for key in first if key != "params"} == {k: v for k, v in first.items() if k != "params"}
    assert first["min_lr"] == pytest.approx(0.4 / 250_000)
    assert scheduler.base_lrs == [0.4 / 25] * 3


def test_one_formula_gives_the_rates():
    scheduler = OneCycleLR(OPTIMIZERS["SGD"](), 0.5, total_steps=20, div_factor=4.0, final_div_factor=2.0)
    assert scheduler.sequence == OneCycle(20, start=0.25, end=0.125)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ValueError, r"^total_steps, or both epochs and steps_per_epoch, must be given, got total_steps=None, epo"),
        ({"epochs": 3}, ValueError, r"must be given, got total_steps=None, epochs=3, steps_per_epoch=None$"),
        ({"steps_per_epoch": 3}, ValueError, r"must be given, got total_steps=None, epochs=None, steps_per_epoch=3$"),
        ({"epochs": 0, "steps_per_epoch": 3}, ValueError, "^epochs must be an integer >= 1, got 0$"),
        ({"epochs": 2, "steps_per_epoch": 0.5}, TypeError, r"^steps_per_epoch must be an integer, got 0\.5"),
        ({"total_steps": 0}, ValueError, "^total_steps must be an integer >= 1, got 0$"),
        ({"total_steps": 9.0}, TypeError, r"^total_steps must be an integer, got 9\.0"),
        ({"total_steps": 9, "pct_start": 1.5}, ValueError, r"^pct_start must be finite, >= 0 and <= 1, got 1\.5"),
        ({"total_steps": 9, "anneal_strategy": "x"}, ValueError, "^anneal_strategy must be one of 'cos', 'linear'"),
        ({"total_steps": 9, "div_factor": 0}, ValueError, "^div_factor must be finite, > 0, got 0"),
        ({"total_steps": 9, "final_div_factor": -1}, ValueError, "^final_div_factor must be finite, > 0, got -1"),
        ({"total_steps": 9, "max_momentum": [0.9]}, ValueError, "^max_momentum must have one entry per param group: 1"),
    ],
)
def test_bad_arguments_are_named_and_the_optimizer_stays_as_it_was(options, error, message):
    optimizer = OPTIMIZERS["SGD"]()
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(error, match=message):
        OneCycleLR(optimizer, 0.5, **options)
    assert optimizer.state_dict() == before
    assert "step" not in vars(optimizer)


def test_a_momentum_that_is_cycled_must_exist():
    message = (
        r"^optimizer must have momentum or betas with cycle_momentum=True, got Adagrad: pass cycle_momentum=False$"
    )
    with pytest.raises(ValueError, match=message):
        OneCycleLR(make_optimizer(optimizer=torch.optim.Adagrad), 0.5, total_steps=5)
