"""The plan: which runs this process trains, which of them side by side, and why the others are not."""

from __future__ import annotations

from collections.abc import Mapping

from .._processes import gathered, rank
from ._checkpoint import Checkpoint
from ._cohort import Cohort
from ._one_by_one import OneByOne
from ._profile import Profile
from ._runs import Pair, RunFile
from ._side_by_side import SideBySide, option_reason
from ._task import Task


class Plan:
    """Groups the unfinished runs and makes a cohort of each group."""

    def __init__(self, task: Task, profiles: Mapping[str, Profile], pairs: list[Pair]) -> None:
        self.task, self.profiles, self.pairs = task, profiles, pairs
        self._reasons = {name: _reason(profile) for name, profile in profiles.items()}
        self._by_seed = False

    def groups(self, file: RunFile, checkpoint: Checkpoint) -> list[list[Pair]]:
        """Return the groups that this process trains; the group in its checkpoint comes first."""
        missing = [pair for pair in self.pairs if pair not in file.runs]
        held = checkpoint.pairs(file.configs)
        if not set(held) & set(missing) or not set(held) <= set(self.pairs):
            held = []  # the checkpoint holds only finished runs, or runs of another comparison
        shares = _disjoint(gathered(held))
        taken = {pair for share in shares for pair in share}
        mine = [pair for pair in missing if pair not in taken][rank() :: len(shares)]
        groups = self.split(mine)
        return [shares[rank()], *groups] if shares[rank()] else groups

    def split(self, pairs: list[Pair]) -> list[list[Pair]]:
        """Return the runs in groups that can train together; in each, runs with the same signature are adjacent."""
        signatures = [profile.signature for profile in self.profiles.values()]
        groups: dict[object, list[Pair]] = {}
        for name, seed in pairs:
            if self._reasons[name] is not None:
                groups[name, seed] = [(name, seed)]
            else:
                place = self.profiles[name].common, seed if self._by_seed else None
                groups.setdefault(place, []).append((name, seed))
        return [
            sorted(group, key=lambda pair: signatures.index(self.profiles[pair[0]].signature))
            for group in groups.values()
        ]

    def replan(self, pairs: list[Pair], setting: str, reason: str) -> list[list[Pair]]:
        """Split a group anew, after a reason has turned up why the setting must be trained alone."""
        self._reasons[setting] = reason
        return self.split(pairs)

    def split_by_seed(self, groups: list[list[Pair]]) -> list[list[Pair]]:
        """Split groups anew, after the batches of different seeds have turned out to have different shapes."""
        self._by_seed = True
        return [part for group in groups for part in self.split(group)]

    def cohort(self, pairs: list[Pair]) -> Cohort:
        """Return what trains a group."""
        reason = self._reasons[pairs[0][0]]
        if reason is not None or len(pairs) == 1:
            return OneByOne(self.task, self.profiles, pairs, reason or "no other run can share its ensemble")
        count = len({self.profiles[name].signature for name, _ in pairs})
        optimizers = "one optimizer" if count == 1 else f"{count} optimizers"
        reason = f"{len(pairs)} runs sharing {optimizers}, differing only in lr"
        if self._by_seed:
            reason += "; the batches of other seeds differ in shape or number"
        return SideBySide(self.task, self.profiles, pairs, reason)


def _reason(profile: Profile) -> str | None:
    """Return why a setting's runs are trained one after another, or None."""
    if profile.obstacle is None and profile.starting_option is not None:
        return option_reason(profile.starting_option)
    return profile.obstacle


def _disjoint(shares: list[list[Pair]]) -> list[list[Pair]]:
    """Return the shares. One that overlaps an earlier one becomes empty: its checkpoint is out of date."""
    taken: set[Pair] = set()
    found: list[list[Pair]] = []
    for share in shares:
        kept = [] if taken.intersection(share) else share
        taken.update(kept)
        found.append(kept)
    return found
