"""What counts as a picture: paths, files, PIL images and arrays, of all modes."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lrsched import Pixels
from lrsched.sequences import _pictures
from tests.sequences.pictures import GRAY, RGB, encoded, first, noise, over_255, read_out

# ---------------------------------------------------------------- sources of a picture


def test_paths_files_images_and_arrays_are_the_same(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(RGB, "PNG"))
    with path.open("rb") as file:
        sources = [str(path), Path(path), file, io.BytesIO(path.read_bytes()), Image.open(path), Image.fromarray(RGB)]
        for source in [*sources, np.asfortranarray(RGB), np.dstack([RGB, GRAY])]:
            seq = Pixels(source, 12)
            assert seq == Pixels(RGB, 12)
            assert hash(seq) == hash(Pixels(RGB, 12))
            assert repr(seq) == repr(Pixels(RGB, 12))
            assert first(seq, 12) == over_255(*RGB.ravel())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_the_callers_file_stays_open(tmp_path, kind):
    path = tmp_path / "photo"
    path.write_bytes(encoded(noise(8, 8), kind))
    with path.open("rb") as file:
        on_disk = Pixels(file, 12)
        assert not file.closed
        file.seek(0)
        assert file.read() == path.read_bytes()
    memory = io.BytesIO(path.read_bytes())
    assert Pixels(memory, 12) == on_disk == Pixels(path, 12)
    assert not memory.closed
    path.unlink()
    assert len(first(on_disk, 12)) == 12  # nothing is read later


def test_the_callers_image_stays_usable():
    image = Image.open(io.BytesIO(encoded(RGB, "PNG")))
    Pixels(image, 12, channels="gray")
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), RGB)


def test_is_not_changed_through_the_callers_array_or_image():
    array, image, floats = RGB.copy(), Image.fromarray(RGB), RGB / 255
    sources = array, image, floats
    sequences = [Pixels(source, 12, channels=channels) for source in sources for channels in ("rgb", "gray")]
    before = [(first(seq, 12), repr(seq), hash(seq)) for seq in sequences]
    array[:] = 7
    floats[:] = 0.5
    image.putpixel((0, 0), (7, 7, 7))
    assert [(first(seq, 12), repr(seq), hash(seq)) for seq in sequences] == before


def test_does_not_change_the_callers_array():
    array, floats = RGB.copy(), RGB / 255
    for channels in ("rgb", "gray"):
        Pixels(array, 12, "serpentine", channels).values(20)
        Pixels(floats, 12, "serpentine", channels).values(20)
    assert np.array_equal(array, RGB)
    assert np.array_equal(floats, RGB / 255)
    assert array.flags.writeable
    assert floats.flags.writeable


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_are_taken_as_they_are(dtype):
    numbers = np.array([[0, 0.25, 1 / 3], [0.9999, 1, 0.1]], dtype=dtype)
    assert first(Pixels(numbers, 6, channels="gray"), 6) == pytest.approx(numbers.ravel().tolist(), rel=1e-7)
    assert first(Pixels((RGB / 255).astype(dtype), 12), 12) == pytest.approx((RGB / 255).ravel().tolist(), rel=1e-6)
    luma = (0.299, 0.587, 0.114, 0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.8)
    assert first(Pixels((RGB / 255).astype(dtype), 4, channels="gray"), 4) == pytest.approx(luma, abs=1 / 255)


# ---------------------------------------------------------------- modes

PALETTE = Image.fromarray(GRAY).convert("P")
PALETTE.putdata([0, 1, 2, 1])
PALETTE.putpalette([10, 20, 30, 255, 0, 0, 1, 2, 3])
PALETTE_RGB = [10, 20, 30, 255, 0, 0, 1, 2, 3, 255, 0, 0]
CMYK = Image.merge("CMYK", [*Image.fromarray(255 - RGB).split(), Image.new("L", (2, 2))])
THRICE = [0, 0, 0, 51, 51, 51, 102, 102, 102, 255, 255, 255]
ALPHA = Image.fromarray(np.array([[0, 255], [128, 1]], dtype=np.uint8))


def with_alpha(image):
    image.putalpha(ALPHA)
    return image


@pytest.mark.parametrize("through_a_file", [False, True])
@pytest.mark.parametrize(
    ("image", "kind", "expected"),
    [
        (PALETTE, "PNG", PALETTE_RGB),
        (PALETTE, "GIF", PALETTE_RGB),
        (Image.fromarray(GRAY), "PNG", THRICE),
        (with_alpha(Image.fromarray(GRAY)), "PNG", THRICE),
        (with_alpha(Image.fromarray(RGB)), "PNG", RGB.ravel()),
        (Image.fromarray(GRAY).point(lambda v: 255 * (v > 60), "1"), "PNG", [0] * 6 + [255] * 6),
        (CMYK, "TIFF", RGB.ravel()),
    ],
    ids=["P", "P-GIF", "L", "LA", "RGBA", "1", "CMYK"],
)
def test_modes_become_rgb(image, kind, expected, through_a_file):
    if through_a_file:
        mode, image = image.mode, Image.open(io.BytesIO(encoded(image, kind)))
        assert image.mode == mode
    assert first(Pixels(image, 12), 14) == over_255(*expected, expected[-1], expected[-1])


def test_modes_become_gray():
    assert first(Pixels(PALETTE, 4, channels="gray"), 4) == over_255(18, 76, 2, 76)
    for image in (Image.fromarray(GRAY), with_alpha(Image.fromarray(GRAY))):
        assert first(Pixels(image, 4, channels="gray"), 4) == over_255(0, 51, 102, 255)


def test_a_palette_with_transparency_gives_its_colours_without_a_warning():
    data = encoded(PALETTE, "PNG", transparency=b"\x00\x80\xff")
    assert first(Pixels(io.BytesIO(data), 12), 12) == over_255(*PALETTE_RGB)


@pytest.mark.parametrize("kind", [None, "PNG", "TIFF"])
def test_16_bit_values_are_divided_by_257_without_loss(kind):
    numbers = [[0, 1, 257], [32768, 65534, 65535]]
    image = Image.fromarray(np.array(numbers, dtype=np.uint16))
    if kind:
        image = io.BytesIO(encoded(image, kind))
    expected = [value / 65535 for value in np.ravel(numbers)]
    assert first(Pixels(image, 6, channels="gray"), 6) == pytest.approx(expected, rel=1e-12, abs=0)
    if not kind:
        assert first(Pixels(image, 18), 18) == pytest.approx(np.repeat(expected, 3).tolist(), rel=1e-12, abs=0)


def test_16_bit_values_in_the_other_byte_order():
    image = Image.frombytes("I;16B", (2, 1), (1).to_bytes(2, "big") + (65534).to_bytes(2, "big"))
    assert first(Pixels(image, 2, channels="gray"), 2) == pytest.approx([1 / 65535, 65534 / 65535], rel=1e-12)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "WEBP"])
def test_an_animation_gives_its_first_frame(kind):
    frames = [Image.new("RGB", (2, 2), colour) for colour in ((255, 0, 0), (0, 0, 255), (0, 255, 0))]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert first(Pixels(io.BytesIO(data), 12), 12) == over_255(*[255, 0, 0] * 4)
    image = Image.open(io.BytesIO(data))
    assert image.n_frames == 3
    assert first(Pixels(image, 12), 12) == over_255(*[255, 0, 0] * 4)
    image.seek(1)
    assert first(Pixels(image, 12), 12) == over_255(*[255, 0, 0] * 4)
    assert image.tell() == 1


# ---------------------------------------------------------------- every mode, against another implementation


def random_image(mode, width, height, chance):
    """Return an image of random values in any mode."""
    if mode == "1":
        return Image.fromarray(chance.random((height, width)) > 0.5)
    if mode == "I":
        return Image.fromarray(chance.integers(0, 65536, (height, width), dtype=np.int32))
    if mode == "F":
        return Image.fromarray(chance.random((height, width), dtype=np.float32))
    size = 2 if mode.startswith("I;16") else len(Image.new(mode, (1, 1)).getbands())
    image = Image.frombytes(mode, (width, height), chance.bytes(width * height * size))
    if mode in ("P", "PA"):
        image.putpalette(chance.bytes(768))
    return image


def decoded(image):
    """Return all of an image's values divided by white, (h, w, 1 or 3), and their luma."""
    if image.mode in ("1", "L", "LA"):
        values = np.asarray(image.convert("L"))[:, :, None] / 255
        return values, values
    if image.mode == "La":
        return decoded(image.convert("LA"))
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.asarray(image)[:, :, None] / (1 if image.mode == "F" else 65535)
        return values, values
    rgb = (image.convert("RGBA") if image.mode in ("P", "PA", "RGBa") else image).convert("RGB")
    return np.asarray(rgb) / 255, np.asarray(rgb.convert("L"))[:, :, None] / 255


PILLOW_MODES = ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "LAB", "HSV", "I", "F"]
PILLOW_MODES += ["I;16", "I;16L", "I;16B", "I;16N"]


@pytest.mark.parametrize("mode", PILLOW_MODES)
def test_every_mode_follows_the_formula(mode, monkeypatch):
    monkeypatch.setattr(_pictures, "_STRIP", 17 * 5)  # three strips
    image = random_image(mode, 17, 13, np.random.default_rng(0))
    rgb, luma = decoded(image)
    for steps in (1, 100, 5000):
        for order in ("raster", "serpentine"):
            for channels, c, values in (("rgb", 3, rgb), ("gray", 1, luma)):
                expected = read_out(values, steps, order, c)
                assert Pixels(image, steps, order, channels).values(len(expected)).tolist() == pytest.approx(
                    expected.tolist(), rel=1e-15, abs=0
                )


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "f2", "<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("planes", [(), (1,), (3,), (4,)], ids=str)
def test_every_array_follows_the_formula(dtype, planes, monkeypatch):
    monkeypatch.setattr(_pictures, "_STRIP", 60)
    scale = np.iinfo(dtype).max if "u" in dtype else 1
    array = (np.random.default_rng(0).random((13, 17, *planes)) * scale).astype(dtype)
    rgb = np.atleast_3d(array)[:, :, :3].astype(np.float64) / scale
    for given in (array, np.asfortranarray(array), np.ascontiguousarray(array[::-1])[::-1]):
        for steps in (1, 40, 5000):
            expected = read_out(rgb, steps, "serpentine", 3)
            values = Pixels(given, steps, "serpentine").values(len(expected))
            assert values.tolist() == pytest.approx(expected.tolist(), rel=1e-15, abs=0)
            luma = rgb if rgb.shape[2] == 1 else rgb @ [[0.299], [0.587], [0.114]]
            expected = read_out(luma, steps, "raster", 1)
            values = Pixels(given, steps, channels="gray").values(len(expected))
            rounding = 1 / 255 if dtype == "u1" and rgb.shape[2] == 3 else 1e-12
            assert values.tolist() == pytest.approx(expected.tolist(), abs=rounding)
