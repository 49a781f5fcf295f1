"""Members one after another: the plain training loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .._functions import LossFn, backward
from ..ensembles._recorded_model import RecordedModel
from ._cohort import Cohort
from ._member import Member
from ._nests import on_tensors, sample_count
from ._profile import Profile
from ._runs import Pair
from ._task import Task, average


class OneByOne(Cohort):
    """Trains its members, usually a single one, independently of each other. On a GPU, passes are recorded."""

    method = "one after another"

    def __init__(self, task: Task, profiles: Mapping[str, Profile], pairs: list[Pair], reason: str) -> None:
        super().__init__(task, profiles, pairs, reason)
        self._recorded = {id(member): RecordedModel(member.model) for member in self.members if task.records}

    def train(self, members: list[Member]) -> list[float]:
        """Train each member on all batches once, in its own order; return the mean training loss of each."""
        return [self._train(member) for member in members]

    def _train(self, member: Member) -> float:
        optimizer, add_gradients = member.optimizer, self._backward(member)
        member.model.train()
        losses: list[Tensor] = []
        for batch in self.task.train.shuffled(member.generator):
            optimizer.zero_grad()
            loss = add_gradients(self.task.loss_fn, batch)
            optimizer.step()
            member.end_batch()
            losses.append(loss)
        return average(losses, [1] * len(losses))[0]

    def _backward(self, member: Member) -> Callable[[LossFn, Any], Tensor]:
        """Return the backward pass of a member for an epoch."""
        recorded = self._recorded.get(id(member))
        if recorded is None:
            return partial(backward, member.model)
        recorded.look()
        return lambda loss_fn, batch: recorded.backward(*on_tensors(loss_fn, batch))

    @torch.no_grad()
    def validate(self, members: list[Member]) -> list[dict[str, float]]:
        """Return the validation loss and metrics of each member."""
        found = []
        for member in members:
            member.model.eval()
            batches = self.task.valid.in_order()
            measured = [(self._measured(member, batch), sample_count(batch)) for batch in batches]
            found += self.task.averages(measured, 1)
        return found

    def _measured(self, member: Member, batch: Any) -> dict[str, Tensor]:
        if recorded := self._recorded.get(id(member)):
            measured: dict[str, Tensor] = recorded.evaluate(*on_tensors(self.task.measure, batch))
            return measured
        return self.task.measure(member.model, batch)

    def unrecorded(self, member: Member) -> str | None:
        recorded = self._recorded.get(id(member))
        return "record=False" if recorded is None else recorded.unrecorded
