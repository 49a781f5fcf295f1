"""A comparison whose runs are divided between two processes, and the command of the tables under torchrun."""

import contextlib
import datetime
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from benchmarks.devices import leave_together, processes
from lrsched import Setting, compare
from lrsched.comparison import _checkpoint
from lrsched.comparison._runs import RunFile
from tests.comparison.helpers import DATA, hidden, mse, sgd

from .processes import in_two_processes

ROOT = Path(__file__).parent.parent.parent
SETTINGS = {name: Setting(sgd(lr)) for name, lr in {"a": 0.05, "b": 0.1, "c": 0.2}.items()}


def trained(out, **options):
    report = compare(SETTINGS, hidden, mse, DATA, DATA, epochs=2, batch_size=16, out=out, **options)
    return [(run.setting, run.seed, run.train_loss, run.val_loss, run.lrs) for run in report.runs]


def share(rank, out, seeds, vectorize):
    dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=60))
    here = set()

    def collect(run):
        if not run.finished:
            here.add((run.setting, run.seed))

    runs = trained(out, seeds=seeds, vectorize=vectorize, callback=collect)
    dist.destroy_process_group()
    return runs, here


def progress_shown(rank):
    dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=60))
    sys.modules["tqdm"] = None
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        trained(None, seeds=2, progress=True)
    dist.destroy_process_group()
    return err.getvalue().splitlines()


def test_the_first_process_shows_the_progress_of_all(tmp_path):
    first, second = in_two_processes(progress_shown, tmp_path)
    assert first[-1].startswith("compare, epochs: 12/12, 6/6 runs, ")
    assert len(first) > 2
    assert second == []


@pytest.mark.parametrize("vectorize", [False, True])
def test_runs_are_divided_and_every_process_gets_all_of_them(tmp_path, vectorize):
    out = tmp_path / "runs.jsonl"
    alone = trained(None, seeds=3, vectorize=vectorize)
    first = trained(out, seeds=1, vectorize=vectorize)
    (runs, here), (others, there) = in_two_processes(share, tmp_path, str(out), 3, vectorize)
    assert runs == others
    assert [run for run in runs if run[1] == 0] == first  # read, not trained
    assert len(here) == len(there) == 3
    assert not here & there
    assert len(out.read_text().splitlines()) == len(runs) == 9
    if not vectorize:
        assert runs == alone  # bit for bit; side by side, sums depend on the number of members
    for run, other in zip(runs, alone, strict=True):
        assert run[3] == pytest.approx(other[3], rel=1e-5)


def refuse(rank, out):
    dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=60))
    with pytest.raises(OSError, match="cannot write to out, "):
        trained(out)
    dist.destroy_process_group()
    return True


def test_a_file_that_the_first_process_cannot_use_is_an_error_in_every_process(tmp_path):
    assert in_two_processes(refuse, tmp_path, str(tmp_path)) == [True, True]


def fill_up(rank, out):
    dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=60))
    _checkpoint.PAUSE = 0.0

    def full(self, runs):
        raise OSError("No space left on device")

    if rank == 0:
        RunFile.add = full
    with pytest.raises(OSError, match="No space left on device"):
        trained(out, seeds=2)
    dist.destroy_process_group()
    return True


def test_every_process_keeps_its_checkpoint_if_the_first_cannot_write(tmp_path):
    out = tmp_path / "runs.jsonl"
    assert in_two_processes(fill_up, tmp_path, str(out)) == [True, True]
    checkpoints = [tmp_path / f"runs.jsonl.checkpoint{rank}" for rank in ("", 1)]
    assert all(path.exists() for path in checkpoints)
    assert [torch.load(path, weights_only=True)["state"]["members"][0]["losses"] for path in checkpoints]


def write_a_report(rank, report):
    with processes("cpu"):
        if rank == 0:
            time.sleep(1)
            report.touch()
        leave_together()
        return report.exists()


def test_no_process_leaves_before_the_report_of_the_first_is_written(tmp_path):
    assert in_two_processes(write_a_report, tmp_path, tmp_path / "report") == [True, True]


def test_a_table_under_torchrun_is_the_same_table(tmp_path):
    options = ["digits", "--settings", "sgd,seq1-epoch", "--seeds", "2", "--epochs", "1", "--limit", "200", "--out"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    for command, name in ((torchrun, "two"), ([sys.executable, "-m"], "one")):
        done = subprocess.run(
            [*command, "benchmarks", *options, str(tmp_path / name)],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("Claim: ") == 1
    two, one = (
        sorted(
            (run["setting"], run["seed"], run["val_loss"])
            for run in map(json.loads, (tmp_path / name / "runs.jsonl").read_text().splitlines())
        )
        for name in ("two", "one")
    )
    assert two == one
    assert len(one) == 4
