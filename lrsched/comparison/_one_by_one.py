"""One member after another: epochs of training and validation, as anyone would write them."""

from __future__ import annotations

import torch
from torch import Tensor

from .._functions import backward
from ._batches import length
from ._member import Member, Trainer, average


class Alone(Trainer):
    """Trains its members, usually one, without regard to each other."""

    method = "one after another"

    def train(self, members: list[Member]) -> list[float]:
        """Train on all batches once, in a new order; return the mean of their losses."""
        return [self._train(member) for member in members]

    def _train(self, member: Member) -> float:
        model, optimizer, loss_fn = member.model, member.optimizer, self.task.loss_fn
        model.train()
        losses: list[Tensor] = []
        for batch in self.task.train.shuffled(member.generator):
            optimizer.zero_grad()
            loss = backward(model, loss_fn, batch)
            optimizer.step()
            if member.per_batch:
                member.scheduler.step()
            losses.append(loss)
        if not losses:
            raise ValueError("train gave no batches")
        return average(losses, [1] * len(losses))[0]

    @torch.no_grad()
    def validate(self, members: list[Member]) -> list[dict[str, float]]:
        """Return each member's means over the validation batches."""
        found = []
        for member in members:
            member.model.eval()
            measured = [(self.task.measure(member.model, batch), length(batch)) for batch in self.task.valid.in_order()]
            found += self.task.averages(measured, 1)
        return found
