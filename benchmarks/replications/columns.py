"""The two columns of the published tables: pure functions of a run's validation accuracies a₀, a₁, …, one an epoch.

Convergence is also one of the number of epochs that the run was to have, which an early stop may have cut short.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean


def mnist_accuracy(accuracies: Sequence[float]) -> float:
    """Return the mean of the four values before the last; of all but the last if there are fewer; or the only one."""
    return fmean(accuracies[-5:-1] or accuracies)


def mnist_convergence(accuracies: Sequence[float], epochs: int) -> int:
    """Return (index of the first epoch within 0.0005 of the run's maximum) − 1: −1 where that is the first epoch.

    `epochs` does not count: every run has a maximum.
    """
    enough = max(accuracies) - 0.0005 - 1e-9  # in binary, 0.9865 − 0.0005 need not be 0.986
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
    """How a table computes its accuracy and its convergence column."""

    accuracy: Callable[[Sequence[float]], float]
    convergence: Callable[[Sequence[float], int], int]


MNIST = Columns(mnist_accuracy, mnist_convergence)
CIFAR = Columns(cifar_accuracy, cifar_convergence)
