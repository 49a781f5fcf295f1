"""torch.compile and CUDA graphs: a step that was compiled or captured once follows the schedule."""

import functools

import pytest
import torch
from torch import nn
from torch._dynamo.exc import RecompileError
from torch._dynamo.testing import CompileCounter
from torch.optim.lr_scheduler import CyclicLR as TorchCyclicLR

from lrsched import CyclicLR, Geometric, InverseLR, Linear, ParamSchedule, Patience, PlateauSequence
from tests.helpers import group_lrs
from tests.schedulers.cases import KINDS, step

STEPS = 40
compiles = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
WARM_UP = 3  # ordinary steps before a capture
cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")


def warming(optimizer, warmup=STEPS // 2):
    return PlateauSequence(optimizer, Geometric(0.5), on=Patience(2), warmup=warmup)


MAKERS = {name: case.make for name, case in KINDS.items()}
# A cycled momentum is a Python number: torch compiles again when it changes, with its own CyclicLR too.
for _name in ("CyclicLR", "OneCycleLR"):
    MAKERS[_name] = functools.partial(KINDS[_name].make, cycle_momentum=False)
every_scheduler_that_sees_no_steps = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
MAKERS = {**MAKERS, "PlateauSequence with a warm-up": warming}
every_scheduler = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


class Training:
    """An optimizer and its scheduler; the learning rate is a tensor, or else a float."""

    def __init__(self, make, device="cpu", tensor=True, optimizer=torch.optim.SGD, **options):
        self.parameter = nn.Parameter(torch.ones(3, device=device))
        self.parameter.grad = torch.full_like(self.parameter, 0.1)
        self.lr = torch.tensor(0.1, device=device) if tensor else 0.1
        self.optimizer = optimizer([self.parameter], lr=self.lr, **options)
        self.scheduler = make(self.optimizer)

    def step(self):
        self.optimizer.step()
        self.schedule()

    def schedule(self):
        step(self.scheduler)


@pytest.fixture
def counter():
    torch._dynamo.reset()
    yield CompileCounter()
    torch._dynamo.reset()


def graphs(make, inside, counter, **options):
    """Return how many graphs the steps take; they are checked against the same steps without a compiler."""
    torch._dynamo.reset()
    counter.clear()
    training, plain = Training(make, **options), Training(make, **options)
    compiled = torch.compile(training.step if inside else training.optimizer.step, backend=counter)
    for _ in range(STEPS):
        compiled()
        if not inside:
            training.schedule()
        plain.step()
        assert group_lrs(training.optimizer) == group_lrs(plain.optimizer)
    torch.testing.assert_close(training.parameter, plain.parameter)
    assert type(training.optimizer.param_groups[0]["lr"]) is type(training.lr)
    return counter.frame_count


where = pytest.mark.parametrize("inside", [False, True], ids=["step compiled", "scheduler inside"])


@compiles
@every_scheduler
@where
def test_a_compiled_step_with_a_tensor_lr_is_compiled_once(make, inside, counter):
    with torch._dynamo.config.patch(error_on_recompile=True):
        assert graphs(make, inside, counter) == 1


@compiles
@where
def test_a_compiled_step_with_a_float_lr_is_compiled_twice(inside, counter):
    assert graphs(InverseLR, inside, counter, tensor=False) == 2


@compiles
@pytest.mark.parametrize("tensor", [False, True], ids=["float", "tensor"])
@where
def test_a_warm_up_costs_no_graph(inside, tensor, counter):
    warm, plain = (
        graphs(lambda optimizer, warmup=warmup: warming(optimizer, warmup), inside, counter, tensor=tensor)
        for warmup in (STEPS // 2, None)
    )
    assert warm <= plain


@compiles
@where
def test_a_cycled_momentum_takes_no_more_graphs_than_with_torchs_class(inside, counter):
    ours, torchs = (
        graphs(lambda optimizer, cls=cls: cls(optimizer, 0.05, 0.4, 3, 4), inside, counter, momentum=0.9)
        for cls in (CyclicLR, TorchCyclicLR)
    )
    assert ours <= torchs


@compiles
def test_a_scheduled_option_costs_no_graph_inside(counter):
    """A scheduled momentum is a Python number: torch compiles again when it changes, whatever writes it."""

    def make(optimizer):
        return ParamSchedule(optimizer, "momentum", Linear(STEPS))

    outside, inside = (graphs(make, inside, counter, momentum=0.9) for inside in (False, True))
    assert inside <= outside <= 2


@compiles
def test_a_step_that_is_compiled_before_the_scheduler_is_made_is_compiled_once(counter):
    training = Training(lambda optimizer: None)
    training.optimizer.step = torch.compile(training.optimizer.step, backend=counter)
    training.scheduler = InverseLR(training.optimizer)
    for _ in range(STEPS):
        training.step()
    assert counter.frame_count == 1


@compiles
def test_a_recompilation_would_be_an_error(counter):
    training = Training(InverseLR)
    compiled = torch.compile(training.optimizer.step, backend=counter)
    compiled()
    training.optimizer.param_groups[0]["lr"] = 0.2
    with torch._dynamo.config.patch(error_on_recompile=True), pytest.raises(RecompileError):
        compiled()


def captured(training):
    """Warm up on a stream of its own, as torch asks for; return a graph of the optimizer's step."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            training.optimizer.step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        training.optimizer.step()  # only recorded
    return graph


@cuda
@pytest.mark.filterwarnings("ignore:This instance was constructed with capturable=True")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@every_scheduler_that_sees_no_steps
def test_a_captured_graph_follows_the_schedule(make):
    options = {"device": "cuda", "optimizer": torch.optim.Adam, "capturable": True}
    training, plain = Training(make, **options), Training(make, **options)
    graph = captured(training)
    for _ in range(WARM_UP):
        plain.optimizer.step()
    address = training.lr.data_ptr()
    records_rates = isinstance(training.scheduler, PlateauSequence)  # an event holds the rates as numbers
    for k in range(STEPS):
        graph.replay()
        torch.cuda.set_sync_debug_mode("default" if records_rates else "error")
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
