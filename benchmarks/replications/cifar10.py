"""Table 2 of Yang & Huang, "Learning Rate Investigation" (2019): 14 settings on CIFAR-10, as run or as written.

As run, the first cutoff was 0.1 of the first loss for seq1 and 0.01 for the others; here seq1 is run both ways. Dropout
was active only in the first epoch: the authors called `eval()` after it, and never `train()` again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn

from lrsched import Cutoff

from . import datasets, metrics, table
from .benchmark import Benchmark, with_written
from .settings import SETTINGS, Setting
from .table_rows import Published

PUBLISHED = {
    "sgd": Published(0.7487, 25),
    "adam": Published(0.7309, 17),
    "seq1-epoch": Published(0.7630, 8),
    "seq2-epoch": Published(0.7696, 12),
    "seq3-epoch": Published(0.7803, 11),
    "seq4-epoch": Published(0.7679, 14),
    "seq1-cutoff": Published(0.7714, 15),
    "seq2-cutoff": Published(0.6438, 25),
    "seq3-cutoff": Published(0.6004, 25),
    "seq4-cutoff": Published(0.5848, 25),
    "seq1-oscillate": Published(0.7677, 8),
    "seq2-oscillate": Published(0.7730, 11),
    "seq3-oscillate": Published(0.7692, 15),
    "seq4-oscillate": Published(0.7673, 12),
}


def settings() -> Mapping[str, Setting]:
    """Return the 14 settings in the table's order, with both cutoffs for seq1 by cutoff."""
    rows = {}
    for name, setting in SETTINGS.items():
        rows[name] = setting
        if name == "seq1-cutoff":
            rule = Cutoff(relative=0.1, decay=0.2, previous=0.0)
            rows[name] = replace(setting, row="seq1, c₀ 0.1", rule=rule)
            rows["seq1-cutoff-0.01"] = replace(setting, row="seq1, c₀ 0.01")
    return rows


class DropoutInFirstEpoch(nn.Sequential):
    """Layers that stay in evaluation mode once `eval()` has been called; `train()` no longer has an effect.

    The mode is part of the state, so that a run resumed from a checkpoint continues without dropout.
    """

    def train(self, mode: bool = True) -> DropoutInFirstEpoch:
        return super().train(mode and self.training)

    def get_extra_state(self) -> torch.Tensor:
        return torch.tensor(self.training)

    def set_extra_state(self, state: torch.Tensor) -> None:
        super().train(bool(state))


def layers() -> list[nn.Module]:
    """Return the published layers, in the memory layout that makes pooling fast on a CPU."""
    convolutions: list[nn.Module] = []
    for before, after in ((3, 16), (16, 32), (32, 64)):
        convolutions += [nn.Conv2d(before, after, 3, padding=1), nn.ELU(), nn.MaxPool2d(2)]
    linear = [nn.Dropout(0.25), nn.Linear(1024, 500), nn.ELU(), nn.Dropout(0.25), nn.Linear(500, 10)]
    return [layer.to(memory_format=torch.channels_last) for layer in [*convolutions, nn.Flatten(), *linear]]


def network() -> nn.Module:
    return DropoutInFirstEpoch(*layers())


def network_as_written() -> nn.Module:
    return nn.Sequential(*layers())


AS_RUN = Benchmark(
    name="cifar10",
    title="learning rates by sequence and strategy",
    claim=(
        "seq3 by epoch is the most accurate (A4), seq1 by oscillate and by epoch converge fastest (A3), and of the "
        "settings by cutoff only seq1 does well (A5); one run per setting, with c₀ = 0.1 for seq1 by cutoff."
    ),
    settings=settings(),
    data=lambda folder: datasets.cifar10(folder).scaled(),
    network=network,
    loss=nn.functional.cross_entropy,
    columns=metrics.CIFAR,
    epochs=25,
    seeds=5,
    batch_size=20,
    takes_data=True,
    published=PUBLISHED,
)
BENCHMARK = with_written(AS_RUN, network=network_as_written)


def main(argv: list[str]) -> int:
    return table.run(BENCHMARK, argv)
