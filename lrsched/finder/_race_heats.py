"""The heats of a race: all members train up to a rung, are judged, and the best stay."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._pytree import tree_map

from .._functions import Callback
from .._progress import Advance, progress_bar
from ..schedulers._rates import Rates
from ._race_choice import best, careful
from ._race_members import Members
from ._race_ranks import Ranks
from ._race_recipe import Recipe, Standing

Judge = Literal["average", "valid", "train"]  # what a race judges its members by
Array = NDArray[np.float64]

_BLOWN_UP = 100.0  # times the loss of the untrained model: a member above that has diverged


class Passes:
    """The batches, pass after pass, drawn one at a time; `current` is the pass that the last one came from."""

    def __init__(self, batches: Iterable[Any], needed: int) -> None:
        self._batches = batches
        self._needed = needed
        self._drawn = 0
        self._ahead: list[Any] = []
        self.current: Iterator[Any] = iter(batches)

    def first(self) -> Any:
        """Return the first batch, which the first `draw()` returns again."""
        self._ahead.append(self.draw())
        return self._ahead[0]

    def draw(self) -> Any:
        """Return the next batch. Raises ValueError if there is none."""
        if self._ahead:
            return self._ahead.pop()
        try:
            batch = next(self.current)
        except StopIteration:
            batch = self._first_of_next_pass()
        self._drawn += 1
        return batch

    def _first_of_next_pass(self) -> Any:
        if not hasattr(self._batches, "__next__"):
            self.current = iter(self._batches)
            for batch in self.current:
                return batch
        if not self._drawn:
            raise ValueError("batches must have at least one batch, got none")
        raise ValueError(
            f"batches ran out: {self._drawn} of the {self._needed} that the rungs need; pass a list or a DataLoader, "
            "which can be gone through again, or lower steps"
        )


@dataclass
class Leaver:
    """A member that left at a rung and may be gone back to; its state is None on the ranks that did not train it."""

    member: int
    mark: int
    standing: Standing | None
    rewind: Callable[[], None]


@dataclass(frozen=True)
class Plan:
    """What a race tries and how it chooses.

    Args:
        lrs: the learning rates of all members, for the first param group.
        rates: the learning rates of each member's param groups by position.
        marks, keep: after which steps members leave, and how many then stay.
        judge, eval_batches: what to judge by.
        callback: called after each rung for each member, or None.
        rising: for the default rates, after which marks the sequence still rises; None for given rates.
        progress: whether to show progress.
    """

    lrs: list[float]
    rates: list[Rates]
    marks: list[int]
    keep: list[int]
    judge: Judge
    eval_batches: Iterable[Any] | None
    callback: Callback | None
    rising: list[bool] | None
    progress: bool = False

    def work(self, position: int) -> int:
        """Return how many steps all members together have taken at a position, unless some are lost."""
        spans = zip([len(self.lrs), *self.keep], [0, *self.marks], self.marks, strict=False)
        return sum(min(count, len(self.lrs)) * max(0, min(position, end) - begin) for count, begin, end in spans)


@dataclass
class Heats:
    """Trains the members that this rank has, and agrees with the other ranks on who stays.

    Args:
        plan: what the race tries.
        recipe: what members have in common.
        members: this rank's members.
        mine: their indices among all members.
        passes: the batches.
        ranks: this process among all.
        apart: the number of members on this rank from which on they train one after another; 0 for never.
    """

    plan: Plan
    recipe: Recipe
    members: Members
    mine: list[int]
    passes: Passes
    ranks: Ranks
    apart: int = 0
    untrained: float = math.nan  # the loss of the untrained model
    present: dict[int, float] = field(default_factory=dict)  # with judge="average", the last losses of the weights
    leavers: list[Leaver] = field(default_factory=list)
    racing: list[int] = field(init=False)
    _advance: Advance | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.racing = list(range(len(self.plan.lrs)))

    @property
    def winner(self) -> int:
        """The index of the member that is left, after `run()`."""
        return self.racing[0]

    def run(self) -> Array:
        """Run all heats and return the losses, shape (members, rungs); `winner` is then the one left."""
        plan = self.plan
        losses = np.full((len(plan.lrs), len(plan.marks)), np.nan)
        batches = plan.eval_batches
        if batches is not None and plan.judge != "train":
            self.untrained = self.ranks.each(lambda: self.recipe.untrained_loss(batches))[0]
        begin = 0
        with progress_bar(plan.progress, "race", plan.work(plan.marks[-1])) as advance:
            self._advance = advance
            for rung, (mark, stay) in enumerate(zip(plan.marks, plan.keep, strict=True)):
                judged = self._judged(begin, mark)
                for member in self.racing:
                    losses[member, rung] = judged[member]
                self._report(mark, judged)
                self._drop(mark, judged, stay)
                begin = mark
        return losses

    def _judged(self, begin: int, end: int) -> dict[int, float]:
        """Train from one rung to the next, and return the losses of all ranks' members by index; NaN if diverged."""
        judged: dict[int, float] = {}
        for found, present in reversed(self.ranks.each(lambda: self._trained(begin, end))):
            judged |= found
            self.present |= present
        if begin == 0 and self.plan.judge == "train":  # each rank has its own, which may differ in the last bits
            self.untrained = self.ranks.each(lambda: self.untrained)[0]
        if all(self._lost(judged[member]) for member in self.racing):
            tried = ", ".join(f"{self.plan.lrs[member]:g}" for member in self.racing)
            raise ValueError(f"lrs: training diverged at every learning rate by step {end} ({tried}): pass lower lrs")
        return judged

    def _lost(self, loss: float) -> bool:
        """Return whether a member has diverged: its loss is not finite, or very much higher than the untrained one."""
        limit = _BLOWN_UP * abs(self.untrained)
        return not math.isfinite(loss) or (0.0 < limit < math.inf and loss > limit)

    def _trained(self, begin: int, end: int) -> tuple[dict[int, float], dict[int, float]]:
        """Train this rank's members and judge them; return what they are judged by, and the losses of their weights.

        The second half of the steps counts for means. Only judge="average" needs the losses of the weights, at the end.
        """
        half = (begin + end) // 2
        total = seen = torch.zeros((), dtype=torch.float64)
        for k in range(begin, end):
            if k == half and self.plan.judge == "average":
                self.members.start_average()
            batch = self.passes.draw()
            found = self.members.step(batch, np.array([self.plan.rates[member].at(k) for member in self.mine]))
            if k == 0:
                self._note_first(found[0].item())
            total = total + found
            if k >= half:
                seen = seen + found
            if self._advance is not None:
                self._advance(f"step {k + 1}, rates left: {len(self.racing)}", self.plan.work(k + 1))
        judged = self._eval_losses(self.plan.judge == "average") if self.plan.judge != "train" else seen / (end - half)
        judged = torch.where(torch.isfinite(total) & torch.isfinite(judged), judged, torch.nan)
        present: list[float] = []
        if self.plan.judge == "average" and end == self.plan.marks[-1]:
            present = self._eval_losses(averaged=False).tolist()
        return dict(zip(self.mine, judged.tolist(), strict=True)), dict(zip(self.mine, present, strict=False))

    def _eval_losses(self, averaged: bool) -> Tensor:
        assert self.plan.eval_batches is not None
        return self.members.eval_losses(self.plan.eval_batches, averaged)

    def _note_first(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise ValueError(f"loss_fn must be finite for the untrained model, got {loss}")
        if self.plan.judge == "train":
            self.untrained = loss

    def _report(self, mark: int, judged: dict[int, float]) -> None:
        callback = self.plan.callback
        if callback is None:
            return

        def report() -> None:
            for member in self.racing:
                callback(mark, self.plan.lrs[member], judged[member])

        self.ranks.each(report)

    def _drop(self, mark: int, judged: dict[int, float], stay: int) -> None:
        """Keep the members that stay."""
        finite = {member: judged[member] for member in self.racing if math.isfinite(judged[member])}
        staying = self._staying(mark, finite, stay)
        self.racing = sorted(staying)
        highest = max(self.plan.lrs[member] for member in self.racing)
        random = self.recipe.random_state()
        mask = [member in self.racing for member in self.mine]
        if not any(mask):  # a rank without members of its own continues with its best, for its random state
            leader = min(
                range(len(mask)), key=lambda i: (not math.isfinite(judged[self.mine[i]]), judged[self.mine[i]])
            )
            mask[leader] = True
        for member in finite:
            if member not in staying and self.plan.lrs[member] < highest:
                self.leavers.append(Leaver(member, mark, self._standing(member, mask), random))
        if not all(mask):
            self.members.keep(mask)
            self.mine = [member for member, kept in zip(self.mine, mask, strict=True) if kept]
        if self.members.count <= self.apart:
            self.members.separate()
            self.apart = 0

    def _staying(self, mark: int, losses: dict[int, float], stay: int) -> list[int]:
        """Return the members that stay.

        Of the default rates, the last rung takes the higher loss of a member's last weights and of their mean, since a
        mean hides that a rate is near the limit.
        """
        lrs, rung = self.plan.lrs, self.plan.marks.index(mark)
        if self.plan.rising is None:
            return best(losses, lrs, stay)
        last = mark == self.plan.marks[-1]
        if last:
            present = {member: self.present.get(member, loss) for member, loss in losses.items()}
            losses = {m: max(loss, present[m]) if math.isfinite(present[m]) else math.inf for m, loss in losses.items()}
        return careful(losses, lrs, stay, self.untrained, rising=self.plan.rising[rung], last=last)

    def _standing(self, member: int, mask: list[bool]) -> Standing | None:
        """Return the state of a leaver on the rank that trains it, in the CPU's memory."""
        if self.ranks.owner(member) != self.ranks.rank:
            return None
        i = self.mine.index(member)
        return offloaded(self.members.state(i), copied=mask[i])


def offloaded(standing: Standing, *, copied: bool) -> Standing:
    """Return a state with its tensors on the CPU; `copied` if its member still trains."""

    def moved(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        value = value.detach()
        return value.clone().cpu() if copied else value.cpu()

    return Standing(tree_map(moved, standing.tensors), tree_map(moved, standing.optimizer))
