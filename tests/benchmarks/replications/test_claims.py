"""The command that judges the claims, and the pages of this repository against its own results."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.__main__ import MODULES as COMMANDS
from benchmarks.__main__ import main
from benchmarks.commands import BenchmarkError
from benchmarks.replications import claims, images, table
from benchmarks.replications.collected import BENCHMARKS, STAND_IN, collect
from benchmarks.replications.verdicts import NOISE, NOT, REPRODUCED

from .helpers import judge, levels, put

PAGES = Path(claims.__file__).parents[1]


def test_without_results_every_claim_says_what_to_run(tmp_path):
    for name in claims.CLAIMS:
        lines = claims.judged(name, collect(tmp_path))
        assert lines
        for line in lines:
            assert line[-1].startswith("not run: `python -m benchmarks "), name
    assert judge("A6", tmp_path) == [
        ("–", "–", "not run: `python -m benchmarks mnist`"),
        ("–", "–", "not run: `python -m benchmarks cifar10`"),
    ]
    assert judge("B4", tmp_path)[0][2] == "not run: `python -m benchmarks images --dataset mnist`"


def test_a_table_as_written_does_not_stand_for_the_one_as_run(tmp_path):
    put(tmp_path, "mnist-as-written", levels("mnist-as-written"))
    *_, left = claims.tables(collect(tmp_path)).splitlines()
    assert left == (
        "Not run yet: `python -m benchmarks mnist`, `python -m benchmarks cifar10`, `python -m benchmarks images`, "
        "`python -m benchmarks images --dataset mnist`, `python -m benchmarks digits`, "
        "`python -m benchmarks cifar10 --as-written`, `python -m benchmarks digits --as-written`."
    )
    assert [(data, verdict) for data, _, verdict in judge("A7", tmp_path)] == [
        ("MNIST, 50 epochs, as written", REPRODUCED),
        ("–", "not run: `python -m benchmarks mnist`"),
        ("–", "not run: `python -m benchmarks cifar10`"),
    ]
    put(tmp_path, "mnist", levels())
    assert [verdict for _, _, verdict in judge("A1", tmp_path)] == [NOISE, NOISE]


def test_every_suggested_command_exists(tmp_path):
    collected = collect(tmp_path)
    suggested = set(re.findall("`python -m benchmarks (.*?)`", claims.tables(collected) + claims.claims(collected)))
    assert suggested >= {"mnist", "mnist --as-written", "images --dataset mnist", "functions"}
    for name, *options in map(str.split, suggested):
        assert name in COMMANDS
        if options:
            parser = images.image_parser() if name == "images" else table.table_parser(BENCHMARKS[name])
            parser.parse_args(options)


def test_tables_and_claims_say_that_runs_were_reduced(tmp_path):
    put(tmp_path, "images-mnist", levels("images-mnist"), epochs=5)
    label = "MNIST, reduced size: 10000 of 60000 images, reduced length: 5 of 250 epochs"
    assert claims.tables(collect(tmp_path)).startswith(f"### {label}\n")
    assert [line[0] for line in judge("B4", tmp_path)] == [label]


README = (
    "# A\n<!-- summary: begin -->\n<!-- summary: end -->\n"
    "<!-- tables: begin -->\nold table\n<!-- tables: end -->\nB\n<!-- claims: begin -->\n<!-- claims: end -->\nC\n"
)


def test_the_command_prints_and_writes_every_claim(tmp_path, capsys):
    put(tmp_path / "results", "mnist", levels(seq4_cutoff=0.95))
    (tmp_path / "README.md").write_text(README)
    assert main(["claims", "--results", str(tmp_path / "results")]) == 0
    printed, page = capsys.readouterr().out, (tmp_path / "results" / "claims.md").read_text()
    readme = (tmp_path / "README.md").read_text()
    for name, text in claims.CLAIMS.items():
        assert f"{name}  {text[:60]}" in printed
        assert f"**{name}** {text}" in page
    assert "    → reproduced\n" in printed
    assert "accuracy: seq4-cutoff − sgd; n 3, mean 0.0500, 95 % interval 0.0500 … 0.0500, p < 0.0001" in printed
    title, link, written = page.split("\n\n", 2)
    assert title == "# Verdicts on the published claims"
    assert link == "[How a verdict is reached](../README.md#how-a-verdict-is-reached)"
    assert written in readme
    assert "| By cutoff | seq1 | 0.9000 ± 0.0025 | 20.0 ± 0.0 | 3 | 0 | 0.9829 | no | 32 | no |" in readme
    assert readme.startswith("# A\n<!-- summary: begin -->\n| Verdict | at the published size")
    assert "<!-- tables: begin -->\n### MNIST, 50 epochs\n" in readme
    assert "old table" not in readme
    assert readme.endswith("<!-- claims: end -->\nC\n")
    assert main(["claims", "--results", str(tmp_path / "results")]) == 0
    assert (tmp_path / "README.md").read_text() == readme


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(BenchmarkError, match=r"there is no folder .*nowhere"):
        claims.main(["--results", str(tmp_path / "nowhere")])
    run = {"setting": "sgd", "seed": 0, "config": {"key": {"benchmark": "mnst", "data": ""}, "epochs": 1}}
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "runs.jsonl").write_text(json.dumps(run) + "\n")
    with pytest.raises(BenchmarkError, match=r"has a run of an unknown benchmark or setting: KeyError\('mnst'\)"):
        collect(tmp_path)
    with pytest.raises(BenchmarkError, match=r"the page must have <!-- claims: begin --> and .* exactly once"):
        claims.replaced("a page", "claims", "")


def test_a_table_shows_its_curves_if_they_were_drawn(tmp_path):
    put(tmp_path / "results", "mnist", levels())
    (found,) = collect(tmp_path / "results").tables
    assert len(claims.shown(found)) == 3
    (found.folder / "curves.png").touch()
    assert claims.shown(found)[2] == "![MNIST, 50 epochs](results/mnist-50/curves.png)"


def test_shorter_runs_of_resnet_say_how_its_batch_norm_differs(tmp_path):
    def says(benchmark, epochs):
        (tmp_path / str(epochs)).mkdir(exist_ok=True)
        put(tmp_path / str(epochs), benchmark, levels(benchmark), epochs)
        (table,) = (table for table in collect(tmp_path / str(epochs)).tables if table.benchmark.name == benchmark)
        return "the repository's take 0.003." in claims.shown(table)[-1]

    assert says("images", 249)
    assert not says("images", 250)
    assert not says("images-mnist", 249)


def test_every_claim_has_an_answer():
    assert set(claims.CLAIMS) == set(claims.ANSWERS)
    letters = {"A": 7, "B": 4, "C": 7, "E": 1}
    names = [f"{letter}{i}" for letter, count in letters.items() for i in range(1, count + 1)]
    assert [name for name in claims.CLAIMS if "," not in name] == names
    assert STAND_IN in BENCHMARKS


def test_only_tables_that_judge_claims_are_shown(tmp_path):
    put(tmp_path / "results", "mnist", levels())
    put(tmp_path / "results", "mnist", levels(), epochs=5)
    page = claims.tables(collect(tmp_path / "results"))
    assert page.count("### ") == 1
    assert (
        "Not shown, because another table judges the same claims: "
        "[MNIST, reduced length: 5 of 50 epochs](results/mnist-5/table.md)." in page
    )


def test_the_headline_agrees_with_the_verdicts():
    collected = collect(claims.RESULTS)
    readme = (PAGES / "README.md").read_text()
    (block,) = re.findall(r"<!-- summary: begin -->\n(.*?)\n\n", readme, re.DOTALL)
    rows = dict(line.strip("| ").split(" | ", 1) for line in block.splitlines()[2:])
    entries = {
        entry.split()[0]: verdict
        for verdict, cells in rows.items()
        for entry in re.split(r"[,|] *", cells)
        if " on " not in entry and entry.strip()
    }
    known = {
        REPRODUCED: ["A5", "A6", "C2", "C3", "C4", "C5", "E1"],
        NOISE: ["A1", "A2", "A3", "A4", "B1", "B3"],
        NOT: ["B2", "B4", "C1", "C6", "C7"],
    }
    assert entries == {name: verdict for verdict, names in known.items() for name in names}  # and the words below it
    assert "A7 on MNIST" in rows[REPRODUCED]
    assert "A7 on CIFAR-10" in rows[NOISE]
    assert "19 claims of" in readme
    assert len([name for name in claims.CLAIMS if "," not in name]) == 19
    for name in ("A1", "A2", "A3", "A4", "A5", "A6", "A7"):
        full = [line for line in claims.judged(name, collected) if "stand-in" not in line[0]]
        assert full
        assert all("reduced" not in line[0] and int(line[2]) >= 3 for line in full)


def test_the_headline_agrees_with_the_published_accuracies():
    readme = (PAGES / "README.md").read_text()
    (full,) = (table for table in collect(claims.RESULTS).tables if table.folder.name == "cifar10")
    *well, a, _, c = sorted(
        theirs.accuracy - full.rows[name].accuracy.mean for name, theirs in full.benchmark.published.items()
    )
    words = " ".join(readme.split())
    assert f"by {min(well):.3f} to {max(well):.3f} in {len(well)} rows, and by {a:.2f} to {c:.2f} in the three" in words


def test_the_pages_agree_with_the_results():
    collected = collect(claims.RESULTS)
    readme = (PAGES / "README.md").read_text()
    assert readme == claims.replaced(readme, "summary", claims.summary(collected)), "run python -m benchmarks claims"
    assert readme == claims.replaced(readme, "tables", claims.tables(collected)), "run python -m benchmarks claims"
    assert readme == claims.replaced(readme, "claims", claims.claims(collected)), "run python -m benchmarks claims"
    assert (claims.RESULTS / "claims.md").read_text().endswith(claims.claims(collected))
