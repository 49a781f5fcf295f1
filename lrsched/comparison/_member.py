"""A member, one run in training: its model, optimizer and scheduler, its shuffling, and its record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from ..schedulers._groups import read
from ._json_lines import plain
from ._runs import Run
from ._setting import Setting
from ._task import Task


class Member:
    """One run in training. The seed alone decides its initial weights and the order of its batches."""

    def __init__(self, task: Task, name: str, setting: Setting, seed: int) -> None:
        torch.manual_seed(seed)
        self.model = task.model_fn().to(task.device)  # moved afterwards, so initial weights do not depend on the device
        self.generator = torch.Generator().manual_seed(seed)
        self.optimizer, self.scheduler = setting.build(self.model)
        self.per_batch = setting.per == "batch" and self.scheduler is not None
        self.task = task
        self.run = Run(name, seed, note=task.note)
        self.losses: list[float] = []  # the validation losses, NaN and infinity included
        self.rates: list[float] = []  # the learning rate at each batch of this epoch

    @property
    def done(self) -> bool:
        return len(self.losses) >= self.task.epochs or self.run.stopped is not None

    def end_batch(self) -> None:
        """If the scheduler steps after each batch, record the learning rate of this batch, and step it."""
        if self.scheduler is not None and self.per_batch:
            self.rates.append(read(self.optimizer)[0])
            self.scheduler.step()

    def end_epoch(self, train_loss: float, measured: dict[str, float]) -> None:
        """Step the scheduler, record the epoch, and ask `stop` whether it was the last."""
        val_loss = measured["loss"]
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(val_loss)
        elif self.scheduler is not None and not self.per_batch:
            self.scheduler.step()
        run = self.run
        if self.per_batch:
            run.batch_lrs.append(self.rates if len(set(self.rates)) > 1 else self.rates[:1])
            self.rates = []
        run.train_loss.append(plain(train_loss))
        run.val_loss.append(plain(val_loss))
        for name, value in measured.items():
            if name != "loss":
                run.metrics.setdefault(name, []).append(plain(value))
        run.events = [event.state_dict() for event in getattr(self.scheduler, "events", ())]
        self.losses.append(val_loss)
        if self.task.stop is not None and self.task.stop(list(self.losses)):
            run.stopped = len(self.losses)

    def finish(self) -> Run:
        """Return the complete record."""
        self.run.final = self.task.final(self.model)
        return self.run

    def state_dict(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "buffers": dict(self.model.named_buffers()),  # state_dict() lacks those that are not persistent
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "generator": self.generator.get_state(),
            "run": vars(self.run),
            "losses": self.losses,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        buffers = state.get("buffers", {})  # older checkpoints have none
        write_buffers(self.model, {name: value.to(self.task.device) for name, value in buffers.items()})
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        self.generator.set_state(state["generator"])
        self.run = Run(**state["run"])
        self.losses = state["losses"]
        self.run.resumed.append(len(self.losses))


@torch.no_grad()
def write_buffers(model: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Write values into the buffers of a model by name, in place where the shape and the dtype are the same."""
    for name, value in values.items():
        owner, _, own_name = name.rpartition(".")
        held = model.get_submodule(owner)._buffers
        present = held[own_name]
        if present is None or (present.shape, present.dtype) != (value.shape, value.dtype):  # replaced in training
            held[own_name] = value.clone()
        elif not torch.equal(present, value):  # an expanded one cannot be written
            present.copy_(value)
