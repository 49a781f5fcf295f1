import json

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.__main__ import main
from benchmarks.costs import sweep_cost, sweep_tasks
from lrsched import lr_sweep


def tiny():
    """Return the function sweep with three rates and one epoch."""
    task = sweep_tasks.function()
    return sweep_tasks.Task(**{**vars(task), "lrs": np.array([1e-3, 1e-2, 1e-1]), "steps": (2,)})


def test_the_published_procedure_gives_the_losses_of_the_sweep():
    task = tiny()
    found = lr_sweep(
        task.model,
        task.make_optimizer,
        task.loss_fn,
        task.batches,
        task.lrs,
        steps=(2, 4),
        eval_batches=task.eval_batches,
        vectorize=False,
    )
    np.testing.assert_allclose(sweep_tasks.published(task, (1, 2)), found.losses, rtol=1e-5)


def test_operations_by_hand():
    model = nn.Linear(1000, 100, bias=False)
    task = tiny()
    batches = [(torch.zeros(50, 1000), torch.zeros(50, 100))]
    task = sweep_tasks.Task(**{**vars(task), "model": model, "batches": batches})
    flops = 2 * 50 * 1000 * 100  # forward, and the same for the weights' gradient; the inputs need none
    assert sweep_tasks.teraflops(task) == pytest.approx(2 * flops * 3 / 1e12)


def test_the_published_step_takes_1_8_teraflop():
    assert sweep_tasks.teraflops(sweep_tasks.cifar10_like(torch.device("cpu"))) == pytest.approx(1.8, rel=0.1)


def test_the_command_writes_its_figures(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sweep_tasks.TASKS, "function", tiny)
    monkeypatch.setattr(sweep_cost, "peaks", lambda pairs: [{"rates": 4, "chunk": 2, "mib": 1.5}])
    assert main(["sweep_cost", "--samples", "1", "--tasks", "function", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "as published" in shown
    assert "peak MiB" in shown
    found = json.loads((tmp_path / "sweep_cost.json").read_text())
    assert [cost["against"] for cost in found["costs"]] == ["one after another", "as published"]
    assert found["agreement"][0]["apart"] < 1e-3
    assert main(["sweep_cost", "--tasks", "chess"]) == 1
    assert "unknown task 'chess'; choose from function, mlp" in capsys.readouterr().err


@pytest.mark.skipif(not sweep_cost.STATUS.exists(), reason="reads Linux's process status")
def test_peak_memory_is_at_least_the_memory_in_use():
    line = next(line for line in sweep_cost.STATUS.read_text().splitlines() if line.startswith("VmRSS"))
    assert sweep_cost.high_water() >= int(line.split()[1]) / 1024
