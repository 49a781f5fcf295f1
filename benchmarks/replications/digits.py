"""The 14 settings of Yang & Huang (2019) on scikit-learn's handwritten digits, as a stand-in for MNIST.

Length, batch size and columns are the published ones. The images need no download, and the network trains in a second.
The loss is cross-entropy on logits.
"""

from __future__ import annotations

from torch import nn

from . import datasets, metrics, table
from .benchmark import Benchmark, with_written
from .settings import SETTINGS


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 16, 4, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10))


AS_RUN = Benchmark(
    name="digits",
    title="learning rates by sequence and strategy",
    claim="published for MNIST: seq4 by cutoff is the most accurate (A2), seq3 by epoch converges fastest (A1).",
    settings=SETTINGS,
    data=lambda folder: datasets.digits(),
    network=network,
    loss=nn.functional.cross_entropy,
    columns=metrics.MNIST,
    epochs=50,
    seeds=5,
    batch_size=64,
)
BENCHMARK = with_written(AS_RUN)


def main(argv: list[str]) -> int:
    return table.run(BENCHMARK, argv)
