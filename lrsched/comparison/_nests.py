"""Batches as nests of tensors: moved to a device, copied, stacked, and taken apart into their tensors.

A nest is a tensor, or a tuple, list, mapping or dataclass of nests. Anything else in it is passed on as it is.
"""

from __future__ import annotations

import copy
from collections import UserDict
from collections.abc import Callable, Hashable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence
from torch.utils._pytree import tree_leaves


def moved(batch: Any, device: torch.device | None) -> Any:
    """Return a batch with all its tensors on the device; the batch itself for None."""
    return batch if device is None else mapped(partial(_moved_leaf, device), batch)


def _moved_leaf(device: torch.device, leaf: Any) -> Any:
    if isinstance(leaf, Tensor):
        return leaf.to(device, non_blocking=device.type == "cuda")  # it makes a difference for pinned memory only
    return leaf.to(device) if callable(getattr(leaf, "to", None)) else leaf  # a packed sequence, for example


def rebuilt(batch: Any) -> Any:
    """Return a batch with new containers and the same tensors, for a function that may take entries out of it."""
    return mapped(lambda leaf: leaf, batch)


def copied(batch: Any) -> Any:
    """Return a batch with new containers and copies of its tensors."""
    return mapped(_copied_leaf, batch)


def _copied_leaf(leaf: Any) -> Any:
    if isinstance(leaf, Tensor):
        return leaf.detach().clone().requires_grad_(leaf.requires_grad)
    return leaf.clone() if callable(getattr(leaf, "clone", None)) else leaf  # a batch of graphs, for example


def mapped(function: Callable[..., Any], *nests: Any) -> Any:
    """Return a nest of the same structure as the first, with function(*items) for the items at each place.

    The nests must have the same structure.
    """
    first = nests[0]
    if isinstance(first, Mapping):
        items = {key: mapped(function, *(nest[key] for nest in nests)) for key in first}
        return items if type(first) is dict or not isinstance(first, MutableMapping) else _refilled(first, items)
    if _is_sequence(first):
        values = [mapped(function, *each) for each in zip(*nests, strict=True)]
        return type(first)(*values) if hasattr(first, "_fields") else type(first)(values)
    if is_dataclass(first) and not isinstance(first, type):
        other = copy.copy(first)
        for each in fields(first):
            value = mapped(function, *(getattr(nest, each.name) for nest in nests))
            object.__setattr__(other, each.name, value)  # it may be frozen
        return other
    return function(*nests)


def _is_sequence(nest: object) -> bool:
    return isinstance(nest, (tuple, list)) and not isinstance(nest, PackedSequence)  # which has to be moved as a whole


def _refilled(mapping: MutableMapping[Any, Any], items: dict[Any, Any]) -> MutableMapping[Any, Any]:
    """Return a copy of a mapping of a special kind, such as a tokenizer's BatchEncoding, with other values."""
    if isinstance(mapping, (dict, UserDict)):
        other: MutableMapping[Any, Any] = copy.copy(mapping)
    else:  # a shallow copy may share the items
        other = copy.deepcopy(mapping, {id(tensor): tensor for tensor in tensors(mapping)})
    for key, item in items.items():
        other[key] = item
    return other


def structure(nest: Any) -> Hashable:
    """Return what two nests must share to be stacked: containers, keys, shapes and dtypes, and what is not a tensor."""
    if isinstance(nest, Tensor):
        return nest.shape, nest.dtype
    if isinstance(nest, Mapping):
        return type(nest), tuple((key, structure(item)) for key, item in nest.items())
    inside = _inside(nest)
    if inside is not None:
        return type(nest), tuple(structure(item) for item in inside)
    return (type(nest), nest) if nest is None or isinstance(nest, (str, bytes, int, float, complex)) else id(nest)


def stacked(nests: list[Any]) -> Any:
    """Return nests of the same structure as one, whose tensors have a new first axis that counts the nests."""
    return mapped(lambda *leaves: torch.stack(leaves) if isinstance(leaves[0], Tensor) else leaves[0], *nests)


def sample_count(batch: object) -> int:
    """Return the number of samples in a batch: the rows of its first tensor, or 1 if it has none."""
    first = next(tensors(batch), None)
    return 1 if first is None or not first.ndim else len(first)


def tensors(nest: Any) -> Iterator[Tensor]:
    """Yield the tensors of a nest in order."""
    if isinstance(nest, Tensor):
        yield nest
    for item in _inside(nest) or ():
        yield from tensors(item)


def _inside(nest: Any) -> list[Any] | None:
    """Return the items of a container; None for anything else."""
    if isinstance(nest, Mapping):
        return [nest[key] for key in nest]
    if _is_sequence(nest):
        return list(nest)
    if is_dataclass(nest) and not isinstance(nest, type):
        return [getattr(nest, each.name) for each in fields(nest)]
    return None


def on_tensors(function: Callable[[Any, Any], Any], batch: Any) -> tuple[Callable[[Any, Any], Any], Any]:
    """Return function(model, batch) and the batch, in a form in which the batch is a nest that torch can map over.

    That is a nest of tuples, lists and dicts that holds tensors only. If the batch is one, nothing changes. Otherwise
    the new batch is the list of its tensors, and the new function restores the batch from them.
    """
    if all(isinstance(leaf, Tensor) for leaf in tree_leaves(batch)):
        return function, batch
    template = mapped(lambda leaf: _HOLE if isinstance(leaf, Tensor) else leaf, batch)
    return _OnTensors(function, structure(batch), template), [*tensors(batch)]


_HOLE = object()  # stands for a tensor in a template


@dataclass(frozen=True)
class _OnTensors:
    """A function of a model and the tensors of a batch. Equal for batches of the same structure."""

    function: Callable[[Any, Any], Any]
    structure: Hashable
    template: Any = field(compare=False)

    def __call__(self, model: Any, leaves: list[Tensor]) -> Any:
        left = iter(leaves)
        return self.function(model, mapped(lambda leaf: next(left) if leaf is _HOLE else leaf, self.template))
