"""The gallery: the page and its pictures are what `python docs/gallery.py` writes now."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lrsched
from lrsched import Sequence

DOCS = Path(__file__).parent.parent / "docs"
SCRIPT = runpy.run_path(str(DOCS / "gallery.py"))
CALLS = SCRIPT["calls"]()


def test_the_page_is_up_to_date():
    assert (DOCS / "gallery.md").read_text(encoding="utf-8") == SCRIPT["page"](), "run python docs/gallery.py"


def test_every_sequence_is_in_it():
    public = [getattr(lrsched, name) for name in lrsched.__all__]
    classes = {thing for thing in public if isinstance(thing, type) and issubclass(thing, Sequence)} - {Sequence}
    assert {name for entries in SCRIPT["SECTIONS"].values() for name in entries} == {kind.__name__ for kind in classes}


def test_every_combinator_is_in_it():
    plain = {"values", "plot", "length"}
    methods = {name for name in vars(Sequence) if not name.startswith("_")} - plain
    assert set(SCRIPT["COMBINATORS"]) == methods | {"*"}


@pytest.mark.parametrize("name", CALLS)
def test_each_picture_shows_the_present_factors(name):
    with Image.open(SCRIPT["picture"](name)) as image:
        assert image.text["Factors"] == SCRIPT["digest"](SCRIPT["made"](CALLS[name])), "run python docs/gallery.py"


def test_there_is_no_other_picture_and_all_are_small():
    pictures = set((DOCS / "gallery").iterdir())
    assert pictures == {SCRIPT["picture"](name) for name in CALLS}
    assert sum(path.stat().st_size for path in pictures) < 1e6


def test_the_script_writes_the_page_and_pictures_of_its_own_size(tmp_path, monkeypatch):
    few = {"Jumps": {"Piecewise": SCRIPT["SECTIONS"]["Lists, functions and pictures"]["Piecewise"]}}
    names = SCRIPT["main"].__globals__  # runpy hands out a copy of the script's names
    for name, value in {"HERE": tmp_path, "SECTIONS": few, "COMBINATORS": {}}.items():
        monkeypatch.setitem(names, name, value)
    SCRIPT["main"]()
    assert (tmp_path / "gallery.md").read_text(encoding="utf-8") == SCRIPT["page"]()
    with Image.open(tmp_path / "gallery" / "Piecewise.png") as image:
        assert image.size == (720, 255)
        assert image.text["Factors"] == SCRIPT["digest"](lrsched.Piecewise([50, 80], [1, 0.1, 0.01]))


def test_the_digest_is_that_of_the_factors():
    digest = SCRIPT["digest"]
    assert digest(lrsched.Values(np.ones(120))) == digest(lrsched.Constant()) != digest(lrsched.Inverse())
