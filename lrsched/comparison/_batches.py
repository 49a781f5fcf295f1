"""The batches of a comparison: cut from tensors in memory, or made by a loader, another iterable, or a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from itertools import zip_longest
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler

from .._functions import described
from .._owned import owned
from ._data_text import source_text, tensors_text
from ._loaders import epoch_set, new_workers, same_pass, samplers
from ._nests import copied, moved, stacked, structure
from ._random_state import Apart

Pass = Generator[Any, None, None]
Shared = tuple[Any, int | None]  # a batch for several members, and its axis that counts them; None if they share it


class UnequalBatchesError(Exception):
    """The batches of different seeds cannot be stacked, so only members with the same seed can share an ensemble."""


class TensorBatches:
    """Batches cut from a tuple of tensors that hold one sample per row."""

    def __init__(self, tensors: tuple[Tensor, ...], batch_size: int) -> None:
        self.tensors = tensors
        self.batch_size = batch_size

    def to(self, device: torch.device) -> TensorBatches:
        return TensorBatches(tuple(tensor.to(device) for tensor in self.tensors), self.batch_size)

    def first(self, seed: int) -> tuple[Tensor, ...]:
        """Return a batch for trials."""
        return self.first_in_order()

    def shuffled(self, generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
        """Yield the batches of an epoch."""
        return (batch for batch, _ in self.shared([generator], [0]))

    def shared(self, generators: list[torch.Generator], seeds: list[int]) -> Iterator[Shared]:
        """Yield the batches of an epoch of several members, each with its generator and its seed."""
        one_seed = len(set(seeds)) == 1
        orders = [torch.randperm(len(self.tensors[0]), generator=generator) for generator in generators]
        order = (orders[0] if one_seed else torch.stack(orders)).to(self.tensors[0].device)
        for rows in torch.split(order, self.batch_size, dim=-1):
            yield tuple(tensor[rows] for tensor in self.tensors), None if one_seed else 0

    def first_in_order(self) -> tuple[Tensor, ...]:
        return next(self.in_order())

    def in_order(self) -> Iterator[tuple[Tensor, ...]]:
        """Yield the batches, copied, so that a function that changes one does not change the user's tensors."""
        for rows in zip(*(torch.split(tensor, self.batch_size) for tensor in self.tensors), strict=True):
            yield copied(rows)

    def description(self) -> str:
        return tensors_text(self.tensors)


class SourceBatches:
    """The batches of a loader or another iterable, or of what a user's function returns.

    A pass goes through the source once. It draws from a random state of its own, the generators of the source included:
    its number alone decides its batches, whatever else draws random numbers meanwhile. The number of an epoch comes
    from the run's generator, so all runs with the same seed have the same epochs. Validation is always pass 0.
    """

    def __init__(self, name: str, source: Source, device: torch.device | None = None) -> None:
        self._name, self._source, self._device = name, source, device
        found = owned([source])
        self._generators, self._loaders = found.generators, found.loaders
        self._started: tuple[int, Any, Pass] | None = None  # a pass that a trial has begun
        self._iterators: list[Iterator[Any]] = []  # of the passes under way
        self._had_batches = False

    def to(self, device: torch.device) -> SourceBatches:
        return SourceBatches(self._name, self._source, device)

    def first(self, seed: int) -> Any:
        """Return a copy of the first training batch of a seed, for trials.

        The batch is not made again if that epoch comes next.
        """
        return self._first(_number(torch.Generator().manual_seed(seed)))

    def shuffled(self, generator: torch.Generator) -> Iterator[Any]:
        """Yield the batches of an epoch."""
        return self._pass(_number(generator))

    def shared(self, generators: list[torch.Generator], seeds: list[int]) -> Iterator[Shared]:
        """Yield the batches of an epoch of several members; those with the same seed share a pass.

        Raises UnequalBatchesError if the batches of different seeds cannot be stacked.
        """
        numbers = [_number(generator) for generator in generators]
        passes = self._passes(numbers)
        with ExitStack() as stack:
            for each in passes.values():
                stack.enter_context(closing(each))
            if len(passes) == 1:
                for batch in passes[numbers[0]]:
                    yield batch, None
                return
            for found in zip_longest(*passes.values(), fillvalue=_END):
                if len({structure(batch) for batch in found}) > 1:
                    raise UnequalBatchesError
                batches = dict(zip(passes, found, strict=True))
                yield stacked([batches[number] for number in numbers]), 0

    def first_in_order(self) -> Any:
        return self._first(0)

    def in_order(self) -> Iterator[Any]:
        return self._pass(0)

    def description(self) -> str:
        return source_text(self._source)

    def _first(self, number: int) -> Any:
        if self._started is None or self._started[0] != number:
            batches = self._pass(number)
            self._started = number, next(batches), batches
        return copied(self._started[1])

    def _pass(self, number: int) -> Pass:
        return self._passes([number])[number]

    def _passes(self, numbers: list[int]) -> dict[int, Pass]:
        """Return passes by number. One that a trial has begun is continued if it is among them, or else ended."""
        passes = {number: self._batches(number) for number in numbers}
        started, self._started = self._started, None
        if started is not None:
            number, first, others = started
            if number in passes:
                passes[number] = _with_first(first, others)
            else:
                others.close()
        return passes

    def _batches(self, number: int) -> Pass:
        apart = Apart(number, self._generators, self._device)
        with apart, new_workers(self._loaders):
            found = self._iterable()
            with new_workers([found]), epoch_set(found, number):
                iterator = iter(found)
                batch = next(iterator, _END)
        if batch is _END:
            raise ValueError(self._empty())
        if any(same_pass(each, iterator) for each in self._iterators):
            raise UnequalBatchesError  # two passes would take each other's batches
        self._had_batches = True
        self._iterators.append(iterator)
        try:
            while batch is not _END:
                yield moved(batch, self._device)
                with apart, new_workers(self._loaders):  # a function may start one loader after another
                    batch = next(iterator, _END)
        finally:
            self._iterators.remove(iterator)

    def _iterable(self) -> Iterable[Any]:
        found = self._source() if is_function(self._source) else self._source
        if not isinstance(found, Iterable):
            raise TypeError(f"a {self._name} function must return an iterable of batches, got {described(found)}")
        return found

    def _empty(self) -> str:
        again = "; it had batches before, but must make new ones at each pass" if self._had_batches else ""
        return f"{self._name} must have at least one batch, got none{again}"


_END = object()  # comes after the last batch

Batches = TensorBatches | SourceBatches
Source = Iterable[Any] | Callable[[], Iterable[Any]]
Data = tuple[Tensor, ...] | Source  # what users pass as train and valid


def as_batches(name: str, data: object, batch_size: int | None) -> Batches:
    """Return the batches of the argument `name`, train or valid. Raises TypeError or ValueError if it is invalid."""
    if isinstance(data, tuple):
        return TensorBatches(*_checked_tensors(name, data, batch_size))
    if is_function(data):
        _check_call(name, data)
        return SourceBatches(name, data)
    if hasattr(data, "__next__"):
        raise TypeError(
            f"{name} must have new batches at each pass, but an iterator ({described(data)}) can only be used once: "
            "pass a list of batches, a DataLoader, or a function that returns an iterator"
        )
    if isinstance(data, _NO_SOURCE) or not isinstance(data, Iterable):
        hint = ": pass DataLoader(dataset, batch_size=…)" if isinstance(data, Dataset) else ""
        raise TypeError(f"{name} must be {_RULE}, got {described(data)}{hint}")
    _check_sampler(name, data)
    return SourceBatches(name, data)


_NO_SOURCE = (str, bytes, Mapping, Tensor, np.ndarray)  # iterables, but not of batches
_RULE = (
    "a tuple of tensors (inputs, targets), a DataLoader or another iterable of batches, or a function that returns one"
)


def is_function(source: object) -> TypeGuard[Callable[[], Iterable[Any]]]:
    return callable(source) and not isinstance(source, Iterable)


def _check_call(name: str, function: Callable[..., object]) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some built-in functions have none
        return
    try:
        signature.bind()
    except TypeError as error:
        raise TypeError(f"a {name} function is called without arguments, got {described(function)}: {error}") from error


def _checked_tensors(name: str, data: tuple[Any, ...], batch_size: int | None) -> tuple[tuple[Tensor, ...], int]:
    if not data or not all(isinstance(part, Tensor) for part in data):
        got = f"a tuple of {', '.join(type(part).__name__ for part in data)}" if data else "an empty tuple"
        raise TypeError(f"{name} must be {_RULE}, got {got}")
    sizes = [len(part) if part.ndim else 0 for part in data]
    if min(sizes) == 0 or len(set(sizes)) > 1:
        raise ValueError(f"the tensors of {name} must all have the same number of rows, at least one, got {sizes}")
    if batch_size is None:
        raise ValueError(f"batch_size must be an integer >= 1 if {name} is a tuple of tensors, got None")
    return data, batch_size


def _check_sampler(name: str, data: object) -> None:
    for sampler in samplers(data):
        if isinstance(sampler, DistributedSampler) and sampler.num_replicas > 1:
            raise ValueError(
                f"{name} must have all batches in every process, got a loader with a DistributedSampler for "
                f"{sampler.num_replicas} processes: processes divide the runs, not the data"
            )


def _number(generator: torch.Generator) -> int:
    """Return the number of a run's next epoch."""
    return int(torch.randint(2**62, (), generator=generator))


def _with_first(first: Any, others: Pass) -> Pass:
    with closing(others):
        yield first
        del first  # so that it is not held for the whole pass
        yield from others
