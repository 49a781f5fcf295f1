"""snapshot(): put a model, its optimizer and all random state back, bit for bit and in the same tensor objects."""

from __future__ import annotations

import copy
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from operator import is_
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Sampler

_LEAVES = frozenset({type(None), bool, int, float, str, bytes, torch.dtype, torch.device})
_SCALER: type[Any] = getattr(torch.amp, "GradScaler", None) or torch.cuda.amp.GradScaler
_RANDOM = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)

Undo = Callable[[], object]


@contextmanager
def snapshot(model: nn.Module, optimizer: Optimizer, extra: Iterable[object] = ()) -> Iterator[Saved]:
    """Put everything back as it was when the block is left, normally, by an exception or by Ctrl-C.

    Put back, with the same tensor objects: parameters and their gradients, all buffers, training flags and plain
    attributes of all modules; state and groups of the optimizer; the random state of torch (all devices in use), numpy
    and Python; what `extra` names. Hooks are left alone. Copies stay in memory, one of each tensor, until the end.

    Args:
        model: any module; lazy ones must have seen a batch.
        optimizer: its optimizer; parameters that only the optimizer knows are put back too.
        extra: a list of whatever else the block changes: modules, optimizers, gradient scalers, data loaders, samplers,
            random generators, tensors, or objects with state_dict/load_state_dict or get_state/set_state.

    Yields a `Saved`, whose `restore()` goes back to the start within the block.

    Raises:
        TypeError: if an argument is of another kind.
        ValueError: if a parameter is not initialised yet.

    >>> import torch
    >>> from lrsched import snapshot
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> before = model.weight.detach().clone()
    >>> with snapshot(model, optimizer):
    ...     model(torch.ones(3, 2)).sum().backward()
    ...     optimizer.step()
    >>> torch.equal(model.weight, before), model.weight.grad
    (True, None)

    """
    saved = Saved(model, optimizer, extra)
    try:
        yield saved
    finally:
        saved.close()


class Saved:
    """What `snapshot` remembers: one copy of all that can change below the objects given, and the way back."""

    def __init__(
        self, model: nn.Module, optimizer: Optimizer, extra: Iterable[object] = (), sources: Iterable[object] = ()
    ) -> None:
        _check(model, optimizer, extra)
        self._seen: dict[int, object] = {}
        self._state: list[Undo] = []
        self._random: list[Undo] = []
        with torch.no_grad():
            if isinstance(model, torch.jit.ScriptModule):  # shows them in no other way
                self._add([*model.parameters(), *model.buffers()])
            self._add(model)
            self._add(optimizer.state, deep=True)
            self._add_vars(optimizer)
            for value in extra:
                self._add_extra(value)
        for hooks in ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks"):
            for hook in getattr(optimizer, hooks, {}).values():  # what hooks count or note
                self._add_attributes(getattr(hook, "__self__", None), self._state)
        for source in sources:
            self._add_source(source)
        self._add_global_random()

    def restore(self, *, random: bool = True) -> None:
        """Go back to the start, as often as wanted; with `random=False` all random states and loaders run on."""
        with torch.no_grad():
            for undo in reversed(self._state):  # extras first: their load_state_dict may write elsewhere
                undo()
            if random:
                for undo in self._random:
                    undo()

    def close(self) -> None:
        """Go back to the start and let go of the copies."""
        try:
            self.restore()
        except KeyboardInterrupt:  # a second Ctrl-C: finish first
            self.restore()
            raise
        finally:
            for held in (self._seen, self._state, self._random):
                held.clear()

    def _add(self, value: Any, *, deep: bool = False) -> None:
        """Copy what is mutable and walk on; `deep` enters objects of any class, not only those known here."""
        if type(value) in _LEAVES or id(value) in self._seen:
            return
        self._seen[id(value)] = value  # kept alive, so that its id stays its own
        inside: Iterable[Any] = ()
        if isinstance(value, dict):
            self._state.append(partial(_put_dict, value, dict(value)))
            inside = value.values()
        elif isinstance(value, Tensor):
            self._add_tensor(value)
            inside = (value.grad,) if value.is_leaf else ()
        elif isinstance(value, (list, deque, set)):
            self._state.append(partial(_put_items, value, list(value)))
            inside = value
        elif isinstance(value, (tuple, frozenset)):
            inside = value
        elif isinstance(value, np.ndarray):
            self._state.append(partial(np.copyto, value, value.copy()))
        elif isinstance(value, DistributedDataParallel):  # its other attributes mirror the state of its C++ reducer
            self._state.append(partial(setattr, value, "training", value.training))
            inside = (value.module,)
        elif isinstance(value, (nn.Module, Optimizer, _SCALER)):
            self._add_vars(value)
        elif deep and hasattr(value, "__dict__") and not callable(value):
            self._add_vars(value, deep=True)
        for item in tuple(inside):
            self._add(item, deep=deep)

    def _add_vars(self, value: object, *, deep: bool = False) -> None:
        """Copy an object's attributes; its hooks are left alone, which is most of a small module."""
        held = vars(value)
        self._state.append(partial(_put_dict, held, dict(held)))
        for key, item in tuple(held.items()):
            if type(item) not in _LEAVES and "_hooks" not in key:
                self._add(item, deep=deep)

    def _add_tensor(self, tensor: Tensor) -> None:
        if is_lazy(tensor):
            raise ValueError("model is not initialised yet (it has lazy parameters): pass one batch through it first")
        grad = tensor.grad if tensor.is_leaf else None
        if tensor.layout != torch.strided:
            self._state.append(partial(_put_sparse, tensor, tensor.clone(), grad))
            return
        alias = tensor.detach()  # holds on to the memory, should tensor.data be replaced
        written = _without_repeats(alias)
        self._state.append(partial(_put_tensor, tensor, alias, written, written.clone(), tensor.requires_grad, grad))

    def _add_extra(self, value: Any) -> None:
        if isinstance(value, _RANDOM):
            self._add_random(value)
        elif isinstance(value, (DataLoader, Sampler)):
            self._add_source(value)
        elif hasattr(value, "load_state_dict") and not isinstance(value, (nn.Module, Optimizer, _SCALER)):
            self._state.append(partial(_load_state, value, copy.deepcopy(value.state_dict())))
        elif hasattr(value, "set_state"):
            self._state.append(partial(_set_state, value, copy.deepcopy(value.get_state())))
        else:
            self._add(value)

    def _add_attributes(self, value: object, undo: list[Undo]) -> None:
        if hasattr(value, "__dict__"):
            undo.append(partial(_put_dict, vars(value), dict(vars(value))))

    def _add_source(self, source: object) -> None:
        """Keep what a loader or sampler, or any other iterable, holds itself, and the state of its generators."""
        if id(source) in self._seen or not hasattr(source, "__dict__"):
            return
        self._seen[id(source)] = source
        self._add_attributes(source, self._random)  # drops worker processes that were kept, too
        for value in tuple(vars(source).values()):
            if isinstance(value, _RANDOM):
                self._add_random(value)
            elif isinstance(value, (DataLoader, Sampler)):
                self._add_source(value)

    def _add_random(self, source: Any) -> None:
        if isinstance(source, np.random.Generator):
            bits = source.bit_generator
            self._random.append(partial(setattr, bits, "state", bits.state))
        elif isinstance(source, random.Random):
            self._random.append(partial(source.setstate, source.getstate()))
        else:
            self._random.append(partial(source.set_state, source.get_state()))

    def _add_global_random(self) -> None:
        self._random.append(partial(torch.set_rng_state, torch.get_rng_state()))
        self._random.append(partial(np.random.set_state, _numpy_state()))
        self._random.append(partial(random.setstate, random.getstate()))
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            self._random.append(partial(torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all()))
        if torch.backends.mps.is_available():
            self._random.append(partial(torch.mps.set_rng_state, torch.mps.get_rng_state()))


def _check(model: object, optimizer: Any, extra: object) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if not (hasattr(optimizer, "param_groups") and hasattr(optimizer, "state")):
        raise TypeError(f"optimizer must be a torch.optim.Optimizer, got {type(optimizer).__name__}")
    if not isinstance(extra, (list, tuple)):
        raise TypeError(f"extra must be a list or tuple of objects, got {type(extra).__name__}")
    known = (nn.Module, Optimizer, _SCALER, DataLoader, Sampler, Tensor, np.ndarray, dict, list, deque, set, *_RANDOM)
    for index, value in enumerate(extra):
        methods = (("state_dict", "load_state_dict"), ("get_state", "set_state"))
        if not (isinstance(value, known) or any(hasattr(value, get) and hasattr(value, put) for get, put in methods)):
            raise TypeError(
                f"extra[{index}] must be a module, a tensor, a loader, a random generator or an object with "
                f"state_dict/load_state_dict or get_state/set_state, got {type(value).__name__}"
            )


def _put_dict(target: dict[Any, Any], held: dict[Any, Any]) -> None:
    if not target and not held:
        return
    same = len(target) == len(held) and all(map(is_, target, held)) and all(map(is_, target.values(), held.values()))
    if not same:  # compiled code watches some of these
        target.clear()
        target.update(held)


def _put_items(target: Any, held: list[Any]) -> None:
    target.clear()
    (target.update if isinstance(target, set) else target.extend)(held)


def _put_tensor(
    tensor: Tensor, alias: Tensor, written: Tensor, held: Tensor, requires_grad: bool, grad: Tensor | None
) -> None:
    written.copy_(held)
    if not hasattr(tensor, "__tensor_flatten__") and (tensor.dtype != alias.dtype or not tensor.is_set_to(alias)):
        tensor.data = alias
    if tensor.is_leaf:
        tensor.requires_grad_(requires_grad)
        tensor.grad = grad


def _put_sparse(tensor: Tensor, held: Tensor, grad: Tensor | None) -> None:
    tensor.data = held.clone()
    if tensor.is_leaf:
        tensor.grad = grad


def _without_repeats(tensor: Tensor) -> Tensor:
    """Return a view without the repeats that expand() makes, which cannot be written to."""
    if 0 in tensor.stride():
        for dim, (size, stride) in enumerate(zip(tensor.shape, tensor.stride(), strict=True)):
            if stride == 0 and size > 1:
                tensor = tensor.narrow(dim, 0, 1)
    return tensor


def _numpy_state() -> Any:
    held: Any = np.random.get_state(legacy=False)  # noqa: NPY002
    if held["bit_generator"] == "MT19937":
        held["state"]["key"] = held["state"]["key"].tolist()  # set in half the time
    return held


def _load_state(target: Any, state: Any) -> None:
    target.load_state_dict(copy.deepcopy(state))  # it may keep what it is given


def _set_state(target: Any, state: Any) -> None:
    target.set_state(copy.deepcopy(state))
