"""Param groups: reading and writing an optimizer's learning rates, and noticing who else wrote them.

Only this module and `_options` touch a group, and no group is kept: `add_param_group` and `optimizer.load_state_dict`
may replace it. Functions that a scheduler's step calls take the optimizer, not its groups, and name no module of torch.
Otherwise torch.compile would trace each of them in a graph of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence as Items
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from .._check import number, real
from ._options import added_groups, base_values, check_dtype, groups_of, read_option
from ._rates import Rates

Marks = list[Any]  # what each group's lr was when it was written: the float itself, or a TensorMark


@dataclass(slots=True)
class TensorMark:
    """A tensor lr as it was written; not a tuple, since torch.compile would look for tensors in one, and trace."""

    lr: Tensor
    version: int
    rate: float


def adopted(optimizer: Optimizer, rates: Rates, k: int, warmup: float = 1.0) -> Rates:
    """Return the rates, extended to the groups that were added since position k was written.

    A new group's present rate is its rate at k, unless it brings an `initial_lr`, which is then its base lr. If its
    factor at k is 0, its present rate is its base lr. Raises ValueError if a group is missing, or if a list of the
    settings does not cover the new groups.
    """
    known = rates.count
    new = added_groups(optimizer, known)
    if not new:
        return rates
    scales = rates.scales + [1.0] * len(new)
    if rates.limits:
        return rates.with_bases(rates.bases + [0.0] * len(new), scales)
    grown = rates.with_bases(rates.bases + base_values(optimizer, "lr", known), scales)
    for i, (group, factor) in enumerate(zip(new, grown.factors(k)[known:], strict=True), known):
        if "initial_lr" not in group:
            scales[i] = _ratio(1.0, warmup * factor)
    return grown.with_bases(grown.bases, scales)


def scaled_to_present(optimizer: Optimizer, rates: Rates) -> Rates:
    """Return the rates scaled to the optimizer's present ones: scale = present / base, or 1 if either is 0."""
    scales = [_ratio(present, base) for present, base in zip(read(optimizer), rates.bases, strict=True)]
    return rates.with_bases(rates.bases, scales)


def heard(optimizer: Optimizer, rates: Rates, written: list[float], first: int) -> Rates:
    """Return the rates scaled by what others have made of those written last, from the `first` group on.

    scale ← scale · present / written. If either is 0 there is nothing to scale. But if the group's `initial_lr` is new
    or is its lr, as `set_lr` leaves it, that is its base lr.
    """
    bases, scales = list(rates.bases), list(rates.scales)
    for i, group in enumerate(optimizer.param_groups[first:], first):
        check_dtype(i, "lr", group["lr"])
        present, last = real("lr", group["lr"]), rounded(written[i], group["lr"])
        base = real("initial_lr", group.get("initial_lr", bases[i]))
        if last == 0.0 and present != last and (base != bases[i] or present == rounded(base, group["lr"])):
            bases[i], scales[i] = number(f"initial_lr of param group {i}", base), 1.0
        elif present != last:
            scaled = scales[i] * _ratio(present, last)
            scales[i] = scaled if 0.0 < scaled < math.inf else scales[i]
    return rates.with_bases(bases, scales)


def _ratio(numerator: float, denominator: float) -> float:
    """Return the ratio; 1 if it is not a positive finite number."""
    ratio = numerator / denominator if denominator else 0.0
    return ratio if 0.0 < ratio < math.inf else 1.0


def rounded(rate: float, lr: object) -> float:
    """Return a rate as the group's lr holds it: rounded if that is a tensor of lower precision."""
    return float(torch.tensor(rate, dtype=lr.dtype)) if isinstance(lr, Tensor) else rate


def read(optimizer: Optimizer) -> list[float]:
    """Return the current learning rates."""
    return read_option(optimizer, "lr")


def write(optimizer: Optimizer, rates: list[float], marks: Marks | None = None) -> Marks:
    """Write learning rates into the first groups; fill a tensor lr in place. Return a mark of each.

    With the marks of the last write, looks before it writes, and stops at the first group that somebody else may have
    written, so that fewer marks come back. Looking costs no synchronisation with a GPU: a float must be the very object
    that was written; a tensor must be the same object with the same version counter.
    """
    if marks is None:
        return _write_each(optimizer, rates)
    triples = zip(optimizer.param_groups, rates, marks)  # noqa: B905  (strict= costs time, and each step comes here)
    for group, rate, mark in triples:  # the usual case: every lr is a float that nobody else has written
        if group["lr"] is not mark:
            break
        group["lr"] = rate
    else:
        return rates
    at_first = group is optimizer.param_groups[0]
    written = 0 if at_first else len(rates) - 1 - len(list(triples))
    return _write_each(optimizer, rates, marks, written)


def _write_each(optimizer: Optimizer, rates: list[float], marks: Marks | None = None, written: int = 0) -> Marks:
    """Write learning rates, tensors included, after the groups that are written already; stop as `write` does."""
    new: Marks = rates[:written]
    triples = zip(optimizer.param_groups, rates, marks or rates)  # noqa: B905  (strict= costs time)
    for group, rate, mark in islice(triples, written, None) if written else triples:
        lr = group["lr"]
        if type(mark) is TensorMark and mark.lr is lr:  # the tensor that was written last
            if mark.version != lr._version:
                break
            if mark.rate != rate:
                lr.fill_(rate)
                mark.version, mark.rate = lr._version, rate
            new.append(mark)
        elif marks is not None and lr is not mark:
            break
        elif isinstance(lr, Tensor):
            lr.fill_(rate)
            new.append(TensorMark(lr, lr._version, rate))
        else:
            group["lr"] = rate
            new.append(rate)
    return new


def assign(optimizer: Optimizer, lrs: list[float | Tensor]) -> None:
    """Put any learning rates into the groups, as torch's schedulers do: fill a tensor lr in place, replace another."""
    for group, lr in zip(optimizer.param_groups, lrs, strict=True):
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(lr.squeeze() if isinstance(lr, Tensor) else lr)
        else:
            group["lr"] = lr


def set_lr(optimizer: Optimizer, lr: float | Items[float]) -> None:
    """Set the learning rate of the first param group; the others keep their ratio to it.

    Sets `initial_lr` too, so a scheduler that is made later starts from here. Schedulers of this package that are
    already attached continue from here, as if they had led to this rate. Tensors are filled in place.

    Args:
        optimizer: the optimizer.
        lr: the rate of the first group, or a list with one rate per param group; finite and ≥ 0.

    Raises TypeError or ValueError, and changes nothing, if lr is invalid or the groups have no ratio to keep.

    >>> import torch
    >>> from lrsched import set_lr
    >>> head, body = (torch.zeros(1, requires_grad=True) for _ in range(2))
    >>> optimizer = torch.optim.SGD([{"params": [head], "lr": 1.0}, {"params": [body], "lr": 0.25}])
    >>> set_lr(optimizer, 0.5)
    >>> [group["lr"] for group in optimizer.param_groups]
    [0.5, 0.125]
    """
    groups = groups_of(optimizer)
    if isinstance(lr, (list, tuple)):
        if len(lr) != len(groups):
            raise ValueError(
                f"lr must have one entry per param group: {len(lr)} entries for {len(groups)} param groups"
            )
        rates = [number(f"lr[{i}]", rate) for i, rate in enumerate(lr)]
    else:
        first = number("lr", lr)
        rates = [first * ratio for ratio in _ratios(read(optimizer))]
    write(optimizer, rates)
    scheduled = ["initial_lr" in group for group in groups]
    for group, rate, known in zip(groups, rates, scheduled, strict=True):
        if known or not any(scheduled):  # a new group that a scheduler has yet to adopt stays without one
            group["initial_lr"] = rate


def _ratios(present: list[float]) -> list[float]:
    """Return each rate over the first one."""
    if len(set(present)) == 1:
        return [1.0] * len(present)
    if present[0] == 0.0:
        raise ValueError("lr must be a list with one rate per param group if the first group's lr is 0")
    return [rate / present[0] for rate in present]


def typed(optimizer: Optimizer, rates: list[float]) -> list[float | Tensor]:
    """Return each learning rate in the type of its group's: a new tensor if the group's lr is a tensor."""
    lrs: list[float | Tensor] = list(rates)
    for i, (group, rate) in enumerate(zip(optimizer.param_groups, rates, strict=False)):
        if isinstance(group["lr"], Tensor):
            lrs[i] = torch.full_like(group["lr"], rate)
    return lrs
