"""The 14 settings of Yang & Huang, "Learning Rate Investigation" (2019), as the authors ran and described them.

Four sequences are each advanced by epoch, by cutoff and by oscillate, with SGD from r₀ = 0.01. SGD and Adam also train
at a fixed 0.001.

`SETTINGS` are as run. The first validation loss was compared with 0, hence `previous=0.0`. The sawtooth used its first
value twice, hence `delayed(1)`.

`AS_WRITTEN` are as described. Each advance gives the next of r₁, r₂, … (by epoch, the first advance comes before epoch
1), the sawtooth is not aligned, and the first loss is not compared with anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch.nn import Parameter
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lrsched import (
    Constant,
    Cutoff,
    Geometric,
    Inverse,
    InverseSqrt,
    Oscillation,
    PlateauSequence,
    Rule,
    Sawtooth,
    Sequence,
    SequenceLR,
)


@dataclass(frozen=True)
class Setting:
    """One row of a table: an optimizer, a sequence, and the rule that advances it (None: every epoch)."""

    method: str
    row: str
    sequence: Sequence
    rule: Rule | None = None
    lr: float = 0.01
    adam: bool = False
    per: ClassVar[str] = "epoch"

    def optimizer(self, parameters: Iterable[Parameter]) -> Optimizer:
        if self.adam:
            return Adam(parameters, lr=self.lr)
        return SGD(parameters, lr=self.lr, momentum=0.9)

    def scheduler(self, optimizer: Optimizer) -> LRScheduler:
        if self.rule is None:
            return SequenceLR(optimizer, self.sequence)
        return PlateauSequence(optimizer, self.sequence, on=self.rule)


AS_RUN: dict[str, Sequence] = {  # factors after k advances
    "seq1": Inverse(),
    "seq2": InverseSqrt(),
    "seq3": Geometric(0.9),
    "seq4": Sawtooth(10, aligned=True).delayed(1),
}
TERMS: dict[str, Sequence] = {  # r₁, r₂, … of the text, divided by r₀
    "seq1": Inverse(),
    "seq2": InverseSqrt(),
    "seq3": 0.9 * Geometric(0.9),
    "seq4": Sawtooth(10),
}
HELD = {row: Constant().then(terms, at=1) for row, terms in TERMS.items()}  # r₀, then r₁ from the first advance


def by_strategy(sequences: Mapping[str, Mapping[str, Sequence]], previous: float | None) -> dict[str, Setting]:
    """Return SGD and Adam, then a setting for each strategy and row of `sequences`, in the table's order.

    The first validation loss is compared with `previous`; None compares it with nothing.
    """
    rules: dict[str, Rule | None] = {
        "epoch": None,
        "cutoff": Cutoff(relative=0.01, decay=0.2, previous=previous),
        "oscillate": Oscillation(previous=previous),
        "either": Cutoff(relative=0.01, decay=0.2, previous=previous) | Oscillation(previous=previous),
    }
    return {
        "sgd": Setting("Benchmark", "SGD", Constant(), lr=0.001),
        "adam": Setting("Benchmark", "Adam", Constant(), lr=0.001, adam=True),
        **{
            f"{row}-{strategy}": Setting(f"By {strategy}", row, sequence, rules[strategy])
            for strategy, of_strategy in sequences.items()
            for row, sequence in of_strategy.items()
        },
    }


FOURTEEN = by_strategy({"epoch": AS_RUN, "cutoff": AS_RUN, "oscillate": AS_RUN}, previous=0.0)
EITHER = by_strategy({"either": AS_RUN}, previous=0.0)
SETTINGS = FOURTEEN | EITHER
ADDED = tuple(name for name in EITHER if name not in FOURTEEN)  # not published: they are PlateauSequence's default rule
AS_WRITTEN = by_strategy({"epoch": TERMS, "cutoff": HELD, "oscillate": HELD}, previous=None)
