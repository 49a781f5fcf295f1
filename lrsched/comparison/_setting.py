"""A setting, one row of a comparison: how to make an optimizer and its scheduler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from .._check import choice
from .._functions import MakeOptimizer, described, needs_closure

Per = Literal["epoch", "batch"]  # how often a scheduler steps


class Scheduler(Protocol):
    """What a comparison needs of a learning-rate scheduler."""

    @property
    def step(self) -> Callable[..., object]: ...
    @property
    def state_dict(self) -> Callable[[], dict[str, Any]]: ...
    @property
    def load_state_dict(self) -> Callable[[dict[str, Any]], object]: ...


@dataclass(frozen=True)
class Setting:
    """One row of a comparison: how to make the optimizer and its scheduler.

    `compare` takes settings by name. It calls both functions once to examine the setting, and once more for each run.

    Args:
        optimizer: optimizer(params) -> Optimizer; `params` is the list of the model's parameters.
        scheduler: scheduler(optimizer) -> a learning-rate scheduler from lrsched or torch; None for a constant
            learning rate.
        per: "epoch" steps the scheduler after each epoch, and passes the validation loss if it takes a metric;
            "batch" steps it after each optimizer step.

    Raises TypeError or ValueError if an argument is invalid. `compare` raises ValueError if the optimizer has other
    parameters than `params`, or a `step` that needs a closure, as that of LBFGS.

    >>> import torch
    >>> from lrsched import InverseLR, Setting
    >>> setting = Setting(lambda params: torch.optim.SGD(params, lr=0.1), InverseLR)
    >>> setting.per
    'epoch'
    """

    optimizer: MakeOptimizer
    scheduler: Callable[[Optimizer], Scheduler] | None = None
    per: Per = "epoch"

    def __post_init__(self) -> None:
        if not callable(self.optimizer):
            raise TypeError(f"optimizer must be a function of the parameters, got {described(self.optimizer)}")
        if not (self.scheduler is None or callable(self.scheduler)):
            raise TypeError(f"scheduler must be None or a function of the optimizer, got {described(self.scheduler)}")
        choice("per", self.per, get_args(Per))

    def build(self, model: nn.Module) -> tuple[Optimizer, Scheduler | None]:
        """Return an optimizer of the model's parameters, and its scheduler or None."""
        optimizer = self.make_optimizer(model)
        return optimizer, self.make_scheduler(optimizer)

    def make_optimizer(self, model: nn.Module) -> Optimizer:
        """Return an optimizer of the model's parameters."""
        params = [*model.parameters()]
        optimizer = self.optimizer(list(params))
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer must return a torch.optim.Optimizer, got {described(optimizer)}")
        if needs_closure(optimizer):
            name = type(optimizer).__name__
            raise ValueError(f"optimizer must return an optimizer whose step() needs no closure, got {name}")
        given = {id(parameter) for parameter in params}
        if any(id(parameter) not in given for group in optimizer.param_groups for parameter in group["params"]):
            raise ValueError("optimizer must return an optimizer of the params that it is given, got one of others")
        return optimizer

    def make_scheduler(self, optimizer: Optimizer) -> Scheduler | None:
        """Return the scheduler of an optimizer, or None for a constant learning rate."""
        if self.scheduler is None:
            return None
        scheduler = self.scheduler(optimizer)
        if not all(hasattr(scheduler, name) for name in ("step", "state_dict")):
            raise TypeError(f"scheduler must return a learning-rate scheduler, got {described(scheduler)}")
        if isinstance(scheduler, ReduceLROnPlateau) and self.per == "batch":
            raise ValueError(
                f'per must be "epoch" for {type(scheduler).__name__}, which follows the validation loss, got "batch"'
            )
        return scheduler
