"""The blocks of docs/swap.md, and how to run each of them in its framework."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest
import torch
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, TensorDataset

import lrsched
from lrsched import PlateauSequence, Sawtooth

from .task import EPOCHS, TRAIN, VALID, batches, network, package, sgd, val_loss

PAGE = Path(__file__).parents[2] / "docs" / "swap.md"
if not PAGE.exists():
    pytest.skip("docs/ is not part of this copy", allow_module_level=True)
BLOCKS = {
    title: re.findall(r"```(?:diff|python)\n(.*?)```", text, re.DOTALL)
    for title, text in re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.DOTALL | re.MULTILINE)
}


def block(title, number, side="+"):
    """Return the code of a block; of a diff, before ("-") or after ("+") the swap."""
    text = BLOCKS[title][number]
    if not re.search("^[-+]", text, re.MULTILINE):
        return text
    dropped = {"-": "+", "+": "-"}[side]
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith(dropped)]
    return "".join(line[1:] if line[0] in " +-" else line for line in lines)


def run(code, **names):
    """Run a block with the names that it leaves to its reader, and return its names."""
    names = {"torch": torch, "copy": copy, **vars(lrsched), "epochs": EPOCHS, **names}
    exec(code, names)
    return names


def train(model, optimizer, loader=None):
    """Train for an epoch."""
    for inputs, targets in batches() if loader is None else loader:
        optimizer.zero_grad()
        mse_loss(model(inputs), targets).backward()
        optimizer.step()


def loss_fn(model, batch):
    """The loss of a range test."""
    return mse_loss(model(batch[0]), batch[1])


def loader():
    return DataLoader(TensorDataset(*TRAIN), 8)


def loop(code, **names):
    """Run a block that trains in its own loop."""
    model = network()
    return run(code, **{"model": model, "optimizer": sgd(model), "train": train, "validate": val_loss, **names})


def base_module():
    """Return a LightningModule that logs "val_loss" and leaves `configure_optimizers` to its reader."""
    from .test_lightning import Module

    class Base(Module):
        def __init__(self):
            super().__init__(None, "metric")

    return Base


def in_lightning(code, folder):
    """Run a block of Lightning: a class, or one method of it."""
    package("lightning.pytorch")
    from .test_lightning import fit

    if not code.startswith("class"):
        code = "class Model(Base):\n" + re.sub("^", "    ", code, flags=re.MULTILINE)
    _, trainer = fit(run(code, Base=base_module())["Model"](), folder)
    return trainer.lr_scheduler_configs[0].scheduler


def in_trainer(code, folder):
    """Run a block of Hugging Face's Trainer."""
    transformers = package("transformers")
    from .test_transformers import Model, examples

    settings = {"output_dir": str(folder), "report_to": "none", "disable_tqdm": True, "use_cpu": True}
    settings |= {"save_strategy": "no", "num_train_epochs": EPOCHS, "per_device_train_batch_size": 8}
    data = {"train_dataset": examples(TRAIN), "eval_dataset": examples(VALID)}
    names = {name: getattr(transformers, name) for name in ("Trainer", "TrainingArguments")}
    return run(code, model=Model(), settings=settings, data=data, **names)["scheduler"]


def in_accelerate(code, folder):
    """Run a block of Accelerate."""
    accelerator = package("accelerate").Accelerator(cpu=True)
    return loop(code, accelerator=accelerator, loader=loader())["scheduler"].scheduler


def in_ignite(code, folder):
    """Run a block of Ignite; return None if a wrapper hides the scheduler."""
    engines, handlers, metrics = (package(f"ignite.{name}") for name in ("engine", "handlers", "metrics"))
    model = network()
    optimizer = sgd(model)
    trainer = engines.create_supervised_trainer(model, optimizer, torch.nn.MSELoss())
    evaluator = engines.create_supervised_evaluator(model, {"loss": metrics.Loss(torch.nn.MSELoss())})
    names = {"optimizer": optimizer, "trainer": trainer, "evaluator": evaluator, "valid": [VALID]}
    names |= {name: getattr(handlers, name) for name in ("LRScheduler", "ReduceLROnPlateauScheduler")}
    done = run(code, Events=engines.Events, **names)
    trainer.run(list(batches()), max_epochs=EPOCHS)
    return done.get("scheduler")


def skorch_names(**more):
    """Return the names that the blocks of skorch leave to their reader."""
    skorch = package("skorch")
    callbacks, helper = package("skorch.callbacks"), package("skorch.helper")
    valid = helper.predefined_split(skorch.dataset.Dataset(*VALID))
    settings = {"criterion": torch.nn.MSELoss, "max_epochs": EPOCHS, "batch_size": 8, "train_split": valid}
    names = {"module": network(), "settings": {**settings, "verbose": 0, "lr": 0.1}}
    names |= {"LRScheduler": callbacks.LRScheduler, "NeuralNetRegressor": skorch.NeuralNetRegressor}
    return {**names, **more}


def in_skorch(code, folder, **more):
    """Run a block of skorch."""
    net = run(code, **skorch_names(**more))["net"].fit(*TRAIN)
    return dict(net.callbacks_)["LRScheduler"].lr_scheduler_


FRAMEWORKS = {  # section → a function of code and an empty folder, which runs the code and returns the scheduler
    "PyTorch": lambda code, folder: loop(code)["scheduler"],
    "Lightning": in_lightning,
    "Hugging Face Trainer": in_trainer,
    "Accelerate": in_accelerate,
    "Ignite": in_ignite,
    "skorch": in_skorch,
}


def with_warm_up(optimizer):
    """Return a plateau scheduler whose warm-up has the factors of `rising`."""
    return PlateauSequence(optimizer, Sawtooth(), warmup=5)


def rising(lr, steps):
    """Return the first rates of a warm-up of five steps."""
    return pytest.approx([lr * min(1.0, 0.2 + 0.16 * k) for k in range(steps)], rel=1e-12)
