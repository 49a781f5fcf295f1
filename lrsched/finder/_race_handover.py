"""The end of a race: the model gets the winner's state, and can go back to that of members that left."""

from __future__ import annotations

from functools import partial

from torch.optim import Optimizer

from ..schedulers._groups import write
from ..schedulers._rates import Rates
from ._race_heats import Heats, Leaver, offloaded
from ._race_result import Retreat


def handed_over(heats: Heats) -> Optimizer:
    """Give the model the winner's weights and buffers, and return its optimizer."""
    winner, places, members = heats.winner, heats.recipe.places, heats.members
    if heats.ranks.size == 1:
        places.put(members.state(0).tensors)
        optimizer = members.optimizer(0)
    else:
        mine = heats.mine.index(winner) if winner in heats.mine else 0
        standing = heats.ranks.from_owner(winner, lambda: offloaded(members.state(mine), copied=True))
        places.put(standing.tensors)
        optimizer = heats.recipe.optimizer()
        optimizer.load_state_dict(standing.optimizer)
    _set_rates(optimizer, heats.plan.rates[winner], heats.plan.marks[-1])
    return optimizer


def _set_rates(optimizer: Optimizer, rates: Rates, position: int) -> None:
    """Set the rates at a position, and the base rates, from which any scheduler continues."""
    write(optimizer, rates.at(position))
    for group, base in zip(optimizer.param_groups, rates.bases, strict=True):
        group["initial_lr"] = base


def retreats(heats: Heats, optimizer: Optimizer) -> list[Retreat]:
    """Return the members that can be gone back to, in ascending order of their learning rates."""
    lrs, places, ranks = heats.plan.lrs, heats.recipe.places, heats.ranks
    lower = [leaver for leaver in heats.leavers if lrs[leaver.member] < lrs[heats.winner]]

    def restore(leaver: Leaver, rates: Rates) -> None:
        standing = ranks.from_owner(leaver.member, lambda: leaver.standing)
        assert standing is not None
        places.put(standing.tensors)
        optimizer.load_state_dict(standing.optimizer)
        _set_rates(optimizer, rates, leaver.mark)
        leaver.rewind()

    return [
        Retreat(lrs[leaver.member], leaver.mark, partial(restore, leaver, heats.plan.rates[leaver.member]))
        for leaver in sorted(lower, key=lambda leaver: lrs[leaver.member])
    ]
