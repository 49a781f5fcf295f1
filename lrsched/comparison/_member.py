"""One run of a comparison: its model with an ordinary optimizer and scheduler, its place in the data, its record."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from .._check import choice
from .._functions import LossFn, described
from ..schedulers._groups import read
from ._batches import Batches
from ._json_lines import plain
from ._runs import Run

MetricFn = Callable[[Any, Any], Any]
MetricAverage = Literal["samples", "batches"]  # what metrics are averaged over
Per = Literal["epoch", "batch"]  # what a scheduler is stepped after


@dataclass(frozen=True)
class Setting:
    """A row of a comparison: how to make the optimizer and its scheduler.

    Args:
        optimizer: optimizer(params) -> Optimizer; `params` is the list of the model's parameters.
        scheduler: scheduler(optimizer) -> a learning-rate scheduler of ours or of torch's; None for a fixed rate.
        per: "epoch" steps the scheduler after each epoch, with the validation loss if it takes a metric; "batch" after
            each optimizer step.

    Raises TypeError or ValueError naming the argument that is wrong.

    >>> import torch
    >>> from lrsched import InverseLR, Setting
    >>> setting = Setting(lambda params: torch.optim.SGD(params, lr=0.1), InverseLR)
    >>> setting.per
    'epoch'
    """

    optimizer: Callable[[list[nn.Parameter]], Optimizer]
    scheduler: Callable[[Optimizer], Any] | None = None
    per: Per = "epoch"

    def __post_init__(self) -> None:
        if not callable(self.optimizer):
            raise TypeError(f"optimizer must be a function of the parameters, got {described(self.optimizer)}")
        if not (self.scheduler is None or callable(self.scheduler)):
            raise TypeError(f"scheduler must be None or a function of the optimizer, got {described(self.scheduler)}")
        choice("per", self.per, get_args(Per))

    def build(self, model: nn.Module) -> tuple[Optimizer, Any]:
        """Return an optimizer of the model's parameters, and its scheduler or None."""
        optimizer = self.optimizer([*model.parameters()])
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer must return a torch.optim.Optimizer, got {described(optimizer)}")
        scheduler = None if self.scheduler is None else self.scheduler(optimizer)
        if scheduler is not None and not all(hasattr(scheduler, name) for name in ("step", "state_dict")):
            raise TypeError(f"scheduler must return a learning-rate scheduler, got {described(scheduler)}")
        if isinstance(scheduler, ReduceLROnPlateau) and self.per == "batch":
            raise ValueError(f'per must be "epoch" for a {type(scheduler).__name__}: it follows the validation loss')
        return optimizer, scheduler

    def description(self, model: nn.Module) -> dict[str, str]:
        """Return what distinguishes the setting from others: how its optimizer and scheduler begin."""
        optimizer, scheduler = self.build(model)
        state = {} if scheduler is None else scheduler.state_dict()
        text = json.dumps(state, default=lambda value: type(value).__qualname__)
        return {
            "optimizer": " ".join(repr(optimizer).split()),
            "scheduler": "None" if scheduler is None else f"{type(scheduler).__qualname__} {text}",
            "per": self.per,
        }


@dataclass(frozen=True)
class Task:
    """What all runs of a comparison share."""

    model_fn: Callable[[], nn.Module]
    loss_fn: LossFn
    metric_fn: MetricFn | None
    metric_average: MetricAverage
    final_fn: Callable[[nn.Module], dict[str, Any]] | None
    train: Batches
    valid: Batches
    epochs: int
    stop: Callable[[list[float]], bool] | None
    device: torch.device
    note: str

    def measure(self, model: Any, batch: Any) -> dict[str, Tensor]:
        """Return the loss of a validation batch, under "loss", and its metrics."""
        found = {} if self.metric_fn is None else self.metric_fn(model, batch)
        found = found if isinstance(found, dict) else {"metric": found}
        if "loss" not in found:
            found = {"loss": self.loss_fn(model, batch), **found}
        return {str(name): _one_number(name, value) for name, value in found.items()}

    def averages(self, measured: list[tuple[dict[str, Tensor], int]], members: int) -> list[dict[str, float]]:
        """Return, for each member, the means of what was measured of batches of so many samples."""
        if not measured:
            raise ValueError("valid gave no batches")
        if other := next((found.keys() for found, _ in measured if found.keys() != measured[0][0].keys()), None):
            raise ValueError(
                f"metric_fn must name the same metrics of every batch, got {[*measured[0][0]]}, {[*other]}"
            )
        alike, samples = [1] * len(measured), [length for _, length in measured]
        weights = {"loss": alike} if self.metric_average == "samples" else dict.fromkeys(measured[0][0], alike)
        means = {
            name: average([values[name] for values, _ in measured], weights.get(name, samples))
            for name in measured[0][0]
        }
        return [{name: column[i] for name, column in means.items()} for i in range(members)]


class Member:
    """One run that is being trained; the seed alone decides its first weights and the order of its batches."""

    def __init__(self, task: Task, name: str, setting: Setting, seed: int) -> None:
        torch.manual_seed(seed)
        self.model = task.model_fn().to(task.device)  # made where model_fn makes it: the same weights on every device
        self.generator = torch.Generator().manual_seed(seed)
        self.optimizer, self.scheduler = setting.build(self.model)
        self.per_batch = setting.per == "batch" and self.scheduler is not None
        self.task = task
        self.run = Run(name, seed, note=task.note)
        self.losses: list[float] = []  # the validation losses as they came, with NaN

    @property
    def done(self) -> bool:
        return len(self.losses) >= self.task.epochs or self.run.stopped is not None

    def end_epoch(self, train_loss: float, measured: dict[str, float]) -> None:
        """Step the scheduler, write down what the epoch came to, and see whether it was the last."""
        val_loss = measured["loss"]
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(val_loss)
        elif self.scheduler is not None and not self.per_batch:
            self.scheduler.step()
        run = self.run
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
        """Return the record, with what `final_fn` finds in the trained model."""
        if self.task.final_fn is not None:
            self.model.eval()
            with torch.no_grad():
                self.run.final = _final(self.task.final_fn(self.model))
        return self.run

    def state_dict(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "generator": self.generator.get_state(),
            "run": vars(self.run),
            "losses": self.losses,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        self.generator.set_state(state["generator"])
        self.run = Run(**state["run"])
        self.losses = state["losses"]
        self.run.resumed.append(len(self.losses))


def _one_number(name: object, value: Any) -> Tensor:
    try:
        found = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        found = torch.empty(0)
    if found.numel() != 1 or found.is_complex():
        source = "loss_fn must return a scalar tensor" if name == "loss" else f"metric_fn: {name} must be one number"
        raise TypeError(f"{source}, got {described(value)}")
    return found


def _final(found: Any) -> dict[str, Any]:
    """Return what `final_fn` found as JSON would give it back, with numbers for numpy's and torch's."""
    if not isinstance(found, Mapping):
        raise TypeError(f"final_fn must return a dict, got {described(found)}")
    try:
        return dict(json.loads(json.dumps(plain(dict(found)), default=lambda value: plain(value.tolist()))))
    except (AttributeError, TypeError, ValueError) as error:
        raise TypeError(f"final_fn must return what JSON can hold, got {found!r}") from error


class Trainer:
    """Members that are trained together, an epoch at a time; a subclass says how."""

    method = ""

    def __init__(self, task: Task, settings: Mapping[str, Setting], pairs: list[tuple[str, int]], reason: str) -> None:
        self.task = task
        self.members = [Member(task, name, settings[name], seed) for name, seed in pairs]
        for member in self.members:
            member.run.method, member.run.reason = self.method, reason

    @property
    def active(self) -> list[Member]:
        """The members that are not done."""
        return [member for member in self.members if not member.done]

    def epoch(self) -> list[Run]:
        """Train and validate the members that are not done, and return their records."""
        started, members = time.perf_counter(), self.active
        for member in members:
            member.run.lrs.append(read(member.optimizer))
        losses = self.train(members)
        measured = self.validate(members)
        for member, loss, values in zip(members, losses, measured, strict=True):
            member.end_epoch(loss, values)
        self.leave(members)
        for member in members:
            member.run.seconds += (time.perf_counter() - started) / len(members)
        return [member.run for member in members]

    def train(self, members: list[Member]) -> list[float]:
        """Train on all batches once; return the members' training losses."""
        raise NotImplementedError

    def validate(self, members: list[Member]) -> list[dict[str, float]]:
        """Return the members' validation losses and metrics."""
        raise NotImplementedError

    def leave(self, members: list[Member]) -> None:
        """Take note that an epoch is over, and some members are done."""

    def state_dict(self) -> dict[str, Any]:
        return {"members": [member.state_dict() for member in self.members]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for member, held in zip(self.members, state["members"], strict=True):
            member.load_state_dict(held)


def average(values: Iterable[Tensor], weights: list[int]) -> list[float]:
    """Return the weighted mean of one number a batch, for each member where the values have that axis."""
    columns = torch.stack([value.detach() for value in values]).reshape(len(weights), -1).T.tolist()
    total = sum(weights)
    return [sum(value * weight for value, weight in zip(column, weights, strict=True)) / total for column in columns]
