"""Distributed runs: this process's rank, the values of all processes, and a number that they agree on.

Without a process group, there is only this process, with rank 0.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.distributed as dist

Sync = Literal["mean", "max", "min", "rank0"]


def rank() -> int:
    """Return the rank of this process in the default group; 0 without a group."""
    return dist.get_rank() if _grouped() else 0


def world_size() -> int:
    """Return the number of processes in the default group; 1 without a group."""
    return dist.get_world_size() if _grouped() else 1


def shared_from(source: int, value: Any) -> Any:
    """Return the value of the process with rank `source`, on every process. Every process must call this."""
    values = [value]
    dist.broadcast_object_list(values, src=source)
    return values[0]


def gathered(value: Any) -> list[Any]:
    """Return the values of all processes, in the order of their ranks. Every process must call this."""
    if not _grouped():
        return [value]
    values = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def agree(value: float, how: Sync | None, group: dist.ProcessGroup | None) -> float:
    """Return the number that the processes of a group agree on; NaN if any process's number is not finite.

    Every process must call this. If `how` is None, each keeps its own number.
    """
    if how is None or not _grouped():
        return value
    world = dist.get_world_size(group)
    if world == 1:
        return value
    device = "cuda" if dist.get_backend(group) == "nccl" else "cpu"
    mine = torch.tensor([value], dtype=torch.float64, device=device)
    all_of_them = [torch.empty_like(mine) for _ in range(world)]
    try:
        dist.all_gather(all_of_them, mine, group=group)  # not all_reduce: its MAX of a NaN varies by rank
    except RuntimeError as error:
        why = "a process of the group did not answer; every process must make the same calls"
        raise RuntimeError(f"sync={how!r}: {why}") from error
    values = [one.item() for one in all_of_them]
    if not all(map(math.isfinite, values)):
        return math.nan
    return {"mean": sum(values) / world, "max": max(values), "min": min(values), "rank0": values[0]}[how]


def _grouped() -> bool:
    return dist.is_available() and dist.is_initialized()
