"""The trials of a sweep: train at each learning rate from the same state, side by side or one after another."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from .._check import first_line
from .._functions import Callback, LossFn, MakeOptimizer, modes_kept, put_in_train_mode
from .._progress import Advance, progress_bar
from ..ensembles._ensemble import Ensemble, Vectorize
from ..ensembles._equivalence import obstacle, unprofitable
from ..schedulers._groups import write
from ._snapshot import Saved
from ._sources import Replayed
from ._steps import TrainingSteps

Array = NDArray[np.float64]
Loss = TypeVar("Loss", float, Tensor)

_UNTRAINED = 0.0  # with this learning rate, a trial shows the losses of the untrained model
_DIVERGED_SHARE = 0.1  # dropping diverged members pays off once this share of an ensemble has diverged


@dataclass
class Trials:
    """Trains at learning rates and returns the losses at the marks, NaN after the first non-finite loss.

    Args:
        model, optimizer, make_optimizer, loss_fn: what to train. `optimizer` is for trials one after another.
        ratios: each param group's learning rate divided by the first group's.
        batches: the training batches, one per step; the same at every pass.
        eval_batches: the batches to measure the loss on, or None for the mean training loss so far.
        marks: the numbers of steps after which to measure the loss, increasing.
        saved: restores the state that every trial starts from.
        progress: whether to show progress.
        reason: why the learning rates are tried one after another; "" while they are tried side by side.
    """

    model: nn.Module
    optimizer: Optimizer
    make_optimizer: MakeOptimizer
    loss_fn: LossFn
    ratios: list[float]
    batches: Replayed
    eval_batches: Replayed | None
    marks: list[int]
    saved: Saved
    progress: bool = False
    reason: str = ""
    _advance: Advance | None = field(default=None, init=False)
    _finished: int = field(default=0, init=False)  # learning rates

    def choose_method(self, vectorize: Vectorize) -> None:
        """Find out whether to try the learning rates side by side; if not, set the reason."""
        if vectorize is False:
            self.reason = "vectorize=False"
            return
        reason = unprofitable(self.model) if vectorize == "auto" else None
        if reason is None:
            self._start()
            reason = obstacle(self.model, self.make_optimizer, self.loss_fn, next(iter(self.batches)))
        self.reason = reason or ""

    def losses(self, rates: list[float], chunk: int, callback: Callback | None) -> Array:
        """Return the losses, shape (rates, marks), trying `chunk` learning rates at a time if side by side."""
        rows: list[Array] = []
        with progress_bar(self.progress, "lr sweep", len(rates) * self.marks[-1]) as advance:
            self._advance = advance
            for start in range(0, len(rates), chunk):
                for row in self._rows(rates[start : start + chunk]):
                    k = len(rows)
                    rows.append(row)
                    self._finished = len(rows)
                    self._show(0, "lr {:.2g}, loss {:.4g}", rates[k], row[-1])
                    if callback is not None:
                        callback(k, rates[k], float(row[-1]))
        return np.array(rows)

    def _show(self, steps: int, text: str, *values: float) -> None:
        """Show the progress: the steps of unfinished learning rates, summed over these, and text.format(*values)."""
        if self._advance is not None:
            self._advance(text.format(*values), self._finished * self.marks[-1] + steps)

    def masked_losses(self, rates: list[float], factor: float, chunk: int, callback: Callback | None) -> Array:
        """Return the losses, masked where they exceed `factor` times the loss of the untrained model."""
        if self.eval_batches is not None:
            self._start()
            limits = np.full(len(self.marks), factor * self._eval_loss(self._model_loss))
            return masked(rates, self.losses(rates, chunk, callback), limits)

        def without_first(k: int, lr: float, loss: float) -> None:
            if callback is not None and k > 0:
                callback(k - 1, lr, loss)

        losses = self.losses([_UNTRAINED, *rates], chunk, without_first)
        return masked(rates, losses[1:], factor * losses[0])

    def _rows(self, rates: list[float]) -> Iterator[Array]:
        """Yield the losses of each learning rate, trained side by side or, if that fails, one after another."""
        if not self.reason:
            self._start()
            try:
                rows = self._side_by_side(rates)
            except RuntimeError as error:
                self.reason = f"the model cannot be stacked: {first_line(error)}"
            else:
                yield from rows
                return
        for rate in rates:
            self._start()
            yield self._alone(rate)

    def _start(self) -> None:
        """Go back to the state that every trial starts from, in train mode."""
        self.saved.restore()
        put_in_train_mode(self.model)

    def _side_by_side(self, rates: list[float]) -> Array:
        """Return the losses of an Ensemble with one member per learning rate; members that diverge are dropped."""
        losses = np.full((len(rates), len(self.marks)), np.nan)
        lrs = np.outer(rates, self.ratios)
        ensemble = Ensemble(self.model, self.make_optimizer, len(rates))
        members = np.arange(len(rates))  # the index of each remaining member's learning rate
        total = torch.zeros((), dtype=torch.float64)

        def member_losses(batch: Any) -> Tensor:
            found: Tensor = ensemble.evaluate(self.loss_fn, batch)
            return found.double()

        for step, batch in enumerate(self.batches, start=1):
            total = total + ensemble.step(self.loss_fn, batch, lrs[members]).double()
            self._show(step * len(rates), "rates side by side: {}", len(members))
            if step not in self.marks:
                continue
            shown = total / step if self.eval_batches is None else self._eval_loss(member_losses)
            finite = torch.isfinite(total) & torch.isfinite(shown)
            total = torch.where(finite, total, torch.nan)
            alive = finite.cpu().numpy()
            losses[members, self.marks.index(step)] = np.where(alive, shown.cpu().numpy(), np.nan)
            if not alive.any():
                break
            if 1 - alive.mean() >= _DIVERGED_SHARE:
                ensemble.keep(alive)
                members, total = members[alive], total[finite]
        return losses

    def _alone(self, rate: float) -> Array:
        """Return the losses of the model itself, trained with this learning rate."""
        losses = np.full(len(self.marks), np.nan)
        write(self.optimizer, [rate * ratio for ratio in self.ratios])
        training = TrainingSteps(self.model, self.optimizer, self.loss_fn, iter(self.batches))
        training.prepare()
        total = 0.0
        for step, loss in enumerate(training.points(), start=1):
            total += loss
            shown = total / step
            self._show(step, "lr {:.2g}, loss {:.4g}", rate, shown)
            if step in self.marks and self.eval_batches is not None and math.isfinite(total):
                shown = self._eval_loss(self._model_loss)
            if not (math.isfinite(total) and math.isfinite(shown)):
                break
            if step in self.marks:
                losses[self.marks.index(step)] = shown
        return losses

    def _model_loss(self, batch: Any) -> float:
        return float(self.loss_fn(self.model, batch))

    def _eval_loss(self, loss_of: Callable[[Any], Loss]) -> Loss:
        """Return the mean of loss_of(batch) over `eval_batches`, in eval mode and without gradients."""
        assert self.eval_batches is not None
        with modes_kept(self.model), torch.no_grad():
            self.model.eval()
            losses = [loss_of(batch) for batch in self.eval_batches]
        return sum(losses[1:], start=losses[0]) / len(losses)


def masked(rates: list[float], losses: Array, limits: Array) -> Array:
    """At each mark, set losses to NaN from the lowest rate whose loss is NaN or above the limit upwards."""
    order = np.argsort(rates, kind="stable")
    above = np.maximum.accumulate(~(losses[order] <= limits), axis=0)
    result = losses.copy()
    result[order] = np.where(above, np.nan, losses[order])
    return result
