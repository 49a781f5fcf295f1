"""Pictures as schedules: the pixels of a picture become the factors of a sequence."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import numpy as np

from .._check import choice, integer, number
from ._rows import Rows, white
from ._sequence import Sequence

if TYPE_CHECKING:
    from ._pictures import Picture

Order = Literal["raster", "serpentine"]
Channels = Literal["rgb", "gray"]
Position = TypeVar("Position", int, np.ndarray)  # one position, or an array of them


@dataclass(frozen=True, init=False, repr=False)
class Pixels(Sequence):
    """The pixels of a picture, resized to about `steps` values: f(k) = value/255, in [0, 1].

    `ImageLR` follows this sequence, from one learning rate for black to another for white.

    A picture of w × h pixels with c channels ("rgb": c = 3, "gray": c = 1) is resized to w′ × h′: with
    r = √(w·h·c/steps), w′ = max(1, ⌊w/r⌋) and h′ = max(1, ⌊h/r⌋). The value at (row, col) is that of the nearest pixel,
    picture[(2·row+1)·h // (2·h′), (2·col+1)·w // (2·w′)]. Values come row by row, and for each pixel in the order R, G,
    B. After all w′·h′·c values, the last one holds. `len(pixels)` is w′·h′·c.

    Pictures are turned upright by their EXIF orientation, as viewers do. Palette and alpha pictures become RGB (alpha
    is dropped), 16-bit values are divided by 257 without rounding, and only the first frame of an animation is read.

    Only the pixels in use are kept, in `source`, of shape (min(h, h′), min(w, w′), 1 or 3), so pickles and copies are
    small. Reading a file takes little more memory than Pillow needs to decode it: 4 bytes per pixel in colour
    (progressive JPEG: up to 10).

    Args:
        image: a path, a file open for reading bytes, a PIL image, or an array of shape (h, w) or (h, w, 1 | 3 | 4) of
            uint8, uint16, or floats in [0, 1]. Arrays have no EXIF data.
        steps: the approximate number of values, an integer from 1 to 1e15.
        order: "raster", or "serpentine", which reads odd rows from right to left.
        channels: "rgb", or "gray", which converts the picture to gray first.

    Raises TypeError or ValueError if an argument is invalid, if the picture is broken, if a file has more pixels than
    `PIL.Image.MAX_IMAGE_PIXELS`, or if Pillow needs a plugin to read it (HEIC).
    Source: Jang et al. (2018), "Aesthetically Pleasing Learning Rates".

    >>> import numpy as np
    >>> from lrsched import Pixels
    >>> picture = np.array([[[255, 0, 51], [102, 153, 204]]], dtype=np.uint8)
    >>> Pixels(picture, steps=6).values(7).round(3).tolist()
    [1.0, 0.0, 0.2, 0.4, 0.6, 0.8, 0.8]
    """

    steps: int
    order: Order
    channels: Channels
    sha256: str
    source: np.ndarray = field(compare=False)
    _size: tuple[int, int] = field(compare=False)  # h′, w′
    _original: tuple[int, int] = field(compare=False)  # h, w

    def __init__(self, image: Picture, steps: int, order: Order = "raster", channels: Channels = "rgb") -> None:
        from ._pictures import opened

        steps = integer("steps", steps, low=1)
        number("steps", steps, high=1e15)
        order = choice("order", order, get_args(Order))
        channels = choice("channels", channels, get_args(Channels))
        with opened(image, gray=channels == "gray") as picture:
            height, width = picture.height, picture.width
            ratio = math.sqrt(width * height * (3 if channels == "rgb" else 1) / steps)
            size = max(1, int(height / ratio)), max(1, int(width / ratio))
            source, sha256 = _looked_up(picture, *size)
        self._coerce(
            steps=steps,
            order=order,
            channels=channels,
            sha256=sha256,
            source=source,
            _size=size,
            _original=(height, width),
        )

    def __len__(self) -> int:
        """Return the number of values, w′·h′·c."""
        return self._size[0] * self._size[1] * (3 if self.channels == "rgb" else 1)

    def __setstate__(self, state: dict[str, object]) -> None:
        self._coerce(**state)
        if "_original" not in state:  # from a version that kept the whole picture
            self._coerce(_original=self.source.shape[:2])
        self.source.setflags(write=False)  # a pickle does not keep this flag

    def __repr__(self) -> str:
        height, width = self._original
        picture = f"<{len(self)} factors of a {width}x{height} picture, sha256 {self.sha256}>"
        return f"Pixels({picture}, steps={self.steps}, order={self.order!r}, channels={self.channels!r})"

    @property
    def length(self) -> int:
        return len(self)

    def _at(self, k: int) -> float:
        return float(self._look_up(min(k, len(self) - 1)))

    def values(self, n: int) -> np.ndarray:
        """Return the first n factors, f(0) … f(n − 1), as a float64 array of shape (n,)."""
        k = np.minimum(np.arange(integer("n", n)), len(self) - 1)
        return np.asarray(self._look_up(k), dtype=np.float64)

    def _look_up(self, k: Position) -> np.ndarray | np.floating[Any]:
        """Return the factor at position k, or the factors at an array of positions, all below len(self)."""
        pixel, channel = divmod(k, 3) if self.channels == "rgb" else (k, 0)
        rows, columns = self._size
        row, column = divmod(pixel, columns)
        if self.order == "serpentine":
            column = column + row % 2 * (columns - 1 - 2 * column)
        height, width, planes = self.source.shape
        y = (2 * row + 1) * height // (2 * rows)
        x = (2 * column + 1) * width // (2 * columns)
        factors: np.ndarray | np.floating[Any] = self.source[y, x, channel % planes] / white(self.source)
        return factors


def _looked_up(picture: Rows, rows: int, columns: int) -> tuple[np.ndarray, str]:
    """Return the pixels that a picture resized to these sides uses, and the sha256 of the whole picture.

    A side that does not shrink keeps all its pixels. The lookup of Pixels finds the same pixels in either picture.
    """
    y, x = _nearest(picture.height, rows), _nearest(picture.width, columns)
    digest = hashlib.sha256()
    source = np.empty(0)
    top = 0
    for strip in picture.strips:
        if top == 0:
            digest.update(f"{strip.dtype} {(picture.height, *strip.shape[1:])}".encode())
            source = np.empty((len(y), len(x), strip.shape[2]), strip.dtype)
        digest.update(strip.data)
        first, last = np.searchsorted(y, (top, top + len(strip)))
        source[first:last] = strip[y[first:last, None] - top, x]
        top += len(strip)
    source.setflags(write=False)
    return source, digest.hexdigest()


def _nearest(length: int, count: int) -> np.ndarray:
    """Return which of `length` pixels a side of `count` pixels uses; all of them if count ≥ length."""
    if count >= length:
        return np.arange(length)
    return (2 * np.arange(count) + 1) * length // (2 * count)
