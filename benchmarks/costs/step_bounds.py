"""What bounds a step: the bytes, operations and kernel launches of a call, and the least time that each takes.

Bytes are the inputs and outputs of every kernel, as if nothing was cached. Operations are those of matrix products and
convolutions; a multiplication and an addition count as two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from .timing import in_turns

SAMPLES = 11  # of each kind of work, to measure a device's speed


@dataclass(frozen=True)
class Work:
    """The work of a call, or of a device in a second."""

    bytes: float
    operations: float
    launches: float

    def seconds(self, device: Work) -> dict[str, float]:
        """Return the time that each kind of work alone would take, the longest first."""
        speeds = asdict(device)
        times = {name: amount / speeds[name] for name, amount in asdict(self).items()}
        return dict(sorted(times.items(), key=lambda item: -item[1]))


class _Traffic(TorchDispatchMode):
    """Counts kernels and the bytes that they read and write; views cost nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.launches = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view and not func.__name__.startswith(("empty", "_foreach_empty")):
            self.launches += 1
            written = size(result) or size(args[:1])  # a call that changes a list in place returns None
            self.bytes += size((args, kwargs)) + written
        return result


def size(tensors: Any) -> int:
    """Return the bytes of all tensors in nested tuples, lists and dicts; expanded tensors count once."""
    found: Iterable[Any] = tree_leaves(tensors)
    return sum(min(each.nbytes, each.untyped_storage().nbytes()) for each in found if isinstance(each, Tensor))


def work(step: Callable[[], object]) -> Work:
    """Return the work of one call."""
    traffic, counter = _Traffic(), FlopCounterMode(display=False)
    with traffic:
        step()
    with counter:
        step()
    return Work(traffic.bytes, counter.get_total_flops(), traffic.launches)


def speed(device: torch.device) -> Work:
    """Return the work of a device in a second: copies of a large tensor, float32 matrix products, small kernels."""
    on_gpu = device.type == "cuda"
    source = torch.ones(2 ** (28 if on_gpu else 24), device=device)
    target, small = torch.empty_like(source), torch.ones(1, device=device)
    matrix = torch.ones(4096 if on_gpu else 512, 4096 if on_gpu else 512, device=device)
    calls = {
        "copy": lambda: target.copy_(source),
        "product": lambda: matrix @ matrix,
        "launches": lambda: [small.add_(1.0) for _ in range(1000)],
    }
    seconds = {name: float(np.median(times)) for name, times in in_turns(calls, SAMPLES, device).items()}
    return Work(
        bytes=2 * source.nbytes / seconds["copy"],
        operations=2 * len(matrix) ** 3 / seconds["product"],
        launches=1000 / seconds["launches"],
    )
