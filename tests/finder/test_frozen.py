"""Frozen parameters are watched, not copied."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from lrsched import range_test, snapshot
from tests.finder.helpers import BATCHES, Record, square


def partly_frozen():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
    model[0].requires_grad_(False)
    return model, torch.optim.SGD(model[1].parameters(), lr=0.1)


def by_method(weight):
    weight.mul_(0.5)


def by_data(weight):
    weight.data.mul_(0.5)


@pytest.mark.parametrize("write", [by_method, by_data])
def test_writing_a_frozen_parameter_ends_the_test_with_an_error(write):
    model, optimizer = partly_frozen()
    record = Record(model[1], optimizer)

    def loss_fn(model, batch):
        loss = square(model, batch)
        write(model[0].weight)
        return loss

    message = r"the frozen parameter '0.weight' was changed and cannot be restored: .* pass its module in extra$"
    with pytest.raises(RuntimeError, match=message) as caught:
        range_test(model, optimizer, loss_fn, BATCHES, steps=5)
    record.verify()
    assert len(caught.value.curve) == 1  # found after the first point


def test_a_frozen_module_in_extra_is_copied_and_may_be_written():
    model, optimizer = partly_frozen()
    record = Record(model, optimizer)

    def loss_fn(model, batch):
        loss = square(model, batch)
        by_data(model[0].weight)
        return loss

    range_test(model, optimizer, loss_fn, BATCHES, steps=5, extra=[model[0]])
    record.verify()


def test_a_frozen_parameter_of_a_param_group_is_copied():
    model, _ = partly_frozen()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    record = Record(model, optimizer)
    with snapshot(model, optimizer):
        by_data(model[0].weight)
    record.verify()


def test_memory_requires_grad_and_gradient_of_a_frozen_parameter_are_restored():
    model, optimizer = partly_frozen()
    record = Record(model, optimizer)
    with snapshot(model, optimizer):
        model[0].weight.data = torch.zeros(3, 3)
        model[0].requires_grad_(True)
        square(model, BATCHES[0]).backward()
    record.verify()


def test_a_snapshot_raises_only_if_its_block_has_not():
    model, optimizer = partly_frozen()

    def run(error):
        with snapshot(model, optimizer):
            by_data(model[0].weight)
            if error:
                raise error

    with pytest.raises(RuntimeError, match=r"the frozen parameter '0.weight' was changed"):
        run(None)
    with pytest.raises(KeyboardInterrupt):
        run(KeyboardInterrupt())


def test_frozen_parameters_that_are_not_numbers_count_as_themselves():
    model, optimizer = partly_frozen()
    with torch.no_grad():
        model[0].weight.fill_(torch.nan)
    with snapshot(model, optimizer):
        pass


MEMORY = """
import resource, sys, torch
from lrsched import range_test

class Adapted(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.base = torch.nn.Parameter(torch.ones(80_000_000), requires_grad=False)
        self.adapter = torch.nn.Linear(8, 1)

    def forward(self, x):
        return self.adapter(x)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

model, data = Adapted(), torch.randn(64, 8)
optimizer = torch.optim.AdamW(model.adapter.parameters())
loss_fn = lambda model, batch: (model(batch) - batch.sum(1, keepdim=True)).square().mean()
for _ in range(2):  # the first call loads what torch loads lazily
    before = peak()
    range_test(model, optimizer, loss_fn, data.split(8))
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux only")
def test_eighty_million_frozen_weights_take_no_memory():
    taken = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True).stdout
    assert float(taken) < 60
