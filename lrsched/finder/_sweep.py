"""lr_sweep(): restart at every learning rate from the same state, and keep what the loss is after 1, 2, 4, … steps."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any, get_args

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from .. import plot
from .._check import choice, first_line, integer, items, number, refuse
from .._functions import Callback, LossFn, MakeOptimizer, modes_kept
from ..ensembles._ensemble import Ensemble, Method, Vectorize
from ..ensembles._equivalence import obstacle, unprofitable
from ..schedulers._groups import read, write
from ._snapshot import Saved
from ._steps import Trainer, endless

SIDE_BY_SIDE: Method = "side by side"
ONE_AFTER_ANOTHER: Method = "one after another"
VERSION = 1
_DEAD = 0.1  # the share of diverged members from which dropping them pays


@dataclass(frozen=True, eq=False, repr=False)
class Sweep:
    """Losses after each number of steps at each learning rate, all from the same state, and what they suggest.

    Args:
        lrs: learning rates > 0, shape (rates,).
        steps: numbers of optimizer steps, increasing, shape (marks,).
        losses: the loss after each, shape (rates, marks); NaN once a rate has diverged or is masked.
        method: "side by side" or "one after another".
        reason: why one after another, or "".

    >>> import math
    >>> from lrsched import Sweep
    >>> sweep = Sweep([0.01, 0.1, 1.0], [1, 8], [[1.0, 0.9], [0.9, 0.4], [1.2, math.nan]])
    >>> sweep.suggestion, sweep
    (0.1, Sweep(3 rates, 1 … 8 steps, suggestion=0.1))
    """

    lrs: np.ndarray
    steps: np.ndarray
    losses: np.ndarray
    method: Method = ONE_AFTER_ANOTHER
    reason: str = ""

    def __post_init__(self) -> None:
        arrays = {
            "lrs": np.array(_rates(self.lrs)),
            "steps": np.array(_marks(self.steps)),
            "losses": np.array(self.losses, dtype=np.float64),
        }
        shape = len(arrays["lrs"]), len(arrays["steps"])
        if arrays["losses"].shape != shape:
            raise ValueError(f"losses must have shape (rates, marks) = {shape}, got {arrays['losses'].shape}")
        choice("method", self.method, get_args(Method))
        for name, value in arrays.items():
            value.flags.writeable = False
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        steps = f"{self.steps[0]} … {self.steps[-1]} steps"
        return f"Sweep({len(self.lrs)} rates, {steps}, suggestion={self.suggestion})"

    @property
    def suggestion(self) -> float | None:
        """The learning rate with the lowest loss at the last mark; None where all have diverged."""
        last = self.losses[:, -1]
        return None if np.isnan(last).all() else float(self.lrs[np.nanargmin(last)])

    def plot(self, ax: Any = None) -> Any:
        """Draw the loss over the learning rate, a line a mark, with the suggestion, and return the axes."""
        return plot.sweep(self.lrs, self.losses, [f"{mark}" for mark in self.steps], self.suggestion, ax=ax)

    def to_json(self) -> str:
        """Return the sweep and its suggestion as JSON text, null for NaN; `from_json` reads the sweep back."""
        losses = [[loss if math.isfinite(loss) else None for loss in row] for row in self.losses.tolist()]
        data = {"lrs": self.lrs.tolist(), "steps": self.steps.tolist(), "losses": losses}
        how = {"method": self.method, "reason": self.reason, "suggestion": self.suggestion}
        return json.dumps({"version": VERSION, **data, **how})

    @classmethod
    def from_json(cls, text: str | bytes) -> Sweep:
        """Return the sweep that `to_json` wrote; ValueError where the text is none."""
        state = json.loads(text)
        if not isinstance(state, dict) or not {"lrs", "steps", "losses"} <= set(state):
            raise ValueError("text must be JSON of a sweep, with lrs, steps and losses")
        if state.get("version", VERSION) > VERSION:
            raise ValueError(f"text: version must be <= {VERSION}, got {state['version']}: update lrsched")
        names = ("lrs", "steps", "losses", "method", "reason")
        return cls(**{name: state[name] for name in names if name in state})


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
) -> Sweep:
    """Train from the same state at every learning rate, keep the losses after each mark, and put everything back.

    Every rate starts with the same weights, random state and batches, and with a fresh optimizer; one run of the
    longest length gives all marks. Where possible and faster, all rates are trained side by side (`Ensemble`); the
    result says whether they were, and why not. What `snapshot` puts back is put back, at an exception too.

    Args:
        model: the module to train, in the modes (train or eval) that it and its parts have.
        make_optimizer: make_optimizer(params) -> a new optimizer. The groups' learning rates keep their ratio to the
            first one's, which takes the values of `lrs`.
        loss_fn: loss_fn(model, batch) -> scalar tensor.
        batches: any iterable of batches, started again as often as needed; max(steps) of them are held in memory.
        lrs: learning rates, > 0, in any order.
        steps: after how many optimizer steps to look, increasing integers ≥ 1.
        vectorize: "auto" (a fixed rule: on an accelerator always, on a CPU for small networks without convolutions),
            True (wherever possible) or False.
        eval_batches: batches on which the mean loss is taken at each mark, in eval mode; None for the mean training
            loss of all steps so far, each taken before its step.
        stop_above: at each mark, mask every rate from the lowest one whose loss exceeds this many times that of the
            untrained model on the same batches; None for no mask.
        chunk: how many rates to train side by side at most; memory grows with it. None for all.
        extra: what else to put back, as for `snapshot`.
        callback: callback(k, lr, loss), called for each rate once it is done, with its loss at the last mark.

    Raises:
        TypeError: if an argument is of another kind, before anything is touched.
        ValueError: if one is out of range, nothing can be trained, or there are too few batches.

    Source: "Diving deep: learning rate" (2020), whose sweep made a new run for every mark.

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
    rates, marks = _rates(lrs), _marks(steps)
    limit = None if stop_above is None else number("stop_above", stop_above, above=0.0)
    width = len(rates) + 1 if chunk is None else integer("chunk", chunk, low=1)
    if not isinstance(vectorize, bool):
        choice("vectorize", vectorize, ("auto",))
    _check(model, make_optimizer, loss_fn, batches, eval_batches, callback)
    optimizer = make_optimizer(list(model.parameters()))
    if not isinstance(optimizer, Optimizer):
        refuse("make_optimizer", "a function that returns an Optimizer", optimizer)
    parts = [*extra, loss_fn] if isinstance(loss_fn, nn.Module) and isinstance(extra, (list, tuple)) else extra
    saved = Saved(model, optimizer, parts, sources=(batches, eval_batches))
    try:
        runs = _Runs(model, optimizer, make_optimizer, loss_fn, marks, saved)
        runs.draw(batches, eval_batches)
        with torch.enable_grad():
            reason = runs.hindrance(vectorize)
            losses, reason = runs.all(rates, width, limit, reason, callback)
    finally:
        saved.close()
    return Sweep(np.array(rates), np.array(marks), losses, ONE_AFTER_ANOTHER if reason else SIDE_BY_SIDE, reason)


@dataclass
class _Runs:
    """The runs of a sweep: learning rates go in, losses at the marks come out, NaN from where one is not finite."""

    model: nn.Module
    optimizer: Optimizer
    make_optimizer: MakeOptimizer
    loss_fn: LossFn
    marks: list[int]
    saved: Saved

    def draw(self, batches: Iterable[Any], eval_batches: Iterable[Any] | None) -> None:
        """Take the batches, the same for every rate; random state goes back to where it was."""
        self.ratios = _ratios(self.optimizer)
        self.batches = list(islice(endless(batches), self.marks[-1]))
        if len(self.batches) < self.marks[-1]:
            raise ValueError(f"batches ran out: {len(self.batches)} of the {self.marks[-1]} that steps asks for")
        self.eval_batches = None if eval_batches is None else list(eval_batches)
        if self.eval_batches == []:
            raise ValueError("eval_batches is empty")
        self.saved.restore()

    def hindrance(self, vectorize: Vectorize) -> str:
        """Return why the rates are tried one after another, or ""."""
        if vectorize is False:
            return "vectorize=False"
        reason = unprofitable(self.model) if vectorize == "auto" else None
        reason = reason or obstacle(self.model, self.make_optimizer, self.loss_fn, self.batches[0])
        self.saved.restore()
        return reason or ""

    def all(
        self, rates: list[float], width: int, limit: float | None, reason: str, callback: Callback | None
    ) -> tuple[np.ndarray, str]:
        """Return the losses, shape (rates, marks), and why they were found one after another, or ""."""
        untrained = limit is not None and self.eval_batches is None  # at rate 0, the same batches show what they are
        level = None if limit is None or untrained else self._evaluated()
        tried = [0.0, *rates] if untrained else rates
        found: list[np.ndarray] = []
        while len(found) < len(tried):
            self.saved.restore()
            part = tried[len(found) : len(found) + (1 if reason else width)]
            try:
                rows = [self._alone(part[0])] if reason else self._side_by_side(part)
            except RuntimeError as error:
                if reason:
                    raise
                reason = f"the model cannot be stacked: {first_line(error)}"
                continue
            found.extend(rows)
            for k, (rate, row) in enumerate(zip(part, rows, strict=True), start=len(found) - len(rows) - untrained):
                if callback is not None and k >= 0:
                    callback(k, rate, float(row[-1]))
        losses = np.array(found)
        if limit is not None:
            first = losses[0] if untrained else np.full(len(self.marks), level)
            losses = _masked(rates, losses[untrained:], limit * first)
        return losses, reason

    def _side_by_side(self, rates: list[float]) -> np.ndarray:
        """Return the losses of an Ensemble with these rates; members that have diverged are dropped now and then."""
        losses = np.full((len(rates), len(self.marks)), np.nan)
        ensemble = Ensemble(self.model, self.make_optimizer, len(rates))
        alive, groups = np.arange(len(rates)), np.outer(rates, self.ratios)
        total: Any = 0.0
        for step, batch in enumerate(self.batches, start=1):
            total = total + ensemble.step(self.loss_fn, batch, groups[alive]).double()
            if step not in self.marks:
                continue
            shown = total / step if self.eval_batches is None else self._evaluated(ensemble)
            well = torch.isfinite(total) & torch.isfinite(shown)
            total = torch.where(well, total, torch.nan)
            finite = well.cpu().numpy()
            losses[alive[finite], self.marks.index(step)] = shown.cpu().numpy()[finite]
            if not finite.any():
                break
            if 1 - finite.mean() >= _DEAD:
                ensemble.keep(finite)
                alive, total = alive[finite], total[well]
        return losses

    def _alone(self, rate: float) -> np.ndarray:
        """Return the losses of the model itself at this rate."""
        losses, total = np.full(len(self.marks), np.nan), 0.0
        trainer = Trainer(
            self.model, self.optimizer, self.loss_fn, endless(self.batches), 1, 1, None, None, None, None, 1
        )
        write(self.optimizer, [rate * ratio for ratio in self.ratios])
        trainer.prepare(force_train=False)
        points = trainer.points()
        for step in range(1, self.marks[-1] + 1):
            total += next(points, math.nan)
            shown = total / step
            if step in self.marks and self.eval_batches is not None and math.isfinite(total):
                shown = self._evaluated()
            if not (math.isfinite(total) and math.isfinite(shown)):
                break
            if step in self.marks:
                losses[self.marks.index(step)] = shown
        return losses

    def _evaluated(self, ensemble: Ensemble | None = None) -> Any:
        """Return the mean loss over eval_batches, in eval mode: the model's, or that of each member."""
        batches: list[Any] = self.eval_batches or []
        with modes_kept(self.model), torch.no_grad():
            self.model.eval()
            if ensemble is None:
                value: Any = sum(float(self.loss_fn(self.model, batch)) for batch in batches) / len(batches)
            else:
                value = sum(ensemble.evaluate(self.loss_fn, batch).double() for batch in batches) / len(batches)
        return value


def _masked(rates: list[float], losses: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Return the losses with NaN, per mark, from the lowest rate on whose loss is above the limit or not finite."""
    order = np.argsort(rates, kind="stable")
    above = np.maximum.accumulate(~(losses[order] <= limits), axis=0)
    masked = losses.copy()
    masked[order] = np.where(above, np.nan, losses[order])
    return masked


def _ratios(optimizer: Optimizer) -> list[float]:
    """Return each group's learning rate over the first one's."""
    present = read(optimizer)
    if len(set(present)) == 1:
        return [1.0] * len(present)
    if present[0] == 0.0:
        raise ValueError("make_optimizer: the lr of the first param group is 0, so that the others have no ratio to it")
    return [lr / present[0] for lr in present]


def _rates(lrs: Any) -> list[float]:
    rates = [number(f"lrs[{i}]", lr, above=0.0) for i, lr in enumerate(items("lrs", lrs))]
    if not rates:
        raise ValueError("lrs is empty")
    return rates


def _marks(steps: Any) -> list[int]:
    marks = [integer(f"steps[{i}]", step, low=1) for i, step in enumerate(items("steps", steps))]
    if not marks or any(after <= before for before, after in pairwise(marks)):
        raise ValueError(f"steps must be increasing integers >= 1, at least one, got {marks}")
    return marks


def _check(
    model: object, make_optimizer: object, loss_fn: object, batches: object, eval_batches: object, callback: object
) -> None:
    if not isinstance(model, nn.Module):
        refuse("model", "a torch.nn.Module", model)
    for name, value in (("make_optimizer", make_optimizer), ("loss_fn", loss_fn), ("callback", callback)):
        if not (callable(value) or (name == "callback" and value is None)):
            refuse(name, "callable", value)
    for name, value in (("batches", batches), ("eval_batches", eval_batches)):
        if not (
            hasattr(value, "__iter__") or hasattr(value, "__getitem__") or (name == "eval_batches" and value is None)
        ):
            refuse(name, "an iterable of batches", value)
