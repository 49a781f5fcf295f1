"""The curves that several sequences share: how a factor falls from 1 to 0, and how that is stretched to other ends."""

from __future__ import annotations

import math


def rise(start: float, k: int, steps: int) -> float:
    """Return the factor of a straight line that rises from `start` at k = 0 to 1 at k = steps."""
    return start + (1.0 - start) * k / steps


def straight(k: float, steps: float) -> float:
    """Return the height of a straight line that falls from 1 at k = 0 to 0 at k = steps."""
    return 1.0 - k / steps


def half_cosine(k: float, steps: float) -> float:
    """Return the height of half a cosine that falls from 1 at k = 0 to 0 at k = steps."""
    return (1.0 + math.cos(math.pi * k / steps)) / 2.0


def square_root(k: float, steps: float) -> float:
    """Return 1 − √(k/steps), which falls from 1 at k = 0 to 0 at k = steps, steeply at first."""
    return 1.0 - math.sqrt(k / steps)


def descent(end: float, height: float) -> float:
    """Return the factor for a height that falls from 1 to 0; exact at both ends."""
    return end + (1.0 - end) * height


def between(start: float, end: float, height: float) -> float:
    """Return the value for a height that falls from 1 at `start` to 0 at `end`; exact at both ends."""
    return start * height + end * (1.0 - height)
