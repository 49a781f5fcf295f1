"""What a table measures, as published: losses and accuracies, the early stop, and the two columns of the tables.

The columns are functions of a run's validation accuracies a₀, a₁, …, one per epoch. Convergence also depends on the
planned number of epochs, because an early stop may have cut the run short.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from .datasets import Split

Loss = Callable[[Tensor, Tensor], Tensor]


def batch_loss(loss: Loss, model: nn.Module, batch: Any) -> Tensor:
    return loss(model(batch[0]), batch[1])


def measure(loss: Loss, model: nn.Module, batch: Any) -> dict[str, Tensor]:
    """Return a batch's loss and accuracy, from one forward pass."""
    images, labels = batch
    outputs = model(images)
    return {"loss": loss(outputs, labels), "accuracy": (outputs.argmax(1) == labels).double().mean()}


def unlearned(valid: Split, batch_size: int, model: nn.Module) -> dict[str, int]:
    """Return in how many classes fewer than one image in ten is recognised."""
    guesses = torch.cat([model(images).argmax(1) for images in valid.images.split(batch_size)])
    of_class = valid.labels.bincount()
    right = valid.labels[guesses == valid.labels].bincount(minlength=len(of_class))
    return {"unlearned": int((10 * right < of_class).sum())}


def stands_still(losses: list[float]) -> bool:
    """Return whether the validation loss equals that of two epochs before, within 1e-7: the published early stop."""
    return len(losses) >= 3 and abs(losses[-1] - losses[-3]) < 1e-7


def mnist_accuracy(accuracies: Sequence[float]) -> float:
    """Return the mean of up to four values before the last; if there is only one value, return it."""
    return fmean(accuracies[-5:-1] or accuracies)


def mnist_convergence(accuracies: Sequence[float], epochs: int) -> int:
    """Return i − 1, where i is the index of the first epoch within 0.0005 of the run's maximum; −1 for the first epoch.

    `epochs` is ignored: every run has a maximum.
    """
    enough = max(accuracies) - 0.0005 - 1e-9  # in binary, 0.9865 − 0.0005 may exceed 0.986
    return next(i for i, accuracy in enumerate(accuracies) if accuracy >= enough) - 1


def cifar_accuracy(accuracies: Sequence[float]) -> float:
    """Return the last value, to 4 decimals."""
    return round(accuracies[-1], 4)


def cifar_convergence(accuracies: Sequence[float], epochs: int) -> int:
    """Return the first i with |a_{i+1} − a_i| + … + |a_{i+4} − a_{i+3}| < 0.009; `epochs` if there is none."""
    changes = [abs(after - before) for before, after in pairwise(accuracies)]
    quiet = (i for i in range(len(changes) - 3) if sum(changes[i : i + 4]) < 0.009)
    return next(quiet, epochs)


@dataclass(frozen=True)
class Columns:
    """The formulas of a table's accuracy and convergence columns."""

    accuracy: Callable[[Sequence[float]], float]
    convergence: Callable[[Sequence[float], int], int]


MNIST = Columns(mnist_accuracy, mnist_convergence)
CIFAR = Columns(cifar_accuracy, cifar_convergence)
