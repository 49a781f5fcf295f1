"""Members side by side: one ensemble trains them all, each at its own learning rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ..ensembles._ensemble import Ensemble
from ..schedulers._groups import read
from ._batches import TensorBatches, sample_count
from ._cohort import Cohort
from ._member import Member
from ._profile import Profile
from ._runs import Pair
from ._task import Task, average


class OtherOptionsError(Exception):
    """A scheduler has changed an option other than lr, so its setting can no longer share an ensemble."""

    def __init__(self, setting: str, option: str) -> None:
        super().__init__(setting)
        self.setting, self.option = setting, option


class SideBySide(Cohort):
    """Trains its members as one ensemble, each at the learning rates that its own scheduler writes.

    Raises OtherOptionsError as soon as a scheduler changes another option of its param groups.
    """

    method = "side by side"

    def __init__(self, task: Task, profiles: Mapping[str, Profile], pairs: list[Pair], reason: str) -> None:
        super().__init__(task, profiles, pairs, reason)
        self._profiles, self._reason, self._on_gpu = profiles, reason, task.device.type == "cuda"
        self._ensemble = self._new_ensemble()
        self._check_options(self.members)
        torch.manual_seed(pairs[0][1])

    def _new_ensemble(self) -> Ensemble:
        members = self.active
        makers = [self._profiles[member.run.setting].new_optimizer for member in members]
        return Ensemble([member.model for member in members], makers, len(members), record=self._on_gpu)

    def train(self, members: list[Member]) -> list[float]:
        """Train each member on all batches once, in its own order; return the mean training loss of each."""
        data = self.task.train
        assert isinstance(data, TensorBatches)  # with other batches, the plan trains one run at a time
        self._ensemble.model.train()
        one_seed = len({member.run.seed for member in members}) == 1
        per_batch = [member for member in members if member.per_batch]
        losses, rates = [], _rates(members)
        for rows in data.order(member.generator for member in members):
            batch = data.rows(rows[0] if one_seed else rows)
            losses.append(self._ensemble.step(self.task.loss_fn, batch, rates, batch_dim=None if one_seed else 0))
            for member in per_batch:
                member.optimizer.step()  # it has no gradients: this runs hooks and satisfies torch's order check
                member.end_batch()
            if per_batch:
                self._check_options(per_batch)
                rates = _rates(members)
        for member in members:
            if not member.per_batch:
                member.optimizer.step()
        return average(losses, [1] * len(losses))

    def validate(self, members: list[Member]) -> list[dict[str, float]]:
        """Return the validation loss and metrics of each member."""
        self._ensemble.model.eval()
        batches = self.task.valid.in_order()
        measured = [(self._ensemble.evaluate(self.task.measure, batch), sample_count(batch)) for batch in batches]
        return self.task.averages(measured, len(members))

    def end_epoch(self, members: list[Member]) -> None:
        """If members are done, copy the weights back into the models and drop these members from the ensemble."""
        self._check_options(members)
        done = [member.done for member in members]
        if any(done):
            self._write_back(members)
        if any(done) and not all(done):
            self._ensemble.keep([not each for each in done])
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
        """Copy the weights of the members from the ensemble into their models."""
        for i, member in enumerate(members):
            member.model.load_state_dict(self._ensemble.state(i))

    def _check_options(self, members: list[Member]) -> None:
        for member in members:
            if changed := self._profiles[member.run.setting].changed_option(member.optimizer):
                raise OtherOptionsError(member.run.setting, changed)


def _rates(members: list[Member]) -> np.ndarray:
    """Return the present learning rates, shape (members, param groups)."""
    return np.array([read(member.optimizer) for member in members])
