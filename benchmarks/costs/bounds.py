"""What bounds a step: a function goes in; out come the bytes, operations and kernels of a call, and their least times.

Bytes are those of every kernel's inputs and outputs, as if no cache kept any; operations those of matrix products and
convolutions, a multiplication and an addition being two.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Work:
    """What a call does, or how much of each a device does in a second."""

    bytes: float
    operations: float
    launches: float

    def seconds(self, device: Work) -> dict[str, float]:
        """Return the time that each kind of work takes by itself, the longest first."""
        speeds = asdict(device)
        times = {name: amount / speeds[name] for name, amount in asdict(self).items()}
        return dict(sorted(times.items(), key=lambda item: -item[1]))


class _Traffic(TorchDispatchMode):
    """Counts kernels, and the bytes that they read and write; views cost nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.launches = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view and not func.__name__.startswith(("empty", "_foreach_empty")):
            self.launches += 1
            self.bytes += size((args, kwargs)) + (size(result) or size(args[:1]))  # what changes lists returns nothing
        return result


def size(tensors: Any) -> int:
    """Return the bytes of all tensors in nested tuples, lists and dicts; what is expanded counts once."""
    found: Iterable[Any] = tree_leaves(tensors)
    return sum(min(each.nbytes, each.untyped_storage().nbytes()) for each in found if isinstance(each, Tensor))


def work(step: Callable[[], object]) -> Work:
    """Return what one call does."""
    traffic, counter = _Traffic(), FlopCounterMode(display=False)
    with traffic:
        step()
    with counter:
        step()
    return Work(traffic.bytes, counter.get_total_flops(), traffic.launches)


def speed(device: torch.device) -> Work:
    """Return what a device does in a second: copies of a large tensor, float32 matrix products, small kernels."""
    on_gpu = device.type == "cuda"
    source = torch.ones(2 ** (28 if on_gpu else 24), device=device)
    target, small = torch.empty_like(source), torch.ones(1, device=device)
    matrix = torch.ones(4096 if on_gpu else 512, 4096 if on_gpu else 512, device=device)
    copies = _median(lambda: target.copy_(source), device)
    products = _median(lambda: matrix @ matrix, device)
    calls = _median(lambda: [small.add_(1.0) for _ in range(1000)], device) / 1000
    return Work(2 * source.nbytes / copies, 2 * len(matrix) ** 3 / products, 1 / calls)


def _median(call: Callable[[], object], device: torch.device, samples: int = 11) -> float:
    times = []
    for _ in range(samples + 1):
        started = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return float(np.median(times[1:]))
