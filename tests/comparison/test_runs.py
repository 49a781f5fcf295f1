import json
import math
import os
import signal

import pytest

from lrsched import Run
from lrsched.comparison._json_lines import plain
from lrsched.comparison._runs import RunFile, sole_use

CONFIGS = {"a": {"epochs": 2}, "b": {"epochs": 2}}


def run(name, seed, *losses):
    n = len(losses)
    return Run(name, seed, [1.0] * n, list(losses), {"accuracy": [0.5] * n, "other": [0.1] * n}, [[0.01]] * n)


def read(path, configs=CONFIGS):
    return RunFile(path, configs).runs


def test_the_metric_is_the_first():
    assert run("a", 0, 0.1).metric == [0.5]
    assert Run("a", 0).metric == []


def test_runs_come_back_as_they_went(tmp_path):
    kept = run("a", 3, 0.1, 0.30000000000000004)
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


def test_a_run_that_two_processes_trained_is_written_once(tmp_path):
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked there")
def test_a_file_is_free_again_though_a_forked_worker_lives_on(tmp_path):
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


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"config": 1}', "", '{"config": {"epochs": 2}, "setting": "a"}'])
def test_a_line_that_is_no_run_is_named(tmp_path, line):
    file = RunFile(tmp_path / "runs.jsonl", CONFIGS)
    file.add([run("a", 0, 0.1, 0.2)])
    file.path.write_text(file.path.read_text() + line + "\n")
    with pytest.raises(OSError, match=r"runs.jsonl, line 2, is no run: .*; remove that line"):
        RunFile(file.path, CONFIGS)


def test_what_is_not_finite_is_null(tmp_path):
    file = RunFile(tmp_path / "runs.jsonl", CONFIGS)
    file.add([run("a", 0, math.nan, math.inf)])
    assert json.loads(file.path.read_text())["val_loss"] == [None, None]
    assert read(file.path)["a", 0].val_loss == [None, None]


def test_plain_is_what_json_gives_back():
    value = {"a": (1, -math.inf), 2: [True, None, "x", {"b": math.nan}]}
    assert plain(value) == {"a": [1, None], "2": [True, None, "x", {"b": None}]}


def test_a_run_counts_once_it_is_on_the_disk(tmp_path, monkeypatch):
    file = RunFile(tmp_path / "runs.jsonl", CONFIGS)

    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        file.add([run("a", 0, 0.1, 0.2)])
    assert file.runs == {}
    assert list(read(file.path)) == [("a", 0)]  # so the file is read again after an interruption


def test_a_file_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write to out, .*file/runs.jsonl"):
        RunFile(tmp_path / "file" / "runs.jsonl", CONFIGS)
    with pytest.raises(OSError, match=r"cannot write to out, "):
        RunFile(tmp_path, CONFIGS)


def test_a_run_that_cannot_be_written_is_an_error(tmp_path):
    file = RunFile(tmp_path / "runs.jsonl", CONFIGS)
    file.path.unlink()
    file.path.mkdir()
    with pytest.raises(OSError, match=r"cannot write to out, .*runs.jsonl: .*; the runs before are kept"):
        file.add([run("a", 0, 0.1, 0.2)])
    assert file.runs == {}


def test_without_a_path_runs_are_held_in_memory():
    file = RunFile(None, CONFIGS)
    file.add([run("a", 0, 0.1)])
    assert file.runs["a", 0].finished
