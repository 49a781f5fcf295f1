"""Tiny tasks of fine-tuning on pictures in bytes: inputs up to 255 need learning rates far below the defaults."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import Adam

from . import data
from .data import Data
from .networks import mlp
from .tasks import Task


def byte_digits() -> Data:
    x, y = data.digits()
    return 255 * x, y


def turned_byte_digits() -> Data:
    """Return the digits turned by a right angle, in bytes."""
    x, y = data.turned_digits()
    return 255 * x, y


def colour_digits() -> Data:
    """Return the digits with three equal channels, in bytes."""
    x, y = byte_digits()
    return x.repeat_interleave(3, 1), y


def turned_colour_digits() -> Data:
    x, y = turned_byte_digits()
    return x.repeat_interleave(3, 1), y


def knows_byte_digits() -> nn.Module:
    """Return a network that knows the digits upright."""
    return _trained(mlp(64, 10, 64), byte_digits())


def knows_colour_digits() -> nn.Module:
    return _trained(mlp(192, 10), colour_digits())


def _trained(model: nn.Module, known: Data, steps: int = 400) -> nn.Module:
    """Train by Adam with a linear decay."""
    x, y = known
    optimizer = Adam(model.parameters(), lr=1e-3)
    for step in range(steps):
        rows = torch.randint(len(x), (64,))
        optimizer.param_groups[0]["lr"] = 1e-3 * (1 - step / steps)
        optimizer.zero_grad()
        cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
    return model


FINETUNING = {
    "finetune-bytes-momentum4": Task(turned_byte_digits, knows_byte_digits, "momentum", 4, cross_entropy),
    "finetune-colours-momentum8": Task(turned_colour_digits, knows_colour_digits, "momentum", 8, cross_entropy),
}
