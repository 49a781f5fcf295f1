"""Pictures as schedules: Pillow and numpy read a picture, and its pixels become the factors of a sequence."""

from __future__ import annotations

import hashlib
import math
import os
import warnings
from dataclasses import dataclass, field
from typing import IO, Any, Literal, get_args

import numpy as np
from PIL import Image

from .._check import choice, integer, number
from ._sequence import Sequence

File = str | os.PathLike[str] | IO[bytes]
Order = Literal["raster", "serpentine"]
Channels = Literal["rgb", "gray"]
Picture = File | Image.Image | np.ndarray


@dataclass(frozen=True, init=False, repr=False)
class Pixels(Sequence):
    """The pixels of a picture, resized to about `steps` values: f(k) = value/255, in [0, 1].

    A picture of w × h becomes w′ × h′ with f = √(w·h·c/steps), w′ = max(1, ⌊w/f⌋), h′ = max(1, ⌊h/f⌋), c = 3 for "rgb"
    and 1 for "gray". The value at (row, col) is source[(2·row+1)·h // (2·h′), (2·col+1)·w // (2·w′)], the nearest one,
    looked up at each step, so the memory is the picture's whatever `steps` is. Values come row by row, the channels of
    a pixel one after another (R, G, B); after the w′·h′·c-th the last one holds.

    Palette and alpha pictures become RGB (alpha dropped), 16-bit values are divided by 257 without rounding, and of an
    animation the first frame counts.

    Args:
        image: a path, a file open for reading bytes, a PIL image, or an array of shape (h, w) or (h, w, 1 | 3 | 4) of
            uint8, uint16, or floats in [0, 1].
        steps: about how many values the picture is to last, an integer ≥ 1.
        order: "raster", or "serpentine", in which odd rows run from right to left.
        channels: "rgb", or "gray", which converts first.

    Raises TypeError or ValueError naming the argument, also for a broken picture and for one so large that Pillow warns
    of a decompression bomb.
    Source: Jang et al. (2018), "Aesthetically Pleasing Learning Rates".

    >>> import numpy as np
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
        f = math.sqrt(width * height * (3 if channels == "rgb" else 1) / steps)
        self._coerce(
            steps=steps,
            order=order,
            channels=channels,
            sha256=hashlib.sha256(f"{source.dtype} {source.shape}".encode() + source.tobytes()).hexdigest(),
            source=source,
            _size=(max(1, int(height / f)), max(1, int(width / f))),
        )

    def __len__(self) -> int:
        """Return w′·h′·c, the number of positions before the last value holds."""
        return self._size[0] * self._size[1] * (3 if self.channels == "rgb" else 1)

    def __setstate__(self, state: dict[str, object]) -> None:
        self._coerce(**state)
        self.source.setflags(write=False)  # which a pickle does not keep

    def __repr__(self) -> str:
        height, width = self.source.shape[:2]
        picture = f"<{len(self)} factors of a {width}x{height} picture, sha256 {self.sha256}>"
        return f"Pixels({picture}, steps={self.steps}, order={self.order!r}, channels={self.channels!r})"

    def _at(self, k: int) -> float:
        return float(self._look_up(min(k, len(self) - 1)))

    def values(self, n: int) -> np.ndarray:
        """Return the factors at k = 0 … n−1 as an array of shape (n,), float64."""
        k = np.minimum(np.arange(integer("n", n)), len(self) - 1)
        return np.asarray(self._look_up(k), dtype=np.float64)

    def _look_up(self, k: Any) -> Any:
        """Return the factor at k, or the factors at an array of positions, before the end."""
        pixel, channel = divmod(k, 3) if self.channels == "rgb" else (k, 0)
        rows, columns = self._size
        row, column = divmod(pixel, columns)
        if self.order == "serpentine":
            column = column + row % 2 * (columns - 1 - 2 * column)
        height, width, planes = self.source.shape
        y = (2 * row + 1) * height // (2 * rows)
        x = (2 * column + 1) * width // (2 * columns)
        return self.source[y, x, channel % planes] / _WHITE.get(self.source.dtype.name, 1.0)


_WHITE = {"uint8": 255.0, "uint16": 65535.0}  # 65535 = 257·255


def _read(image: Picture) -> np.ndarray:
    """Return the picture as a new array (h, w, 1 or 3) of uint8, uint16, or floats in [0, 1]."""
    if not isinstance(image, Image.Image) and hasattr(image, "__array__"):
        try:
            array = np.asarray(image)
        except (RuntimeError, TypeError, ValueError) as error:  # a tensor that requires grad, or of bfloat16
            raise TypeError(f"image: cannot be made an array: {error}") from error
        return _from_array(array)
    if not isinstance(image, (Image.Image, str, os.PathLike)) and not hasattr(image, "read"):
        raise TypeError(f"image must be a path, an open file, a PIL image or an array, got {image!r}")
    try:
        if isinstance(image, Image.Image):
            return _from_pillow(image)
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(image) as picture:
                return _from_pillow(picture)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's plugins raise whatever a broken file makes them stumble over
        why = str(error).removeprefix("image: ")
        raise ValueError(f"image: cannot read {image!r}: {why}") from error


def _from_pillow(image: Image.Image) -> np.ndarray:
    frame = image.tell() if getattr(image, "is_animated", False) else 0
    if frame:
        image.seek(0)
    try:
        return _from_array(_planes(image))
    finally:
        if frame:
            image.seek(frame)


def _planes(image: Image.Image) -> np.ndarray:
    """Return the picture's channels without alpha, as Pillow has them."""
    if image.mode == "I":  # 32 bits; how some files of 16 bits are opened
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
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype not in (np.uint8, np.uint16) and array.dtype.kind != "f":
        raise TypeError(f"image must be an array of uint8, uint16 or floats, got {array.dtype}")
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or array.size == 0:
        raise ValueError(f"image must be of shape (h, w) or (h, w, 1 | 3 | 4) and not empty, got {array.shape}")
    if array.dtype.kind == "f" and not (array.min() >= 0.0 and array.max() <= 1.0):
        raise ValueError(f"image: floats must be in [0, 1], got {array.min()} … {array.max()}")
    source = np.array(array[:, :, :3], order="C")
    source.setflags(write=False)
    return source


def _gray(source: np.ndarray) -> np.ndarray:
    """Return the luma of ITU-R 601-2, as Pillow rounds it for 8 bits."""
    if source.shape[2] == 1:
        return source
    if source.dtype == np.uint8:
        return np.asarray(Image.fromarray(source).convert("L"))[:, :, None]
    weights = np.array([[0.299], [0.587], [0.114]])
    return np.asarray(np.clip(source @ weights / _WHITE.get(source.dtype.name, 1.0), 0.0, 1.0))
