"""The six functions of "Diving deep: learning rate" (2020), the network that learns them, and its training.

The post divides a loss by the batch size: with two batches per epoch its figure is (mean₁ + mean₂)/1280. Here a loss is
the mean of the two means, a mean squared error; multiplied by UNIT it is the figure of the post.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

Batch = tuple[Tensor, Tensor]
POINTS, BATCH = 2501, 1280
UNIT = 2 / BATCH


@dataclass(frozen=True)
class Function:
    """A function to learn, on [start, stop)."""

    start: float
    stop: float
    formula: Callable[[Tensor], Tensor]

    def points(self) -> Batch:
        """Return x_i = start + i/2501·(stop − start) and the function's values, float64, shapes (2501,)."""
        x = self.start + torch.arange(POINTS, dtype=torch.float64) / POINTS * (self.stop - self.start)
        return x, self.formula(x)

    def batches(self) -> list[Batch]:
        """Return the two batches of an epoch, in order, float32, shapes (1280, 1) and (1221, 1)."""
        x, y = (values.float().unsqueeze(1).split(BATCH) for values in self.points())
        return list(zip(x, y, strict=True))


FUNCTIONS = {
    "log": Function(0.01, 5.0, torch.log),
    "exp": Function(-5.0, 5.0, torch.exp),
    "sin": Function(-5.0, 5.0, torch.sin),
    "2x+8": Function(-5.0, 5.0, lambda x: 2 * x + 8),
    "step": Function(-5.0, 5.0, lambda x: (x > 0).to(x.dtype)),
    "1/x": Function(-5.0, 5.0, lambda x: 1 / x),
}


def network(seed: int) -> nn.Module:
    """Return the untrained 1→10→10→10→1 network of a seed, the same for every function."""
    torch.manual_seed(seed)
    hidden = [layer for width in (1, 10, 10) for layer in (nn.Linear(width, 10), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(10, 1))


def loss_fn(model: nn.Module, batch: Batch) -> Tensor:
    return nn.functional.mse_loss(model(batch[0]), batch[1])


@torch.no_grad()
def evaluate(model: nn.Module, batches: list[Batch]) -> float:
    """Return the mean of the batches' mean squared errors."""
    return sum(loss_fn(model, batch).item() for batch in batches) / len(batches)


def train(model: nn.Module, optimizer: Optimizer, batches: list[Batch], epochs: int) -> list[float]:
    """Train, and return the mean of each epoch's losses, which are taken before each step."""
    losses = []
    for _ in range(epochs):
        total = 0.0
        for batch in batches:
            loss = loss_fn(model, batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        losses.append(total / len(batches))
    return losses


def adam(model: nn.Module, lr: float) -> Optimizer:
    return Adam(model.parameters(), lr=lr)
