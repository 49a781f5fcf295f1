"""How calls of `optimizer.step` are noted: torch's way, and by a hook."""

import copy
import functools
import gc
import warnings
from types import SimpleNamespace

import pytest
import torch

from lrsched.schedulers._tracking import StepWatch, has_stepped, retrack_steps, track_steps, uncompiled, warn_of_order
from tests.helpers import make_optimizer


class Owner:
    """Stand for the scheduler that a watch belongs to, and count what the watch tells it."""

    told = 0

    def _after_optimizer_step(self, optimizer):
        self.told += 1


def step_of_scheduler(optimizer):
    """Stand for a scheduler's `step`: the warnings name the line that calls it."""
    warn_of_order(optimizer)


def replaced_step(optimizer):
    optimizer.step = functools.partial(optimizer.step)


@pytest.mark.parametrize("replace", [lambda optimizer: None, replaced_step], ids=["own method", "partial function"])
def test_a_step_is_noted_whatever_kind_of_function_it_is(replace):
    optimizer = make_optimizer((0.1,))
    replace(optimizer)
    track_steps(optimizer, -1)
    assert not has_stepped(optimizer)
    optimizer.step()
    assert has_stepped(optimizer)


def test_tracking_stamps_the_groups_and_tracks_only_once():
    optimizer = make_optimizer((0.1,))
    track_steps(optimizer, -1)
    step = optimizer.step
    track_steps(optimizer, -1)
    assert optimizer.step is step
    assert optimizer.param_groups[0]["initial_lr"] == 0.1


def test_a_refusal_leaves_a_replaced_step_as_it_was():
    optimizer = make_optimizer((0.1,))
    replaced_step(optimizer)
    step = optimizer.step
    with pytest.raises(KeyError, match="initial_lr"):
        track_steps(optimizer, 3)
    assert optimizer.step is step


@pytest.mark.parametrize("stepped", [False, True])
def test_a_copy_is_tracked_again_and_its_groups_stay_as_they_are(stepped):
    optimizer = copy.deepcopy(make_optimizer((0.1, 0.2)))
    optimizer.param_groups[0]["initial_lr"] = 0.5
    retrack_steps(optimizer, stepped)
    assert has_stepped(optimizer) is stepped
    assert [group.get("initial_lr") for group in optimizer.param_groups] == [0.5, None]


def test_a_scheduler_that_steps_first_is_warned_of_at_the_users_line():
    optimizer = make_optimizer((0.1,))
    track_steps(optimizer, -1)
    with pytest.warns(UserWarning, match="Detected call of `lr_scheduler.step\\(\\)` before") as caught:
        step_of_scheduler(optimizer)
    assert caught[0].filename == __file__


def test_a_step_replaced_after_the_tracking_is_warned_of():
    optimizer = make_optimizer((0.1,))
    track_steps(optimizer, -1)
    del optimizer.step
    with pytest.warns(UserWarning, match="`optimizer.step\\(\\)` has been overridden"):
        step_of_scheduler(optimizer)


def test_the_right_order_gives_no_warning():
    optimizer = make_optimizer((0.1,))
    track_steps(optimizer, -1)
    optimizer.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step_of_scheduler(optimizer)


def test_torch_compile_skips_what_is_marked_and_the_function_stays_the_same():
    def step():
        return 7

    assert uncompiled(step) is step
    assert step._torchdynamo_disable is True


class TestStepWatch:
    def watched(self, wrap=lambda optimizer: optimizer):
        optimizer, watch, owner = make_optimizer((0.1,)), StepWatch(), Owner()
        watch.attach(wrap(optimizer), owner)
        return optimizer, watch, owner

    def test_it_notes_a_step_and_forgets_one_part_at_a_metric(self):
        optimizer, watch, owner = self.watched()
        assert watch.state_dict() == {"ever": False, "since_metric": False, "warm": 0}
        optimizer.step()
        assert watch.state_dict() == {"ever": True, "since_metric": True, "warm": 0}
        watch.since_metric = False
        assert watch.state_dict() == {"ever": True, "since_metric": False, "warm": 0}
        assert owner.told == 1

    def test_a_muted_watch_tells_its_owner_nothing(self):
        optimizer, watch, owner = self.watched()
        watch.muted = True
        optimizer.step()
        watch.muted = False
        optimizer.step()
        assert owner.told == 1

    def test_it_finds_the_optimizer_inside_a_wrapper(self):
        optimizer, watch, owner = self.watched(lambda optimizer: SimpleNamespace(optimizer=optimizer))
        optimizer.step()
        assert watch.ever
        assert owner is not None

    def test_an_optimizer_without_hooks_is_left_alone(self):
        watch = StepWatch()
        watch.attach(SimpleNamespace(), Owner())
        assert not watch.ever

    def test_its_hook_goes_when_the_owner_does(self):
        optimizer, watch, owner = self.watched()
        assert len(optimizer._optimizer_step_post_hooks) == 1
        del owner
        gc.collect()
        assert len(optimizer._optimizer_step_post_hooks) == 0
        optimizer.step()
        assert not watch.ever

    def test_its_state_comes_back(self):
        again = StepWatch.from_state_dict(StepWatch(ever=True, warm=3).state_dict())
        assert again.state_dict() == {"ever": True, "since_metric": False, "warm": 3}

    @pytest.mark.parametrize(
        "state",
        [
            None,
            {},
            {"ever": True},
            {"ever": True, "since_metric": False},
            {"ever": 1, "since_metric": False, "warm": 0},
            {"ever": True, "since_metric": False, "warm": -1},
            {"ever": True, "since_metric": False, "warm": 1.0},
        ],
        ids=str,
    )
    def test_a_damaged_state_is_refused(self, state):
        with pytest.raises((TypeError, ValueError), match=r"^state: (steps|ever|warm) must be "):
            StepWatch.from_state_dict(state)


def test_both_ways_work_on_an_optimizer_of_torch_together():
    optimizer, watch, owner = make_optimizer((0.1,)), StepWatch(), Owner()
    torch.optim.lr_scheduler.ConstantLR(optimizer)
    watch.attach(optimizer, owner)
    optimizer.step()
    assert has_stepped(optimizer)
    assert watch.ever
