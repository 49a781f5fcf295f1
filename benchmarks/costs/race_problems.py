"""What the methods of race_quality train: networks, optimizers, and data in three parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..tiny.data import Data, split
from ..tiny.finetuning import FINETUNING
from ..tiny.tasks import TASKS, Task, held_out


def _half_decades(first: float, count: int) -> tuple[float, ...]:
    return tuple(float(f"{first * 10 ** (k / 2):.6g}") for k in range(count))


CPU = torch.device("cpu")
FACTORS = _half_decades(0.01, 10)  # multiples of the optimizer's own rate, up to 316
BETWEEN = _half_decades(0.01 * 10**0.25, 9)


@dataclass(frozen=True)
class Problem:
    """A training of `steps` steps. Validation data choose rates; test data give the figures.

    `batches(seed)` yields endless training batches. `grid` has the factors of each shape; its runs train side by side
    if `stacked`. `held_out` is whether range_test's rule was not chosen on it. race's rates and rules were chosen on
    other tasks.
    """

    name: str
    model: Callable[[int], nn.Module]
    make_optimizer: Callable[[Iterable[nn.Parameter]], Optimizer]
    loss_fn: Callable[[nn.Module, Any], Tensor]
    batches: Callable[[int], Iterator[Any]]
    valid: list[Any]
    test: list[Any]
    steps: int
    grid: dict[str, tuple[float, ...]]
    held_out: bool
    stacked: bool = True
    device: torch.device = CPU

    def parts(self, members: list[tuple[str, float]], name: str) -> dict[str, list[tuple[str, float]]]:
        """Return the runs (shape, factor) that train at once, under the names of their records."""
        if self.stacked:
            return {name: members}
        return {f"{shape} × {factor:.3g}": [(shape, factor)] for shape, factor in members}

    def loss(self, model: nn.Module, batches: list[Any]) -> float:
        """Return the mean loss on batches in eval mode; the model stays in train mode."""
        model.eval()
        with torch.no_grad():
            losses = [self.loss_fn(model, batch).item() for batch in batches]
        model.train()
        return sum(losses) / len(losses)

    def constant_loss(self) -> float:
        """Return the test loss of the best constant answer: the labels' entropy, or the variance of the values."""
        targets = [batch[1].cpu() for batch in self.test]
        if targets[0].is_floating_point():
            return float(torch.cat(targets).var(0, correction=0).mean())
        labels = torch.cat([each.flatten() for each in targets])
        shares = labels.unique(return_counts=True)[1] / len(labels)
        return float(-(shares * shares.log()).sum())


@dataclass(frozen=True)
class Rest:
    """What the tiny tasks train on, as data of its own, so that validation data are split off again."""

    make: Callable[[], Data]

    def __call__(self) -> Data:
        return split(self.make)[0]


NAMES = (
    *("tanh-digits-sgd16", "deep-digits-adam32", "residual-digits-momentum16", "norm-digits-momentum32"),
    *("conv-digits-adam16", "attention-recall-adamw32", "attention-text-adamw16", "letters-text-adam32"),
    *("gru-series-adam32", "gru-sums-adamw16"),
    *("factors-ratings-sgd32", "factors-clean-adam-all", "linear-classes-sgd32", "linear-plane-sgd16"),
    *("linear-plane-adam-all", "mlp-friedman1-adam32", "deep-friedman2-adam16", "mlp-diabetes-sgd32"),
    *("mlp-cancer-adam16", "mlp-waves-adam64", "autoencoder-digits-sgd32", "finetune-digits-adam32"),
    *("finetune-bytes-momentum4", "finetune-colours-momentum8"),
)
TINY = {name: (TASKS | FINETUNING)[name] for name in NAMES}


def tiny_problem(name: str, steps: int, grid: dict[str, tuple[float, ...]]) -> Problem:
    """Return a tiny task with three parts of data: 64 % training, 16 % validation, 20 % test."""
    task = TINY[name]
    rest: Task = replace(task, data=Rest(task.data))
    return Problem(
        name=name,
        model=lambda seed: task.model(seed).train(),
        make_optimizer=task.make_optimizer,
        loss_fn=task.loss_fn,
        batches=rest.batches,
        valid=[split(rest.data)[1]],
        test=[split(task.data)[1]],
        steps=steps,
        grid=grid,
        held_out=name in FINETUNING or held_out(name),
    )
