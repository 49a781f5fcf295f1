"""Pictures as schedules: the pixels of a picture become the factors of a sequence. Pillow reads the files."""

from __future__ import annotations

import hashlib
import math
import os
import warnings
from dataclasses import dataclass, field
from typing import IO, Any, Literal, TypeVar, get_args

import numpy as np
from PIL import Image

from .._check import choice, integer, number, refuse
from ._sequence import Sequence

File = str | os.PathLike[str] | IO[bytes]
Order = Literal["raster", "serpentine"]
Channels = Literal["rgb", "gray"]
Picture = File | Image.Image | np.ndarray
Position = TypeVar("Position", int, np.ndarray)  # one position, or an array of them


@dataclass(frozen=True, init=False, repr=False)
class Pixels(Sequence):
    """The pixels of a picture, resized to about `steps` values: f(k) = value/255, in [0, 1].

    `ImageLR` follows this sequence, from one learning rate for black to another for white.

    A picture of w × h pixels with c channels ("rgb": c = 3, "gray": c = 1) is resized to w′ × h′: with
    r = √(w·h·c/steps), w′ = max(1, ⌊w/r⌋) and h′ = max(1, ⌊h/r⌋). The value at (row, col) is that of the nearest pixel,
    source[(2·row+1)·h // (2·h′), (2·col+1)·w // (2·w′)]. It is looked up at each step, so memory does not grow with
    `steps`. Values come row by row, and for each pixel in the order R, G, B. After all w′·h′·c values, the last one
    holds. `len(pixels)` is w′·h′·c.

    Palette and alpha pictures become RGB (alpha is dropped), 16-bit values are divided by 257 without rounding, and an
    animation gives its first frame.

    Args:
        image: a path, a file open for reading bytes, a PIL image, or an array of shape (h, w) or (h, w, 1 | 3 | 4) of
            uint8, uint16, or floats in [0, 1].
        steps: the approximate number of values, an integer from 1 to 1e15.
        order: "raster", or "serpentine", which reads odd rows from right to left.
        channels: "rgb", or "gray", which converts the picture to gray first.

    Raises TypeError or ValueError if an argument is invalid, if the picture is broken, or if it is so large that Pillow
    warns of a decompression bomb.
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
    _size: tuple[int, int] = field(compare=False)

    def __init__(self, image: Picture, steps: int, order: Order = "raster", channels: Channels = "rgb") -> None:
        steps = integer("steps", steps, low=1)
        order = choice("order", order, get_args(Order))
        channels = choice("channels", channels, get_args(Channels))
        source = _read(image)
        if channels == "gray":
            source = _gray(source)
        height, width = source.shape[:2]
        number("steps", steps, high=1e15)
        ratio = math.sqrt(width * height * (3 if channels == "rgb" else 1) / steps)
        self._coerce(
            steps=steps,
            order=order,
            channels=channels,
            sha256=hashlib.sha256(f"{source.dtype} {source.shape}".encode() + source.tobytes()).hexdigest(),
            source=source,
            _size=(max(1, int(height / ratio)), max(1, int(width / ratio))),
        )

    def __len__(self) -> int:
        """Return the number of values, w′·h′·c."""
        return self._size[0] * self._size[1] * (3 if self.channels == "rgb" else 1)

    def __setstate__(self, state: dict[str, object]) -> None:
        self._coerce(**state)
        self.source.setflags(write=False)  # a pickle does not keep this flag

    def __repr__(self) -> str:
        height, width = self.source.shape[:2]
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
        factors: np.ndarray | np.floating[Any] = self.source[y, x, channel % planes] / _white(self.source)
        return factors


_WHITE = {"uint8": 255.0, "uint16": 65535.0}  # 65535 = 257·255


def _white(source: np.ndarray) -> float:
    """Return the value of white in an array of pixels."""
    return _WHITE.get(source.dtype.name, 1.0)


def _read(image: Picture) -> np.ndarray:
    """Return the picture as a new array (h, w, 1 or 3) of uint8, uint16, or floats in [0, 1]."""
    if not isinstance(image, Image.Image) and hasattr(image, "__array__"):
        try:
            array = np.asarray(image)
        except (RuntimeError, TypeError, ValueError) as error:  # for example, a tensor that requires grad
            raise TypeError(f"image cannot be converted to an array: {error}") from error
        return _from_array(array)
    if not isinstance(image, (Image.Image, str, os.PathLike)) and not hasattr(image, "read"):
        refuse("image", "a path, an open file, a PIL image or an array", image)
    try:
        if isinstance(image, Image.Image):
            return _from_pillow(image)
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(image) as picture:
                return _from_pillow(picture)
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises errors of any type on a broken file
        why = str(error).removeprefix("image: ")
        raise ValueError(f"image: cannot read {image!r}: {why}") from error


def _from_pillow(image: Image.Image) -> np.ndarray:
    """Return the first frame as an array, and put the image back to its present frame."""
    frame = image.tell() if getattr(image, "is_animated", False) else 0
    if frame:
        image.seek(0)
    try:
        return _from_array(_planes(image))
    finally:
        if frame:
            image.seek(frame)


def _planes(image: Image.Image) -> np.ndarray:
    """Return the channels of an image in any of Pillow's modes, without alpha."""
    if image.mode == "I":  # 32 bits; Pillow opens some 16-bit files in this mode
        array = np.asarray(image)
        if array.size and (array.min() < 0 or array.max() > 65535):
            raise ValueError(f"image: 32-bit values must be in 0 … 65535, got {array.min()} … {array.max()}")
        return array.astype(np.uint16)
    if image.mode == "F" or image.mode.startswith("I;16"):
        array = np.asarray(image)
        return array if image.mode == "F" else array.astype(np.uint16)
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode in ("1", "L", "LA"):
        return np.asarray(image.convert("L"))
    if image.mode in ("P", "PA", "RGBa"):
        image = image.convert("RGBA")
    return np.asarray(image.convert("RGB"))


def _from_array(array: np.ndarray) -> np.ndarray:
    """Return a read-only copy of an array of pixels, (h, w, 1 or 3), after checking its type, shape and values."""
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype not in (np.uint8, np.uint16) and array.dtype.kind != "f":
        raise TypeError(f"image must be an array of uint8, uint16 or floats, got an array of {array.dtype}")
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or array.size == 0:
        raise ValueError(f"image must have shape (h, w) or (h, w, 1 | 3 | 4) and not be empty, got {array.shape}")
    if array.dtype.kind == "f" and not (array.min() >= 0.0 and array.max() <= 1.0):
        raise ValueError(
            f"image: floats must be in [0, 1], got {array.min()} … {array.max()}; divide them by the white value"
        )
    source = np.array(array[:, :, :3], order="C")
    source.setflags(write=False)
    return source


def _gray(source: np.ndarray) -> np.ndarray:
    """Return the luma of ITU-R 601-2; 8-bit values are rounded as Pillow rounds them."""
    if source.shape[2] == 1:
        return source
    if source.dtype == np.uint8:
        return np.asarray(Image.fromarray(source).convert("L"))[:, :, None]
    weights = np.array([[0.299], [0.587], [0.114]])
    return np.asarray(np.clip(source @ weights / _white(source), 0.0, 1.0))
