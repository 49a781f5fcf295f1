"""Which schedule, advanced by what? The published 14 settings on scikit-learn's handwritten digits.

The published length, batch size and columns of Yang & Huang (2019), on images that need no download, with a network
that trains in a second. Loss: cross-entropy on logits.
"""

from __future__ import annotations

from torch import nn

from . import columns, datasets, table
from .settings import SETTINGS


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 16, 4, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10))


AS_RUN = table.Benchmark(
    name="digits",
    title="learning rates by sequence and strategy",
    claim="published for MNIST: seq4 by cutoff is the most accurate (A2), seq3 by epoch converges fastest (A1).",
    settings=SETTINGS,
    data=lambda folder: datasets.digits(),
    network=network,
    loss=nn.functional.cross_entropy,
    columns=columns.MNIST,
    epochs=50,
    seeds=5,
    batch_size=64,
)
BENCHMARK = table.with_written(AS_RUN)


def main(argv: list[str]) -> int:
    return table.run(BENCHMARK, argv)
