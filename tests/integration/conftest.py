"""Fixtures that record learning rates."""

import pytest
from torch.optim.optimizer import register_optimizer_step_pre_hook


@pytest.fixture
def rates():
    """The first group's learning rate at each step of any optimizer."""
    seen = []
    handle = register_optimizer_step_pre_hook(lambda optimizer, *_: seen.append(float(optimizer.param_groups[0]["lr"])))
    yield seen
    handle.remove()


@pytest.fixture
def all_rates():
    """The learning rates of all groups at each step of any optimizer."""
    seen = []
    handle = register_optimizer_step_pre_hook(
        lambda optimizer, *_: seen.append([float(group["lr"]) for group in optimizer.param_groups])
    )
    yield seen
    handle.remove()
