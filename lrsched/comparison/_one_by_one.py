"""Members one after another: the plain training loop."""

from __future__ import annotations

import torch
from torch import Tensor

from .._functions import backward
from ._cohort import Cohort
from ._member import Member
from ._nests import sample_count
from ._task import average


class OneByOne(Cohort):
    """Trains its members, usually a single one, independently of each other."""

    method = "one after another"

    def train(self, members: list[Member]) -> list[float]:
        """Train each member on all batches once, in its own order; return the mean training loss of each."""
        return [self._train(member) for member in members]

    def _train(self, member: Member) -> float:
        model, optimizer, loss_fn = member.model, member.optimizer, self.task.loss_fn
        model.train()
        losses: list[Tensor] = []
        for batch in self.task.train.shuffled(member.generator):
            optimizer.zero_grad()
            loss = backward(model, loss_fn, batch)
            optimizer.step()
            member.end_batch()
            losses.append(loss)
        return average(losses, [1] * len(losses))[0]

    @torch.no_grad()
    def validate(self, members: list[Member]) -> list[dict[str, float]]:
        """Return the validation loss and metrics of each member."""
        found = []
        for member in members:
            member.model.eval()
            batches = self.task.valid.in_order()
            measured = [(self.task.measure(member.model, batch), sample_count(batch)) for batch in batches]
            found += self.task.averages(measured, 1)
        return found
