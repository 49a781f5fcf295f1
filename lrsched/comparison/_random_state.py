"""A random state of its own for code that makes batches, so that their seed alone decides what it draws."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from .._owned import bits_of, undo_random


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
        of_python: Any = random.random.__self__  # type: ignore[attr-defined]  # the instance behind the module
        of_numpy = np.random.mtrand._rand  # likewise
        self._sources: list[Any] = [torch.default_generator, *_of_gpu(device), of_python, *generators, of_numpy]
        outside = [undo_random(source) for source in self._sources]
        numbers = random.Random(seed)
        for i, source in enumerate(self._sources):
            _seed(source, numbers.getrandbits(62) if i else seed)
        self._others = outside  # the states to change to
        self._change()
        self._first: bytes | None = _content(self._others[-1])

    def __enter__(self) -> None:
        self._change()

    def __exit__(self, *error: object) -> None:
        self._change()
        if self._first is not None and self._first == _content(self._others[-1]):
            # Nothing draws from numpy's global generator, whose state takes longer to change than all the others.
            del self._sources[-1], self._others[-1]
        self._first = None

    def _change(self) -> None:
        """Change to the other states, and keep the present ones to change back."""
        present = [undo_random(source) for source in self._sources]
        for put in self._others:
            put()
        self._others = present


def _content(undo: Any) -> bytes:
    """Return the state that an undo of `undo_random` restores."""
    return pickle.dumps(undo.args)


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
