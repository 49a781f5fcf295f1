"""The learning rates that a race tries if none are given."""

from __future__ import annotations

from torch.optim import SGD, Optimizer

# As multiples of the optimizer's own rate, including 1 and a hundredth, for fine-tuning. Best rates of small networks
# lie at 30 to 300 times 0.01 with SGD, at 3 to 30 times with momentum 0.9, which multiplies the rate by 1 / (1 - 0.9),
# and at 10 to 100 times 0.001 with Adam. With momentum, 100 times can win after an eighth of the steps and fail later.
SGD_SPREAD = (0.01, 1.0, 10.0, 10**1.5, 100.0, 10**2.5)
MOMENTUM_SPREAD = (0.01, 0.1, 1.0, 10**0.5, 10.0, 10**1.5)
ADAM_SPREAD = (0.01, 0.1, 1.0, 10.0, 10**1.5, 100.0)


def spread(optimizer: Optimizer, own: float) -> list[float]:
    """Return the learning rates to race around an optimizer's own, in ascending order."""
    factors = ADAM_SPREAD
    if isinstance(optimizer, SGD):
        factors = MOMENTUM_SPREAD if optimizer.param_groups[0]["momentum"] > 0 else SGD_SPREAD
    return [own * factor for factor in factors]
