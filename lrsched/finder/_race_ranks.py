"""How the processes of torch.distributed share out a race: each trains some members on the same batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from .._check import first_line
from .._processes import gathered, rank, shared_from, world_size

Result = TypeVar("Result")


@dataclass(frozen=True)
class Ranks:
    """The rank of this process, and how many there are: 0 of 1 without torch.distributed."""

    rank: int = field(default_factory=rank)
    size: int = field(default_factory=world_size)

    def share(self, count: int) -> list[int]:
        """Return this rank's members, of `count` in all.

        A rank without members of its own trains another rank's, so that its random state advances as in a training.
        """
        return list(range(self.rank, count, self.size)) or [self.rank % count]

    def owner(self, member: int) -> int:
        """Return the rank that trains a member."""
        return member % self.size

    def each(self, work: Callable[[], Result]) -> list[Result]:
        """Return what `work()` returns on every rank. If it fails on one, all ranks raise."""
        if self.size == 1:
            return [work()]
        try:
            result = work()
        except Exception as error:
            gathered((False, f"{type(error).__name__}: {first_line(error)}"))
            raise
        results = gathered((True, result))
        for other, (succeeded, value) in enumerate(results):
            if not succeeded:
                raise RuntimeError(f"rank {other} failed: {value}")
        return [value for _, value in results]

    def from_owner(self, member: int, value: Callable[[], Result]) -> Result:
        """Return value() of the rank that trains a member, on every rank. Every rank must call this."""
        if self.size == 1:
            return value()
        mine = value() if self.owner(member) == self.rank else None
        result: Result = shared_from(self.owner(member), mine)
        return result
