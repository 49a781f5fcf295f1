"""What CyclicLR and OneCycleLR share: momenta per group, in betas or in momentum, in states and their settings."""

import pytest
import torch

from lrsched import CyclicLR, OneCycleLR
from tests.helpers import make_optimizer

CLASSES = {
    "CyclicLR": lambda optimizer, **more: CyclicLR(optimizer, 0.1, 0.5, step_size_up=4, **more),
    "OneCycleLR": lambda optimizer, **more: OneCycleLR(optimizer, 0.5, total_steps=10, pct_start=0.5, **more),
}
every_class = pytest.mark.parametrize("make", CLASSES.values(), ids=CLASSES)
LISTS = {"base_momentum": [0.5, 0.6], "max_momentum": [0.75, 0.875]}


@every_class
def test_each_group_has_its_own_momenta(make):
    optimizer = make_optimizer((0.1, 0.2), momentum=0.9)
    scheduler = make(optimizer, **LISTS)
    seen = []
    optimizer.step()
    for _ in range(5):
        seen.append([group["momentum"] for group in optimizer.param_groups])
        scheduler.step()
    assert seen[0] == [0.75, 0.875]
    assert seen[4] == pytest.approx([0.5, 0.6])
    assert seen == sorted(seen, reverse=True)


@every_class
def test_betas_that_are_a_list_stay_a_list(make):
    optimizer = make_optimizer((0.1,), optimizer=torch.optim.Adam)
    optimizer.param_groups[0]["betas"] = [0.9, 0.99]
    make(optimizer, max_momentum=0.75)
    assert optimizer.param_groups[0]["betas"] == [0.75, 0.99]


@every_class
def test_settings_hold_the_curve_of_the_rates_and_the_momenta(make):
    scheduler = make(make_optimizer((0.1, 0.2), momentum=0.9), **LISTS)
    settings = scheduler.state_dict()["settings"]
    assert settings["sequence"] == repr(scheduler.sequence)
    assert {name: settings[name] for name in LISTS} == LISTS
    settings["base_momentum"].append(0.0)
    assert scheduler.state_dict()["settings"]["base_momentum"] == [0.5, 0.6]


@every_class
def test_not_strict_writes_its_own_momenta_at_the_saved_position(make):
    saved, optimizer = make_optimizer((0.1,), momentum=0.9), make_optimizer((0.1,), momentum=0.9)
    source, target = make(saved, base_momentum=0.5), make(optimizer, base_momentum=0.25, max_momentum=0.75)
    saved.step()
    for _ in range(4):
        source.step()
    with pytest.raises(ValueError, match=r"base_momentum.*0\.5.*base_momentum.*0\.25"):
        target.load_state_dict(source.state_dict())
    target.load_state_dict(source.state_dict(), strict=False)
    assert optimizer.param_groups[0]["momentum"] == pytest.approx(0.25)


@every_class
@pytest.mark.parametrize("cycled", [True, False])
def test_not_strict_takes_a_state_whose_momentum_was_not_cycled_or_the_other_way_round(make, cycled):
    saved, optimizer = make_optimizer((0.1,), momentum=0.9), make_optimizer((0.1,), momentum=0.9)
    limits = {"base_momentum": 0.5, "max_momentum": 0.75}
    source = make(saved, cycle_momentum=not cycled, **limits)
    target = make(optimizer, cycle_momentum=cycled, **limits)
    saved.step()
    for _ in range(4):  # to the top of the learning rate, where the momentum is lowest
        source.step()
    with pytest.raises(ValueError, match=r"^state must have this scheduler's settings"):
        target.load_state_dict(source.state_dict())
    target.load_state_dict(source.state_dict(), strict=False)
    assert target.last_epoch == 4
    assert optimizer.param_groups[0]["lr"] == saved.param_groups[0]["lr"]
    assert optimizer.param_groups[0]["momentum"] == pytest.approx(0.5 if cycled else 0.9)
