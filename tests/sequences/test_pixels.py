"""Pixels: the values, equality, printing, memory and arguments."""

import hashlib
import math
import pickle
import re
import tracemalloc
from copy import deepcopy

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from lrsched import Pixels
from tests.sequences.pictures import GRAY, RGB, first, noise, over_255, read_out, resized

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
    expected = read_out(picture / 255, steps, order, 3)
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
    expected = read_out(luma / 255, steps, order, 1)
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


def test_keeps_only_the_pixels_that_it_shows():
    # 300 × 200 pixels in 96 values of one channel: f = 25, so 12 × 8; pixel (row, col) is at (12 + 25·row, 12 + 25·col)
    picture = noise(200, 300, 1)
    seq = Pixels(picture, 96, channels="gray")
    assert np.array_equal(seq.source, picture[12::25, 12::25])
    assert not seq.source.flags.writeable
    assert "300x200 picture" in repr(seq)
    assert len(pickle.dumps(seq)) < 1000
    copy = deepcopy(seq)
    assert (copy, repr(copy), first(copy, 96)) == (seq, repr(seq), first(seq, 96))
    enlarged = Pixels(picture, 10**6, channels="gray")
    assert np.array_equal(enlarged.source, picture)


def test_the_digest_is_that_of_the_whole_picture():
    # type, shape and bytes; saved states hold it
    picture = noise(200, 300)
    digest = hashlib.sha256(b"uint8 (200, 300, 3)" + picture.tobytes()).hexdigest()
    assert [Pixels(picture, steps).sha256 for steps in (1, 96, 10**6)] == [digest] * 3


def test_a_side_that_does_not_shrink_is_kept():
    # 1 × 9 pixels in 16 values: f = ¾, so 1 × 12; in 4 values: f = 1.5, so max(1, 0) × 6
    line = np.arange(9, dtype=np.uint8)[None]
    assert Pixels(line, 16, channels="gray").source.shape == (1, 9, 1)
    assert Pixels(line, 4, channels="gray").source.shape == (1, 6, 1)


def test_a_pickle_of_the_whole_picture_still_loads():
    picture = noise(20, 30)
    seq = Pixels(picture, 60)
    fields = {name: getattr(seq, name) for name in ("steps", "order", "channels", "sha256", "_size")}
    old = object.__new__(Pixels)
    old.__setstate__({**fields, "source": picture.copy()})
    assert (old, repr(old), hash(old)) == (seq, repr(seq), hash(seq))
    assert first(old, 70) == first(seq, 70)


@pytest.mark.parametrize("channels", ["rgb", "gray"])
def test_no_second_copy_of_a_large_picture_is_made(channels):
    picture = noise(2000, 3000)
    tracemalloc.start()
    try:
        Pixels(picture, 5000, channels=channels)
        assert tracemalloc.get_traced_memory()[1] < picture.nbytes / 4  # Pillow's own memory is not traced
    finally:
        tracemalloc.stop()


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
        *[("steps", value) for value in (0, -1, np.int64(-5), 10**16)],
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
