"""Table 1 of Yang & Huang, "Learning Rate Investigation" (2019): 14 settings on MNIST, as run or as written.

As run, the network ends in a softmax, which the cross-entropy loss applies a second time.
"""

from __future__ import annotations

import torch
from torch import nn

from . import datasets, metrics, table
from .benchmark import Benchmark, with_written
from .settings import SETTINGS
from .table_rows import Published

PUBLISHED = {
    "sgd": Published(0.98264, 34),
    "adam": Published(0.98574, 30),
    "seq1-epoch": Published(0.97608, 48),
    "seq2-epoch": Published(0.98230, 38),
    "seq3-epoch": Published(0.98263, 19),
    "seq4-epoch": Published(0.98527, 40),
    "seq1-cutoff": Published(0.98290, 32),
    "seq2-cutoff": Published(0.98405, 28),
    "seq3-cutoff": Published(0.98614, 29),
    "seq4-cutoff": Published(0.98656, 22),
    "seq1-oscillate": Published(0.98372, 25),
    "seq2-oscillate": Published(0.98544, 27),
    "seq3-oscillate": Published(0.98514, 24),
    "seq4-oscillate": Published(0.98586, 30),
}


def network() -> nn.Module:
    """Return the published network, in the memory layout that makes pooling fast on a CPU."""
    network = nn.Sequential(
        nn.Conv2d(1, 20, 3),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(3380, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
        nn.Softmax(dim=1),
    )
    return network.to(memory_format=torch.channels_last)


def network_as_written() -> nn.Module:
    """Return the network without its softmax, which the loss applies already."""
    return network()[:-1]


AS_RUN = Benchmark(
    name="mnist",
    title="learning rates by sequence and strategy",
    claim="seq4 by cutoff is the most accurate (A2), seq3 by epoch converges fastest (A1); one run per setting.",
    settings=SETTINGS,
    data=datasets.mnist,
    network=network,
    loss=nn.functional.cross_entropy,
    columns=metrics.MNIST,
    epochs=50,
    seeds=5,
    batch_size=64,
    takes_data=True,
    published=PUBLISHED,
)
BENCHMARK = with_written(AS_RUN, network=network_as_written)


def main(argv: list[str]) -> int:
    return table.run(BENCHMARK, argv)
