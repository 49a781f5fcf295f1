import numpy as np
import pytest
import torch
from torch import nn

from lrsched.ensembles._optimizers import STACKABLE, other_update, stack, step_members, unfit
from tests.versions import needs_adafactor


def parameters():
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(3, 2)), nn.Parameter(torch.randn(3)), nn.Parameter(torch.tensor(0.5))]


@pytest.mark.parametrize("kind", STACKABLE, ids=lambda kind: kind.__name__)
def test_every_stackable_type_is_confirmed(kind):
    assert other_update(kind(parameters(), lr=0.1, weight_decay=0.1)) is None


@pytest.mark.parametrize("name", ["ASGD", pytest.param("Adafactor", marks=needs_adafactor)])
def test_types_whose_step_is_not_linear_in_the_rate_are_named(name):
    optimizer = getattr(torch.optim, name)(parameters(), lr=0.1)
    assert other_update(optimizer) == f"{name} updates stacked parameters differently from single ones"


def test_each_member_moves_at_its_own_rate():
    whole = stack([torch.zeros(2)], 3).requires_grad_()
    whole.grad = torch.ones(3, 2)
    step_members(torch.optim.SGD([whole], lr=1.0), np.array([[0.0], [0.5], [2.0]]))
    assert whole.tolist() == [[0, 0], [-0.5, -0.5], [-2, -2]]


def test_rates_of_zero_change_nothing():
    whole = stack([torch.ones(2)], 2).requires_grad_()
    whole.grad = torch.ones(2, 2)
    step_members(torch.optim.SGD([whole], lr=1.0), np.zeros((2, 1)))
    assert whole.tolist() == [[1, 1], [1, 1]]


def test_parameters_of_another_model_are_refused():
    optimizer = torch.optim.SGD(parameters(), lr=0.1)
    assert unfit(optimizer, nn.Linear(2, 1)) == "the optimizer has parameters that do not belong to the model"


def test_frozen_parameters_alone_are_refused():
    model = nn.Linear(2, 1).requires_grad_(False)
    assert unfit(torch.optim.SGD(model.parameters(), lr=0.1), model) == "the optimizer has no trainable parameters"


def test_gradient_hooks_are_refused():
    model = nn.Linear(2, 1)
    model.weight.register_hook(lambda gradient: gradient)
    reason = "a parameter has gradient hooks, which stacked gradients would bypass"
    assert unfit(torch.optim.SGD(model.parameters(), lr=0.1), model) == reason


def test_complex_parameters_are_confirmed():
    assert other_update(torch.optim.Adam([nn.Parameter(torch.randn(3, 2, dtype=torch.complex64))])) is None
