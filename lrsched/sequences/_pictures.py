"""Reads pictures: files, PIL images and arrays, upright, as strips of rows.

Only this file uses Pillow. It is imported when a picture is read, because Pillow takes a while to import.

Pillow decodes a file as a whole. Strips keep everything that follows (conversion, rotation, hashing) small.
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from .._check import first_line, refuse
from ._rows import Rows, white

File = str | os.PathLike[str] | IO[bytes]
Picture = File | Image.Image | np.ndarray

_STRIP = 2**18  # pixels, so that a strip fits into a processor's cache
# The transposition that turns a picture upright, by its EXIF orientation. ROTATE_270 is a quarter turn clockwise.
_UPRIGHT: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FROM_LEFT = (Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_270)  # the left column becomes the top row
_FROM_RIGHT = (Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_90)
_FROM_BOTTOM = (Image.Transpose.ROTATE_180, Image.Transpose.FLIP_TOP_BOTTOM)

_HEIC = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1")
_AVIF = (b"avif", b"avis")
_REMEDIES = {
    ".heic": (
        "Pillow cannot read HEIC without a plugin. Run `pip install pillow-heif` and call "
        "`pillow_heif.register_heif_opener()` first, or convert the picture to JPEG"
    ),
    ".avif": (
        "this Pillow cannot read AVIF. Run `pip install --upgrade pillow` (11.3 or later), "
        "or convert the picture to JPEG"
    ),
}


@contextmanager
def opened(image: Picture, gray: bool = False) -> Iterator[Rows]:
    """Yield the rows of a picture, converted to gray if `gray`. The strips can be read once, within the block.

    Raises TypeError or ValueError if `image` is not a picture, also while the strips are read.
    """
    if not isinstance(image, Image.Image) and hasattr(image, "__array__"):
        yield _array_rows(_array(image), gray)
        return
    if not isinstance(image, (Image.Image, str, os.PathLike)) and not hasattr(image, "read"):
        refuse("image", "a path, an open file, a PIL image or an array", image)
    try:
        with _first_frame(image) if isinstance(image, Image.Image) else _file(image) as frame:
            yield _image_rows(frame, gray)
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises errors of any type on a broken file
        raise ValueError(f"image: cannot read {image!r}: {_explained(error, image)}") from error


# ---------------------------------------------------------------- arrays


def _array(image: Picture) -> np.ndarray:
    try:
        return np.asarray(image)
    except (RuntimeError, TypeError, ValueError) as error:  # for example, a tensor that requires grad
        raise TypeError(f"image cannot be converted to an array: {error}") from error


def _array_rows(array: np.ndarray, gray: bool) -> Rows:
    """Return the rows of an array, after checking its type and shape."""
    dtype = array.dtype.newbyteorder("=")
    if dtype not in (np.uint8, np.uint16) and dtype.kind != "f":
        raise TypeError(f"image must be an array of uint8, uint16 or floats, got an array of {dtype}")
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (1,), (3,), (4,)) or array.size == 0:
        raise ValueError(f"image must have shape (h, w) or (h, w, 1 | 3 | 4) and not be empty, got {array.shape}")
    height, width = array.shape[:2]
    return _rows(height, width, lambda top, bottom: array[top:bottom], gray)


def _rows(height: int, width: int, cut: Callable[[int, int], np.ndarray], gray: bool) -> Rows:
    """Return the rows of a picture; cut(top, bottom) gives some of them, as an array in any layout."""
    tops = range(0, height, max(1, _STRIP // width))
    strips = (_strip(cut(top, min(top + tops.step, height))) for top in tops)
    return Rows(height, width, map(_gray, strips) if gray else strips)


def _strip(array: np.ndarray) -> np.ndarray:
    """Return some rows as a contiguous array (h, w, 1 or 3) in this machine's byte order, after checking floats."""
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.kind == "f" and not (array.min() >= 0.0 and array.max() <= 1.0):
        raise ValueError(
            f"image: floats must be in [0, 1], got {array.min()} … {array.max()}; divide them by the white value"
        )
    return np.ascontiguousarray(array[:, :, None] if array.ndim == 2 else array[:, :, :3])


def _gray(strip: np.ndarray) -> np.ndarray:
    """Return the luma of ITU-R 601-2; 8-bit values are rounded as Pillow rounds them."""
    if strip.shape[2] == 1:
        return strip
    if strip.dtype == np.uint8:
        return np.asarray(Image.fromarray(strip).convert("L"))[:, :, None]
    weights = np.array([[0.299], [0.587], [0.114]])
    return np.asarray(np.clip(strip @ weights / white(strip), 0.0, 1.0))


# ---------------------------------------------------------------- files and PIL images


@contextmanager
def _file(image: File) -> Iterator[Image.Image]:
    """Yield the first frame of a file. Files that the user opened stay open."""
    if isinstance(image, (str, os.PathLike)) and not stat.S_ISREG(os.stat(image).st_mode):
        raise ValueError("a folder, a pipe or a device is not a picture; give the path of a file")
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", module=r"PIL\.TiffImagePlugin")  # a broken EXIF block, in any format
        picture = Image.open(image)
        with picture:
            picture.load()
            yield picture


@contextmanager
def _first_frame(image: Image.Image) -> Iterator[Image.Image]:
    """Yield a user's image at its first frame, and return it to its present frame afterwards."""
    frame = image.tell() if getattr(image, "is_animated", False) else 0
    if frame:
        image.seek(0)
    try:
        image.load()
        yield image
    finally:
        if frame:
            image.seek(frame)


def _image_rows(image: Image.Image, gray: bool) -> Rows:
    """Return the rows of an image, turned upright."""
    if 0 in image.size:
        raise ValueError(f"it has no pixels, its size is {image.size}")
    turn = _UPRIGHT.get(_orientation(image))
    width, height = image.size
    if turn in _FROM_LEFT or turn in _FROM_RIGHT:
        width, height = height, width

    def cut(top: int, bottom: int) -> np.ndarray:
        strip = image.crop(_box(turn, top, bottom, image.size))
        return _planes(strip if turn is None else strip.transpose(turn))

    return _rows(height, width, cut, gray)


def _box(turn: Image.Transpose | None, top: int, bottom: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the part (left, top, right, bottom) of an image that becomes some rows of the upright picture."""
    width, height = size
    if turn in _FROM_LEFT:
        return top, 0, bottom, height
    if turn in _FROM_RIGHT:
        return width - bottom, 0, width - top, height
    if turn in _FROM_BOTTOM:
        return 0, height - bottom, width, height - top
    return 0, top, width, bottom


def _orientation(image: Image.Image) -> object:
    """Return the EXIF orientation of a loaded image; 1, upright, if there is none or its EXIF block is broken."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # of any type; a viewer shows such a picture as it is stored
        return 1


def _planes(image: Image.Image) -> np.ndarray:
    """Return the channels of an image in any of Pillow's modes, without alpha."""
    if image.mode == "I":  # 32 bits; Pillow opens some 16-bit files in this mode
        array = np.asarray(image)
        if array.min() < 0 or array.max() > 65535:
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
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


# ---------------------------------------------------------------- errors


def _explained(error: Exception, image: File | Image.Image) -> str:
    """Return why a picture cannot be read, and the remedy if there is one."""
    if isinstance(error, (Image.DecompressionBombWarning, Image.DecompressionBombError)):
        return (
            f"{first_line(error)} If you trust the picture, set PIL.Image.MAX_IMAGE_PIXELS (now "
            f"{Image.MAX_IMAGE_PIXELS}) to at least its number of pixels first; otherwise shrink it"
        )
    ending = _ending(image) if isinstance(error, UnidentifiedImageError) else ""
    if ending in _REMEDIES and ending not in Image.registered_extensions():
        return _REMEDIES[ending]
    return first_line(error).removeprefix("image: ")


def _ending(image: File | Image.Image) -> str:
    """Return ".heic" or ".avif" if a file has such content, or only such a name; otherwise ""."""
    head = _head(image)
    if head[4:8] == b"ftyp":
        brands = [head[i : i + 4] for i in range(8, len(head), 4)]
        if any(brand in _AVIF for brand in brands):
            return ".avif"
        if any(brand in _HEIC for brand in brands):
            return ".heic"
    name = str(getattr(image, "name", image)).lower()
    if name.endswith((".heic", ".heif", ".hif", ".avif")):
        return ".avif" if name.endswith(".avif") else ".heic"
    return ""


def _head(image: File | Image.Image) -> bytes:
    """Return the file type box at the start of a file, or b"" if it cannot be read."""
    try:
        if isinstance(image, (str, os.PathLike)):
            with open(image, "rb") as file:
                head = file.read(64)
        elif isinstance(image, Image.Image):
            return b""
        else:
            image.seek(0)
            head = image.read(64)
        return head[: int.from_bytes(head[:4], "big")]
    except Exception:  # whatever is wrong with the file, the first error says more
        return b""
