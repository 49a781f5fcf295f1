from functools import partial

import torch
from torch import nn

from lrsched._obstacle import obstacle, unprofitable
from tests.sweep_helpers import pairs, small, square

SGD = partial(torch.optim.SGD, lr=1.0, momentum=0.9)
BATCH = pairs(1)[0]


def test_what_can_be_stacked_has_no_obstacle():
    assert obstacle(small(), SGD, square, BATCH) is None


def test_an_optimizer_of_another_type_is_named():
    assert "LBFGS" in obstacle(small(), torch.optim.LBFGS, square, BATCH)


def test_a_loss_that_looks_at_numbers_cannot_be_stacked():
    assert "cannot be stacked" in obstacle(small(), SGD, lambda m, b: square(m, b) * square(m, b).item(), BATCH)


def test_on_a_cpu_only_small_models_without_convolutions_gain():
    assert unprofitable(small()) is None
    assert "Conv2d" in unprofitable(nn.Sequential(nn.Conv2d(1, 2, 3)))
    assert "150000" in unprofitable(nn.Linear(500, 500))
