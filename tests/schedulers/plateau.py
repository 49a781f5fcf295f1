"""What the tests of PlateauSequence share: schedulers, metrics, and rules that a user might write."""

import copy
import math
import random

import pytest
import torch
from torch import nn

from lrsched import (
    Geometric,
    PlateauSequence,
    Rule,
)
from tests.helpers import make_optimizer

HALF = Geometric(0.5)


def bumpy(seed, length=60):
    """Return a falling series with noise, ties and plateaus; every value has few significant bits."""
    rng = random.Random(seed)
    level, out = 2.0, []
    for i in range(length):
        level *= 0.9 if i % 20 < 12 else 1.0
        out.append(round((level + rng.gauss(0, 0.02)) * 256) / 256)
    return out


def make(sequence=HALF, on="cutoff", lrs=(0.1,), kind="float", **options):
    optimizer = make_optimizer(lrs, kind)
    return optimizer, PlateauSequence(optimizer, sequence, on, **options)


def feed(scheduler, metrics):
    for metric in metrics:
        scheduler.step(metric)
    return scheduler


def advance(scheduler, times=1):
    """Advance a scheduler with the rule "oscillate" that has seen no other metrics."""
    first = scheduler.last_epoch
    feed(scheduler, [float(i) for i in range(first, first + times + (first == 0))])


def everything(optimizer, scheduler):
    """Return everything that a refused call must not change."""
    return copy.deepcopy(
        (
            scheduler.state_dict(),
            [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups],
            scheduler.events,
            scheduler.get_last_lr(),
            repr(scheduler.rule),
            scheduler.position,
            scheduler.last_epoch,
        )
    )


def drops_repeats(scheduler):
    """Say whether a new scheduler with Cutoff(0.5, decay=1.0) drops repeated metrics, with real optimizer steps."""
    optimizer = scheduler.optimizer
    before = scheduler.last_epoch
    for metric in (8.0, 7.0, 6.0):
        optimizer.step()
        feed(scheduler, [metric] * 3)
    return scheduler.last_epoch - before == 3 and scheduler.position == 0


def add_group(optimizer, lr):
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))], "lr": lr})


NONFINITE = [math.nan, math.inf, -math.inf]


each_nonfinite = pytest.mark.parametrize("bad", NONFINITE, ids=str)


class Never(Rule):
    """A user's rule without state that never advances."""

    def update(self, metric, mode):
        return None


class Always(Rule):
    """A user's rule that counts."""

    state_fields = ("seen",)

    def __init__(self):
        self.seen = 0

    def update(self, metric, mode):
        self.seen += 1
        return f"always: {self.seen}"


class FailsAbove(Rule):
    """A user's rule with a bug."""

    state_fields = ("seen",)

    def __init__(self, limit=1.0):
        self.limit = limit
        self.seen = 0

    def update(self, metric, mode):
        if metric > self.limit:
            raise ZeroDivisionError("the rule's own bug")
        self.seen += 1
        return "below"


class Returns(Rule):
    """A user's rule that returns what it was given."""

    def __init__(self, value):
        self.value = value

    def update(self, metric, mode):
        return self.value


class Wrapped(torch.optim.Optimizer):
    """An optimizer around another, as frameworks make them: it has no hook tables and calls no base constructor."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    @property
    def param_groups(self):
        return self.optimizer.param_groups

    @param_groups.setter
    def param_groups(self, groups):
        self.optimizer.param_groups = groups

    @property
    def state(self):
        return self.optimizer.state

    @property
    def defaults(self):
        return self.optimizer.defaults

    def step(self, closure=None):
        return self.optimizer.step(closure)

    def __getstate__(self):
        return self.__dict__.copy()

    def __setstate__(self, state):
        self.__dict__.update(state)
