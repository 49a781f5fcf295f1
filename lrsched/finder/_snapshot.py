"""snapshot(): restore a model, its optimizer and all random state, bit for bit and in the same tensor objects."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Sampler

from ..schedulers._tracking import StepWatch, unwrapped
from ._undo import RANDOM, Undo, undo_dict, undo_global_random, undo_items, undo_random, undo_state, undo_tensor

_LEAVES = frozenset({type(None), bool, int, float, str, bytes, torch.dtype, torch.device})
_SCALER: type[Any] = getattr(torch.amp, "GradScaler", None) or torch.cuda.amp.GradScaler


@contextmanager
def snapshot(model: nn.Module, optimizer: Optimizer, extra: Iterable[object] = ()) -> Iterator[Saved]:
    """Restore everything when the block ends, whether normally, by an exception or by Ctrl-C.

    Use it to train for a while and then continue as if nothing had happened. It restores, keeping the same objects:

    - of the model: parameters, their gradients, all buffers, and the modes (train or eval) and plain attributes of all
      modules;
    - of the optimizer: its state and param groups, and the count and rates of a `PlateauSequence` in its warm-up;
    - the global random state of torch (on all devices in use), numpy and Python;
    - the objects in `extra`.

    Hooks are not restored. To step a scheduler within the block, add it to `extra`. Copies of all tensors stay in
    memory until the block ends.

    Args:
        model: any module. A lazy module must have seen one batch.
        optimizer: its optimizer. Parameters that only the optimizer has are restored, too.
        extra: a list of other objects that the block changes: modules, optimizers, gradient scalers, data loaders,
            samplers, random generators, tensors, or objects with state_dict/load_state_dict or get_state/set_state.

    Yields a `Saved`, whose `restore()` restores everything within the block.

    Raises:
        TypeError: if an argument is of the wrong kind.
        ValueError: if the model has lazy parameters.

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
    """A copy of the state of a model, its optimizer and all random generators, to restore; `snapshot` yields one.

    Call `restore()` to go back to the start within the block of `snapshot`, for example to train from the same state
    several times. To use a `Saved` without the block, call `close()` at the end.

    Args:
        model, optimizer, extra: as for `snapshot`.
        sources: iterables of batches. Their attributes and their random generators are restored; objects without
            attributes are ignored.
        implied: like `extra`, for objects that a function of this package adds to the user's list.

    Raises TypeError or ValueError if an argument is invalid.

    >>> import torch
    >>> from lrsched import snapshot
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> draws = []
    >>> with snapshot(model, optimizer) as saved:
    ...     for _ in range(3):
    ...         draws.append(torch.rand(1).item())
    ...         saved.restore()
    >>> draws[0] == draws[1] == draws[2]
    True
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        extra: Iterable[object] = (),
        sources: Iterable[object] = (),
        implied: Iterable[object] = (),
    ) -> None:
        _check(model, optimizer, extra)
        extra = [*extra, *implied]
        _check_extra(extra)
        self._seen: dict[int, object] = {}
        self._state: list[Undo] = []
        self._random: list[Undo] = []
        with torch.no_grad():
            if isinstance(model, torch.jit.ScriptModule):  # its tensors are not among its attributes
                self._add([*model.parameters(), *model.buffers()])
            self._add(model)
            self._add(optimizer.state, deep=True)
            self._add_vars(optimizer)
            for value in extra:
                self._add_extra(value)
        for hooked in (optimizer, *(value for value in extra if isinstance(value, Optimizer))):
            self._add_step_hooks(hooked)
        for source in sources:
            self._add_source(source)
        self._random += undo_global_random()

    def restore(self, *, random: bool = True) -> None:
        """Restore everything. Call it as often as you like.

        `random=False` leaves random states and data loaders as they are.
        """
        with torch.no_grad():
            for undo in reversed(self._state):  # extras first: their load_state_dict may change other objects
                undo()
            if random:
                for undo in self._random:
                    undo()

    def close(self) -> None:
        """Restore everything and free the copies."""
        try:
            self.restore()
        except KeyboardInterrupt:  # Ctrl-C while restoring: finish that first
            self.restore()
            raise
        finally:
            for held in (self._seen, self._state, self._random):
                held.clear()

    def _add(self, value: Any, *, deep: bool = False) -> None:
        """Copy a mutable value and everything inside it; `deep` also enters objects of unknown classes."""
        if type(value) in _LEAVES or id(value) in self._seen:
            return
        self._seen[id(value)] = value  # keeps it alive, so no other object can get its id
        inside: Iterable[Any] = ()
        if isinstance(value, dict):
            self._state.append(undo_dict(value))
            inside = value.values()
        elif isinstance(value, Tensor):
            self._state.append(undo_tensor(value))
            inside = (value.grad,) if value.is_leaf else ()
        elif isinstance(value, (list, deque, set)):
            self._state.append(undo_items(value))
            inside = value
        elif isinstance(value, (tuple, frozenset)):
            inside = value
        elif isinstance(value, np.ndarray):
            self._state.append(partial(np.copyto, value, value.copy()))
        elif isinstance(value, DistributedDataParallel):  # other attributes mirror its C++ reducer
            self._state.append(partial(setattr, value, "training", value.training))
            inside = (value.module,)
        elif isinstance(value, (nn.Module, Optimizer, _SCALER)):
            self._add_vars(value)
        elif deep and hasattr(value, "__dict__") and not callable(value):
            self._add_vars(value, deep=True)
        for item in tuple(inside):
            self._add(item, deep=deep)

    def _add_vars(self, value: object, *, deep: bool = False) -> None:
        """Copy an object's attributes, but not inside its hooks, which are most of a small module."""
        held = vars(value)
        self._state.append(undo_dict(held))
        for key, item in tuple(held.items()):
            if type(item) not in _LEAVES and "_hooks" not in key:
                self._add(item, deep=deep)

    def _add_extra(self, value: Any) -> None:
        if isinstance(value, RANDOM):
            self._random.append(undo_random(value))
        elif isinstance(value, (DataLoader, Sampler)):
            self._add_source(value)
        elif hasattr(value, "load_state_dict") and not isinstance(value, (nn.Module, Optimizer, _SCALER)):
            self._state.append(undo_state(value.load_state_dict, value.state_dict()))
        elif hasattr(value, "set_state"):
            self._state.append(undo_state(value.set_state, value.get_state()))
        else:
            self._add(value)

    def _add_step_hooks(self, optimizer: object) -> None:
        """Copy the attributes of objects that an optimizer's step hooks may change, as a warm-up does."""
        hooked = unwrapped(optimizer)
        for hooks in ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks"):
            for hook in getattr(hooked, hooks, {}).values():
                holder = getattr(hook, "__self__", None)
                self._add_attributes(holder, self._state)
                if isinstance(holder, StepWatch):
                    self._add_attributes(holder.owner(), self._state)

    def _add_attributes(self, value: object, undo: list[Undo]) -> None:
        if hasattr(value, "__dict__"):
            undo.append(undo_dict(vars(value)))

    def _add_source(self, source: object) -> None:
        """Copy the attributes of a loader, a sampler or another iterable, and the state of its random generators."""
        if id(source) in self._seen or not hasattr(source, "__dict__"):
            return
        self._seen[id(source)] = source
        self._add_attributes(source, self._random)  # restoring also drops persistent workers
        for value in tuple(vars(source).values()):
            if isinstance(value, RANDOM):
                self._random.append(undo_random(value))
            elif isinstance(value, (DataLoader, Sampler)):
                self._add_source(value)


def _check(model: object, optimizer: object, extra: object) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if not (hasattr(optimizer, "param_groups") and hasattr(optimizer, "state")):
        raise TypeError(f"optimizer must be a torch.optim.Optimizer, got {type(optimizer).__name__}")
    if not isinstance(extra, (list, tuple)):
        raise TypeError(f"extra must be a list or tuple of objects, got {type(extra).__name__}")


def _check_extra(extra: list[object]) -> None:
    known = (nn.Module, Optimizer, _SCALER, DataLoader, Sampler, Tensor, np.ndarray, dict, list, deque, set, *RANDOM)
    pairs = (("state_dict", "load_state_dict"), ("get_state", "set_state"))
    for index, value in enumerate(extra):
        if not (isinstance(value, known) or any(hasattr(value, get) and hasattr(value, put) for get, put in pairs)):
            raise TypeError(
                f"extra[{index}] must be a module, an optimizer, a tensor, a loader, a random generator or an object "
                f"with state_dict/load_state_dict or get_state/set_state, got {type(value).__name__}"
            )
