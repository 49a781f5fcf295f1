"""The loop of a comparison: epochs of training and validation, as anyone would write them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ._batches import length
from ._members import Member, Task, average
from ._training import scalar

AfterEpoch = Callable[[], object]


def alone(task: Task, member: Member, after_epoch: AfterEpoch) -> None:
    """Train one member to its end."""
    while not member.done:
        started = time.perf_counter()
        member.note_rates()
        train_loss = train(task, member)
        member.end_epoch(train_loss, validate(task, member.model))
        member.run.seconds += time.perf_counter() - started
        after_epoch()


def train(task: Task, member: Member) -> float:
    """Train on all batches once, in a new order; return the mean of their losses."""
    model, optimizer, loss_fn = member.model, member.optimizer, task.loss_fn
    model.train()
    losses: list[Tensor] = []
    for batch in task.train.shuffled(member.generator):
        loss = loss_fn(model, batch)
        if type(loss) is not Tensor or loss.ndim:
            loss = scalar(loss)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if member.per_batch:
            member.scheduler.step()
        losses.append(loss.detach())
    if not losses:
        raise ValueError("train gave no batches")
    return average(losses, [1] * len(losses))[0]


@torch.no_grad()
def validate(task: Task, model: Any) -> dict[str, float]:
    """Return the mean of the batches' losses, and of each metric the mean over samples."""
    model.eval()
    measured, lengths = [], []
    for batch in task.valid.in_order():
        measured.append(task.measure(model, batch))
        lengths.append(length(batch))
    if not measured:
        raise ValueError("valid gave no batches")
    ones = [1] * len(lengths)
    return {
        name: average([values[name] for values in measured], ones if name == "loss" else lengths)[0]
        for name in measured[0]
    }
