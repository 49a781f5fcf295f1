"""range_test(): raise the learning rate until the loss diverges, keep the losses, and restore everything."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from .._check import choice, integer, number
from .._functions import Callback, LossFn, described
from .._processes import Sync, agree
from ..schedulers._groups import write
from ..sequences._finite import Ramp, RampScale
from ._curve import Curve, StopReason
from ._divergence import Divergence
from ._group_rates import ratios_to_first
from ._smoothing import Array
from ._snapshot import Saved
from ._steps import TrainingSteps, TrainStep, endless

GroupLrs = Literal["ratio", "same"]
Repeat = tuple[list[float], StopReason]  # the losses of one repeat of the test, and why it ended


def range_test(
    model: nn.Module,
    optimizer: Optimizer,
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
    sync: Sync | None = None,
    process_group: Any = None,
    callback: Callback | None = None,
    force_train: bool = False,
    valid: Iterable[Any] | None = None,
    valid_batches: int = 10,
) -> Curve:
    """Train with rising learning rates until the loss diverges, restore everything, and return the losses as a Curve.

    lr(k) = start_lr·(end_lr/start_lr)^(k/(steps−1)) for k = 0 … steps−1, or linear in k. Each loss is taken before the
    step with its learning rate. Use it before training: `curve = range_test(...)`, look at `curve.plot()` and
    `curve.warning`, and set the optimizer's learning rate to `curve.suggestion`.

    Everything that `snapshot` covers is restored, even if an exception is raised. Batches taken from an iterator are
    used up.

    What to train:
        model: the module, trained in the mode (train or eval) that each of its modules is in.
        optimizer: its optimizer. A scheduler may be attached; it is not stepped.
        loss_fn: loss_fn(model, batch) -> scalar tensor; None with `train_step`.
        batches: an iterable of batches of any kind. When it ends, it starts over; if it is an iterator, the test ends.
        force_train: whether to put the model in train mode first.

    Learning rates:
        start_lr: the first learning rate, > 0.
        end_lr: the last learning rate, > start_lr.
        steps: the number of learning rates, an integer ≥ 2.
        scale: "log" or "linear" spacing.
        group_lrs: for several param groups: "ratio" (start_lr and end_lr are the first group's; the others keep their
            ratio to it), "same" (all groups use the same rates), or a list with one (start, end) per group.

    Training steps:
        batches_per_lr: optimizer steps at each learning rate, an integer ≥ 1; a point is their mean loss.
        accumulate: batches per optimizer step, an integer ≥ 1. Their gradients are averaged; an incomplete last group
            of batches is dropped.
        train_step: train_step(batch) -> loss, to do the whole step yourself, in place of `loss_fn`.
        scaler: a gradient scaler, for mixed precision. Steps that it skips give no point.

    Which loss:
        repeats: how many times to run the test, an integer ≥ 1. Model, optimizer and scaler start afresh each time,
            but random state continues, so batches and dropout differ. The result is the median loss.
        valid: batches for a validation loss, measured in eval mode after the steps with each learning rate; None for
            the training loss.
        valid_batches: the largest number of them to use, an integer ≥ 1.
        sync: how the processes of a distributed run agree on the loss: "mean", "max", "min" or "rank0". All then stop
            at the same point. None: each process uses its own loss.
        process_group: the processes that agree; None for all.

    Other:
        extra: other objects to restore, as for `snapshot`. Loaders passed as `batches` or `valid` are always restored.
        callback: callback(k, lr, loss), called after each point.

    Raises:
        TypeError, ValueError: if an argument is invalid, before anything is changed.
        ValueError: if the optimizer has no parameters to train, or there are no batches.

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
    _check(loss_fn, batches, train_step, accumulate, scaler, sync, callback, valid)
    source = endless(batches)
    training = TrainingSteps(
        model,
        optimizer,
        loss_fn,
        source,
        batches_per_lr=integer("batches_per_lr", batches_per_lr, low=1),
        accumulate=integer("accumulate", accumulate, low=1),
        train_step=train_step,
        scaler=scaler,
        agree=partial(agree, how=sync, group=process_group) if sync else None,
        valid=valid,
        valid_batches=integer("valid_batches", valid_batches, low=1),
    )
    repeats = integer("repeats", repeats, low=1)
    implied = [part for part in (loss_fn, train_step) if isinstance(part, nn.Module)]
    implied += [] if scaler is None else [scaler]
    saved = Saved(model, optimizer, extra, sources=(batches, valid), implied=implied)
    try:
        _check_trainable(optimizer)
        rates = _lrs(optimizer, start_lr, end_lr, steps, scale, group_lrs)
        results = _repeated(training, rates, repeats, force_train, callback, saved)
    finally:
        source.close()
        saved.close()
    return _curve(results, rates)


def _repeated(
    training: TrainingSteps, rates: Array, repeats: int, force_train: bool, callback: Callback | None, saved: Saved
) -> list[Repeat]:
    """Return the result of every repeat. Each starts from the saved state, except for the random state."""
    results = []
    with torch.enable_grad():
        for repeat in range(repeats):
            if repeat > 0:
                saved.restore(random=False)
            training.prepare(force_train)
            results.append(_try_rates(training, rates, callback))
    return results


def _try_rates(training: TrainingSteps, rates: Array, callback: Callback | None) -> Repeat:
    """Try the learning rates once; return the losses and why the test ended."""
    divergence = Divergence()
    losses: list[float] = []
    points = training.points()
    for k, lrs in enumerate(rates.tolist()):
        write(training.optimizer, lrs)
        loss = next(points, None)
        if loss is None:
            return losses, "data exhausted"
        if not math.isfinite(loss):
            return losses, "non-finite"
        losses.append(loss)
        if callback is not None:
            callback(k, lrs[0], loss)
        if divergence.update(loss):
            return losses, "diverged"
    return losses, "completed"


def _curve(results: list[Repeat], rates: Array) -> Curve:
    """Return the median of the repeats, cut to the shortest. Those that ran out of batches count only if all did."""
    results = [result for result in results if result[1] != "data exhausted"] or results[:1]
    losses, stop_reason = min(results, key=lambda result: len(result[0]))
    n = len(losses)
    every = np.array([result[0][:n] for result in results])
    median = np.median(every, axis=0) if len(results) > 1 else every[0]
    return Curve(rates[:n, 0], median, every, rates[:n], stop_reason)


def _lrs(
    optimizer: Optimizer, start: float, end: float, steps: int, scale: RampScale, group_lrs: GroupLrs | Sequence[Any]
) -> Array:
    """Return the learning rates of all groups, shape (points, groups)."""
    count = len(optimizer.param_groups)
    if isinstance(group_lrs, (list, tuple)):
        return _lrs_of_each_group(group_lrs, count, steps, scale)
    if choice("group_lrs", group_lrs, get_args(GroupLrs)) == "ratio":
        ratios = ratios_to_first(optimizer, "group_lrs", 'pass "same" or a list of (start, end)')
    else:
        ratios = [1.0] * count
    return np.multiply.outer(_ramp("", start, end, steps, scale), ratios)


def _lrs_of_each_group(pairs: Sequence[Any], count: int, steps: int, scale: RampScale) -> Array:
    if len(pairs) != count:
        raise ValueError(f"group_lrs must have one (start, end) per param group, got {len(pairs)} for {count} groups")
    for i, pair in enumerate(pairs):
        if not (isinstance(pair, (list, tuple)) and len(pair) == 2):
            raise TypeError(f"group_lrs[{i}] must be a pair (start, end), got {pair!r}")
    ramps = [_ramp(f"group_lrs[{i}]: ", start, end, steps, scale) for i, (start, end) in enumerate(pairs)]
    return np.stack(ramps, axis=1)


def _ramp(prefix: str, start: object, end: object, steps: int, scale: RampScale) -> Array:
    low = number(f"{prefix}start_lr", start, above=0.0)
    ramp = Ramp(low, number(f"{prefix}end_lr", end, above=low), steps, scale)
    return ramp.values(ramp.steps)


def _check(
    loss_fn: object,
    batches: object,
    train_step: object,
    accumulate: object,
    scaler: object,
    sync: object,
    callback: object,
    valid: object,
) -> None:
    """Raise TypeError or ValueError unless these arguments fit together."""
    if (loss_fn is None) == (train_step is None):
        raise TypeError("pass either loss_fn(model, batch) or, with loss_fn=None, train_step(batch)")
    for name, value in (("loss_fn", loss_fn), ("train_step", train_step), ("callback", callback)):
        if not (value is None or callable(value)):
            raise TypeError(f"{name} must be callable, got {described(value)}")
    if train_step is not None and accumulate != 1:
        raise ValueError(f"accumulate must be 1 with train_step, which does the whole step itself, got {accumulate}")
    if not (hasattr(batches, "__iter__") or hasattr(batches, "__getitem__")):
        raise TypeError(f"batches must be an iterable of batches, got {described(batches)}")
    if not (scaler is None or all(hasattr(scaler, name) for name in ("scale", "step", "update", "get_scale"))):
        raise TypeError(f"scaler must be a gradient scaler such as torch.amp.GradScaler, got {described(scaler)}")
    if sync is not None:
        choice("sync", sync, get_args(Sync))
    if valid is not None and (hasattr(valid, "__next__") or not hasattr(valid, "__iter__")):
        raise TypeError(
            f"valid must be iterable more than once, such as a list or a DataLoader, got {described(valid)}"
        )
    if valid is not None and loss_fn is None:
        raise TypeError("valid needs loss_fn: with train_step, the validation loss cannot be computed")


def _check_trainable(optimizer: Optimizer) -> None:
    if not any(parameter.requires_grad for group in optimizer.param_groups for parameter in group["params"]):
        raise ValueError(
            "model has no trainable parameters: all of the optimizer's parameters have requires_grad=False"
        )
