"""Rows of pixels, from the top of a picture down, and the value of white in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_WHITE = {"uint8": 255.0, "uint16": 65535.0}  # 65535 = 257·255


@dataclass(frozen=True)
class Rows:
    """The rows of a picture, top down, in strips of shape (at least 1, width, 1 or 3).

    A strip is a contiguous array of uint8, uint16, or floats in [0, 1]. It may share memory with the user's array.
    """

    height: int
    width: int
    strips: Iterator[np.ndarray]


def white(pixels: np.ndarray) -> float:
    """Return the value of white in an array of pixels."""
    return _WHITE.get(pixels.dtype.name, 1.0)
