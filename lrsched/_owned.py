"""What objects own or use: random generators, data loaders, and the counters of gradient accumulation.

The search enters attributes, containers, closures and bound methods. Then it enters the code of the functions and
classes that it has met: class attributes, and the global values that functions and methods name. It calls no property
and no method.
"""

from __future__ import annotations

import random
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

RANDOM = (torch.Generator, np.random.Generator, np.random.BitGenerator, np.random.RandomState, random.Random)

_MOST = 10_000  # objects that a search visits through attributes, and as many through code
_WIDTH = 1_000  # items of a container that it visits: long ones hold data
_LEAVES = frozenset({type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device})
_OPAQUE = (Tensor, np.ndarray, ModuleType, BuiltinFunctionType)
_LIBRARIES = sys.stdlib_module_names | {"lrsched", "numpy", "torch", "torchvision"}  # draw from global generators only


@dataclass
class Owned:
    """The objects that a search found.

    Args:
        generators: random generators.
        loaders: data loaders.
        counters: objects with a `gradient_state`, in which Accelerate counts the batches of an optimizer step.
    """

    generators: list[Any] = field(default_factory=list)
    loaders: list[DataLoader[Any]] = field(default_factory=list)
    counters: list[Any] = field(default_factory=list)


def owned(roots: Iterable[object], seen: dict[int, object] | None = None) -> Owned:
    """Return what the roots own, nearest first, and then what their code uses.

    Objects in `seen` are skipped, and those visited are added to it. The code does not count as a user of the global
    generators, which torch, numpy and Python draw from.
    """
    search = _Search({} if seen is None else seen)
    search.visit(deque(roots), _MOST)
    search.visited.update((id(generator), generator) for generator in (*global_generators(), np.random.mtrand._rand))
    search.visit(search.used, _MOST)
    return search.found


class _Search:
    def __init__(self, visited: dict[int, object]) -> None:
        self.found, self.visited = Owned(), visited
        self.used: deque[object] = deque()  # what the code of the objects visited uses

    def visit(self, waiting: deque[object], most: int) -> None:
        """Visit at most that many of the waiting objects, and of those inside them."""
        for _ in range(most):
            if not waiting:
                break
            value = waiting.popleft()
            with suppress(Exception):  # a proxy without an object may raise anything
                if not self._skips(value):
                    self.visited[id(value)] = value  # keeps it alive, so no other object can get its id
                    waiting.extend(islice(self._entered(value), _WIDTH))

    def _skips(self, value: object) -> bool:
        kind = type(value)  # isinstance() would ask a proxy for the class of its object
        return kind in _LEAVES or id(value) in self.visited or issubclass(kind, _OPAQUE)

    def _entered(self, value: Any) -> Iterator[object]:
        """Record a value if it is wanted, and return what is inside it."""
        if isinstance(value, RANDOM):
            if not isinstance(value, random.SystemRandom):  # which has no state
                self.found.generators.append(value)
            return iter(())
        if isinstance(value, type):
            self._use(_of_class(value))
            return iter(())
        if isinstance(value, DataLoader):
            self.found.loaders.append(value)
        if "gradient_state" in attributes(value):
            self.found.counters.append(value)
        if isinstance(value, FunctionType):
            self._use(_of_code(value))
        elif id(type(value)) not in self.visited:
            self.visited[id(type(value))] = type(value)
            self._use(_of_class(type(value)))
        return _inside(value)

    def _use(self, values: Iterable[object]) -> None:
        self.used.extend(value for value in islice(values, _WIDTH) if not self._skips(value))


def global_generators() -> list[Any]:
    """Return the global generators of torch, on the CPU, and of Python."""
    of_python: Any = random.random.__self__  # type: ignore[attr-defined]  # the instance behind the module
    return [torch.default_generator, of_python]


def _of_code(function: FunctionType) -> Iterable[object]:
    """Return the global values that a function names."""
    space = function.__globals__
    return () if _in_library(space.get("__name__")) else _named([*_names(function.__code__)], space, set())


def _of_class(kind: type) -> Iterator[object]:
    """Yield the methods and other attributes of a class, and its bases."""
    if not _in_library(kind.__module__):
        yield from tuple(vars(kind).values())
        yield from kind.__bases__


def _in_library(module: object) -> bool:
    """Return whether a module, by name, is in a library whose code is not searched."""
    return isinstance(module, str) and module.partition(".")[0] in _LIBRARIES


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names of globals and attributes in code, that of nested functions included."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


def _named(names: list[str], space: Mapping[str, Any], entered: set[int]) -> Iterator[object]:
    """Yield the values of the names in a module and, as in `module.name`, in the modules that they name."""
    entered.add(id(space))
    for name in names:
        value = space.get(name)
        if not issubclass(type(value), ModuleType):
            yield value
        elif id(vars(value)) not in entered and not _in_library(vars(value).get("__name__")):
            yield from _named(names, vars(value), entered)


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
    elif isinstance(value, (classmethod, staticmethod)):
        yield value.__func__
    elif isinstance(value, property):
        yield from (value.fget, value.fset)


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
