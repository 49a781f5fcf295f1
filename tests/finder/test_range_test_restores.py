"""A range test leaves no trace: everything is as it was before, whatever the model, the optimizer or the error."""

import random
import tempfile

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from lrsched import Cutoff, Geometric, PlateauSequence, range_test
from tests.finder.helpers import BATCHES, OPTIMIZERS, Record, data, line, loss_of, setup, square, train


@pytest.mark.parametrize("own", [True, False], ids=["own generator", "global generator"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_continues_as_if_there_had_been_no_test(optimizer, own):
    def losses(tested):
        model, warm, loader = setup(optimizer, own=own)
        first = train(model, warm, loader, 5)
        if tested:
            record = Record(model, warm, [loader.generator] if own else [])
            curve = range_test(model, warm, loss_of, loader)
            assert len(curve) > 20
            record.verify()
        return first + train(model, warm, loader, 20)

    assert losses(True) == losses(False)


def test_tests_in_a_row_are_identical():
    model, optimizer, loader = setup()
    train(model, optimizer, loader, 5)
    record = Record(model, optimizer, [loader.generator])
    curves = []
    for _ in range(3):
        curves.append(range_test(model, optimizer, loss_of, loader).to_json())
        record.verify()
    assert len(set(curves)) == 1


def test_the_curve_is_complete_in_the_middle_of_training():
    model, optimizer, loader = setup()
    train(model, optimizer, loader, 1000)
    assert len(range_test(model, optimizer, loss_of, loader, end_lr=1e-2)) == 100


def test_random_state_used_by_a_dataset_is_restored():
    class Random(torch.utils.data.Dataset):
        def __len__(self):
            return 32

        def __getitem__(self, index):
            return torch.tensor([random.random(), np.random.rand(), torch.rand(()).item()])  # noqa: NPY002

    model, optimizer = line()
    loader = DataLoader(Random(), 8, shuffle=True)
    record = Record(model, optimizer)
    range_test(model, optimizer, square, loader, steps=20)
    record.verify()


class BrokenError(Exception):
    pass


@pytest.mark.parametrize("error", [BrokenError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("place", ["forward", "backward", "step", "loader", "callback"])
def test_an_exception_is_passed_on_unchanged_and_everything_is_restored(place, error, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    model, optimizer, _ = setup()
    loader = DataLoader(data(), 16, shuffle=True)
    raised, calls = error("mine"), []

    def tenth(where):
        if where == place:
            calls.append(1)
            if len(calls) == 10:
                raise raised

    class Fails(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            tenth("backward")
            return grad

    def loss_fn(model, batch):
        tenth("forward")
        return Fails.apply(loss_of(model, batch))

    def batches():
        for batch in loader:
            tenth("loader")
            yield batch

    class Loader:
        def __iter__(self):
            return batches()

    optimizer.register_step_pre_hook(lambda *_: tenth("step"))
    record = Record(model, optimizer)
    before = set(vars(optimizer)), set(vars(model))
    with pytest.raises(error) as caught:
        range_test(model, optimizer, loss_fn, Loader(), callback=lambda *_: tenth("callback"))
    assert caught.value is raised
    record.verify()
    assert before == (set(vars(optimizer)), set(vars(model)))
    assert not [path for path in tmp_path.iterdir() if "torchinductor" not in path.name]  # torch makes these on import


def test_modes_and_statistics_of_dropout_and_batch_norm_are_restored():
    model, optimizer, loader = setup()
    flags = []

    def loss_fn(model, batch):
        flags.append((model.norm.training, model.frozen_norm.training, model.drop.training))
        return loss_of(model, batch)

    record = Record(model, optimizer)
    state = torch.get_rng_state()
    mask = model.drop(torch.ones(20))
    torch.set_rng_state(state)
    range_test(model, optimizer, loss_fn, loader)
    assert torch.equal(model.drop(torch.ones(20)), mask)
    torch.set_rng_state(state)
    record.verify()
    assert set(flags) == {(True, False, True)}
    assert model.norm.num_batches_tracked == 0


@pytest.mark.parametrize(
    "wrap", [lambda model: model, lambda model: torch.compile(model, backend="eager")], ids=["plain", "compiled"]
)
def test_a_model_in_eval_mode_is_tested_in_train_mode_and_put_back(wrap):
    inner, optimizer, loader = setup()
    model = wrap(inner)
    model.eval()
    modes = set()

    def loss_fn(model, batch):
        modes.update(part.training for part in inner.modules())
        return loss_of(model, batch)

    record = Record(inner, optimizer)
    range_test(model, optimizer, loss_fn, loader, steps=5)
    record.verify()
    assert modes == {True}
    assert not inner.training


def test_sparse_gradients_are_removed():
    for make in (torch.optim.SGD, torch.optim.SparseAdam):
        torch.manual_seed(0)
        model = nn.Embedding(10, 2, sparse=True)
        optimizer = make(model.parameters(), lr=0.1)
        batches = [torch.randint(10, (6,)) for _ in range(4)]
        record = Record(model, optimizer)
        assert len(range_test(model, optimizer, square, batches)) > 10
        assert model.weight.grad is None
        record.verify()


def test_frozen_parameters_stay_frozen():
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    model[0].requires_grad_(False)
    optimizer = torch.optim.SGD([{"params": model[0].parameters()}, {"params": model[1].parameters()}], lr=0.1)
    frozen = model[0].weight.clone()
    seen = []

    def loss_fn(model, batch):
        seen.append(torch.equal(model[0].weight, frozen) and not model[0].weight.requires_grad)
        return square(model, batch)

    record = Record(model, optimizer)
    range_test(model, optimizer, loss_fn, BATCHES, steps=20)
    assert all(seen)
    record.verify()
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="model has no trainable parameters"):
        range_test(model, optimizer, square, BATCHES)


def test_parameters_outside_the_model_are_restored():
    model, _ = line()
    weight, criterion = nn.Parameter(torch.tensor(1.0)), nn.Linear(1, 1)
    optimizer = torch.optim.Adam([*model.parameters(), weight, *criterion.parameters()])
    record = Record(nn.ModuleList([model, criterion]), optimizer)

    class Loss(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))
            self.register_buffer("count", torch.zeros(()))

        def forward(self, model, batch):
            self.count += 1
            return (criterion(model(batch)).square() * weight.exp() * self.scale).mean()

    loss_fn = Loss()
    range_test(model, optimizer, loss_fn, BATCHES, steps=20)
    record.verify()
    assert weight.item() == 1.0
    assert weight.grad is None
    assert loss_fn.count == 0
    assert loss_fn.scale.grad is None


def test_full_precision_state_of_half_precision_parameters_is_restored():
    class Master(torch.optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        def step(self, closure=None):
            for p in self.param_groups[0]["params"]:
                state = self.state[p]
                state.setdefault("master", p.detach().float())
                state.setdefault("codes", torch.zeros(3, dtype=torch.int8)).add_(1)
                state["count"] = state.get("count", 0) + 1
                state.setdefault("log", []).append({"none": None, "norm": p.grad.norm()})
                state["master"] -= self.param_groups[0]["lr"] * p.grad.float()
                p.data.copy_(state["master"])

    torch.manual_seed(0)
    model = nn.Linear(3, 1).bfloat16()
    optimizer = Master(model.parameters(), 0.1)
    batches = [batch.bfloat16() for batch in BATCHES]
    train(model, optimizer, batches, 3, square)
    record = Record(model, optimizer)
    assert len(range_test(model, optimizer, square, batches)) > 10
    record.verify()
    assert optimizer.state[model.weight]["master"].dtype == torch.float32


SCHEDULERS = {
    "StepLR": lambda o: torch.optim.lr_scheduler.StepLR(o, 5),
    "OneCycleLR": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.1, total_steps=100),
    "ReduceLROnPlateau": lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o),
    "PlateauSequence": lambda o: PlateauSequence(o, Geometric(), on=Cutoff()),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_an_attached_scheduler_is_not_changed(name):
    model, optimizer, loader = setup()
    scheduler = SCHEDULERS[name](optimizer)
    before = scheduler.state_dict()
    groups = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    record = Record(model, optimizer, [loader.generator])
    range_test(model, optimizer, loss_of, loader)
    record.verify()
    assert scheduler.state_dict() == before
    assert [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups] == groups


def test_the_warning_about_the_order_of_steps_is_still_given():
    model, optimizer, loader = setup()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 5)
    range_test(model, optimizer, loss_of, loader, steps=5)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        scheduler.step()


def test_hooks_run_as_in_training_and_stay():
    model, optimizer, loader = setup()
    calls = []

    def clip(*_):
        calls.append("pre")
        nn.utils.clip_grad_norm_(model.parameters(), 1)

    optimizer.register_step_pre_hook(clip)
    optimizer.register_step_post_hook(lambda *_: calls.append("post"))
    model.register_forward_hook(lambda *_: calls.append("forward"))
    hooks = [*optimizer._optimizer_step_pre_hooks.values(), *model._forward_hooks.values()]
    curve = range_test(model, optimizer, loss_of, loader, steps=7)
    assert calls == ["forward", "pre", "post"] * len(curve)
    assert [*optimizer._optimizer_step_pre_hooks.values(), *model._forward_hooks.values()] == hooks


def test_attributes_of_an_object_whose_method_is_a_hook_are_restored():
    class Counter:
        steps = 0

        def note(self, *_):
            self.steps += 1

    model, optimizer, loader = setup()
    counter = Counter()
    optimizer.register_step_post_hook(counter.note)
    range_test(model, optimizer, loss_of, loader, steps=7)
    assert counter.steps == 0


def test_schedule_free_optimizers_are_put_in_train_mode():
    class Free(torch.optim.SGD):
        def train(self):
            self.param_groups[0]["train_mode"] = True

        def step(self, closure=None):
            if not self.param_groups[0]["train_mode"]:
                raise RuntimeError("not in train mode")
            return super().step()

    model, _ = line()
    optimizer = Free(model.parameters(), lr=0.1)
    optimizer.param_groups[0]["train_mode"] = False
    record = Record(model, optimizer)
    assert len(range_test(model, optimizer, square, BATCHES, repeats=2)) > 10
    record.verify()


def test_wrapped_compiled_and_tied_models_are_restored():
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    inner[1].weight = inner[0].weight
    inner.register_buffer("mask", torch.ones(3))
    inner[0].register_buffer("mask", inner.mask)
    for model in (nn.DataParallel(inner), torch.compile(inner, backend="eager")):
        optimizer = torch.optim.Adam(model.parameters())
        record = Record(inner, optimizer)
        assert len(range_test(model, optimizer, square, BATCHES, steps=20)) > 10
        record.verify()
        assert inner[1].weight is inner[0].weight


def test_a_lazy_model_must_be_initialised_first():
    model = nn.LazyLinear(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="model has lazy parameters, which are not initialised yet: pass one batch"):
        range_test(model, optimizer, square, BATCHES)
    model(BATCHES[0])
    assert len(range_test(model, optimizer, square, BATCHES, steps=15)) > 5
