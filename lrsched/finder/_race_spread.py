"""The learning rates that a race tries if none are given."""

from __future__ import annotations

from torch.optim import SGD, Optimizer

# As multiples of the optimizer's own rate. Most best rates of small networks lie at 1 to 30 times the default, those of
# fine-tuning at a hundredth to a tenth, those of tiny networks with Adam at 100 times and more. With SGD, 100 times the
# own rate can win after an eighth of the steps and diverge later, so it is not among them.
SGD_SPREAD = (0.01, 0.1, 1.0, 10**0.5, 10.0, 10**1.5)
ADAM_SPREAD = (0.01, 0.1, 1.0, 10.0, 10**1.5, 100.0)


def spread(optimizer: Optimizer, own: float) -> list[float]:
    """Return the learning rates to race around an optimizer's own, in ascending order."""
    factors = SGD_SPREAD if isinstance(optimizer, SGD) else ADAM_SPREAD
    return [own * factor for factor in factors]
