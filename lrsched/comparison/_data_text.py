"""How data are described in a run's configuration, so that finished runs are found by it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset, TensorDataset

from ._nests import tensors


def tensors_text(held: tuple[Tensor, ...]) -> str:
    """Return the shapes, the dtypes and a hash of the contents. Finished runs are found by this format."""
    shapes = ", ".join(f"{tuple(tensor.shape)} {tensor.dtype}" for tensor in held)
    return f"{shapes}, sha256 {_digest(held)}"


def source_text(source: object) -> str:
    """Return what is known without going through the source: a hash of what is in memory, or else names and sizes.

    Finished runs are found by this format.
    """
    if isinstance(source, DataLoader):
        return _loader_text(source)
    if isinstance(source, list):
        return f"list of {len(source)} batches, sha256 {_digest(tensors(source), with_shapes=True)}"
    if isinstance(source, Iterable):
        return _sized(source, "batches")
    return f"function {getattr(source, '__qualname__', type(source).__qualname__)}"


def _loader_text(loader: DataLoader[object]) -> str:
    of = _dataset_text(loader.dataset)
    if loader.batch_size is None:
        batches = f"batches by {_sampler_text(loader)}"
    else:
        batches = f"batch_size {loader.batch_size}, {type(loader.sampler).__qualname__}, drop_last {loader.drop_last}"
    return f"{type(loader).__qualname__} of {of}, {batches}"


def _dataset_text(data: object) -> str:
    if type(data) is TensorDataset:
        return f"TensorDataset ({tensors_text(data.tensors)})"
    if type(data) is Subset:
        return f"Subset ({tensors_text((torch.tensor([*data.indices]),))}) of {_dataset_text(data.dataset)}"
    return _sized(data, "samples")


def _sampler_text(loader: DataLoader[object]) -> str:
    """Return what makes the batches of a loader without a batch size: a batch sampler, or a sampler of rows."""
    sampler = loader.batch_sampler
    if sampler is None:
        return _sized(loader.sampler, "batches")
    inside = getattr(sampler, "sampler", None)
    of = "" if inside is None else f" of {type(inside).__qualname__}"
    size = getattr(sampler, "batch_size", None)
    return f"{_sized(sampler, 'batches')}{of}, batch_size {size}, drop_last {getattr(sampler, 'drop_last', None)}"


def _sized(data: object, unit: str) -> str:
    """Return the name of an object's class, and its length if it has one."""
    name = type(data).__qualname__
    with suppress(TypeError, NotImplementedError):
        return f"{name} of {len(data)} {unit}"  # type: ignore[arg-type]  # without a length: TypeError
    return name


def _digest(held: Iterable[Tensor], with_shapes: bool = False) -> str:
    digest = hashlib.sha256()
    for tensor in held:
        if with_shapes:
            digest.update(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
        packed = tensor.detach().cpu().reshape(-1).clone(memory_format=torch.contiguous_format)
        digest.update(packed.view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]
