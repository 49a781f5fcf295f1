"""Divergence: whether a loss has diverged, decided while the range test is running."""

from __future__ import annotations

import math

BEND_TO_NOISE = 1.4826 / math.sqrt(6.0)  # median absolute second difference → standard deviation, for normal noise
ROUNDING = 1e-5  # relative to the loss; a smaller change may be float32 rounding


class Divergence:
    """Tells when the loss has diverged: three of the last five losses exceed head + max(head − best, 8·noise).

    Head is the median of the first ten losses. Best is the lowest median of any five consecutive losses. Noise is
    estimated from second differences, which a trend does not change. Shifting or scaling the losses does not change the
    answer. Neither a single outlier nor the first nine losses count as divergence.

    >>> divergence = Divergence()
    >>> [divergence.update(loss) for loss in [2.0] * 10 + [1.0] * 5 + [4.0] * 4].index(True)
    17
    """

    def __init__(self) -> None:
        self._losses: list[float] = []
        self._limit = -math.inf

    def update(self, loss: float) -> bool:
        """Add the next loss, which must be finite, and return whether the losses have diverged."""
        self._losses.append(loss)
        return loss > self._limit and self._exceeds_new_limit()

    def _exceeds_new_limit(self) -> bool:
        """Recompute the limit and apply it. This is needed only if the loss is above the last limit."""
        from statistics import median  # imports decimal and fractions, which the rest of the package does not need

        if len(self._losses) < 10:
            return False
        losses = self._losses  # plain Python is faster than numpy for so few numbers
        head = median(losses[:10])
        best = min(sorted(losses[k : k + 5])[2] for k in range(len(losses) - 4))
        bends = [abs(a - 2.0 * b + c) for a, b, c in zip(losses, losses[1:], losses[2:], strict=False)]
        noise = BEND_TO_NOISE * median(bends)
        self._limit = head + max(head - best, 8.0 * noise, ROUNDING * abs(head))
        return sum(loss > self._limit for loss in losses[-5:]) >= 3
