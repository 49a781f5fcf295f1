"""The time of one `scheduler.step()`, ours against torch's nearest class, alternating in one process.

A sample is enough steps in a row to last milliseconds; ours and torch's samples take turns, so that whatever slows the
machine slows both. The ratio is that of the medians, its 95 % interval by bootstrap over the pairs of samples.
"""

from __future__ import annotations

import argparse
import gc
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import CyclicLR as TorchCyclicLR
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR, LRScheduler, ReduceLROnPlateau, StepLR

from lrsched import CyclicLR, Geometric, GeometricLR, InverseLR, Patience, PlateauSequence, StepDecayLR

from .. import machine
from ..replications import report
from ..replications.table import count
from ..results import prepare, write

Kind = tuple[int, str]  # how many groups, and what their learning rates are: "float" or "tensor"
KINDS: list[Kind] = [(1, "float"), (10, "float"), (1000, "float"), (1, "tensor"), (1000, "tensor")]
NEVER = 10**9  # epochs of patience


@dataclass(frozen=True)
class Pair:
    """A scheduler of ours, torch's nearest, and the limits on the ratio of their times, by kind of groups."""

    name: str
    ours: Callable[[SGD], LRScheduler]
    torchs: Callable[[SGD], LRScheduler]
    limits: dict[Kind, float]
    calls: tuple[tuple[float, ...], ...] = ((),)  # the arguments of step(), again and again


COMMON = dict(zip(KINDS, (0.45, 0.45, 0.40, 0.35, 0.20), strict=True))
PAIRS = [
    Pair("InverseLR / LambdaLR", InverseLR, lambda opt: LambdaLR(opt, lambda k: 1 / (k + 1)), COMMON),
    Pair(
        "GeometricLR / ExponentialLR",
        lambda opt: GeometricLR(opt, gamma=0.9999),
        lambda opt: ExponentialLR(opt, gamma=0.9999),
        COMMON,
    ),
    Pair(
        "CyclicLR / CyclicLR",
        lambda opt: CyclicLR(opt, base_lr=1e-3, max_lr=1e-1, step_size_up=50),  # momentum cycles too
        lambda opt: TorchCyclicLR(opt, base_lr=1e-3, max_lr=1e-1, step_size_up=50),
        dict.fromkeys(KINDS, 0.6),
    ),
    Pair(
        "StepDecayLR / StepLR",
        lambda opt: StepDecayLR(opt, drop=0.999, interval=10),
        lambda opt: StepLR(opt, step_size=10, gamma=0.999),
        {(1000, "tensor"): 0.35},
    ),
    Pair(
        "PlateauSequence / ReduceLROnPlateau",  # the metric does not improve on its first value; both wait
        lambda opt: PlateauSequence(opt, Geometric(0.1), on=Patience(NEVER)),
        lambda opt: ReduceLROnPlateau(opt, patience=NEVER),
        {(1000, "float"): 1.0, (1000, "tensor"): 1.0},
        ((1.0,), (2.0,)),  # two equal ones in a row would be dropped as a repeat
    ),
]


@dataclass(frozen=True)
class Cost:
    """One line of the result: median times of a step in µs, their ratio with its 95 % interval, and its limit."""

    name: str
    groups: int
    lrs: str
    samples: int
    ours: float
    torchs: float
    ratio: float
    low: float
    high: float
    limit: float | None

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return ""
        return "met" if self.ratio <= self.limit else "MISSED"


def stepper(make: Callable[[SGD], LRScheduler], kind: Kind) -> Callable[..., None]:
    """Return the `step` of a scheduler over so many one-parameter groups."""
    groups, lrs = kind
    rates = (torch.tensor(0.1) if lrs == "tensor" else 0.1 for _ in range(groups))
    optimizer = SGD([{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in rates], momentum=0.9)
    scheduler = make(optimizer)
    optimizer.step()  # schedulers warn where it has not been called
    return scheduler.step


def sample(step: Callable[..., None], calls: Iterator[tuple[float, ...]], steps: int) -> float:
    """Return the seconds of one step, over so many in a row."""
    started = time.perf_counter()
    for arguments in islice(calls, steps):
        step(*arguments)
    return (time.perf_counter() - started) / steps


def measure(pair: Pair, kind: Kind, samples: int, sample_seconds: float = 2e-3) -> Cost:
    """Time both schedulers in turns, the one that goes first changing each time, with the garbage collector off."""
    both = [(stepper(make, kind), cycle(pair.calls)) for make in (pair.ours, pair.torchs)]
    times = np.empty((2, samples))
    warm = [sample(step, calls, 20) for step, calls in both]
    steps = [math.ceil(sample_seconds / seconds) for seconds in warm]
    gc.collect()
    gc.disable()
    try:
        for i in range(samples):
            for which in (0, 1) if i % 2 else (1, 0):
                times[which, i] = sample(*both[which], steps[which])
    finally:
        gc.enable()
    ours, torchs = np.median(times, axis=1) * 1e6
    low, high = interval(times)
    limit = pair.limits.get(kind)
    return Cost(pair.name, *kind, samples, float(ours), float(torchs), float(ours / torchs), low, high, limit)


def interval(times: np.ndarray, resamples: int = 1000) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the ratio of the medians of two rows of paired times."""
    chosen = np.random.default_rng(0).integers(times.shape[1], size=(resamples, times.shape[1]))
    ours, torchs = np.median(times[:, chosen], axis=2)
    low, high = np.percentile(ours / torchs, [2.5, 97.5])
    return float(low), float(high)


def cells(costs: list[Cost]) -> list[list[str]]:
    """Return the result's header and lines; a pair is named in its first line only."""
    lines = [["Ours / torch's", "groups", "lrs", "n", "ours µs", "torch µs", "ratio", "95 %", "limit", ""]]
    named = ""
    for cost in costs:
        name, named = "" if cost.name == named else cost.name, cost.name
        limit = "" if cost.limit is None else f"{cost.limit:.2f}"
        figures = [f"{cost.ours:.1f}", f"{cost.torchs:.1f}", f"{cost.ratio:.3f}", f"{cost.low:.3f}-{cost.high:.3f}"]
        lines.append([name, str(cost.groups), cost.lrs, str(cost.samples), *figures, limit, cost.verdict])
    return lines


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks step_cost", description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=count, default=101, help="timed samples a scheduler (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write step_cost.json into")
    options = parser.parse_args(argv)
    if options.out:
        prepare(options.out)
    torch.set_num_threads(1)
    costs = [measure(pair, kind, options.samples) for pair in PAIRS for kind in KINDS]
    hardware = machine.hardware()
    lines = cells(costs)
    report.show(lines, "Time of one step()", right=lines[0][1:-1])
    judged = [cost.verdict == "met" for cost in costs if cost.limit is not None]
    print(
        "Claim: each ratio of medians is at most its limit.", f"Limits met: {sum(judged)} of {len(judged)}.", sep="\n"
    )
    print(f"Hardware: {hardware}.")
    if options.out:
        where = {"hardware": hardware, "versions": machine.versions(), "commit": machine.commit()}
        records = [{**asdict(cost), "verdict": cost.verdict} for cost in costs]
        write(options.out / "step_cost.json", {**where, "costs": records})
    return 0
