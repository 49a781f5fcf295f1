"""docs/swap.md: every block runs, before and after the swap, and is a diff of a few lines."""

import csv
import re
from pathlib import Path

import pytest
import torch
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, TensorDataset

import lrsched
from lrsched import InverseLR, PlateauSequence, Sawtooth

from .task import BATCHES, EPOCHS, TRAIN, VALID, batches, network, ours_are_errors, package, sgd, val_loss
from .test_lightning import Module, fit
from .test_transformers import Model, examples

PAGE = Path(__file__).parents[2] / "docs" / "swap.md"
if not PAGE.exists():
    pytest.skip("docs/ is not part of this copy", allow_module_level=True)
BLOCKS = {
    title: re.findall(r"```(?:diff|python)\n(.*?)```", text, re.DOTALL)
    for title, text in re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.DOTALL | re.MULTILINE)
}
pytestmark = ours_are_errors
sides = pytest.mark.parametrize("side", ["-", "+"], ids=["before", "after"])


def block(title, number, side="+"):
    """Return the code of a block, before or after the swap."""
    dropped = {"-": "+", "+": "-"}[side]
    return "".join(
        line[1:] if line[0] in " +-" else line
        for line in BLOCKS[title][number].splitlines(keepends=True)
        if not line.startswith(dropped)
    )


def run(code, **names):
    """Run a block with the names that it leaves to its reader."""
    names = {"torch": torch, **vars(lrsched), "epochs": EPOCHS, **names}
    exec(code, names)
    return names


def train(model, optimizer, loader=None):
    """Train for an epoch."""
    for inputs, targets in batches() if loader is None else loader:
        optimizer.zero_grad()
        mse_loss(model(inputs), targets).backward()
        optimizer.step()


def loop(code, **names):
    """Run a block that trains in its own loop."""
    model = network()
    return run(code, **{"model": model, "optimizer": sgd(model), "train": train, "validate": val_loss, **names})


def swapped(scheduler, side, calls=EPOCHS):
    """Assert that the block made a scheduler of torch before the swap and of this package after it, and stepped it."""
    assert type(scheduler).__module__.startswith("lrsched" if side == "+" else "torch.optim")
    assert scheduler.last_epoch == calls


def test_every_framework_has_a_diff_and_every_diff_two_to_four_lines():
    diffs = {
        title: [text for text in found if re.search("^[-+]", text, re.MULTILINE)] for title, found in BLOCKS.items()
    }
    assert {title: len(found) for title, found in diffs.items() if found} == {
        "PyTorch": 2,
        "Lightning": 2,
        "Hugging Face Trainer": 1,
        "Accelerate": 1,
        "Ignite": 2,
        "skorch": 1,
        "Several processes": 1,
        "torch.compile and CUDA graphs": 1,
    }
    for diff in (diff for found in diffs.values() for diff in found):
        assert 2 <= len(re.findall(r"^[-+] *\S", diff, re.MULTILINE)) <= 4, diff


@sides
def test_pytorch(side):
    for number in range(2):
        swapped(loop(block("PyTorch", number, side))["scheduler"], side)


def test_warm_up_with_plateau_sequence():
    model, lrs = network(), []
    optimizer = sgd(model)

    def train_step(model, optimizer, batch):
        lrs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()

    losses = iter([1.0, 0.5, 0.5, 0.5, 0.5])
    names = {"model": model, "optimizer": optimizer, "loader": range(300), "epochs": 4}
    run(block("PyTorch", 2), train_step=train_step, validate=lambda model: next(losses), **names)
    assert lrs[:500] == pytest.approx([0.1 * (0.002 + 0.998 * k / 500) for k in range(500)])
    assert lrs[500:900] == pytest.approx([0.1] * 400)
    assert lrs[900:] == pytest.approx([0.09] * 300)  # the second position of Sawtooth()


class Base(Module):
    def __init__(self):
        super().__init__(None, "metric")


@sides
@pytest.mark.parametrize("number", [0, 1])
def test_lightning(number, side, tmp_path):
    code = block("Lightning", number, side)
    if number == 0:  # the method by itself
        code = "class Model(Base):\n" + re.sub("^", "    ", code, flags=re.MULTILINE)
    _, trainer = fit(run(code, Base=Base)["Model"](), tmp_path)
    swapped(trainer.lr_scheduler_configs[0].scheduler, "+" if number else side)


@sides
def test_hugging_face_trainer(side, tmp_path):
    transformers = package("transformers")
    model = Model()
    settings = {"output_dir": str(tmp_path), "report_to": "none", "disable_tqdm": True, "use_cpu": True}
    settings |= {"save_strategy": "no", "num_train_epochs": EPOCHS, "per_device_train_batch_size": 8}
    data = {"train_dataset": examples(TRAIN), "eval_dataset": examples(VALID)}
    names = {"model": model, "settings": settings, "data": data}
    names |= {name: getattr(transformers, name) for name in ("Trainer", "TrainingArguments")}
    done = run(block("Hugging Face Trainer", 0, side), **names)
    swapped(done["scheduler"], side, EPOCHS if side == "+" else 0)  # without these arguments it is never stepped


@sides
def test_accelerate(side):
    accelerator = package("accelerate").Accelerator(cpu=True)
    loader = DataLoader(TensorDataset(*TRAIN), 8)
    done = loop(block("Accelerate", 0, side), accelerator=accelerator, loader=loader)
    swapped(done["scheduler"].scheduler, side)


@sides
def test_ignite(side):
    engines, handlers, metrics = (package(f"ignite.{name}") for name in ("engine", "handlers", "metrics"))
    for number in range(2):
        model = network()
        optimizer = sgd(model)
        trainer = engines.create_supervised_trainer(model, optimizer, torch.nn.MSELoss())
        evaluator = engines.create_supervised_evaluator(model, {"loss": metrics.Loss(torch.nn.MSELoss())})
        names = {"optimizer": optimizer, "trainer": trainer, "evaluator": evaluator, "valid": [VALID]}
        names |= {name: getattr(handlers, name) for name in ("LRScheduler", "ReduceLROnPlateauScheduler")}
        done = run(block("Ignite", number, side), Events=engines.Events, **names)
        trainer.run(list(batches()), max_epochs=EPOCHS)
        if side == "+":
            swapped(done["scheduler"], side, EPOCHS * (BATCHES if number else 1))


@sides
def test_skorch(side):
    skorch = package("skorch")
    callbacks, helper = package("skorch.callbacks"), package("skorch.helper")
    valid = helper.predefined_split(skorch.dataset.Dataset(*VALID))
    settings = {"criterion": torch.nn.MSELoss, "max_epochs": EPOCHS, "batch_size": 8, "train_split": valid}
    names = {"module": network(), "settings": {**settings, "verbose": 0, "lr": 0.1}}
    names |= {"LRScheduler": callbacks.LRScheduler, "NeuralNetRegressor": skorch.NeuralNetRegressor}
    scheduler = trained(run(block("skorch", 0, side), **names))
    swapped(scheduler, side)
    if side == "+":
        resumed = trained(run(block("skorch", 1), state=scheduler.state_dict(), **names))
        assert resumed.last_epoch == 2 * EPOCHS


def trained(names):
    net = names["net"].fit(*TRAIN)
    return dict(net.callbacks_)["LRScheduler"].lr_scheduler_


def test_several_processes_and_compilation():
    scheduler = run(block("Several processes", 0), optimizer=sgd(network()))["scheduler"]
    assert scheduler.sync == "mean"
    parameters = list(network().parameters())
    done = run(block("torch.compile and CUDA graphs", 0), parameters=parameters)
    assert isinstance(done["scheduler"].get_last_lr()[0], torch.Tensor)


def followed():
    """Train by hand, and return the scheduler, losses and learning rates."""
    model, losses, lrs = network(), [], []
    optimizer = sgd(model)
    scheduler = PlateauSequence(optimizer, Sawtooth(), on="oscillate")
    for _ in range(EPOCHS):
        lrs.append(optimizer.param_groups[0]["lr"])
        train(model, optimizer)
        losses.append(val_loss(model))
        scheduler.step(losses[-1])
    return {"scheduler": scheduler, "losses": losses, "lrs": lrs}


def test_watching_in_one_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = followed()
    drawn = run(block("Watching", 0), **done)
    assert drawn["axes"][0].lines[0].get_ydata().tolist() == [loss.item() for loss in done["losses"]]
    assert (tmp_path / "run.png").stat().st_size > 10_000


def test_watching_with_tensorboard(tmp_path):
    package("tensorboard")
    accumulator = package("tensorboard.backend.event_processing.event_accumulator")
    model = network()
    optimizer = sgd(model)
    scheduler = PlateauSequence(optimizer, Sawtooth(), on="oscillate")
    done = loop(block("Watching", 1), model=model, optimizer=optimizer, scheduler=scheduler, folder=str(tmp_path))
    log = accumulator.EventAccumulator(str(tmp_path))
    log.Reload()
    logged = [scalar.value for scalar in log.Scalars("lr")]
    assert len(logged) == EPOCHS
    assert logged == pytest.approx(follow_again(done["scheduler"]))
    assert [event.step for event in log.Tensors("lr/text_summary")] == [event.epoch for event in scheduler.events]
    assert scheduler.events


def follow_again(scheduler):
    """Return the learning rate of each epoch, computed from the events."""
    lrs = [0.1] * EPOCHS
    for event in scheduler.events:
        lrs[event.epoch :] = event.new_lrs * (EPOCHS - event.epoch)
    return lrs


def test_watching_with_lightnings_monitor(tmp_path):
    pl = package("lightning.pytorch")
    logger = pl.loggers.CSVLogger(tmp_path)
    settings = {"max_epochs": EPOCHS, "accelerator": "cpu", "enable_checkpointing": False, "log_every_n_steps": 1}
    trainer = run(block("Watching", 2), Trainer=pl.Trainer, logger=logger, settings=settings)["trainer"]
    trainer.fit(Module(InverseLR, "epoch"), DataLoader(TensorDataset(*TRAIN), 8))
    with open(Path(logger.log_dir, "metrics.csv")) as file:
        logged = [float(row["lr-SGD"]) for row in csv.DictReader(file) if row["lr-SGD"]]
    assert logged == pytest.approx([0.1 / (k + 1) for k in range(EPOCHS)])
