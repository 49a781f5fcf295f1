"""Which runs of a comparison this process trains, which of them side by side, and why others are not.

Settings and seeds go in, with what is finished and what was under way; groups of runs come out, and what trains each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._processes import gathered, rank
from ._checkpoint import Checkpoint
from ._member import Setting, Task, Trainer
from ._one_by_one import Alone
from ._runs import RunFile
from ._side_by_side import Beside, kind_of, starts_otherwise, why_not

Pair = tuple[str, int]


def option_reason(option: str) -> str:
    return f"its scheduler changes {option} besides lr"


@dataclass
class Plan:
    """Which runs are trained side by side, and why others are not."""

    task: Task
    settings: Mapping[str, Setting]
    pairs: list[Pair]
    kinds: dict[str, tuple[int, str]]
    reasons: dict[str, str | None]

    @classmethod
    def make(cls, task: Task, settings: Mapping[str, Setting], pairs: list[Pair], vectorize: Any, model: Any) -> Plan:
        """Return the plan; raises ValueError where vectorize=True cannot be."""
        kinds = {name: kind_of(setting, model) for name, setting in settings.items()}
        found: dict[tuple[int, str], str | None] = {}
        for name, setting in settings.items():
            if kinds[name] not in found:
                found[kinds[name]] = why_not(task, model, setting, vectorize)
            if vectorize is True and found[kinds[name]]:
                raise ValueError(f"vectorize=True, but setting {name!r} cannot: {found[kinds[name]]}")
        reasons = {name: found[kinds[name]] for name in settings}
        for name, setting in settings.items():
            if reasons[name] is None and (option := starts_otherwise(setting, model)):
                reasons[name] = option_reason(option)
        return cls(task, settings, pairs, kinds, reasons)

    def units(self, file: RunFile, checkpoint: Checkpoint) -> list[list[Pair]]:
        """Return what this process is to train, first of all what it was training when it was killed."""
        missing = [pair for pair in self.pairs if pair not in file.runs]
        held = checkpoint.pairs(file.configs)
        if not set(held) & set(missing) or not set(held) <= set(self.pairs):
            held = []
        shares = gathered(held)
        taken: set[Pair] = set()
        for i, share in enumerate(shares):
            if taken & set(share):
                shares[i] = []  # left over from a run with other processes
            taken |= set(shares[i])
        held = shares[rank()]
        mine = [pair for pair in missing if pair not in taken][rank() :: len(shares)]
        return [held] * bool(held) + self.split(mine)

    def split(self, pairs: list[Pair]) -> list[list[Pair]]:
        """Return pairs in groups that can be trained together, those that share an optimizer next to each other."""
        groups: dict[Any, list[Pair]] = {}
        for pair in pairs:
            groups.setdefault(pair if self.reasons[pair[0]] else self.kinds[pair[0]][0], []).append(pair)
        kinds = [*self.kinds.values()]
        return [sorted(group, key=lambda pair: kinds.index(self.kinds[pair[0]])) for group in groups.values()]

    def trainer(self, pairs: list[Pair]) -> Trainer:
        """Return what trains these pairs."""
        reason = self.reasons[pairs[0][0]]
        if reason is None and len(pairs) > 1:
            kinds = len({self.kinds[name] for name, _ in pairs})
            alike = "one optimizer" if kinds == 1 else f"{kinds} optimizers"
            return Beside(self.task, self.settings, pairs, f"{len(pairs)} runs with {alike} but for the lr")
        return Alone(self.task, self.settings, pairs, reason or "no other run is of its kind")
