"""What all schedulers share: one place that writes learning rates and remembers them."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lrsched import CyclicLR, Geometric, ImageLR, Inverse, InverseLR, OneCycleLR, PlateauSequence, SequenceLR
from lrsched.schedulers import _writer
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.cases import PICTURE

MAKERS = {
    "SequenceLR": lambda optimizer: SequenceLR(optimizer, Inverse()),
    "InverseLR": InverseLR,
    "ImageLR": lambda optimizer: ImageLR(optimizer, PICTURE, 60),
    "CyclicLR": lambda optimizer: CyclicLR(optimizer, 0.1, 0.5),
    "OneCycleLR": lambda optimizer: OneCycleLR(optimizer, 0.5, 10),
    "PlateauSequence": lambda optimizer: PlateauSequence(optimizer, Inverse(), on="oscillate"),
}
every_scheduler = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def advance(scheduler):
    """Make the scheduler write once."""
    if isinstance(scheduler, PlateauSequence):
        scheduler.step(0.1)
        scheduler.step(0.2)
    else:
        scheduler.optimizer.step()
        scheduler.step()


@every_scheduler
def test_every_write_passes_through_one_function_and_is_remembered(make, monkeypatch):
    written = []

    def write(optimizer, rates, marks=None):
        written.append(rates)
        return original(optimizer, rates, marks)

    original = _writer.write
    monkeypatch.setattr(_writer, "write", write)
    optimizer = make_optimizer((0.1, 0.2), momentum=0.9)
    scheduler = make(optimizer)
    assert len(written) == 1
    advance(scheduler)
    assert len(written) == 2
    assert scheduler.get_last_lr() == group_lrs(optimizer) == written[-1]
    scheduler.load_state_dict(scheduler.state_dict())
    assert written[2:] == [written[1]]


def test_no_group_is_written_between_two_advances():
    optimizer = make_optimizer((0.1, 0.2))
    scheduler = PlateauSequence(optimizer, Geometric(0.5), on="oscillate")
    advance(scheduler)
    for group in optimizer.param_groups:
        group["lr"] = 7.0
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "lr": 0.4})
    scheduler.step(0.1)
    assert group_lrs(optimizer) == [7.0, 7.0, 0.4]
    assert scheduler.get_last_lr() == [0.05, 0.1, 0.4]
    scheduler.step(0.2)
    assert group_lrs(optimizer) == pytest.approx([3.5, 3.5, 0.2], rel=1e-12)


@pytest.mark.parametrize("name", ["SequenceLR", "InverseLR", "PlateauSequence"])
def test_new_base_lrs_count_from_the_next_write(name):
    optimizer = make_optimizer((0.1, 0.2))
    scheduler = MAKERS[name](optimizer)
    scheduler.base_lrs = [1.0, torch.tensor(2.0)]
    assert scheduler.base_lrs == [1.0, 2.0]
    assert group_lrs(optimizer) == [0.1, 0.2]
    advance(scheduler)
    assert group_lrs(optimizer) == [0.5, 1.0]


@pytest.mark.parametrize(("name", "limit"), [("ImageLR", "base_lr"), ("CyclicLR", "base_lr"), ("OneCycleLR", "max_lr")])
def test_limits_are_not_overwritten_by_base_lrs(name, limit):
    scheduler = MAKERS[name](make_optimizer((0.1,), momentum=0.9))
    with pytest.raises(AttributeError, match=f"^base_lrs of a {name} are set by its {limit}$"):
        scheduler.base_lrs = [1.0]


def test_base_lrs_must_fit_the_groups():
    scheduler = InverseLR(make_optimizer((0.1, 0.2)))
    with pytest.raises(ValueError, match=r"^base_lrs must have one entry per param group: 1 entries for 2 "):
        scheduler.base_lrs = [1.0]
    assert scheduler.base_lrs == [0.1, 0.2]


class NoReading(TorchDispatchMode):
    """Reading a tensor as a number is an error; on a GPU it would wait for all work before it."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func is not torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_no_tensor_is_read_after_a_load_although_float32_rounds_the_rate():
    optimizer = make_optimizer((0.1, 0.3), "float32")
    scheduler = InverseLR(optimizer)
    for _ in range(3):
        advance(scheduler)
    scheduler.load_state_dict(scheduler.state_dict())
    optimizer.step()
    with NoReading():
        scheduler.step()
    assert group_lrs(optimizer) == pytest.approx([0.1 / 5, 0.3 / 5], rel=1e-6)
