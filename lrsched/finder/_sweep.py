"""lr_sweep(): train from the same state with every learning rate, and keep the loss after 1, 2, 4, … steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from .._check import flag, integer, number, refuse
from .._functions import Callback, LossFn, MakeOptimizer, as_loss_fn, made_optimizer, module_of
from ..ensembles._ensemble import Vectorize, check_vectorize
from ._group_rates import ratios_to_first
from ._snapshot import Saved
from ._sources import Replayed, close
from ._sweep_result import Sweep, checked_lrs, checked_steps
from ._sweep_trials import Trials

_NONE = object()


def lr_sweep(
    model: nn.Module,
    make_optimizer: MakeOptimizer,
    loss_fn: LossFn,
    batches: Iterable[Any],
    lrs: Sequence[float] | np.ndarray,
    *,
    steps: Sequence[int] = (1, 2, 4, 8, 16, 32, 64, 128),
    vectorize: Vectorize = "auto",
    eval_batches: Iterable[Any] | None = None,
    stop_above: float | None = None,
    chunk: int | None = None,
    extra: Sequence[object] = (),
    callback: Callback | None = None,
    progress: bool = False,
) -> Sweep:
    """Train from the same state with every learning rate, restore everything, and return the losses as a Sweep.

    Every learning rate gets the same weights, random state and batches, and a fresh optimizer. One training run with
    max(steps) steps gives the loss at every mark in `steps`. All rates are trained side by side, as members of
    an `Ensemble`, if that is possible and faster; the result's `method` and `reason` say what was done and why.
    Everything that `snapshot` covers is restored, even if an exception is raised.

    Use it to compare learning rates after some training, not only at the start as a range test does:
    `sweep = lr_sweep(...)`, then look at `sweep.plot()` and `sweep.suggestion`.

    The suggestion is the best rate for a run of max(steps) steps. With SGD, that is too high for a longer run: on four
    small tasks, the best rate for 2 % of a run was 1.8, 3, 18 and 60 times that for the whole run, and the best rate
    for 25 % was 1.8 to 6 times it. With Adam, on one task, the best rate rose with the length, by a factor of 1.8. To
    choose a rate for a whole run, use `race`.

    What to train:
        model: the module. If it is in eval mode, it is put in train mode. If it is in train mode, parts of it that are
            in eval mode stay in eval mode.
        make_optimizer: make_optimizer(params) -> a new optimizer. Its first param group takes the learning rates in
            `lrs`; the other groups keep their ratio to it.
        loss_fn: loss_fn(model, batch) -> scalar tensor, or a loss module of torch, used as `supervised(criterion)`.
        batches: an iterable of batches. When it ends, it starts over. It is iterated again for each rate (or each chunk
            of them), with the same random state, and must then give the same batches. Only batches from an iterator
            stay in memory.

    What to measure:
        lrs: learning rates, finite and > 0, in any order.
        steps: the marks, in optimizer steps, at which to measure the loss; increasing integers ≥ 1.
        eval_batches: batches for the mean loss at each mark, in eval mode, iterated again at each mark; None for
            the mean training loss of all steps up to the mark, each taken before its step.
        stop_above: a number > 0, or None to keep all losses. At each mark, a loss above `stop_above` times the loss
            of the untrained model on the same batches is set to NaN, and so are the losses of all higher rates.

    How to train:
        vectorize: "auto" (side by side on an accelerator, and on a CPU for small networks without convolutions), True
            (side by side whenever possible) or False (one after another).
        chunk: the most learning rates to train side by side, an integer ≥ 1, to limit memory; None for all.

    Other:
        extra: other objects to restore, as for `snapshot`. Loaders passed as `batches` or `eval_batches` are always
            restored.
        callback: callback(k, lr, loss), called after each learning rate with its loss at the last mark.
        progress: whether to show progress: a bar if tqdm is installed, otherwise lines on stderr. Of several
            processes, only rank 0 shows it.

    Raises:
        TypeError, ValueError: if an argument is invalid, before anything is changed.
        ValueError: if there are too few batches.
        RuntimeError: if the training writes a frozen parameter that is not in `extra`; see `snapshot`.

    Source: "Diving deep: learning rate" (2020), whose sweep trained again for every mark.

    >>> import torch
    >>> from lrsched import lr_sweep
    >>> model = torch.nn.Linear(2, 1)
    >>> batch = torch.eye(2), torch.tensor([[1.0], [-1.0]])
    >>> loss_fn = lambda model, batch: ((model(batch[0]) - batch[1]) ** 2).mean()
    >>> make_optimizer = lambda params: torch.optim.SGD(params, lr=1.0)
    >>> sweep = lr_sweep(model, make_optimizer, loss_fn, [batch], [0.001, 0.1, 10.0], steps=(1, 4, 64))
    >>> sweep.losses.shape, sweep.suggestion, sweep.method
    ((3, 3), 0.1, 'side by side')

    """
    rates, marks = checked_lrs(lrs), checked_steps(steps)
    factor = None if stop_above is None else number("stop_above", stop_above, above=0.0)
    chunk = len(rates) + 1 if chunk is None else integer("chunk", chunk, low=1)
    check_vectorize(vectorize)
    progress = flag("progress", progress)
    _check(model, make_optimizer, loss_fn, batches, eval_batches, callback)
    loss_fn = as_loss_fn(loss_fn)
    optimizer = made_optimizer(make_optimizer, model)
    ratios = ratios_to_first(optimizer, "make_optimizer", "give the first group an lr > 0")
    sources, implied = (batches, eval_batches), module_of(loss_fn)
    saved = Saved(model, optimizer, extra, sources=sources, implied=implied, functions=[loss_fn])
    training = evaluation = None
    try:
        training = Replayed(batches, marks[-1])
        evaluation = None if eval_batches is None else Replayed(eval_batches)
        _check_batches(training, evaluation, marks[-1])
        trials = Trials(model, optimizer, make_optimizer, loss_fn, ratios, training, evaluation, marks, saved, progress)
        with torch.enable_grad():
            trials.choose_method(vectorize)
            if factor is None:
                losses = trials.losses(rates, chunk, callback)
            else:
                losses = trials.masked_losses(rates, factor, chunk, callback)
        saved.check_frozen()
    finally:
        try:
            close(training)
            close(evaluation)
        finally:
            saved.close()
    return Sweep(rates, marks, losses, "one after another" if trials.reason else "side by side", trials.reason)


def _check_batches(training: Replayed, evaluation: Replayed | None, count: int) -> None:
    """Raise ValueError if there are too few batches."""
    next(iter(training))  # raises if there are none
    if 0 < training.held < count:
        raise ValueError(f"batches ran out: {training.held} of the {count} that steps asks for; lower steps")
    if evaluation is not None and next(iter(evaluation), _NONE) is _NONE:
        raise ValueError("eval_batches must have at least one batch, got none; pass None to measure the training loss")


def _check(
    model: object, make_optimizer: object, loss_fn: object, batches: object, eval_batches: object, callback: object
) -> None:
    """Raise TypeError if an argument is of the wrong kind."""
    if not isinstance(model, nn.Module):
        refuse("model", "a torch.nn.Module", model)
    functions = {"make_optimizer": make_optimizer, "loss_fn": loss_fn}
    if callback is not None:
        functions["callback"] = callback
    for name, value in functions.items():
        if not callable(value):
            refuse(name, "callable", value)
    sources = {"batches": batches}
    if eval_batches is not None:
        sources["eval_batches"] = eval_batches
    for name, value in sources.items():
        if not (hasattr(value, "__iter__") or hasattr(value, "__getitem__")):
            refuse(name, "an iterable of batches", value)
