"""Bookkeeping of `optimizer.step`: whether it was called, for torch's warnings and for PlateauSequence."""

from __future__ import annotations

import functools
import warnings
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from .._check import integer
from ._state import check_keys, stored

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


def uncompiled(function: AnyFunction) -> AnyFunction:
    """Keep torch.compile from tracing a function, as it skips the `step` of torch's own schedulers: no extra graph."""
    vars(function)["_torchdynamo_disable"] = True
    return function


def track_steps(optimizer: Optimizer, last_epoch: int) -> None:
    """Do what torch's schedulers do to an optimizer: set `initial_lr`, and note calls of `optimizer.step`.

    torch can only track a step that is the optimizer's own method. Any other, such as a compiled or a partial function,
    is tracked here. Raises torch's KeyError if last_epoch ≥ 0 and a group has no `initial_lr`.
    """
    patched: Any = optimizer
    step = patched.step
    replaced = not hasattr(step, "_wrapped_by_lr_sched") and getattr(step, "__self__", None) is not optimizer
    if replaced:
        patched.step = _tracked(step, optimizer)
    try:
        _Tracker(optimizer, last_epoch)
    except KeyError:
        if replaced:
            patched.step = step
        raise


def _tracked(step: Callable[..., Any], optimizer: Optimizer) -> Callable[..., Any]:
    reference: Callable[[], Any] = weakref.ref(optimizer)

    @functools.wraps(step, updated=())  # the __dict__ of a compiled function is its own
    def tracked(*args: Any, **kwargs: Any) -> Any:
        reference()._opt_called = True
        return step(*args, **kwargs)

    vars(tracked)["_wrapped_by_lr_sched"] = True
    return tracked


class _Tracker(LRScheduler):
    """torch's constructor without its first step."""

    def _initial_step(self) -> None:
        pass


def has_stepped(optimizer: Optimizer) -> bool:
    """Return whether `optimizer.step` was called since it is tracked."""
    return getattr(optimizer, "_opt_called", False)


def retrack_steps(optimizer: Optimizer, stepped: bool) -> None:
    """Track `optimizer.step` on a copy, which has lost the tracking, and leave its groups as they are."""
    unstamped = [group for group in optimizer.param_groups if "initial_lr" not in group]
    track_steps(optimizer, -1)
    for group in unstamped:
        del group["initial_lr"]
    if stepped:
        patched: Any = optimizer
        patched._opt_called = True


def warn_of_order(optimizer: Optimizer) -> None:
    """Give torch's two warnings about the order of calls, at the line that called the scheduler's `step`."""
    if not hasattr(optimizer.step, "_wrapped_by_lr_sched"):
        message = (
            "Seems like `optimizer.step()` has been overridden after learning rate scheduler initialization. "
            "Please, make sure to call `optimizer.step()` before `lr_scheduler.step()`."
        )
    elif not has_stepped(optimizer):
        message = (
            "Detected call of `lr_scheduler.step()` before `optimizer.step()`. In this order "
            "the first learning rate of the schedule is skipped."
        )
    else:
        return
    link = "https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"
    warnings.warn(f"{message} See {link}", UserWarning, stacklevel=3)


def unwrapped(optimizer: Any) -> Any:
    """Return the optimizer that runs the step hooks, inside any wrapper that has none, such as Accelerate's."""
    while not hasattr(optimizer, "_optimizer_step_post_hooks") and hasattr(optimizer, "optimizer"):
        optimizer = optimizer.optimizer
    return optimizer


def watches_of(optimizer: Any) -> list[StepWatch]:
    """Return the watches that are attached to an optimizer."""
    hooks = getattr(unwrapped(optimizer), "_optimizer_step_post_hooks", {}).values()
    holders = [getattr(hook, "__self__", None) for hook in hooks]
    return [holder for holder in holders if isinstance(holder, StepWatch)]


def was_skipped(optimizer: Optimizer) -> bool:
    """Return, in a step hook, whether a GradScaler let a fused optimizer skip its step because of inf gradients."""
    found_inf = getattr(optimizer, "found_inf", None)
    return found_inf is not None and bool(found_inf)


class StepWatch:
    """Notes the optimizer's steps: whether there was one, ever and since the last metric, and those of a warm-up.

    After each step it calls the owner's `_after_optimizer_step(optimizer)`, unless it is muted. It holds the owner
    weakly, and the optimizer's hook goes when the owner does.
    """

    muted = False

    def __init__(self, ever: bool = False, since_metric: bool = False, warm: int = 0) -> None:
        self.ever = ever
        self.since_metric = since_metric
        self.warm = warm
        self.owner: Callable[[], Any] = lambda: None

    def attach(self, optimizer: Optimizer, owner: object) -> None:
        """Have the optimizer note its steps here, as long as the owner lives."""
        self.owner = weakref.ref(owner)
        hooked: Any = unwrapped(optimizer)
        if hasattr(hooked, "_optimizer_step_post_hooks"):
            handle = hooked.register_step_post_hook(self._note)
            weakref.finalize(owner, handle.remove).atexit = False

    def _note(self, optimizer: Optimizer, *_: object) -> None:
        self.ever = self.since_metric = True
        owner = self.owner()
        if owner is not None and not self.muted:
            owner._after_optimizer_step(optimizer)

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain Python."""
        return {"ever": self.ever, "since_metric": self.since_metric, "warm": self.warm}

    def restore(self, other: StepWatch) -> None:
        """Take the state of another watch; the optimizer's hook holds this very object."""
        self.ever, self.since_metric, self.warm = other.ever, other.since_metric, other.warm

    @classmethod
    def from_state_dict(cls, state_dict: dict[str, Any]) -> StepWatch:
        """Return the watch of a `state_dict()`; raise TypeError or ValueError if it is not one."""
        check_keys("state: steps", state_dict, ("ever", "since_metric", "warm"))
        ever, since_metric = (stored(f"state: {name}", state_dict[name], False) for name in ("ever", "since_metric"))
        return cls(ever, since_metric, integer("state: warm", state_dict["warm"]))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "owner": None}  # a weak reference cannot be pickled; `attach` sets it again
