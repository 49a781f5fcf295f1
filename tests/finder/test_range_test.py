"""The range test as a whole: what it records, why it stops, and that it leaves no trace."""

import json
import math
import multiprocessing
import pickle
import random
import subprocess
import sys
import tempfile

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from lrsched import Cutoff, Geometric, PlateauSequence, range_test
from tests.finder.helpers import Net, Record, data, loss_of, train

OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.01),
}


def setup(optimizer="Adam", shuffle=True, own=True):
    torch.manual_seed(0)
    model = Net()
    loader = DataLoader(data(), 16, shuffle=shuffle, generator=torch.Generator().manual_seed(1) if own else None)
    return model, OPTIMIZERS[optimizer](model.parameters()), loader


def line(lr=0.1):
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    return model, torch.optim.SGD(model.parameters(), lr=lr)


def square(model, batch):
    return model(batch).square().mean()


BATCHES = [torch.randn(8, 3, generator=torch.Generator().manual_seed(i)) for i in range(3)]


# ---------------------------------------------------------------- learning rates


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_every_rate_is_the_one_that_the_step_used(scale):
    model, optimizer, loader = setup()
    seen = []
    optimizer.register_step_pre_hook(lambda o, *_: seen.append(o.param_groups[0]["lr"]))
    record = Record(model, optimizer, [loader.generator])
    curve = range_test(model, optimizer, loss_of, loader, scale=scale, start_lr=1e-7, end_lr=1e-2)
    record.verify()
    assert len(curve) == 100
    assert seen == curve.lrs.tolist()
    assert curve.lrs[[0, -1]].tolist() == pytest.approx([1e-7, 1e-2], rel=1e-12)
    make = np.geomspace if scale == "log" else np.linspace
    np.testing.assert_allclose(curve.lrs, make(1e-7, 1e-2, 100), rtol=1e-12)


@pytest.mark.parametrize("lr", [1.0, 0.0])
def test_the_very_first_step_uses_start_lr(lr):
    model, optimizer = line(lr)
    seen = []
    optimizer.register_step_pre_hook(lambda o, *_: seen.append(o.param_groups[0]["lr"]))
    range_test(model, optimizer, square, BATCHES, start_lr=1e-6, end_lr=1, steps=5)
    assert seen[0] == 1e-6
    assert optimizer.param_groups[0]["lr"] == lr


def test_tensor_lr_is_written_in_place_and_history_holds_floats():
    model, _ = line()
    lr = torch.tensor(0.01)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, foreach=False)
    seen = []
    optimizer.register_step_pre_hook(lambda o, *_: seen.append((o.param_groups[0]["lr"] is lr, lr.item())))
    record = Record(model, optimizer)
    curve = range_test(model, optimizer, square, BATCHES, steps=20)
    record.verify()
    assert all(same for same, _ in seen)
    assert [value for _, value in seen] == pytest.approx(curve.lrs.tolist(), rel=1e-6)
    assert optimizer.param_groups[0]["lr"] is lr
    assert lr.item() == pytest.approx(0.01)


def two_groups(first=1e-3, second=1e-1):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    groups = [{"params": model[0].parameters(), "lr": first}, {"params": model[1].parameters(), "lr": second}]
    return model, torch.optim.SGD(groups)


@pytest.mark.parametrize(
    ("group_lrs", "start", "end"),
    [
        ("ratio", [1e-5, 1e-3], [1e-2, 1.0]),
        ("same", [1e-5, 1e-5], [1e-2, 1e-2]),
        ([(1e-6, 1e-3), (1e-4, 1e-2)], [1e-6, 1e-4], [1e-3, 1e-2]),
    ],
)
def test_groups(group_lrs, start, end):
    model, optimizer = two_groups()
    seen = []
    optimizer.register_step_pre_hook(lambda o, *_: seen.append([group["lr"] for group in o.param_groups]))
    record = Record(model, optimizer)
    curve = range_test(model, optimizer, square, BATCHES, start_lr=1e-5, end_lr=1e-2, steps=30, group_lrs=group_lrs)
    record.verify()
    assert curve.group_lrs.tolist() == seen
    assert curve.group_lrs[0].tolist() == pytest.approx(start)
    assert curve.group_lrs[-1].tolist() == pytest.approx(end)
    assert curve.lrs.tolist() == curve.group_lrs[:, 0].tolist()


# ---------------------------------------------------------------- no trace


@pytest.mark.parametrize("own", [True, False], ids=["own generator", "global generator"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_goes_on_as_if_it_had_never_run(optimizer, own):
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


def test_two_and_three_tests_in_a_row_are_identical():
    model, optimizer, loader = setup()
    train(model, optimizer, loader, 5)
    record = Record(model, optimizer, [loader.generator])
    curves = []
    for _ in range(3):
        curves.append(range_test(model, optimizer, loss_of, loader).to_json())
        record.verify()
    assert len(set(curves)) == 1


def test_full_curve_in_the_middle_of_training():
    model, optimizer, loader = setup()
    train(model, optimizer, loader, 1000)
    assert len(range_test(model, optimizer, loss_of, loader, end_lr=1e-2)) == 100


def test_random_data_in_the_loader_is_the_same_afterwards():
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
def test_an_exception_anywhere_passes_unchanged_and_all_is_put_back(place, error, tmp_path, monkeypatch):
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
    assert not [path for path in tmp_path.iterdir() if "torchinductor" not in path.name]  # torch's own, on import


def test_dropout_and_batch_norm_keep_flags_and_statistics():
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


@pytest.mark.parametrize("force", [False, True])
def test_a_model_in_eval_mode_comes_back_so(force):
    model, optimizer, loader = setup()
    model.eval()
    modes = set()

    def loss_fn(model, batch):
        modes.add(model.training)
        return loss_of(model, batch)

    record = Record(model, optimizer)
    range_test(model, optimizer, loss_fn, loader, steps=5, force_train=force)
    record.verify()
    assert modes == {force}


def test_sparse_gradients():
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


def test_parameters_outside_the_model():
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


def test_half_precision_parameters_with_full_precision_state():
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
def test_a_scheduler_may_be_attached_and_notices_nothing(name):
    model, optimizer, loader = setup()
    scheduler = SCHEDULERS[name](optimizer)
    before = scheduler.state_dict()
    groups = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    record = Record(model, optimizer, [loader.generator])
    range_test(model, optimizer, loss_of, loader)
    record.verify()
    assert scheduler.state_dict() == before
    assert [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups] == groups


def test_the_warning_about_the_order_of_steps_still_works():
    model, optimizer, loader = setup()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 5)
    range_test(model, optimizer, loss_of, loader, steps=5)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        scheduler.step()


def test_hooks_and_clipping_run_as_in_training_and_stay():
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


def test_what_a_hook_counts_is_put_back():
    class Counter:
        steps = 0

        def note(self, *_):
            self.steps += 1

    model, optimizer, loader = setup()
    counter = Counter()
    optimizer.register_step_post_hook(counter.note)
    range_test(model, optimizer, loss_of, loader, steps=7)
    assert counter.steps == 0


def test_schedule_free_optimizers_are_put_into_train_mode():
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


def test_wrapped_compiled_and_tied_models():
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


def test_lazy_model_must_be_initialised_first():
    model = nn.LazyLinear(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="not initialised yet"):
        range_test(model, optimizer, square, BATCHES)
    model(BATCHES[0])
    assert len(range_test(model, optimizer, square, BATCHES, steps=15)) > 5


# ---------------------------------------------------------------- why it stops


def scripted(losses):
    """A loss_fn that returns the given values, with a gradient."""
    values = iter(losses)
    return lambda model, batch: model(batch).sum() * 0 + next(values)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 15])
def test_a_non_finite_loss_stops_before_a_step_is_taken_with_it(bad, place):
    model, optimizer = line()
    steps = []
    optimizer.register_step_post_hook(lambda *_: steps.append(1))
    record = Record(model, optimizer)
    curve = range_test(model, optimizer, scripted([*(2 - 0.1 * np.arange(place)), bad]), BATCHES)
    record.verify()
    assert len(curve) == len(steps) == place
    assert curve.stop_reason == "non-finite"
    if place:
        assert 0 < curve.suggestion < curve.lrs[14]
    else:
        assert (curve.suggestion, curve.reason) == (None, "non-finite at first step")


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (1, -10), (3, -4), (1e-4, 0)])
def test_negative_losses_run_to_a_real_divergence(scale, shift):
    lr = np.geomspace(1e-7, 10, 100)
    losses = scale * (2 - 1.5 / (1 + (1e-3 / lr) ** 2) + np.maximum(0, lr - 0.1) * 30) + shift
    model, optimizer = line()
    curve = range_test(model, optimizer, scripted(losses), BATCHES)
    assert curve.stop_reason == "diverged"
    # head 2, best about 0.5, so the limit is 3.5: crossed beyond lr 0.2, by points 78, 79 and 80
    assert len(curve) == 81
    assert curve.suggestion == pytest.approx(3e-3, rel=1.5)


def test_a_single_outlier_does_not_stop_it():
    model, optimizer = line()
    losses = np.full(100, 2.0)
    losses[[5, 50]] *= 10
    assert range_test(model, optimizer, scripted(losses), BATCHES).stop_reason == "completed"


# ---------------------------------------------------------------- where batches come from


class Stream(IterableDataset):
    def __iter__(self):
        return iter(torch.randn(24, 3, generator=torch.Generator().manual_seed(0)))


SOURCES = {
    "list": lambda: BATCHES,
    "loader": lambda: DataLoader(torch.cat(BATCHES), 8),
    "workers": lambda: DataLoader(torch.cat(BATCHES), 8, num_workers=2),
    "iterable dataset": lambda: DataLoader(Stream(), 8),
    "iterable dataset with workers": lambda: DataLoader(Stream(), 8, num_workers=1),
}


@pytest.mark.parametrize("name", SOURCES)
def test_short_sources_start_again_as_often_as_needed(name):
    model, optimizer = line()
    record = Record(model, optimizer)
    curve = range_test(model, optimizer, square, SOURCES[name](), end_lr=0.01)
    record.verify()
    assert (len(curve), curve.stop_reason) == (100, "completed")
    assert not multiprocessing.active_children()


def test_a_generator_that_runs_out_says_so_and_gives_what_there_was():
    model, optimizer = line()
    record = Record(model, optimizer)
    curve = range_test(model, optimizer, square, (batch for batch in BATCHES * 7), end_lr=0.01)
    record.verify()
    assert (len(curve), curve.stop_reason) == (21, "data exhausted")


def test_no_batch_is_taken_too_many_and_a_generator_is_not_closed():
    model, optimizer = line()
    source = (batch for batch in BATCHES * 50)
    range_test(model, optimizer, square, source, steps=10, end_lr=0.01)
    assert sum(1 for _ in source) == 140


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (list, "batches is empty"),
        (lambda: DataLoader([]), "batches is empty"),
        (lambda: iter(()), "batches is empty or used up: it is an iterator, which runs once"),
    ],
)
def test_no_batches_at_all(make, message):
    model, optimizer = line()
    record = Record(model, optimizer)
    with pytest.raises(ValueError, match=message):
        range_test(model, optimizer, square, make())
    record.verify()


# ---------------------------------------------------------------- repeats


def test_repeats_start_afresh_with_other_batches_and_give_the_median():
    model, optimizer, loader = setup()
    train(model, optimizer, loader, 3)
    starts = []

    def loss_fn(model, batch):
        starts.append(model.first.weight.detach().clone())
        return loss_of(model, batch)

    record = Record(model, optimizer, [loader.generator])
    before = model.first.weight.detach().clone()
    curve = range_test(model, optimizer, loss_fn, loader, steps=10, repeats=3, end_lr=1e-3)
    record.verify()
    assert curve.all_losses.shape == (3, 10)
    assert all(torch.equal(starts[i], before) for i in (0, 10, 20))
    assert len({tuple(row) for row in curve.all_losses.tolist()}) == 3
    assert curve.losses.tolist() == np.sort(curve.all_losses, axis=0)[1].tolist()


def test_repeats_are_cut_at_the_shortest():
    model, optimizer = line()
    losses = [2.0] * 20 + [2.0] * 12 + [math.nan]
    curve = range_test(model, optimizer, scripted(losses), BATCHES, steps=20, repeats=2)
    assert curve.all_losses.shape == (2, 12)
    assert curve.stop_reason == "non-finite"


def test_a_repeat_that_runs_out_of_batches_does_not_count():
    model, optimizer = line()
    curve = range_test(model, optimizer, square, iter(BATCHES * 5), steps=10, repeats=2, end_lr=0.01)
    assert curve.all_losses.shape == (1, 10)
    assert curve.stop_reason == "completed"


# ---------------------------------------------------------------- output and errors


def test_silence_and_the_callback(capfd):
    model, optimizer = line()
    points = []
    curve = range_test(model, optimizer, square, BATCHES, steps=12, callback=lambda *point: points.append(point))
    assert points == list(zip(range(12), curve.lrs, curve.losses, strict=True))
    assert capfd.readouterr() == ("", "")
    assert pickle.loads(pickle.dumps(curve)).to_json() == curve.to_json()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"start_lr": 0}, ValueError, "start_lr must be finite, > 0"),
        ({"start_lr": -1}, ValueError, "start_lr must be finite, > 0"),
        ({"start_lr": 1.0, "end_lr": 1.0}, ValueError, "end_lr must be finite, > 1, got 1.0"),
        ({"end_lr": math.nan}, ValueError, "end_lr must be finite"),
        ({"end_lr": "1"}, TypeError, "end_lr must be one real number"),
        ({"steps": 1}, ValueError, "steps must be an integer >= 2, got 1"),
        ({"steps": 2.5}, TypeError, "steps must be an integer"),
        ({"scale": "cubic"}, ValueError, "scale must be one of 'log', 'linear', got 'cubic'"),
        ({"batches_per_lr": 0}, ValueError, "batches_per_lr must be an integer >= 1"),
        ({"accumulate": 0}, ValueError, "accumulate must be an integer >= 1"),
        ({"repeats": 0}, ValueError, "repeats must be an integer >= 1"),
        ({"valid_batches": 0}, ValueError, "valid_batches must be an integer >= 1"),
        ({"group_lrs": "both"}, ValueError, "group_lrs must be one of 'ratio', 'same'"),
        ({"group_lrs": [(1e-3, 1)] * 2}, ValueError, "group_lrs must have one .* per param group: 2 of 1"),
        ({"group_lrs": [(1, 0.5)]}, ValueError, r"group_lrs\[0\]: end_lr must be finite, > 1"),
        ({"group_lrs": [3]}, TypeError, r"group_lrs\[0\] must be a pair"),
        ({"extra": 3}, TypeError, "extra must be a list or tuple"),
        ({"extra": [3]}, TypeError, r"extra\[0\] must be a module"),
        ({"sync": "sum"}, ValueError, "sync must be one of 'mean', 'max', 'min', 'rank0', got 'sum'"),
        ({"callback": 3}, TypeError, "callback must be callable, got int"),
        ({"scaler": 3}, TypeError, "scaler must be a gradient scaler, got int"),
        ({"train_step": square}, TypeError, "give either loss_fn"),
        ({"loss_fn": None}, TypeError, "give either loss_fn"),
        ({"loss_fn": None, "train_step": 3}, TypeError, "train_step must be callable"),
        ({"loss_fn": None, "train_step": square, "accumulate": 2}, ValueError, "accumulate must be 1 with train_step"),
        ({"batches": 3}, TypeError, "batches must be an iterable of batches, got int"),
        ({"model": 3}, TypeError, "model must be a torch.nn.Module, got int"),
        ({"optimizer": 3}, TypeError, "optimizer must be a torch.optim.Optimizer, got int"),
    ],
)
def test_bad_arguments_are_named_before_anything_is_touched(options, error, message):
    model, optimizer = line()

    def untouched(model, batch):
        pytest.fail("a batch was used")

    record = Record(model, optimizer)
    arguments = {"model": model, "optimizer": optimizer, "loss_fn": untouched, "batches": BATCHES, **options}
    with pytest.raises(error, match=message):
        range_test(**arguments)
    record.verify()


def test_ratio_needs_a_first_rate_above_zero():
    model, optimizer = two_groups(first=0.0)
    with pytest.raises(ValueError, match=r"group_lrs must be .same. or a list"):
        range_test(model, optimizer, square, BATCHES)
    assert len(range_test(model, optimizer, square, BATCHES, group_lrs="same", steps=15)) > 5


def test_integers_are_accepted_as_rates():
    model, optimizer = line()
    curve = range_test(model, optimizer, square, BATCHES, start_lr=1, end_lr=2, steps=3)
    assert curve.lrs.tolist() == pytest.approx([1, 2**0.5, 2])


def test_works_without_matplotlib_and_tqdm():
    code = (
        "import sys; sys.modules.update(matplotlib=None, tqdm=None); import torch; from lrsched import range_test;"
        "m = torch.nn.Linear(2, 1); o = torch.optim.SGD(m.parameters(), lr=1);"
        "print(len(range_test(m, o, lambda m, b: m(b).square().mean(), [torch.eye(2)], end_lr=1e-3)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "100\n"


ALONE = """
import torch
from lrsched import range_test

torch.set_num_threads(1)
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.2), torch.nn.Linear(8, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
batches = [(torch.randn(16, 4), torch.randint(2, (16,))) for _ in range(8)]
loss_fn = lambda model, batch: torch.nn.functional.cross_entropy(model(batch[0]), batch[1])
print(range_test(model, optimizer, loss_fn, batches, start_lr=1e-3, steps=60).to_json())
"""


def test_two_at_once_in_two_processes_do_not_meet(tmp_path):
    command = [sys.executable, "-c", ALONE]
    one, two = (subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path, text=True) for _ in range(2))
    texts = [process.communicate(timeout=60)[0] for process in (one, two)]
    assert texts[0] == texts[1]
    assert len(json.loads(texts[0])["losses"]) > 10
    assert list(tmp_path.iterdir()) == []
