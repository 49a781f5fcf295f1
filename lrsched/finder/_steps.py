"""The training loop of range tests, and of sweeps that try one learning rate after another."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from .._check import real
from .._functions import LossFn, attached_backward, modes_kept, put_in_train_mode, scalar
from ..schedulers._tracking import watches_of
from ._optimizers import Updates, listed

TrainStep = Callable[[Any], Tensor | float]
Window = tuple[Any, ...]  # the batches of one optimizer step

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
        valid: the validation batches, or None for the training loss.
    """

    model: nn.Module
    optimizer: Any  # an optimizer, or an OptimizerList
    loss_fn: LossFn | None
    batches: Iterator[Any]
    batches_per_lr: int = 1
    accumulate: int = 1
    train_step: TrainStep | None = None
    scaler: Any = None
    agree: Callable[[float], float] | None = None
    valid: Iterable[Any] | None = None

    def __post_init__(self) -> None:
        self._updates = Updates(listed(self.optimizer))
        if self.scaler is not None and self._updates.need_closure:
            raise ValueError("scaler must be None for an optimizer that needs a closure: scalers do not support it")

    def prepare(self) -> None:
        """Put the optimizer in train mode, and the model unless it is; stop warm-ups from writing rates.

        Restoring the `Saved` that was made before ends all of this.
        """
        for optimizer in listed(self.optimizer):
            for watch in watches_of(optimizer):
                watch.muted = True
            if hasattr(optimizer, "train"):  # schedule-free optimizers only step in train mode
                optimizer.train()
            if self.train_step is None and hasattr(optimizer, "gradient_state"):
                optimizer.gradient_state.sync_gradients = True  # Accelerate's wrapper skips steps without it
        put_in_train_mode(self.model)

    def points(self) -> Iterator[float]:
        """Take `batches_per_lr` steps and give a loss, again and again until batches run out.

        The loss is the mean of these steps, or the validation loss. A non-finite loss is given at once.
        """
        losses: Iterator[float] = map(self._step(), self._windows())
        if self.scaler is not None:
            losses = self._without_skipped(losses)
        return losses if self.batches_per_lr == 1 and self.valid is None else self._means(losses)

    def _means(self, losses: Iterator[float]) -> Iterator[float]:
        """Yield the mean of every `batches_per_lr` losses, or the validation loss after them."""
        total, taken = 0.0, 0
        for loss in losses:
            total += loss
            taken += 1
            if not math.isfinite(total):
                yield total
            elif taken == self.batches_per_lr:
                yield total / taken if self.valid is None else self._validated(self.valid)
            else:
                continue
            total, taken = 0.0, 0

    def _without_skipped(self, losses: Iterator[float]) -> Iterator[float]:
        """Leave out the losses of steps that the scaler skipped because gradients overflowed; NaN if all do."""
        skipped, scale = 0, self.scaler.get_scale()
        for loss in losses:
            before, scale = scale, self.scaler.get_scale()
            skipped = skipped + 1 if scale < before else 0
            if skipped == 0:
                yield loss
            elif skipped == _MAX_SKIPPED:
                yield math.nan

    def _windows(self) -> Iterator[Window]:
        """Return the batches of each optimizer step, until any process runs out of them."""
        if self.accumulate == 1 and self.agree is None:
            return zip(self.batches)
        return self._agreed_windows()

    def _agreed_windows(self) -> Iterator[Window]:
        while True:
            window = tuple(islice(self.batches, self.accumulate))
            complete = len(window) == self.accumulate
            if self.agree is not None:
                complete = math.isfinite(self.agree(1.0 if complete else math.nan))
            if not complete:
                return
            yield window

    def _step(self) -> Callable[[Window], float]:
        """Return the function that takes one optimizer step and returns its loss."""
        if self.train_step is not None:
            return self._users_step
        if self.scaler is not None:
            return self._scaled_step
        return self._closure_step if self._updates.by_closure_alone else self._usual_step

    def _usual_step(self, window: Window) -> float:
        loss = self._gradients(window)
        if math.isfinite(loss):
            if self._updates.plain:
                self.optimizer.step()
            else:
                self._updates(lambda: torch.tensor(self._recomputed(window)))
        return loss

    def _scaled_step(self, window: Window) -> float:
        loss = self._gradients(window)
        if math.isfinite(loss):
            for optimizer in listed(self.optimizer):
                self.scaler.step(optimizer)
            self.scaler.update()
        return loss

    def _users_step(self, window: Window) -> float:
        assert self.train_step is not None
        loss = self.train_step(window[0])
        if loss is None:
            raise TypeError("train_step must return the loss, got None: add `return loss` to it")
        return self._agreed(real("the loss that train_step returns", loss))

    def _closure_step(self, window: Window) -> float:
        """Let the optimizer compute all losses; return the first one. Take no step if it is not finite."""
        losses: list[float] = []

        def closure() -> Tensor:
            losses.append(self._recomputed(window))
            if not math.isfinite(losses[0]):
                raise _NonFiniteError
            return torch.tensor(losses[-1])

        with suppress(_NonFiniteError):
            self._updates(closure)
        return losses[0]

    def _recomputed(self, window: Window) -> float:
        """Compute gradients and loss within `optimizer.step`, which often runs without gradients."""
        with torch.enable_grad():
            return self._gradients(window)

    def _gradients(self, window: Window) -> float:
        """Compute the gradients of the batches of one step, and return their mean loss."""
        assert self.loss_fn is not None  # it may only be None with train_step
        self._updates.zero_grad()
        if len(window) == 1 and self.scaler is None:
            total = attached_backward(self.model, self.loss_fn, window[0]).item()
        else:
            total = sum(attached_backward(self.model, self.loss_fn, batch, self._share).item() for batch in window)
            total /= self.accumulate
        return total if self.agree is None else self.agree(total)

    def _share(self, loss: Tensor) -> Tensor:
        """Return a batch's share of the step's loss, scaled if there is a gradient scaler."""
        share: Tensor = loss if self.accumulate == 1 else loss / self.accumulate
        return share if self.scaler is None else self.scaler.scale(share)

    def _validated(self, valid: Iterable[Any]) -> float:
        """Return the mean validation loss, in eval mode and without gradients."""
        assert self.loss_fn is not None
        with modes_kept(self.model), torch.no_grad():
            self.model.eval()
            losses = [scalar(self.loss_fn(self.model, batch)).item() for batch in valid]
        if not losses:
            raise ValueError("valid must have at least one batch, got none")
        return self._agreed(sum(losses) / len(losses))

    def _agreed(self, loss: float) -> float:
        return loss if self.agree is None else self.agree(loss)


class _NonFiniteError(Exception):
    """The first loss in a closure is not finite, so the optimizer must not take a step."""
