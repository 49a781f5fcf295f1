from itertools import islice

import pytest
import torch

from benchmarks.tiny.data import split
from benchmarks.tiny.tasks import OPTIMIZERS, TASKS, held_out


@pytest.mark.parametrize("name", TASKS)
def test_every_task_trains(name):
    task = TASKS[name]
    model = task.model(0)
    optimizer = task.make_optimizer(model.parameters())
    losses = []
    for batch in islice(task.batches(0), 2):
        optimizer.zero_grad()
        loss = task.loss_fn(model, batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(0 < loss < 1000 for loss in losses)


def test_about_half_of_the_tasks_of_every_optimizer_are_held_out():
    assert sum(map(held_out, TASKS)) == 31
    assert len(TASKS) == 62
    for optimizer in OPTIMIZERS:
        of_kind = [held_out(name) for name, task in TASKS.items() if task.optimizer == optimizer]
        assert 0.25 <= sum(of_kind) / len(of_kind) <= 0.75


def test_weights_and_batches_depend_on_the_seed_only():
    task = TASKS["factors-ratings-sgd32"]
    assert torch.equal(task.model(1).rows, task.model(1).rows)
    assert not torch.equal(task.model(1).rows, task.model(2).rows)
    (first, _), (again, _), (other, _) = (next(task.batches(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_validation_data_are_not_trained_on():
    (x, _), (valid, _) = split(TASKS["mlp-waves-adam64"].data)
    assert len(x) == 1200
    assert len(valid) == 300
    assert not set(valid[:, 0].tolist()) & set(x[:, 0].tolist())
