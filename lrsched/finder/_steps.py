"""The training loop of range tests, and of sweeps that try one learning rate after another."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .._check import real
from .._functions import LossFn, backward, modes_kept, scalar
from ..schedulers._tracking import watches_of

TrainStep = Callable[[Any], Tensor | float]

_MAX_SKIPPED = 50  # steps in a row that a gradient scaler may skip; it halves its scale each time


@dataclass
class TrainingSteps:
    """Takes optimizer steps at the optimizer's present learning rates, and yields their losses.

    Args:
        model, optimizer: what to train.
        loss_fn: loss_fn(model, batch) -> scalar tensor; None if `train_step` does the whole step.
        batches: the iterator of training batches.
        batches_per_lr: optimizer steps per yielded loss.
        accumulate: batches whose gradients are averaged for one optimizer step.
        train_step: train_step(batch) -> loss, the user's own step, or None.
        scaler: a gradient scaler, or None.
        agree: returns the number that all processes agree on; NaN if one of them passes NaN. None for one process.
        valid, valid_batches: the validation batches, and the most to use; `valid` is None for the training loss.
    """

    model: nn.Module
    optimizer: Optimizer
    loss_fn: LossFn | None
    batches: Iterator[Any]
    batches_per_lr: int = 1
    accumulate: int = 1
    train_step: TrainStep | None = None
    scaler: Any = None
    agree: Callable[[float], float] | None = None
    valid: Iterable[Any] | None = None
    valid_batches: int = 10

    def prepare(self, force_train: bool) -> None:
        """Put the optimizer, and the model if `force_train`, in train mode, and stop warm-ups from writing rates.

        Restoring the `Saved` that was made before ends all of this.
        """
        for watch in watches_of(self.optimizer):
            watch.muted = True
        if hasattr(self.optimizer, "train"):  # schedule-free optimizers only step in train mode
            self.optimizer.train()
        if force_train:
            self.model.train()

    def points(self) -> Iterator[float]:
        """Take `batches_per_lr` steps and yield a loss, again and again until batches run out.

        The loss is the mean of these steps, or the validation loss. A non-finite loss is yielded at once.
        """
        whole_step = self._whole_step()
        total, taken, skipped = 0.0, 0, 0
        for window in self._windows():
            scale = None if self.scaler is None else self.scaler.get_scale()
            if whole_step is not None:
                loss = whole_step(window)
            else:
                loss = self._gradients(window)
                if math.isfinite(loss):
                    if scale is None:
                        self.optimizer.step()
                    else:
                        self._scaled_step()
            if scale is not None and self.scaler.get_scale() < scale:  # the gradients overflowed: no step was taken
                skipped += 1
                if skipped < _MAX_SKIPPED:
                    continue
                loss = math.nan
            total += loss
            taken += 1
            if taken == self.batches_per_lr or not math.isfinite(total):
                yield total / taken if self.valid is None or not math.isfinite(total) else self._validated(self.valid)
                total, taken, skipped = 0.0, 0, 0

    def _whole_step(self) -> Callable[[list[Any]], float] | None:
        """Return a function that does the whole step, or None for the usual: gradients, then `optimizer.step()`."""
        if self.train_step is not None:
            return self._users_step
        return self._closure_step if _needs_closure(self.optimizer) else None

    def _windows(self) -> Iterator[list[Any]]:
        """Yield the batches of each optimizer step, until any process runs out of them."""
        while True:
            window = list(islice(self.batches, self.accumulate))
            complete = len(window) == self.accumulate
            if self.agree is not None:
                complete = math.isfinite(self.agree(1.0 if complete else math.nan))
            if not complete:
                return
            yield window

    def _gradients(self, window: list[Any]) -> float:
        """Compute the gradients of the batches of one step, and return their mean loss."""
        assert self.loss_fn is not None  # it may only be None with train_step
        share = None if self.scaler is None and self.accumulate == 1 else self._share
        self.optimizer.zero_grad()
        total = 0.0
        for batch in window:
            total += backward(self.model, self.loss_fn, batch, share).item()
        total /= self.accumulate
        return total if self.agree is None else self.agree(total)

    def _share(self, loss: Tensor) -> Tensor:
        """Return a batch's share of the step's loss, scaled if there is a gradient scaler."""
        share: Tensor = loss if self.accumulate == 1 else loss / self.accumulate
        return share if self.scaler is None else self.scaler.scale(share)

    def _scaled_step(self) -> None:
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def _users_step(self, window: list[Any]) -> float:
        assert self.train_step is not None
        loss = self.train_step(window[0])
        if loss is None:
            raise TypeError("train_step must return the loss, got None: add `return loss` to it")
        return self._agreed(real("the loss that train_step returns", loss))

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

    def _validated(self, valid: Iterable[Any]) -> float:
        """Return the mean validation loss, in eval mode and without gradients."""
        assert self.loss_fn is not None
        with modes_kept(self.model), torch.no_grad():
            self.model.eval()
            losses = [scalar(self.loss_fn(self.model, batch)).item() for batch in islice(valid, self.valid_batches)]
        if not losses:
            raise ValueError("valid must have at least one batch, got none")
        return self._agreed(sum(losses) / len(losses))

    def _agreed(self, loss: float) -> float:
        return loss if self.agree is None else self.agree(loss)


class _NonFiniteError(Exception):
    """The first loss in a closure is not finite, so the optimizer must not take a step."""


def endless(batches: Iterable[Any]) -> Generator[Any, None, None]:
    """Yield batches, starting over when they end, unless they come from an iterator."""
    once = hasattr(batches, "__next__")
    while True:
        empty = True
        for batch in batches:
            empty = False
            yield batch
        if empty:
            remedy = "; an iterator can only be used once: pass a list or a DataLoader" if once else ""
            raise ValueError(f"batches must have at least one batch, got none{remedy}")
        if once:
            return


def _needs_closure(optimizer: Optimizer) -> bool:
    """Return whether `optimizer.step` must be given a closure that computes the loss."""
    if type(optimizer).__module__.startswith("torch.optim."):
        return isinstance(optimizer, torch.optim.LBFGS)
    parameter = inspect.signature(optimizer.step).parameters.get("closure")
    return parameter is not None and parameter.default is inspect.Parameter.empty
