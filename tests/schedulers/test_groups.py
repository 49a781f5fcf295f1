"""Param groups: base learning rates, tensors that are written in place, floors, groups that are added later."""

import copy
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from lrsched import CyclicLR, GeometricLR, ImageLR, Inverse, InverseLR, OneCycleLR, Sequence, SequenceLR
from lrsched.schedulers._groups import assign
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.cases import BASES, CASES, PICTURE, every_kind, every_stepwise_kind, mixed, started, step


def new_group(lr, **options):
    return {"params": [nn.Parameter(torch.ones(1))], "lr": lr, **options}


# ---- base rates


@pytest.mark.parametrize("kind", ["float", "int", "numpy", "tensor", "float32"])
def test_base_rates_are_python_floats_whatever_the_groups_hold(kind):
    optimizer = make_optimizer((1.0, 2.0), kind)
    scheduler = InverseLR(optimizer)
    assert scheduler.base_lrs == [1.0, 2.0]
    assert [type(base) for base in scheduler.base_lrs] == [float, float]
    assert [float(group["initial_lr"]) for group in optimizer.param_groups] == [1.0, 2.0]


@pytest.mark.parametrize("initial", [0.5, 1, np.float32(0.5), torch.tensor(0.5)], ids=repr)
def test_an_initial_lr_is_the_base_and_the_present_rate_is_the_start(initial):
    optimizer = make_optimizer((0.007,))
    optimizer.param_groups[0]["initial_lr"] = initial
    scheduler = InverseLR(optimizer)
    assert scheduler.base_lrs == [float(initial)]
    assert group_lrs(optimizer) == pytest.approx([0.007], rel=1e-12)
    assert optimizer.param_groups[0]["initial_lr"] is initial
    optimizer.step()
    scheduler.step()
    assert group_lrs(optimizer) == pytest.approx([0.0035], rel=1e-12)


def test_a_rate_edited_by_the_user_is_where_the_next_write_starts():
    optimizer, scheduler = started(CASES["InverseLR"], make_optimizer((0.1,)))
    scheduler.step()
    optimizer.param_groups[0]["lr"] = 0.007
    InverseLR(optimizer)
    assert group_lrs(optimizer) == pytest.approx([0.007], rel=1e-12)
    optimizer.param_groups[0]["lr"] = 0.009
    scheduler.step()  # from 1/2 to 1/3
    assert group_lrs(optimizer) == pytest.approx([0.006], rel=1e-12)


# ---- tensors in place


def test_types_stay_and_tensors_are_the_same_object():
    tensor = torch.tensor(0.01)
    optimizer = make_optimizer((1.0, np.float64(0.1), 1, tensor), "asis")
    scheduler = InverseLR(optimizer)
    optimizer.step()
    for k in range(1, 101):
        scheduler.step()
        assert group_lrs(optimizer) == pytest.approx([1 / (k + 1), 0.1 / (k + 1), 1 / (k + 1), 0.01 / (k + 1)])
    state = scheduler.state_dict()
    scheduler.step()
    scheduler.load_state_dict(state)
    assert [type(group["lr"]) for group in optimizer.param_groups] == [float, float, float, torch.Tensor]
    assert optimizer.param_groups[3]["lr"] is tensor
    assert tensor.item() == pytest.approx(0.01 / 101)
    last = scheduler.get_last_lr()
    assert [type(lr) for lr in last] == [float, float, float, torch.Tensor]
    assert last[3] is not tensor
    last[3].fill_(7.0)
    last[0] = 7.0
    assert tensor.item() == pytest.approx(0.01 / 101)
    assert scheduler.get_last_lr()[0] == pytest.approx(1 / 101)
    assert float(scheduler.get_last_lr()[3]) == pytest.approx(0.01 / 101)


@every_kind
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_tensor_keeps_identity_type_and_shape_and_holds_the_nearest_value(case, dtype):
    scalar, one = torch.tensor(0.5, dtype=dtype), torch.tensor([0.5], dtype=dtype)
    optimizer = make_optimizer((scalar, one), "asis", momentum=0.9)
    scheduler = case.make(optimizer)
    optimizer.step()
    for k in range(20):
        groups = optimizer.param_groups
        assert groups[0]["lr"] is scalar
        assert groups[1]["lr"] is one
        nearest = torch.tensor(case.lr(0.5, k), dtype=torch.float64).to(dtype)
        for tensor in (scalar, one):
            torch.testing.assert_close(tensor.reshape(()), nearest, rtol=max(torch.finfo(dtype).eps, 1e-12), atol=0.0)
        step(scheduler)


@every_kind
def test_mutating_the_tensor_leaves_the_base_rates_alone(case):
    optimizer, scheduler = started(case)
    tensor = optimizer.param_groups[1]["lr"]
    base, initial = list(scheduler.base_lrs), float(optimizer.param_groups[1]["initial_lr"])
    assert optimizer.param_groups[1]["initial_lr"] is not tensor
    tensor.fill_(123.0)
    assert scheduler.base_lrs == base
    assert float(optimizer.param_groups[1]["initial_lr"]) == initial
    step(scheduler)
    before, after = case.lrs(0), case.lrs(1)
    if not case.names_limits:
        after[1] *= 123.0 / before[1]
    assert group_lrs(optimizer) == pytest.approx(after, rel=1e-12)


def test_arguments_that_are_tensors_are_copied():
    def tensors():
        return [torch.tensor(value, dtype=torch.float64) for value in (0.1, 0.3, 0.8, 0.9)]

    rates = tensors()
    optimizer = make_optimizer((0.5,), momentum=0.9)
    scheduler = CyclicLR(optimizer, rates[0], rates[1], 2, base_momentum=rates[2], max_momentum=rates[3])
    floor, gamma = torch.tensor(0.2, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)
    other = make_optimizer((1.0,))
    geometric = GeometricLR(other, gamma=gamma, min_lr=floor)
    low, high = tensors()[:2]
    pixels = make_optimizer((1.0,))
    image = ImageLR(pixels, PICTURE, 60, low, high)
    for tensor in (*rates, floor, gamma, low, high):
        tensor.fill_(77.0)
    for stepped in (optimizer, other, pixels):
        stepped.step()
    for follower in (scheduler, geometric, image):
        follower.step()
    assert group_lrs(optimizer) == pytest.approx([0.2])
    assert type(optimizer.param_groups[0]["lr"]) is float
    assert optimizer.param_groups[0]["momentum"] == pytest.approx(0.85)
    assert group_lrs(other) == [0.5]
    assert group_lrs(pixels) == pytest.approx([0.1 + 0.2 * int(PICTURE.ravel()[1]) / 255])
    for _ in range(4):
        geometric.step()
    assert group_lrs(other) == [0.2]


# ---- limits


def test_the_floor_is_the_smaller_of_min_lr_and_base_lr():
    optimizer = make_optimizer((1.0, 0.001, 0.1))
    scheduler = GeometricLR(optimizer, gamma=0.5, min_lr=0.1)
    assert group_lrs(optimizer) == [1.0, 0.001, 0.1]
    optimizer.step()
    for k in range(1, 8):
        scheduler.step()
        assert group_lrs(optimizer) == [max(0.5**k, 0.1), 0.001, 0.1]


def test_min_lr_for_each_group():
    optimizer = make_optimizer((1.0, 1.0))
    scheduler = GeometricLR(optimizer, gamma=0.5, min_lr=[0.3, 0.0])
    optimizer.step()
    for k in range(1, 8):
        scheduler.step()
        assert group_lrs(optimizer) == [max(0.5**k, 0.3), 0.5**k]
    assert scheduler.min_lr == [0.3, 0.0]


def test_min_lr_holds_from_the_first_rate():
    optimizer = make_optimizer((1.0,))
    SequenceLR(optimizer, Inverse().scaled(0.1), min_lr=0.25)
    assert group_lrs(optimizer) == [0.25]


def test_a_group_at_zero_stays_there():
    for case in ("InverseLR", "GeometricLR floor"):
        optimizer = make_optimizer((0.0, 0.5))
        scheduler = CASES["InverseLR"].make(optimizer, min_lr=0.1 if "floor" in case else 0.0)
        optimizer.step()
        for k in range(1, 5):
            scheduler.step()
            assert group_lrs(optimizer) == [0.0, max(0.5 / (k + 1), 0.1 if "floor" in case else 0.0)]


# ---- groups that come and go


@every_kind
@pytest.mark.parametrize("lr", [0.3, torch.tensor(0.3, dtype=torch.float64)], ids=["float", "tensor"])
def test_a_new_group_continues_from_its_own_lr_which_is_its_base(case, lr):
    optimizer, scheduler = started(case)
    for _ in range(5):
        step(scheduler)
    optimizer.add_param_group(new_group(lr if isinstance(lr, float) else lr.clone()))
    added = optimizer.param_groups[2]["lr"]
    for k in (6, 7):
        step(scheduler)
        last = scheduler.get_last_lr()
        assert len(last) == 3
        assert group_lrs(optimizer)[:2] == pytest.approx(case.lrs(k), rel=1e-12)
        if not case.names_limits:
            assert scheduler.base_lrs[2] == 0.3
            expected = 0.3 * case.lr(1.0, k) / case.lr(1.0, 5)
            assert float(last[2]) == group_lrs(optimizer)[2] == pytest.approx(expected, rel=1e-12)
    assert type(optimizer.param_groups[2]["lr"]) is type(added)
    assert isinstance(added, float) or optimizer.param_groups[2]["lr"] is added


@pytest.mark.parametrize("name", ["CyclicLR", "ImageLR", "OneCycleLR"])
def test_a_new_group_gets_the_limits_that_the_class_names(name):
    optimizer, scheduler = started(CASES[name])
    optimizer.add_param_group(new_group(0.02))
    for k in range(1, 6):
        scheduler.step()
        assert group_lrs(optimizer) == pytest.approx([*CASES[name].lrs(k), CASES[name].lr(0.02, k)], rel=1e-12)


def test_a_new_group_has_its_momentum_cycled():
    optimizer, scheduler = started(CASES["CyclicLR"])
    optimizer.add_param_group(new_group(0.05))
    scheduler.step()
    first, _, last = (group["momentum"] for group in optimizer.param_groups)
    assert last == first == pytest.approx(0.9 - 0.1 / 3)


def test_a_new_group_has_its_initial_lr_as_base_if_it_has_one():
    optimizer, scheduler = started(CASES["InverseLR"])
    optimizer.add_param_group(new_group(0.3, initial_lr=0.8))
    scheduler.step()
    assert group_lrs(optimizer)[2] == 0.4


def test_a_new_group_leaves_the_initial_lr_of_the_others_at_their_base():
    optimizer, scheduler = started(CASES["InverseLR"])
    for _ in range(4):
        scheduler.step()
    for group in optimizer.param_groups:
        del group["initial_lr"]  # as if an optimizer state saved without a scheduler had been loaded
    optimizer.add_param_group(new_group(0.3))
    scheduler.step()
    bases = [*BASES, 0.3]
    assert [group.get("initial_lr", base) for group, base in zip(optimizer.param_groups, bases, strict=True)] == bases


def test_a_new_group_adopted_by_a_load_has_its_momentum_cycled():
    saved = make_optimizer((0.1, 0.1, 0.1), momentum=0.9)
    state = CASES["CyclicLR"].make(saved).state_dict()
    optimizer, scheduler = started(CASES["CyclicLR"])
    optimizer.add_param_group(new_group(0.1))
    scheduler.load_state_dict(state)
    scheduler.step()
    first, _, last = (group["momentum"] for group in optimizer.param_groups)
    assert last == first == pytest.approx(0.9 - 0.1 / 3)


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda opt: SequenceLR(opt, [Inverse(), Inverse()]), "sequence"),
        (lambda opt: InverseLR(opt, min_lr=[0.1, 0.2]), "min_lr"),
        (lambda opt: CyclicLR(opt, [0.1, 0.2], 0.3), "base_lr"),
        (lambda opt: CyclicLR(opt, 0.1, [0.3, 0.4]), "max_lr"),
        (lambda opt: CyclicLR(opt, 0.1, 0.3, base_momentum=[0.7, 0.8]), "base_momentum"),
        (lambda opt: CyclicLR(opt, 0.1, 0.3, max_momentum=[0.8, 0.9]), "max_momentum"),
        (lambda opt: OneCycleLR(opt, [0.3, 0.4], 10), "max_lr"),
        (lambda opt: OneCycleLR(opt, 0.3, 10, base_momentum=[0.7, 0.8]), "base_momentum"),
    ],
)
def test_a_new_group_beside_lists_is_refused_and_both_counts_named(make, argument):
    optimizer = mixed()
    scheduler = make(optimizer)
    optimizer.step()
    scheduler.step()
    optimizer.add_param_group(new_group(0.3))
    before = (copy.deepcopy(optimizer.state_dict()), scheduler.last_epoch, scheduler.get_last_lr())
    for _ in range(2):
        with pytest.raises(ValueError, match=rf"(?s)(?=.*{argument})(?=.*\b2\b)(?=.*\b3\b)"):
            scheduler.step()
        assert (optimizer.state_dict(), scheduler.last_epoch, scheduler.get_last_lr()) == before


@every_stepwise_kind
def test_step_with_an_epoch_adopts_a_new_group(case):
    optimizer, scheduler = started(case)
    optimizer.add_param_group(new_group(0.3))
    with pytest.warns(UserWarning, match="epoch parameter"):
        scheduler.step(4)
    assert group_lrs(optimizer)[:2] == pytest.approx(case.lrs(4), rel=1e-12)
    assert len(scheduler.get_last_lr()) == 3


@every_kind
def test_groups_and_tensors_that_a_load_of_the_optimizer_replaced_are_written(case):
    optimizer, scheduler = started(case)
    for _ in range(3):
        step(scheduler)
    old_groups, old_tensor = optimizer.param_groups, optimizer.param_groups[1]["lr"]
    held = old_tensor.item()
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    tensor = optimizer.param_groups[1]["lr"]
    assert optimizer.param_groups[0] is not old_groups[0]
    assert tensor is not old_tensor
    step(scheduler)
    assert group_lrs(optimizer) == pytest.approx(case.lrs(4), rel=1e-12)
    assert optimizer.param_groups[1]["lr"] is tensor
    assert old_tensor.item() == held


def test_each_of_many_groups_has_its_own_base():
    bases = [0.001 * (i + 1) for i in range(100)]
    optimizer = make_optimizer([base if i % 2 else torch.tensor(base) for i, base in enumerate(bases)], "asis")
    scheduler = InverseLR(optimizer)
    optimizer.step()
    scheduler.step()
    assert group_lrs(optimizer) == pytest.approx([base / 2 for base in bases], rel=1e-6)
    assert scheduler.base_lrs == pytest.approx(bases, rel=1e-6)


@pytest.mark.parametrize("make", [np.float64, np.float32, torch.tensor, int], ids=lambda make: make.__name__)
@pytest.mark.parametrize("per_group", [False, True])
def test_a_users_sequence_may_return_any_number_and_the_rates_stay_floats(make, per_group):
    @dataclass(frozen=True)
    class Users(Sequence):
        def _at(self, k):
            return make(1.0)

    optimizer = make_optimizer(BASES)
    scheduler = SequenceLR(optimizer, [Users()] * len(BASES) if per_group else Users())
    assert [type(group["lr"]) for group in optimizer.param_groups] == [float] * len(BASES)
    assert [type(lr) for lr in scheduler.get_last_lr()] == [float] * len(BASES)


def test_a_new_group_beside_a_list_of_limits_changes_nothing():
    optimizer = make_optimizer(BASES, momentum=0.9)
    scheduler = CyclicLR(optimizer, 0.1, [0.2] * len(BASES))
    optimizer.add_param_group(new_group(0.3))
    optimizer.step()
    for _ in range(2):
        with pytest.raises(ValueError, match=f"max_lr .*{len(BASES)} entries for {len(BASES) + 1}"):
            scheduler.step()
    assert scheduler.last_epoch == 0


def test_a_learning_rate_that_is_a_tensor_of_integers_is_refused():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=torch.tensor(1))
    with pytest.raises(TypeError, match="tensor of floats"):
        SequenceLR(optimizer, Inverse())


def test_lists_that_are_returned_are_copies():
    optimizer = make_optimizer(BASES)
    scheduler = SequenceLR(optimizer, [Inverse()] * len(BASES), min_lr=[0.01] * len(BASES))
    scheduler.min_lr.append(3.0)
    scheduler.sequence.append(None)
    scheduler.base_lrs.append(3.0)
    assert scheduler.min_lr == [0.01] * len(BASES)
    assert scheduler.sequence == [Inverse()] * len(BASES)
    assert scheduler.base_lrs == list(BASES)


# ---- a user's own rates


def test_assigned_rates_fill_tensors_and_replace_anything_else():
    optimizer = make_optimizer((torch.tensor(0.5), torch.tensor([0.5]), 0.5, 0.5), "asis")
    first, second = (group["lr"] for group in optimizer.param_groups[:2])
    third = torch.tensor(0.125)
    assign(optimizer, [0.25, torch.tensor([0.75]), third, 2])
    lrs = [group["lr"] for group in optimizer.param_groups]
    assert (lrs[0] is first, lrs[1] is second, lrs[2] is third) == (True, True, True)
    assert [float(lr) for lr in lrs] == [0.25, 0.75, 0.125, 2.0]
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        assign(optimizer, [0.25])
