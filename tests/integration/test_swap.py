"""docs/swap.md: every diff is short and runs, before and after the swap; `test_swap_*.py` run its recipes."""

import csv
import re
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from lrsched import InverseLR, PlateauSequence, Sawtooth

from .swap_page import (
    BLOCKS,
    FRAMEWORKS,
    block,
    in_accelerate,
    in_ignite,
    in_lightning,
    in_skorch,
    in_trainer,
    loop,
    run,
    train,
)
from .task import BATCHES, EPOCHS, TRAIN, network, ours_are_errors, package, sgd, val_loss
from .test_lightning import Module

pytestmark = ours_are_errors
sides = pytest.mark.parametrize("side", ["-", "+"], ids=["before", "after"])


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
        "Warm-up": 1,
        "Resuming with another rate or more epochs": 1,
        "Several processes": 1,
        "torch.compile and CUDA graphs": 1,
    }
    for diff in (diff for found in diffs.values() for diff in found):
        assert 2 <= len(re.findall(r"^[-+] *\S", diff, re.MULTILINE)) <= 4, diff


@sides
@pytest.mark.parametrize("number", [0, 1])
def test_pytorch(number, side, tmp_path):
    swapped(FRAMEWORKS["PyTorch"](block("PyTorch", number, side), tmp_path), side)


@sides
@pytest.mark.parametrize("number", [0, 1])
def test_lightning(number, side, tmp_path):
    swapped(in_lightning(block("Lightning", number, side), tmp_path), "+" if number else side)


@sides
def test_hugging_face_trainer(side, tmp_path):
    scheduler = in_trainer(block("Hugging Face Trainer", 0, side), tmp_path)
    swapped(scheduler, side, EPOCHS if side == "+" else 0)  # without these arguments it is never stepped


@sides
def test_accelerate(side, tmp_path):
    swapped(in_accelerate(block("Accelerate", 0, side), tmp_path), side)


@sides
@pytest.mark.parametrize("number", [0, 1])
def test_ignite(number, side, tmp_path):
    scheduler = in_ignite(block("Ignite", number, side), tmp_path)
    if side == "+":
        swapped(scheduler, side, EPOCHS * (BATCHES if number else 1))


@sides
def test_skorch(side, tmp_path):
    scheduler = in_skorch(block("skorch", 0, side), tmp_path)
    swapped(scheduler, side)
    if side == "+":
        resumed = in_skorch(block("skorch", 1), tmp_path, state=scheduler.state_dict())
        assert resumed.last_epoch == 2 * EPOCHS


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
