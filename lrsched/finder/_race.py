"""race(): start a training at several learning rates, and continue with the best."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as Items
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from .._check import flag
from .._functions import (
    Callback,
    LossFn,
    MakeOptimizer,
    as_loss_fn,
    made_optimizer,
    modes_kept,
    module_of,
    put_in_train_mode,
)
from .._owned import RANDOM, owned
from ..ensembles._ensemble import Vectorize
from ..ensembles._equivalence import obstacle, unprofitable
from ..schedulers._groups import read
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
    checked_own_rate,
    checked_race_lrs,
)
from ._race_handover import handed_over, retreats
from ._race_heats import Heats, Judge, Passes, Plan
from ._race_members import Members
from ._race_ranks import Ranks
from ._race_recipe import Places, Recipe
from ._race_result import Race
from ._race_spread import spread
from ._race_verdict import rises_later, verdict
from ._snapshot import Saved

_FEW = 7  # on a CPU, stacking up to this many members saves at most a tenth of a training, and costs the last bits
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
    progress: bool = False,
) -> Race:
    """Start a training at several learning rates, drop the worse ones early, and return the winner to continue with.

    Every member trains as the whole training would: from the model's weights, on the same batches with the same random
    numbers, with the rate lr · sequence(k) at step k. After each rung the best `keep` stay. The winner's weights and
    buffers become the model's, and its optimizer continues at `position`:

        sequence = Warmup(steps // 20) * Linear(steps)
        start = race(model, make_optimizer, loss_fn, loader, sequence, steps=steps, eval_batches=valid)
        scheduler = SequenceLR(start.optimizer, sequence, last_epoch=start.position - 1)
        batches = chain(start.batches, chain.from_iterable(repeat(loader)))  # the rest of this pass, then new passes
        for batch in islice(batches, steps - start.position):
            ...  # your training loop, with scheduler.step() after each optimizer.step()

    With the default six members, race and the rest of the training take 1.28 times the optimizer steps of one training.
    If members train one after another, the result is bit for bit that of training at the winner's rate from the start.
    Side by side, it differs by rounding.

    Expect a race to do no better than a schedule whose rate was tuned. You must know the length of the training, since
    the best rate depends on it. The winner is the best after an eighth of the steps, which may not be the best at the
    end. The first rungs may lie in the warm-up; the last one should not. If the loss diverges later, `start.retreat()`
    goes back to the next lower rate.

    On 24 tiny tasks of 500 steps, races without `lrs` led to 1.14 times the test loss of a schedule tuned over ten
    rates, and at equal steps to 1.27 times (geometric means). At equal steps they were worst at fine-tuning with a best
    rate far below the optimizer's own (up to 6.8 times) and with 91 validation samples (2.6 times); see docs/race.md.

    What to train:
        model: the module. If it is in eval mode, it is put in train mode. If it is in train mode, parts of it that are
            in eval mode stay in eval mode.
        make_optimizer: make_optimizer(params) -> a new optimizer. Its first param group takes the learning rates; the
            other groups keep their ratio to it.
        loss_fn: loss_fn(model, batch) -> scalar tensor, or a loss module of torch such as `nn.CrossEntropyLoss()`.
        batches: the training batches. They are drawn one at a time, none ahead; when they end, they start over, unless
            they come from an iterator. `start.batches` has the rest.
        sequence: the sequence of the whole training, counted in optimizer steps.
        lrs: the learning rates, different, finite and > 0; by default six around the optimizer's own: 0.01, 0.1, 1,
            3.2, 10 and 32 times it for SGD with momentum; 0.01, 1, 10, 32, 100 and 316 times without; otherwise 0.01,
            0.1, 1, 10, 32 and 100 times.
        steps: the optimizer steps of the whole training, an integer ≥ 1.

    How to choose:
        rungs: increasing shares of `steps`, in (0, 1], after which members leave.
        keep: how many members stay after each rung, decreasing to 1: those with the lowest losses. With lrs=None,
            there are more rules. Losses count as equal to the lowest one within a margin: 5 % of how far the lowest
            loss lies below the untrained one. The lowest rate among these is the best; while the sequence rises, it
            stays together with the next lower rates. Before the last rung, if no loss has fallen by 1 %, the highest
            rates whose loss has not risen by 1 % stay, as the others may never start to learn.
        judge: "average" is the loss on `eval_batches` of averaged weights: their mean over the second half of the steps
            since the last rung, which imitates a decayed rate. "valid" is the loss on `eval_batches` of the last
            weights. "train" is the mean training loss over that second half. With "average" and lrs=None, the last rung
            takes the higher of the losses of the averaged and of the last weights.
        eval_batches: validation batches, evaluated in eval mode at each rung; None only with judge="train".

    How to train:
        vectorize: "auto" (side by side on an accelerator; on a CPU only more than seven members of a small network
            without convolutions), True (side by side whenever possible) or False (one after another).
        chunk: the most members to train side by side, an integer ≥ 1, to limit memory; None for all.

    Other:
        extra: random generators to advance as in one training, and other objects to restore if an exception is raised,
            as for `snapshot`.
        callback: callback(k, lr, loss), called after each rung at step k for each member that was in it; NaN if
            its training diverged.
        progress: whether to show progress: a bar if tqdm is installed, otherwise lines on stderr. Of several
            processes, only rank 0 shows it.

    With `torch.distributed`, every rank must make the same call with the same batches. The members are divided among
    the ranks, and all ranks get the winner; `model` may be in DistributedDataParallel.

    Members share the attributes of modules other than parameters and buffers. If an exception is raised, Ctrl-C
    included, everything that `snapshot` covers is restored; batches taken from an iterator are lost.

    Raises:
        TypeError, ValueError: if an argument is invalid, before anything is changed.
        ValueError: if there are too few batches, or if training diverged at every learning rate.

    Source: successive halving (Jamieson and Talwalkar, 2016), on the training itself.

    >>> import torch
    >>> from lrsched import Linear, Warmup, race
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Linear(2, 1)
    >>> batch = torch.eye(2), torch.tensor([[1.0], [-1.0]])
    >>> start = race(
    ...     model,
    ...     lambda params: torch.optim.SGD(params, lr=0.1),
    ...     torch.nn.MSELoss(),
    ...     [batch],
    ...     Warmup(12) * Linear(240),
    ...     [0.01, 0.1, 0.5, 10.0],
    ...     steps=240,
    ...     eval_batches=[batch],
    ... )
    >>> start.lr, start.position, start.optimizer.param_groups[0]["lr"] == start.lr * Linear(240)(30)
    (0.5, 30, True)
    """
    marks = checked_marks(rungs, steps)
    stay, chosen = checked_keep(keep, len(marks)), checked_judge(judge, eval_batches)
    given, most = None if lrs is None else checked_race_lrs(lrs), checked_chunk(chunk, vectorize)
    check_sequence(sequence)
    check_kinds(model, make_optimizer, batches, eval_batches, extra, callback)
    progress = flag("progress", progress)
    loss_fn = as_loss_fn(loss_fn)
    bare = model.module if isinstance(model, DistributedDataParallel) else model
    optimizer = made_optimizer(make_optimizer, bare)
    rates, by_position = _rates(optimizer, given, sequence)
    sources, implied = (batches, eval_batches), module_of(loss_fn)
    saved = Saved(model, optimizer, extra, sources=sources, implied=implied, functions=[loss_fn])
    try:
        if eval_batches is not None and hasattr(eval_batches, "__next__"):
            eval_batches = list(eval_batches)  # each rung iterates it
        rising = [rises_later(sequence, mark, steps) for mark in marks] if lrs is None else None
        plan = Plan(rates, by_position, marks, stay, chosen, eval_batches, callback, rising, progress)
        recipe, passes = _recipe(bare, make_optimizer, loss_fn, optimizer, extra), Passes(batches, marks[-1])
        with torch.enable_grad(), modes_kept(bare):
            put_in_train_mode(bare)
            heats, why_not = _prepared(recipe, plan, passes, vectorize, most, saved)
            losses = heats.run()
        saved.check_frozen()
        text = verdict(rates, losses, heats.winner, sequence, marks, steps, heats.untrained, heats.present)
        optimizer = handed_over(heats)
    except BaseException:
        saved.close()
        raise
    return _result(heats, losses, text, why_not, optimizer)


def _result(heats: Heats, losses: np.ndarray, text: str, why_not: str, optimizer: Optimizer) -> Race:
    plan = heats.plan
    return Race(
        plan.lrs,
        plan.marks,
        losses,
        plan.lrs[heats.winner],
        plan.marks[-1],
        "one after another" if why_not else "side by side",
        f"{text}; one after another: {why_not}" if why_not else text,
        optimizer=optimizer,
        batches=heats.passes.current,
        retreats=retreats(heats, optimizer),
    )


def _rates(optimizer: Optimizer, lrs: list[float] | None, sequence: Sequence) -> tuple[list[float], list[Rates]]:
    """Return the members' learning rates, and those of each one's param groups by position."""
    ratios = ratios_to_first(optimizer, "make_optimizer", "give the first group an lr > 0")
    rates = spread(optimizer, checked_own_rate(read(optimizer))) if lrs is None else lrs
    return rates, [Rates([rate * ratio for ratio in ratios], sequence) for rate in rates]


def _recipe(
    model: nn.Module, make_optimizer: MakeOptimizer, loss_fn: LossFn, optimizer: Optimizer, extra: Items[object]
) -> Recipe:
    """Return what members have in common."""
    generators = [value for value in extra if isinstance(value, RANDOM)]
    used = owned([model, loss_fn]).generators
    places = Places([model, *module_of(loss_fn)], optimizer)
    return Recipe(model, make_optimizer, loss_fn, places, [*generators, *used])


def _prepared(
    recipe: Recipe, plan: Plan, passes: Passes, vectorize: Vectorize, chunk: int | None, saved: Saved
) -> tuple[Heats, str]:
    """Return the heats with this rank's members, and why these train one after another, or ""."""
    ranks = Ranks()
    mine = ranks.share(len(plan.lrs))
    found: list[tuple[Members, str]] = []

    def prepare() -> None:
        reason = _why_not_stacked(recipe, vectorize, len(mine), passes, saved)
        found.append((Members(recipe, len(mine), 0 if reason else chunk or len(mine)), reason))

    ranks.each(prepare)
    members, why_not = found[0]
    apart = _APART if vectorize == "auto" and _on_cpu(recipe.model) and not why_not else 0
    return Heats(plan, recipe, members, mine, passes, ranks, apart), why_not


def _why_not_stacked(recipe: Recipe, vectorize: Vectorize, count: int, passes: Passes, saved: Saved) -> str:
    """Return why this rank's members train one after another, or "" if they train side by side."""
    if vectorize is False:
        return "vectorize=False"
    if count == 1:
        return "there is only one"
    if vectorize == "auto":
        if _on_cpu(recipe.model) and count <= _FEW:
            return f"on a CPU, up to {_FEW} members gain little from training side by side"
        if reason := unprofitable(recipe.model):
            return reason
    first = passes.first()
    rewind = recipe.random_state()
    reason = obstacle(recipe.model, recipe.make_optimizer, recipe.loss_fn, first)
    saved.restore(random=False)
    put_in_train_mode(recipe.model)
    rewind()
    return reason or ""


def _on_cpu(model: nn.Module) -> bool:
    return next(model.parameters()).device.type == "cpu"
