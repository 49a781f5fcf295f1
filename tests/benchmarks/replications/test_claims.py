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
    "# A\n<!-- tables: begin -->\nold table\n<!-- tables: end -->\nB\n<!-- claims: begin -->\n<!-- claims: end -->\nC\n"
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
    assert page.split("\n\n", 1)[1] in readme
    assert "| By cutoff | seq1 | 0.9000 ± 0.0025 | 20.0 ± 0.0 | 3 | 0 | 0.9829 | no | 32 | no |" in readme
    assert readme.startswith("# A\n<!-- tables: begin -->\n### MNIST, 50 epochs\n")
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


def test_the_headline_agrees_with_the_verdicts():
    collected = collect(claims.RESULTS)
    verdicts = {
        name: {line[-1] for line in claims.judged(name, collected) if "stand-in" not in line[0]}
        for name in claims.CLAIMS
        if "," not in name
    }
    assert len(verdicts) == 19
    by_verdict = {found: [name for name in verdicts if verdicts[name] == {found}] for found in (REPRODUCED, NOISE, NOT)}
    assert by_verdict == {
        REPRODUCED: ["A5", "A6", "C2", "C3", "C4", "C5", "E1"],
        NOISE: ["A1", "A2", "A3", "A4", "B1", "B3"],
        NOT: ["B4", "C1", "C7"],
    }
    assert verdicts["A7"] == {REPRODUCED, NOISE}
    assert verdicts["B2"] == {f"{NOT} (in kind: other pictures)"}
    assert claims.judged("C6", collected)[-1][-1] == NOT
    readme = (PAGES / "README.md").read_text()
    assert (
        "**Of 19 published claims about learning rates, seven are reproduced here** (A5, A6, C2 to C5 and E1)" in readme
    )
    assert "A1 to A4, B1 and B3 are within noise. B2, B4, C1 and C7 are not reproduced, nor is C6" in readme
    counts = {table.folder.name: claims.shown(table)[-1] for table in collected.tables}
    assert "Rows with mean, run, no: accuracy 14, 0, 0;" in counts["mnist-gpu"]
    assert "Rows with mean, run, no: accuracy 0, 4, 10;" in counts["cifar10"]
    (full,) = (table for table in collected.tables if table.folder.name == "cifar10")
    *well, a, _, c = sorted(
        theirs.accuracy - full.rows[name].accuracy.mean for name, theirs in full.benchmark.published.items()
    )
    assert f"{min(well):.3f} to {max(well):.3f} higher in {len(well)} rows, and {a:.2f} to {c:.2f} higher in" in readme


def test_the_pages_agree_with_the_results():
    collected = collect(claims.RESULTS)
    readme = (PAGES / "README.md").read_text()
    assert readme == claims.replaced(readme, "tables", claims.tables(collected)), "run python -m benchmarks claims"
    assert readme == claims.replaced(readme, "claims", claims.claims(collected)), "run python -m benchmarks claims"
    assert (claims.RESULTS / "claims.md").read_text().endswith(claims.claims(collected))
