"""The sweeps that `sweep_cost` times: of the function network, and of models of other kinds on digits."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Adam, Optimizer
from torch.utils.flop_counter import FlopCounterMode

from .. import small_tasks
from ..replications import function_tasks, scan_tasks
from ..replications.sweep_claims import LRS, MARKS

FUNCTION = "function"


@dataclass(frozen=True)
class Task:
    """The arguments of a sweep."""

    name: str
    model: nn.Module
    make_optimizer: Callable[[Iterator[nn.Parameter]], Optimizer]
    loss_fn: Callable[[nn.Module, Any], Tensor]
    batches: list[Any]
    lrs: np.ndarray
    steps: tuple[int, ...]
    eval_batches: list[Any] | None = None


def adam(parameters: Iterator[nn.Parameter]) -> Optimizer:
    return Adam(parameters, lr=1e-3)


def momentum(parameters: Iterator[nn.Parameter]) -> Optimizer:
    return SGD(parameters, lr=1e-3, momentum=0.9)


def function() -> Task:
    """Return the published sweep on log: 100 rates, 1, 2, 4 and 8 epochs of two batches."""
    batches = function_tasks.FUNCTIONS["log"].batches()
    steps = tuple(len(batches) * mark for mark in MARKS)
    return Task(FUNCTION, function_tasks.network(0), adam, function_tasks.loss_fn, batches, LRS, steps, batches)


def digits(name: str, network: Callable[[], nn.Module], make_optimizer: Any, size: int = 64, rates: int = 20) -> Task:
    torch.manual_seed(0)
    batches = list(islice(small_tasks.Batches(small_tasks.digits(), size, 0), 8))
    lrs = np.logspace(-5, -1, rates)
    return Task(name, network(), make_optimizer, classify, batches, lrs, (1, 2, 4, 8))


def classify(model: nn.Module, batch: Any) -> Tensor:
    return cross_entropy(model(batch[0]), batch[1])


def with_dropout(width: int) -> nn.Module:
    first = [nn.Linear(64, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.2)]
    return nn.Sequential(*first, nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))


TASKS: dict[str, Callable[[], Task]] = {
    FUNCTION: function,
    "mlp": lambda: digits("mlp", lambda: small_tasks.mlp(64, 10), momentum),
    "mlp-bn-dropout": lambda: digits("mlp-bn-dropout", lambda: with_dropout(64), adam),
    "mlp-wide": lambda: digits("mlp-wide", lambda: with_dropout(512), adam),
    "attention": lambda: digits("attention", small_tasks.Attention, adam),
    "conv": lambda: digits("conv", small_tasks.convolutions, momentum),
}


def cifar10_like(device: torch.device) -> Task:
    """Return the published scan of CIFAR-10; its images are noise, which does not change the time."""
    torch.manual_seed(0)
    model = scan_tasks.network(3, 32, 32).to(device)
    images, labels = torch.randn(100, 3, 32, 32, device=device), torch.randint(10, (100,), device=device)
    steps = (1, 2, 4, 8, 16, 32, 64, 128)
    return Task("cifar10", model, scan_tasks.make_optimizer, scan_tasks.loss_fn, [(images, labels)], LRS, steps)


def teraflops(task: Task) -> float:
    """Return the operations of one step of all rates, forward and backward, in 10¹²."""
    with FlopCounterMode(display=False) as counter:
        task.loss_fn(copy.deepcopy(task.model), task.batches[0]).backward()
    return counter.get_total_flops() * len(task.lrs) / 1e12


def published(task: Task, epochs: tuple[int, ...]) -> np.ndarray:
    """Sweep with bare loops that start over for every rate and mark; return losses of shape (rates, marks)."""
    losses = np.empty((len(task.lrs), len(epochs)))
    for mark, length in enumerate(epochs):
        for i, lr in enumerate(task.lrs):
            model = copy.deepcopy(task.model)
            optimizer = task.make_optimizer(model.parameters())
            optimizer.param_groups[0]["lr"] = float(lr)
            for _ in range(length):
                for batch in task.batches:
                    optimizer.zero_grad()
                    task.loss_fn(model, batch).backward()
                    optimizer.step()
            with torch.no_grad():
                losses[i, mark] = sum(task.loss_fn(model, batch).item() for batch in task.batches) / len(task.batches)
    return losses
