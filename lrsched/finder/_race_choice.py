"""Which members of a race stay after a rung."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

_UNMOVED = 0.01  # a smaller change, relative to the untrained model's loss, is no change yet
_EQUAL = 0.05  # losses that differ by less, relative to what the best member has gained, are equal


def best(losses: Mapping[int, float], lrs: Sequence[float], count: int) -> list[int]:
    """Return the members with the lowest losses; among equals, those with the lower rates."""
    return sorted(losses, key=lambda member: (losses[member], lrs[member]))[:count]


def careful(
    losses: Mapping[int, float], lrs: Sequence[float], count: int, untrained: float, *, rising: bool, last: bool
) -> list[int]:
    """Return the members that stay in a race of the default rates.

    Of equal losses the lower rate is better. While the sequence rises, the best stays with the next lower rates, as
    high rates look better then than they are. While nothing has been gained, the highest rates that have lost nothing
    stay, as the others may never get going.

    Args:
        losses: the finite losses by member.
        lrs: the learning rates of all members.
        count: how many stay.
        untrained: the untrained model's loss.
        rising: whether the sequence rises after this rung.
        last: whether this is the last rung.
    """
    if not math.isfinite(untrained):
        return best(losses, lrs, count)
    ascending = sorted(losses, key=lambda member: lrs[member])
    gain = untrained - min(losses.values())
    unmoved = _UNMOVED * abs(untrained)
    if gain < unmoved and not last:
        spoilt = {member: loss for member, loss in losses.items() if loss > untrained + unmoved}
        return [*(member for member in reversed(ascending) if member not in spoilt), *best(spoilt, lrs, count)][:count]
    limit = min(losses.values()) + _EQUAL * max(gain, 0.0)
    first = next(member for member in ascending if losses[member] <= limit)
    if rising:
        end = max(ascending.index(first) + 1, count)
        return ascending[max(end - count, 0) : end]
    others = {member: loss for member, loss in losses.items() if member != first}
    return [first, *best(others, lrs, count - 1)]
