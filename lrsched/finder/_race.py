"""race(): start a training at several learning rates, and continue with the best."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as Items
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from .._functions import Callback, LossFn, MakeOptimizer, as_loss_fn, modes_kept, module_of
from ..ensembles._ensemble import Vectorize
from ..ensembles._equivalence import obstacle, unprofitable
from ..schedulers._groups import read, write
from ..schedulers._rates import Rates
from ..sequences._sequence import Sequence
from ._group_rates import ratios_to_first
from ._race_arguments import (
    check_kinds,
    check_sequence,
    checked_chunk,
    checked_judge,
    checked_keep,
    checked_marks,
    checked_optimizer,
    checked_own_rate,
    checked_race_lrs,
)
from ._race_heats import Heats, Judge, Leaver, Passes, offloaded
from ._race_members import Members, Places, Recipe
from ._race_ranks import Ranks
from ._race_result import Race, Retreat
from ._race_spread import spread
from ._race_verdict import verdict
from ._snapshot import Saved
from ._undo import RANDOM

_FEW = 7  # on a CPU, stacking up to this many members saves less than a twentieth of a run, and costs the last bits
_APART = 3  # up to this many members left, a CPU trains them faster one after another


def race(
    model: nn.Module,
    make_optimizer: MakeOptimizer,
    loss_fn: LossFn,
    batches: Iterable[Any],
    sequence: Sequence,
    lrs: Items[float] | np.ndarray | None = None,
    *,
    steps: int,
    rungs: Items[float] = (1 / 32, 1 / 16, 1 / 8),
    keep: Items[int] = (3, 2, 1),
    judge: Judge = "average",
    eval_batches: Iterable[Any] | None = None,
    vectorize: Vectorize = "auto",
    chunk: int | None = None,
    extra: Items[object] = (),
    callback: Callback | None = None,
) -> Race:
    """Start the training at several learning rates, drop the worse ones early, and return the winner, to continue with.
    """
    chosen = checked_judge(judge, eval_batches)
    marks = checked_marks(rungs, steps)
    stay = checked_keep(keep, len(marks))
    rates = None if lrs is None else checked_race_lrs(lrs)
    most = checked_chunk(chunk, vectorize)
    check_sequence(sequence)
    check_kinds(model, make_optimizer, batches, eval_batches, extra, callback)
    called = as_loss_fn(loss_fn)
    bare = model.module if isinstance(model, DistributedDataParallel) else model
    optimizer = checked_optimizer(make_optimizer(list(bare.parameters())))
    ratios = ratios_to_first(optimizer, "make_optimizer", "give the first group an lr > 0")
    rates = spread(optimizer, checked_own_rate(read(optimizer))) if rates is None else rates
    if hasattr(eval_batches, "__next__"):
        eval_batches = list(eval_batches)  # each rung goes through it
    saved = Saved(model, optimizer, extra, sources=(batches, eval_batches), implied=module_of(called))
    try:
        generators = [value for value in extra if isinstance(value, RANDOM)]
        places = Places([bare, *module_of(called)], optimizer)
        recipe = Recipe(bare, make_optimizer, called, places, generators)
        with torch.enable_grad(), modes_kept(bare):
            if not bare.training:  # as validation or from_pretrained() leave it
                bare.train()
            passes = Passes(batches, marks[-1])
            ranks = Ranks()
            mine = ranks.share(len(rates))
            why_not = _why_not_stacked(recipe, vectorize, len(mine), passes, saved)
            members = Members(recipe, len(mine), 0 if why_not else most or len(mine))
            bases = [Rates([rate * ratio for ratio in ratios], sequence) for rate in rates]
            apart = _APART if vectorize == "auto" and _on_cpu(bare) and not why_not else 0
            heats = Heats(recipe, members, mine, rates, bases, passes, chosen, eval_batches, ranks, apart)
            losses = heats.run(marks, stay, callback)
            optimizer = _handed_over(heats, marks[-1])
            winner = heats.racing[0]
            reason = verdict(rates, losses, winner, sequence, marks, steps, heats.first_loss)
            result = Race(
                rates,
                marks,
                losses,
                rates[winner],
                marks[-1],
                "one after another" if why_not else "side by side",
                f"{reason}; {why_not}" if why_not else reason,
                optimizer=optimizer,
                batches=passes.current,
                retreats=_retreats(heats, optimizer),
            )
    except BaseException:
        saved.close()
        raise
    return result


def _why_not_stacked(recipe: Recipe, vectorize: Vectorize, count: int, passes: Passes, saved: Saved) -> str:
    """Return why this rank's members train one after another, or "" if they train side by side."""
    if vectorize is False:
        return "one after another: vectorize=False"
    if count == 1:
        return "one after another: there is one member"
    if vectorize == "auto":
        if _on_cpu(recipe.model) and count <= _FEW:
            return f"one after another: on a CPU, up to {_FEW} members gain little from training side by side"
        if reason := unprofitable(recipe.model):
            return f"one after another: {reason}"
    first = passes.first()
    rewind = recipe.random_state()
    reason = obstacle(recipe.model, recipe.make_optimizer, recipe.loss_fn, first)
    saved.restore(random=False)
    rewind()
    return f"one after another: {reason}" if reason else ""


def _on_cpu(model: nn.Module) -> bool:
    return next(model.parameters()).device.type == "cpu"


def _handed_over(heats: Heats, position: int) -> Optimizer:
    """Give the model the winner's weights and buffers, and return its optimizer."""
    winner, places, members = heats.racing[0], heats.recipe.places, heats.members
    if heats.ranks.size == 1:
        places.put(members.state(0).tensors)
        optimizer = members.optimizer(0)
    else:
        mine = heats.mine.index(winner) if winner in heats.mine else 0
        standing = heats.ranks.from_owner(winner, lambda: offloaded(members.state(mine), copied=True))
        places.put(standing.tensors)
        optimizer = heats.recipe.optimizer()
        optimizer.load_state_dict(standing.optimizer)
    _set_rates(optimizer, heats.rates[winner], position)
    return optimizer


def _set_rates(optimizer: Optimizer, rates: Rates, position: int) -> None:
    """Set the rates at a position, and the base rates, from which any scheduler continues."""
    write(optimizer, rates.at(position))
    for group, base in zip(optimizer.param_groups, rates.bases, strict=True):
        group["initial_lr"] = base


def _retreats(heats: Heats, optimizer: Optimizer) -> list[Retreat]:
    """Return the members that can be gone back to, in ascending order of their learning rates."""
    lrs, places, ranks = heats.lrs, heats.recipe.places, heats.ranks
    lower = [leaver for leaver in heats.leavers if lrs[leaver.member] < lrs[heats.racing[0]]]

    def restore(leaver: Leaver, rates: Rates) -> None:
        standing = ranks.from_owner(leaver.member, lambda: leaver.standing)
        assert standing is not None
        places.put(standing.tensors)
        optimizer.load_state_dict(standing.optimizer)
        _set_rates(optimizer, rates, leaver.mark)
        leaver.rewind()

    return [
        Retreat(lrs[leaver.member], leaver.mark, partial(restore, leaver, heats.rates[leaver.member]))
        for leaver in sorted(lower, key=lambda leaver: lrs[leaver.member])
    ]
