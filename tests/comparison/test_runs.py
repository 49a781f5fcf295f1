"""Records of runs and the file that keeps them."""

import json
import math
import os
import signal

import pytest

from lrsched import Run
from lrsched.comparison._runs import RunFile, sole_use

CONFIGS = {"a": {"epochs": 2}, "b": {"epochs": 2}}


def run(name, seed, *losses):
    n = len(losses)
    return Run(name, seed, [1.0] * n, list(losses), {"accuracy": [0.5] * n, "other": [0.1] * n}, [[0.01]] * n)


def read(path, configs=CONFIGS):
    return RunFile(path, configs).runs


def test_the_metric_is_the_first_one():
    assert run("a", 0, 0.1).metric == [0.5]
    assert Run("a", 0).metric == []


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (run("a", 3, 0.25, 0.125), "Run('a', seed=3, 2 epochs, val_loss 0.125, accuracy 0.5)"),
        (Run("a", 0, val_loss=[None]), "Run('a', seed=0, 1 epoch, val_loss not finite)"),
        (Run("two\nlines", 0), "Run('two\\nlines', seed=0, 0 epochs)"),
    ],
    ids=["finished", "diverged", "empty"],
)
def test_a_run_is_printed_in_one_line(one, text):
    assert repr(one) == text


def test_records_of_earlier_versions_are_read(tmp_path):
    kept, path = run("a", 3, 0.1), tmp_path / "runs.jsonl"
    RunFile(path, CONFIGS).add([kept])
    record = json.loads(path.read_text())
    assert record.pop("batch_lrs") == []
    path.write_text(json.dumps(record) + "\n")
    assert read(path) == {("a", 3): kept}


def test_runs_are_read_as_they_were_written(tmp_path):
    kept = run("a", 3, 0.1, 0.30000000000000004)
    kept.batch_lrs = [[0.01, 0.02], [0.03]]
    kept.events = [{"epoch": 1, "reason": "because", "old_lrs": [0.1], "new_lrs": [0.05]}]
    file = RunFile(tmp_path / "new" / "runs.jsonl", CONFIGS)
    file.add([kept])
    assert kept.finished
    assert kept.config == {"epochs": 2}
    assert file.runs == read(file.path) == {("a", 3): kept}


def test_runs_of_another_configuration_are_kept_apart(tmp_path):
    path, other = tmp_path / "runs.jsonl", {"a": {"epochs": 3}}
    RunFile(path, CONFIGS).add([run("a", 0, 0.1, 0.2), run("b", 0, 0.1, 0.2)])
    assert read(path, other) == {}
    RunFile(path, other).add([run("a", 0, 0.4, 0.5, 0.6)])
    assert list(read(path)) == [("a", 0), ("b", 0)]
    assert read(path)["a", 0].val_loss == [0.1, 0.2]
    assert read(path, other)["a", 0].val_loss == [0.4, 0.5, 0.6]


def test_an_unfinished_last_line_is_cut_off_and_the_next_run_follows(tmp_path):
    path = tmp_path / "runs.jsonl"
    RunFile(path, CONFIGS).add([run("a", 0, 0.1, 0.2)])
    whole = path.read_bytes()
    for cut in (1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole + whole[:cut])
        file = RunFile(path, CONFIGS)
        assert list(file.runs) == [("a", 0)]
        file.add([run("b", 1, 0.3, 0.4)])
        assert list(read(path)) == [("a", 0), ("b", 1)]
        assert len(path.read_bytes().splitlines()) == 2


def test_a_run_trained_by_two_processes_is_written_once(tmp_path):
    file = RunFile(tmp_path / "runs.jsonl", CONFIGS)
    file.add([run("a", 0, 0.1), run("a", 0, 0.1)])
    assert len(file.path.read_text().splitlines()) == 1


def test_a_file_has_one_user_at_a_time(tmp_path):
    path = tmp_path / "new" / "runs.jsonl"
    for _ in range(2):
        with sole_use(path), pytest.raises(OSError, match="is in use by another process"), sole_use(path):
            pass
    with sole_use(None), sole_use(None):
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_lock_ends_even_if_a_forked_worker_lives_on(tmp_path):
    path = tmp_path / "runs.jsonl"
    with sole_use(path):
        worker = os.fork()
        if not worker:
            signal.pause()
            os._exit(0)
    try:
        with sole_use(path):
            pass
    finally:
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)


def test_a_finished_run_is_not_written_twice(tmp_path):
    file = RunFile(tmp_path / "runs.jsonl", CONFIGS)
    file.add([run("a", 0, 0.1)])
    file.add([run("a", 0, 0.2), run("b", 0, 0.3)])
    assert [json.loads(line)["val_loss"] for line in file.path.read_text().splitlines()] == [[0.1], [0.3]]
    assert file.runs["a", 0].val_loss == [0.1]


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "{}", '{"config": 1}', "", '{"config": {"epochs": 2}, "setting": "a"}'],
    ids=["half", "list", "empty dict", "no setting", "empty", "no seed"],
)
def test_an_invalid_line_is_refused_with_its_number(tmp_path, line):
    file = RunFile(tmp_path / "runs.jsonl", CONFIGS)
    file.add([run("a", 0, 0.1, 0.2)])
    file.path.write_text(file.path.read_text() + line + "\n")
    with pytest.raises(OSError, match=r"runs.jsonl, line 2, is not a valid run record: .*; remove that line"):
        RunFile(file.path, CONFIGS)


def test_values_that_are_not_finite_become_null(tmp_path):
    file = RunFile(tmp_path / "runs.jsonl", CONFIGS)
    file.add([run("a", 0, math.nan, math.inf)])
    assert json.loads(file.path.read_text())["val_loss"] == [None, None]
    assert read(file.path)["a", 0].val_loss == [None, None]


def test_a_run_is_finished_only_when_it_is_on_disk(tmp_path, monkeypatch):
    file = RunFile(tmp_path / "runs.jsonl", CONFIGS)

    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        file.add([run("a", 0, 0.1, 0.2)])
    assert file.runs == {}
    assert list(read(file.path)) == [("a", 0)]  # after an interruption the file is read again


def test_a_file_that_cannot_be_used_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write to out, .*file/runs.jsonl"):
        RunFile(tmp_path / "file" / "runs.jsonl", CONFIGS)
    with pytest.raises(OSError, match=r"cannot write to out, "):
        RunFile(tmp_path, CONFIGS)


def test_a_run_that_cannot_be_written_is_an_error(tmp_path):
    file = RunFile(tmp_path / "runs.jsonl", CONFIGS)
    file.path.unlink()
    file.path.mkdir()
    with pytest.raises(OSError, match=r"cannot write to out, .*runs.jsonl: .*; earlier runs are kept"):
        file.add([run("a", 0, 0.1, 0.2)])
    assert file.runs == {}


def test_without_a_path_runs_are_kept_in_memory():
    file = RunFile(None, CONFIGS)
    file.add([run("a", 0, 0.1)])
    assert file.runs["a", 0].finished
