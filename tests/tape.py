"""A stand-in for CUDA graphs that repeats the same operations on the same memory, for tests without a GPU.

The stand-in replaces `record` by a dispatch mode that notes every operation with the tensors it reads and writes. A
replay repeats these operations without the Python code around them, as a graph does. On a machine with a GPU, tests
that use the fixture run with CUDA graphs too.
"""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

GPU = torch.cuda.is_available()
ON_GPU = pytest.mark.skipif(not GPU, reason="needs a GPU")


class Tape(TorchDispatchMode):
    """Notes operations; `replay` repeats them and writes into the memory of their first results."""

    def __init__(self):
        super().__init__()
        self.notes = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.notes.append((func, args, kwargs or {}, result))
        return result

    def replay(self):
        for func, args, kwargs, result in self.notes:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(result), tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def record(function, device):
    tape = Tape()
    with tape:
        outputs = function()

    @torch.no_grad()
    def launch():
        launches.append(len(tape.notes))
        tape.replay()

    return outputs, launch


launches = []
