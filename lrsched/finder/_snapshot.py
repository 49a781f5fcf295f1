"""snapshot(): restore a model, its optimizer and all random state, bit for bit and in the same tensor objects."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset, Sampler

from .._owned import RANDOM, attributes, owned, undo_random
from ..schedulers._tracking import StepWatch, unwrapped
from ._frozen import FrozenWeights
from ._optimizers import as_one, listed
from ._undo import Undo, undo_dict, undo_global_random, undo_items, undo_state, undo_tensor

_LEAVES = frozenset({type(None), bool, int, float, str, bytes, torch.dtype, torch.device})
_SCALER: type[Any] = getattr(torch.amp, "GradScaler", None) or torch.cuda.amp.GradScaler


@contextmanager
def snapshot(
    model: nn.Module, optimizer: Optimizer | Sequence[Optimizer], extra: Iterable[object] = ()
) -> Iterator[Saved]:
    """Restore everything when the block ends, whether normally, by an exception or by Ctrl-C.

    Use it to train for a while and then continue as if nothing had happened. It restores, keeping the same objects:

    - of the model: parameters, their gradients, all buffers, and the modes (train or eval) and plain attributes of all
      modules;
    - of the optimizer: its state and param groups, and the count and rates of a `PlateauSequence` in its warm-up;
    - the global random state of torch (on all devices in use), numpy and Python, and the random generators that the
      model's modules own;
    - the objects in `extra`.

    Hooks are not restored. To step a scheduler within the block, add it to `extra`. Copies of all tensors stay in
    memory until the block ends. Frozen parameters are not copied: those with requires_grad=False that are in no
    optimizer, because training cannot change them. If your training writes one, such as a moving average of the
    weights, pass its module in `extra`, too.

    Args:
        model: any module. A lazy module must have seen one batch.
        optimizer: its optimizer, or a list of them. Parameters that only the optimizer has are restored, too.
        extra: a list of other objects that the block changes: modules, optimizers, gradient scalers, random generators,
            tensors, or objects with state_dict/load_state_dict or get_state/set_state; data loaders, samplers, datasets
            and transforms, to restore their random generators; or Accelerate's `Accelerator`, to restore its count of
            accumulated batches.

    Yields a `Saved`, whose `restore()` restores everything within the block.

    Raises:
        TypeError: if an argument is of the wrong kind.
        ValueError: if the model has lazy parameters.
        RuntimeError: at the end of the block, with all else restored, if a frozen parameter was changed.

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
        saved.check_frozen()
    finally:
        saved.close()


class Saved:
    """A copy of the state of a model, its optimizer and all random generators, to restore; `snapshot` yields one.

    Call `restore()` to go back to the start within the block of `snapshot`, for example to train from the same state
    several times. To use a `Saved` without the block, call `close()` at the end.

    Args:
        model, optimizer, extra: as for `snapshot`.
        sources: iterables of batches. Their attributes and the random generators that they own are restored; objects
            without attributes are ignored.
        implied: like `extra`, for objects that a function of this package adds to the user's list.
        functions: the user's functions. The random generators that they use are restored.

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
        optimizer: Optimizer | Sequence[Optimizer],
        extra: Iterable[object] = (),
        sources: Iterable[object] = (),
        implied: Iterable[object] = (),
        functions: Iterable[object] = (),
    ) -> None:
        _check(model, extra)
        optimizers = listed(as_one(optimizer))
        extra = [*extra, *implied]
        _check_extra(extra)
        self._frozen = FrozenWeights(model)
        self._copied = _always_copied(optimizers, extra)
        self._seen: dict[int, object] = {}
        self._state: list[Undo] = []
        self._random: list[Undo] = []
        self._holders: list[object] = []  # their random generators are restored, but not their attributes
        with torch.no_grad():
            if isinstance(model, torch.jit.ScriptModule):  # its tensors are not among its attributes
                self._add([*model.parameters(), *model.buffers()])
            self._add(model)
            for each in optimizers:
                self._add(each.state, deep=True)
                self._add_vars(each)
                self._holders.append(each)
            for value in extra:
                self._add_extra(value)
        for hooked in (*optimizers, *(value for value in extra if isinstance(value, Optimizer))):
            self._add_step_hooks(hooked)
        for source in sources:
            self._add_source(source)
        self._add_owned(self._holders)
        self._add_owned(functions)
        self._random += undo_global_random()

    def restore(self, *, random: bool = True) -> None:
        """Restore everything. Call it as often as you like.

        `random=False` leaves random states and data loaders as they are. Raises RuntimeError, with all else restored,
        if a frozen parameter was changed.
        """
        self._restore(random)
        self.check_frozen()

    def check_frozen(self) -> None:
        """Raise RuntimeError if a frozen parameter, of which there is no copy, was changed."""
        self._frozen.check()

    def _restore(self, random: bool = True) -> None:
        with torch.no_grad():
            for undo in reversed(self._state):  # extras first: their load_state_dict may change other objects
                undo()
            if random:
                for undo in self._random:
                    undo()

    def close(self) -> None:
        """Restore everything and free the copies."""
        try:
            self._restore()
        except KeyboardInterrupt:  # Ctrl-C while restoring: finish that first
            self._restore()
            raise
        finally:
            for held in (self._seen, self._state, self._random, self._frozen, self._holders):
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
            watched = isinstance(value, nn.Parameter) and not value.requires_grad and self._may_watch(value)
            self._state.append(self._frozen.add(value) if watched else undo_tensor(value))
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
        else:
            self._holders.append(self._seen.pop(id(value)))
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

    def _may_watch(self, parameter: Tensor) -> bool:
        """Return whether training cannot change a parameter, so that no copy is needed."""
        plain = parameter.is_leaf and parameter.layout == torch.strided and not is_lazy(parameter)
        return plain and id(parameter) not in self._copied

    def _add_owned(self, holders: Iterable[object]) -> None:
        """Copy the states of the random generators, and of the counters of batches, that objects own."""
        found = owned(holders, self._seen)
        self._random += map(undo_random, found.generators)
        for counter in found.counters:
            self._add_attributes(counter.gradient_state, self._state)
            if "step" in attributes(counter):  # an Accelerator
                self._add_attributes(counter, self._state)

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
        if not hasattr(source, "__dict__") or any(source is holder for holder in self._holders):
            return
        self._holders.append(source)
        self._add_attributes(source, self._random)  # restoring also drops persistent workers
        for value in tuple(vars(source).values()):
            if isinstance(value, (DataLoader, Sampler)):
                self._add_source(value)


def _always_copied(optimizers: list[Any], extra: list[object]) -> set[int]:
    """Return the ids of the parameters that are copied even if they are frozen."""
    grouped = [value for optimizer in optimizers for group in optimizer.param_groups for value in group["params"]]
    modules = [value for module in extra if isinstance(module, nn.Module) for value in module.parameters()]
    return {id(value) for value in (*grouped, *modules, *extra)}


def _check(model: object, extra: object) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if not isinstance(extra, (list, tuple)):
        raise TypeError(f"extra must be a list or tuple of objects, got {type(extra).__name__}")


def _check_extra(extra: list[object]) -> None:
    data = DataLoader, Dataset, Sampler, Tensor, np.ndarray, dict, list, deque, set
    known = (nn.Module, Optimizer, _SCALER, *data, *RANDOM)
    pairs = (("state_dict", "load_state_dict"), ("get_state", "set_state"))
    for index, value in enumerate(extra):
        if isinstance(value, known) or any(hasattr(value, get) and hasattr(value, put) for get, put in pairs):
            continue
        found = owned([value])
        if not (found.generators or found.counters):
            raise TypeError(
                f"extra[{index}] must be a module, an optimizer, a tensor, a loader, a dataset, a random generator or "
                "an object with a random generator, with state_dict/load_state_dict or with get_state/set_state, got "
                f"{type(value).__name__}"
            )
