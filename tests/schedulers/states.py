"""Schedulers whose states are tested: how to make each one anew, and what a training calls between two saves.

A training is a list of calls; `play(scheduler, 0, 20)` makes the first twenty of them. A scheduler that counts steps is
stepped at each call. A PlateauSequence gets metrics, among them repeated ones, NaN and inf, and optimizer steps between
some of them.
"""

import copy
import io
import json
import math
import random

import torch

from lrsched import Cutoff, Geometric, Inverse, Oscillation, Patience, PlateauSequence, Rule, Sawtooth, Values, Warmup
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.cases import BASES, VARIANTS

HALF = Geometric(0.5)
LENGTH = 64


class EveryThird(Rule):
    """A rule that a user might write; its state is a counter and a list."""

    state_fields = ("seen", "window")

    def __init__(self):
        self.seen = 0
        self.window = []

    def update(self, metric, mode):
        self.seen += 1
        self.window = [*self.window[-2:], metric]
        return f"third: {self.window}" if self.seen % 3 == 0 else None


# name: sequence, rule, learning rates, other options
PLATEAUS = {
    "cutoff": (Inverse(), Cutoff(), [0.1], {}),
    "cutoff in full": (HALF, Cutoff(0.3, decay=0.7, min_cutoff=0.02, previous=0.0), [0.1, 0.5], {"mode": "max"}),
    "oscillation": (Sawtooth(5), Oscillation(), [0.1], {"min_lr": 0.01}),
    "oscillation, advance": (Warmup(3) * Inverse(), Oscillation(previous=0.0), [0.3], {"nonfinite": "advance"}),
    "patience": (HALF, Patience(2, cooldown=2), [0.1, 0.2], {"min_lr": [0.0, 0.05]}),
    "patience abs": (HALF, Patience(0, threshold=0.01, threshold_mode="abs"), [0.1], {"mode": "max"}),
    "either": ([Inverse(), HALF], Cutoff(0.1) | Oscillation() | Patience(3), [0.1, 0.7], {}),
    "a user's rule": (Values([1.0, 0.4, 0.2, 0.3]), EveryThird(), [0.1], {"history": 4}),
    "count": (HALF, Cutoff(0.1), [0.1], {"repeats": "count", "nonfinite": "advance"}),
}
NAMES = [*VARIANTS, *(f"PlateauSequence {name}" for name in PLATEAUS)]
# One of each kind, and those with more state than the others of their kind.
KINDS = [
    "SequenceLR",
    "SequenceLR lists",
    "GeometricLR floor",
    "ImageLR",
    "CyclicLR",
    "CyclicLR object",
    "CyclicLR lists",
    "OneCycleLR",
    "OneCycleLR three phases",
    *(f"PlateauSequence {name}" for name in PLATEAUS),
]


def rates(name):
    """Return the learning rates of the groups; for schedulers that count steps, the second is a tensor."""
    if name in VARIANTS:
        return (BASES[0], torch.tensor(BASES[1], dtype=torch.float32))
    return PLATEAUS[name.removeprefix("PlateauSequence ")][2]


def optimizer_for(name, factor=1):
    """Return an optimizer with the learning rates of a case, times a factor."""
    return make_optimizer([factor * rate for rate in rates(name)], "asis", momentum=0.9)


def scheduler_on(name, optimizer):
    if name in VARIANTS:
        return copy.deepcopy(VARIANTS[name]).make(optimizer)  # loading changes a scale_fn that is an object
    sequence, rule, _, options = PLATEAUS[name.removeprefix("PlateauSequence ")]
    return PlateauSequence(optimizer, sequence, rule, **options)


def make(name, factor=1):
    """Return what a training script makes when it starts: an optimizer and its scheduler."""
    optimizer = optimizer_for(name, factor)
    scheduler = scheduler_on(name, optimizer)
    if name in VARIANTS:
        optimizer.step()
    return optimizer, scheduler


def _metrics(seed):
    """Return metrics, and None for a step of the optimizer."""
    rng = random.Random(seed)
    level, calls = 2.0, [1.5, 1.5]  # these two before any step
    while len(calls) < LENGTH:
        level *= rng.choice([0.9, 1.0])
        metric = rng.choice([level + rng.gauss(0, 0.05), level, calls[-1] or level, math.nan, math.inf])
        calls += [None] * rng.choice([0, 1, 1, 2]) + [metric] * rng.choice([1, 1, 2])
    return calls[:LENGTH]


METRICS, OTHER_METRICS = _metrics(1), _metrics(2)
assert {None, math.inf} < set(METRICS[:50])
assert any(METRICS[i] == METRICS[i + 1] is not None for i in range(50))


def play(scheduler, start, stop, metrics=METRICS):
    """Make the calls from start to stop; return the rates and momenta after each, and what the scheduler then holds."""
    followed = []
    for metric in metrics[start:stop]:
        if not isinstance(scheduler, PlateauSequence):
            scheduler.step()
        elif metric is None:
            scheduler.optimizer.step()
        else:
            scheduler.step(metric)
        followed.append((group_lrs(scheduler.optimizer), momenta(scheduler.optimizer)))
    return followed, held(scheduler)


def momenta(optimizer):
    return [group["momentum"] for group in optimizer.param_groups]


def held(scheduler):
    """Return everything that a scheduler shows, as text, so that NaN equals NaN."""
    shown = (scheduler.last_epoch, scheduler.base_lrs, [float(lr) for lr in scheduler.get_last_lr()])
    return repr((shown, getattr(scheduler, "events", None), scheduler.state_dict()))


def played(name, stop=40, metrics=METRICS):
    optimizer, scheduler = make(name)
    play(scheduler, 0, stop, metrics)
    return optimizer, scheduler


def everything(scheduler):
    """Return everything that a refused state must not change."""
    groups = [
        {key: value for key, value in group.items() if key != "params"} for group in scheduler.optimizer.param_groups
    ]
    return repr((groups, held(scheduler)))


def through_json(state):
    return json.loads(json.dumps(state, allow_nan=False))


def through_torch(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


ROUTES = {"json": through_json, "torch": through_torch}


def types_in(value):
    """Return the types that a nested value is made of."""
    if type(value) is dict:
        return {dict}.union(*map(types_in, value), *map(types_in, value.values()))
    if type(value) is list:
        return {list}.union(*map(types_in, value))
    return {type(value)}


PLAIN = {dict, list, str, int, float, bool, type(None)}
