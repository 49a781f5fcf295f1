"""range_test(): raise the learning rate until the loss diverges, keep the losses, and restore everything."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from .._check import flag, integer
from .._functions import Callback, LossFn, as_loss_fn, module_of, uncompiled
from .._processes import Sync, agree
from .._progress import progress_bar
from ..schedulers._groups import write
from ..sequences._finite import RampScale
from ._curve import Curve, StopReason
from ._divergence import Divergence
from ._group_rates import GroupLrs, rates_of_groups
from ._optimizers import as_one, listed
from ._range_test_arguments import check_kinds, check_trainable
from ._smoothing import Array
from ._snapshot import Saved
from ._sources import Passes, close, endless
from ._steps import TrainingSteps, TrainStep


def range_test(
    model: nn.Module,
    optimizer: Optimizer | Sequence[Optimizer],
    loss_fn: LossFn | None,
    batches: Iterable[Any],
    *,
    start_lr: float = 1e-7,
    end_lr: float = 10.0,
    steps: int = 100,
    scale: RampScale = "log",
    batches_per_lr: int = 1,
    accumulate: int = 1,
    repeats: int = 1,
    group_lrs: GroupLrs | Sequence[tuple[float, float]] = "ratio",
    train_step: TrainStep | None = None,
    scaler: Any = None,
    extra: Sequence[object] = (),
    sync: Sync | Literal["auto"] | None = "auto",
    process_group: Any = None,
    callback: Callback | None = None,
    progress: bool = False,
    valid: Iterable[Any] | None = None,
    valid_batches: int = 10,
) -> Curve:
    """Train with rising learning rates until the loss diverges, restore everything, and return the losses as a Curve.

    lr(k) = start_lr·(end_lr/start_lr)^(k/(steps−1)) for k = 0 … steps−1, or linear in k. Each loss is taken before the
    step with its learning rate. Use it before training: look at `curve.plot()` and `curve.warning`, and take the
    suggestion as the highest rate of a schedule that warms up and decays to zero. Held constant, or without a warm-up,
    it is often too high.

        curve = range_test(model, optimizer, loss_fn, loader)
        set_lr(optimizer, curve.suggestion)
        scheduler = SequenceLR(optimizer, Warmup(steps // 20) * Linear(steps))

    Everything that `snapshot` covers is restored, even if an exception is raised. So are the random generators that
    loaders, samplers, datasets and transforms own, and those that `loss_fn` and `train_step` use. Batches taken from an
    iterator are used up. If an exception is raised, such as KeyboardInterrupt, its attribute `curve` has the curve so
    far.

    What to train:
        model: the module. If it is in eval mode, it is put in train mode. If it is in train mode, parts of it that are
            in eval mode stay in eval mode.
        optimizer: its optimizer, or a list of the optimizers of its parts, which are stepped one after the other. If
            they need a closure, they get one. A scheduler may be attached; it is not stepped.
        loss_fn: loss_fn(model, batch) -> scalar tensor, or a loss module of torch, used as `supervised(criterion)`.
            None if you pass `train_step`.
        batches: an iterable of batches of any kind. When it ends, it starts over; if it is an iterator, the test ends.

    Learning rates:
        start_lr: the first learning rate, > 0.
        end_lr: the last learning rate, > start_lr.
        steps: the number of learning rates, an integer ≥ 2.
        scale: "log" or "linear" spacing.
        group_lrs: for several param groups, of all optimizers: "ratio" (start_lr and end_lr are the first group's; the
            others keep their ratio to it), "same" (all groups use the same rates), or a list with one (start, end) per
            group.

    Training steps:
        batches_per_lr: optimizer steps at each learning rate, an integer ≥ 1; a point is their mean loss.
        accumulate: batches per optimizer step, an integer ≥ 1. Their gradients are averaged; an incomplete last group
            of batches is dropped.
        train_step: train_step(batch) -> loss, to do the whole step yourself, instead of `loss_fn`.
        scaler: a gradient scaler, for mixed precision. Steps that it skips are left out.

    Which loss:
        repeats: how many times to run the test, an integer ≥ 1. Model, optimizer and scaler start afresh each time,
            but random state continues, so batches and dropout differ. The result is the median loss.
        valid: batches for a validation loss, measured in eval mode after the steps with each learning rate; None for
            the training loss.
        valid_batches: the largest number of them to use, an integer ≥ 1.
        sync: how the processes of a distributed run agree on the loss: "mean", "max", "min" or "rank0". All then stop
            at the same point. None: each process uses its own loss. "auto" is "mean" for a DistributedDataParallel
            model, and None otherwise.
        process_group: the processes that agree; None for those of the model, if it has any, or for all.

    Other:
        extra: other objects to restore, as for `snapshot`. Loaders passed as `batches` or `valid` are always restored.
        callback: callback(k, lr, loss), called after each point.
        progress: whether to show progress: a bar if tqdm is installed, otherwise lines on stderr. Of several
            processes, only rank 0 shows it.

    Raises:
        TypeError, ValueError: if an argument is invalid, before anything is changed.
        ValueError: if the optimizer has no parameters to train, or there are no batches.
        RuntimeError: if the training writes a frozen parameter that is not in `extra`; see `snapshot`.

    Source: Smith (2017), arXiv:1506.01186, section 3.3.

    >>> import torch
    >>> from lrsched import range_test
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> batch = torch.eye(2), torch.tensor([[1.0], [-1.0]])
    >>> loss_fn = lambda model, batch: ((model(batch[0]) - batch[1]) ** 2).mean()
    >>> curve = range_test(model, optimizer, loss_fn, [batch], start_lr=1e-3, end_lr=100, steps=50)
    >>> curve.stop_reason, 0.01 < curve.suggestion < 2, optimizer.param_groups[0]["lr"]
    ('diverged', True, 0.1)

    """
    check_kinds(loss_fn, batches, train_step, accumulate, scaler, sync, callback, valid)
    loss_fn = None if loss_fn is None else as_loss_fn(loss_fn)
    together, valid_batches = as_one(optimizer), integer("valid_batches", valid_batches, low=1)
    training = TrainingSteps(
        model,
        together,
        loss_fn,
        endless(batches),
        batches_per_lr=integer("batches_per_lr", batches_per_lr, low=1),
        accumulate=integer("accumulate", accumulate, low=1),
        train_step=train_step,
        scaler=scaler,
        agree=_agreement(model, sync, process_group),
        valid=None if valid is None else Passes(valid, valid_batches),
    )
    repeats, progress = integer("repeats", repeats, low=1), flag("progress", progress)
    check_trainable(together.param_groups)
    rates = rates_of_groups(together, start_lr, end_lr, steps, scale, group_lrs)
    implied = [*module_of(loss_fn), *module_of(train_step), *([] if scaler is None else [scaler])]
    functions = loss_fn, train_step
    saved = Saved(model, listed(together), extra, sources=(batches, valid), implied=implied, functions=functions)
    with progress_bar(progress, "range test", repeats * len(rates)) as advance:
        return _tested(training, rates, repeats, saved, _reported(callback, advance))


@dataclass
class Repeat:
    """The losses of one repeat of the test, and why it ended."""

    losses: list[float] = field(default_factory=list)
    stop_reason: StopReason = "interrupted"


def _tested(training: TrainingSteps, rates: Array, repeats: int, saved: Saved, callback: Callback | None) -> Curve:
    """Return the curve, with everything restored. An exception has the curve so far as its attribute."""
    results: list[Repeat] = []
    try:
        _run(training, rates, repeats, saved, callback, results)
    except BaseException as error:
        with suppress(Exception):  # an exception may refuse attributes
            vars(error)["curve"] = _curve(results, rates)
        raise
    finally:
        try:
            close(training.batches)
            close(training.valid)
        finally:
            saved.close()
    return _curve(results, rates)


def _run(
    training: TrainingSteps,
    rates: Array,
    repeats: int,
    saved: Saved,
    callback: Callback | None,
    results: list[Repeat],
) -> None:
    """Append the result of every repeat. Each starts from the saved state, except for the random state."""
    with torch.enable_grad():
        for repeat in range(repeats):
            if repeat > 0:
                saved.restore(random=False)
            training.prepare()
            results.append(Repeat())
            results[-1].stop_reason = _try_rates(training, rates, callback, saved, results[-1].losses)
    saved.check_frozen()


def _try_rates(
    training: TrainingSteps, rates: Array, callback: Callback | None, saved: Saved, losses: list[float]
) -> StopReason:
    """Try the learning rates once; append the losses and return why the test ended."""
    divergence = Divergence()
    points, marks = training.points(), None
    for k, lrs in enumerate(rates.tolist()):
        marks = write(training.optimizer, lrs, marks)  # faster with marks, but it stops at a rate that others wrote
        if len(marks) < len(lrs):
            marks = write(training.optimizer, lrs)
        loss = next(points, None)
        if loss is None:
            return "data exhausted"
        if not math.isfinite(loss):
            return "non-finite"
        losses.append(loss)
        if k == 0:
            saved.check_frozen()  # as early as possible
        if callback is not None:
            callback(k, lrs[0], loss)
        if divergence.update(loss):
            return "diverged"
    return "completed"


def _curve(results: list[Repeat], rates: Array) -> Curve:
    """Return the median of the repeats, cut to the shortest.

    Those that were interrupted or ran out of batches count only if all did.
    """
    for unfinished in ("interrupted", "data exhausted"):
        results = [result for result in results if result.stop_reason != unfinished] or results[:1]
    shortest = min(results, key=lambda result: len(result.losses), default=Repeat())
    n = len(shortest.losses)
    every = [result.losses[:n] for result in results or [shortest]]
    median = np.median(every, axis=0) if len(every) > 1 else every[0]
    return Curve(rates[:n, 0], median, every, rates[:n], shortest.stop_reason)


def _reported(callback: Callback | None, advance: Callable[[str], None] | None) -> Callback | None:
    """Return a callback that also shows progress, if `advance` is given."""
    if advance is None:
        return callback

    def both(k: int, lr: float, loss: float) -> None:
        if callback is not None:
            callback(k, lr, loss)
        advance(f"lr {lr:.2g}, loss {loss:.4g}")

    return both


def _agreement(model: nn.Module, sync: Sync | Literal["auto"] | None, group: Any) -> Callable[[float], float] | None:
    """Return how the processes agree on a number, or None if each uses its own."""
    if sync == "auto":
        wrapped = uncompiled(model)
        if not isinstance(wrapped, DistributedDataParallel):
            return None
        sync, group = "mean", wrapped.process_group if group is None else group
    return partial(agree, how=sync, group=group) if sync else None
