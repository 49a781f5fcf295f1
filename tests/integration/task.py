"""One small training: its data, model and schedulers, and the plain loop that every framework is compared with."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from lrsched import Cosine, Cutoff, CyclicLR, Geometric, ImageLR, InverseLR, OneCycleLR, PlateauSequence, SequenceLR

BATCHES = 4
EPOCHS = 6
WARM = 15  # optimizer steps; a run that is resumed after three epochs, 12 steps, is in the middle of them
PICTURE = (np.arange(24) * 37 % 256).astype(np.uint8).reshape(4, 6)

# Warnings of the frameworks are ignored. Those of torch and this package about the order of calls are errors.
ours_are_errors = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings(r"error:.*lr_scheduler"),
    pytest.mark.filterwarnings("error:.*lrsched"),
]


def _examples(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 4, generator=generator)
    noise = torch.randn(count, 1, generator=generator)
    return inputs, inputs.sum(1, keepdim=True) + 0.3 * noise


TRAIN = _examples(8 * BATCHES, 0)
VALID = _examples(16, 1)


def network() -> nn.Module:
    """Return the model, the same at each call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Linear(4, 1)


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.7)


def plateau(optimizer: torch.optim.Optimizer) -> PlateauSequence:
    return PlateauSequence(optimizer, Geometric(0.5), on=Cutoff(relative=0.2, decay=0.1))


def warm_plateau(optimizer: torch.optim.Optimizer, warmup: int = WARM) -> PlateauSequence:
    return PlateauSequence(optimizer, Geometric(0.5), on=Cutoff(relative=0.2, decay=0.1), warmup=warmup)


def cosine(epochs: int) -> Callable[..., Any]:
    """Return what makes a schedule per step that ends after so many epochs, and may be resumed with other settings."""
    return lambda optimizer: SequenceLR(optimizer, Cosine(epochs * BATCHES), strict=False)


def on_the_longer_cosine(first: Run, run: Run) -> None:
    """Assert that a run of three epochs followed its cosine, and the resumed run a longer one from that position on."""
    short, long = Cosine(3 * BATCHES), Cosine(EPOCHS * BATCHES)
    assert [lr for lr, _ in first.rates] == [0.1 * short(k) for k in range(3 * BATCHES)]
    assert [lr for lr, _ in run.rates] == [0.1 * long(k) for k in range(3 * BATCHES, EPOCHS * BATCHES)]


STEPPED: dict[str, tuple[Callable[..., Any], str]] = {
    "InverseLR per step": (InverseLR, "step"),
    "InverseLR per epoch": (InverseLR, "epoch"),
    "ImageLR": (lambda optimizer: ImageLR(optimizer, PICTURE, 20, 0.01, 0.2, channels="gray"), "step"),
    "CyclicLR": (lambda optimizer: CyclicLR(optimizer, 0.01, 0.2, step_size_up=3), "step"),
    "OneCycleLR": (lambda optimizer: OneCycleLR(optimizer, 0.2, epochs=EPOCHS, steps_per_epoch=BATCHES), "step"),
}
PLATEAUS = {"PlateauSequence": (plateau, "metric"), "PlateauSequence with a warm-up": (warm_plateau, "metric")}
MAKERS = {**STEPPED, **PLATEAUS}
every_scheduler = pytest.mark.parametrize(("make", "per"), MAKERS.values(), ids=MAKERS)


@dataclass
class Run:
    """What a training did: the learning rate and momentum of each `optimizer.step()`, and the scheduler's events."""

    scheduler: Any = None
    rates: list[tuple[float, float]] = field(default_factory=list)

    def watch(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Return the optimizer; its steps are recorded from now on."""

        def note(optimizer: torch.optim.Optimizer, *_: Any) -> None:
            (group,) = optimizer.param_groups
            self.rates.append((float(group["lr"]), group["momentum"]))

        optimizer.register_step_pre_hook(note)
        return optimizer

    @property
    def events(self) -> list[tuple[int, list[float]]]:
        """The epoch and the new learning rates of each event."""
        return [(event.epoch, event.new_lrs) for event in getattr(self.scheduler, "events", [])]


def batches() -> Any:
    """Return the batches of an epoch, in order."""
    return zip(*(tensor.split(8) for tensor in TRAIN), strict=True)


def val_loss(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return mse_loss(model(VALID[0]), VALID[1])


def plain(make: Callable[..., Any], per: str, epochs: int = EPOCHS, accumulate: int = 1) -> Run:
    """Train in a loop without a framework, with gradients accumulated over so many batches."""
    run, model = Run(), network()
    optimizer = run.watch(sgd(model))
    run.scheduler = scheduler = make(optimizer)
    for _ in range(epochs):
        for i, (inputs, targets) in enumerate(batches(), start=1):
            (mse_loss(model(inputs), targets) / accumulate).backward()
            if i % accumulate == 0:
                optimizer.step()
                optimizer.zero_grad()
                if per == "step":
                    scheduler.step()
        if per == "epoch":
            scheduler.step()
        elif per == "metric":
            scheduler.step(val_loss(model))
    return run


def same(run: Run, expected: Run, first: Run | None = None) -> None:
    """Assert that a run, after a first one if given, did the same as the expected run."""
    assert [*(first.rates if first else []), *run.rates] == expected.rates
    assert run.events == expected.events
    assert run.scheduler.get_last_lr() == expected.scheduler.get_last_lr()


def package(name: str) -> Any:
    """Import a framework and ignore its warnings; skip the tests if it is missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"{name} is not installed: pip install torch-lrsched[integration]")
