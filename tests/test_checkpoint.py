"""A comparison that is killed and started again ends with the same numbers, bit for bit."""

import json
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

SCRIPT = """
import os, signal, sys
import torch
from torch import nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau
from lrsched import PlateauSequence, Sawtooth, Setting, _checkpoint, compare

out, dies_at = sys.argv[1], int(sys.argv[2])
_checkpoint.PAUSE = 0.0
torch.set_num_threads(1)
x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
data = x, x.sum(1, keepdim=True).sin()
settings = {
    "plateau": Setting(lambda params: SGD(params, lr=0.1, momentum=0.9), lambda opt: PlateauSequence(opt, Sawtooth())),
    "torch": Setting(lambda params: SGD(params, lr=0.1), lambda opt: ReduceLROnPlateau(opt, patience=0)),
    "batch": Setting(lambda params: Adam(params), lambda opt: OneCycleLR(opt, 0.1, total_steps=40), per="batch"),
}
calls = 0

def die(run):
    global calls
    calls += 1
    if calls == dies_at:
        os.kill(os.getpid(), signal.SIGKILL)

model = lambda: nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1))
loss_fn = lambda model, batch: nn.functional.mse_loss(model(batch[0]), batch[1])
compare(settings, model, loss_fn, data, data, epochs=5, batch_size=8, seeds=2, out=out, callback=die)
print("done")
"""


def run(out, dies_at):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(out), str(dies_at)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode == 0


def records(out):
    return [
        {name: value for name, value in json.loads(line).items() if name not in ("seconds", "resumed")}
        for line in out.read_text().splitlines()
    ]


def test_killed_at_any_epoch_it_ends_as_if_it_had_not_been(tmp_path):
    assert run(tmp_path / "whole.jsonl", 0)
    out = tmp_path / "parts.jsonl"
    for dies_at in (1, 3, 7, 6, 14):  # callbacks: in the first epoch, within runs, and right after one is on the disk
        assert not run(out, dies_at)
    assert run(out, 0)
    assert records(out) == records(tmp_path / "whole.jsonl")
    assert len(records(out)) == 6
    resumed = [json.loads(line)["resumed"] for line in out.read_text().splitlines()]
    assert resumed[0] == [1, 4]
    assert not (tmp_path / "parts.jsonl.checkpoint").exists()
