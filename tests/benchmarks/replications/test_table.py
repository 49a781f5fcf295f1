"""The command behind every table, on digits."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.replications import digits
from benchmarks.replications.collected import collect

RESULTS = Path(digits.__file__).parents[1] / "results"
ROOT = Path(__file__).parents[3]


SMOKE = ["digits", "--epochs", "1", "--seeds", "1", "--settings", "seq4-cutoff,sgd"]


def lines(folder):
    return [json.loads(line) for line in (folder / "runs.jsonl").read_text().splitlines()]


def test_the_command_writes_its_files_and_trains_nothing_twice(tmp_path, capsys):
    command = [*SMOKE, "--out", str(tmp_path)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    for part in ("2 runs of 1 epochs.", "2 of them trained now", "Claim: ", "Stuck: ", "Hardware: "):
        assert part in printed
    runs = lines(tmp_path)
    assert [(run["setting"], run["seed"]) for run in runs] == [("sgd", 0), ("seq4-cutoff", 0)]
    for run in runs:
        assert len(run["train_loss"]) == len(run["val_loss"]) == len(run["metrics"]["accuracy"]) == len(run["lrs"]) == 1
    assert [run["lrs"] for run in runs] == [[[0.001]], [[0.01]]]
    table = (tmp_path / "table.md").read_text()
    assert re.search(r"\| Benchmark \| SGD \| 0\.\d{4} \| -1\.0 \| 1 \| \d \|", table)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    info = json.loads((tmp_path / "info.json").read_text())
    assert info["command"] == f"python -m benchmarks {' '.join(command)}"
    assert info["runs left"] == 0
    assert {"torch", "python", "lrsched"} <= set(info["versions"])

    before = (tmp_path / "runs.jsonl").read_bytes()
    assert main(command) == 0
    assert "0 of them trained now" in capsys.readouterr().out
    assert (tmp_path / "runs.jsonl").read_bytes() == before
    assert (tmp_path / "table.md").read_text() == table

    command[command.index("--epochs") + 1] = "2"
    assert main(command) == 0
    assert "2 of them trained now" in capsys.readouterr().out
    assert [len(run["lrs"]) for run in lines(tmp_path)] == [1, 1, 2, 2]


def test_the_arithmetic_is_in_every_record_and_in_the_title(tmp_path):
    out = ["--out", str(tmp_path / "results")]
    assert main([*SMOKE, *out]) == 0
    assert main([*SMOKE, *out, "--arithmetic", "bfloat16"]) == 0
    assert (
        (tmp_path / "results" / "table.md")
        .read_text()
        .startswith(
            "# Digits (8x8): learning rates by sequence and strategy, in bfloat16, reduced length: 1 of 50 epochs\n"
        )
    )
    runs = lines(tmp_path / "results")
    assert [run["note"].rpartition("; ")[2] for run in runs] == ["float32"] * 2 + ["bfloat16"] * 2
    assert [run["config"]["key"].get("arithmetic") for run in runs] == [None, None, "bfloat16", "bfloat16"]
    assert ["Bfloat16" in run["config"]["model"] for run in runs] == [False, False, True, True]
    for exact, rounded in zip(runs[:2], runs[2:], strict=True):
        assert rounded["val_loss"] != exact["val_loss"]
        assert rounded["val_loss"] == pytest.approx(exact["val_loss"], rel=0.05)
    labels = [found.label for found in collect(tmp_path).tables]
    assert labels == [
        "Digits (8x8), reduced length: 1 of 50 epochs, stand-in for MNIST",
        "Digits (8x8), reduced length: 1 of 50 epochs, in bfloat16, stand-in for MNIST",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--settings", "seq5-epoch"], "error: unknown setting 'seq5-epoch'; choose from sgd, adam,"),
        (["--device", "cuda:77"], "error: --device"),
        (["--device", "toaster"], "toaster"),
        (["--out", __file__], "error: cannot write into the folder "),
    ],
)
def test_bad_options_are_refused_before_any_training(options, message, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("lrsched.compare", None)
    monkeypatch.chdir(tmp_path)
    assert main(["digits", *options]) == 1
    assert message in capsys.readouterr().err


def test_mnist_without_its_files_says_so(capsys, tmp_path):
    assert main(["mnist", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz is in" in capsys.readouterr().err


def test_ctrl_c_keeps_the_finished_runs_and_a_rerun_resumes(tmp_path):
    options = ["digits", "--epochs", "2", "--settings", "sgd", "--out", str(tmp_path), "--seeds"]
    # background jobs of a shell ignore SIGINT, and so do their children unless they restore its handler
    listening = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{listening}; runpy.run_module('benchmarks', run_name='__main__')"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *options, "1000"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 60
        while not ((tmp_path / "runs.jsonl").exists() and len(lines_so_far(tmp_path)) >= 2):
            assert process.poll() is None, "ended before it could be interrupted"
            assert time.monotonic() < deadline, "no run finished"
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Interrupted: the finished runs are in" in printed
    kept = (tmp_path / "runs.jsonl").read_bytes()
    done = len(lines(tmp_path))
    assert done >= 2
    reported = rf"({done}|{done - 1})"  # the signal may come after a run is recorded and before it is reported
    assert re.search(rf"\| SGD \| .* \| {reported} \| \d \|", (tmp_path / "table.md").read_text())
    assert json.loads((tmp_path / "info.json").read_text())["runs left"] in (1000 - done, 1001 - done)

    assert main([*options, str(done + 1)]) == 0
    assert (tmp_path / "runs.jsonl").read_bytes().startswith(kept)
    assert [run["seed"] for run in lines(tmp_path)] == list(range(done + 1))


def lines_so_far(folder):
    return (folder / "runs.jsonl").read_bytes().split(b"\n")[:-1]


def test_an_interrupted_table_ends_as_an_uninterrupted_one(tmp_path, monkeypatch):
    command = ["digits", "--epochs", "2", "--seeds", "2", "--settings", "adam,seq1-oscillate", "--out"]
    assert main([*command, str(tmp_path / "whole")]) == 0
    see = digits.table.Progress.see

    def interrupt(progress, run):
        see(progress, run)
        if len(progress.finished) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(digits.table.Progress, "see", interrupt)
        assert main([*command, str(tmp_path / "parts")]) == 130
    assert len(lines(tmp_path / "parts")) == 2
    assert main([*command, str(tmp_path / "parts")]) == 0
    whole, parts = ([{**run, "seconds": 0} for run in lines(tmp_path / name)] for name in ("whole", "parts"))
    assert whole == parts
    tables = {re.sub(r"\d+ s of", "", (tmp_path / name / "table.md").read_text()) for name in ("whole", "parts")}
    assert len(tables) == 1


@pytest.mark.parametrize(("name", "count"), [("digits", 90), ("digits-as-written", 70), ("rules-digits", 120)])
def test_committed_runs_are_recognised_as_finished(name, count, tmp_path, monkeypatch, capsys):
    def refuse(self, loss):
        raise AssertionError("this run is trained again")

    monkeypatch.setattr(torch.Tensor, "backward", refuse)
    (tmp_path / "runs.jsonl").write_bytes((RESULTS / name / "runs.jsonl").read_bytes())
    commands = {"digits": ["digits"], "digits-as-written": ["digits", "--as-written"], "rules-digits": ["rules"]}
    assert main([*commands[name], "--out", str(tmp_path)]) == 0
    assert f"{count} runs are finished, 0 of them trained now." in capsys.readouterr().out
    assert (tmp_path / "runs.jsonl").read_bytes() == (RESULTS / name / "runs.jsonl").read_bytes()
    assert (tmp_path / "table.md").read_text() == (RESULTS / name / "table.md").read_text()
