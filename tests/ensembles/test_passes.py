from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional

from lrsched import Ensemble
from lrsched.ensembles._equivalence import obstacle
from lrsched.ensembles._passes import Skeleton, gradients, stackable_calls
from tests.ensembles.helpers import pairs, square, train_alone

SGD = partial(torch.optim.SGD, lr=1.0, momentum=0.9)
ADAM = torch.optim.Adam


class Sum(nn.Module):
    """Has two weights that enter as their sum and so share one gradient, and one whose gradient is expanded."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (nn.Parameter(torch.full((3, 1), value)) for value in (0.1, 0.2, 0.3))

    def forward(self, x):
        return x @ (self.a + self.b) + self.c.sum()


def wide():
    return nn.Sequential(nn.Linear(3, 30), nn.Tanh(), nn.Linear(30, 1))


@pytest.mark.parametrize(
    ("make", "make_optimizer"),
    [
        pytest.param(wide, partial(SGD, fused=True), id="fused SGD"),
        pytest.param(wide, partial(ADAM, fused=True), id="fused Adam"),
        pytest.param(Sum, partial(SGD, nesterov=True, foreach=True), id="foreach nesterov"),
        pytest.param(Sum, partial(SGD, nesterov=True), id="nesterov"),
        pytest.param(Sum, partial(ADAM, fused=True), id="fused Adam of a sum"),
    ],
)
def test_optimizers_get_gradients_laid_out_as_backward_leaves_them(make, make_optimizer):
    torch.manual_seed(0)
    model, batches, lrs = make(), pairs(), [0.01, 0.02]
    ensemble = Ensemble(model, make_optimizer, 2)
    losses = torch.stack([ensemble.step(square, batches[i % 3], lrs) for i in range(5)])
    for i, lr in enumerate(lrs):
        _, expected, _ = train_alone(model, make_optimizer, square, batches, lr, 5)
        assert losses[:, i].tolist() == pytest.approx(expected, rel=1e-5)


def test_gradients_share_no_memory_and_have_their_parameters_strides():
    model = Sum()
    parameters = dict(model.named_parameters())
    found = gradients(model(torch.ones(2, 3)).sum(), parameters)
    assert len({gradient.untyped_storage().data_ptr() for gradient in found.values()}) == 3
    for name, gradient in found.items():
        assert gradient.stride() == parameters[name].stride()
        assert gradient.tolist() == [[2.0]] * 3


def test_frozen_and_unused_parameters_have_no_gradient():
    used, frozen, unused = (nn.Parameter(torch.ones(1), requires_grad=grad) for grad in (True, False, True))
    found = gradients((used * frozen).sum(), {"used": used, "frozen": frozen, "unused": unused})
    assert found == {"used": torch.ones(1), "frozen": None, "unused": None}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [2, 20])  # fewer and more than features
def test_the_layout_for_cpus_changes_no_results(rows, bias):
    torch.manual_seed(0)
    linear, inputs = nn.Linear(3, 4, bias=bias), torch.randn(rows, 3)
    expected = functional.linear(inputs, linear.weight, linear.bias)
    with stackable_calls(nn.Identity(), torch.device("cpu")):
        assert torch.allclose(linear(inputs), expected, rtol=1e-6, atol=1e-6)


def test_a_skeleton_passes_its_model_to_the_function():
    model = nn.Linear(1, 1)
    assert Skeleton(model)(lambda given, batch: (given is model, batch), 3) == (True, 3)


@pytest.mark.parametrize("size", [1, (1, 1), [1, 1], (2, 1)], ids=str)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_average_pooling_of_whole_images_can_be_stacked(size, layout):
    torch.manual_seed(0)
    pool = nn.AdaptiveAvgPool2d(size)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), pool, nn.Flatten(), nn.LazyLinear(1))
    x = torch.randn(5, 3, 6, 6)
    model(x)
    model = model.to(memory_format=layout)
    stackable = size != (2, 1)
    for device in ("cpu", "cuda"):  # the context for a GPU works on a CPU, too
        with stackable_calls(model, torch.device(device)):
            assert torch.equal(pool(x), functional.adaptive_avg_pool2d(x, size))
    if stackable:
        assert obstacle(model, SGD, lambda model, batch: model(batch).square().mean(), x) is None
