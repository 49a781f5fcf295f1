"""A comparison that is killed and started again ends with the same numbers, bit for bit."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.optim.lr_scheduler import ExponentialLR

from lrsched import Setting
from lrsched.comparison import _checkpoint
from lrsched.comparison._checkpoint import Checkpoint
from lrsched.comparison._compare import compare
from tests.comparison.helpers import DATA, FIXED, hidden, mse, sgd

ROOT = Path(__file__).parents[2]

# Each comparison runs in its own process, forked so that torch is imported only once.
SCRIPT = """
import os, random, signal, sys
import numpy as np
import torch
from torch import nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau
from torch.utils.data import DataLoader, Dataset
from lrsched import PlateauSequence, Sawtooth, Setting, compare
from lrsched.comparison import _checkpoint

_checkpoint.PAUSE = _checkpoint.SHARE = 0.0
torch.set_num_threads(1)
x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
data = x, x.sum(1, keepdim=True).sin()

class Noisy(Dataset):
    def __init__(self):
        self.own = np.random.default_rng(0)

    def __len__(self):
        return 40

    def __getitem__(self, i):
        return x[i] + 0.1 * torch.randn(3) + 0.1 * float(self.own.random()) + 0.1 * random.random(), data[1][i]

KINDS = {
    "tensors": (data, data, 8),
    "loader": (DataLoader(Noisy(), 8, shuffle=True, generator=torch.Generator().manual_seed(7)), [data], None),
}
settings = {
    "plateau": Setting(lambda params: SGD(params, lr=0.1, momentum=0.9), lambda opt: PlateauSequence(opt, Sawtooth())),
    "torch": Setting(lambda params: SGD(params, lr=0.1), lambda opt: ReduceLROnPlateau(opt, patience=0)),
    "batch": Setting(lambda params: Adam(params), lambda opt: OneCycleLR(opt, 0.1, total_steps=40), per="batch"),
}

def run(out, dies_at):
    calls = 0

    def die(run):
        nonlocal calls
        calls += 1
        if calls == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    model = lambda: nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1))
    loss_fn = lambda model, batch: nn.functional.mse_loss(model(batch[0]), batch[1])
    train, valid, batch_size = KINDS[sys.argv[1]]
    compare(settings, model, loss_fn, train, valid, epochs=5, batch_size=batch_size, seeds=2, out=out, callback=die)

run(sys.argv[2], 0)
for out, dies_at in zip(sys.argv[3::2], map(int, sys.argv[4::2])):
    child = os.fork()
    if not child:
        run(out, dies_at)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def records(out):
    return [
        {name: value for name, value in json.loads(line).items() if name not in ("seconds", "resumed")}
        for line in out.read_text().splitlines()
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.parametrize("data", ["tensors", "loader"])
def test_a_comparison_killed_anywhere_ends_as_if_it_had_not_been(tmp_path, data):
    whole, parts = tmp_path / "whole.jsonl", tmp_path / "parts.jsonl"
    # The callback is called after each epoch of each run, four of which train side by side, and for each finished run.
    # Killed in the first epoch; in the last of 5; once runs are on disk; in a run alone; once that is on disk.
    deaths = [1, 14, 2, 7, 7]
    calls = [str(item) for dies_at in deaths for item in (parts, dies_at)]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, data, str(whole), *calls, str(parts), "0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.split() == [str(-signal.SIGKILL.value)] * 5 + ["0"], done.stderr
    assert records(parts) == records(whole)
    assert [record["method"] for record in records(parts)] == ["side by side"] * 4 + ["one after another"] * 2
    resumed = [json.loads(line)["resumed"] for line in parts.read_text().splitlines()]
    assert resumed == [[1, 5]] * 4 + [[3], []]
    assert not (tmp_path / "parts.jsonl.checkpoint").exists()


def interrupted(tmp_path, monkeypatch):
    """Return the options of a comparison that was interrupted after its first epoch, and its checkpoint file."""
    monkeypatch.setattr(_checkpoint, "PAUSE", 0.0)
    options = {"epochs": 3, "batch_size": 16, "seeds": 1, "out": tmp_path / "runs.jsonl"}

    def interrupt(run):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(FIXED, hidden, mse, DATA, DATA, **options, callback=interrupt)
    return options, tmp_path / "runs.jsonl.checkpoint"


def test_a_checkpoint_of_another_configuration_is_not_resumed(tmp_path, monkeypatch):
    options, path = interrupted(tmp_path, monkeypatch)
    assert path.exists()
    (other,) = compare(FIXED, hidden, mse, DATA, DATA, **{**options, "epochs": 2}).runs
    assert other.resumed == []


@pytest.mark.parametrize("content", [b"", b"no checkpoint", "half"], ids=["empty", "text", "half"])
def test_a_checkpoint_that_cannot_be_read_is_ignored(tmp_path, monkeypatch, content):
    options, path = interrupted(tmp_path, monkeypatch)
    path.write_bytes(path.read_bytes()[:1000] if content == "half" else content)
    (run,) = compare(FIXED, hidden, mse, DATA, DATA, **options).runs
    assert run.resumed == []
    assert len(run.val_loss) == 3
    assert not path.exists()


def test_a_checkpoint_is_written_only_every_few_seconds(tmp_path):
    cohort = object()  # asking it for its state would raise
    Checkpoint(tmp_path / "c").save(cohort, {})
    Checkpoint(None).save(cohort, {})
    assert not (tmp_path / "c").exists()


def test_a_checkpoint_that_cannot_be_written_is_an_error(tmp_path, monkeypatch):
    options, path = interrupted(tmp_path, monkeypatch)
    path.unlink()
    path.mkdir()
    with pytest.raises(
        OSError, match=r"cannot write the checkpoint .*runs.jsonl.checkpoint: .*; finished runs are kept"
    ):
        compare(FIXED, hidden, mse, DATA, DATA, **options)


def test_a_full_disk_leaves_the_old_checkpoint_intact(tmp_path, monkeypatch):
    options, path = interrupted(tmp_path, monkeypatch)
    kept = path.read_bytes()

    def full(state, part):
        part.write_bytes(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0")  # the text of torch

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(OSError, match=r"cannot write the checkpoint .*unexpected pos 64 vs 0; finished runs"):
            compare(FIXED, hidden, mse, DATA, DATA, **options)
    assert path.read_bytes() == kept
    assert not path.with_name(f"{path.name}.part").exists()
    (run,) = compare(FIXED, hidden, mse, DATA, DATA, **options).runs
    assert run.resumed == [1]


class Local(ExponentialLR):
    """Its state cannot be saved, because it holds a function that has no name."""

    def __init__(self, optimizer):
        self.function = lambda k: 0.9**k
        super().__init__(optimizer, 0.9)


def test_a_scheduler_whose_state_cannot_be_saved_is_trained_without_checkpoints(tmp_path, monkeypatch):
    monkeypatch.setattr(_checkpoint, "PAUSE", 0.0)
    out = tmp_path / "runs.jsonl"
    (run,) = compare(
        {"local": Setting(sgd(), Local)}, hidden, mse, DATA, DATA, epochs=3, batch_size=16, seeds=1, out=out
    ).runs
    assert len(run.val_loss) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["runs.jsonl"]


def test_later_runs_have_checkpoints_even_if_the_state_of_one_cannot_be_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(_checkpoint, "PAUSE", 0.0)
    monkeypatch.setattr(_checkpoint, "SHARE", 0)
    out, found = tmp_path / "runs.jsonl", {}

    def look(run):
        if len(run.val_loss) == 1:
            found[run.setting] = (tmp_path / "runs.jsonl.checkpoint").exists()

    settings = {"first": FIXED["fixed"], "local": Setting(sgd(), Local), "last": FIXED["fixed"]}
    options = {"epochs": 2, "batch_size": 16, "seeds": 1, "vectorize": False, "out": out, "callback": look}
    compare(settings, hidden, mse, DATA, DATA, **options)
    assert found == {"first": True, "local": False, "last": True}
    assert [path.name for path in tmp_path.iterdir()] == ["runs.jsonl"]


def test_a_damaged_state_is_an_error(tmp_path, monkeypatch):
    options, path = interrupted(tmp_path, monkeypatch)
    held = torch.load(path, weights_only=True)
    del held["state"]["members"][0]["optimizer"]
    torch.save(held, path)
    with pytest.raises(OSError, match=r"cannot resume from the checkpoint .*checkpoint: KeyError.*; remove that file"):
        compare(FIXED, hidden, mse, DATA, DATA, **options)


def test_code_in_a_checkpoint_is_not_run(tmp_path, monkeypatch):
    options, path = interrupted(tmp_path, monkeypatch)
    trap = tmp_path / "trap"

    class Trap:
        def __reduce__(self):
            return (open, (str(trap), "w"))

    torch.save({**torch.load(path, weights_only=True), "trap": Trap()}, path)
    (run,) = compare(FIXED, hidden, mse, DATA, DATA, **options).runs
    assert run.resumed == []
    assert not trap.exists()


def test_checkpoints_that_take_long_are_written_less_often(tmp_path, monkeypatch):
    clock = iter([0.0, 11.0, 14.0, 73.0, 74.5, 80.0])
    monkeypatch.setattr(_checkpoint.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(torch, "save", lambda state, part: part.write_bytes(b""))
    checkpoint = Checkpoint(tmp_path / "c")
    cohort = SimpleNamespace(pairs=[], method="", state_dict=dict, task=SimpleNamespace(device=torch.device("cpu")))
    checkpoint.save(cohort, {})  # from 11 s to 14 s, so the next one is due 60 s later
    (tmp_path / "c").unlink()
    checkpoint.save(cohort, {})  # at 73 s
    assert not (tmp_path / "c").exists()
    checkpoint.save(cohort, {})  # at 74.5 s
    assert (tmp_path / "c").exists()


FULL = """
import resource, sys
import torch
from torch.optim import SGD
from lrsched import Setting, compare
from lrsched.comparison import _checkpoint

_checkpoint.PAUSE = float(sys.argv[3])
if int(sys.argv[2]):  # as on a full disk: the largest size of a file, in bytes
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
x = torch.linspace(-1, 1, 8).reshape(8, 1)
loss_fn = lambda model, batch: model(batch[0]).square().mean()
settings, model_fn = {"sgd": Setting(lambda params: SGD(params, lr=0.1))}, lambda: torch.nn.Linear(1, 1)
options = {"epochs": 2, "batch_size": 8, "seeds": 3, "vectorize": False, "out": sys.argv[1]}
compare(settings, model_fn, loss_fn, (x, x), (x, x), **options)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_full_disk_loses_no_finished_run(tmp_path):
    def run(name, most=0, pause=10.0):
        command = [sys.executable, "-c", FULL, str(tmp_path / name), str(most), str(pause)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)

    assert run("whole.jsonl").returncode == 0
    whole = records(tmp_path / "whole.jsonl")
    line = len((tmp_path / "whole.jsonl").read_bytes().splitlines()[0])
    done = run("runs.jsonl", most=line + line // 2)  # the second run does not fit
    assert "OSError: cannot write to out, " in done.stderr
    assert "runs.jsonl: [Errno 27] File too large; earlier runs are kept" in done.stderr
    assert len((tmp_path / "runs.jsonl").read_bytes().splitlines()) == 2  # the second is cut off at the next reading
    done = run("runs.jsonl", most=2 * line + line // 2, pause=0.0)  # a checkpoint does not fit either
    assert "OSError: cannot write the checkpoint " in done.stderr
    assert "runs.jsonl.checkpoint: " in done.stderr
    assert records(tmp_path / "runs.jsonl") == whole[:1]
    assert run("runs.jsonl").returncode == 0
    assert records(tmp_path / "runs.jsonl") == whole


def test_a_checkpoint_of_another_method_or_of_other_runs_is_not_resumed(tmp_path):
    path = tmp_path / "c"
    torch.save(
        {"pairs": [("a", 0)], "method": "side by side", "configs": {"a": 1}, "state": 0, "random": 0, "cuda": 0}, path
    )
    for pairs, method in (([("a", 0)], "one after another"), ([("a", 1)], "side by side")):
        checkpoint = Checkpoint(path)
        assert checkpoint.pairs({"a": 1}) == [("a", 0)]
        checkpoint.resume(SimpleNamespace(pairs=pairs, method=method))  # loading a state would raise
    with pytest.raises(OSError, match="cannot resume"):
        Checkpoint(path).resume(SimpleNamespace(pairs=[("a", 0)], method="side by side"))
