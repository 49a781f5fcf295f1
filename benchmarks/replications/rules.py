"""Which rule of PlateauSequence suits a steep sequence? Geometric(0.5) and Geometric(0.1), with and without noise.

Networks, data and training are those of the tables `digits` and `cifar10`, from r₀ = 0.01. In rows with noise the
scheduler sees each validation loss times 1 + 0.01·z, with z standard normal; the reported loss has no noise.
"""

from __future__ import annotations

import argparse
import zlib
from dataclasses import dataclass, replace

import numpy as np
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lrsched import Cutoff, Geometric, Oscillation, Patience, PlateauSequence, Rule, Sequence, Smoothed

from . import cifar10, digits, table
from .benchmark import Benchmark
from .settings import Setting

NOISE = 0.01  # standard deviation, relative to the loss


class Noisy(PlateauSequence):
    """Sees each metric times 1 + 0.01·z; all settings of a seed, which share their first weights, see the same z."""

    def __init__(self, optimizer: Optimizer, sequence: Sequence, on: Rule) -> None:
        weights = optimizer.param_groups[0]["params"][0].detach().cpu().contiguous().numpy()
        self._noise_seed = zlib.crc32(weights.tobytes())
        super().__init__(optimizer, sequence, on)

    def step(self, metrics: float, epoch: int | None = None) -> None:  # type: ignore[override]
        z = np.random.default_rng([self._noise_seed, self.last_epoch]).standard_normal()
        super().step(metrics * (1.0 + NOISE * z))


@dataclass(frozen=True)
class NoisySetting(Setting):
    def scheduler(self, optimizer: Optimizer) -> LRScheduler:
        assert self.rule is not None
        return Noisy(optimizer, self.sequence, self.rule)


RULES: dict[str, Rule] = {
    "cutoff": Cutoff(),
    "oscillate": Oscillation(),
    "either": Cutoff() | Oscillation(),
    "patience": Patience(),
    "patience-3": Patience(3),
    "smoothed": Smoothed(Cutoff() | Oscillation()),
}


def settings() -> dict[str, Setting]:
    """Return a row for each sequence and rule, without and with noise."""
    rows: dict[str, Setting] = {}
    for noise, kind in (("", Setting), ("-noise", NoisySetting)):
        for ratio in (0.5, 0.1):
            for name, rule in RULES.items():
                method = f"{ratio}ᵏ, noise" if noise else f"{ratio}ᵏ"
                rows[f"{ratio}-{name}{noise}"] = kind(method, f"by {name}", Geometric(ratio), rule)
    return rows


def benchmark(of: Benchmark) -> Benchmark:
    """Return the table of rules with the network, data and columns of another table."""
    return replace(
        of,
        name=f"rules-{of.name}",
        title="rules for a steep sequence",
        claim="none is published; the question is which rule to recommend.",
        settings=settings(),
        published={},
        as_written=None,
        command=f"rules --dataset {of.name}",
    )


BENCHMARKS = {"digits": benchmark(digits.AS_RUN), "cifar10": benchmark(cifar10.AS_RUN)}
BENCHMARK = BENCHMARKS["digits"]


def main(argv: list[str]) -> int:
    dataset = argparse.ArgumentParser(add_help=False, allow_abbrev=False)  # --data is not short for --dataset
    dataset.add_argument("--dataset", choices=BENCHMARKS, default="digits")
    chosen = BENCHMARKS[dataset.parse_known_args(argv)[0].dataset]
    whole = table.table_parser(chosen)
    whole.add_argument("--dataset", choices=BENCHMARKS, default="digits", help="default: %(default)s")
    return table.execute(chosen, whole.parse_args(argv), argv)
