import random
import weakref

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from lrsched import snapshot
from tests.finder.helpers import Net, Record, data, loss_of, train
from tests.versions import needs_adafactor

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
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=needs_adafactor) if name == "Adafactor" else name for name in OPTIMIZERS]
)
def test_everything_is_restored(name, warm):
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
def test_exceptions_are_passed_on_and_everything_is_restored(error):
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


def test_an_interrupt_while_restoring_is_raised_after_everything_is_restored():
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


def test_training_continues_as_if_nothing_had_happened():
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


def test_restore_within_the_block_can_leave_random_state_as_it_is():
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


def test_parameters_that_only_the_optimizer_or_the_criterion_has_are_restored():
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


def test_attributes_that_a_scheduler_sets_on_the_optimizer_are_restored():
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


def test_copies_are_freed_when_the_block_ends():
    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with snapshot(model, optimizer) as saved:
        copies = [weakref.ref(undo.args[3]) for undo in saved._state if "_put_tensor" in str(undo.func)]
        assert len(copies) == 2
        assert all(ref() is not None for ref in copies)
    assert all(ref() is None for ref in copies)


def test_every_tensor_is_copied_once():
    model = nn.Linear(64, 64)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 64)).sum().backward()
    optimizer.step()
    with snapshot(model, optimizer) as saved:
        copied = [undo.args[3] for undo in saved._state if "_put_tensor" in str(undo.func)]
    alive = [*model.parameters(), *(p.grad for p in model.parameters())]
    alive += [value for state in optimizer.state.values() for value in state.values()]
    assert sum(t.numel() for t in copied) == sum(t.numel() for t in alive)


def test_a_compiled_model_is_not_compiled_again():
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


def test_invalid_arguments_are_refused():
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for arguments, message in [
        ((optimizer, optimizer), "model must be a torch.nn.Module, got SGD"),
        ((model, model), "optimizer must be a torch.optim.Optimizer, got Linear"),
        ((model, optimizer, model), "extra must be a list or tuple of objects, got Linear"),
        ((model, optimizer, [loss_of]), r"extra\[0\] must be a module, an optimizer, a tensor, .*, got function"),
    ]:
        with pytest.raises(TypeError, match=message), snapshot(*arguments):
            pass
    lazy = nn.LazyLinear(2)
    with (
        pytest.raises(ValueError, match="model has lazy parameters, which are not initialised yet: pass one batch"),
        snapshot(lazy, optimizer),
    ):
        pass


def test_an_error_while_restoring_is_raised_and_the_copies_are_freed():
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    class Stubborn:
        def state_dict(self):
            return {}

        def load_state_dict(self, state):
            raise RuntimeError("cannot go back")

    with pytest.raises(RuntimeError, match="cannot go back"), snapshot(model, optimizer, extra=[Stubborn()]) as saved:
        pass
    assert saved._state == []


def test_extra_objects_are_restored_before_the_model_that_they_may_change():
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    class Resetting:
        def state_dict(self):
            return {}

        def load_state_dict(self, state):
            nn.init.zeros_(model.weight)

    record = Record(model, optimizer)
    with snapshot(model, optimizer, extra=[Resetting()]):
        pass
    record.verify()
