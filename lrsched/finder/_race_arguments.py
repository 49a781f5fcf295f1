"""The checks of race()'s arguments."""

from __future__ import annotations

from collections.abc import Sequence as Items
from itertools import pairwise
from typing import get_args

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from .._check import choice, integer, items, number, refuse, shown
from ..ensembles._ensemble import check_vectorize
from ..schedulers._rates import one_sequence
from ._race_heats import Judge
from ._sweep_result import checked_lrs


def checked_marks(rungs: object, steps: object) -> list[int]:
    """Return the steps after which members leave: each rung's share of `steps`, rounded."""
    total = integer("steps", steps, low=1)
    shares = [number(f"rungs[{i}]", rung, above=0.0, high=1.0) for i, rung in enumerate(items("rungs", rungs))]
    if not shares or any(after <= before for before, after in pairwise(shares)):
        raise ValueError(f"rungs must be increasing shares of steps, at least one, got {shares}")
    marks = [round(share * total) for share in shares]
    if marks[0] < 1 or any(after <= before for before, after in pairwise(marks)):
        text = ", ".join(f"{share:g}" for share in shares)
        raise ValueError(
            f"steps must be enough for every rung to come at least 1 step after the one before: the rungs {text} of "
            f"{total} steps are the steps {marks}; raise steps or give fewer rungs"
        )
    return marks


def checked_keep(keep: object, rungs: int) -> list[int]:
    """Return the numbers of members that stay after each rung."""
    numbers = [integer(f"keep[{i}]", count, low=1) for i, count in enumerate(items("keep", keep))]
    if len(numbers) != rungs:
        raise ValueError(f"keep must have one number per rung: {len(numbers)} numbers for {rungs} rungs")
    if any(after >= before for before, after in pairwise(numbers)) or numbers[-1] != 1:
        raise ValueError(f"keep must be decreasing integers, the last one 1, got {numbers}")
    return numbers


def checked_race_lrs(lrs: object) -> list[float]:
    """Return the learning rates as floats, after checking that they differ."""
    rates = checked_lrs(lrs)
    if len(set(rates)) < len(rates):
        raise ValueError(f"lrs must be different learning rates, got {rates}")
    return rates


def check_sequence(sequence: object) -> None:
    """Raise TypeError unless the argument is a Sequence."""
    if isinstance(sequence, LRScheduler):
        raise TypeError(
            f"sequence must be a Sequence, got a {type(sequence).__name__}: pass the sequence itself, and make the "
            "scheduler after the race, for its optimizer"
        )
    if isinstance(sequence, (list, tuple)):
        refuse("sequence", "one Sequence, for all param groups", sequence)
    one_sequence("sequence", sequence)


def checked_judge(judge: object, eval_batches: object) -> Judge:
    """Return what to judge by, after checking that there is what it needs."""
    chosen: Judge = choice("judge", judge, get_args(Judge))
    if eval_batches is None and chosen != "train":
        raise ValueError(
            f"judge={chosen!r} needs eval_batches, got None: pass validation batches, or judge='train' to judge by the "
            "training loss"
        )
    return chosen


def check_kinds(
    model: object, make_optimizer: object, batches: object, eval_batches: object, extra: object, callback: object
) -> None:
    """Raise TypeError if an argument is of the wrong kind."""
    if not isinstance(model, nn.Module):
        refuse("model", "a torch.nn.Module", model)
    if isinstance(make_optimizer, Optimizer):
        name = type(make_optimizer).__name__
        raise TypeError(
            f"make_optimizer must be a function make_optimizer(params) -> optimizer, got a {name}; write "
            f"lambda params: torch.optim.{name}(params, ...)"
        )
    if not callable(make_optimizer):
        refuse("make_optimizer", "callable", make_optimizer)
    if callback is not None and not callable(callback):
        refuse("callback", "callable", callback)
    for name, value in {"batches": batches, "eval_batches": eval_batches}.items():
        if value is None and name == "eval_batches":
            continue
        if isinstance(value, (list, tuple)) and not value:
            raise ValueError(f"{name} must have at least one batch, got none")
        if isinstance(value, str) or not (hasattr(value, "__iter__") or hasattr(value, "__getitem__")):
            refuse(name, "an iterable of batches", value)
    if not isinstance(extra, (list, tuple)):
        raise TypeError(f"extra must be a list or tuple of objects, got {shown(extra)}")


def checked_chunk(chunk: object, vectorize: object) -> int | None:
    """Return the most members to train side by side, or None for all."""
    check_vectorize(vectorize)
    return None if chunk is None else integer("chunk", chunk, low=1)


def checked_own_rate(rates: Items[float]) -> float:
    """Return the rate of the first param group, which the members are spread around."""
    if rates[0] <= 0.0:
        raise ValueError(
            f"lrs: None spreads the members around the optimizer's own lr, which must be > 0, got {rates[0]:g}; give "
            "make_optimizer an lr, or pass lrs"
        )
    return rates[0]
