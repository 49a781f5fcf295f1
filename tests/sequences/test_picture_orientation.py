"""Pictures are turned upright by their EXIF orientation, as viewers do."""

import io
import random

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from lrsched import Pixels
from tests.sequences.pictures import encoded, first, noise, over_255

STORED = [[10, 20, 30], [40, 50, 60]]
UPRIGHT = {  # by the definition: the side of the scene at which row 0 and column 0 of the stored picture are
    1: [[10, 20, 30], [40, 50, 60]],  # top, left
    2: [[30, 20, 10], [60, 50, 40]],  # top, right
    3: [[60, 50, 40], [30, 20, 10]],  # bottom, right
    4: [[40, 50, 60], [10, 20, 30]],  # bottom, left
    5: [[10, 40], [20, 50], [30, 60]],  # left, top
    6: [[40, 10], [50, 20], [60, 30]],  # right, top
    7: [[60, 30], [50, 20], [40, 10]],  # right, bottom
    8: [[30, 60], [20, 50], [10, 40]],  # left, bottom
}


def tagged(array, orientation):
    """Return an image with an EXIF orientation, as `Image.open` would."""
    return Image.open(io.BytesIO(encoded_with(array, orientation, "PNG")))


def encoded_with(array, orientation, kind, **options):
    image = Image.fromarray(np.asarray(array, dtype=np.uint8))
    exif = image.getexif()
    exif[ExifTags.Base.Orientation] = orientation
    return encoded(image, kind, exif=exif, **options)


def check(image, expected):
    """Check a gray picture's size, values and digest against those of an array."""
    expected = np.array(expected, dtype=np.uint8)
    seq = Pixels(image, 6, channels="gray")
    assert first(seq, 6) == over_255(*expected.ravel())
    assert seq == Pixels(expected, 6, channels="gray")
    assert f"{expected.shape[1]}x{expected.shape[0]} picture" in repr(seq)


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_a_file_is_turned_upright(orientation, kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    check(io.BytesIO(encoded_with(STORED, orientation, kind, **options)), UPRIGHT[orientation])


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_jpeg_is_turned_upright(orientation):
    blocks = np.kron(STORED, np.ones((8, 8)))  # JPEG's own, so that each keeps its level
    data = encoded_with(blocks, orientation, "JPEG", quality=100)
    values = Pixels(io.BytesIO(data), 6, channels="gray").values(6) * 255
    assert values.tolist() == pytest.approx(np.ravel(UPRIGHT[orientation]).tolist(), abs=2)


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_an_image_is_turned_upright_and_left_as_it_was(orientation):
    image = tagged(STORED, orientation)
    image.load()
    before = image.size, image.mode, image.tobytes(), dict(image.info), dict(image.getexif())
    check(image, UPRIGHT[orientation])
    check(image.copy(), UPRIGHT[orientation])
    assert (image.size, image.mode, image.tobytes(), dict(image.info), dict(image.getexif())) == before


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_an_image_that_was_turned_upright_is_not_turned_again(orientation):
    check(ImageOps.exif_transpose(tagged(STORED, orientation)), UPRIGHT[orientation])
    for kind in ("PNG", "TIFF"):
        check(io.BytesIO(encoded(ImageOps.exif_transpose(tagged(STORED, orientation)), kind)), UPRIGHT[orientation])


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("channels", ["rgb", "gray"])
def test_a_large_picture_equals_pillows_upright_one(orientation, channels):
    stored = noise(613, 1021)  # three strips whichever side is up
    image = tagged(stored, orientation)
    upright = np.asarray(ImageOps.exif_transpose(image))
    assert Pixels(image, 999, channels=channels) == Pixels(upright, 999, channels=channels)
    values = Pixels(image, 999, channels=channels).values(999)
    assert values.tolist() == Pixels(upright, 999, channels=channels).values(999).tolist()


def test_a_portrait_of_a_phone_is_as_viewers_show_it(tmp_path):
    raw = np.zeros((20, 40), np.uint8)
    raw[:, :20] = 255
    path = tmp_path / "phone.jpg"
    path.write_bytes(encoded_with(raw, 6, "JPEG", quality=95))
    seq = Pixels(path, steps=800, channels="gray")
    assert "20x40 picture" in repr(seq)
    assert [seq.values(800)[:400].mean(), seq.values(800)[400:].mean()] == [1.0, 0.0]


def test_the_orientation_in_xmp_counts_too():
    xmp = '<x:xmpmeta xmlns:tiff="http://ns.adobe.com/tiff/1.0/"><tiff:Orientation>6</tiff:Orientation></x:xmpmeta>'
    image = Image.fromarray(np.array(STORED, dtype=np.uint8))
    image.info["XML:com.adobe.xmp"] = xmp
    check(image, UPRIGHT[6])


# ---------------------------------------------------------------- broken EXIF blocks


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_unknown_orientation_is_ignored(orientation):
    check(tagged(STORED, orientation), STORED)


@pytest.mark.parametrize(
    "exif", [b"", b"Exif\0\0", b"Exif\0\0II*\0", b"Exif\0\0rubbish", b"rubbish", bytes(99)], ids=repr
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_broken_exif_block_does_not_matter(exif, kind):
    picture = noise(5, 7)
    assert Pixels(io.BytesIO(encoded(picture, kind, exif=exif)), 9) == Pixels(io.BytesIO(encoded(picture, kind)), 9)


def test_an_image_with_broken_exif_data_is_as_stored():
    image = Image.fromarray(np.array(STORED, dtype=np.uint8))
    image.info["Raw profile type exif"] = "\nexif\n4\nnot hexadecimal"
    check(image, STORED)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_damaged_exif_block_never_costs_the_picture_and_never_warns(kind):
    chance = random.Random(0)
    image = Image.fromarray(np.array(STORED, dtype=np.uint8))
    exif = image.getexif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.XResolution] = 72.0
    exif[ExifTags.Base.Make] = "maker"
    whole = exif.tobytes()
    for _ in range(200):
        damaged = bytearray(whole[: chance.randint(10, len(whole))])
        for _ in range(chance.randint(1, 6)):
            damaged[chance.randrange(6, len(damaged))] = chance.choice([0, 255, chance.randrange(256)])
        seq = Pixels(io.BytesIO(encoded(image, kind, exif=bytes(damaged))), 6, channels="gray")
        assert len(seq) == 6
