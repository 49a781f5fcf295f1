"""range_test(): raise the learning rate until the loss diverges, keep the losses, put everything back."""

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
from ..schedulers._groups import read, write
from ..sequences._finite import Ramp, RampScale
from ._curve import Curve
from ._descent import Array, Divergence
from ._snapshot import Saved
from ._steps import Trainer, TrainStep, endless

GroupLrs = Literal["ratio", "same"]


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
    """Train with rising learning rates until the loss diverges, return the curve, and put everything back.

    lr(k) = start_lr·(end_lr/start_lr)^(k/(steps−1)), or linear in k. Each loss is taken before the step with its rate.
    What `snapshot` puts back is put back, at an exception too; batches taken from a one-shot iterator are gone.

    Args:
        model: the module to train, in the modes (train or eval) that it and its parts have.
        optimizer: its optimizer; a scheduler may be attached and is not stepped.
        loss_fn: loss_fn(model, batch) -> scalar tensor; None with `train_step`.
        batches: any iterable of batches of any kind, started again as often as needed.
        start_lr: the first learning rate, > 0.
        end_lr: the last, > start_lr.
        steps: how many learning rates, an integer ≥ 2.
        scale: "log" or "linear".
        batches_per_lr: optimizer steps at each rate; a point is their mean loss.
        accumulate: batches whose gradients are averaged for one optimizer step; an incomplete last window is dropped.
        repeats: how often; model, optimizer and scaler start afresh, random state runs on, the median loss counts.
        group_lrs: "ratio" (start and end are the first group's, the others keep their ratio to it), "same", or a
            list of (start, end), one per group.
        train_step: train_step(batch) -> loss, which does the whole step itself.
        scaler: a gradient scaler; steps that it skips give no point.
        extra: what else to put back, as for `snapshot`; loaders given here as batches are found by themselves.
        sync: None, or how processes agree on the loss: "mean", "max", "min" or "rank0"; then they stop together.
        process_group: whose processes; None for all.
        callback: callback(k, lr, loss), called after each point.
        force_train: put the model in train mode first.
        valid: batches to measure the loss on after the steps with each rate, in eval mode, not the training loss.
        valid_batches: how many of them at most, an integer ≥ 1.

    Raises:
        TypeError: if an argument is of another kind, before anything is touched.
        ValueError: if one is out of range, nothing can be trained, or `batches` is empty.

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
    _check(loss_fn, batches, train_step, scaler, sync, callback, valid)
    trainer = Trainer(
        model,
        optimizer,
        loss_fn,
        endless(batches),
        batches_per_lr=integer("batches_per_lr", batches_per_lr, low=1),
        accumulate=integer("accumulate", accumulate, low=1),
        train_step=train_step,
        scaler=scaler,
        agree=partial(agree, how=sync, group=process_group) if sync else None,
        valid=valid,
        valid_batches=integer("valid_batches", valid_batches, low=1),
    )
    repeats = integer("repeats", repeats, low=1)
    if accumulate > 1 and train_step is not None:
        raise ValueError(f"accumulate must be 1 with train_step, which does the whole step itself, got {accumulate}")
    modules = [part for part in (loss_fn, train_step) if isinstance(part, nn.Module)]
    parts = [*extra, *modules, *([] if scaler is None else [scaler])] if isinstance(extra, (list, tuple)) else extra
    saved = Saved(model, optimizer, parts, sources=(batches, valid))
    try:
        if not any(parameter.requires_grad for group in optimizer.param_groups for parameter in group["params"]):
            raise ValueError("model has no trainable parameters: the optimizer's all have requires_grad=False")
        rates = _rates(optimizer, start_lr, end_lr, steps, scale, group_lrs)
        with torch.enable_grad():
            trainer.prepare(force_train)
            runs = [_sweep(trainer, rates, callback)]
            while len(runs) < repeats:
                saved.restore(random=False)
                trainer.prepare(force_train)
                runs.append(_sweep(trainer, rates, callback))
    finally:
        trainer.batches.close()
        saved.close()
    return _curve(runs, rates)


def _sweep(trainer: Trainer, rates: Array, callback: Callback | None) -> tuple[list[float], str]:
    """Return one run's losses and why it ended."""
    divergence = Divergence()
    losses: list[float] = []
    points = trainer.points()
    for k, lrs in enumerate(rates.tolist()):
        write(trainer.optimizer, lrs)
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


def _curve(runs: list[tuple[list[float], str]], rates: Array) -> Curve:
    """Return the curve of the median run, as long as the shortest; a repeat that ran out of batches does not count."""
    runs = [run for run in runs if run[1] != "data exhausted"] or runs[:1]
    losses, stop_reason = min(runs, key=lambda run: len(run[0]))
    n = len(losses)
    every = np.array([run[0][:n] for run in runs])
    median = np.median(every, axis=0) if len(runs) > 1 else every[0]
    return Curve(rates[:n, 0], median, every, rates[:n], stop_reason)


def _rates(
    optimizer: Optimizer, start: object, end: object, steps: int, scale: RampScale, group_lrs: GroupLrs | Sequence[Any]
) -> Array:
    """Return the learning rates of all groups, shape (points, groups)."""
    present = read(optimizer)
    if isinstance(group_lrs, (list, tuple)):
        if len(group_lrs) != len(present):
            raise ValueError(
                f"group_lrs must have one (start, end) per param group: {len(group_lrs)} of {len(present)}"
            )
        for i, pair in enumerate(group_lrs):
            if not (isinstance(pair, (list, tuple)) and len(pair) == 2):
                raise TypeError(f"group_lrs[{i}] must be a pair (start, end), got {pair!r}")
        ramps = [_ramp(f"group_lrs[{i}]: ", low, high, steps, scale) for i, (low, high) in enumerate(group_lrs)]
        return np.stack(ramps, axis=1)
    ratios = [1.0] * len(present)
    if choice("group_lrs", group_lrs, get_args(GroupLrs)) == "ratio" and len(present) > 1:
        if present[0] == 0.0:
            raise ValueError('group_lrs must be "same" or a list where the lr of the first param group is 0')
        ratios = [lr / present[0] for lr in present]
    return np.multiply.outer(_ramp("", start, end, steps, scale), ratios)


def _ramp(prefix: str, start: object, end: object, steps: int, scale: RampScale) -> Array:
    low = number(f"{prefix}start_lr", start, above=0.0)
    ramp = Ramp(low, number(f"{prefix}end_lr", end, above=low), steps, scale)
    return ramp.values(ramp.steps)


def _check(
    loss_fn: object, batches: object, train_step: object, scaler: object, sync: object, callback: object, valid: object
) -> None:
    if (loss_fn is None) == (train_step is None):
        raise TypeError("give either loss_fn(model, batch) or, with loss_fn=None, train_step(batch)")
    for name, value in (("loss_fn", loss_fn), ("train_step", train_step), ("callback", callback)):
        if not (value is None or callable(value)):
            raise TypeError(f"{name} must be callable, got {described(value)}")
    if not (hasattr(batches, "__iter__") or hasattr(batches, "__getitem__")):
        raise TypeError(f"batches must be an iterable of batches, got {described(batches)}")
    if not (scaler is None or all(hasattr(scaler, name) for name in ("scale", "step", "update", "get_scale"))):
        raise TypeError(f"scaler must be a gradient scaler, got {described(scaler)}")
    if sync is not None:
        choice("sync", sync, get_args(Sync))
    if valid is not None and (hasattr(valid, "__next__") or not hasattr(valid, "__iter__")):
        raise TypeError(f"valid must be an iterable that can be run again, got {described(valid)}")
    if valid is not None and loss_fn is None:
        raise TypeError("valid needs loss_fn")
