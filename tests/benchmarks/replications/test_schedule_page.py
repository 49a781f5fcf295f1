"""The generated parts of the page on which schedule to take."""

import shutil

import pytest

from benchmarks.__main__ import main
from benchmarks.replications import claims, schedule_page
from benchmarks.replications.collected import collect

from .helpers import LEVEL, levels, put, series

PAGE = "A\n<!-- rules: begin -->\nold\n<!-- rules: end -->\nB\n<!-- steep: begin -->\n<!-- steep: end -->\nC\n"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.01, 0.02, 0.03], "+0.0200 ± 0.0248"),  # t(0.975, 2) = 4.303, s = 0.01: 4.303 · 0.01/√3
        ([-0.019, -0.02, -0.021], "**−0.0200 ± 0.0025**"),
        ([0.02, 0.02, 0.02], "**+0.0200 ± 0.0000**"),
        ([0.0, 0.0, 0.0], "0.0000 ± 0.0000"),
        ([0.01, -0.02], "0.0100, −0.0200"),  # below n = 3 the values
    ],
)
def test_a_gain_is_bold_if_its_interval_excludes_0(values, text):
    assert schedule_page.signed(values) == text


def test_a_line_shows_what_each_rule_gains_over_every_epoch(tmp_path):
    put(tmp_path, "mnist", levels(seq2_cutoff=0.92, adam=0.89))
    header, heading, first, second, *_ = schedule_page.rules(collect(tmp_path))
    assert header == ["Sequence", "every epoch", "by cutoff", "by oscillate", "by either", "Adam, fixed 0.001"]
    assert heading == ["**MNIST, 50 epochs, 3 seeds**", "", "", "", "", ""]
    even, adam = "0.0000 ± 0.0000", "**−0.0100 ± 0.0000**"
    assert first == ["`Inverse()`", "0.9000 ± 0.0025", even, even, "–", adam]
    assert second == ["`InverseSqrt()`", "0.9000 ± 0.0025", "**+0.0200 ± 0.0000**", even, "–", adam]


def test_mnist_is_the_table_with_the_most_seeds(tmp_path):
    put(tmp_path / "a", "mnist", levels(), note="a GPU; 1 core")
    five = [*LEVEL, 0.0, 0.0]
    put(tmp_path / "b", "mnist", levels(seeds=five), note="a CPU, 2 cores", limit="")
    shutil.move(tmp_path / "b" / "mnist-50", tmp_path / "a" / "mnist")
    assert [line[0] for line in schedule_page.rules(collect(tmp_path / "a")) if line[0].startswith("**")] == [
        "**MNIST, 50 epochs, on a CPU, 5 seeds**"
    ]


def test_cutoff_on_cifar10_starts_at_its_default(tmp_path):
    put(tmp_path, "cifar10", {**levels("cifar10"), "seq1-cutoff-0.01": [series(0.4, 20)] * 3}, epochs=25)
    _, _, first, *_ = schedule_page.rules(collect(tmp_path))
    assert first[2] == "**−0.5000 ± 0.0025**"


def test_the_command_writes_the_page_and_the_picture(tmp_path):
    results = tmp_path / "benchmarks" / "results"
    for name in ("digits", "rules-digits"):
        shutil.copytree(claims.RESULTS / name, results / name)
    page = tmp_path / "docs" / "which_schedule.md"
    page.parent.mkdir()
    page.write_text(PAGE)
    assert main(["claims", "--results", str(results)]) == 0
    written = page.read_text()
    assert written.startswith("A\n<!-- rules: begin -->\n\n| Sequence | every epoch |")
    assert written.endswith("\n\n<!-- steep: end -->\nC\n")
    assert "| **digits, 5 seeds** |" in written
    assert "old" not in written
    assert page.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert main(["claims", "--results", str(results)]) == 0
    assert page.read_text() == written


def test_without_a_full_table_the_page_stays(tmp_path):
    put(tmp_path / "benchmarks" / "results", "mnist", levels(), epochs=5)
    page = tmp_path / "docs" / "which_schedule.md"
    page.parent.mkdir()
    page.write_text(PAGE)
    assert main(["claims", "--results", str(tmp_path / "benchmarks" / "results")]) == 0
    assert page.read_text() == PAGE
