import json

import numpy as np
import pytest
from PIL import Image

from benchmarks.__main__ import main
from benchmarks.costs import picture_cost
from benchmarks.costs.picture_cost import Cost, Photo


@pytest.mark.parametrize(("samples", "intervals"), [(2, False), (3, True)])
def test_the_command_writes_its_figures(capsys, monkeypatch, tmp_path, samples, intervals):
    monkeypatch.setattr(picture_cost, "PHOTOS", [Photo("small", 80, 60, limit=1e9), Photo("turned", 80, 60, 6)])
    monkeypatch.setattr(picture_cost, "peak_in_a_new_process", lambda path: 1.5)
    assert main(["picture_cost", "--samples", str(samples), "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "Claim: a photo of 12 megapixels is read in at most 0.5 s" in printed
    assert "Limits met: 1 of 1." in printed
    written = json.loads((tmp_path / "picture_cost.json").read_text())
    assert list(written) == ["hardware", "versions", "commit", "steps", "costs"]
    small, turned = written["costs"]
    assert (small["verdict"], turned["verdict"]) == ("met", "")
    assert small["mib"] == 1.5
    assert (small["low"] is not None) == (small["high"] is not None) == intervals


def test_a_photo_is_a_jpeg_of_the_size_and_orientation_that_were_asked_for(tmp_path):
    picture_cost.save(Photo("photo", 80, 60, 6), tmp_path / "photo.jpg")
    with Image.open(tmp_path / "photo.jpg") as image:
        assert (image.format, image.size, image.getexif()[274]) == ("JPEG", (80, 60), 6)
        assert np.asarray(image).std() > 20


def test_peak_memory_is_measured():
    assert picture_cost.peak(np.zeros((4, 4))) >= 0


def test_a_time_over_its_limit_is_missed():
    verdicts = [Cost("photo", 3, 0.6, None, None, limit, 0.1, 6.0, 1.0, 9).verdict for limit in (0.5, 0.6, None)]
    assert verdicts == ["MISSED", "met", ""]


def test_the_limits_are_those_claimed():
    assert [photo.limit for photo in picture_cost.PHOTOS if photo.width * photo.height == 12_000_000] == [0.5, 0.5]
