import json
import re
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from benchmarks import devices
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.costs import step_cost
from benchmarks.errors import BenchmarkError
from benchmarks.replications import digits, table

ROOT = Path(__file__).parents[2]
SMOKE = ["digits", "--epochs", "1", "--seeds", "1", "--settings", "seq4-cutoff,sgd"]


def lines(folder):
    return [json.loads(line) for line in (folder / "runs.jsonl").read_text().splitlines()]


# --- what there is


def test_without_a_name_it_lists_what_there_is(capsys):
    assert main([]) == 0
    listed = capsys.readouterr().out
    for name in BENCHMARKS:
        assert f"\n  {name} " in listed


def test_an_unknown_name_lists_what_there_is(capsys):
    assert main(["digit"]) == 2
    told = capsys.readouterr().err
    assert "no benchmark is called 'digit'" in told
    assert "\n  digits " in told


# --- python -m benchmarks digits


def test_digits_writes_its_files_and_trains_nothing_twice(tmp_path, capsys):
    command = [*SMOKE, "--out", str(tmp_path)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    for part in ("2 runs of 1 epochs.", "2 of them trained now", "Claim: ", "Student's t", "Hardware: "):
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--settings", "seq5-epoch"], "error: unknown setting 'seq5-epoch'; there are sgd, adam,"),
        (["--device", "cuda:77"], "error: --device cuda:77 cannot be used: "),
        (["--device", "toaster"], "error: --device toaster cannot be used: "),
        (["--out", __file__], "error: cannot write into the folder "),
    ],
)
def test_what_cannot_be_is_said_before_any_training(options, message, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("lrsched.compare", None)
    monkeypatch.chdir(tmp_path)
    assert main(["digits", *options]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("device", ["cuda:0", "cuda:1"])
def test_one_gpu_for_several_processes_is_refused(device, capsys, tmp_path, monkeypatch):
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert main(["digits", "--device", device, "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert f"error: --device {device} would put every process on one GPU; give --device cuda" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("ends", [None, RuntimeError("no memory")])
@pytest.mark.parametrize(("device", "inside"), [("cuda", False), ("cpu", None)])
def test_a_gpu_trains_in_full_float32_and_has_its_setting_back(tmp_path, monkeypatch, device, inside, before, ends):
    seen = []

    def train(benchmark, settings, data, device, *rest):
        seen.append((torch.backends.cudnn.allow_tf32, devices.arithmetic(device)))
        if ends:
            raise ends

    monkeypatch.setattr(table, "processes", lambda name: nullcontext((torch.device(name), 0)))
    monkeypatch.setattr(table, "train", train)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", before)
    with nullcontext() if ends is None else pytest.raises(RuntimeError, match="no memory"):
        main(["digits", "--device", device, "--out", str(tmp_path)])
    assert seen == [(before, {}) if inside is None else (inside, {"tf32": inside})]
    assert torch.backends.cudnn.allow_tf32 is before


@pytest.mark.parametrize("option", ["--seeds", "--epochs"])
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many"])
def test_counts_are_integers_from_one(option, value, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["digits", option, value])
    assert stop.value.code == 2
    assert f"argument {option}" in capsys.readouterr().err


def test_mnist_without_its_files_says_so(capsys, tmp_path):
    assert main(["mnist", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz in" in capsys.readouterr().err


def test_what_digits_needs_but_is_missing_is_named(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "benchmarks.replications.digits", None)
    assert main(SMOKE) == 1
    assert "install what the benchmarks need" in capsys.readouterr().err


def test_ctrl_c_keeps_the_finished_runs_and_a_rerun_goes_on(tmp_path):
    options = ["digits", "--epochs", "2", "--settings", "sgd", "--out", str(tmp_path), "--seeds"]
    # a shell's background jobs ignore SIGINT, and so do their children, unless they say otherwise
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
        printed, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Interrupted: the finished runs are in" in printed
    kept = (tmp_path / "runs.jsonl").read_bytes()
    done = len(lines(tmp_path))
    assert done >= 2
    assert re.search(rf"\| SGD \| .* \| {done} \| \d \|", (tmp_path / "table.md").read_text())
    assert json.loads((tmp_path / "info.json").read_text())["runs left"] == 1000 - done

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


# --- python -m benchmarks step_cost


def test_step_cost_times_every_pair_at_every_size(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(step_cost, "KINDS", [(1, "float"), (2, "tensor")])
    assert main(["step_cost", "--samples", "3", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    for part in (
        "Claim: ",
        "Limits met: ",
        "Hardware: ",
        "InverseLR / LambdaLR",
        "PlateauSequence / ReduceLROnPlateau",
    ):
        assert part in printed
    costs = json.loads((tmp_path / "step_cost.json").read_text())["costs"]
    assert len(costs) == 2 * len(step_cost.PAIRS)
    for cost in costs:
        assert cost["low"] * (1 - 1e-9) <= cost["ratio"] <= cost["high"] * (1 + 1e-9)  # but for rounding
        assert cost["ratio"] == pytest.approx(cost["ours"] / cost["torchs"])


def test_step_cost_finds_a_known_ratio():
    class Slow:
        def __init__(self, optimizer, seconds):
            self.seconds = seconds

        def step(self, *arguments):
            time.sleep(self.seconds)

    pair = step_cost.Pair("slow", lambda opt: Slow(opt, 0.001), lambda opt: Slow(opt, 0.004), {(1, "float"): 0.5})
    cost = step_cost.measure(pair, (1, "float"), samples=11)
    assert 0.1 < cost.ratio < 0.6
    assert cost.ours == pytest.approx(1000, rel=1.0)  # µs
    assert (cost.limit, cost.verdict) == (0.5, "met")


def test_the_limits_are_those_claimed():
    limits = {pair.name: pair.limits for pair in step_cost.PAIRS}
    common = {(1, "float"): 0.45, (10, "float"): 0.45, (1000, "float"): 0.4, (1, "tensor"): 0.35, (1000, "tensor"): 0.2}
    assert limits["InverseLR / LambdaLR"] == limits["GeometricLR / ExponentialLR"] == common
    assert set(limits["CyclicLR / CyclicLR"].values()) == {0.6}
    assert limits["StepDecayLR / StepLR"] == {(1000, "tensor"): 0.35}


@pytest.mark.parametrize("name", ["meta", "toaster", "hpu"])
def test_a_device_that_holds_no_numbers_is_named(name):
    with pytest.raises(BenchmarkError, match=f"--device {name} cannot be used: "):
        devices.usable(name)


def test_where_nothing_is_to_be_deterministic_torch_is_not_asked(monkeypatch):
    monkeypatch.setattr(torch, "use_deterministic_algorithms", None)  # Ctrl-C may have broken its import
    with devices.determinism(False):
        pass
