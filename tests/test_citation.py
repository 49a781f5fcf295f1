"""CITATION.cff: what a citation needs is there, and the version is that of the package and the changelog."""

import re
from pathlib import Path

import pytest
import yaml

import lrsched

ROOT = Path(__file__).parent.parent
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_versions_agree():
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE).group(1)
    assert CITATION["version"] == lrsched.__version__ == newest


def test_the_citation_has_what_its_format_demands():
    assert CITATION["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(CITATION)
    assert CITATION["authors"] == [{"name": "lrsched contributors"}]
    assert CITATION["license"] == "BSD-3-Clause"


@pytest.mark.parametrize(
    ("title", "year", "author"),
    [
        ("Learning Rate Investigation", 2019, "Yang"),
        ("Aesthetically Pleasing Learning Rates", 2018, "Jang"),
        ("Diving deep: learning rate", 2020, "anonymous"),
    ],
)
def test_the_studies_that_are_reproduced_are_references(title, year, author):
    (reference,) = (reference for reference in CITATION["references"] if reference["title"] == title)
    assert reference["year"] == year
    assert author in reference["authors"][0].values()
    assert "type" in reference
