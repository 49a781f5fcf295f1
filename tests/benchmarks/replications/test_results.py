import json

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.replications import columns, report
from benchmarks.replications.plots import curves
from benchmarks.replications.settings import SETTINGS
from benchmarks.results import prepare, write
from lrsched import Run


def run(name, seed, *accuracies, unlearned=0):
    n = len(accuracies)
    return Run(
        name,
        seed,
        train_loss=[1.0] * n,
        val_loss=[0.5] * n,
        metrics={"accuracy": list(accuracies)},
        lrs=[[0.01]] * n,
        final={"unlearned": unlearned},
        seconds=1.5,
        note="an abacus",
    )


# --- files


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(BenchmarkError, match=r"cannot write into the folder .*file/out"):
        prepare(file / "out")


def test_files_are_replaced_whole(tmp_path):
    write(tmp_path / "a.json", {"b": 1})
    assert json.loads((tmp_path / "a.json").read_text()) == {"b": 1}
    write(tmp_path / "a.json", "text")
    assert (tmp_path / "a.json").read_text() == "text"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    with pytest.raises(BenchmarkError, match=r"cannot write .*nowhere"):
        write(tmp_path / "nowhere" / "a.json", "text")


# --- the table


def rows():
    runs = {
        "sgd": [run("sgd", 0, 0.5, 0.9), run("sgd", 1, 0.7, 0.7)],
        "adam": [run("adam", 0, 0.8, 0.9)],
        "seq1-epoch": [run("seq1-epoch", 0, 0.6, 0.9), run("seq1-epoch", 1, 0.4, 0.5, unlearned=1)],
    }
    return [report.summary(name, SETTINGS[name], done, columns.MNIST, 2) for name, done in runs.items()]


def test_the_table_has_the_published_layout():
    published = {name: report.Published(0.5, 7) for name in SETTINGS}
    assert report.cells(rows(), published) == [
        ["Method", "", "Accuracy", "Convergence", "n", "Stuck", "Published", "conv."],
        # means 0.6, -0.5; s = 0.1414, 0.7071; t(0.975, 1) = 12.7062; t·s/√2 = 1.2706, 6.3531
        ["Benchmark", "SGD", "0.6000 ± 1.2706", "-0.5 ± 6.4", "2", "0", "0.5", "7"],
        ["", "Adam", "0.8000", "0.0", "1", "0", "0.5", "7"],
        ["By epoch", "seq1", "0.5000 ± 1.2706", "0.0 ± 0.0", "2", "1", "0.5", "7"],
    ]
    assert len(report.cells(rows(), {})[1]) == 6


def test_every_seed_of_a_setting_that_got_stuck_is_told():
    best, _, where, stuck = report.notes(rows())
    assert where == "5 runs, 8 s of training. Hardware: an abacus."
    assert "Best mean accuracy here: adam, 0.8000." in best
    assert "Fastest mean convergence: sgd, -0.5 ± 6.4." in best
    assert "seq1-epoch (1 of 2): 0.6000 0.4000*." in stuck
    assert len(report.notes(rows()[:2])) == 3


def test_markdown_and_terminal_show_every_cell(capsys):
    lines = report.cells(rows(), {})
    report.show(lines, "A title")
    printed = capsys.readouterr().out
    assert "A title" in printed
    for line in lines:
        assert f"| {' | '.join(line)} |" in report.markdown(lines)
        for cell in line:
            assert cell in printed


def test_curves_are_a_picture_even_where_runs_differ_in_length():
    table = rows()
    table[0].runs[0].val_loss.append(None)
    table[0].runs[0].lrs.append([0.01])
    assert curves(table, "A title").startswith(b"\x89PNG")
