"""Pictures for tests of `Pixels`."""

import io
import math

import numpy as np
import pytest
from PIL import Image

# One row of red and green, one of blue and a grey-blue; Pillow's luma of these is 76, 150, 29 and 98.
RGB = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [51, 102, 204]]], dtype=np.uint8)
GRAY = np.array([[0, 51], [102, 255]], dtype=np.uint8)


def noise(height, width, planes=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, planes), dtype=np.uint8)


def first(seq, n):
    return [seq(k) for k in range(n)]


def over_255(*values):
    return pytest.approx([value / 255 for value in values], rel=1e-15, abs=0)


def encoded(image, kind, **options):
    """Return an array or a PIL image as the bytes of a file."""
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def resized(height, width, c, steps):
    """Return h′ and w′ by the published formula, in floating point."""
    f = math.sqrt(width * height * c / steps)
    return max(1, math.floor(height / f)), max(1, math.floor(width / f))


def read_out(values, steps, order, c):
    """Return all factors of a picture (h, w, planes) of values in [0, 1], by the published formula, at once."""
    height, width, planes = values.shape
    rows, columns = resized(height, width, c, steps)
    y = (2 * np.arange(rows) + 1) * height // (2 * rows)
    x = (2 * np.arange(columns) + 1) * width // (2 * columns)
    small = np.broadcast_to(values[y][:, x], (rows, columns, max(planes, c))).copy()
    if order == "serpentine":
        small[1::2] = small[1::2, ::-1]
    return small.ravel()
