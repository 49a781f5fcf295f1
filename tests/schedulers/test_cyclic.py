"""CyclicLR: learning rates and momenta against each other, its scaled triangle, and its state."""

import copy

import pytest
import torch

from lrsched import CyclicLR
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.cases import Halve


def stepped(scheduler, times):
    scheduler.optimizer.step()
    for _ in range(times):
        scheduler.step()
    return scheduler


def test_the_momentum_runs_against_the_learning_rate():
    optimizer = make_optimizer((0.1,), momentum=0.9)
    scheduler = CyclicLR(optimizer, 0.1, 0.5, step_size_up=2, step_size_down=4)
    seen = []
    optimizer.step()
    for _ in range(6):
        seen.append((group_lrs(optimizer)[0], optimizer.param_groups[0]["momentum"]))
        scheduler.step()
    rates, momenta = zip(*seen, strict=True)
    assert rates == pytest.approx((0.1, 0.3, 0.5, 0.4, 0.3, 0.2))
    assert momenta == pytest.approx((0.9, 0.85, 0.8, 0.825, 0.85, 0.875))


def test_the_first_beta_is_the_momentum():
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(1))], lr=0.1, betas=(0.7, 0.99))
    stepped(CyclicLR(optimizer, 0.1, 0.5, step_size_up=2), 2)
    assert optimizer.param_groups[0]["betas"] == (pytest.approx(0.8), 0.99)


@pytest.mark.parametrize(("scale_mode", "heights"), [("cycle", [0.5, 0.25]), ("iterations", [0.5**2, 0.5**6])])
def test_a_function_scales_the_cycles_by_their_number_or_by_k(scale_mode, heights):
    optimizer = make_optimizer((0.0,))
    scale_fn = lambda x: 0.5**x  # noqa: E731
    options = {"scale_fn": scale_fn, "scale_mode": scale_mode, "cycle_momentum": False}
    scheduler = stepped(CyclicLR(optimizer, 0.0, 1.0, step_size_up=2, **options), 2)
    assert group_lrs(optimizer) == [heights[0]]
    stepped(scheduler, 4)
    assert group_lrs(optimizer) == [heights[1]]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"scale_fn": 0.5}, TypeError, "^scale_fn must be a function, got 0.5$"),
        ({"scale_mode": "epochs"}, ValueError, "^scale_mode must be one of 'cycle', 'iterations', got 'epochs'"),
        ({"cycle_momentum": 1}, TypeError, "^cycle_momentum must be True or False, got 1"),
        ({"max_momentum": -0.1}, ValueError, "^max_momentum must be finite, >= 0, got -0.1"),
    ],
    ids=["scale_fn", "scale_mode", "cycle_momentum", "max_momentum"],
)
def test_bad_arguments_are_named_and_the_optimizer_stays_as_it_was(options, error, message):
    optimizer = make_optimizer((0.2,), momentum=0.9)
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(error, match=message):
        CyclicLR(optimizer, 0.1, 0.5, **options)
    assert optimizer.state_dict() == before


def test_a_state_restores_rates_momenta_and_the_object_that_scales():
    saved = make_optimizer((0.1,), momentum=0.9)
    state = stepped(CyclicLR(saved, 0.1, 0.5, step_size_up=3, scale_fn=Halve(0.25)), 2).state_dict()
    optimizer, scale_fn = make_optimizer((0.1,), momentum=0.9), Halve()
    scheduler = CyclicLR(optimizer, 0.1, 0.5, step_size_up=3, scale_fn=scale_fn)
    scheduler.load_state_dict(state)
    assert scale_fn.factor == 0.25
    assert group_lrs(optimizer) == group_lrs(saved)
    assert optimizer.param_groups[0]["momentum"] == saved.param_groups[0]["momentum"]
    assert scheduler.state_dict() == state


@pytest.mark.parametrize(
    ("entry", "value"), [("momenta", [0.9, 0.9]), ("momenta", ["x"]), ("scale_fn", 3), ("base_lrs", [])]
)
def test_a_damaged_state_is_refused_and_nothing_changes(entry, value):
    optimizer = make_optimizer((0.1,), momentum=0.9)
    scheduler = stepped(CyclicLR(optimizer, 0.1, 0.5, step_size_up=3), 1)
    state = scheduler.state_dict()
    before = copy.deepcopy((state, optimizer.state_dict()["param_groups"]))
    with pytest.raises((TypeError, ValueError), match=f"^state: {entry} must "):
        scheduler.load_state_dict({**state, entry: value})
    assert (scheduler.state_dict(), optimizer.state_dict()["param_groups"]) == before


def test_without_cycled_momenta_a_state_holds_none_and_loads():
    optimizer = make_optimizer((0.1,))
    scheduler = stepped(CyclicLR(optimizer, 0.1, 0.5, step_size_up=3, cycle_momentum=False), 1)
    state = scheduler.state_dict()
    assert state["momenta"] == []
    stepped(scheduler, 1).load_state_dict(state)
    assert scheduler.state_dict() == state
