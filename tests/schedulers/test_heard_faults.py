"""Rates that are hard to hear: errors half-way, numbers at the edge, sequences and floors at 0."""

import copy
import pickle

import numpy as np
import pytest
import torch

from lrsched import (
    Cosine,
    CyclicLR,
    Geometric,
    GeometricLR,
    PlateauSequence,
    Sequence,
    SequenceLR,
    Values,
    Warmup,
    set_lr,
)
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.plateau import add_group


def stepped(make, lrs=(0.4,), kind="float"):
    """Return an optimizer and a scheduler after one step."""
    optimizer = make_optimizer(lrs, kind, momentum=0.9)
    scheduler = make(optimizer)
    go(optimizer, scheduler)
    return optimizer, scheduler


def go(optimizer, *schedulers):
    optimizer.step()
    for scheduler in schedulers:
        scheduler.step()


def halves(optimizer):
    return GeometricLR(optimizer, 0.5)


def test_a_rate_that_is_no_number_is_refused_and_the_groups_before_it_are_not_heard_twice():
    optimizer, scheduler = stepped(halves, (0.4, 0.1))
    optimizer.param_groups[1]["lr"] = "fast"
    optimizer.step()
    with pytest.raises(TypeError, match=r"^lr must be one real number, got 'fast'"):
        scheduler.step()
    assert scheduler.last_epoch == 1
    optimizer.param_groups[1]["lr"] = 0.8
    scheduler.step()
    assert group_lrs(optimizer) == [0.1, 0.4]


@pytest.mark.parametrize(
    ("lr", "kind"),
    [(2, float), (np.float32(2), float), (np.float64(2), float), (torch.tensor(2.0), torch.Tensor)],
    ids=["int", "float32", "float64", "tensor"],
)
@pytest.mark.parametrize("before", ["float", "tensor"])
def test_a_rate_may_be_replaced_by_a_number_of_another_kind(lr, kind, before):
    optimizer, scheduler = stepped(halves, kind=before)
    lr = lr.clone() if kind is torch.Tensor else lr  # the scheduler fills it
    optimizer.param_groups[0]["lr"] = lr
    go(optimizer, scheduler)
    assert group_lrs(optimizer) == [1.0]
    assert type(optimizer.param_groups[0]["lr"]) is kind
    assert kind is float or optimizer.param_groups[0]["lr"] is lr


def test_a_rate_replaced_by_a_tensor_of_integers_is_refused_as_it_would_round_to_0():
    optimizer, scheduler = stepped(halves)
    optimizer.param_groups[0]["lr"] = torch.tensor(1)
    optimizer.step()
    with pytest.raises(TypeError, match=r"^lr of param group 0 must be a tensor of floats, got tensor\(1\)"):
        scheduler.step()


@pytest.mark.parametrize("edits", [(1e300, 1e300), (1e-300, 1e-300)], ids=["huge", "tiny"])
def test_a_scale_stays_a_number_that_can_be_saved(edits):
    optimizer, scheduler = stepped(lambda o: SequenceLR(o, Values([1, 1e-200, 1e-100, 1.0])), (1.0,))
    for edit in edits:
        optimizer.param_groups[0]["lr"] = edit
        go(optimizer, scheduler)
    assert 0.0 < scheduler._rates.scales[0] < float("inf")
    scheduler.load_state_dict(scheduler.state_dict())


@pytest.mark.parametrize("kind", ["float", "tensor", "float32"])
def test_set_lr_back_to_the_old_base_forgets_the_scale_while_the_rate_is_0(kind):
    optimizer = make_optimizer((0.4,), kind)
    scheduler = SequenceLR(optimizer, Values([1, 0, 1]))
    lr = optimizer.param_groups[0]["lr"]
    optimizer.param_groups[0]["lr"] = 0.8 if kind == "float" else lr.fill_(0.8)
    go(optimizer, scheduler)
    set_lr(optimizer, 0.4)
    go(optimizer, scheduler)
    assert group_lrs(optimizer) == pytest.approx([0.4], rel=1e-6)


def test_set_lr_before_a_new_group_is_adopted_does_not_decay_it_twice():
    optimizer, scheduler = stepped(halves)
    add_group(optimizer, 0.05)
    set_lr(optimizer, 0.4)  # twice the present rate
    assert group_lrs(optimizer) == pytest.approx([0.4, 0.1], rel=1e-12)
    assert [group.get("initial_lr") for group in optimizer.param_groups] == [0.4, None]
    go(optimizer, scheduler)
    assert group_lrs(optimizer) == pytest.approx([0.2, 0.05], rel=1e-12)


def test_an_edit_to_the_floor_is_heard():
    """The very object that the floor is, written by hand as the floor comes up."""
    floor = 0.1
    optimizer = make_optimizer((0.4,))
    scheduler = SequenceLR(optimizer, Values([0.5, 0.125, 1.0]), min_lr=floor)
    optimizer.param_groups[0]["lr"] = floor  # half of 0.2
    go(optimizer, scheduler)
    assert group_lrs(optimizer) == [0.1]
    go(optimizer, scheduler)
    assert group_lrs(optimizer) == pytest.approx([0.2], rel=1e-12)


def test_not_strict_a_group_that_is_not_adopted_yet_is_left_alone():
    optimizer, scheduler = stepped(lambda o: SequenceLR(o, Cosine(4)))
    add_group(optimizer, 0.1)
    other = make_optimizer((0.4,))
    longer = SequenceLR(other, Geometric(0.5), strict=False)
    add_group(other, 0.7)
    longer.load_state_dict(scheduler.state_dict())
    assert group_lrs(other) == [0.2, 0.1]
    go(other, longer)
    assert group_lrs(other) == pytest.approx([0.1, 0.05], rel=1e-12)


def test_not_strict_momenta_are_those_of_the_own_limits_too():
    _, scheduler = stepped(lambda o: CyclicLR(o, 0.1, 0.5, 4))
    optimizer, other = stepped(lambda o: CyclicLR(o, 0.1, 0.9, 4, max_momentum=0.96))
    other.load_state_dict(scheduler.state_dict(), strict=False)
    assert group_lrs(optimizer) == pytest.approx([0.3])
    assert optimizer.param_groups[0]["momentum"] == pytest.approx(0.92)


@pytest.mark.parametrize("kind", ["float", "tensor", "float32"])
@pytest.mark.parametrize(
    "clone", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))], ids=["deepcopy", "pickle"]
)
@pytest.mark.parametrize("writes", range(4))
def test_an_edit_before_a_copy_is_heard_by_the_copy(kind, clone, writes):
    """A copied tensor counts its versions afresh, so that its counter may be that of the last write by chance."""
    optimizer = make_optimizer((0.4,), kind)
    scheduler = SequenceLR(optimizer, Values([1.0]))
    for _ in range(writes):
        go(optimizer, scheduler)
    set_lr(optimizer, 0.25)
    optimizer, scheduler = clone((optimizer, scheduler))
    go(optimizer, scheduler)
    assert group_lrs(optimizer) == pytest.approx([0.25], rel=1e-6)


class Nameless(Sequence):
    """A user's sequence without a print of its own."""

    def _at(self, k):
        return 1.0


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda o: SequenceLR(o, Nameless()), "sequence"),
        (lambda o: SequenceLR(o, [Nameless()]), r"sequence\[0\]"),
        (lambda o: SequenceLR(o, 2 * Warmup(3).then(Nameless(), at=3)), "sequence"),
        (lambda o: PlateauSequence(o, Nameless()), "sequence"),
        (lambda o: PlateauSequence(o, Geometric(), warmup=Nameless().then(Warmup(3), at=3)), "warmup"),
    ],
    ids=["alone", "in a list", "in a chain", "PlateauSequence", "warmup"],
)
def test_a_sequence_that_prints_an_address_is_refused_with_a_hint(make, name):
    optimizer = make_optimizer((0.4,))
    with pytest.raises(TypeError, match=rf"^{name} must print the same after a restart.*frozen dataclass.*__repr__"):
        make(optimizer)
    assert group_lrs(optimizer) == [0.4]
    assert "initial_lr" not in optimizer.param_groups[0]


@pytest.mark.parametrize("epoch", [2.5, 2.0, 0.25, np.float64(1.5)], ids=repr)
def test_a_fraction_of_an_epoch_is_answered_with_steps_by_the_batch(epoch):
    optimizer, scheduler = stepped(halves)
    with pytest.raises(
        TypeError, match=r"^epoch must be an integer, got .*step by the batch: scheduler\.step\(\) after"
    ):
        scheduler.step(epoch)
    assert (scheduler.last_epoch, group_lrs(optimizer)) == (1, [0.2])
