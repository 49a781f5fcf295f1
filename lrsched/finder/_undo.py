"""How each kind of object is restored: each function copies what it needs, and returns a function that restores it."""

from __future__ import annotations

import copy
import random
from collections import deque
from collections.abc import Callable
from functools import partial
from operator import is_
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

Undo = Callable[[], object]


def undo_dict(target: dict[Any, Any]) -> Undo:
    """Restore which items a dict holds, not what is inside them."""
    return partial(_put_dict, target, dict(target))


def undo_items(target: list[Any] | deque[Any] | set[Any]) -> Undo:
    """Restore which items a list, deque or set holds, not what is inside them."""
    return partial(_put_items, target, list(target))


def undo_tensor(tensor: Tensor) -> Undo:
    """Restore a tensor's values, memory, dtype and requires_grad, and which tensor its gradient is."""
    if is_lazy(tensor):
        raise ValueError("model has lazy parameters, which are not initialised yet: pass one batch through it first")
    grad = tensor.grad if tensor.is_leaf else None
    if tensor.layout != torch.strided:
        return partial(_put_sparse, tensor, tensor.clone(), grad)
    alias = tensor.detach()  # keeps the memory if tensor.data is replaced
    written = _without_repeats(alias)
    return partial(_put_tensor, tensor, alias, written, written.clone(), tensor.requires_grad, grad)


def undo_data(tensor: Tensor, alias: Tensor) -> Undo:
    """Restore a leaf's memory, requires_grad and which tensor its gradient is, but not its elements."""
    return partial(_put_data, tensor, alias, tensor.requires_grad, tensor.grad)


def undo_state(put: Callable[[Any], object], state: object) -> Undo:
    """Restore an object by a method such as `load_state_dict`, which gets a copy of its present state."""
    return partial(_put_state, put, copy.deepcopy(state))


def undo_global_random() -> list[Undo]:
    """Restore the global random state of torch on all devices in use, of numpy and of Python."""
    undos: list[Undo] = [
        partial(torch.set_rng_state, torch.get_rng_state()),
        partial(np.random.set_state, _numpy_state()),
        partial(random.setstate, random.getstate()),
    ]
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        undos.append(partial(torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all()))
    if torch.backends.mps.is_available():
        undos.append(partial(torch.mps.set_rng_state, torch.mps.get_rng_state()))
    return undos


def _put_dict(target: dict[Any, Any], held: dict[Any, Any]) -> None:
    """Put the items back, but do not touch a dict that already holds them: compiled code watches some dicts."""
    if not target and not held:
        return
    same = len(target) == len(held) and all(map(is_, target, held)) and all(map(is_, target.values(), held.values()))
    if not same:
        target.clear()
        target.update(held)


def _put_items(target: Any, held: list[Any]) -> None:
    target.clear()
    if isinstance(target, set):
        target.update(held)
    else:
        target.extend(held)


def _put_tensor(
    tensor: Tensor, alias: Tensor, written: Tensor, held: Tensor, requires_grad: bool, grad: Tensor | None
) -> None:
    written.copy_(held)
    _put_data(tensor, alias, requires_grad, grad)


def _put_data(tensor: Tensor, alias: Tensor, requires_grad: bool, grad: Tensor | None) -> None:
    if not hasattr(tensor, "__tensor_flatten__") and (tensor.dtype != alias.dtype or not tensor.is_set_to(alias)):
        tensor.data = alias
    if tensor.is_leaf:
        tensor.requires_grad_(requires_grad)
        tensor.grad = grad


def _put_sparse(tensor: Tensor, held: Tensor, grad: Tensor | None) -> None:
    tensor.data = held.clone()
    if tensor.is_leaf:
        tensor.grad = grad


def _put_state(put: Callable[[Any], object], state: object) -> None:
    put(copy.deepcopy(state))  # the object may keep and change what it is given


def _without_repeats(tensor: Tensor) -> Tensor:
    """Return a view without the repeated elements that expand() makes, because they cannot be written to."""
    if 0 in tensor.stride():
        for dim, (size, stride) in enumerate(zip(tensor.shape, tensor.stride(), strict=True)):
            if stride == 0 and size > 1:
                tensor = tensor.narrow(dim, 0, 1)
    return tensor


def _numpy_state() -> Any:
    state: Any = np.random.get_state(legacy=False)  # noqa: NPY002
    if state["bit_generator"] == "MT19937":
        state["state"]["key"] = state["state"]["key"].tolist()  # a list is restored in half the time
    return state
