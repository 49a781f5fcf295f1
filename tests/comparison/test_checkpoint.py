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

# Each comparison runs in a process of its own; they are forked, so that torch is imported once.
SCRIPT = """
import os, signal, sys
import torch
from torch import nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau
from lrsched import PlateauSequence, Sawtooth, Setting, compare
from lrsched.comparison import _checkpoint

_checkpoint.PAUSE = _checkpoint.SHARE = 0.0
torch.set_num_threads(1)
x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
data = x, x.sum(1, keepdim=True).sin()
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
    compare(settings, model, loss_fn, data, data, epochs=5, batch_size=8, seeds=2, out=out, callback=die)

run(sys.argv[1], 0)
for out, dies_at in zip(sys.argv[2::2], map(int, sys.argv[3::2])):
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


@pytest.mark.skipif(sys.platform == "win32", reason="processes cannot be forked there")
def test_killed_anywhere_it_ends_as_if_it_had_not_been(tmp_path):
    whole, parts = tmp_path / "whole.jsonl", tmp_path / "parts.jsonl"
    # Callbacks come after each epoch of each run, four of which go side by side, and for each finished run:
    # in the first epoch; in the last of 5; after runs are on the disk; in a run alone; after that is on the disk.
    deaths = [1, 14, 2, 7, 7]
    calls = [str(item) for dies_at in deaths for item in (parts, dies_at)]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(whole), *calls, str(parts), "0"],
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
    """Return the options of a comparison that was interrupted after its first epoch, and its checkpoint."""
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


@pytest.mark.parametrize("content", [b"", b"no checkpoint", "half"])
def test_a_checkpoint_that_cannot_be_read_is_no_loss(tmp_path, monkeypatch, content):
    options, path = interrupted(tmp_path, monkeypatch)
    path.write_bytes(path.read_bytes()[:1000] if content == "half" else content)
    (run,) = compare(FIXED, hidden, mse, DATA, DATA, **options).runs
    assert run.resumed == []
    assert len(run.val_loss) == 3
    assert not path.exists()


def test_a_checkpoint_is_written_at_most_every_few_seconds(tmp_path, monkeypatch):
    def trainer():
        raise AssertionError("not asked for its state")

    Checkpoint(tmp_path / "c").save(trainer, {})
    Checkpoint(None).save(trainer, {})
    assert not (tmp_path / "c").exists()


def test_a_checkpoint_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    options, path = interrupted(tmp_path, monkeypatch)
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match=r"cannot write the checkpoint .*runs.jsonl.checkpoint: .*finished runs are kept"):
        compare(FIXED, hidden, mse, DATA, DATA, **options)


def test_a_full_disk_under_a_checkpoint_is_an_error_that_names_it(tmp_path, monkeypatch):
    options, path = interrupted(tmp_path, monkeypatch)
    kept = path.read_bytes()

    def full(state, part):
        part.write_bytes(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0")  # torch's own words

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(OSError, match=r"cannot write the checkpoint .*unexpected pos 64 vs 0; the finished runs"):
            compare(FIXED, hidden, mse, DATA, DATA, **options)
    assert path.read_bytes() == kept
    assert not path.with_name(f"{path.name}.part").exists()
    (run,) = compare(FIXED, hidden, mse, DATA, DATA, **options).runs
    assert run.resumed == [1]


def test_a_scheduler_whose_state_cannot_be_kept_is_trained_without_checkpoints(tmp_path, monkeypatch):
    class Local(ExponentialLR):
        def __init__(self, optimizer):
            self.function = lambda k: 0.9**k
            super().__init__(optimizer, 0.9)

    monkeypatch.setattr(_checkpoint, "PAUSE", 0.0)
    out = tmp_path / "runs.jsonl"
    (run,) = compare(
        {"local": Setting(sgd(), Local)}, hidden, mse, DATA, DATA, epochs=3, batch_size=16, seeds=1, out=out
    ).runs
    assert len(run.val_loss) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["runs.jsonl"]


def test_a_damaged_state_is_named(tmp_path, monkeypatch):
    options, path = interrupted(tmp_path, monkeypatch)
    held = torch.load(path, weights_only=True)
    del held["state"]["members"][0]["optimizer"]
    torch.save(held, path)
    with pytest.raises(OSError, match=r"cannot resume from the checkpoint .*checkpoint: KeyError.*; remove it"):
        compare(FIXED, hidden, mse, DATA, DATA, **options)


def test_no_code_of_a_checkpoint_is_run(tmp_path, monkeypatch):
    options, path = interrupted(tmp_path, monkeypatch)
    trap = tmp_path / "trap"

    class Trap:
        def __reduce__(self):
            return (open, (str(trap), "w"))

    torch.save({**torch.load(path, weights_only=True), "trap": Trap()}, path)
    (run,) = compare(FIXED, hidden, mse, DATA, DATA, **options).runs
    assert run.resumed == []
    assert not trap.exists()


def test_the_next_checkpoint_waits_long_where_one_takes_long(tmp_path, monkeypatch):
    clock = iter([0.0, 11.0, 14.0, 73.0, 74.5, 80.0])
    monkeypatch.setattr(_checkpoint.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(torch, "save", lambda state, part: part.write_bytes(b""))
    checkpoint = Checkpoint(tmp_path / "c")
    trainer = SimpleNamespace(members=[], method="", state_dict=dict, task=SimpleNamespace(device=torch.device("cpu")))
    checkpoint.save(trainer, {})  # at 11 s, until 14: the next one 60 s later
    (tmp_path / "c").unlink()
    checkpoint.save(trainer, {})  # at 73
    assert not (tmp_path / "c").exists()
    checkpoint.save(trainer, {})  # at 74.5
    assert (tmp_path / "c").exists()


FULL = """
import resource, sys
import torch
from torch.optim import SGD
from lrsched import Setting, compare
from lrsched.comparison import _checkpoint

_checkpoint.PAUSE = float(sys.argv[3])
if int(sys.argv[2]):  # as on a full disk: no file grows beyond so many bytes
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
x = torch.linspace(-1, 1, 8).reshape(8, 1)
loss_fn = lambda model, batch: model(batch[0]).square().mean()
settings, model_fn = {"sgd": Setting(lambda params: SGD(params, lr=0.1))}, lambda: torch.nn.Linear(1, 1)
options = {"epochs": 2, "batch_size": 8, "seeds": 3, "vectorize": False, "out": sys.argv[1]}
compare(settings, model_fn, loss_fn, (x, x), (x, x), **options)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_on_a_full_disk_no_finished_run_is_lost(tmp_path):
    def run(name, most=0, pause=10.0):
        command = [sys.executable, "-c", FULL, str(tmp_path / name), str(most), str(pause)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)

    assert run("whole.jsonl").returncode == 0
    whole = records(tmp_path / "whole.jsonl")
    line = len((tmp_path / "whole.jsonl").read_bytes().splitlines()[0])
    done = run("runs.jsonl", most=line + line // 2)  # the second run does not fit
    assert "OSError: cannot write to out, " in done.stderr
    assert "runs.jsonl: [Errno 27] File too large; the runs before are kept" in done.stderr
    assert len((tmp_path / "runs.jsonl").read_bytes().splitlines()) == 2  # the second is cut off when it is read
    done = run("runs.jsonl", most=2 * line + line // 2, pause=0.0)  # nor does a checkpoint
    assert "OSError: cannot write the checkpoint " in done.stderr
    assert "runs.jsonl.checkpoint: " in done.stderr
    assert records(tmp_path / "runs.jsonl") == whole[:1]
    assert run("runs.jsonl").returncode == 0
    assert records(tmp_path / "runs.jsonl") == whole
