"""The loss of a task over a grid of learning rates: all rates, seeds and schedules are trained side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from lrsched import Constant, Ensemble, Linear, Warmup
from lrsched import Sequence as Schedule

from .data import Data, split
from .tasks import Task

RECIPE, CONSTANT = "warm-up and decay", "constant"
RATES = 10.0 ** np.arange(-5, 1.01, 0.25)


def schedules(steps: int) -> dict[str, Schedule]:
    """Return what each rate is trained with: a warm-up over 5 % of the steps and a decay to zero, or nothing."""
    return {RECIPE: Warmup(max(1, steps // 20)) * Linear(steps), CONSTANT: Constant()}


def final_losses(task: Task, seeds: Sequence[int], steps: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the validation losses: untrained, shape (seeds,), and by schedule, shape (seeds, RATES), NaN if diverged.

    Weights and batches of a seed are the same for all rates and schedules.
    """
    shapes = schedules(steps)
    each = len(shapes) * len(RATES)
    models = [task.model(seed).train() for seed in seeds]
    members = [model for model in models for _ in range(each)]
    ensemble = Ensemble(members, task.make_optimizer, len(members), randomness="different")
    _, valid = split(task.data)
    with torch.no_grad():
        untrained = [task.loss_fn(model.eval(), valid).item() for model in models]
    ensemble.model.train()
    torch.manual_seed(0)
    for k, batch in zip(range(steps), _stacked(task, seeds, each), strict=False):
        rates = np.concatenate([shape(k) * RATES for shape in shapes.values()])
        ensemble.step(task.loss_fn, batch, np.tile(rates, len(seeds)), batch_dim=0)
    ensemble.model.eval()
    losses = ensemble.evaluate(task.loss_fn, valid).double().numpy().reshape(len(seeds), len(shapes), len(RATES))
    losses = np.where(np.isfinite(losses), losses, math.nan)
    return np.array(untrained), {name: losses[:, i] for i, name in enumerate(shapes)}


def _stacked(task: Task, seeds: Sequence[int], each: int) -> Iterator[Data]:
    """Yield the seeds' batches along a first axis of members."""
    for parts in zip(*(task.batches(seed) for seed in seeds), strict=True):
        x, y = (torch.stack(tensors).repeat_interleave(each, 0) for tensors in zip(*parts, strict=True))
        yield x, y
