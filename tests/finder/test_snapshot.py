import copy
import gc
import random
import warnings
import weakref
from collections import deque

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, RandomSampler, WeightedRandomSampler

from lrsched.finder._snapshot import snapshot
from tests.finder.helpers import Net, Record, data, loss_of, train

OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True),
    "Adam tensor lr": lambda p: torch.optim.Adam(p, lr=torch.tensor(0.01), foreach=False),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01),
    "ASGD": lambda p: torch.optim.ASGD(p, lr=0.01),
    "Rprop": lambda p: torch.optim.Rprop(p, lr=0.01),
    "Adafactor": lambda p: torch.optim.Adafactor(p, lr=0.01),
}


@pytest.mark.parametrize("warm", [0, 3])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_all_is_put_back(name, warm):
    model = Net()
    optimizer = OPTIMIZERS[name](model.parameters())
    loader = DataLoader(data(), 16, shuffle=True, generator=torch.Generator().manual_seed(1))
    train(model, optimizer, loader, warm)
    record = Record(model, optimizer, [loader.generator])
    with snapshot(model, optimizer, extra=[loader]):
        train(model, optimizer, loader, 5)
        model.eval()
        model.first.weight.requires_grad_(False)
        optimizer.param_groups[0]["added"] = 1
        optimizer.param_groups[0]["lr"] = 7.0
        np.random.rand(), random.random()  # noqa: NPY002
    record.verify()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_exceptions_pass_through_and_all_is_put_back(error):
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    record = Record(model, optimizer)
    raised = error("mine")

    def failing():
        with snapshot(model, optimizer):
            train(model, optimizer, DataLoader(data(), 16, shuffle=True), 3)
            raise raised

    with pytest.raises(error) as caught:
        failing()
    assert caught.value is raised
    record.verify()


def test_a_second_interrupt_while_putting_back_is_obeyed_after_the_work():
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    class Impatient:
        def __init__(self):
            self.pressed = 0

        def state_dict(self):
            return {}

        def load_state_dict(self, state):
            self.pressed += 1
            if self.pressed == 1:
                raise KeyboardInterrupt

    record = Record(model, optimizer)
    with pytest.raises(KeyboardInterrupt), snapshot(model, optimizer, extra=[Impatient()]):
        nn.init.ones_(model.weight)
    record.verify()


@pytest.mark.parametrize("kind", [np.random.MT19937, np.random.PCG64, np.random.Philox, np.random.SFC64])
def test_global_numpy_state_of_every_kind_and_its_second_normal_come_back(kind):
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    usual = np.random.get_bit_generator()
    np.random.set_bit_generator(kind(3))
    try:
        np.random.standard_normal()  # noqa: NPY002  (makes two and keeps one, which the next call takes)
        with snapshot(model, optimizer):
            drawn = np.random.standard_normal(700).tolist()  # noqa: NPY002  (more than the state is long)
        assert np.random.standard_normal(700).tolist() == drawn  # noqa: NPY002
    finally:
        np.random.set_bit_generator(usual)


def test_training_goes_on_as_if_nothing_had_happened():
    def losses(interrupted, own_generator):
        torch.manual_seed(0)
        model = Net()
        optimizer = torch.optim.Adam(model.parameters())
        loader = DataLoader(data(), 16, shuffle=True, generator=torch.Generator() if own_generator else None)
        first = train(model, optimizer, loader, 7)
        if interrupted:
            with snapshot(model, optimizer, extra=[loader]):
                train(model, optimizer, loader, 9)
        return first + train(model, optimizer, loader, 20)

    for own_generator in (False, True):
        assert losses(True, own_generator) == losses(False, own_generator)


def test_restore_within_the_block_goes_back_and_can_let_random_state_run_on():
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    before = model.weight.detach().clone()
    with snapshot(model, optimizer) as saved:
        draws = []
        for _ in range(3):
            model(torch.ones(1, 2)).sum().backward()
            optimizer.step()
            assert not torch.equal(model.weight, before)
            draws.append(torch.rand(1).item())
            saved.restore(random=False)
            assert torch.equal(model.weight, before)
            assert not optimizer.state
        assert len(set(draws)) == 3
        saved.restore()
        assert torch.rand(1).item() == draws[0]


def test_lbfgs_lists_are_put_back_in_place():
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
def test_sparse_gradients_that_accumulate_are_put_back(make):
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


def test_state_of_another_dtype_is_kept():
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


def test_objects_inside_optimizer_state_are_entered():
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


def test_replaced_memory_and_types_are_put_back():
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


def test_parameters_known_only_to_the_optimizer_or_the_criterion():
    model, criterion = nn.Linear(2, 1), nn.BCEWithLogitsLoss(pos_weight=torch.ones(1))
    balance = nn.Parameter(torch.tensor(1.0))
    optimizer = torch.optim.Adam([*model.parameters(), balance])
    with snapshot(model, optimizer, extra=[criterion]):
        balance.grad = torch.ones(())
        optimizer.step()
        criterion.pos_weight.fill_(9)
    assert balance.item() == 1.0
    assert balance.grad is None
    assert criterion.pos_weight.item() == 1.0


def test_a_wrapped_step_and_marks_on_the_optimizer_are_put_back():
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 3)
    before = dict(vars(optimizer))
    with snapshot(model, optimizer):
        optimizer.step()
        torch.optim.lr_scheduler.StepLR(optimizer, 2)
    assert vars(optimizer) == before
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        scheduler.step()


def test_gradient_scaler_is_put_back_even_between_its_calls():
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


def test_every_kind_of_extra():
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
def test_generators_of_loaders_are_found(kind):
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


def test_kept_workers_are_dropped():
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


def test_copies_are_freed_at_the_end():
    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with snapshot(model, optimizer) as saved:
        copies = [weakref.ref(undo.args[3]) for undo in saved._state if "_put_tensor" in str(undo.func)]
        assert len(copies) == 2
        assert all(ref() is not None for ref in copies)
    assert all(ref() is None for ref in copies)


def test_one_copy_of_each_tensor_and_no_more():
    model = nn.Linear(64, 64)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 64)).sum().backward()
    optimizer.step()
    with snapshot(model, optimizer) as saved:
        copied = [undo.args[3] for undo in saved._state if "_put_tensor" in str(undo.func)]
    alive = [*model.parameters(), *(p.grad for p in model.parameters())]
    alive += [value for state in optimizer.state.values() for value in state.values()]
    assert sum(t.numel() for t in copied) == sum(t.numel() for t in alive)


def test_compiled_model_is_not_compiled_again():
    model = nn.Linear(2, 1)
    compiled = torch.compile(model, backend="eager")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    compiled(torch.ones(1, 2))
    torch._dynamo.utils.counters.clear()
    with snapshot(compiled, optimizer):
        compiled(torch.ones(1, 2)).sum().backward()
        optimizer.step()
    compiled(torch.ones(1, 2))
    assert torch._dynamo.utils.counters["stats"].get("unique_graphs", 0) == 0


def test_scripted_model_is_put_back():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # new versions of torch advise against scripting
        model = torch.jit.script(nn.BatchNorm1d(2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = [t.clone() for t in (*model.parameters(), *model.buffers())]
    with snapshot(model, optimizer):
        model(torch.randn(4, 2)).sum().backward()
        optimizer.step()
    after = [*model.parameters(), *model.buffers()]
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))


def test_bad_arguments_are_named():
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for arguments, message in [
        ((optimizer, optimizer), "model must be a torch.nn.Module, got SGD"),
        ((model, model), "optimizer must be a torch.optim.Optimizer, got Linear"),
        ((model, optimizer, model), "extra must be a list or tuple of objects, got Linear"),
        ((model, optimizer, [loss_of]), r"extra\[0\] must be a module.*got function"),
    ]:
        with pytest.raises(TypeError, match=message), snapshot(*arguments):
            pass
    lazy = nn.LazyLinear(2)
    with pytest.raises(ValueError, match="not initialised yet"), snapshot(lazy, optimizer):
        pass
