"""The site: it builds without a warning, needs no other host, and shows and finds what it should."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import lrsched

pytest.importorskip("mkdocs", reason="the extra docs is not installed")
pytest.importorskip("mkdocstrings", reason="the extra docs is not installed")

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return the folder of the site, built as in CI."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


class Page(HTMLParser):
    """The ids of a page, and what a browser would load for it."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.loaded, self.text = [], [], path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.ids.append(values.get("id"))
        if tag in {"script", "img", "iframe", "source"}:
            self.loaded.append(values.get("src", ""))
        if tag == "link" and values.get("rel") in {"stylesheet", "preload", "preconnect", "icon"}:
            self.loaded.append(values["href"])


@pytest.fixture(scope="module")
def pages(site):
    return {path.relative_to(site).as_posix(): Page(path) for path in sorted(site.rglob("*.html"))}


def test_every_public_name_has_an_anchor(pages):
    anchors = {each for name, page in pages.items() if name.startswith("reference/") for each in page.ids}
    assert {f"lrsched.{name}" for name in lrsched.__all__} <= anchors
    assert {"lrsched.PlateauSequence.step", "lrsched.Sequence.then", "lrsched.Curve.plot"} <= anchors


def test_docstrings_become_sections_and_links(pages):
    page = pages["reference/plateau/index.html"].text
    assert "Parameters:" in page
    assert re.search(r'<a class="autorefs[^>]*schedulers/#lrsched.SequenceLR"><code>SequenceLR</code></a>', page)
    assert "][lrsched." not in page  # a link that was not found
    assert "Examples" in page
    assert "&gt;&gt;&gt;" in re.sub(r"<(?!/?pre)[^>]*>", "", page)


def test_pages_load_nothing_from_other_hosts(pages):
    loaded = {url for page in pages.values() for url in page.loaded}
    assert not [url for url in loaded if re.match(r"(\w+:)?//", url)]
    stars = 'data-md-component="source"'  # asks api.github.com
    assert not [name for name, page in pages.items() if stars in page.text]


def test_every_picture_is_there(site, pages):
    for name, page in pages.items():
        for url in page.loaded:
            assert (site / name).parent.joinpath(url.split("?")[0]).exists() or url.startswith("/"), f"{name}: {url}"


def test_the_search_index_has_the_classes_and_the_recipes(site):
    entries = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))["docs"]
    places = {entry["location"] for entry in entries}
    assert "reference/plateau/#lrsched.PlateauSequence" in places
    assert "recipes/#warm-up-and-plateau" in places
    assert "coming_from/#timm" in places


def test_links_lead_to_pages_or_to_the_repository(pages):
    swap = pages["swap/index.html"].text
    assert 'href="../coming_from/"' in swap
    assert 'href="../benchmarks/results/claims/"' in pages["which_schedule/index.html"].text
    assert (
        'href="https://github.com/lrsched/lrsched/tree/main/benchmarks/replications"'
        in pages["benchmarks/index.html"].text
    )
    file = re.compile(r'href="(?!https?:)[^"]*\.(md|ipynb|py)[#"]')
    assert not [name for name, page in pages.items() if file.search(page.text)]


def test_the_first_page_is_the_beginning_of_the_readme(pages):
    page = pages["index.html"].text
    assert 'src="schedules.png"' in page
    assert "range_test" in page
    assert 'id="why"' not in page
    assert 'href="tour/"' in page


def test_the_tables_of_other_libraries_are_shown(pages):
    page = pages["coming_from/index.html"].text
    assert page.count("<table>") == 4
    assert "MultiplicativeLR(" in page
    assert "cosine_with_restarts" in page
    assert "TanhLRScheduler" in page


def test_the_tour_shows_its_pictures(site, pages):
    pictures = sorted(path.name for path in site.glob("tour-*.png"))
    assert len(pictures) >= 6
    assert all(f'src="../{name}"' in pages["tour/index.html"].text for name in pictures)


# The hooks and the preparation of docstrings, on texts of their own.


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "site" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DOCSTRING = """Follow a `Sequence` and `Thing`.

What to train:
    model, optimizer: the `SequenceLR`'s model.
    loss_fn: a function. See `race`.

Raises TypeError if it is wrong.

>>> 1 + 1
2
"""

PREPARED = """Follow a [`Sequence`][lrsched.Sequence] and `Thing`.

Args: What to train
    model,\N{NO-BREAK SPACE}optimizer: the [`SequenceLR`][lrsched.SequenceLR]'s model.
    loss_fn: a function. See `race`.

Raises TypeError if it is wrong.

Examples:
    >>> 1 + 1
    2
"""


def test_a_docstring_is_prepared(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert load("docstrings").prepared(DOCSTRING, "race") == PREPARED
    assert load("docstrings").prepared("Only text.", "race") == "Only text."


def test_links_in_code_stay():
    hooks = load("hooks")
    text = "[a](b.md) `[a](b.md)` [c](d.md)\n\n```\n[a](b.md)\n```\n"
    changed = hooks.outside_code(text, lambda part: hooks.LINK.sub("X", part))
    assert changed == "[a](X) `[a](b.md)` [c](X)\n\n```\n[a](b.md)\n```\n"
    assert hooks.LINK.findall("[a](https://x.y/z) [b](#c) [d](e.md#f)") == [("e.md", "#f")]


def test_the_first_page_ends_before_a_heading():
    hooks = load("hooks")
    assert hooks.home("# Title\n\nText\n\n## Why\n\nMore\n") == "# Title\n\nText\n" + hooks.HOME_NEXT


IMAGE = '<pre>z</pre><img width="540" alt="z" src="data:image/png;base64,AAEC">'


def test_a_notebook_becomes_markdown():
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "Text"]},
        {"cell_type": "code", "source": "print(1 < 2)", "outputs": [{"output_type": "stream", "text": ["1 < 2\n"]}]},
        {"cell_type": "code", "source": "x", "outputs": [{"data": {"image/png": "AAEC", "text/plain": "<x>"}}]},
        {"cell_type": "code", "source": "y", "outputs": [{"data": {"text/html": "<b>y</b>", "text/plain": "y"}}]},
        {"cell_type": "code", "source": "z", "outputs": [{"data": {"text/html": IMAGE, "text/plain": "z"}}]},
    ]
    page, pictures = load("notebooks").page(json.dumps({"cells": cells}), "name")
    assert page == (
        '# Title\nText\n\n```python\nprint(1 < 2)\n```\n\n<pre class="output">1 &lt; 2</pre>\n\n```python\nx\n```\n\n'
        "![Picture 1: what the cell above draws](name-1.png)\n\n```python\ny\n```\n\n"
        '<div class="output"><b>y</b></div>\n\n```python\nz\n```\n\n'
        "![Picture 2: what the cell above draws](name-2.png){ width=540 }\n"
    )
    assert pictures == {"name-1.png": b"\x00\x01\x02", "name-2.png": b"\x00\x01\x02"}
