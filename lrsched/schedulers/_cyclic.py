"""CyclicLR: cycles the learning rate between two limits, and the momentum the opposite way."""

from __future__ import annotations

import copy
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from torch.optim import Optimizer

from .._check import choice, number
from ..sequences import CycleMode, Sequence, Triangular
from ._momentum import _MomentumLR
from ._options import groups_of
from ._rates import PerGroup, Rates
from ._state import storable, stored

ScaleMode = Literal["cycle", "iterations"]


class CyclicLR(_MomentumLR):
    """Cycle the learning rate between two limits, and the momentum the opposite way: torch's CyclicLR in closed form.

    lr = base_lr + (max_lr − base_lr)·f(k), momentum = max_momentum − (max_momentum − base_momentum)·f(k), where f is
    `Triangular(step_size_up, step_size_down, mode, gamma)`, or with scale_fn a triangle 0 → 1 → 0 times scale_fn.

    Call `step()` after each batch. `range_test` finds the limits; Smith advises a step_size_up of 2 to 10 epochs. The
    optimizer must have a momentum, or betas, whose first one is the momentum, unless cycle_momentum is False.

    Args:
        base_lr, max_lr: the lower and the upper learning rate, ≥ 0, each a number or a list with one per param group.
        step_size_up, step_size_down: the `step()` calls from base_lr to max_lr, > 0, and back, ≥ 0. None for the same
            number.
        mode, gamma: "triangular" keeps the height of the cycles, "triangular2" halves it after each cycle, and
            "exp_range" multiplies it by γᵏ, 0 < γ ≤ 1. Both are ignored if there is a scale_fn.
        scale_fn, scale_mode: the height as a function of the number of the cycle, from 1 ("cycle"), or of k
            ("iterations").
        cycle_momentum: whether to cycle the momentum too.
        base_momentum, max_momentum: the momenta at max_lr and at base_lr, ≥ 0, each a number or a list.
        optimizer, last_epoch: see `SequenceLR`.

    Raises TypeError or ValueError if an argument is invalid, before the optimizer is changed.
    Source: Smith (2017), arXiv:1506.01186, section 3.

    >>> import torch
    >>> from lrsched import CyclicLR
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    >>> scheduler = CyclicLR(optimizer, base_lr=0.0, max_lr=1.0, step_size_up=2)
    >>> optimizer.step(), scheduler.step(), scheduler.get_last_lr(), optimizer.param_groups[0]["momentum"]
    (None, None, [0.5], 0.8500000000000001)
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: PerGroup,
        max_lr: PerGroup,
        step_size_up: float = 2000,
        step_size_down: float | None = None,
        mode: CycleMode = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: ScaleMode = "cycle",
        cycle_momentum: bool = True,
        base_momentum: PerGroup = 0.8,
        max_momentum: PerGroup = 0.9,
        last_epoch: int = -1,
    ) -> None:
        number("step_size_up", step_size_up, above=0.0)
        number("step_size_down", 0.0 if step_size_down is None else step_size_down)
        triangle = Triangular(step_size_up, step_size_down, mode if scale_fn is None else "triangular", gamma)
        sequence = _scaled(triangle, scale_fn, scale_mode)
        rates = Rates([0.0] * len(groups_of(optimizer)), sequence, limits={"base_lr": base_lr, "max_lr": max_lr})
        self._set_momenta(optimizer, cycle_momentum, sequence, base_momentum, max_momentum)
        self._scale_fn = scale_fn
        self._start(optimizer, rates, last_epoch)

    @property
    def max_lrs(self) -> list[float]:
        """The upper limit of each param group."""
        return [*self._rates.highs]

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain Python, with the momenta and, if scale_fn is an object, its `__dict__`."""
        inside = _attributes(self._scale_fn)
        is_object = inside is not None and not isinstance(self._scale_fn, types.FunctionType)
        scale_fn = storable(copy.deepcopy(inside)) if is_object else None
        return {**super().state_dict(), "scale_fn": scale_fn}

    def _parsed(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        scale_fn = state_dict["scale_fn"]
        inside = {} if scale_fn is None else stored("state: scale_fn", scale_fn, {})
        return {**super()._parsed(state_dict), "scale_fn": inside}

    def _restore(self, parsed: dict[str, Any]) -> None:
        super()._restore(parsed)
        inside = _attributes(self._scale_fn)
        if inside is not None:
            inside.update(copy.deepcopy(parsed["scale_fn"]))


@dataclass(frozen=True)
class _ScaledTriangle(Sequence):
    """A triangle times a user's function of the number of the cycle, from 1, or of k."""

    triangle: Triangular
    scale_fn: Callable[[float], float] = field(repr=False)
    scale_mode: ScaleMode

    def _at(self, k: int) -> float:
        cycle = k // self.triangle.period + 1
        return self.triangle._at(k) * self.scale_fn(cycle if self.scale_mode == "cycle" else k)


def _scaled(triangle: Triangular, scale_fn: Callable[[float], float] | None, scale_mode: ScaleMode) -> Sequence:
    """Return the triangle, times the user's function if there is one."""
    scale_mode = choice("scale_mode", scale_mode, get_args(ScaleMode))
    if scale_fn is None:
        return triangle
    if not callable(scale_fn):
        raise TypeError(f"scale_fn must be a function, got {scale_fn!r}")
    return _ScaledTriangle(triangle, scale_fn, scale_mode)


def _attributes(scale_fn: object) -> dict[str, Any] | None:
    """Return the attributes of a user's function, to read or to change; None if it has none."""
    inside = getattr(scale_fn, "__dict__", None)
    return inside if isinstance(inside, dict) else None
