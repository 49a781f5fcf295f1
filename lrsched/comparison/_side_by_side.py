"""Members side by side: which of them can be trained in one ensemble, and the loop that trains them so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from .._check import first_line
from ..ensembles._ensemble import Ensemble, Vectorize
from ..ensembles._equivalence import obstacle, unprofitable
from ..ensembles._optimizers import kind, options
from ..schedulers._groups import read
from ._batches import Tensors, length
from ._member import Member, Setting, Task, Trainer, average


class OtherOptionsError(Exception):
    """A scheduler changes more of its param groups than the lr, so that its setting cannot go on side by side."""

    def __init__(self, setting: str, option: str) -> None:
        super().__init__(setting)
        self.setting, self.option = setting, option


class Beside(Trainer):
    """Trains its members as one ensemble, each at the learning rates that its own scheduler wrote."""

    method = "side by side"

    def __init__(self, task: Task, settings: Mapping[str, Setting], pairs: list[tuple[str, int]], reason: str) -> None:
        super().__init__(task, settings, pairs, reason)
        self._settings, self._reason, self._on_gpu = settings, reason, task.device.type == "cuda"
        self._ensemble = self._new_ensemble()
        self._options = {name: options(setting.optimizer(self._weights)) for name, setting in settings.items()}
        self._check_options(self.members)
        torch.manual_seed(pairs[0][1])

    @property
    def _weights(self) -> list[nn.Parameter]:
        return [*self.members[0].model.parameters()]

    def _new_ensemble(self) -> Ensemble:
        members = self.active
        makers = [self._settings[member.run.setting].optimizer for member in members]
        return Ensemble([member.model for member in members], makers, len(members), record=self._on_gpu)

    def train(self, members: list[Member]) -> list[float]:
        """Train on all batches once, each member in its own order; return the means of their losses."""
        data: Any = self.task.train
        self._ensemble.model.train()
        alike = len({member.run.seed for member in members}) == 1
        order = data.order(member.generator for member in members)
        moving = [member for member in members if member.per_batch]
        losses, lrs = [], rates(members)
        for rows in order:
            batch = data.rows(rows[0] if alike else rows)
            losses.append(self._ensemble.step(self.task.loss_fn, batch, lrs, batch_dim=None if alike else 0))
            for member in moving:
                member.optimizer.step()  # without gradients: for its hooks, and for torch's warning about the order
                member.scheduler.step()
            if moving:
                self._check_options(moving)
                lrs = rates(members)
        for member in members:
            if not member.per_batch:
                member.optimizer.step()
        return average(losses, [1] * len(losses))

    def validate(self, members: list[Member]) -> list[dict[str, float]]:
        """Return each member's means over the validation batches."""
        self._ensemble.model.eval()
        batches = self.task.valid.in_order()
        measured = [(self._ensemble.evaluate(self.task.measure, batch), length(batch)) for batch in batches]
        return self.task.averages(measured, len(members))

    def leave(self, members: list[Member]) -> None:
        """Take the weights of members that are done out of the ensemble."""
        self._check_options(members)
        done = [member.done for member in members]
        if any(done):
            self._write_back(members)
        if any(done) and not all(done):
            self._ensemble.keep([not one for one in done])
        if self._on_gpu:
            for member in members:
                member.run.reason = f"{self._reason}; {self._ensemble.unrecorded or 'recorded as CUDA graphs'}"

    def state_dict(self) -> dict[str, Any]:
        self._write_back(self.active)
        return {**super().state_dict(), "optimizers": [each.state_dict() for each in self._ensemble.optimizers]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        if self.active:
            self._ensemble = self._new_ensemble()
            for optimizer, held in zip(self._ensemble.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(held)

    def _write_back(self, members: list[Member]) -> None:
        for i, member in enumerate(members):
            member.model.load_state_dict(self._ensemble.state(i))

    def _check_options(self, members: list[Member]) -> None:
        for member in members:
            if changed := other_option(self._options[member.run.setting], member.optimizer):
                raise OtherOptionsError(member.run.setting, changed)


def rates(members: list[Member]) -> np.ndarray:
    return np.array([read(member.optimizer) for member in members])


def other_option(before: list[dict[str, Any]], optimizer: Optimizer) -> str | None:
    """Return the first option that a scheduler has changed, or None; those that it added are its own affair."""
    pairs = zip(before, options(optimizer), strict=True)
    return next((name for old, now in pairs for name in old if now[name] != old[name]), None)


def kind_of(setting: Setting, model: nn.Module) -> tuple[int, str]:
    """Return the number of param groups, alike in one ensemble, and what is alike where members share an optimizer."""
    optimizer = setting.optimizer([*model.parameters()])
    return len(optimizer.param_groups), kind(optimizer, model)


def starts_otherwise(setting: Setting, model: nn.Module) -> str | None:
    """Return the option that a setting's scheduler changes when made, or None."""
    before = options(setting.optimizer([*model.parameters()]))
    return other_option(before, setting.build(model)[0])


def why_not(task: Task, model: nn.Module, setting: Setting, vectorize: Vectorize) -> str | None:
    """Return why a setting's runs are trained one after another, or None."""
    if vectorize is False:
        return "vectorize=False"
    if not isinstance(task.train, Tensors):
        return "train is a function"
    if vectorize == "auto" and (reason := unprofitable(model)):
        return reason
    model.train()
    batch = next(iter(task.train.in_order()))
    return obstacle(model, setting.optimizer, task.loss_fn, batch) or _unmeasured(task, model, setting)


def _unmeasured(task: Task, model: nn.Module, setting: Setting) -> str | None:
    """Return why the metrics cannot be measured for several members at once, or None."""
    model.eval()
    try:
        for batch in task.valid.in_order():
            Ensemble(model, setting.optimizer, 2).evaluate(task.measure, batch)
            break
    except Exception as error:  # whatever a function does that vmap cannot do
        return f"metric_fn cannot be stacked: {first_line(error)}"
    return None
