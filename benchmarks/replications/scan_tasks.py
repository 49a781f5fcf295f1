"""The image network of "Diving deep: learning rate" (2020), a smaller one for digits, and their augmented batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample, nll_loss
from torch.optim import Adam, Optimizer

from ..devices import Arithmetic, computing_in
from . import datasets
from .datasets import Split

Batch = tuple[Tensor, Tensor]
BATCH = 100
DEGREES = 10.0  # images are rotated by up to 10 degrees either way
TRAINING_RATE = 1e-3  # the learning rate of the epochs before a second scan


@dataclass(frozen=True)
class Task:
    """Images, the width of the first layer of their network, and the mean and deviation to normalise them by."""

    title: str
    train: Split
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool
    arithmetic: Arithmetic = "float32"

    def network(self, seed: int) -> nn.Module:
        """Return the untrained network of a seed."""
        torch.manual_seed(seed)
        _, channels, _, size = self.train.images.shape
        made = computing_in(self.arithmetic, lambda: network(channels, size, self.width))()
        return made.to(self.train.images.device)

    def few(self, n: int | None) -> Task:
        """Return the task with at most n images; with all of them for None."""
        return self if n is None else replace(self, train=self.train.few(n), title=f"{self.title}, {n} images")


def cifar10(folder: Path | None) -> Task:
    data = datasets.cifar10(folder)
    return Task(data.title, data.train, 32, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616), flip=True)


def digits(folder: Path | None = None) -> Task:
    """Return a stand-in for CIFAR-10 that needs no download. Nothing is flipped: a mirrored digit is not a digit."""
    data = datasets.digits()
    images = data.train.images * 0.5 + 0.5
    return Task(data.title, Split(images, data.train.labels), 8, (0.5,), (0.5,), flip=False)


TASKS: dict[str, Callable[[Path | None], Task]] = {"cifar10": cifar10, "digits": digits}


def network(channels: int, size: int, width: int) -> nn.Module:
    """Return the published layers for 3-channel 32×32 images and width 32; other sizes in proportion."""
    w = width

    def conv(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]

    hidden = 300 * w // 32
    return nn.Sequential(
        *(*conv(channels, w), *conv(w, w), nn.MaxPool2d(2), nn.BatchNorm2d(w)),
        *(*conv(w, 2 * w), *conv(2 * w, 2 * w), nn.MaxPool2d(2), nn.BatchNorm2d(2 * w)),
        *(*conv(2 * w, 4 * w), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.5)),
        *(nn.Linear(4 * w * (size // 8) ** 2, hidden), nn.ReLU(), nn.Dropout(0.5), nn.Linear(hidden, 10)),
        nn.LogSoftmax(1),
    )


def loss_fn(model: nn.Module, batch: Batch) -> Tensor:
    return nll_loss(model(batch[0]), batch[1])


def make_optimizer(parameters: Iterator[nn.Parameter]) -> Optimizer:
    return Adam(parameters, lr=TRAINING_RATE, weight_decay=1e-5)


class Batches:
    """Endless batches of 100, shuffled, augmented and normalised, the same in every iteration with the same seed."""

    def __init__(self, task: Task, seed: int) -> None:
        self.task, self.seed = task, seed

    @property
    def epoch(self) -> int:
        """The number of batches in an epoch; images that do not fill the last batch are left out."""
        return len(self.task.train.labels) // BATCH

    def __iter__(self) -> Iterator[Batch]:
        images, labels = self.task.train
        random = torch.Generator().manual_seed(self.seed)
        while True:
            order = torch.randperm(len(labels), generator=random).to(labels.device)
            for chosen in order[: self.epoch * BATCH].split(BATCH):
                yield self.augmented(images[chosen], random), labels[chosen]

    def augmented(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Return images (bytes, or floats in [0, 1]) flipped and rotated at random, then normalised."""
        scaled = images.float().div(255) if images.dtype == torch.uint8 else images
        sides = torch.where(torch.rand(len(images), generator=random) < 0.5, -1.0, 1.0)
        angles = (2 * torch.rand(len(images), generator=random) - 1) * math.radians(DEGREES)
        turned = rotated(scaled, angles, sides if self.task.flip else torch.ones_like(sides))
        mean, std = (turned.new_tensor(values)[:, None, None] for values in (self.task.mean, self.task.std))
        return (turned - mean) / std


def rotated(images: Tensor, angles: Tensor, sides: Tensor) -> Tensor:
    """Return images rotated by angles in radians, mirrored if the side is −1; nearest pixel, black outside."""
    cos, sin, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    rows = torch.stack([cos * sides, -sin, zero]), torch.stack([sin * sides, cos, zero])
    theta = torch.stack(rows).permute(2, 0, 1).to(images)
    grid = affine_grid(theta, list(images.shape), align_corners=False)
    return grid_sample(images, grid, mode="nearest", padding_mode="zeros", align_corners=False)
