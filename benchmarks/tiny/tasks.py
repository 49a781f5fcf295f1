"""Tiny tasks of many kinds: networks, data, optimizers and batch sizes. Half of them are held out, by their names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.optim import SGD, Adam, AdamW, Optimizer

from . import data
from .data import Data
from .networks import (
    Attention,
    Factors,
    Letters,
    Recurrent,
    Residual,
    convolution,
    dropped,
    mlp,
    normed,
    signal_convolution,
    trained,
)

OPTIMIZERS: dict[str, Callable[[Iterable[nn.Parameter]], Optimizer]] = {
    "sgd": partial(SGD, lr=0.01),
    "momentum": partial(SGD, lr=0.01, momentum=0.9),
    "adam": partial(Adam, lr=0.001),
    "adamw": partial(AdamW, lr=0.001, weight_decay=0.01),
}
ALL = 10_000  # a batch of all data


@dataclass(frozen=True)
class Task:
    """Data, network, optimizer (a key of OPTIMIZERS) at its default rate, batch size and loss."""

    data: Callable[[], Data]
    network: Callable[[], nn.Module]
    optimizer: str
    batch: int
    loss: Callable[[Tensor, Tensor], Tensor]

    def loss_fn(self, model: nn.Module, batch: Data) -> Tensor:
        return self.loss(model(batch[0]), batch[1])

    def model(self, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return self.network()

    def make_optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return OPTIMIZERS[self.optimizer](parameters)

    def batches(self, seed: int) -> Iterator[Data]:
        """Yield endless shuffled batches of the training data; an incomplete last batch is dropped."""
        (x, y), _ = data.split(self.data)
        size = min(self.batch, len(x))
        generator = torch.Generator().manual_seed(seed)
        while True:
            for rows in torch.randperm(len(x), generator=generator).split(size):
                if len(rows) == size:
                    yield x[rows], y[rows]


def _labels(make: Callable[[], Data], network: Callable[[], nn.Module], optimizer: str, batch: int) -> Task:
    return Task(make, network, optimizer, batch, cross_entropy)


def _values(make: Callable[[], Data], network: Callable[[], nn.Module], optimizer: str, batch: int) -> Task:
    return Task(make, network, optimizer, batch, mse_loss)


def _reader(outputs: int, symbols: int) -> Callable[[], nn.Module]:
    return lambda: Attention(outputs, symbols=symbols)


TASKS = {
    "mlp-digits-sgd32": _labels(data.digits, lambda: mlp(64, 10), "sgd", 32),
    "mlp-digits-momentum64": _labels(data.digits, lambda: mlp(64, 10), "momentum", 64),
    "mlp-digits-adam64": _labels(data.digits, lambda: mlp(64, 10), "adam", 64),
    "mlp-digits-sgd4": _labels(data.half_digits, lambda: mlp(16, 10), "sgd", 4),
    "mlp-digits-adamw8": _labels(data.half_digits, lambda: mlp(16, 10), "adamw", 8),
    "mlp-digits-momentum-all": _labels(data.half_digits, lambda: mlp(16, 10), "momentum", 256),
    "tanh-digits-sgd16": _labels(data.half_digits, lambda: mlp(16, 10, act=nn.Tanh), "sgd", 16),
    "deep-digits-adam32": _labels(data.half_digits, lambda: mlp(16, 10, 24, layers=5), "adam", 32),
    "deep-digits-momentum32": _labels(data.half_digits, lambda: mlp(16, 10, 24, layers=4), "momentum", 32),
    "norm-digits-adam16": _labels(data.half_digits, lambda: normed(16, 10), "adam", 16),
    "norm-digits-momentum32": _labels(data.half_digits, lambda: normed(16, 10), "momentum", 32),
    "dropout-digits-adam32": _labels(data.half_digits, lambda: dropped(16, 10), "adam", 32),
    "dropout-digits-sgd32": _labels(data.half_digits, lambda: dropped(16, 10), "sgd", 32),
    "residual-digits-adamw32": _labels(data.half_digits, lambda: Residual(16, 10), "adamw", 32),
    "residual-digits-momentum16": _labels(data.half_digits, lambda: Residual(16, 10), "momentum", 16),
    "mlp-wrong-labels-adam32": _labels(data.noisy_digits, lambda: mlp(16, 10), "adam", 32),
    "mlp-wrong-labels-sgd8": _labels(data.noisy_digits, lambda: mlp(16, 10), "sgd", 8),
    "finetune-digits-adam32": _labels(data.turned_digits, trained, "adam", 32),
    "finetune-digits-momentum32": _labels(data.turned_digits, trained, "momentum", 32),
    "conv-digits-momentum32": _labels(data.digits, convolution, "momentum", 32),
    "conv-digits-adam16": _labels(data.digits, convolution, "adam", 16),
    "conv-digits-sgd8": _labels(data.half_digits, lambda: convolution(4), "sgd", 8),
    "conv-norm-digits-adamw32": _labels(data.half_digits, lambda: convolution(4, 8, norm=True), "adamw", 32),
    "conv-signals-adam32": _labels(data.signals, signal_convolution, "adam", 32),
    "conv-signals-momentum32": _labels(data.signals, signal_convolution, "momentum", 32),
    "attention-digits-adam32": _labels(data.digits, lambda: Attention(10), "adam", 32),
    "attention-digits-momentum32": _labels(data.digits, lambda: Attention(10), "momentum", 32),
    "attention-recall-adamw32": _labels(data.recall, _reader(8, 8), "adamw", 32),
    "attention-text-adamw16": _labels(data.text, _reader(data.ALPHABET, data.ALPHABET), "adamw", 16),
    "gru-series-adam32": _values(data.series, lambda: Recurrent(1), "adam", 32),
    "gru-sums-adamw16": _values(data.sums, lambda: Recurrent(1, 2), "adamw", 16),
    "gru-sums-momentum32": _values(data.sums, lambda: Recurrent(1, 2), "momentum", 32),
    "gru-signals-adam8": _labels(data.signals, lambda: Recurrent(4), "adam", 8),
    "letters-text-adam32": _labels(data.text, Letters, "adam", 32),
    "letters-text-sgd32": _labels(data.text, Letters, "sgd", 32),
    "factors-ratings-sgd32": _values(data.ratings, Factors, "sgd", 32),
    "factors-ratings-adam64": _values(data.ratings, Factors, "adam", 64),
    "factors-clean-momentum64": _values(data.clean_ratings, Factors, "momentum", 64),
    "factors-clean-adam-all": _values(data.clean_ratings, Factors, "adam", ALL),
    "linear-plane-sgd16": _values(data.plane, lambda: nn.Linear(20, 1), "sgd", 16),
    "linear-plane-adam-all": _values(data.plane, lambda: nn.Linear(20, 1), "adam", 256),
    "linear-classes-sgd32": _labels(data.scaled_classes, lambda: nn.Linear(20, 2), "sgd", 32),
    "linear-classes-momentum4": _labels(data.scaled_classes, lambda: nn.Linear(20, 2), "momentum", 4),
    "mlp-friedman1-adam32": _values(data.friedman1, lambda: mlp(10, 1), "adam", 32),
    "mlp-friedman1-sgd-all": _values(data.friedman1, lambda: mlp(10, 1), "sgd", 256),
    "deep-friedman2-adam16": _values(data.friedman2, lambda: mlp(4, 1, 24, layers=4), "adam", 16),
    "mlp-friedman3-momentum32": _values(data.friedman3, lambda: mlp(4, 1), "momentum", 32),
    "mlp-diabetes-sgd32": _values(data.diabetes, lambda: mlp(10, 1), "sgd", 32),
    "mlp-diabetes-adam-all": _values(data.diabetes, lambda: mlp(10, 1), "adam", ALL),
    "mlp-waves-adam64": _values(data.waves, lambda: mlp(1, 1, act=nn.Tanh), "adam", 64),
    "mlp-waves-momentum64": _values(data.waves, lambda: mlp(1, 1, act=nn.Tanh), "momentum", 64),
    "mlp-teacher-adam32": _values(data.teacher, lambda: mlp(10, 2), "adam", 32),
    "mlp-teacher-sgd16": _values(data.teacher, lambda: mlp(10, 2), "sgd", 16),
    "mlp-spirals-momentum32": _labels(data.spirals, lambda: mlp(2, 2), "momentum", 32),
    "mlp-spirals-adamw32": _labels(data.spirals, lambda: mlp(2, 2), "adamw", 32),
    "mlp-parity-adam32": _labels(data.parity, lambda: mlp(12, 2), "adam", 32),
    "mlp-wine-momentum16": _labels(data.wine, lambda: mlp(13, 3), "momentum", 16),
    "mlp-wine-adam-all": _labels(data.wine, lambda: mlp(13, 3), "adam", ALL),
    "mlp-iris-sgd8": _labels(data.iris, lambda: mlp(4, 3), "sgd", 8),
    "mlp-cancer-adam16": _labels(data.cancer, lambda: mlp(30, 2, 16), "adam", 16),
    "autoencoder-digits-adam32": _values(data.pixels, lambda: mlp(16, 16, 8, layers=1), "adam", 32),
    "autoencoder-digits-sgd32": _values(data.pixels, lambda: mlp(16, 16, 8, layers=1), "sgd", 32),
}


def held_out(name: str) -> bool:
    """Return whether a task is held out: rules are chosen on the others, and judged on these in total only."""
    return hashlib.sha256(name.encode()).digest()[0] % 2 == 1
