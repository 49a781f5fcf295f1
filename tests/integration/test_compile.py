"""torch.compile and CUDA graphs: an optimizer's step that is compiled, or captured, once follows the schedule."""

import pytest
import torch
from torch import nn
from torch._dynamo.exc import RecompileError
from torch._dynamo.testing import CompileCounter

from lrsched import Geometric, PlateauSequence
from tests.helpers import group_lrs
from tests.schedulers.cases import CASES

STEPS = 100
compiles = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")

MAKERS = {name: case.make for name, case in CASES.items()}
# A cycled momentum is a Python number, for which torch compiles anew, as it does with its own CyclicLR.
MAKERS["CyclicLR"] = lambda optimizer: CASES["CyclicLR"].make(optimizer, cycle_momentum=False)
MAKERS["PlateauSequence"] = lambda optimizer: PlateauSequence(optimizer, Geometric(0.9), on="oscillate")
every_scheduler = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


class Training:
    """An optimizer with a tensor lr, and a scheduler; where it wants a metric, every second one is worse."""

    def __init__(self, make, device="cpu"):
        self.parameter = nn.Parameter(torch.ones(3, device=device))
        self.parameter.grad = torch.full_like(self.parameter, 0.1)
        self.lr = torch.tensor(0.1, device=device)
        self.optimizer = torch.optim.SGD([self.parameter], lr=self.lr)
        self.scheduler = make(self.optimizer)
        self.metrics = [0, 1]

    def step(self):
        self.optimizer.step()
        self.schedule()

    def schedule(self):
        self.metrics.reverse()
        self.scheduler.step(*self.metrics[:1] if isinstance(self.scheduler, PlateauSequence) else ())


@pytest.fixture
def counter():
    torch._dynamo.reset()
    with torch._dynamo.config.patch(error_on_recompile=True):
        yield CompileCounter()
    torch._dynamo.reset()


@compiles
@every_scheduler
@pytest.mark.parametrize("inside", [False, True], ids=["step compiled", "scheduler inside"])
def test_case_20_a_hundred_steps_compile_once(make, inside, counter):
    training, plain = Training(make), Training(make)
    compiled = torch.compile(training.step if inside else training.optimizer.step, backend=counter)
    for _ in range(STEPS):
        compiled()
        if not inside:
            training.schedule()
        plain.step()
        assert group_lrs(training.optimizer) == group_lrs(plain.optimizer)
    torch.testing.assert_close(training.parameter, plain.parameter)
    assert training.optimizer.param_groups[0]["lr"] is training.lr
    assert counter.frame_count == 1


@compiles
def test_case_20_a_recompilation_would_be_seen(counter):
    training = Training(MAKERS["InverseLR"])
    compiled = torch.compile(training.optimizer.step, backend=counter)
    compiled()
    training.optimizer.param_groups[0]["lr"] = 0.2
    with pytest.raises(RecompileError):
        compiled()


@cuda
@every_scheduler
def test_case_21_a_captured_graph_follows_the_schedule(make):
    training, plain = Training(make, "cuda"), Training(make, "cuda")
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):  # torch asks for a warm-up before a capture
        training.optimizer.step()
    torch.cuda.current_stream().wait_stream(stream)
    with torch.no_grad():
        training.parameter.copy_(plain.parameter)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        training.optimizer.step()
    address = training.lr.data_ptr()
    for k in range(STEPS):
        graph.replay()
        torch.cuda.set_sync_debug_mode("error")
        try:
            training.schedule()
        finally:
            torch.cuda.set_sync_debug_mode("default")
        plain.step()
        if k == STEPS // 2:
            training.scheduler.load_state_dict(training.scheduler.state_dict())
        assert group_lrs(training.optimizer) == group_lrs(plain.optimizer)
    torch.testing.assert_close(training.parameter, plain.parameter)
    assert training.lr.data_ptr() == address
    assert training.optimizer.param_groups[0]["lr"] is training.lr
