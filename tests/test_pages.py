"""Pages whose blocks continue each other: each page runs from top to bottom, and ends as it says."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Return a function that runs all blocks of a page, in a folder of its own, and returns their names."""
    monkeypatch.chdir(tmp_path)

    def run(page):
        names = {"__name__": "__main__"}
        for block in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL):
            exec(block, names)
        return names

    return run


def test_getting_started(read, capsys):
    names = read("getting_started.md")
    printed = capsys.readouterr().out.splitlines()
    assert 0.02 < names["curve"].suggestion < 0.5
    assert "0.0 1.0 0.0" in printed
    assert names["states"]["scheduler"]["last_epoch"] == 240
    assert names["validate"]() < 0.5
    plateau = names["scheduler"]
    assert plateau.last_epoch == 20
    assert plateau.events[0].epoch * 12 > 30  # the warm-up was over
    assert printed[-len(plateau.events) :] == [f"{each.epoch} {each.reason} {each.new_lrs}" for each in plateau.events]


def test_finding_a_rate(read, capsys):
    names = read("finder.md")
    assert names["optimizer"].param_groups[0]["lr"] == names["curve"].suggestion
    assert 0.02 < names["curve"].suggestion < 0.5
    sweep = names["sweep"]
    assert sweep.losses.shape == (60, 4)
    assert 0.05 < sweep.suggestion < 2
    assert "side by side" in capsys.readouterr().out


def test_comparing(read, tmp_path, capsys):
    names = read("compare.md")
    printed = capsys.readouterr().out
    assert "| validation loss − fixed" in printed
    assert printed.endswith("\nside by side\n")
    assert [(run.seed, len(run.val_loss)) for run in names["loaded"].runs] == [(0, 3), (1, 3)] * 3
    assert len(names["report"].runs) == len((tmp_path / "runs.jsonl").read_text().splitlines()) == 15


def test_drawing(read, tmp_path):
    names = read("reference/drawing.md")
    assert len(names["ax"].lines) == 2
    assert (tmp_path / "two.png").stat().st_size > 5000


def test_the_words_of_an_option(read, capsys):
    read("reference/options.md")
    (line,) = re.findall(r"# (\('linear'.*)", (DOCS / "reference" / "options.md").read_text(encoding="utf-8"))
    assert capsys.readouterr().out == f"{line}\n"
