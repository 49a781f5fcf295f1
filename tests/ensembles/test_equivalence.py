from functools import partial

import torch
from torch import nn

from lrsched.ensembles._equivalence import obstacle, unprofitable
from tests.ensembles.helpers import pairs, small, square

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


def test_dropout_whose_masks_differ_on_a_gpu_is_compared_with_a_stack_of_one(monkeypatch):
    model = nn.Sequential(nn.Linear(3, 20), nn.BatchNorm1d(20), nn.Dropout(), nn.Linear(20, 1))
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    monkeypatch.setattr("lrsched.ensembles._equivalence._masks_differ", lambda *_: True)
    assert obstacle(model, SGD, square, BATCH) is None
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)

    class Mixed(nn.Linear):  # mixes the samples of all calls, which no stack shows against another stack
        seen = 0

        def forward(self, x):
            Mixed.seen += 1
            return super().forward(x) * Mixed.seen

    assert obstacle(nn.Sequential(Mixed(3, 1)), SGD, square, BATCH) is not None
