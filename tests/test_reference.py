"""The reference has every public name once, and each class and function among them has an executed example."""

import re
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest

import lrsched

PAGES = sorted((Path(__file__).parent.parent / "docs" / "reference").glob("*.md"))
SHOWN = {page.stem: re.findall(r"^::: lrsched\.(\w+)$", page.read_text("utf-8"), re.MULTILINE) for page in PAGES}
OBJECTS = [name for name in lrsched.__all__ if name not in SHOWN["options"]]


def test_every_public_name_is_on_one_page():
    assert sorted(name for names in SHOWN.values() for name in names) == sorted([*lrsched.__all__, "plot"])


def test_the_names_of_options_are_the_types_and_nothing_else():
    kinds = {name: getattr(lrsched, name) for name in lrsched.__all__ if get_args(getattr(lrsched, name))}
    assert sorted(SHOWN["options"]) == sorted(kinds)
    assert all(get_origin(kind) is Literal for name, kind in kinds.items() if name != "Vectorize")


@pytest.mark.parametrize("name", OBJECTS)
def test_each_class_and_function_has_an_example_with_its_import(name):
    thing = getattr(lrsched, name)
    assert ">>> " in thing.__doc__
    imported = re.findall(r">>> from lrsched import (.*)", thing.__doc__)
    assert any(name in line.split(", ") for line in imported) or name in {"Saved", "Sequence", "Schedule", "Event"}
    assert thing.__module__ == "lrsched"
