"""The learning rates that PlateauSequence writes, and when; groups that come later."""

import copy
import math

import pytest
import torch
from torch.optim.lr_scheduler import LinearLR

from lrsched import (
    Inverse,
    Patience,
    PlateauSequence,
    Values,
)
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.plateau import (
    HALF,
    add_group,
    advance,
    feed,
    make,
)


class TestRates:
    def test_the_first_factor_is_written_at_construction(self):
        optimizer, scheduler = make(Values([0.5, 0.1]), lrs=[0.1, 0.4])
        assert group_lrs(optimizer) == [0.05, 0.2]
        assert scheduler.base_lrs == [0.1, 0.4]
        assert scheduler.get_last_lr() == [0.05, 0.2]

    def test_initial_lr_is_the_base_and_the_present_rate_the_start(self):
        optimizer = make_optimizer([0.1])
        optimizer.param_groups[0]["initial_lr"] = 0.4
        scheduler = PlateauSequence(optimizer, HALF, "oscillate")
        assert scheduler.base_lrs == [0.4]
        assert group_lrs(optimizer) == [0.1]
        advance(scheduler)
        assert group_lrs(optimizer) == [0.05]

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
        assert group_lrs(optimizer) == pytest.approx([4.5], rel=1e-12)

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
        sequences[0] = Inverse()  # the list belongs to the user
        advance(scheduler)
        assert group_lrs(optimizer) == pytest.approx([0.075, 0.15], rel=1e-15)

    def test_a_rate_edited_by_the_user_stays_until_an_event_which_scales_it(self):
        optimizer, scheduler = make(on=Patience(1))
        optimizer.param_groups[0]["lr"] = 0.007
        feed(scheduler, [5.0, 4.0, 3.0, 3.0, math.nan])
        assert group_lrs(optimizer) == [0.007]
        feed(scheduler, [3.0])
        assert group_lrs(optimizer) == pytest.approx([0.0035], rel=1e-12)

    def test_a_dropped_or_refused_metric_writes_nothing(self):
        optimizer, scheduler = make(on="oscillate")
        optimizer.step()
        scheduler.step(1.0)
        optimizer.param_groups[0]["lr"] = 0.007
        scheduler.step(1.0)
        with pytest.raises(TypeError, match="metrics"):
            scheduler.step("x")
        assert group_lrs(optimizer) == [0.007]

    def test_a_warmup_made_after_it_is_respected(self):
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


class TestAddedGroups:
    def test_a_group_added_later_is_adopted_with_its_own_rate(self):
        optimizer, scheduler = make(on="oscillate")
        advance(scheduler, 2)
        add_group(optimizer, 0.8)
        scheduler.step(0.0)  # no event
        assert scheduler.position == 2
        assert group_lrs(optimizer) == [0.025, 0.8]
        assert scheduler.base_lrs == [0.1, 0.8]
        assert scheduler.get_last_lr() == [0.025, 0.8]
        scheduler.step(1.0)
        assert group_lrs(optimizer) == [0.0125, 0.4]
        assert scheduler.events[-1].old_lrs == [0.025, 0.8]

    def test_adopted_at_an_event(self):
        optimizer, scheduler = make(on="oscillate")
        advance(scheduler)
        add_group(optimizer, 0.8)
        scheduler.step(9.0)
        assert group_lrs(optimizer) == [0.025, 0.4]
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
        assert float(tensor) == pytest.approx(0.8)
        scheduler.step(1.0)
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
    def test_a_new_group_beside_lists_is_refused(self, lists):
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
