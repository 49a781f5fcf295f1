"""Where a benchmark trains: the device, the processes that share the runs, and the arithmetic."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from lrsched.comparison._devices import usable_device

from .commands import BenchmarkError


def usable(name: str) -> torch.device:
    """Return the device of `--device NAME`. Raises BenchmarkError if a tensor cannot be put on it."""
    try:
        return usable_device(name)
    except ValueError as error:
        raise BenchmarkError(f"--{error}") from error


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def determinism(wanted: bool) -> Iterator[None]:
    """Allow only deterministic algorithms, if wanted."""
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


@contextmanager
def full_float32(device: torch.device) -> Iterator[None]:
    """Compute a GPU's convolutions in float32, as published, not in the less precise TF32, which is cuDNN's default."""
    before = torch.backends.cudnn.allow_tf32
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def arithmetic(device: torch.device) -> dict[str, bool]:
    """Return an entry for a configuration that tells a GPU's runs in TF32 from those in float32."""
    return {"tf32": torch.backends.cudnn.allow_tf32} if device.type == "cuda" else {}


def several() -> bool:
    """Return whether torchrun started several processes."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def leave_together() -> None:
    """Wait for the other processes, because torchrun stops all of them if one fails while it exits."""
    if several():
        dist.barrier()


@contextmanager
def processes(name: str) -> Iterator[tuple[torch.device, int]]:
    """Join the other processes, if torchrun started several; yield this one's device and rank."""
    if several() and name.startswith("cuda:"):
        raise BenchmarkError(
            f"--device {name} would put every process on one GPU; use --device cuda, which gives each its own"
        )
    device = usable(f"{name}:{os.environ['LOCAL_RANK']}" if several() and name == "cuda" else name)
    if not several():
        yield device, 0
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timedelta(days=1))
    try:
        yield device, dist.get_rank()
    finally:
        dist.destroy_process_group()
