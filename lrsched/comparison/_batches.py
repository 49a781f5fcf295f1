"""The batches of a comparison: cut from tensors in memory, or made by a user's function."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Generator, Tensor


class TensorBatches:
    """Batches cut from a tuple of tensors that hold one sample per row."""

    def __init__(self, tensors: tuple[Tensor, ...], batch_size: int) -> None:
        self.tensors = tensors
        self.batch_size = batch_size

    def to(self, device: torch.device) -> TensorBatches:
        return TensorBatches(tuple(tensor.to(device) for tensor in self.tensors), self.batch_size)

    def order(self, generators: Iterable[Generator]) -> tuple[Tensor, ...]:
        """Shuffle one epoch per generator; return the row indices of each batch, shape (generators, batch size)."""
        rows = torch.stack([torch.randperm(len(self.tensors[0]), generator=generator) for generator in generators])
        return torch.split(rows.to(self.tensors[0].device), self.batch_size, dim=1)

    def rows(self, rows: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensor[rows] for tensor in self.tensors)

    def shuffled(self, generator: Generator) -> Iterator[tuple[Tensor, ...]]:
        return (self.rows(rows[0]) for rows in self.order([generator]))

    def in_order(self) -> Iterable[tuple[Tensor, ...]]:
        return zip(*(torch.split(tensor, self.batch_size) for tensor in self.tensors), strict=True)

    def description(self) -> str:
        """Return the shapes, the dtypes and a hash of the contents."""
        digest = hashlib.sha256()
        for tensor in self.tensors:
            packed = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
            digest.update(packed.view(torch.uint8).numpy().data)
        shapes = ", ".join(f"{tuple(tensor.shape)} {tensor.dtype}" for tensor in self.tensors)
        return f"{shapes}, sha256 {digest.hexdigest()[:16]}"


class FunctionBatches:
    """Batches made by a user's function, which is called each epoch with torch seeded from the run's generator."""

    def __init__(self, function: Callable[[], Iterable[Any]], device: torch.device | None = None) -> None:
        self.function = function
        self.device = device

    def to(self, device: torch.device) -> FunctionBatches:
        return FunctionBatches(self.function, device)

    def shuffled(self, generator: Generator) -> Iterator[Any]:
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        return iter(self.in_order())

    def in_order(self) -> Iterable[Any]:
        found = self.function()
        if not isinstance(found, Iterable):
            raise TypeError(f"a train or valid function must return an iterable of batches, got {found!r}")
        return (moved(batch, self.device) for batch in found)

    def description(self) -> str:
        return f"function {getattr(self.function, '__qualname__', type(self.function).__qualname__)}"


Batches = TensorBatches | FunctionBatches
Data = tuple[Tensor, ...] | Callable[[], Iterable[Any]]  # what users pass as train and valid


def as_batches(name: str, data: object, batch_size: int) -> Batches:
    """Return the batches of the argument `name`, train or valid. Raises TypeError or ValueError if it is invalid."""
    if callable(data):
        return FunctionBatches(data)
    if not isinstance(data, tuple) or not data or not all(isinstance(part, Tensor) for part in data):
        raise TypeError(
            f"{name} must be a tuple of tensors (inputs, targets) or a function that returns an iterable of batches, "
            f"got {type(data).__name__}"
        )
    sizes = [len(part) if part.ndim else 0 for part in data]
    if min(sizes) == 0 or len(set(sizes)) > 1:
        raise ValueError(f"the tensors of {name} must all have the same number of rows, at least one, got {sizes}")
    return TensorBatches(data, batch_size)


def moved(batch: Any, device: torch.device | None) -> Any:
    """Return a batch with all its tensors on the device, at any depth of tuples, lists and dicts."""
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {key: moved(item, device) for key, item in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(moved(item, device) for item in batch))
    if isinstance(batch, (tuple, list)):
        return type(batch)(moved(item, device) for item in batch)
    return batch


def sample_count(batch: object) -> int:
    """Return the number of samples in a batch: the rows of its first tensor, or 1 if it has none."""
    first = next(_tensors(batch), None)
    return 1 if first is None or not first.ndim else len(first)


def _tensors(batch: object) -> Iterator[Tensor]:
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, (Mapping, tuple, list)):
        for item in batch.values() if isinstance(batch, Mapping) else batch:
            yield from _tensors(item)
