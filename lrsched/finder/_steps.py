"""Trainer: the optimizer steps that one learning rate of a range test takes, and the loss that they show."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .._check import real
from .._functions import LossFn, backward, modes_kept, scalar

TrainStep = Callable[[Any], Tensor | float]

_SKIPS = 50  # steps that a gradient scaler may skip in a row: it halves its scale each time


@dataclass
class Trainer:
    """One learning rate after another: the steps with it and the loss that they show."""

    model: nn.Module
    optimizer: Optimizer
    loss_fn: LossFn | None
    batches: Generator[Any, None, None]
    batches_per_lr: int
    accumulate: int
    train_step: TrainStep | None
    scaler: Any
    agree: Callable[[float], float] | None
    valid: Iterable[Any] | None
    valid_batches: int

    def prepare(self, force_train: bool) -> None:
        """Bring model and optimizer into the mode for training."""
        if self.train_step is not None:
            self._step = self._users_step
        else:
            self._step = self._closure_step if _needs_closure(self.optimizer) else self._own_step
        if hasattr(self.optimizer, "train"):  # schedule-free optimizers step in train mode only
            self.optimizer.train()
        if force_train:
            self.model.train()

    def points(self) -> Iterator[float]:
        """Yield the loss that the steps with the present learning rate show, as often as asked and batches last."""
        usual = self._step == self._own_step and self.batches_per_lr == self.accumulate == 1
        bare = self.scaler is None and self.agree is None and self.valid is None
        return self._plain_points() if usual and bare else iter(self._point, None)

    def _plain_points(self) -> Iterator[float]:
        """Do what `_point` does in the commonest case, one batch and nothing besides, in fewer steps: this is timed."""
        model, optimizer, loss_fn = self.model, self.optimizer, cast(LossFn, self.loss_fn)
        for batch in self.batches:
            optimizer.zero_grad()
            value = backward(model, loss_fn, batch).item()
            if math.isfinite(value):
                optimizer.step()
            yield value

    def _point(self) -> float | None:
        """Take the steps with the present learning rate; return their mean loss, or None where batches ran out."""
        total, taken, skipped = 0.0, 0, 0
        while taken < self.batches_per_lr:
            window = list(islice(self.batches, self.accumulate))
            if self._ran_out(window) if self.agree is not None else len(window) < self.accumulate:
                return None
            scale = None if self.scaler is None else self.scaler.get_scale()
            loss = self._step(window)
            if scale is not None and self.scaler.get_scale() < scale:  # an overflow: no step was taken
                skipped += 1
                loss = 0.0 if skipped < _SKIPS else math.nan
            else:
                taken += 1
            total += loss
            if not math.isfinite(total):
                return math.nan
        return total / taken if self.valid is None else self._validated(self.valid)

    def _ran_out(self, window: list[Any]) -> bool:
        """Return whether the batches have run out on any process."""
        return not math.isfinite(self._agreed(1.0 if len(window) == self.accumulate else math.nan))

    def _own_step(self, window: list[Any]) -> float:
        loss = self._gradients(window)
        if math.isfinite(loss):
            if self.scaler is None:
                self.optimizer.step()
            else:
                self.scaler.step(self.optimizer)
                self.scaler.update()
        return loss

    def _users_step(self, window: list[Any]) -> float:
        train_step = cast(TrainStep, self.train_step)
        return self._agreed(_number("train_step", train_step(window[0])))

    def _closure_step(self, window: list[Any]) -> float:
        losses: list[float] = []

        def closure() -> Tensor:
            losses.append(self._gradients(window))
            if not math.isfinite(losses[0]):
                raise _NonFiniteError
            return torch.tensor(losses[-1])

        with suppress(_NonFiniteError):
            self.optimizer.step(closure)  # type: ignore[arg-type]
        return losses[0]

    def _gradients(self, window: list[Any]) -> float:
        """Return the mean loss of a window of batches, its gradient in place."""
        self.optimizer.zero_grad()
        total = 0.0
        for batch in window:
            total += backward(self.model, cast(LossFn, self.loss_fn), batch, self._part).item()
        total /= self.accumulate
        return total if self.agree is None else self.agree(total)

    def _part(self, loss: Tensor) -> Tensor:
        """Return a batch's share of the loss whose gradient is taken, scaled if there is a gradient scaler."""
        part = loss if self.accumulate == 1 else loss / self.accumulate
        return part if self.scaler is None else cast(Tensor, self.scaler.scale(part))

    def _validated(self, valid: Iterable[Any]) -> float:
        loss_fn = cast(LossFn, self.loss_fn)
        with modes_kept(self.model), torch.no_grad():
            self.model.eval()
            losses = [scalar(loss_fn(self.model, batch)).item() for batch in islice(valid, self.valid_batches)]
        if not losses:
            raise ValueError("valid is empty")
        return self._agreed(sum(losses) / len(losses))

    def _agreed(self, loss: float) -> float:
        return loss if self.agree is None else self.agree(loss)


class _NonFiniteError(Exception):
    """The first loss in a closure is not finite: no step is to be taken."""


def endless(batches: Iterable[Any]) -> Generator[Any, None, None]:
    """Yield batches, starting again as often as wanted, a one-shot iterator only once."""
    once = hasattr(batches, "__next__")
    while True:
        empty = True
        for batch in batches:
            empty = False
            yield batch
        if empty:
            raise ValueError("batches is empty" + (" or used up: it is an iterator, which runs once" if once else ""))
        if once:
            return


def _needs_closure(optimizer: Optimizer) -> bool:
    if type(optimizer).__module__.startswith("torch.optim."):
        return isinstance(optimizer, torch.optim.LBFGS)
    parameter = inspect.signature(optimizer.step).parameters.get("closure")
    return parameter is not None and parameter.default is inspect.Parameter.empty


def _number(name: str, loss: Any) -> float:
    if loss is None:
        raise TypeError(f"{name} must return the loss, got None")
    return real(f"the loss that {name} returns", loss)
