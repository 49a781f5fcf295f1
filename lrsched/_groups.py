"""The writer: base rates and a position go in, learning rates go into an optimizer's param groups.

No other module touches a group. Groups are passed in afresh at each call, because `add_param_group` and
`optimizer.load_state_dict` may have replaced them.
"""

from __future__ import annotations

import functools
import weakref
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ._check import number, real, stored
from .sequences import Sequence

Groups = list[dict[str, Any]]
PerGroup = float | list[float]


class Rates:
    """The learning rates of all param groups at a position: max(low + (high − low)·f(k), min(min_lr, high)).

    Args:
        groups: the param groups; nothing is written to them.
        sequence: f for all groups, or a list with one for each.
        min_lr: the floor, one number ≥ 0 or a list.
        low: the rate at factor 0, one number ≥ 0 or a list; None for 0.
        high: the rate at factor 1, likewise; None for each group's base lr: its `initial_lr`, else its lr.
        names: what the caller's users know low and high as.

    Raises TypeError or ValueError naming the argument that is none of that.
    """

    def __init__(
        self,
        groups: Groups,
        sequence: Sequence | list[Sequence],
        min_lr: PerGroup = 0.0,
        low: PerGroup | None = None,
        high: PerGroup | None = None,
        names: tuple[str, str] = ("base_lr", "max_lr"),
    ) -> None:
        count = len(groups)
        self.sequence = _sequences(sequence, count)
        self.min_lr = per_group("min_lr", min_lr, count)
        self.low = None if low is None else per_group(names[0], low, count)
        self.high = None if high is None else per_group(names[1], high, count)
        self._names = names
        self.lows: list[float] = []
        self.highs: list[float] = []
        self.adopt(groups)

    def settings(self) -> dict[str, Any]:
        """Return what the rates were made of, as plain Python."""
        sequence = [*map(repr, self.sequence)] if isinstance(self.sequence, list) else repr(self.sequence)
        limits = {
            name: limit for name, limit in zip(self._names, (self.low, self.high), strict=True) if limit is not None
        }
        return {"sequence": sequence, "min_lr": self.min_lr, **limits}

    def at(self, k: int) -> list[float]:
        """Return the learning rates at position k, one per group."""
        if isinstance(self.sequence, list):
            spans = zip(self._spans, self.sequence, strict=True)
            rates = [low + span * sequence._at(k) for (low, span), sequence in spans]
        else:
            factor = self.sequence._at(k)
            rates = [low + span * factor for low, span in self._spans]
        return rates if self._floors is None else [*map(max, rates, self._floors)]

    def write(self, groups: Groups, k: int) -> list[float]:
        """Write the learning rates at position k and return them."""
        if not self._plain:
            rates = self.at(k)
            write(groups, rates)
            return rates
        rates = []
        factor = self.sequence._at(k)  # type: ignore[union-attr]
        for group, (low, span) in zip(groups, self._spans):  # noqa: B905  (lengths were compared; strict= costs time)
            rates.append(rate := low + span * factor)  # as in `at`: this is the loop that counts, and it is timed
            lr = group["lr"]
            if type(lr) is float or not isinstance(lr, Tensor):
                group["lr"] = rate
            else:
                lr.fill_(rate)
        return rates

    def adopt(self, groups: Groups) -> None:
        """Take in the groups that are new, each at its own base lr; ValueError where a list does not cover them."""
        count, known = len(groups), len(self.highs)
        if count == known:
            return
        for name, value in self.settings().items():
            _cover(name, value, count)
        if count < known:
            raise ValueError(f"the optimizer has {count} param groups, fewer than the {known} scheduled")
        new = range(known, count)
        lows = [0.0 if self.low is None else _of(self.low, i) for i in new]
        highs = [base_rate(groups[i], i) if self.high is None else _of(self.high, i) for i in new]
        self.lows += lows
        self.rebase(self.highs + highs)

    def rebase(self, highs: list[float]) -> None:
        """Set the rates at factor 1, one per group."""
        self.highs = highs
        self._spans = [(low, high - low) for low, high in zip(self.lows, highs, strict=True)]
        floors = [min(_of(self.min_lr, i), high) for i, high in enumerate(highs)]
        self._floors = floors if any(floors) else None
        self._plain = not (any(floors) or isinstance(self.sequence, list))


def groups_of(optimizer: Optimizer) -> Groups:
    """Return the optimizer's param groups; TypeError where it is none."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be an Optimizer, got {optimizer!r} ({type(optimizer).__name__})")
    return optimizer.param_groups


def per_group(name: str, value: PerGroup, count: int) -> PerGroup:
    """Return one number ≥ 0 as a float, or a list of one for each group as a new list of floats."""
    if not isinstance(value, (list, tuple)):
        return number(name, value)
    _cover(name, value, count)
    return [number(f"{name}[{i}]", entry) for i, entry in enumerate(value)]


def base_rate(group: dict[str, Any], index: int) -> float:
    """Return a group's base lr: its `initial_lr`, else its lr."""
    return number(f"lr of param group {index}", group.get("initial_lr", group["lr"]))


def read(groups: Groups) -> list[float]:
    """Return the present learning rates."""
    return [real("lr", group["lr"]) for group in groups]


def write(groups: Groups, rates: list[float]) -> None:
    """Write learning rates, into a tensor lr in place."""
    for group, rate in zip(groups, rates, strict=True):
        lr = group["lr"]
        if type(lr) is float or not isinstance(lr, Tensor):
            group["lr"] = rate
        else:
            lr.fill_(rate)


def read_momenta(groups: Groups) -> list[float]:
    """Return the present momenta, `betas[0]` where a group has betas."""
    return [real("momentum", group["betas"][0] if "betas" in group else group["momentum"]) for group in groups]


def write_momenta(groups: Groups, momenta: list[float]) -> None:
    """Write momenta, as `betas[0]` where a group has betas."""
    for group, momentum in zip(groups, momenta):  # noqa: B905  (lengths were compared; strict= costs time)
        if "betas" in group:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum


def typed(groups: Groups, rates: list[float]) -> list[float | Tensor]:
    """Return learning rates in the kind of their groups: a new tensor where the group's lr is one."""
    lrs = [group["lr"] for group in groups] + [0.0] * (len(rates) - len(groups))
    return [torch.full_like(lr, rate) if isinstance(lr, Tensor) else rate for lr, rate in zip(lrs, rates, strict=False)]


def stored_rates(name: str, values: Any, count: int) -> list[float]:
    """Return learning rates of a state dict, one per group; ValueError where their number is another."""
    if not isinstance(values, list) or len(values) != count:
        found = len(values) if isinstance(values, list) else repr(values)
        raise ValueError(f"state: {name} must have one entry per param group: {found} entries for {count} param groups")
    return [real(f"state: {name}", stored(name, value, 0.0)) for value in values]


def stamp(groups: Groups, bases: list[float], *, again: bool = False) -> None:
    """Set `initial_lr` where a group has none, or everywhere."""
    for group, base in zip(groups, bases, strict=True):
        if again or "initial_lr" not in group:
            group["initial_lr"] = base


def track_steps(optimizer: Optimizer, last_epoch: int) -> None:
    """Do what torch's schedulers do to an optimizer: set `initial_lr`, and note calls of `optimizer.step`.

    Raises torch's KeyError where last_epoch ≥ 0 and a group has no `initial_lr`. A step that is no bound method, such
    as a compiled or a partial function, is tracked here, because torch's own tracking fails on it.
    """
    step = optimizer.step
    replaced = not hasattr(step, "_wrapped_by_lr_sched") and not hasattr(step, "__func__")
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


class _Tracker(LRScheduler):
    """torch's constructor without the step that it takes."""

    def _initial_step(self) -> None:
        pass


def _sequences(sequence: Sequence | list[Sequence], count: int) -> Sequence | list[Sequence]:
    if isinstance(sequence, (list, tuple)):
        _cover("sequence", sequence, count)
        return [_one_sequence(entry) for entry in sequence]
    return _one_sequence(sequence)


def _one_sequence(sequence: object) -> Sequence:
    if not isinstance(sequence, Sequence):
        hint = "; for a function use torch's LambdaLR" if callable(sequence) else ""
        raise TypeError(f"sequence must be a lrsched sequence or a list of them, got {sequence!r}{hint}")
    return sequence


def _cover(name: str, value: object, count: int) -> None:
    if isinstance(value, (list, tuple)) and len(value) != count:
        raise ValueError(f"{name} must have one entry per param group: {len(value)} entries for {count} param groups")


def _of(value: PerGroup, index: int) -> float:
    return value[index] if isinstance(value, list) else value
