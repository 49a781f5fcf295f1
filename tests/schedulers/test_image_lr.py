"""ImageLR: pixels as learning rates."""

import io
import math
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from lrsched import (
    CyclicLR,
    GeometricLR,
    ImageLR,
)
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.cases import PICTURE, follow, mixed, quietly


@pytest.mark.parametrize("order", ["raster", "serpentine"])
@pytest.mark.parametrize("steps", [1, 12, 40, 200, 3000])
def test_image_equals_pillows_nearest_resize(steps, order):
    picture = np.random.default_rng(0).integers(0, 256, (13, 17, 3), dtype=np.uint8)
    f = math.sqrt(17 * 13 * 3 / steps)
    width, height = max(1, math.floor(17 / f)), max(1, math.floor(13 / f))
    small = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.NEAREST)).copy()
    if order == "serpentine":
        small[1::2] = small[1::2, ::-1]
    pixels = small.ravel()
    n = min(len(pixels) + 5, 700)
    expected = [1e-5 + (1e-2 - 1e-5) * pixels[min(k, len(pixels) - 1)] / 255 for k in range(n)]
    optimizer = make_optimizer((0.3,))
    lrs = follow(ImageLR(optimizer, picture, steps, order=order), optimizer, n)[:, 0]
    np.testing.assert_allclose(lrs, expected, rtol=1e-12)


def test_image_from_path_file_pillow_or_array_is_the_same(tmp_path):
    picture = Image.fromarray(PICTURE)
    picture.save(tmp_path / "picture.png")
    buffer = io.BytesIO((tmp_path / "picture.png").read_bytes())
    lrs = []
    for image in (tmp_path / "picture.png", str(tmp_path / "picture.png"), buffer, picture, PICTURE):
        optimizer = mixed()
        lrs.append(follow(ImageLR(optimizer, image, 60, channels="gray"), optimizer, 70).tolist())
    assert lrs[1:] == lrs[:-1]


def test_image_and_cyclic_rates_are_not_overridden_by_an_initial_lr():
    optimizer = make_optimizer((0.5,), momentum=0.9)
    GeometricLR(optimizer)
    assert optimizer.param_groups[0]["initial_lr"] == 0.5
    scheduler = ImageLR(optimizer, PICTURE, 60, 0.01, 0.02)
    assert group_lrs(optimizer) == [0.01]
    assert max(follow(scheduler, optimizer, 60)[:, 0]) <= 0.02
    scheduler = CyclicLR(optimizer, 0.1, 0.3, step_size_up=1, step_size_down=3)
    np.testing.assert_allclose(follow(scheduler, optimizer, 5)[:, 0], [0.1, 0.3, 0.7 / 3, 0.5 / 3, 0.1], rtol=1e-12)


def test_image_lr_of_zero_and_one_gives_the_pixels():
    optimizer = make_optimizer((0.5,))
    lrs = follow(ImageLR(optimizer, PICTURE, 60, base_lr=0.0, max_lr=1.0), optimizer, 60)[:, 0]
    np.testing.assert_array_equal(lrs, PICTURE.ravel() / 255)


def test_image_keeps_no_table_longer_than_the_picture():
    optimizer = make_optimizer((0.5,))
    tracemalloc.start()
    scheduler = ImageLR(optimizer, PICTURE, steps=10**8)
    optimizer.step()
    quietly(lambda: scheduler.step(99_999_999))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300_000
    assert group_lrs(optimizer)[0] == pytest.approx(1e-5 + 9.99e-3 * int(PICTURE.ravel()[-1]) / 255, rel=1e-12)
