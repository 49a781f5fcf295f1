import io
import math
import pickle
import random
import re
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from lrsched import Pixels

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


# ---------------------------------------------------------------- by hand


def test_a_picture_with_one_value_per_step_is_not_resized():
    assert first(Pixels(RGB, 12), 15) == over_255(255, 0, 0, 0, 255, 0, 0, 0, 255, 51, 102, 204, 204, 204, 204)


def test_serpentine_reverses_the_pixels_of_odd_rows_but_not_their_channels():
    seq = Pixels(RGB, 12, order="serpentine")
    assert first(seq, 15) == over_255(255, 0, 0, 0, 255, 0, 51, 102, 204, 0, 0, 255, 255, 255, 255)


def test_gray_converts_first():
    assert first(Pixels(RGB, 4, channels="gray"), 6) == over_255(76, 150, 29, 98, 98, 98)
    assert first(Pixels(RGB, 4, "serpentine", "gray"), 6) == over_255(76, 150, 98, 29, 29, 29)


def test_doubled():
    seq = Pixels(GRAY, 16, channels="gray")
    assert first(seq, 17) == over_255(0, 0, 51, 51, 0, 0, 51, 51, 102, 102, 255, 255, 102, 102, 255, 255, 255)


def test_shrunk_to_a_half_and_to_a_third():
    picture = np.arange(36, dtype=np.uint8).reshape(6, 6)
    assert first(Pixels(picture, 9, channels="gray"), 9) == over_255(7, 9, 11, 19, 21, 23, 31, 33, 35)
    assert first(Pixels(picture, 4, channels="gray"), 4) == over_255(7, 10, 25, 28)
    assert first(Pixels(picture, 1, channels="gray"), 2) == over_255(21, 21)


def test_keeps_its_shape():
    # 4 × 2 pixels in 18 values: f = √(8/18) = 2/3, so 6 × 3
    row = [0, 1, 1, 2, 3, 3], [4, 5, 5, 6, 7, 7]
    seq = Pixels(np.arange(8, dtype=np.uint8).reshape(2, 4), 18, channels="gray")
    assert first(seq, 18) == over_255(*row[0], *row[1], *row[1])


def test_one_pixel():
    one = np.array([[[255, 51, 0]]], dtype=np.uint8)
    assert first(Pixels(one, 1), 5) == over_255(255, 51, 0, 0, 0)
    assert first(Pixels(one, 12), 13) == over_255(*[255, 51, 0] * 4, 0)


def test_a_thin_picture_keeps_at_least_one_row():
    # 9 × 1 pixels in 3 values: f = √3, so ⌊9/1.73⌋ = 5 columns and max(1, 0) rows; the columns are 0, 2, 4, 6, 8
    line = np.arange(9, dtype=np.uint8)[None]
    assert first(Pixels(line, 3, channels="gray"), 7) == over_255(0, 2, 4, 6, 8, 8, 8)
    assert first(Pixels(line.T, 3, channels="gray"), 7) == over_255(0, 2, 4, 6, 8, 8, 8)


# ---------------------------------------------------------------- against the formula and against Pillow


def resized(height, width, planes, steps):
    f = math.sqrt(width * height * planes / steps)
    return max(1, math.floor(height / f)), max(1, math.floor(width / f))


def read_out(picture, steps, order):
    """Return all values of a picture of shape (h, w, c), in numpy and at once."""
    height, width, planes = picture.shape
    rows, columns = resized(height, width, planes, steps)
    y = (2 * np.arange(rows) + 1) * height // (2 * rows)
    x = (2 * np.arange(columns) + 1) * width // (2 * columns)
    small = picture[y][:, x]
    if order == "serpentine":
        small[1::2] = small[1::2, ::-1]
    return (small / 255).ravel()


def at_an_edge(height, width, planes, steps):
    """Return whether a side is so close to a whole number that the rounding of f decides about a pixel."""
    exact = math.isqrt(height * steps // (width * planes)), math.isqrt(width * steps // (height * planes))
    return resized(height, width, planes, steps) != (max(1, exact[0]), max(1, exact[1]))


pictures = st.tuples(st.integers(1, 24), st.integers(1, 24), st.integers(1, 4000), st.integers(0, 99))


@settings(deadline=None)
@given(pictures, st.sampled_from(["raster", "serpentine"]))
def test_rgb_follows_the_formula(drawn, order):
    height, width, steps, seed = drawn
    assume(not at_an_edge(height, width, 3, steps))
    picture = noise(height, width, seed=seed)
    expected = read_out(picture, steps, order)
    values = Pixels(picture, steps, order=order).values(len(expected) + 9)
    assert values[: len(expected)].tolist() == pytest.approx(expected.tolist(), rel=1e-15)
    assert set(values[len(expected) :]) == {values[len(expected) - 1]}


@settings(deadline=None)
@given(pictures, st.sampled_from(["raster", "serpentine"]))
def test_gray_follows_the_formula(drawn, order):
    height, width, steps, seed = drawn
    assume(not at_an_edge(height, width, 1, steps))
    picture = noise(height, width, seed=seed)
    luma = np.asarray(Image.fromarray(picture).convert("L"))[:, :, None]
    expected = read_out(luma, steps, order)
    for image in (picture, luma, luma[:, :, 0]):
        values = Pixels(image, steps, order=order, channels="gray").values(len(expected) + 9)
        assert values.tolist() == pytest.approx([*expected, *[expected[-1]] * 9], rel=1e-15)


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_equals_pillows_nearest_if_the_sides_divide(height, width, ratio, shrink):
    large, small = (height * ratio, width * ratio), (height, width)
    source, target = (large, small) if shrink else (small, large)
    picture = noise(*source)
    steps = target[0] * target[1] * 3
    assume(resized(*source, 3, steps) == target)
    expected = np.asarray(Image.fromarray(picture).resize(target[::-1], Image.Resampling.NEAREST))
    assert Pixels(picture, steps).values(steps).tolist() == (expected.ravel() / 255).tolist()


@settings(deadline=None)
@given(pictures, st.sampled_from(["raster", "serpentine"]), st.sampled_from(["rgb", "gray"]))
def test_values_are_in_0_to_1_and_equal_calling(drawn, order, channels):
    height, width, steps, seed = drawn
    seq = Pixels(noise(height, width, seed=seed), steps, order, channels)
    values = seq.values(steps + 5)
    assert 0.0 <= values.min() <= values.max() <= 1.0
    for k in (0, 1, 2, 3, steps // 2, steps - 1, steps, steps + 4):
        assert type(seq(k)) is float
        assert seq(k) == values[k]


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


# ---------------------------------------------------------------- equality, printing, memory


def test_pictures_and_arguments_decide_equality():
    seq = Pixels(RGB, 12)
    assert seq == Pixels(RGB.copy(), 12, order="raster", channels="rgb")
    others = [Pixels(RGB[::-1], 12), Pixels(RGB, 13), Pixels(RGB, 12, "serpentine"), Pixels(RGB, 12, channels="gray")]
    others += [Pixels(np.zeros((2, 6), np.uint8), 12), Pixels(np.zeros((6, 2), np.uint8), 12)]
    assert len({seq, *others}) == 7
    assert len({repr(one) for one in (seq, *others)}) == 7


def test_prints_a_length_and_a_sha256():
    text = repr(Pixels(noise(40, 50), 700, order="serpentine", channels="gray"))
    assert text.startswith("Pixels(")
    assert re.search(r"sha256\W+[0-9a-f]{8,64}\b", text)
    assert re.search(r"\b667\b", text)  # f = √(50·40/700), so 29 × 23 values
    assert "steps=700" in text
    assert "serpentine" in text
    assert "gray" in text
    assert len(text) < 250


def test_a_pickled_copy_is_equal_and_small():
    seq = Pixels(noise(64, 64), 10**8)
    data = pickle.dumps(seq)
    assert len(data) < 2 * 64 * 64 * 3
    again = pickle.loads(data)
    assert again == seq
    assert again(12345678) == seq(12345678)


@pytest.mark.parametrize(("order", "channels"), [("raster", "rgb"), ("serpentine", "gray")])
def test_memory_does_not_grow_with_the_number_of_steps(order, channels):
    picture = noise(64, 64)
    Pixels(picture, 100, order, channels)
    tracemalloc.start()
    try:
        seq = Pixels(picture, 10**8, order, channels)
        values = [seq(k) for k in (0, 10**7, 10**8 - 1, 10**8, 10**15)]
        assert tracemalloc.get_traced_memory()[1] < 10 * picture.nbytes
    finally:
        tracemalloc.stop()
    assert all(0.0 <= value <= 1.0 for value in values)


def test_far_positions_by_hand():
    # 10⁸ steps: f = √(64·64·3/10⁸), ⌊64/f⌋ = 5773 a side and 99,982,587 values
    picture, side = noise(64, 64), 5773
    seq = Pixels(picture, 10**8)
    assert seq(10**8 - 1) == seq(10**15) == seq(side * side * 3 - 1) == picture[63, 63, 2] / 255
    assert seq(side * side * 3 - 2) == picture[63, 63, 1] / 255
    row, column = 3000, 4321
    y, x = (2 * row + 1) * 64 // (2 * side), (2 * column + 1) * 64 // (2 * side)
    assert seq((row * side + column) * 3 + 1) == picture[y, x, 1] / 255
    assert 0.0 <= Pixels(picture, 10**15)(10**15 - 1) <= 1.0


# ---------------------------------------------------------------- bad pictures


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
    refused(tmp_path)
    closed = io.BytesIO(encoded(RGB, "PNG"))
    closed.close()
    refused(closed)


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
            assert "bomb" in refused(source)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", side * side)
    assert Pixels(path, side * side * 3)(0) == noise(side, side)[0, 0, 0] / 255


MODES = ["PA", "RGBX", "RGBa", "YCbCr", "LAB", "HSV", "I", "F", "La", "I;16", "I;16L", "I;16N"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("channels", ["rgb", "gray"])
def test_every_other_mode_works(mode, channels):
    assert works(Image.new(mode, (2, 2)), channels=channels)


# ---------------------------------------------------------------- other bad arguments


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("steps", value) for value in (None, "10", 10.0, math.nan, math.inf, True, [10])],
        *[("order", value) for value in (None, 1, b"raster", ["raster"])],
        *[("channels", value) for value in (None, 3, b"rgb", ["rgb"])],
    ],
)
def test_refuses_the_wrong_kind_and_names_the_argument(name, value):
    with pytest.raises(TypeError, match=rf"^{name} must be "):
        Pixels(RGB, **{"steps": 12, name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("steps", value) for value in (0, -1, np.int64(-5))],
        *[("order", value) for value in ("", "snake", "Raster")],
        *[("channels", value) for value in ("", "rgba", "RGB", "grey")],
    ],
)
def test_refuses_the_wrong_value_and_names_the_argument(name, value):
    with pytest.raises(ValueError, match=rf"^{name} must be "):
        Pixels(RGB, **{"steps": 12, name: value})


def test_numpy_integers_become_python_integers():
    seq = Pixels(RGB, np.int64(12))
    assert type(seq.steps) is int
    assert seq == Pixels(RGB, 12)
