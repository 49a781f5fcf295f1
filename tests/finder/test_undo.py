"""snapshot() restores objects of every kind: tensors, containers, random generators, loaders, scalers, modules."""

import copy
import gc
import random
import warnings
from collections import deque

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, RandomSampler, WeightedRandomSampler

from lrsched import snapshot
from tests.finder.helpers import Net, Record, data


@pytest.mark.parametrize("kind", [np.random.MT19937, np.random.PCG64, np.random.Philox, np.random.SFC64])
def test_global_numpy_state_of_every_kind_is_restored_with_its_second_normal(kind):
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    usual = np.random.get_bit_generator()
    np.random.set_bit_generator(kind(3))
    try:
        np.random.standard_normal()  # noqa: NPY002  (makes two numbers and keeps one for the next call)
        with snapshot(model, optimizer):
            drawn = np.random.standard_normal(700).tolist()  # noqa: NPY002  (more than the state is long)
        assert np.random.standard_normal(700).tolist() == drawn  # noqa: NPY002
    finally:
        np.random.set_bit_generator(usual)


def test_lists_of_lbfgs_are_restored_in_place():
    model = nn.Linear(3, 1)
    optimizer = torch.optim.LBFGS(model.parameters(), history_size=3, max_iter=2)
    x, y = torch.randn(8, 3), torch.randn(8, 1)

    def closure():
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)
    assert optimizer.state[model.weight]["old_dirs"]
    record = Record(model, optimizer)
    with snapshot(model, optimizer):
        for _ in range(4):
            optimizer.step(closure)
    record.verify()


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.SparseAdam], ids=["SGD", "SparseAdam"])
def test_accumulated_sparse_gradients_are_restored(make):
    model = nn.Embedding(10, 4, sparse=True)
    optimizer = make(model.parameters(), lr=0.1)

    def backward(*rows):
        model(torch.tensor(rows)).sum().backward()

    with snapshot(model, optimizer):
        backward(1, 2)
        optimizer.step()
    assert model.weight.grad is None
    backward(1, 2)
    optimizer.step()
    record = Record(model, optimizer)
    with snapshot(model, optimizer) as saved:
        for _ in range(2):
            backward(2, 3)
            optimizer.step()
            saved.restore()
            record.verify()
    assert model.weight.grad.is_sparse


def test_optimizer_state_of_any_kind_and_dtype_is_restored():
    model = nn.Linear(3, 2).bfloat16()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.state[model.weight] = {
        "master": torch.randn(2, 3),
        "codes": torch.arange(6, dtype=torch.int8),
        "step": 3,
        "nothing": None,
        "nested": {"list": [torch.ones(2), (torch.zeros(1), 5)], "tail": deque([1, 2])},
        "array": np.arange(3.0),
        "members": {1, 2},
    }
    record = Record(model, optimizer)
    state = optimizer.state[model.weight]
    with snapshot(model, optimizer):
        state["master"].mul_(3)
        state["codes"].add_(1)
        state["nested"]["list"][1][0].add_(1)
        state["nested"]["list"].append(1)
        state["nested"]["tail"].append(3)
        state["array"] += 1
        state["members"].add(9)
        state.update(step=4, nothing=torch.ones(1), more=1)
    record.verify()
    assert state["array"].tolist() == [0, 1, 2]
    assert list(state["nested"]["tail"]) == [1, 2]
    assert state["members"] == {1, 2}


def test_objects_in_optimizer_state_are_restored():
    class Preconditioner:
        def __init__(self):
            self.factor, self.count = torch.ones(2), 0

    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    held = Preconditioner()
    optimizer.state[model.weight]["preconditioner"] = held
    factor = held.factor
    with snapshot(model, optimizer):
        held.factor.mul_(2)
        held.factor, held.count = torch.zeros(5), 4
    assert held.factor is factor
    assert factor.tolist() == [1, 1]
    assert held.count == 0


def test_memory_and_dtypes_are_restored():
    model = nn.Linear(2, 2)
    model.register_buffer("wide", torch.tensor([1.0]).expand(4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    record = Record(model, optimizer)
    memory = model.weight.data_ptr()
    with snapshot(model, optimizer):
        model.weight.data = torch.zeros(5, 5)
        model.half()
        model.register_buffer("late", torch.ones(1))
        model.bias = None
        model.wide[0] = 3
    record.verify()
    assert model.weight.data_ptr() == memory
    assert model.wide.tolist() == [1, 1, 1, 1]


def test_tied_weights_stay_tied():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    record = Record(model, optimizer)
    with snapshot(model, optimizer):
        nn.init.zeros_(model[0].weight)
    record.verify()
    assert model[1].weight is model[0].weight


def test_a_gradient_scaler_is_restored_even_between_its_calls():
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=1)
    fresh = copy.deepcopy(vars(scaler))
    with snapshot(model, optimizer, extra=[scaler]):
        scaler.scale(model(torch.ones(1, 2)).sum()).backward()
        scaler.unscale_(optimizer)
    assert scaler._scale is None
    assert scaler._per_optimizer_states == fresh["_per_optimizer_states"]
    for _ in range(2):
        with snapshot(model, optimizer, extra=[scaler]):
            scaler.scale(model(torch.ones(1, 2)).sum()).backward()
            scaler.step(optimizer)
            scaler.update()
            assert scaler.get_scale() == 2048.0
        assert scaler.get_scale() == 1024.0


def test_extra_objects_of_every_kind_are_restored():
    class Counter:
        def __init__(self):
            self.inner = [0]

        def state_dict(self):
            return {"inner": self.inner}

        def load_state_dict(self, state):
            self.inner = state["inner"]

    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    counter, tensor, table = Counter(), torch.zeros(2), {"a": [1]}
    sources = [torch.Generator(), np.random.default_rng(0), np.random.RandomState(0), random.Random(0)]
    discriminator = nn.Linear(1, 1)
    second = torch.optim.Adam(discriminator.parameters())
    record = Record(discriminator, second)
    draws = [
        lambda: torch.rand(1, generator=sources[0]).item(),
        lambda: sources[1].random(),
        lambda: sources[2].rand(),
        lambda: sources[3].random(),
    ]
    with snapshot(model, optimizer, extra=(counter, tensor, table, discriminator, second, *sources)):
        first = [draw() for draw in draws]
        counter.inner[0] += 5
        tensor.add_(1)
        table["a"].append(2)
        discriminator(torch.ones(1, 1)).sum().backward()
        second.step()
    record.verify()
    assert [draw() for draw in draws] == first
    assert counter.inner == [0]
    assert tensor.tolist() == [0, 0]
    assert table == {"a": [1]}


@pytest.mark.parametrize("kind", ["loader", "sampler", "weighted", "batch sampler"])
def test_random_generators_of_loaders_are_restored(kind):
    generator, dataset = torch.Generator().manual_seed(3), data(24)
    sampler = RandomSampler(dataset, generator=generator)
    loader = {
        "loader": lambda: DataLoader(dataset, 4, shuffle=True, generator=generator),
        "sampler": lambda: DataLoader(dataset, 4, sampler=sampler),
        "weighted": lambda: DataLoader(dataset, 4, sampler=WeightedRandomSampler([1.0] * 24, 24, generator=generator)),
        "batch sampler": lambda: DataLoader(
            dataset, batch_sampler=torch.utils.data.BatchSampler(sampler, 4, drop_last=False)
        ),
    }[kind]()
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with snapshot(model, optimizer, extra=[loader]):
        first = [batch[1].tolist() for batch in loader]
        assert [batch[1].tolist() for batch in loader] != first
    assert [batch[1].tolist() for batch in loader] == first


def test_persistent_workers_are_stopped():
    loader = DataLoader(data(8), 4, shuffle=True, num_workers=1, persistent_workers=True, generator=torch.Generator())
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with snapshot(model, optimizer, extra=[loader]):
        list(loader)
        workers = loader._iterator._workers
    assert loader._iterator is None
    gc.collect()
    for worker in workers:
        worker.join(timeout=20)
        assert not worker.is_alive()


def test_a_scripted_model_is_restored():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # new versions of torch deprecate scripting
        model = torch.jit.script(nn.BatchNorm1d(2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = [t.clone() for t in (*model.parameters(), *model.buffers())]
    with snapshot(model, optimizer):
        model(torch.randn(4, 2)).sum().backward()
        optimizer.step()
    after = [*model.parameters(), *model.buffers()]
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))
