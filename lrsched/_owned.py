"""What objects own: the random generators, and the counters of gradient accumulation, among the values inside them.

The search enters attributes, containers, closures and bound methods. It calls no property and no method.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

RANDOM = (torch.Generator, np.random.Generator, np.random.BitGenerator, np.random.RandomState, random.Random)

_MOST = 10_000  # objects that a search visits
_WIDTH = 1_000  # items of a container that it visits: long ones hold data
_LEAVES = frozenset({type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device})
_OPAQUE = (Tensor, np.ndarray, type, ModuleType, BuiltinFunctionType)


@dataclass
class Owned:
    """The objects that a search found.

    Args:
        generators: random generators.
        counters: objects with a `gradient_state`, in which Accelerate counts the batches of an optimizer step.
    """

    generators: list[Any] = field(default_factory=list)
    counters: list[Any] = field(default_factory=list)


def owned(roots: Iterable[object], seen: dict[int, object] | None = None) -> Owned:
    """Return what the roots own, nearest first. Objects in `seen` are skipped, and those visited are added to it."""
    found, visited = Owned(), {} if seen is None else seen
    waiting = deque(roots)
    for _ in range(_MOST):
        if not waiting:
            break
        value = waiting.popleft()
        if type(value) in _LEAVES or id(value) in visited or isinstance(value, _OPAQUE):
            continue
        visited[id(value)] = value  # keeps it alive, so no other object can get its id
        if isinstance(value, RANDOM):
            if not isinstance(value, random.SystemRandom):  # which has no state
                found.generators.append(value)
            continue
        if "gradient_state" in attributes(value):
            found.counters.append(value)
        waiting.extend(islice(_inside(value), _WIDTH))
    return found


def used_by(function: object) -> Iterator[object]:
    """Yield the global values that a function names, besides the function itself."""
    yield function
    plain: Any = getattr(function, "__func__", function)
    if isinstance(plain, FunctionType):
        yield from (plain.__globals__[name] for name in plain.__code__.co_names if name in plain.__globals__)


def attributes(value: object) -> dict[str, Any]:
    """Return an object's attributes that are not in slots."""
    held = getattr(value, "__dict__", None)
    return held if isinstance(held, dict) else {}


def _inside(value: Any) -> Iterator[object]:
    if isinstance(value, dict):
        return iter(tuple(islice(value.values(), _WIDTH)))
    if isinstance(value, (list, tuple, set, frozenset, deque)):
        return iter(tuple(islice(value, _WIDTH)))
    return chain(_of_callable(value), _of_object(value))


def _of_callable(value: Any) -> Iterator[object]:
    if isinstance(value, MethodType):
        yield value.__self__
        yield value.__func__
    elif isinstance(value, partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, FunctionType):
        yield from (value.__defaults__, value.__kwdefaults__)
        for cell in value.__closure__ or ():
            with suppress(ValueError):  # the cell is empty
                yield cell.cell_contents


def _of_object(value: Any) -> Iterator[object]:
    for name, item in tuple(attributes(value).items()):
        if name != "_iterator":  # of a DataLoader: its workers and queues
            yield item
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            slot = vars(kind).get(name)
            if slot is not None and hasattr(slot, "__get__"):
                with suppress(AttributeError):  # the slot is empty
                    yield slot.__get__(value)


def undo_random(source: Any) -> Callable[[], object]:
    """Return a function that restores a random generator, of torch, numpy or Python, to its present state."""
    if isinstance(source, (np.random.Generator, np.random.BitGenerator)):
        bits = bits_of(source)
        return partial(setattr, bits, "state", bits.state)
    if isinstance(source, random.Random):
        return partial(source.setstate, source.getstate())
    if isinstance(source, np.random.RandomState):
        return partial(source.set_state, source.get_state(legacy=False))
    return partial(source.set_state, source.get_state())


def bits_of(source: Any) -> Any:
    """Return the bit generator of a numpy Generator, or the bit generator itself."""
    return source.bit_generator if isinstance(source, np.random.Generator) else source
