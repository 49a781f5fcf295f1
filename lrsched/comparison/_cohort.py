"""A cohort: members that are trained together, one epoch at a time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ..ensembles._ensemble import Method
from ..schedulers._groups import read
from ._member import Member
from ._profile import Profile
from ._runs import Pair, Run
from ._task import Task


class Cohort:
    """Members that are trained together. A subclass defines how they train and validate."""

    method: Method

    def __init__(self, task: Task, profiles: Mapping[str, Profile], pairs: list[Pair], reason: str) -> None:
        self.task, self._reason = task, reason
        self.members = [Member(task, name, profiles[name].setting, seed) for name, seed in pairs]
        for member in self.members:
            member.run.method, member.run.reason = self.method, reason

    @property
    def active(self) -> list[Member]:
        """The members that are not done."""
        return [member for member in self.members if not member.done]

    @property
    def pairs(self) -> list[Pair]:
        """The setting and the seed of each member."""
        return [(member.run.setting, member.run.seed) for member in self.members]

    def epoch(self) -> list[Run]:
        """Train and validate the active members for one epoch, and return their runs."""
        started, members = time.perf_counter(), self.active
        for member in members:
            member.run.lrs.append(read(member.optimizer))
        losses = self.train(members)
        measured = self.validate(members)
        for member, loss, values in zip(members, losses, measured, strict=True):
            member.end_epoch(loss, values)
            if self.task.on_gpu:
                member.run.reason = f"{self._reason}; {self.unrecorded(member) or 'recorded as CUDA graphs'}"
        self.end_epoch(members)
        for member in members:
            member.run.seconds += (time.perf_counter() - started) / len(members)
        return [member.run for member in members]

    def train(self, members: list[Member]) -> list[float]:
        """Train the members on all batches once; return the mean training loss of each."""
        raise NotImplementedError

    def validate(self, members: list[Member]) -> list[dict[str, float]]:
        """Return the validation loss and metrics of each member."""
        raise NotImplementedError

    def unrecorded(self, member: Member) -> str | None:
        """Return why the passes of a member are not recorded as CUDA graphs, or None if they are."""
        raise NotImplementedError

    def end_epoch(self, members: list[Member]) -> None:
        """Finish an epoch after the members have recorded it; it may be the last for some of them."""

    def state_dict(self) -> dict[str, Any]:
        return {"members": [member.state_dict() for member in self.members]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for member, held in zip(self.members, state["members"], strict=True):
            member.load_state_dict(held)
