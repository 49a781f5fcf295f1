"""Members one after another: the plain training loop."""

import random
from collections import UserDict

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, OneCycleLR, ReduceLROnPlateau

from lrsched import PlateauSequence, Sawtooth, Setting, compare
from lrsched.comparison._task import Task
from lrsched.ensembles._cuda_graphs import WARM_UP
from tests.comparison.helpers import DATA, adam, mse, sgd, worst
from tests.tape import launches

EPOCHS = 4
SCHEDULERS = {
    "fixed": (sgd(), None, "epoch"),
    "exponential": (sgd(momentum=0.9), lambda opt: ExponentialLR(opt, 0.5), "epoch"),
    "plateau": (sgd(), lambda opt: ReduceLROnPlateau(opt, patience=0, threshold=0.5), "epoch"),
    "ours": (sgd(), lambda opt: PlateauSequence(opt, Sawtooth(), on="oscillate"), "epoch"),
    "batch": (adam(), lambda opt: CosineAnnealingLR(opt, 20), "batch"),
    "one cycle": (sgd(), lambda opt: OneCycleLR(opt, 0.3, total_steps=20), "batch"),
}


def model_fn():
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Tanh(), nn.Linear(8, 1))


def by_hand(make_optimizer, make_scheduler, per, seed):
    """Return the training losses, validation losses, learning rates and worst deviations of a loop in plain torch."""
    torch.manual_seed(seed)
    model = model_fn()
    optimizer = make_optimizer(model.parameters())
    scheduler = make_scheduler(optimizer) if make_scheduler else None
    generator = torch.Generator().manual_seed(seed)
    found = [], [], [], []
    for _ in range(EPOCHS):
        found[2].append([optimizer.param_groups[0]["lr"]])
        model.train()
        losses = []
        for rows in torch.randperm(40, generator=generator).split(9):
            optimizer.zero_grad()
            loss = mse(model, (DATA[0][rows], DATA[1][rows]))
            loss.backward()
            optimizer.step()
            if scheduler and per == "batch":
                scheduler.step()
            losses.append(loss.item())
        model.eval()
        with torch.no_grad():
            batches = [(DATA[0][i : i + 9], DATA[1][i : i + 9]) for i in range(0, 40, 9)]
            valid = [mse(model, batch).item() for batch in batches]
            worsts = [worst(model, batch)["worst"].item() * len(batch[0]) for batch in batches]
        if scheduler and per == "epoch":
            metric = isinstance(scheduler, ReduceLROnPlateau)
            if metric:
                scheduler.step(sum(valid) / 5)
            else:
                scheduler.step()
        for series, value in zip(found, (sum(losses) / 5, sum(valid) / 5, None, sum(worsts) / 40), strict=True):
            if value is not None:
                series.append(value)
    return found


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_run_equals_the_loop_in_plain_torch_bit_for_bit(name):
    setting = {name: Setting(*SCHEDULERS[name])}
    options = {"epochs": EPOCHS, "batch_size": 9, "seeds": [3], "metric_fn": worst, "vectorize": False}
    (run,) = compare(setting, model_fn, mse, DATA, DATA, **options).runs
    train_loss, val_loss, lrs, worsts = by_hand(*SCHEDULERS[name], seed=3)
    assert (run.train_loss, run.val_loss, run.lrs) == (train_loss, val_loss, lrs)
    assert run.metrics["worst"] == pytest.approx(worsts, rel=1e-12)
    assert (run.method, run.reason) == ("one after another", "vectorize=False")


@pytest.mark.parametrize("result", [torch.ones(2), 1.0, None], ids=["vector", "float", "None"])
def test_loss_fn_must_return_a_scalar_tensor(result):
    with pytest.raises(TypeError, match="loss_fn must return a scalar tensor, got"):
        compare({"a": Setting(sgd())}, lambda: nn.Linear(3, 1), lambda m, b: result, DATA, DATA, epochs=1, batch_size=9)


def test_training_data_without_batches_are_refused():
    with pytest.raises(ValueError, match="train must have at least one batch, got none"):
        compare({"a": Setting(sgd())}, lambda: nn.Linear(3, 1), mse, list, DATA, epochs=1, batch_size=9)


# ---------------------------------------------------------------- recorded as CUDA graphs


def both(device, monkeypatch, loss_fn=mse, **options):
    """Return the runs of a comparison on a GPU, or what stands for it, that are not recorded, and those that are."""
    monkeypatch.setattr(Task, "on_gpu", True)
    settings = {name: Setting(*SCHEDULERS[name]) for name in ("exponential", "ours", "batch")}
    data = tuple(part.to(device) for part in DATA)
    options = {"epochs": 6, "batch_size": 9, "seeds": 2, "metric_fn": worst, "vectorize": False, **options}
    call = settings, lambda: model_fn().to(device), loss_fn, data, data
    return [compare(*call, record=record, **options).runs for record in (False, True)]


def test_a_lone_run_is_recorded_on_a_gpu(device, monkeypatch):
    plain, recorded = both(device, monkeypatch)
    assert {run.reason for run in plain} == {"vectorize=False; record=False"}
    assert {run.reason for run in recorded} == {"vectorize=False; recorded as CUDA graphs"}
    # Each of 6 runs has 24 batches of 9 rows in 6 epochs, and 6 of 4 rows, for training and for validation.
    assert len(launches) == 6 * 2 * (24 - WARM_UP + 6 - WARM_UP)
    for one, other in zip(plain, recorded, strict=True):
        assert other.lrs == one.lrs
        for series in ("train_loss", "val_loss", "metric"):
            assert getattr(other, series) == pytest.approx(getattr(one, series), rel=1e-4)


def test_what_cannot_be_recorded_is_trained_as_ever_and_the_reason_is_kept(device, monkeypatch):
    def mixed(model, batch):
        return mse(model, batch) * random.uniform(0.9, 1.1)

    random.seed(3)
    state = random.getstate()
    plain, _ = both(device, monkeypatch, mixed, seeds=1)
    random.setstate(state)
    _, recorded = both(device, monkeypatch, mixed, seeds=1)
    why = "vectorize=False; not recorded as a CUDA graph: the model or loss_fn draws random numbers on the CPU"
    assert {run.reason for run in recorded} == {why}
    assert plain


def test_batches_of_any_kind_are_recorded(device, monkeypatch):
    class Encoding(UserDict):
        pass

    monkeypatch.setattr(Task, "on_gpu", True)
    batches = [Encoding(x=DATA[0][i : i + 10].to(device), y=DATA[1][i : i + 10].to(device)) for i in range(0, 40, 10)]

    def loss_fn(model, batch):
        return mse(model, (batch.data["x"], batch.data["y"]))

    call = {"a": Setting(sgd())}, lambda: model_fn().to(device), loss_fn, batches, batches
    plain, recorded = (
        compare(*call, epochs=3, seeds=1, vectorize=False, record=record).runs[0] for record in (False, True)
    )
    assert recorded.reason == "vectorize=False; recorded as CUDA graphs"
    assert len(launches) == 2 * (12 - WARM_UP)
    assert recorded.val_loss == pytest.approx(plain.val_loss, rel=1e-4)
