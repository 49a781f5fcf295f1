import copy
from functools import partial

import pytest
import torch
from torch import nn

from lrsched.ensembles._equivalence import _Trial, obstacle, unprofitable
from tests.ensembles.helpers import pairs, small, square

SGD = partial(torch.optim.SGD, lr=1.0, momentum=0.9)
BATCH = pairs(1)[0]
DIFFERS = "the losses, gradients or buffers of the stacked model differ from those of a single one"


def test_a_model_that_can_be_stacked_has_no_obstacle():
    assert obstacle(small(), SGD, square, BATCH) is None


def test_an_optimizer_of_another_type_is_named():
    assert "LBFGS" in obstacle(small(), torch.optim.LBFGS, square, BATCH)


def test_a_loss_that_reads_numbers_cannot_be_stacked():
    assert "cannot be stacked" in obstacle(small(), SGD, lambda m, b: square(m, b) * square(m, b).item(), BATCH)


def test_a_model_that_cannot_be_copied_cannot_be_stacked():
    class Single(nn.Linear):
        def __deepcopy__(self, memo):
            raise RuntimeError("there is only one\nof this")

    assert obstacle(Single(3, 1), SGD, square, BATCH) == "the model cannot be stacked: there is only one"


def test_members_that_affect_each_other_are_found():
    class Counting(nn.Linear):  # its results depend on how often it was called
        calls = 0

        def forward(self, x):
            Counting.calls += 1
            return super().forward(x) * Counting.calls

    assert obstacle(Counting(3, 1), SGD, square, BATCH) == DIFFERS


class Mixed(torch.autograd.Function):
    """Returns its input for a single model, and the mean over members for stacked ones."""

    @staticmethod
    def forward(x):
        return x.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, gradient):
        return gradient

    @staticmethod
    def vmap(info, in_dims, x):
        return Mixed.apply(x.movedim(in_dims[0], 0).mean(0, keepdim=True).repeat(info.batch_size, 1, 1)), 0


def test_members_that_see_each_other_are_found():
    model = small()
    assert obstacle(model, SGD, lambda model, batch: square(lambda x: Mixed.apply(model(x)), batch), BATCH) == DIFFERS


class WithUnused(nn.Linear):
    """Has a parameter without a gradient. If `zero`, its gradient in a stack is zeros instead."""

    def __init__(self, zero):
        super().__init__(3, 1)
        self.unused, self.zero = nn.Parameter(torch.ones(2)), zero

    def forward(self, x):
        stacked = torch._C._functorch.is_batchedtensor(self.weight)
        return super().forward(x) + (0 * self.unused.sum() if self.zero and stacked else 0)


@pytest.mark.parametrize("zero", [False, True])
def test_a_parameter_without_gradient_is_no_obstacle(zero):
    assert obstacle(WithUnused(zero), SGD, square, BATCH) is None


def test_the_model_and_the_random_state_stay_as_they_were():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 1))
    before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    assert obstacle(model, SGD, square, BATCH) is None
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        pytest.param(small(), None, id="small"),
        pytest.param(
            nn.Sequential(nn.Conv2d(1, 2, 3)),
            "on a CPU, a model with Conv2d trains faster one run at a time",
            id="convolution",
        ),
        pytest.param(
            nn.LSTM(1, 1), "on a CPU, a model with LSTM trains faster one run at a time", id="recurrent network"
        ),
        pytest.param(
            nn.Linear(500, 500),
            "on a CPU, a model with more than 150000 parameters (250500) trains faster one run at a time",
            id="large",
        ),
    ],
)
def test_on_a_cpu_only_small_models_without_convolutions_gain(model, reason):
    assert unprofitable(model) == reason


def test_if_dropout_masks_differ_members_are_compared_with_stacks_of_one(monkeypatch):
    model = nn.Sequential(nn.Linear(3, 20), nn.BatchNorm1d(20), nn.Dropout(), nn.Linear(20, 1))
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    monkeypatch.setattr(_Trial, "_masks_differ", lambda trial: True)
    assert obstacle(model, SGD, square, BATCH) is None
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)

    class Counting(nn.Linear):  # affected by all calls, which no comparison of two stacks shows
        calls = 0

        def forward(self, x):
            Counting.calls += 1
            return super().forward(x) * Counting.calls

    assert obstacle(nn.Sequential(Counting(3, 1)), SGD, square, BATCH) == DIFFERS
