import numpy as np
import pytest
import torch

from benchmarks.tiny.data import split
from benchmarks.tiny.grid import CONSTANT, RATES, RECIPE, final_losses, schedules
from benchmarks.tiny.tasks import TASKS


def trained_alone(task, seed, schedule, rate, steps):
    """Return the validation loss after a plain training loop."""
    model = task.model(seed).train()
    optimizer = task.make_optimizer(model.parameters())
    for k, batch in zip(range(steps), task.batches(seed), strict=False):
        optimizer.param_groups[0]["lr"] = rate * schedule(k)
        optimizer.zero_grad()
        task.loss_fn(model, batch).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        return task.loss_fn(model, split(task.data)[1]).item()


@pytest.mark.parametrize(
    "name", ["norm-digits-adam16", "factors-ratings-sgd32", "gru-sums-adamw16", "conv-signals-momentum32"]
)
def test_the_grid_gives_what_plain_loops_give(name):
    task, steps = TASKS[name], 20
    untrained, final = final_losses(task, [0, 1], steps)
    assert untrained.shape == (2,)
    for schedule in (RECIPE, CONSTANT):
        assert final[schedule].shape == (2, len(RATES))
        for seed, column in ((0, 8), (1, 12)):
            alone = trained_alone(task, seed, schedules(steps)[schedule], RATES[column], steps)
            assert final[schedule][seed, column] == pytest.approx(alone, rel=1e-2)


def test_training_that_diverges_gives_nan():
    _, final = final_losses(TASKS["linear-plane-sgd16"], [0], 60)
    assert np.isnan(final[CONSTANT][0, -1])
    assert np.isfinite(final[CONSTANT][0, 0])
