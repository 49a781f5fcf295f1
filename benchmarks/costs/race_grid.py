"""Grids of learning rates for race_quality: schedules that need a rate, each trained at many."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lrsched import Constant, Cosine, Ensemble, Inverse, Linear, PlateauSequence, Sawtooth, Sequence, Warmup

from .race_problems import BETWEEN, FACTORS, Problem

TAIL = 20  # the last training losses, whose mean tells whether a run has diverged
LOOKS = 40  # validations in a run, for the schedulers that follow the validation loss
CONSTANT, COSINE, LINEAR = "constant", "cosine with warm-up", "linear with warm-up"
REDUCE, INVERSE, SAWTOOTH = "ReduceLROnPlateau", "PlateauSequence(Inverse())", "PlateauSequence(Sawtooth())"
FOLLOWED: dict[str, Callable[[Optimizer], ReduceLROnPlateau]] = {
    REDUCE: lambda optimizer: ReduceLROnPlateau(optimizer, factor=0.5, patience=2),
    INVERSE: lambda optimizer: PlateauSequence(optimizer, Inverse()),
    SAWTOOTH: lambda optimizer: PlateauSequence(optimizer, Sawtooth()),
}
GRID = {CONSTANT: FACTORS, COSINE: tuple(sorted(FACTORS + BETWEEN)), LINEAR: FACTORS}


def recipe(steps: int) -> Sequence:
    """Return a warm-up over 5 % of the steps, times a linear decay to zero."""
    return warmup(steps) * Linear(steps)


def warmup(steps: int) -> Warmup:
    return Warmup(max(1, steps // 20))


def fixed(steps: int) -> dict[str, Sequence]:
    """Return the shapes that need no validation loss."""
    return {CONSTANT: Constant(), COSINE: warmup(steps) * Cosine(steps), LINEAR: recipe(steps)}


class Member:
    """The learning rate of one run: an ordinary scheduler's on an optimizer that trains nothing, or a sequence's."""

    def __init__(self, shape: str, base: float, steps: int) -> None:
        self._values = base * fixed(steps)[shape].values(steps) if shape not in FOLLOWED else None
        self._optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=base)
        self._scheduler = FOLLOWED[shape](self._optimizer) if shape in FOLLOWED else None

    def rate(self, step: int) -> float:
        return float(self._optimizer.param_groups[0]["lr"] if self._values is None else self._values[step])

    def look(self, loss: float) -> None:
        """Show the scheduler a validation loss."""
        if self._scheduler is not None:
            self._scheduler.step(loss)


def trained(
    problem: Problem, seed: int, members: list[tuple[str, float]], clock: Callable[[], float]
) -> dict[str, Any]:
    """Train all members side by side; return their losses on validation and test data, NaN if diverged."""
    started = clock()
    model = problem.model(seed)
    own = problem.make_optimizer(list(model.parameters())).param_groups[0]["lr"]
    untrained = problem.loss(model, problem.test)
    rates = [Member(shape, own * factor, problem.steps) for shape, factor in members]
    ensemble = Ensemble(model, problem.make_optimizer, len(members), randomness="different")
    tail: deque[torch.Tensor] = deque(maxlen=TAIL)
    every = max(1, problem.steps // LOOKS) if any(shape in FOLLOWED for shape, _ in members) else problem.steps
    torch.manual_seed(seed)
    for step, batch in enumerate(islice(problem.batches(seed), problem.steps)):
        if step and step % every == 0:
            for member, loss in zip(rates, losses_of(ensemble, problem, problem.valid), strict=True):
                member.look(loss)
        tail.append(ensemble.step(problem.loss_fn, batch, [member.rate(step) for member in rates]))
    last = torch.stack([*tail]).double().T.tolist()
    return {
        "members": members,
        "valid": losses_of(ensemble, problem, problem.valid).tolist(),
        "test": losses_of(ensemble, problem, problem.test).tolist(),
        "diverged": [failed(losses, untrained) for losses in last],
        "untrained": untrained,
        "seconds": clock() - started,
    }


def failed(tail: list[float], limit: float) -> bool:
    """Return whether the mean of the last training losses is above a limit, or not a number."""
    return not fmean(tail) <= limit


def losses_of(ensemble: Ensemble, problem: Problem, batches: list[Any]) -> np.ndarray:
    """Return the members' mean losses on batches, in eval mode."""
    ensemble.model.eval()
    losses = [ensemble.evaluate(problem.loss_fn, batch).double().cpu().numpy() for batch in batches]
    ensemble.model.train()
    return np.mean(losses, axis=0)
