"""Param groups: learning rates and momenta go into an optimizer's groups, and come out of them.

No other module touches a group, and no group is kept: `add_param_group` and `optimizer.load_state_dict` may replace it.
Functions that a scheduler's step calls take the optimizer, not its groups, and name no module of torch. Otherwise
torch.compile would trace each of them in a graph of its own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from .._check import number, real
from ._rates import Rates

Groups = list[dict[str, Any]]


def groups_of(optimizer: Optimizer) -> Groups:
    """Return the optimizer's param groups; TypeError if it is not an optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be an Optimizer, got {optimizer!r} ({type(optimizer).__name__})")
    return optimizer.param_groups


def base_rates(optimizer: Optimizer, first: int = 0) -> list[float]:
    """Return the base lr of each group from the `first` on: its `initial_lr` if it has one, else its lr."""
    bases = []
    for i, group in enumerate(groups_of(optimizer)[first:], first):
        lr = group["lr"]
        if isinstance(lr, Tensor) and not lr.is_floating_point():
            raise TypeError(f"lr of param group {i} must be a tensor of floats, got {lr!r}")
        bases.append(number(f"lr of param group {i}", group.get("initial_lr", lr)))
    return bases


def adopted(optimizer: Optimizer, rates: Rates) -> Rates:
    """Return the rates, extended to the groups that were added since, each from its own base lr.

    Raises ValueError if a group is missing, or if the rates have a list that does not cover the new groups.
    """
    known, count = len(rates.highs), len(optimizer.param_groups)
    if count == known:
        return rates
    if count < known:
        raise ValueError(f"the optimizer has {count} param groups, fewer than the {known} scheduled")
    new = [0.0] * (count - known) if rates.limits else base_rates(optimizer, known)
    return rates.with_bases([*rates.bases, *new])


def read(optimizer: Optimizer) -> list[float]:
    """Return the current learning rates."""
    return [real("lr", group["lr"]) for group in optimizer.param_groups]


def write(optimizer: Optimizer, rates: list[float], first: int = 0) -> None:
    """Write learning rates, one per group from the `first` on; fill a tensor lr in place."""
    groups = optimizer.param_groups
    for group, rate in zip(groups[first:] if first else groups, rates, strict=True):
        lr = group["lr"]
        if type(lr) is float or not isinstance(lr, Tensor):  # the first test is the cheap one
            group["lr"] = rate
        else:
            lr.fill_(rate)


def read_momenta(optimizer: Optimizer) -> list[float]:
    """Return the current momenta: `betas[0]` if a group has betas."""
    groups = optimizer.param_groups
    return [real("momentum", group["betas"][0] if "betas" in group else group["momentum"]) for group in groups]


def write_momenta(optimizer: Optimizer, momenta: list[float]) -> None:
    """Write momenta, one per group: as `betas[0]` if a group has betas."""
    for group, momentum in zip(optimizer.param_groups, momenta, strict=True):
        if "betas" in group:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum


def typed(optimizer: Optimizer, rates: list[float]) -> list[float | Tensor]:
    """Return each learning rate in the type of its group's: a new tensor if the group's lr is a tensor."""
    lrs: list[float | Tensor] = list(rates)
    for i, (group, rate) in enumerate(zip(optimizer.param_groups, rates, strict=False)):
        if isinstance(group["lr"], Tensor):
            lrs[i] = torch.full_like(group["lr"], rate)
    return lrs


def stamp(optimizer: Optimizer, bases: list[float]) -> None:
    """Set `initial_lr` to the base lr in groups that have none, as torch does."""
    for group, base in zip(optimizer.param_groups, bases, strict=True):
        group.setdefault("initial_lr", base)


def restamp(optimizer: Optimizer, bases: list[float]) -> None:
    """Set `initial_lr` to the base lr in the first groups, and remove it from the others, which are not adopted yet."""
    for i, group in enumerate(optimizer.param_groups):
        if i < len(bases):
            group["initial_lr"] = bases[i]
        else:
            group.pop("initial_lr", None)
