"""The writer: base rates and a position go in, learning rates go into an optimizer's param groups.

No other module touches a group, and none is kept: `add_param_group` and `optimizer.load_state_dict` may replace them.
Functions on the way of a step take the optimizer, not its groups, and name no module of torch: torch.compile would
trace them otherwise, each in a graph of its own.
"""

from __future__ import annotations

import copy
import functools
import weakref
from collections.abc import Sequence as Items
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from .._check import number, real
from ..sequences._sequence import Sequence
from ._state import restored

Groups = list[dict[str, Any]]
PerGroup = float | Items[float]


class Rates:
    """The learning rates of all param groups at a position: max(low + (high − low)·f(k), min(min_lr, high)).

    Args:
        groups: the param groups; nothing is written to them.
        sequence: f for all groups, or a list with one for each.
        min_lr: the floor, one number ≥ 0 or a list.
        limits: low and high, each one number ≥ 0 or a list; None for 0 and each group's base lr.
        names: what the caller's users know low and high as.

    Raises TypeError or ValueError naming the argument that is none of that.
    """

    def __init__(
        self,
        groups: Groups,
        sequence: Sequence | Items[Sequence],
        min_lr: PerGroup = 0.0,
        limits: tuple[PerGroup, PerGroup] | None = None,
        names: tuple[str, str] = ("base_lr", "max_lr"),
    ) -> None:
        count = len(groups)
        self.sequence = _sequences(sequence, count)
        self.min_lr = _per_group("min_lr", min_lr, count)
        self.limits = limits and {
            name: _per_group(name, limit, count) for name, limit in zip(names, limits, strict=True)
        }
        self._fit(groups, [])

    def settings(self) -> dict[str, Any]:
        """Return what the rates were made of, as plain Python."""
        sequence = [*map(repr, self.sequence)] if isinstance(self.sequence, list) else repr(self.sequence)
        return copy.deepcopy({"sequence": sequence, "min_lr": self.min_lr, **(self.limits or {})})

    @property
    def bases(self) -> list[float]:
        """The base lr of each group: the lower limit where limits are given."""
        return self.lows if self.limits else self.highs

    def at(self, k: int) -> list[float]:
        """Return the learning rates at position k, one per group."""
        if isinstance(self.sequence, list):
            spans = zip(self._spans, self.sequence, strict=True)
            rates = [low + span * float(sequence._at(k)) for (low, span), sequence in spans]
        else:
            factor = float(self.sequence._at(k))
            rates = [low + span * factor for low, span in self._spans]
        return rates if self._floors is None else [*map(max, rates, self._floors)]

    def write(self, optimizer: Optimizer, k: int) -> list[float]:
        """Write the learning rates at position k and return them."""
        if not self._plain:
            rates = self.at(k)
            write(optimizer, rates)
            return rates
        rates = []
        factor = float(self.sequence._at(k))  # type: ignore[union-attr]
        for group, (low, span) in zip(optimizer.param_groups, self._spans):  # noqa: B905  (strict= costs time)
            rates.append(rate := low + span * factor)  # as in `at`: this is the loop that counts, and it is timed
            lr = group["lr"]
            if type(lr) is float or not isinstance(lr, Tensor):
                group["lr"] = rate
            else:
                lr.fill_(rate)
        return rates

    def adopted(self, groups: Groups) -> Rates:
        """Return these rates with those of new groups, each at its own base lr; ValueError where a list lacks them."""
        count, known = len(groups), len(self.highs)
        if count == known:
            return self
        if count < known:
            raise ValueError(f"the optimizer has {count} param groups, fewer than the {known} scheduled")
        return self.resumed(groups, self.highs)

    def resumed(self, groups: Groups, bases: list[float]) -> Rates:
        """Return these rates with the base lrs given for the first groups, and their own for the others."""
        for name, value in self.settings().items():
            _cover(name, value, len(groups))
        other = copy.copy(self)
        other._fit(groups, bases)
        return other

    def _fit(self, groups: Groups, bases: list[float]) -> None:
        count = len(groups)
        if self.limits is None:
            self.lows = [0.0] * count
            self.highs = bases + [_base_rate(groups[i], i) for i in range(len(bases), count)]
        else:
            self.lows, self.highs = ([_of(limit, i) for i in range(count)] for limit in self.limits.values())
        self._spans = [(low, high - low) for low, high in zip(self.lows, self.highs, strict=True)]
        floors = [min(_of(self.min_lr, i), high) for i, high in enumerate(self.highs)]
        self._floors = floors if any(floors) else None
        self._plain = not (any(floors) or isinstance(self.sequence, list))


def groups_of(optimizer: Optimizer) -> Groups:
    """Return the optimizer's param groups; TypeError where it is none."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be an Optimizer, got {optimizer!r} ({type(optimizer).__name__})")
    return optimizer.param_groups


def read(optimizer: Optimizer) -> list[float]:
    """Return the present learning rates."""
    return [real("lr", group["lr"]) for group in optimizer.param_groups]


def write(optimizer: Optimizer, rates: list[float], first: int = 0) -> None:
    """Write learning rates, one per group from the `first` on, into a tensor lr in place."""
    groups = optimizer.param_groups
    for group, rate in zip(groups[first:] if first else groups, rates, strict=True):
        lr = group["lr"]
        if type(lr) is float or not isinstance(lr, Tensor):
            group["lr"] = rate
        else:
            lr.fill_(rate)


def read_momenta(optimizer: Optimizer) -> list[float]:
    """Return the present momenta, `betas[0]` where a group has betas."""
    groups = optimizer.param_groups
    return [real("momentum", group["betas"][0] if "betas" in group else group["momentum"]) for group in groups]


def write_momenta(optimizer: Optimizer, momenta: list[float]) -> None:
    """Write momenta, as `betas[0]` where a group has betas."""
    for group, momentum in zip(optimizer.param_groups, momenta):  # noqa: B905  (strict= costs time)
        if "betas" in group:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum


def typed(optimizer: Optimizer, rates: list[float]) -> list[float | Tensor]:
    """Return learning rates in the kind of their groups: a new tensor where the group's lr is one."""
    lrs = [group["lr"] for group in optimizer.param_groups]
    lrs += [0.0] * (len(rates) - len(lrs))
    return [torch.full_like(lr, rate) if isinstance(lr, Tensor) else rate for lr, rate in zip(lrs, rates, strict=False)]


def stored_rates(name: str, values: Any, count: int) -> list[float]:
    """Return learning rates of a state dict; ValueError where they are not `count`."""
    _stored_list(name, values)
    if len(values) != count:
        raise ValueError(f"{name} must have one entry per param group: {len(values)} entries for {count} param groups")
    return [real(name, restored(value)) for value in values]


def stored_bases(name: str, values: Any, count: int) -> list[float]:
    """Return base lrs of a state dict, which lack groups not adopted yet; ValueError where they are over `count`."""
    _stored_list(name, values)
    if len(values) > count or (count and not values):
        raise ValueError(f"{name} must have one entry per param group: {len(values)} entries for {count} param groups")
    return [number(name, value) for value in values]


def stamp(optimizer: Optimizer, bases: list[float]) -> None:
    """Set `initial_lr` to the base lr where a group has none, as torch does."""
    for group, base in zip(optimizer.param_groups, bases, strict=True):
        group.setdefault("initial_lr", base)


def restamp(optimizer: Optimizer, bases: list[float]) -> None:
    """Set `initial_lr` to the base lrs, and take it from groups beyond them, which are yet to be adopted."""
    for i, group in enumerate(optimizer.param_groups):
        if i < len(bases):
            group["initial_lr"] = bases[i]
        else:
            group.pop("initial_lr", None)


def track_steps(optimizer: Optimizer, last_epoch: int) -> None:
    """Do what torch's schedulers do to an optimizer: set `initial_lr`, and note calls of `optimizer.step`.

    Raises torch's KeyError where last_epoch ≥ 0 and a group has no `initial_lr`. A step that is not the
    optimizer's own method, such as a compiled or a partial function, is tracked here: torch's tracking fails on it.
    """
    step = optimizer.step
    replaced = not hasattr(step, "_wrapped_by_lr_sched") and getattr(step, "__self__", None) is not optimizer
    if replaced:
        reference = weakref.ref(optimizer)

        @functools.wraps(step, updated=())  # the __dict__ of a compiled function is its own
        def tracked(*args: Any, **kwargs: Any) -> Any:
            reference()._opt_called = True  # type: ignore[union-attr]
            return step(*args, **kwargs)

        tracked._wrapped_by_lr_sched = True  # type: ignore[attr-defined]
        optimizer.step = tracked  # type: ignore[method-assign]
    try:
        _Tracker(optimizer, last_epoch)
    except KeyError:
        if replaced:
            optimizer.step = step  # type: ignore[method-assign]
        raise


def retrack_steps(optimizer: Optimizer) -> None:
    """Note calls of `optimizer.step` on a copy, which has lost the tracking, and leave its groups as they are."""
    unstamped = [group for group in optimizer.param_groups if "initial_lr" not in group]
    track_steps(optimizer, -1)
    for group in unstamped:
        del group["initial_lr"]


class _Tracker(LRScheduler):
    """torch's constructor without the step that it takes."""

    def _initial_step(self) -> None:
        pass


def _sequences(sequence: Sequence | Items[Sequence], count: int) -> Sequence | list[Sequence]:
    if isinstance(sequence, (list, tuple)):
        _cover("sequence", sequence, count)
        return [_one_sequence(entry) for entry in sequence]
    return _one_sequence(sequence)


def _one_sequence(sequence: object) -> Sequence:
    if not isinstance(sequence, Sequence):
        hint = "; for a function use torch's LambdaLR" if callable(sequence) else ""
        raise TypeError(f"sequence must be a lrsched sequence or a list of them, got {sequence!r}{hint}")
    return sequence


def _per_group(name: str, value: PerGroup, count: int) -> float | list[float]:
    if not isinstance(value, (list, tuple)):
        return number(name, value)
    _cover(name, value, count)
    return [number(f"{name}[{i}]", entry) for i, entry in enumerate(value)]


def _base_rate(group: dict[str, Any], index: int) -> float:
    lr = group["lr"]
    if isinstance(lr, Tensor) and not lr.is_floating_point():
        raise TypeError(f"lr of param group {index} must be a tensor of floats, got {lr!r}")
    return number(f"lr of param group {index}", group.get("initial_lr", group["lr"]))


def _stored_list(name: str, values: Any) -> None:
    if not isinstance(values, list):
        raise TypeError(f"{name} must be a list of numbers, got {values!r}")


def _cover(name: str, value: object, count: int) -> None:
    if isinstance(value, (list, tuple)) and len(value) != count:
        raise ValueError(f"{name} must have one entry per param group: {len(value)} entries for {count} param groups")


def _of(value: float | list[float], index: int) -> float:
    return value[index] if isinstance(value, list) else value
