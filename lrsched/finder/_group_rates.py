"""The learning rates of all param groups: a test sets the first group's, and the others keep their ratio to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from .._check import choice, number
from ..schedulers._groups import read
from ..sequences._finite import Ramp, RampScale
from ._smoothing import Array

GroupLrs = Literal["ratio", "same"]


def rates_of_groups(
    optimizer: Any,
    start: float,
    end: float,
    steps: int,
    scale: RampScale,
    group_lrs: GroupLrs | Sequence[Any],
) -> Array:
    """Return the learning rates of a range test, shape (points, groups), for an optimizer or an OptimizerList."""
    count = len(optimizer.param_groups)
    if isinstance(group_lrs, (list, tuple)):
        return _given_rates(group_lrs, count, steps, scale)
    if choice("group_lrs", group_lrs, get_args(GroupLrs)) == "ratio":
        ratios = ratios_to_first(optimizer, "group_lrs", 'pass "same" or a list of (start, end)')
    else:
        ratios = [1.0] * count
    return np.multiply.outer(_ramp("", start, end, steps, scale), ratios)


def ratios_to_first(optimizer: Any, name: str, remedy: str) -> list[float]:
    """Return each group's learning rate divided by the first group's.

    Raises ValueError if the first group's rate is 0 and another group's is not; the message begins with the argument's
    name and ends with the remedy.
    """
    rates = read(optimizer)
    if len(set(rates)) == 1:
        return [1.0] * len(rates)
    if rates[0] == 0.0:
        raise ValueError(
            f"{name}: the lr of the first param group is 0, so the other groups have no ratio to it; {remedy}"
        )
    return [rate / rates[0] for rate in rates]


def _given_rates(pairs: Sequence[Any], count: int, steps: int, scale: RampScale) -> Array:
    if len(pairs) != count:
        raise ValueError(f"group_lrs must have one (start, end) per param group, got {len(pairs)} for {count} groups")
    for i, pair in enumerate(pairs):
        if not (isinstance(pair, (list, tuple)) and len(pair) == 2):
            raise TypeError(f"group_lrs[{i}] must be a pair (start, end), got {pair!r}")
    ramps = [_ramp(f"group_lrs[{i}]: ", start, end, steps, scale) for i, (start, end) in enumerate(pairs)]
    return np.stack(ramps, axis=1)


def _ramp(prefix: str, start: object, end: object, steps: int, scale: RampScale) -> Array:
    low = number(f"{prefix}start_lr", start, above=0.0)
    ramp = Ramp(low, number(f"{prefix}end_lr", end, above=low), steps, scale)
    return ramp.values(ramp.steps)
