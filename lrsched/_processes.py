"""How the processes of a distributed run agree on one number."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.distributed as dist

Sync = Literal["mean", "max", "min", "rank0"]


def rank() -> int:
    """Return the number of this process in the default group; 0 without one."""
    return dist.get_rank() if _grouped() else 0


def gathered(value: Any) -> list[Any]:
    """Return every process's value, in the order of their ranks; all must call."""
    if not _grouped():
        return [value]
    values = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def _grouped() -> bool:
    return dist.is_available() and dist.is_initialized()


def agree(value: float, how: str | None, group: Any) -> float:
    """Return the number that the processes of a group agree on, NaN where any is not finite; all must call."""
    if how is None or not _grouped():
        return value
    world = dist.get_world_size(group)
    if world == 1:
        return value
    device = "cuda" if dist.get_backend(group) == "nccl" else "cpu"
    mine = torch.tensor([value], dtype=torch.float64, device=device)
    gathered = [torch.empty_like(mine) for _ in range(world)]
    try:
        dist.all_gather(gathered, mine, group=group)  # reduced here, since MAX of a NaN depends on which rank has it
    except RuntimeError as error:
        raise RuntimeError(f"sync={how!r}: a process of the group did not answer; each of them must call") from error
    values = [one.item() for one in gathered]
    if not all(map(math.isfinite, values)):
        return math.nan
    return {"mean": sum(values) / world, "max": max(values), "min": min(values), "rank0": values[0]}[how]
