"""One table of the schedulers: how to make each, and its learning rates written out by hand.

`CASES` has every class that counts steps. `KINDS` has one of each kind, for what must hold of every scheduler; its
PlateauSequence advances at every metric, so that it can be stepped like the others.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

import lrsched
from lrsched import Geometric, Inverse, PlateauSequence, Rule, Warmup
from tests.helpers import group_lrs, make_optimizer

BASES = (0.05, 0.5)
PICTURE = (np.arange(60) * 37 % 256).astype(np.uint8).reshape(4, 5, 3)  # 60 values; the first is 0


@dataclass(frozen=True)
class Case:
    cls: type
    lr: Callable[[float, int], float]  # (base lr, k) → learning rate
    options: dict[str, Any] = field(default_factory=dict)

    def make(self, optimizer, **more):
        return self.cls(optimizer, **{**self.options, **more})

    def lrs(self, k):
        return [self.lr(base, k) for base in BASES]

    @property
    def names_limits(self):
        """Whether the class takes its limits as arguments, and not from the groups."""
        return self.cls in (lrsched.CyclicLR, lrsched.ImageLR, lrsched.OneCycleLR)


class EveryMetric(Rule):
    """A rule that advances at every metric, and counts them."""

    state_fields = ("seen",)

    def __init__(self):
        self.seen = 0

    def update(self, metric, mode):
        self.seen += 1
        return f"metric {self.seen}"


def step(scheduler):
    """Move a scheduler to its next position; a PlateauSequence gets a metric that it has not seen."""
    if isinstance(scheduler, PlateauSequence):
        scheduler.step(float(scheduler.last_epoch))
    else:
        scheduler.step()


def _triangle(k, low=0.05, high=0.4):
    x = k % 7
    return low + (high - low) * (x / 3 if x <= 3 else (7 - x) / 4)


def _pixel(k, low=0.001, high=0.1):
    return low + (high - low) * int(PICTURE.ravel()[min(k, 59)]) / 255


def _cosine_between(begin, end, x):
    share = (1 + math.cos(math.pi * x)) / 2
    return begin * share + end * (1 - share)


def _one_cycle(k, high=0.4):
    """Up from high/25 until 9, and down to high/250,000 until 39."""
    if k <= 9:
        return _cosine_between(high / 25, high, k / 9)
    return _cosine_between(high, high / 250_000, (min(k, 39) - 9) / 30)


def _three_phases(k, high):
    """Up from high/4 until 5, back until 10, and down to 0.0025·high until 29, in straight lines."""
    if k <= 10:
        return high * (0.25 + 0.75 * (1 - abs(k - 5) / 5))
    return high * (0.25 - (0.25 - 0.0025) * (min(k, 29) - 10) / 19)


def _warmed_inverse(base, k):
    return base * min(1.0, 0.25 + 0.25 * k) / (k + 1)


CASES = {
    case.cls.__name__: case
    for case in (
        Case(
            lrsched.SequenceLR,
            _warmed_inverse,
            {"sequence": Warmup(3, start=0.25) * Inverse()},
        ),
        Case(lrsched.InverseLR, lambda base, k: base / (k + 1)),
        Case(lrsched.InverseSqrtLR, lambda base, k: base / math.sqrt(k + 1)),
        Case(lrsched.GeometricLR, lambda base, k: base * 0.8**k, {"gamma": 0.8}),
        Case(
            lrsched.SawtoothLR,
            lambda base, k: base * (1 - (k % 4) / 4) / ((k + 1) // 4 + 1),
            {"period": 4},
        ),
        Case(lrsched.ExponentialDecayLR, lambda base, k: base * math.exp(-0.1 * k), {"decay": 0.1}),
        Case(lrsched.StepDecayLR, lambda base, k: base * 0.5 ** ((1 + k) // 3), {"drop": 0.5, "interval": 3}),
        Case(
            lrsched.TimeDecayLR,
            lambda base, k: base / math.prod(1 + 0.1 * i for i in range(k)),
            {"decay": 0.1},
        ),
        Case(
            lrsched.ImageLR,
            lambda base, k: _pixel(k),
            {"image": PICTURE, "steps": 60, "base_lr": 0.001, "max_lr": 0.1},
        ),
        Case(
            lrsched.CyclicLR,
            lambda base, k: _triangle(k),
            {"base_lr": 0.05, "max_lr": 0.4, "step_size_up": 3, "step_size_down": 4},
        ),
        Case(
            lrsched.OneCycleLR,
            lambda base, k: _one_cycle(k),
            {"max_lr": 0.4, "total_steps": 40, "pct_start": 0.25},
        ),
    )
}


STEPWISE = {name: CASES[name] for name in ("SequenceLR", "GeometricLR", "ImageLR", "CyclicLR", "OneCycleLR")}
KINDS = STEPWISE | {
    "PlateauSequence": Case(
        PlateauSequence, _warmed_inverse, {"sequence": Warmup(3, start=0.25) * Inverse(), "on": EveryMetric()}
    )
}
every_kind = pytest.mark.parametrize("case", KINDS.values(), ids=KINDS)
every_stepwise_kind = pytest.mark.parametrize("case", STEPWISE.values(), ids=STEPWISE)


class Halve:
    """A scale_fn that is an object: its factor is part of the state."""

    def __init__(self, factor=0.5):
        self.factor = factor

    def __call__(self, x):
        return self.factor**x


VARIANTS = CASES | {
    "SequenceLR lists": Case(
        lrsched.SequenceLR,
        lambda base, k: base / (k + 1) if base == BASES[0] else max(base * 0.8**k, 0.1),
        {"sequence": [Inverse(), Geometric(0.8)], "min_lr": [0.0, 0.1]},
    ),
    "GeometricLR floor": Case(
        lrsched.GeometricLR, lambda base, k: max(base * 0.8**k, 0.02), {"gamma": 0.8, "min_lr": 0.02}
    ),
    "CyclicLR object": Case(
        lrsched.CyclicLR,
        lambda base, k: 0.05 + (_triangle(k) - 0.05) * 0.5 ** (k // 7 + 1),
        {"base_lr": 0.05, "max_lr": 0.4, "step_size_up": 3, "step_size_down": 4, "scale_fn": Halve()},
    ),
    "CyclicLR lists": Case(
        lrsched.CyclicLR,
        lambda base, k: _triangle(k, base, 2 * base),
        {"base_lr": [0.05, 0.5], "max_lr": [0.1, 1.0], "step_size_up": 3, "step_size_down": 4},
    ),
    "OneCycleLR three phases": Case(
        lrsched.OneCycleLR,
        lambda base, k: _three_phases(k, 2 * base),
        {
            "max_lr": [0.1, 1.0],
            "epochs": 5,
            "steps_per_epoch": 6,
            "pct_start": 0.2,
            "anneal_strategy": "linear",
            "max_momentum": [0.9, 0.8],
            "div_factor": 4.0,
            "final_div_factor": 100.0,
            "three_phase": True,
        },
    ),
}


def mixed(dtype=torch.float64, **options):
    """Return an SGD with two groups: the learning rate of the first is a float, that of the second a tensor."""
    return make_optimizer((BASES[0], torch.tensor(BASES[1], dtype=dtype)), "asis", momentum=0.9, **options)


def started(case, optimizer=None, **more):
    """Return an optimizer that has stepped once, and the case's scheduler on it, at position 0."""
    optimizer = optimizer if optimizer is not None else mixed()
    scheduler = case.make(optimizer, **more)
    optimizer.step()
    return optimizer, scheduler


def caught(call):
    """Return the warnings that a call gives."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        call()
    return seen


def quietly(call):
    """Return what a call returns, and ignore its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call()


def follow(scheduler, optimizer, n):
    """Return the learning rates at positions 0 to n − 1, in an array of shape (n, groups)."""
    optimizer.step()
    lrs = [group_lrs(optimizer)]
    for _ in range(n - 1):
        scheduler.step()
        lrs.append(group_lrs(optimizer))
    return np.array(lrs)
