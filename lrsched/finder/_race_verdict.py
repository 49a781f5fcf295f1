"""What a race says about its winner: by how much it won, and what is in doubt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..sequences._sequence import Sequence

_NEARLY = 0.01  # a smaller lead, relative to the loss, is no lead
_UNSTEADY = 0.5  # a larger difference of the last weights' loss from that of their mean, relative to the loss
_LOOKS = 257  # positions at which to look for the sequence's maximum


def verdict(
    lrs: list[float],
    losses: NDArray[np.float64],
    winner: int,
    sequence: Sequence,
    marks: list[int],
    steps: int,
    untrained: float,
    present: dict[int, float],
) -> str:
    """Return who won and what is in doubt, as one line.

    Args:
        lrs, losses, marks: the learning rates, and the loss of each at each mark, shape (members, rungs).
        winner: the index of the winner in `lrs`.
        sequence, steps: the sequence, and the steps of the whole training.
        untrained: the untrained model's loss.
        present: the members' losses with their last weights, if they were judged by a mean of the weights.
    """
    notes = [_lead(lrs, losses[:, -1], winner, present)]
    if len(lrs) > 1 and lrs[winner] in (min(lrs), max(lrs)):
        end = "lowest" if lrs[winner] == min(lrs) else "highest"
        notes.append(f"it is the {end} of the rates, so the best may lie beyond: consider more lrs")
    if losses[winner, -1] > untrained:
        notes.append(f"its loss is above the untrained model's, {untrained:.4g}: consider lower lrs")
    if present.get(winner, losses[winner, -1]) > losses[winner, -1] + _UNSTEADY * abs(losses[winner, -1]):
        notes.append(
            f"its last weights have {present[winner]:.4g}, far above their mean: its rate may be near the limit"
        )
    if rises_later(sequence, marks[-1], steps):
        notes.append("the sequence still rises after the last rung, so no member was tried at its highest rate")
    return "; ".join(notes)


def _lead(lrs: list[float], last: NDArray[np.float64], winner: int, present: dict[int, float]) -> str:
    rate, loss = lrs[winner], last[winner]
    others = [i for i in np.argsort(last, kind="stable") if i != winner and np.isfinite(last[i])]
    if not others:
        return f"{rate:.3g} won: the others left before the last rung"
    second = others[0]
    lead = f"{rate:.3g} won with a loss of {loss:.4g}, "
    if last[second] < loss:  # only of the default rates
        reason = "which counts as equal, so the lower rate won"
        if not present.get(second, last[second]) <= max(loss, present.get(winner, loss)):
            reason = f"but {present[second]:.4g} with its last weights"
        return f"{lead}although {lrs[second]:.3g} has {last[second]:.4g}, {reason}"
    lead += f"before {lrs[second]:.3g} with {last[second]:.4g}"
    if abs(last[second] - loss) <= _NEARLY * abs(loss):
        lead += ", which is nearly equal"
    return lead


def rises_later(sequence: Sequence, mark: int, steps: int) -> bool:
    """Return whether the sequence has its maximum after the mark."""
    positions = np.unique(np.linspace(0, steps - 1, _LOOKS).astype(int)).tolist()
    tried = max(sequence(k) for k in [*(k for k in positions if k < mark), mark - 1])
    return max(map(sequence, positions)) > 1.001 * tried
