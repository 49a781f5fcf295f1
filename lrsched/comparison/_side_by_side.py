"""Members side by side: one ensemble trains them all, each at its own learning rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..ensembles._ensemble import Ensemble
from ..schedulers._groups import read
from ._cohort import Cohort
from ._member import Member, write_buffers
from ._nests import on_tensors, sample_count
from ._profile import Profile
from ._runs import Pair
from ._task import Task, average


class AloneError(Exception):
    """A setting's scheduler has done what the members of an ensemble cannot do, so its runs must be trained alone."""

    def __init__(self, setting: str, reason: str) -> None:
        super().__init__(setting)
        self.setting, self.reason = setting, reason


def option_reason(option: str) -> str:
    return f"its scheduler changes {option} as well as lr"


class SideBySide(Cohort):
    """Trains its members as one ensemble, each at the learning rates that its own scheduler writes.

    Raises AloneError as soon as a scheduler changes the weights or another option of its param groups, or writes a rate
    that is negative or not finite.
    """

    method = "side by side"

    def __init__(self, task: Task, profiles: Mapping[str, Profile], pairs: list[Pair], reason: str) -> None:
        super().__init__(task, profiles, pairs, reason)
        self._profiles = profiles
        self._ensemble = self._new_ensemble()
        self._versions: dict[int, list[int]] = {}  # of the weights of each member's own model
        self._remember(self.members)
        self._check(self.members)
        torch.manual_seed(pairs[0][1])

    def _new_ensemble(self) -> Ensemble:
        members = self.active
        makers = [self._profiles[member.run.setting].new_optimizer for member in members]
        return Ensemble([member.model for member in members], makers, len(members), record=self.task.records)

    def train(self, members: list[Member]) -> list[float]:
        """Train each member on all batches once, in its own order; return the mean training loss of each."""
        self._ensemble.model.train()
        each_batch = [member for member in members if member.per_batch or _has_step_hooks(member)]
        losses: list[Tensor] = []
        rates: np.ndarray | None = None  # read when a batch needs them: what is written after the last one is not used
        seeds = [member.run.seed for member in members]
        for shared, batch_dim in self.task.train.shared([member.generator for member in members], seeds):
            rates = self._rates(members) if rates is None else rates
            loss_fn, batch = on_tensors(self.task.loss_fn, shared)
            losses.append(self._ensemble.step(loss_fn, batch, rates, batch_dim))
            for member in each_batch:
                member.optimizer.step()  # it has no gradients: this runs hooks and satisfies torch's order check
                member.end_batch()
            if each_batch:
                self._check(each_batch)
                rates = None
        for member in members:
            if member not in each_batch:
                member.optimizer.step()
        return average(losses, [1] * len(losses))

    def validate(self, members: list[Member]) -> list[dict[str, float]]:
        """Return the validation loss and metrics of each member."""
        self._ensemble.model.eval()
        measured = [
            (self._ensemble.evaluate(*on_tensors(self.task.measure, batch)), sample_count(batch))
            for batch in self.task.valid.in_order()
        ]
        return self.task.averages(measured, len(members))

    def unrecorded(self, member: Member) -> str | None:
        return self._ensemble.unrecorded

    def end_epoch(self, members: list[Member]) -> None:
        """If members are done, copy the weights back into the models and drop these members from the ensemble."""
        self._check(members)
        done = [member.done for member in members]
        if any(done):
            self._write_back(members)
        if any(done) and not all(done):
            self._ensemble.keep([not each for each in done])

    def state_dict(self) -> dict[str, Any]:
        self._write_back(self.active)
        return {**super().state_dict(), "optimizers": [each.state_dict() for each in self._ensemble.optimizers]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._remember(self.members)
        if self.active:
            self._ensemble = self._new_ensemble()
            for optimizer, held in zip(self._ensemble.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(held)

    def _write_back(self, members: list[Member]) -> None:
        """Copy the weights and buffers of the members from the ensemble into their models."""
        for i, member in enumerate(members):
            member.model.load_state_dict(self._ensemble.state(i))
            write_buffers(member.model, self._ensemble.buffers(i))  # those outside state_dict() included
        self._remember(members)

    def _remember(self, members: list[Member]) -> None:
        """Remember the versions of the weights, which count the changes in place."""
        for member in members:
            self._versions[id(member)] = _versions(member)

    def _check(self, members: list[Member]) -> None:
        for member in members:
            setting = member.run.setting
            if changed := self._profiles[setting].changed_option(member.optimizer):
                raise AloneError(setting, option_reason(changed))
            if _versions(member) != self._versions[id(member)]:
                raise AloneError(setting, "its scheduler changes the weights")

    def _rates(self, members: list[Member]) -> np.ndarray:
        """Return the present learning rates, shape (members, param groups)."""
        rates = np.array([read(member.optimizer) for member in members])
        legal = (np.isfinite(rates) & (rates >= 0)).all(axis=1)
        if not legal.all():
            i = int(np.argmin(legal))
            raise AloneError(members[i].run.setting, f"its scheduler writes the learning rate {rates[i].min():g}")
        return rates


def _has_step_hooks(member: Member) -> bool:
    """Return whether something waits for each step of the optimizer, such as the warm-up of a `PlateauSequence`."""
    return bool(member.optimizer._optimizer_step_pre_hooks or member.optimizer._optimizer_step_post_hooks)


def _versions(member: Member) -> list[int]:
    return [parameter._version for parameter in member.model.parameters()]
