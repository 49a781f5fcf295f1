"""One run: an ordinary training loop with one of lrsched's schedulers in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lrsched import PlateauSequence

from .settings import Setting


class Split(NamedTuple):
    """Images (n, channels, height, width) as float32 and their labels (n,), held in memory."""

    images: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Split:
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Task:
    """What all runs of a table share."""

    network: Callable[[], nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor]
    train: Split
    valid: Split
    batch_size: int


@dataclass
class Run:
    """One finished run: its losses, accuracies and learning rates, one value an epoch, and its events.

    `unlearned` counts the classes of which fewer than one image in ten was recognised; `stopped` is the epoch after
    which the run ended early, or None.
    """

    setting: str
    seed: int
    train_loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    unlearned: list[int] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    stopped: int | None = None
    seconds: float = 0.0
    machine: str = ""


def train(
    task: Task,
    name: str,
    setting: Setting,
    seed: int,
    epochs: int,
    on_epoch: Callable[[Run], None] = lambda run: None,
) -> Run:
    """Train one network; the seed alone decides its first weights and the order of its batches."""
    started = time.perf_counter()
    run = Run(name, seed)
    torch.manual_seed(seed)
    model = task.network().to(task.train.images.device)  # made on the CPU: the same weights on every device
    order = torch.Generator().manual_seed(seed)
    optimizer = setting.optimizer(model.parameters())
    scheduler = setting.scheduler(optimizer)
    for epoch in range(1, epochs + 1):
        run.lr.append(optimizer.param_groups[0]["lr"])
        run.train_loss.append(train_epoch(model, optimizer, task, order))
        val_loss, accuracy, unlearned = validate(model, task)
        if isinstance(scheduler, PlateauSequence):
            scheduler.step(val_loss)
        else:
            scheduler.step()
        run.val_loss.append(val_loss)
        run.val_accuracy.append(accuracy)
        run.unlearned.append(unlearned)
        on_epoch(run)
        if epoch >= 3 and abs(run.val_loss[-1] - run.val_loss[-3]) < 1e-7:  # as published
            run.stopped = epoch
            break
    if isinstance(scheduler, PlateauSequence):
        run.events = [asdict(event) for event in scheduler.events]
    run.seconds = time.perf_counter() - started
    return run


def train_epoch(model: nn.Module, optimizer: torch.optim.Optimizer, task: Task, order: torch.Generator) -> float:
    """Train on all images once, in a new order; return the mean of the batches' losses."""
    model.train()
    images, labels = task.train
    batches = torch.randperm(len(labels), generator=order).to(labels.device).split(task.batch_size)
    total = 0.0
    for batch in batches:
        loss = task.loss(model(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(batches)


@torch.no_grad()
def validate(model: nn.Module, task: Task) -> tuple[float, float, int]:
    """Return the mean of the batches' losses, the accuracy, and the number of unlearned classes."""
    model.eval()
    losses, guesses = [], []
    for images, labels in zip(*(part.split(task.batch_size) for part in task.valid), strict=True):
        outputs = model(images)
        losses.append(task.loss(outputs, labels).item())
        guesses.append(outputs.argmax(1))
    labels = task.valid.labels
    right = torch.cat(guesses) == labels
    of_class = labels.bincount()
    unlearned = 10 * labels[right].bincount(minlength=len(of_class)) < of_class
    return sum(losses) / len(losses), right.sum().item() / len(labels), int(unlearned.sum())
