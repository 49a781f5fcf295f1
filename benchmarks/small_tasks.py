"""Networks for scikit-learn's digits, their batches, and a task that trains one with batches of four."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Optimizer

Data = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Task:
    """Data, network, optimizer, batch size and loss."""

    data: Callable[[], Data]
    network: Callable[[], nn.Module]
    optimizer: Callable[[Iterator[nn.Parameter]], Optimizer]
    batch: int
    loss: Callable[[Tensor, Tensor], Tensor]

    def loss_fn(self, model: nn.Module, batch: Data) -> Tensor:
        return self.loss(model(batch[0]), batch[1])


class Batches:
    """Endless shuffled batches, the same in every iteration with the same seed."""

    def __init__(self, data: Data, size: int, seed: int) -> None:
        self.data, self.size, self.seed = data, min(size, len(data[0])), seed

    def __iter__(self) -> Iterator[Data]:
        x, y = self.data
        generator = torch.Generator().manual_seed(self.seed)
        while True:
            order = torch.randperm(len(x), generator=generator)
            for start in range(0, len(x) - self.size + 1, self.size):
                chosen = order[start : start + self.size]
                yield x[chosen], y[chosen]


def digits() -> Data:
    from sklearn.datasets import load_digits

    data = load_digits()
    return torch.tensor(data.data / 16, dtype=torch.float32), torch.tensor(data.target)


def mlp(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, outputs))


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        *(nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(96, 10)),
    )


class Attention(nn.Module):
    """A one-layer transformer that reads a digit row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Unflatten(1, (8, 8))
        self.embed, self.position = nn.Linear(8, 16), nn.Parameter(0.02 * torch.randn(8, 16))
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, 0.0, batch_first=True, norm_first=True)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(self.embed(self.rows(x)) + self.position).mean(1))


def sgd(parameters: Iterator[nn.Parameter]) -> Optimizer:
    return SGD(parameters, lr=1e-3)


DIGITS = Task(digits, lambda: mlp(64, 10), sgd, 4, cross_entropy)
