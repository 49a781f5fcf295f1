"""Pictures that cannot be read are refused by an error that names the argument, and the remedy if there is one."""

import io
import math
import os
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lrsched import Pixels
from tests.sequences.pictures import RGB, encoded, noise


@pytest.mark.parametrize(
    "image", [None, 5, 0.5, object(), [[0, 1], [1, 0]], (1, 2), {}, abs], ids=lambda image: type(image).__name__
)
def test_refuses_what_is_not_a_picture(image):
    with pytest.raises(TypeError, match=r"^image must be a path, an open file, a PIL image or an array, got "):
        Pixels(image, 10)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, bool, complex, str, object, "datetime64[s]"])
def test_refuses_arrays_of_other_types(dtype):
    with pytest.raises(TypeError, match=r"^image must be an array of uint8, uint16 or floats, got an array of "):
        Pixels(np.ones((2, 2)).astype(dtype), 10)


@pytest.mark.parametrize("shape", [(), (4,), (2, 2, 2), (2, 2, 5), (1, 2, 2, 3), (0, 2), (2, 0, 3), (2, 2, 0)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_refuses_arrays_of_other_shapes(shape, dtype):
    with pytest.raises(ValueError, match=r"^image must have shape \(h, w\) or .* and not be empty, got \("):
        Pixels(np.zeros(shape, dtype), 10)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1e-6, 1.0001, 255.0])
@pytest.mark.parametrize("planes", [1, 3, 4])
def test_refuses_floats_outside_0_to_1(value, planes):
    picture = np.full((3, 3, planes), 0.5)
    picture[1, 1, 0] = value
    with pytest.raises(ValueError, match=r"^image\b.*\[0, 1\]"):
        Pixels(picture, 10)


def refused(image):
    with pytest.raises(ValueError, match=r"^image\b") as caught:
        Pixels(image, 10)
    return str(caught.value)


def works(image, **arguments):
    """Return whether a picture works; False if it is refused by an error that names the argument."""
    try:
        seq = Pixels(image, 10, **arguments)
    except ValueError as error:
        if not str(error).startswith("image"):
            raise
        return False
    return 0.0 <= seq(0) <= 1.0


def test_refuses_files_without_a_picture(tmp_path):
    files = {
        "empty.png": b"",
        "text.png": b"not a picture",
        "signature.png": b"\x89PNG\r\n\x1a\n",
        "zero.jpg": bytes(999),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        assert name in refused(tmp_path / name)
        assert name in refused(str(tmp_path / name))
        refused(io.BytesIO(data))
        with (tmp_path / name).open("rb") as file:
            assert name in refused(file)
            assert not file.closed


def test_refuses_files_that_are_not_open_for_reading_bytes(tmp_path):
    (tmp_path / "text").write_text("text")
    with (tmp_path / "text").open() as file:
        refused(file)
    refused(io.StringIO("text"))
    closed = io.BytesIO(encoded(RGB, "PNG"))
    closed.close()
    refused(closed)


@pytest.mark.parametrize("as_path", [str, Path])
def test_refuses_folders_devices_and_pipes_without_waiting(tmp_path, as_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path, tmp_path / "pipe.png", "/dev/zero"):
        assert "a folder, a pipe or a device is not a picture; give the path of a file" in refused(as_path(path))


@pytest.mark.parametrize("path", ["", "nul\0.png", "x" * 5000], ids=["empty", "nul", "long"])
def test_refuses_impossible_paths(path):
    refused(path)


def test_refuses_an_image_without_pixels():
    assert "has no pixels" in refused(Image.new("RGB", (0, 3)))


def test_refuses_a_path_that_does_not_exist(tmp_path):
    with pytest.raises((ValueError, OSError), match=r"^image\b.*nowhere\.png"):
        Pixels(tmp_path / "nowhere.png", 10)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns about some broken files
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_a_file_cut_anywhere_works_or_is_refused(kind):
    data = encoded(noise(9, 7), kind)
    lengths = range(0, len(data), max(1, len(data) // 150))
    assert sum(works(io.BytesIO(data[:length])) for length in lengths) < len(lengths) - 20


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF"])
def test_an_image_of_a_cut_file_is_refused(kind):
    data = encoded(noise(40, 40), kind)
    refused(Image.open(io.BytesIO(data[: len(data) * 3 // 4])))  # Pillow reads the pixels only on demand


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF"])
def test_a_damaged_file_works_or_is_refused(kind, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    chance = random.Random(0)
    data = encoded(noise(9, 7), kind)
    for _ in range(200):
        damaged = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(min(len(data), 400))] = chance.randrange(256)
        works(io.BytesIO(bytes(damaged)))  # an error that does not name the picture fails


@pytest.mark.parametrize("side", [4, 10])
def test_refuses_a_decompression_bomb_although_pillow_may_only_warn(side, monkeypatch, tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(encoded(noise(side, side), "PNG"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow warns above 10 pixels and raises above 20
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for source in (path, io.BytesIO(path.read_bytes())):
            message = refused(source)
            assert f"({side * side} pixels)" in message
            assert "set PIL.Image.MAX_IMAGE_PIXELS (now 10) to at least its number of pixels" in message
            assert "shrink it" in message
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", side * side)
    assert Pixels(path, side * side * 3)(0) == noise(side, side)[0, 0, 0] / 255


MODES = ["PA", "RGBX", "RGBa", "YCbCr", "LAB", "HSV", "I", "F", "La", "I;16", "I;16L", "I;16N"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("channels", ["rgb", "gray"])
def test_every_other_mode_works(mode, channels):
    assert works(Image.new(mode, (2, 2)), channels=channels)


# ---------------------------------------------------------------- formats that Pillow may not read


def box(major, *compatible):
    """Return the file type box of a HEIC or AVIF file, and bytes that no decoder understands."""
    brands = major + bytes(4) + b"".join(compatible)
    return (8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands + bytes(99)


HEIC = "Run `pip install pillow-heif` and call `pillow_heif.register_heif_opener()` first, or convert the picture"
AVIF = "Run `pip install --upgrade pillow` (11.3 or later), or convert the picture to JPEG"


@pytest.fixture
def plain_pillow(monkeypatch):
    """Pillow without the plugins that read HEIC and AVIF."""
    Image.init()
    removed = "AVIF", "HEIF"
    monkeypatch.setattr(Image, "ID", [kind for kind in Image.ID if kind not in removed])
    endings = {end: kind for end, kind in Image.EXTENSION.items() if kind not in removed}
    monkeypatch.setattr(Image, "EXTENSION", endings)


@pytest.mark.parametrize(
    ("data", "remedy"),
    [
        (box(b"heic", b"mif1", b"heic"), HEIC),
        (box(b"mif1", b"heic", b"heix"), HEIC),
        (box(b"msf1", b"hevc"), HEIC),
        (box(b"avif", b"mif1", b"miaf"), AVIF),
        (box(b"mif1", b"avif"), AVIF),
    ],
    ids=["heic", "mif1-heic", "msf1-hevc", "avif", "mif1-avif"],
)
def test_the_content_of_a_heic_or_avif_file_names_the_remedy(tmp_path, plain_pillow, data, remedy):
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    assert remedy in refused(path)
    assert remedy in refused(str(path))
    assert remedy in refused(io.BytesIO(data))
    with path.open("rb") as file:
        assert remedy in refused(file)


@pytest.mark.parametrize(("name", "remedy"), [("a.heic", HEIC), ("A.HEIF", HEIC), ("b.hif", HEIC), ("c.avif", AVIF)])
def test_the_ending_of_an_unknown_file_names_the_remedy(tmp_path, plain_pillow, name, remedy):
    (tmp_path / name).write_bytes(b"something else")
    assert remedy in refused(tmp_path / name)


def test_another_picture_may_be_called_heic(tmp_path, plain_pillow):
    path = tmp_path / "really_a_png.heic"
    path.write_bytes(encoded(RGB, "PNG"))
    assert Pixels(path, 12) == Pixels(RGB, 12)
    path.write_bytes(encoded(noise(40, 40), "PNG")[:3000])
    assert "heif" not in refused(path)


def test_a_broken_heic_file_needs_no_plugin_if_there_is_one(monkeypatch):
    Image.init()
    monkeypatch.setattr(Image, "EXTENSION", {**Image.EXTENSION, ".heic": "HEIF"})
    assert "cannot identify" in refused(io.BytesIO(box(b"heic", b"mif1")))


@pytest.mark.parametrize("data", [box(b"isom", b"mp42"), b"\0\0\0\x08ftyp", b"\0\0"], ids=["mp4", "short", "stub"])
def test_other_files_get_no_such_advice(plain_pillow, data):
    assert "convert" not in refused(io.BytesIO(data))
