"""Where a benchmark trains: the device, the processes that share the runs, and the arithmetic."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lrsched.comparison._devices import usable_device

from .commands import BenchmarkError

Arithmetic = Literal["float32", "tf32", "bfloat16"]


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


def check_arithmetic(name: Arithmetic, device: torch.device) -> None:
    """Raise BenchmarkError if a device cannot compute in an arithmetic."""
    if name == "tf32" and device.type != "cuda":
        raise BenchmarkError(f"--arithmetic tf32 needs a GPU, got --device {device}; choose float32 or bfloat16")


@contextmanager
def in_arithmetic(name: Arithmetic, device: torch.device) -> Iterator[None]:
    """Compute float32 products on a GPU in float32, as published, or in TF32; then restore torch's settings.

    By default, cuDNN computes convolutions in TF32 and matrix products in float32. bfloat16 is float32 here: a
    network is put into it by `computing_in`.
    """
    if device.type != "cuda":
        yield
        return
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = name == "tf32"
    torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.set_float32_matmul_precision(products)


class Bfloat16(nn.Module):
    """Runs a network's forward pass in bfloat16; its weights and outputs stay float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16, cache_enabled=False):  # a CUDA graph allows no cache
            outputs = self.network(images)
        return outputs.float()


def computing_in(name: Arithmetic, network: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """Return a function that makes the same network, computing in an arithmetic."""
    return network if name != "bfloat16" else lambda: Bfloat16(network())


def arithmetic_entry(name: Arithmetic, device: torch.device) -> dict[str, Any]:
    """Return the entries of a configuration that tell runs in different arithmetics apart; none for a CPU's float32."""
    named = {} if name == "float32" else {"arithmetic": name}
    return {"tf32": name == "tf32", **named} if device.type == "cuda" else named


def spoken(name: Arithmetic) -> str:
    """Return what a title says of an arithmetic; nothing of float32."""
    return {"float32": "", "tf32": ", in TF32", "bfloat16": ", in bfloat16"}[name]


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
