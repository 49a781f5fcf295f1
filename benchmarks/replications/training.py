"""What the tables give to `lrsched.compare`: images and labels in memory, what is measured of them, the early stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

Loss = Callable[[Tensor, Tensor], Tensor]


class Split(NamedTuple):
    """Images (n, channels, height, width), as float32 or bytes, and their labels (n,), held in memory."""

    images: Tensor
    labels: Tensor

    def few(self, n: int) -> Split:
        """Return n samples, or all there are, spread evenly: files may be sorted by class."""
        n = min(n, len(self.labels))
        rows = torch.arange(n) * len(self.labels) // n
        return Split(self.images[rows], self.labels[rows])

    def to(self, device: torch.device) -> Split:
        return Split(self.images.to(device), self.labels.to(device))


def batch_loss(loss: Loss, model: nn.Module, batch: Any) -> Tensor:
    return loss(model(batch[0]), batch[1])


def measure(loss: Loss, model: nn.Module, batch: Any) -> dict[str, Tensor]:
    """Return a batch's loss and accuracy, of one forward pass."""
    images, labels = batch
    outputs = model(images)
    return {"loss": loss(outputs, labels), "accuracy": (outputs.argmax(1) == labels).double().mean()}


def unlearned(valid: Split, batch_size: int, model: nn.Module) -> dict[str, int]:
    """Return how many classes there are of which fewer than one image in ten is recognised."""
    guesses = torch.cat([model(images).argmax(1) for images in valid.images.split(batch_size)])
    of_class = valid.labels.bincount()
    right = valid.labels[guesses == valid.labels].bincount(minlength=len(of_class))
    return {"unlearned": int((10 * right < of_class).sum())}


def stands_still(losses: list[float]) -> bool:
    """Return whether the validation loss is where it was two epochs before, within 1e-7: the published early stop."""
    return len(losses) >= 3 and abs(losses[-1] - losses[-3]) < 1e-7
