"""The learning rates that a race tries if none are given."""

from __future__ import annotations

from torch.optim import SGD, Optimizer

# As multiples of the optimizer's own rate.
SGD_SPREAD = (0.01, 0.1, 10**-0.5, 1.0, 10**0.5, 10.0)
ADAM_SPREAD = (0.01, 0.1, 1.0, 10**0.5, 10.0, 100.0)


def spread(optimizer: Optimizer, own: float) -> list[float]:
    """Return the learning rates to race around an optimizer's own, in ascending order."""
    factors = SGD_SPREAD if isinstance(optimizer, SGD) else ADAM_SPREAD
    return [own * factor for factor in factors]
