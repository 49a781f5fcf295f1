"""Which rule of PlateauSequence does a steep sequence want? Geometric(0.5) and Geometric(0.1), with and without noise.

The networks, data and loops of the tables `digits` and `cifar10`, started at the table's r₀ = 0.01. In the rows with
noise the scheduler sees each validation loss times 1 + 0.01·z, z normal; the loss that is reported stays as it is.
"""

from __future__ import annotations

import argparse
import copy
import zlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lrsched import Cutoff, Geometric, Oscillation, Patience, PlateauSequence, Rule, Sequence

from . import cifar10, digits, table
from .settings import Setting

NOISE = 0.01  # standard deviation, relative to the loss


class Smoothed(Rule):
    """A rule that sees the debiased exponential average of the metric."""

    state_fields = ("average", "seen")

    def __init__(self, rule: Rule, weight: float = 0.1) -> None:
        self.rule, self.weight, self.average, self.seen = copy.deepcopy(rule), weight, 0.0, 0

    def update(self, metric: float, mode: str) -> str | None:
        self.seen += 1
        self.average += self.weight * (metric - self.average)
        return self.rule.update(self.average / (1.0 - (1.0 - self.weight) ** self.seen), mode)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "rule": self.rule.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        state = dict(state_dict)
        self.rule.load_state_dict(state.pop("rule"))
        super().load_state_dict(state)

    def __repr__(self) -> str:
        return f"Smoothed({self.rule!r}, weight={self.weight!r})"


class Noisy(PlateauSequence):
    """Sees each metric times 1 + 0.01·z; z is the same for all settings of a seed, which share their first weights."""

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
    """Return a row for each sequence, rule, and with or without noise."""
    rows: dict[str, Setting] = {}
    for noise, kind in (("", Setting), ("-noise", NoisySetting)):
        for ratio in (0.5, 0.1):
            for name, rule in RULES.items():
                method = f"{ratio}ᵏ{', noise' if noise else ''}"
                rows[f"{ratio}-{name}{noise}"] = kind(method, f"by {name}", Geometric(ratio), rule)
    return rows


def benchmark(of: table.Benchmark) -> table.Benchmark:
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


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--dataset", choices=BENCHMARKS, default="digits")
    options, rest = parser.parse_known_args(argv)
    chosen = BENCHMARKS[options.dataset]
    return table.execute(chosen, table.parser(chosen).parse_args(rest), argv)
