"""A random state of its own for code that makes batches, so that their seed alone decides what it draws."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from .._owned import bits_of, global_generators, undo_random

_numpy_random: Any = np.random  # its stubs lack get_bit_generator and set_bit_generator


class Apart:
    """A random state of its own, from which everything in its blocks draws: `with apart: batch = next(batches)`.

    It covers the global generators of torch, numpy and Python, and the generators given. Each block starts from the
    state in which the last one ended, and restores the state outside when it ends. The first block starts from a state
    that depends on the seed only.

    Args:
        seed: an integer ≥ 0 and below 2**63. torch's global generator is seeded with it.
        generators: further generators, such as those that a dataset owns.
        device: if it is a GPU, its global generator is covered too.
    """

    def __init__(self, seed: int, generators: Iterable[Any] = (), device: torch.device | None = None) -> None:
        of_torch, of_python = global_generators()
        self._sources: list[Any] = [of_torch, *_of_gpu(device), of_python, *generators]
        outside = [undo_random(source) for source in self._sources]
        numbers = random.Random(seed)
        for i, source in enumerate(self._sources):
            _seed(source, numbers.getrandbits(62) if i else seed)
        self._others = outside  # the states to change to
        self._change()
        self._bits = type(_numpy_random.get_bit_generator())(numbers.getrandbits(62))
        self._restore_numpy: Callable[[], object]

    def __enter__(self) -> None:
        self._change()
        self._restore_numpy = _numpy_draws_from(self._bits)

    def __exit__(self, *error: object) -> None:
        self._restore_numpy()
        self._change()

    def _change(self) -> None:
        """Change to the other states, and keep the present ones to change back."""
        present = [undo_random(source) for source in self._sources]
        for put in self._others:
            put()
        self._others = present


def _numpy_draws_from(bits: Any) -> Callable[[], object]:
    """Let numpy's global generator draw from other bits; return a function that restores its bits and its state.

    To exchange the bits is far faster than to write a state, but it drops the second of a pair of normal numbers.
    """
    of_numpy, present = np.random.mtrand._rand, _numpy_random.get_bit_generator()
    state = of_numpy.get_state(legacy=False)
    _numpy_random.set_bit_generator(bits)

    def restore() -> None:
        _numpy_random.set_bit_generator(present)
        if state["has_gauss"]:
            of_numpy.set_state(state)

    return restore


def _of_gpu(device: torch.device | None) -> list[torch.Generator]:
    """Return the global generator of a GPU in a list; an empty list for any other device."""
    if device is None or device.type != "cuda":
        return []
    index = torch.cuda.current_device() if device.index is None else device.index
    return [torch.cuda.default_generators[index]]


def _seed(source: Any, seed: int) -> None:
    if isinstance(source, torch.Generator):
        source.manual_seed(seed)
    elif isinstance(source, random.Random):
        source.seed(seed)
    elif isinstance(source, np.random.RandomState):
        kind = getattr(np.random, source.get_state(legacy=False)["bit_generator"])
        source.set_state(np.random.RandomState(kind(seed)).get_state(legacy=False))
    else:
        bits = bits_of(source)
        bits.state = type(bits)(seed).state
