"""compile"""

import pytest
import torch
from torch._dynamo.testing import CompileCounter
from torch.optim.lr_scheduler import CyclicLR as TorchCyclicLR

from lrsched import CyclicLR, InverseLR
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.cases import BASES, CASES

compiles = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


@pytest.fixture
def counter():
    torch._dynamo.reset()
    yield CompileCounter()
    torch._dynamo.reset()


def trainable(kind, momentum=0.0):
    optimizer = make_optimizer(BASES, kind, momentum=momentum)
    for group in optimizer.param_groups:
        group["params"][0].grad = torch.full((1,), 0.1)
    return optimizer


def graphs(make, kind, counter, inside=False, momentum=0.0):
    """Return how many graphs thirty steps take, checked against the same steps uncompiled."""
    torch._dynamo.reset()
    counter.clear()
    optimizer, plain = trainable(kind, momentum), trainable(kind, momentum)
    scheduler, reference = make(optimizer), make(plain)

    def train():
        optimizer.step()
        scheduler.step()

    step = torch.compile(train if inside else optimizer.step, backend=counter)
    for _ in range(30):
        step()
        if not inside:
            scheduler.step()
        plain.step()
        reference.step()
    assert group_lrs(optimizer) == group_lrs(plain)
    for group, other in zip(optimizer.param_groups, plain.param_groups, strict=True):
        torch.testing.assert_close(group["params"], other["params"])
    return counter.frame_count


@compiles
@pytest.mark.parametrize(("kind", "wanted"), [("float32", 1), ("float", 2)])
@pytest.mark.parametrize("inside", [False, True], ids=["step compiled", "scheduler inside"])
@pytest.mark.parametrize("name", ["InverseLR", "ImageLR"])
def test_a_compiled_step_costs_one_graph_with_a_tensor_lr_and_two_with_a_float(name, inside, kind, wanted, counter):
    assert graphs(CASES[name].make, kind, counter, inside) == wanted


@compiles
@pytest.mark.parametrize("inside", [False, True], ids=["step compiled", "scheduler inside"])
def test_cycled_momentum_costs_no_more_graphs_than_torchs(inside, counter):
    ours, theirs = (
        graphs(lambda optimizer, cls=cls: cls(optimizer, 0.05, 0.4, 3, 4), "float32", counter, inside, momentum=0.9)
        for cls in (CyclicLR, TorchCyclicLR)
    )
    assert ours <= theirs


@compiles
def test_a_compiled_step_set_before_the_scheduler_compiles_once(counter):
    optimizer = trainable("float32")
    optimizer.step = torch.compile(optimizer.step, backend=counter)
    scheduler = InverseLR(optimizer)
    for _ in range(30):
        optimizer.step()
        scheduler.step()
    assert counter.frame_count == 1
