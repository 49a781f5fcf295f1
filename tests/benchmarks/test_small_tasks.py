from itertools import islice

import torch

from benchmarks.small_tasks import DIGITS, Batches


def test_the_task_trains():
    model = DIGITS.network()
    DIGITS.loss_fn(model, next(iter(Batches(DIGITS.data(), DIGITS.batch, 0)))).backward()


def test_batches_are_the_same_in_every_iteration():
    batches = Batches(DIGITS.data(), 4, 0)
    for (x, _), (again, _) in zip(islice(batches, 3), islice(batches, 3), strict=True):
        assert torch.equal(x, again)
        assert len(x) == 4
