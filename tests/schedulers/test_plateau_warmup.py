"""PlateauSequence's own warm-up, counted in optimizer steps."""

import copy
import gc
import json
import pickle
import weakref

import pytest
import torch

from lrsched import Constant, Geometric, Inverse, Oscillation, Patience, PlateauSequence, Values, Warmup, set_lr
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.plateau import HALF, Wrapped, add_group, make


def rates_of(optimizer, steps):
    """Return the rates before the first step and after each one."""
    seen = [group_lrs(optimizer)]
    for _ in range(steps):
        optimizer.step()
        seen.append(group_lrs(optimizer))
    return seen


def near(*rates):
    return [pytest.approx(rate if isinstance(rate, list) else [rate], rel=1e-12) for rate in rates]


# ---- the rates


def test_after_j_steps_the_rate_is_base_times_warmup_of_j():
    optimizer, _ = make(Constant(), warmup=Warmup(4), lrs=[0.4])
    assert rates_of(optimizer, 6) == near(0.0, 0.1, 0.2, 0.3, 0.4, 0.4, 0.4)


def test_an_integer_n_starts_at_one_nth_so_that_no_step_is_lost():
    optimizer, _ = make(Constant(), warmup=4, lrs=[0.4])
    # start + (1 − start)·j/n with start = 1/4: 0.25, 0.4375, 0.625, 0.8125, 1
    assert rates_of(optimizer, 5) == near(0.1, 0.175, 0.25, 0.325, 0.4, 0.4)
    optimizer, _ = make(Constant(), warmup=1, lrs=[0.4])
    assert rates_of(optimizer, 2) == near(0.4, 0.4, 0.4)


def test_any_finite_sequence_is_a_warm_up():
    optimizer, _ = make(Constant(), warmup=Values([0.5, 0.25, 1.0]), lrs=[0.4])
    assert rates_of(optimizer, 4) == near(0.2, 0.1, 0.4, 0.4, 0.4)


def test_it_multiplies_the_first_factor_of_the_sequence():
    optimizer, _ = make(Values([0.5, 0.25]), warmup=Warmup(2), lrs=[0.4])
    assert rates_of(optimizer, 3) == near(0.0, 0.1, 0.2, 0.2)


def test_an_advance_during_the_warm_up():
    optimizer, scheduler = make(HALF, on=Patience(0), warmup=Warmup(4), lrs=[0.4])
    optimizer.step()
    scheduler.step(1.0)
    optimizer.step()
    assert group_lrs(optimizer) == near(0.2)[0]
    scheduler.step(1.0)  # position 1: 0.4 · 2/4 · 1/2
    assert group_lrs(optimizer) == near(0.1)[0]
    assert (scheduler.events[0].old_lrs, scheduler.events[0].new_lrs) == (near(0.2)[0], near(0.1)[0])
    assert rates_of(optimizer, 3) == near(0.1, 0.15, 0.2, 0.2)
    scheduler.step(1.0)
    assert group_lrs(optimizer) == near(0.1)[0]


def test_afterwards_it_writes_nothing():
    optimizer, scheduler = make(HALF, on=Patience(0), warmup=Warmup(2), lrs=[0.4])
    rates_of(optimizer, 2)
    optimizer.param_groups[0]["lr"] = 0.007
    assert rates_of(optimizer, 3) == [[0.007]] * 4
    scheduler.step(1.0)
    scheduler.step(2.0)
    assert group_lrs(optimizer) == near(0.0035)[0]


def test_what_others_write_during_the_warm_up_is_respected():
    optimizer, _ = make(Constant(), warmup=4, lrs=[0.4])
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.7  # 4 times 0.175
    assert rates_of(optimizer, 4) == near(0.7, 1.0, 1.3, 1.6, 1.6)
    optimizer, _ = make(Constant(), warmup=Warmup(4), lrs=[0.4])
    set_lr(optimizer, 0.8)  # written as 0: this is the new base
    assert rates_of(optimizer, 4) == near(0.8, 0.2, 0.4, 0.6, 0.8)


def test_several_groups_floors_and_tensors_in_place():
    optimizer, scheduler = make([Constant(), HALF], warmup=Warmup(4), lrs=[0.4, 4.0], kind="tensor", min_lr=[0.2, 0.0])
    tensors = [group["lr"] for group in optimizer.param_groups]
    assert rates_of(optimizer, 5) == near([0.2, 0.0], [0.2, 1.0], [0.2, 2.0], [0.3, 3.0], [0.4, 4.0], [0.4, 4.0])
    assert all(group["lr"] is tensor for group, tensor in zip(optimizer.param_groups, tensors, strict=True))
    assert [float(lr) for lr in scheduler.get_last_lr()] == near([0.4, 4.0])[0]


def test_a_group_added_during_the_warm_up_continues_from_its_own_rate():
    optimizer, scheduler = make(Constant(), warmup=Warmup(4), lrs=[0.4])
    rates_of(optimizer, 2)
    add_group(optimizer, 0.02)
    assert rates_of(optimizer, 3) == near([0.2, 0.02], [0.3, 0.03], [0.4, 0.04], [0.4, 0.04])
    assert scheduler.base_lrs == [0.4, 0.02]


def test_a_group_added_before_a_warm_up_from_0_has_its_rate_as_its_base():
    optimizer, _ = make(Constant(), warmup=Warmup(4), lrs=[0.4])
    add_group(optimizer, 0.8)
    assert rates_of(optimizer, 4) == near([0.0, 0.8], [0.1, 0.2], [0.2, 0.4], [0.3, 0.6], [0.4, 0.8])


def test_metrics_alone_do_not_move_it():
    optimizer, scheduler = make(HALF, on=Oscillation(), warmup=4, lrs=[0.4])
    for loss in (1.0, 0.9, 0.8):
        scheduler.step(loss)
    assert group_lrs(optimizer) == near(0.1)[0]


def test_a_step_with_a_closure_counts_once():
    optimizer, _ = make(Constant(), warmup=Warmup(4), lrs=[0.4])
    optimizer.step(lambda: torch.tensor(1.0))
    assert group_lrs(optimizer) == near(0.1)[0]


# ---- who counts


def test_two_schedulers_count_their_own_optimizer():
    pairs = [make(Constant(), warmup=Warmup(4), lrs=[0.4]) for _ in range(2)]
    first, second = (optimizer for optimizer, _ in pairs)
    first.step()
    first.step()
    second.step()
    assert (group_lrs(first), group_lrs(second)) == (near(0.2)[0], near(0.1)[0])


def test_a_wrapped_optimizer():
    inner = make_optimizer([0.4])
    optimizer = Wrapped(inner)
    scheduler = PlateauSequence(optimizer, Constant(), warmup=Warmup(4))
    optimizer.step()
    inner.step()
    assert group_lrs(inner) == near(0.2)[0]
    assert scheduler.get_last_lr() == near(0.2)[0]


@pytest.mark.parametrize("fused", [False, True])
def test_steps_that_a_gradient_scaler_skips_do_not_count(fused):
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([parameter], lr=0.4, fused=fused)
    scheduler = PlateauSequence(optimizer, Constant(), warmup=Warmup(4))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    seen = []
    for factor in (1.0, float("inf"), float("nan"), 1.0, float("inf"), 1.0):
        optimizer.zero_grad()
        scaler.scale((parameter * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        seen += group_lrs(optimizer)
    assert seen == pytest.approx([0.1, 0.1, 0.1, 0.2, 0.2, 0.3], rel=1e-12)
    assert torch.isfinite(parameter).all()
    assert scheduler.get_last_lr() == group_lrs(optimizer)


def test_the_scheduler_is_freed_while_the_optimizer_lives():
    optimizer, scheduler = make(Constant(), warmup=Warmup(4), lrs=[0.4])
    optimizer.step()
    gone = weakref.ref(scheduler)
    del scheduler
    gc.collect()
    assert gone() is None
    assert len(optimizer._optimizer_step_post_hooks) == 0
    assert rates_of(optimizer, 2) == near(0.1, 0.1, 0.1)


@pytest.mark.parametrize(
    "clone", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))], ids=["deepcopy", "pickle"]
)
def test_a_copy_counts_for_itself(clone):
    optimizer, scheduler = make(Constant(), warmup=Warmup(4), lrs=[0.4])
    optimizer.step()
    twin, copied = clone((optimizer, scheduler))
    assert copied.optimizer is twin
    twin.step()
    twin.step()
    assert (group_lrs(twin), group_lrs(optimizer)) == (near(0.3)[0], near(0.1)[0])
    optimizer.step()
    assert (group_lrs(twin), group_lrs(optimizer)) == (near(0.3)[0], near(0.2)[0])


# ---- saved and resumed


@pytest.mark.parametrize("kind", ["float", "tensor", "float32"])
@pytest.mark.parametrize("optimizer_last", [False, True])
def test_interrupted_at_any_step_equals_uninterrupted(kind, optimizer_last):
    def made():
        return make(Inverse(), on=Oscillation(), warmup=Warmup(7, start=0.1), lrs=[0.4, 3.0], kind=kind)

    losses = [1.0, 0.9, 1.1, 1.0, 1.2, 0.5, 0.7, 0.6, 0.65, 0.3, 0.4, 0.2]
    (whole, whole_scheduler), (optimizer, scheduler) = made(), made()
    for step, loss in enumerate(losses):
        for each, following in ((whole, whole_scheduler), (optimizer, scheduler)):
            each.step()
            if step == 3:
                lr = each.param_groups[1]["lr"]
                each.param_groups[1]["lr"] = lr.fill_(2.5) if kind != "float" else 2.5
            if step % 2:
                following.step(loss)
        states = copy.deepcopy(optimizer.state_dict()), json.loads(json.dumps(scheduler.state_dict()))
        optimizer, scheduler = made()
        loads = [(optimizer, states[0]), (scheduler, states[1])]
        for each, state in reversed(loads) if optimizer_last else loads:
            each.load_state_dict(state)
        assert group_lrs(optimizer) == group_lrs(whole), step
        assert scheduler.state_dict() == whole_scheduler.state_dict()
    assert scheduler.position == 2  # at 1.0 after 0.9, and at 0.6 after 0.5


def test_another_warm_up_is_refused_and_both_are_shown():
    state = make(warmup=Warmup(4))[1].state_dict()
    for other, shown in ((None, "'None'"), (Warmup(5), "steps=5")):
        _, scheduler = make(warmup=other)
        before = scheduler.state_dict()
        with pytest.raises(ValueError, match=rf"(?s)steps=4.*{shown}.*strict=False"):
            scheduler.load_state_dict(state)
        assert scheduler.state_dict() == before


def test_not_strict_a_warm_up_may_become_longer():
    optimizer, scheduler = make(Constant(), warmup=Warmup(4), lrs=[0.4])
    rates_of(optimizer, 2)
    other, longer = make(Constant(), warmup=Warmup(8), lrs=[0.4], strict=False)
    longer.load_state_dict(scheduler.state_dict())
    assert rates_of(other, 2) == near(0.1, 0.15, 0.2)


def test_a_scheduler_made_again_on_the_optimizer_starts_its_own_warm_up_from_the_present_rate():
    optimizer, first = make(Constant(), warmup=4, lrs=[0.4])
    rates_of(optimizer, 4)
    del first
    gc.collect()
    second = PlateauSequence(optimizer, Geometric(0.5), warmup=Values([0.5, 1.0]))
    assert rates_of(optimizer, 2) == near(0.2, 0.4, 0.4)
    assert second.base_lrs == [0.4]
