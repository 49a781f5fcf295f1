"""ResNet-32 for CIFAR-10 and the preparation of its images, after TensorFlow's official models of early 2018.

github.com/tensorflow/models, official/resnet/resnet_model.py and cifar10_main.py: the preactivation network of He et
al. (2016), "Identity Mappings in Deep Residual Networks", with a 1x1 convolution as the shortcut that begins a stage.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from .datasets import Split


class Block(nn.Module):
    """Normalisation, ReLU and a 3x3 convolution, twice; then the input is added."""

    def __init__(self, before: int, after: int, stride: int, begins_stage: bool, momentum: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(before, momentum=momentum)
        self.conv1 = convolution(before, after, 3, stride)
        self.norm2 = nn.BatchNorm2d(after, momentum=momentum)
        self.conv2 = convolution(after, after, 3)
        self.shortcut = convolution(before, after, 1, stride) if begins_stage else None

    def forward(self, images: Tensor) -> Tensor:
        active = relu(self.norm1(images))
        shortcut = images if self.shortcut is None else self.shortcut(active)
        return self.conv2(relu(self.norm2(self.conv1(active)))) + shortcut


def resnet32(momentum: float = 0.003) -> nn.Module:
    """Return three stages of five blocks, with 16, 32 and 64 channels.

    `momentum` is the share of each batch in batch norm's averages for evaluation: 1 − 0.997, as published.
    """
    blocks = []
    before = 16
    for after, first_stride in ((16, 1), (32, 2), (64, 2)):
        for i in range(5):
            blocks.append(Block(before, after, first_stride if i == 0 else 1, i == 0, momentum))
            before = after
    head = [nn.BatchNorm2d(64, momentum=momentum), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear(64, 10)]
    return nn.Sequential(convolution(3, 16, 3), *blocks, *head)


def convolution(before: int, after: int, size: int, stride: int = 1) -> nn.Module:
    """Return a convolution without bias; its weights are normal with variance 1/fan-in, cut at two deviations."""
    layer = nn.Conv2d(before, after, size, stride, padding=size // 2, bias=False)
    std = math.sqrt(1 / (before * size * size)) / 0.87962566103423978  # of the normal distribution before it is cut
    nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
    return layer


def linear(before: int, after: int) -> nn.Module:
    layer = nn.Linear(before, after)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def batches(train: Split, batch_size: int) -> Callable[[], Iterable[tuple[Tensor, Tensor]]]:
    """Return a function that yields an epoch's batches: images shuffled, shifted, flipped and standardised.

    The random numbers come from the CPU, so that they are the same on every device. Those of an epoch go to the device
    together, because each copy would wait for all work before it.
    """

    def epoch() -> Iterable[tuple[Tensor, Tensor]]:
        device = train.labels.device
        order = torch.randperm(len(train.labels)).split(batch_size)
        moves = torch.cat([random_moves(len(rows)) for rows in order]).to(device)
        for rows, moved in zip(torch.cat(order).to(device).split(batch_size), moves.split(batch_size), strict=True):
            yield standardised(shifted(train.images[rows], moved)), train.labels[rows]

    return epoch


def random_moves(count: int) -> Tensor:
    """Return where to crop each of `count` padded images, and whether to flip it: (count, 3), top, left and 0 or 1."""
    corners = torch.randint(0, 9, (2, count, 1))
    flip = torch.rand(count, 1) < 0.5
    return torch.cat([*corners, flip.long()], dim=1)


def shifted(images: Tensor, moves: Tensor) -> Tensor:
    """Return each image padded by 4 zero pixels, cropped to its size at (top, left), and flipped if wanted."""
    count, channels, height, width = images.shape
    top, left, flip = moves.split(1, dim=1)
    down, across = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
    rows = top + down
    columns = left + torch.where(flip.bool(), across.flip(0), across)
    image = torch.arange(count, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[None, :, None, None]
    return pad(images, (4, 4, 4, 4))[image, channel, rows[:, None, :, None], columns[:, None, None, :]]


def standardised(images: Tensor) -> Tensor:
    """Return (image − mean)/max(deviation, 1/√(number of values)) for each image, as float32."""
    values = images.float()
    std, mean = torch.std_mean(values, dim=(1, 2, 3), correction=0, keepdim=True)
    return (values - mean) / std.clamp(min=1 / math.sqrt(values[0].numel()))
