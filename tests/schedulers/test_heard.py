"""Whoever else writes a learning rate is respected: torch's chainable schedulers do it, and so do ours."""

import copy
import math

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    ReduceLROnPlateau,
    SequentialLR,
)

import lrsched
from lrsched import (
    Cosine,
    Geometric,
    GeometricLR,
    Inverse,
    InverseSqrt,
    Patience,
    PlateauSequence,
    Rule,
    SequenceLR,
    Values,
    Warmup,
    set_lr,
)
from tests.versions import ignore_step_of_sequential

STEPS = 200
BASES = {1: [0.1], 3: [0.1, 0.02, 1.5]}


def optimizer_of(bases, kind="float"):
    lrs = [torch.tensor(base) if kind == "tensor" else base for base in bases]
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in lrs]
    return torch.optim.SGD(groups, lr=1.0)


def rates(optimizer):
    return [float(group["lr"]) for group in optimizer.param_groups]


# ---------------------------------------------------------------- every class beside every chainable one

OURS = {  # class → how to make it, and its sequence, written out by hand
    "SequenceLR": (lambda o: SequenceLR(o, InverseSqrt()), lambda k: 1 / math.sqrt(k + 1)),
    "InverseLR": (lrsched.InverseLR, lambda k: 1 / (k + 1)),
    "InverseSqrtLR": (lrsched.InverseSqrtLR, lambda k: (k + 1) ** -0.5),
    "GeometricLR": (lambda o: GeometricLR(o, 0.97), lambda k: 0.97**k),
    "SawtoothLR": (lrsched.SawtoothLR, lambda k: (1 - k % 10 / 10) / ((k + 1) // 10 + 1)),
    "ExponentialDecayLR": (lambda o: lrsched.ExponentialDecayLR(o, 0.02), lambda k: math.exp(-0.02 * k)),
    "StepDecayLR": (lambda o: lrsched.StepDecayLR(o, 0.8, 30), lambda k: 0.8 ** ((1 + k) // 30)),
    "TimeDecayLR": (
        lambda o: lrsched.TimeDecayLR(o, 1e-4),
        lambda k: float(np.prod([1 / (1 + 1e-4 * i) for i in range(1, k)])),
    ),
    "PlateauSequence": (lambda o: PlateauSequence(o, Geometric(0.9), on=Always()), lambda k: 0.9**k),
}
THEIRS = {
    "LinearLR": lambda o: LinearLR(o, 0.25, 1.0, 40),
    "ConstantLR": lambda o: ConstantLR(o, 0.5, 25),
    "ExponentialLR": lambda o: ExponentialLR(o, 0.99),
    "MultiStepLR": lambda o: MultiStepLR(o, [20, 90], 0.3),
    "CosineAnnealingLR": lambda o: CosineAnnealingLR(o, 300),
    "ours": lambda o: SequenceLR(o, Cosine(300)),
}


class Always(Rule):
    """Advance at every metric, so that a PlateauSequence can be compared with schedulers that count steps."""

    def update(self, metric, mode):
        return "always"


def torchs(factor):
    """Return torch's chainable form of a sequence: it multiplies the present rate by f(k)/f(k − 1)."""

    def make(optimizer):
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", float(group["lr"]))
            lr = group["lr"]
            group["lr"] = lr.mul_(factor(0)) if isinstance(lr, torch.Tensor) else lr * factor(0)
        return MultiplicativeLR(optimizer, lambda k: factor(k) / factor(k - 1))

    return make


def pair_of_torch(name):
    """Return torch's counterpart of THEIRS[name]."""
    return torchs(lambda k: (1 + math.cos(math.pi * min(k, 300) / 300)) / 2) if name == "ours" else THEIRS[name]


def train(first, second, bases, kind, swapped):
    """Return the rates of STEPS steps with two schedulers, made in this order, stepped in this or the other one."""
    optimizer = optimizer_of(bases, kind)
    schedulers = [first(optimizer), second(optimizer)]
    seen = [rates(optimizer)]
    for _ in range(STEPS):
        optimizer.step()
        for scheduler in schedulers[:: -1 if swapped else 1]:
            scheduler.step(*[1.0] * isinstance(scheduler, ReduceLROnPlateau))
        seen.append(rates(optimizer))
    return np.array(seen)


@pytest.mark.parametrize("swapped", [False, True], ids=["in order", "swapped"])
@pytest.mark.parametrize("ours_first", [True, False], ids=["ours first", "theirs first"])
@pytest.mark.parametrize(("kind", "groups", "rel"), [("float", 1, 1e-9), ("float", 3, 1e-9), ("tensor", 3, 1e-4)])
@pytest.mark.parametrize("theirs", THEIRS)
@pytest.mark.parametrize("ours", OURS)
def test_two_schedulers_multiply_as_torchs_do(ours, theirs, kind, groups, rel, ours_first, swapped):
    make, factor = OURS[ours]
    pairs = [(make, THEIRS[theirs]), (torchs(factor), pair_of_torch(theirs))]
    found, expected = (train(*(pair if ours_first else pair[::-1]), BASES[groups], kind, swapped) for pair in pairs)
    np.testing.assert_allclose(found, expected, rtol=rel, atol=0)


@pytest.mark.parametrize("ours", OURS)
def test_alone_the_closed_form_holds_bit_for_bit(ours):
    optimizer = optimizer_of(BASES[3])
    scheduler = OURS[ours][0](optimizer)
    for k in range(STEPS):
        assert rates(optimizer) == [base * scheduler.sequence(k) for base in BASES[3]]
        optimizer.step()
        scheduler.step(*[1.0] * (ours == "PlateauSequence"))


def test_three_in_torchs_chain_multiply():
    optimizer = optimizer_of([0.4])
    chain = ChainedScheduler(
        [GeometricLR(optimizer, 0.5), ExponentialLR(optimizer, 0.9), SequenceLR(optimizer, Inverse())]
    )
    for k in range(1, 6):
        optimizer.step()
        chain.step()
        assert rates(optimizer) == pytest.approx([0.4 * 0.5**k * 0.9**k / (k + 1)], rel=1e-12)


@ignore_step_of_sequential
def test_in_torchs_sequential_the_rates_are_absolute():
    optimizer = optimizer_of([0.4])
    warmup, decay = LinearLR(optimizer, 0.25, 1.0, 4), GeometricLR(optimizer, 0.5)
    scheduler = SequentialLR(optimizer, [warmup, decay], [4])
    seen = rates(optimizer)
    for _ in range(6):
        optimizer.step()
        scheduler.step()
        seen += rates(optimizer)
    assert seen == pytest.approx([0.1, 0.175, 0.25, 0.325, 0.4, 0.2, 0.1], rel=1e-12)


@pytest.mark.filterwarnings("ignore:The epoch parameter")
def test_a_step_to_an_epoch_is_absolute():
    optimizer = optimizer_of([0.4])
    scheduler = GeometricLR(optimizer, 0.5)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.1
    scheduler.step()
    assert rates(optimizer) == [0.05]
    scheduler.step(2)
    assert rates(optimizer) == [0.1]


# ---------------------------------------------------------------- edits by hand


@pytest.mark.parametrize("kind", ["float", "tensor"])
def test_an_edit_by_hand_is_the_start_of_what_follows(kind):
    optimizer = optimizer_of([0.5, 2.0], kind)
    scheduler = SequenceLR(optimizer, Values([1.0, 0.5, 0.25, 0.125]))
    optimizer.step()
    scheduler.step()
    group = optimizer.param_groups[0]
    group["lr"] = group["lr"].fill_(0.8) if kind == "tensor" else 0.8
    optimizer.step()
    scheduler.step()
    assert rates(optimizer) == pytest.approx([0.4, 0.5], rel=1e-6)
    assert scheduler.base_lrs == [0.5, 2.0]
    assert [float(lr) for lr in scheduler.get_last_lr()] == pytest.approx([0.4, 0.5], rel=1e-6)


def test_writing_the_same_rate_again_changes_nothing():
    optimizer = optimizer_of([0.1], "tensor")
    scheduler = GeometricLR(optimizer, 0.9)
    for k in range(1, 50):
        optimizer.param_groups[0]["lr"].fill_(optimizer.param_groups[0]["lr"].item())
        optimizer.step()
        scheduler.step()
        assert scheduler._rates.scales == [1.0]
        assert rates(optimizer) == pytest.approx([float(torch.tensor(0.1)) * 0.9**k], rel=1e-6)


@pytest.mark.parametrize("edit", [0.0, math.nan, math.inf, -0.1])
def test_a_rate_that_cannot_be_scaled_leaves_the_old_scale(edit):
    optimizer = optimizer_of([0.4])
    scheduler = GeometricLR(optimizer, 0.5)
    optimizer.param_groups[0]["lr"] = edit
    optimizer.step()
    scheduler.step()
    assert rates(optimizer) == [0.2]


def test_nothing_can_be_made_of_a_rate_that_was_written_as_0():
    optimizer = optimizer_of([0.4])
    scheduler = SequenceLR(optimizer, Values([0.0, 0.5]))
    optimizer.param_groups[0]["lr"] = 0.3
    optimizer.step()
    scheduler.step()
    assert rates(optimizer) == [0.2]


def test_a_scheduler_starts_from_the_present_rate():
    optimizer = optimizer_of([0.4])
    optimizer.param_groups[0]["initial_lr"] = 1.6  # as an earlier scheduler has left it
    scheduler = SequenceLR(optimizer, Values([0.5, 0.25]))
    assert rates(optimizer) == [0.2]
    assert scheduler.base_lrs == [1.6]
    optimizer.step()
    scheduler.step()
    assert rates(optimizer) == [0.1]


def test_a_present_rate_of_0_starts_from_the_base():
    optimizer = optimizer_of([0.0])
    optimizer.param_groups[0]["initial_lr"] = 1.6
    GeometricLR(optimizer, 0.5)
    assert rates(optimizer) == [1.6]


def test_the_closed_form_has_the_scale_in_it():
    optimizer = optimizer_of([0.4])
    scheduler = GeometricLR(optimizer, 0.5)
    optimizer.param_groups[0]["lr"] = 0.8
    optimizer.step()
    scheduler.step()
    assert scheduler._get_closed_form_lr() == [0.4]


def test_classes_with_named_limits_own_the_rate():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5, momentum=0.9)
    scheduler = lrsched.CyclicLR(optimizer, base_lr=0.0, max_lr=1.0, step_size_up=4)
    optimizer.param_groups[0]["lr"] = 123.0
    optimizer.step()
    scheduler.step()
    assert rates(optimizer) == [0.25]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.filterwarnings("ignore:This instance was constructed with capturable=True")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_looking_at_a_rate_on_a_gpu_waits_for_nothing():
    lr = torch.tensor(0.1, device="cuda")
    parameter = torch.zeros(1, device="cuda", requires_grad=True)
    optimizer = torch.optim.Adam([parameter], lr=lr, capturable=True)
    scheduler = GeometricLR(optimizer, 0.9)
    optimizer.step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            scheduler.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


# ---------------------------------------------------------------- groups that come later


def later(lr, **options):
    return {"params": [torch.zeros(1, requires_grad=True)], "lr": lr, **options}


def test_a_group_that_comes_later_goes_on_from_its_own_rate():
    ours, theirs = optimizer_of([0.1]), optimizer_of([0.1])
    schedulers = GeometricLR(ours, 0.8), ExponentialLR(theirs, 0.8)
    for step in range(20):
        for optimizer, scheduler in zip((ours, theirs), schedulers, strict=True):
            if step == 10:  # as Lightning's unfreeze_and_add_param_group does
                optimizer.add_param_group(later(optimizer.param_groups[0]["lr"] / 10))
            optimizer.step()
            scheduler.step()
        assert rates(ours) == pytest.approx(rates(theirs), rel=1e-12)


def test_a_group_that_brings_an_initial_lr_has_it_as_its_base():
    optimizer = optimizer_of([0.1])
    scheduler = GeometricLR(optimizer, 0.5)
    optimizer.step()
    scheduler.step()
    optimizer.add_param_group(later(0.3, initial_lr=1.6))
    optimizer.step()
    scheduler.step()
    assert rates(optimizer) == [0.025, 0.4]


def test_a_group_that_comes_while_the_factor_is_0_has_its_rate_as_its_base():
    optimizer = optimizer_of([0.1])
    scheduler = SequenceLR(optimizer, Values([0.0, 0.5]))
    optimizer.add_param_group(later(1.6))
    optimizer.step()
    scheduler.step()
    assert rates(optimizer) == [0.05, 0.8]


def test_a_plateau_leaves_a_new_group_alone_until_it_advances():
    optimizer = optimizer_of([0.1])
    scheduler = PlateauSequence(optimizer, Geometric(0.1), on=Patience(0))
    for loss in (1.0, 1.0, 1.0):
        optimizer.step()
        scheduler.step(loss)
    optimizer.add_param_group(later(1e-4))
    optimizer.step()
    scheduler.step(0.1)
    assert rates(optimizer) == pytest.approx([1e-3, 1e-4], rel=1e-12)
    optimizer.step()
    scheduler.step(0.2)
    assert rates(optimizer) == pytest.approx([1e-4, 1e-5], rel=1e-12)


def test_an_edit_in_place_between_adoption_and_the_next_event_is_heard():
    optimizer = optimizer_of([0.1], "tensor")
    scheduler = PlateauSequence(optimizer, Geometric(0.5), on=Patience(0))
    lr = torch.tensor(0.4)
    optimizer.add_param_group(later(lr))
    optimizer.step()
    scheduler.step(1.0)
    lr.fill_(0.8)
    optimizer.step()
    scheduler.step(2.0)
    assert rates(optimizer) == pytest.approx([0.05, 0.4], rel=1e-6)


# ---------------------------------------------------------------- a plateau


def test_a_plateau_keeps_what_a_finder_wrote():
    optimizer = optimizer_of([0.5])
    scheduler = PlateauSequence(optimizer, Geometric(0.5), on=Patience(1))
    set_by_hand = optimizer.param_groups[0]
    set_by_hand["lr"] = 4e-6
    seen = []
    for _ in range(6):
        optimizer.step()
        scheduler.step(1.0)
        seen += rates(optimizer)
    assert seen == pytest.approx([4e-06, 4e-06, 2e-06, 2e-06, 1e-06, 1e-06], rel=1e-12)


LOSSES = [1.0, 1.0, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05]  # one bad epoch, within the warm-up


@pytest.mark.parametrize(
    "warmup",
    [lambda o: LinearLR(o, 0.1, 1.0, 6), lambda o: SequenceLR(o, Warmup(6, 0.1))],
    ids=["torch's warm-up", "our warm-up"],
)
@pytest.mark.parametrize("plateau_first", [True, False])
def test_a_warm_up_beside_a_plateau_ends_at_the_reduced_rate(warmup, plateau_first):
    optimizer = optimizer_of([0.1])
    plateau = PlateauSequence(optimizer, Geometric(0.5), on=Patience(0))
    beside = warmup(optimizer)
    for loss in LOSSES:
        optimizer.step()
        if plateau_first:
            plateau.step(loss)
        beside.step()
        if not plateau_first:
            plateau.step(loss)
    assert rates(optimizer) == pytest.approx([0.05], rel=1e-12)
    optimizer.step()
    beside.step()
    assert rates(optimizer) == pytest.approx([0.05], rel=1e-12)


def test_a_plateau_writes_at_events_only():
    optimizer = optimizer_of([0.4])
    scheduler = PlateauSequence(optimizer, Geometric(0.5), on=Patience(1))
    for loss, edit in ((1.0, 0.3), (0.9, 0.2), (0.8, 0.1)):
        optimizer.param_groups[0]["lr"] = edit
        optimizer.step()
        scheduler.step(loss)
        assert rates(optimizer) == [edit]


# ---------------------------------------------------------------- set_lr


def test_set_lr_keeps_the_ratios_of_the_groups():
    optimizer = optimizer_of([0.4, 0.1, 0.0])
    set_lr(optimizer, 0.2)
    assert rates(optimizer) == pytest.approx([0.2, 0.05, 0.0], rel=1e-12)
    assert [group["initial_lr"] for group in optimizer.param_groups] == rates(optimizer)


def test_set_lr_takes_a_rate_for_each_group_and_fills_tensors():
    optimizer = optimizer_of([0.4, 0.1], "tensor")
    tensors = [group["lr"] for group in optimizer.param_groups]
    set_lr(optimizer, [0.25, 0.5])
    assert rates(optimizer) == [0.25, 0.5]
    assert all(group["lr"] is tensor for group, tensor in zip(optimizer.param_groups, tensors, strict=True))


@pytest.mark.parametrize("sequence", [Cosine(10), Warmup(10, 0.1), Warmup(10)], ids=repr)
def test_schedulers_go_on_from_what_set_lr_sets(sequence):
    optimizer = optimizer_of([1.0])
    scheduler = SequenceLR(optimizer, sequence)
    set_lr(optimizer, 0.08)
    optimizer.step()
    scheduler.step()
    expected = 0.08 * sequence(1) / (sequence(0) or 1.0)
    assert rates(optimizer) == pytest.approx([expected], rel=1e-12)


def test_a_new_scheduler_starts_from_what_set_lr_sets():
    optimizer = optimizer_of([1.0])
    SequenceLR(optimizer, Cosine(10))
    set_lr(optimizer, 0.084)
    scheduler = SequenceLR(optimizer, Cosine(10))
    assert rates(optimizer) == [0.084]
    assert scheduler.base_lrs == [0.084]


@pytest.mark.parametrize(
    ("lr", "error", "message"),
    [
        (-0.1, ValueError, r"^lr must be finite, >= 0, got -0\.1"),
        (math.nan, ValueError, r"^lr must be finite, >= 0, got nan"),
        (math.inf, ValueError, r"^lr must be finite, >= 0, got inf"),
        ("0.1", TypeError, r"^lr must be one real number, got '0\.1'"),
        (None, TypeError, r"^lr must be one real number, got None"),
        ([0.1], ValueError, r"^lr must have one entry per param group: 1 entries for 2 param groups"),
        ([0.1, -1.0], ValueError, r"^lr\[1\] must be finite, >= 0, got -1\.0"),
    ],
)
def test_set_lr_refuses_what_is_no_rate_and_changes_nothing(lr, error, message):
    optimizer = optimizer_of([0.4, 0.1])
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(error, match=message):
        set_lr(optimizer, lr)
    assert optimizer.state_dict() == before


def test_set_lr_needs_a_ratio():
    optimizer = optimizer_of([0.0, 0.1])
    with pytest.raises(
        ValueError, match=r"^lr must be a list with one rate per param group if the first group's lr is 0"
    ):
        set_lr(optimizer, 0.1)
    with pytest.raises(TypeError, match=r"^optimizer must be an Optimizer"):
        set_lr([optimizer], 0.1)


# ---------------------------------------------------------------- saved and loaded


@pytest.mark.parametrize("kind", ["float", "tensor"])
@pytest.mark.parametrize("optimizer_last", [False, True])
def test_what_was_heard_is_saved_and_loaded(kind, optimizer_last):
    def made():
        optimizer = optimizer_of([0.4, 0.1], kind)
        return optimizer, GeometricLR(optimizer, 0.5), LinearLR(optimizer, 0.25, 1.0, 8)

    def edit(optimizer):
        group = optimizer.param_groups[1]
        group["lr"] = group["lr"].fill_(0.7) if kind == "tensor" else 0.7

    whole, parts = made(), made()
    for step in range(12):
        for optimizer, ours, theirs in (whole, parts):
            optimizer.step()
            ours.step()
            theirs.step()
            if step == 3:
                edit(optimizer)
        states = [copy.deepcopy(part.state_dict()) for part in parts]
        parts = made()
        for part, state in [*zip(parts, states, strict=True)][:: -1 if optimizer_last else 1]:
            part.load_state_dict(state)
        assert rates(parts[0]) == rates(whole[0]), step


def test_an_edit_between_load_and_step_is_heard():
    optimizer = optimizer_of([0.4])
    scheduler = GeometricLR(optimizer, 0.5)
    scheduler.load_state_dict(scheduler.state_dict())
    set_lr(optimizer, 0.8)
    optimizer.step()
    scheduler.step()
    assert rates(optimizer) == [0.4]


def test_a_copy_hears_for_itself():
    optimizer = optimizer_of([0.4])
    scheduler = GeometricLR(optimizer, 0.5)
    twin = copy.deepcopy(scheduler)
    twin.optimizer.param_groups[0]["lr"] = 0.8
    for each in (scheduler, twin):
        each.optimizer.step()
        each.step()
    assert rates(optimizer) == [0.2]
    assert rates(twin.optimizer) == [0.4]


@pytest.mark.parametrize("how", ["when made", "when loading"])
def test_a_longer_sequence_takes_the_position_and_the_scale(how):
    optimizer = optimizer_of([0.4])
    scheduler = SequenceLR(optimizer, Cosine(4))
    optimizer.param_groups[0]["lr"] = 0.8
    optimizer.step()
    scheduler.step()
    state = scheduler.state_dict()
    fresh = optimizer_of([0.4])
    longer = SequenceLR(fresh, Cosine(8), strict=how != "when made")
    longer.load_state_dict(state, strict=how != "when loading")
    assert rates(fresh) == pytest.approx([0.8 * (1 + math.cos(math.pi / 8)) / 2], rel=1e-12)
    fresh.step()
    longer.step()
    assert rates(fresh) == pytest.approx([0.8 * (1 + math.cos(math.pi / 4)) / 2], rel=1e-12)


def test_a_refused_state_names_the_remedies():
    optimizer = optimizer_of([0.4])
    state = SequenceLR(optimizer, Cosine(4)).state_dict()
    with pytest.raises(ValueError, match=r"make it with strict=False, or use load_state_dict\(state, strict=False\)"):
        SequenceLR(optimizer_of([0.4]), Cosine(8)).load_state_dict(state)
