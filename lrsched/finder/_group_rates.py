"""The learning rates of all param groups: a test sets the first group's, and the others keep their ratio to it."""

from __future__ import annotations

from torch.optim import Optimizer

from ..schedulers._groups import read


def ratios_to_first(optimizer: Optimizer, name: str, remedy: str) -> list[float]:
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
