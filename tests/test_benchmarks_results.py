import json
import math

import numpy as np
import pytest
from scipy import stats

from benchmarks import columns, report
from benchmarks.errors import BenchmarkError
from benchmarks.plots import by_epoch, curves
from benchmarks.results import Results, write
from benchmarks.settings import SETTINGS
from benchmarks.stats import mean_interval
from benchmarks.training import Run

CONFIGS = {"sgd": {"epochs": 2}, "adam": {"epochs": 2}}


def run(name, seed, *accuracies, unlearned=0):
    n = len(accuracies)
    return Run(
        name,
        seed,
        [1.0] * n,
        [0.5] * n,
        list(accuracies),
        [unlearned] * n,
        [0.01] * n,
        seconds=1.5,
        machine="an abacus",
    )


# --- mean and interval


def test_mean_and_interval_by_hand():
    found = mean_interval([1.0, 2.0, 3.0])  # s = 1, t(0.975, 2) = 4.3027
    assert (found.mean, found.n) == (2.0, 3)
    assert found.half == pytest.approx(4.302653 / math.sqrt(3), abs=1e-6)
    assert found.text(2) == "2.00 ± 2.48"


def test_interval_is_scipys():
    values = np.random.default_rng(0).normal(size=7)
    found = mean_interval(list(values))
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((low, high), abs=1e-12)


def test_one_value_has_no_interval():
    found = mean_interval([0.25])
    assert math.isnan(found.half)
    assert found.text(4) == "0.2500"


# --- the file of runs


def test_runs_come_back_as_they_went(tmp_path):
    kept = run("sgd", 3, 0.1, 0.30000000000000004)
    kept.events = [{"epoch": 1, "reason": "because", "old_lrs": [0.1], "new_lrs": [0.05]}]
    Results(tmp_path, CONFIGS).add(kept)
    assert Results(tmp_path, CONFIGS).runs == {("sgd", 3): kept}
    assert Results(tmp_path, CONFIGS).of("sgd") == [kept]
    assert Results(tmp_path, CONFIGS).of("adam") == []


def test_runs_of_another_configuration_are_kept_apart(tmp_path):
    Results(tmp_path, CONFIGS).add(run("sgd", 0, 0.1, 0.2))
    other = Results(tmp_path, {"sgd": {"epochs": 3}})
    assert other.runs == {}
    other.add(run("sgd", 0, 0.4, 0.5, 0.6))
    assert Results(tmp_path, CONFIGS).runs["sgd", 0].val_accuracy == [0.1, 0.2]
    assert Results(tmp_path, {"sgd": {"epochs": 3}}).runs["sgd", 0].val_accuracy == [0.4, 0.5, 0.6]


def test_an_unfinished_last_line_is_cut_off_and_the_next_run_follows(tmp_path):
    results = Results(tmp_path, CONFIGS)
    results.add(run("sgd", 0, 0.1, 0.2))
    whole = results.path.read_bytes()
    for cut in (1, len(whole) // 2, len(whole) - 1):
        results.path.write_bytes(whole + whole[:cut])
        again = Results(tmp_path, CONFIGS)
        assert list(again.runs) == [("sgd", 0)]
        again.add(run("adam", 1, 0.3, 0.4))
        assert list(Results(tmp_path, CONFIGS).runs) == [("sgd", 0), ("adam", 1)]
        assert len(results.path.read_bytes().splitlines()) == 2


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"config": 1}', "", '{"config": {"epochs": 2}, "setting": "sgd"}'])
def test_a_line_that_is_no_run_is_named(tmp_path, line):
    results = Results(tmp_path, CONFIGS)
    results.add(run("sgd", 0, 0.1, 0.2))
    results.path.write_text(results.path.read_text() + line + "\n")
    with pytest.raises(BenchmarkError, match=r"runs.jsonl, line 2, is no run"):
        Results(tmp_path, CONFIGS)


def test_what_is_not_finite_is_null(tmp_path):
    diverged = run("sgd", 0, 0.1, 0.1)
    diverged.val_loss = [math.nan, math.inf]
    results = Results(tmp_path, CONFIGS)
    results.add(diverged)
    assert json.loads(results.path.read_text())["val_loss"] == [None, None]
    back = Results(tmp_path, CONFIGS).of("sgd")
    np.testing.assert_array_equal(by_epoch(back, "val_loss"), [[math.nan, math.nan]])


def test_a_run_counts_once_it_is_on_the_disk(tmp_path, monkeypatch):
    results = Results(tmp_path, CONFIGS)

    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        results.add(run("sgd", 0, 0.1, 0.2))
    assert results.runs == {}
    assert list(Results(tmp_path, CONFIGS).runs) == [("sgd", 0)]  # so the file is read again after an interruption


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(BenchmarkError, match=r"cannot write into the folder .*file/out"):
        Results(file / "out", CONFIGS)
    (tmp_path / "runs.jsonl").mkdir()
    with pytest.raises(BenchmarkError, match=r"cannot use .*runs.jsonl"):
        Results(tmp_path, CONFIGS)


def test_a_run_that_cannot_be_written_is_an_error(tmp_path):
    results = Results(tmp_path / "out", CONFIGS)
    results.path.unlink()
    results.path.mkdir()
    with pytest.raises(BenchmarkError, match=r"cannot write to .*runs.jsonl"):
        results.add(run("sgd", 0, 0.1, 0.2))
    assert results.runs == {}


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
    return [report.summary(name, SETTINGS[name], done, columns.MNIST) for name, done in runs.items()]


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
    table[0].runs[0].val_loss.append(0.4)
    table[0].runs[0].lr.append(0.01)
    assert curves(table, "A title").startswith(b"\x89PNG")
    np.testing.assert_array_equal(by_epoch(table[0].runs, "val_loss"), [[0.5, 0.5, 0.4], [0.5, 0.5, math.nan]])
