"""The time of one `scheduler.step()` compared with torch's nearest class, alternating in one process.

A sample is a series of steps that takes a few milliseconds. The ratio is that of the medians; its 95 % interval comes
from a bootstrap over pairs of samples.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle, islice

import numpy as np
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import CyclicLR as TorchCyclicLR
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR, LRScheduler, ReduceLROnPlateau, StepLR

from lrsched import CyclicLR, Geometric, GeometricLR, InverseLR, Patience, PlateauSequence, StepDecayLR

from .. import machine
from ..commands import add_out, add_samples, option_parser
from ..files import prepare, write_figures
from ..text_tables import show
from .timing import in_turns, ratio_of_medians, span

Kind = tuple[int, str]  # the number of param groups, and the type of their learning rates: "float" or "tensor"
KINDS: list[Kind] = [(1, "float"), (10, "float"), (1000, "float"), (1, "tensor"), (1000, "tensor")]
NEVER = 10**9  # epochs of patience


@dataclass(frozen=True)
class Pair:
    """A scheduler of this package, torch's nearest class, and the limits on the ratio of their times, by kind."""

    name: str
    ours: Callable[[SGD], LRScheduler]
    torchs: Callable[[SGD], LRScheduler]
    limits: dict[Kind, float]
    calls: tuple[tuple[float, ...], ...] = ((),)  # the arguments of step(), repeated


COMMON = dict(zip(KINDS, (0.55, 0.55, 0.45, 0.40, 0.25), strict=True))  # a step looks before it writes
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
        "PlateauSequence / ReduceLROnPlateau",  # the metric never improves, so both keep waiting
        lambda opt: PlateauSequence(opt, Geometric(0.1), on=Patience(NEVER)),
        lambda opt: ReduceLROnPlateau(opt, patience=NEVER),
        {(1000, "float"): 1.0, (1000, "tensor"): 1.0},
        ((1.0,), (2.0,)),  # two equal metrics in a row would be dropped as a repeat
    ),
]


@dataclass(frozen=True)
class Cost:
    """A line of the result: median times of a step in µs, their ratio with its 95 % interval, and its limit."""

    name: str
    groups: int
    lrs: str
    samples: int
    ours: float
    torchs: float
    ratio: float
    low: float | None
    high: float | None
    limit: float | None

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return ""
        return "met" if self.ratio <= self.limit else "MISSED"


def stepper(make: Callable[[SGD], LRScheduler], kind: Kind) -> Callable[..., None]:
    """Return the `step` of a scheduler whose optimizer has this kind of groups, each of one parameter."""
    groups, lrs = kind
    rates = (torch.tensor(0.1) if lrs == "tensor" else 0.1 for _ in range(groups))
    optimizer = SGD([{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in rates], momentum=0.9)
    scheduler = make(optimizer)
    optimizer.step()  # without it, schedulers warn
    return scheduler.step


def repeat(step: Callable[..., None], calls: Iterator[tuple[float, ...]], steps: int) -> None:
    for arguments in islice(calls, steps):
        step(*arguments)


def steps_for(step: Callable[..., None], calls: Iterator[tuple[float, ...]], seconds: float) -> int:
    """Return how many steps take about `seconds`."""
    started = time.perf_counter()
    repeat(step, calls, 20)
    return math.ceil(20 * seconds / (time.perf_counter() - started))


def measure(pair: Pair, kind: Kind, samples: int, sample_seconds: float = 2e-3) -> Cost:
    """Time both schedulers in turns."""
    contestants, steps = {}, {}
    for name, make in (("ours", pair.ours), ("torch", pair.torchs)):
        step, calls = stepper(make, kind), cycle(pair.calls)
        steps[name] = steps_for(step, calls, sample_seconds)
        contestants[name] = partial(repeat, step, calls, steps[name])
    times = {name: seconds / steps[name] for name, seconds in in_turns(contestants, samples).items()}
    ours, torchs = (float(np.median(times[name])) * 1e6 for name in ("ours", "torch"))
    ratio = ratio_of_medians(times["ours"], times["torch"])
    return Cost(pair.name, *kind, samples, ours, torchs, ratio.value, ratio.low, ratio.high, pair.limits.get(kind))


def cells(costs: list[Cost]) -> list[list[str]]:
    """Return the result as a table; only the first line of a pair names it."""
    lines = [["lrsched / torch", "groups", "lrs", "n", "lrsched µs", "torch µs", "ratio", "95 %", "limit", ""]]
    previous = ""
    for cost in costs:
        name = "" if cost.name == previous else cost.name
        previous = cost.name
        limit = "" if cost.limit is None else f"{cost.limit:.2f}"
        figures = [f"{cost.ours:.1f}", f"{cost.torchs:.1f}", f"{cost.ratio:.3f}", span(cost.low, cost.high, 3)]
        lines.append([name, str(cost.groups), cost.lrs, str(cost.samples), *figures, limit, cost.verdict])
    return lines


def main(argv: list[str]) -> int:
    parser = option_parser("step_cost", __doc__)
    add_samples(parser, 101)
    add_out(parser, "step_cost.json")
    options = parser.parse_args(argv)
    if options.out:
        prepare(options.out)
    torch.set_num_threads(1)
    costs = [measure(pair, kind, options.samples) for pair in PAIRS for kind in KINDS]
    lines = cells(costs)
    show(lines, "Time of one step()", right=lines[0][1:-1])
    judged = [cost.verdict == "met" for cost in costs if cost.limit is not None]
    print("Claim: each ratio of medians is at most its limit.")
    print(f"Limits met: {sum(judged)} of {len(judged)}.")
    print(f"Hardware: {machine.hardware()}.")
    if options.out:
        records = [{**asdict(cost), "verdict": cost.verdict} for cost in costs]
        write_figures(options.out / "step_cost.json", {"costs": records})
    return 0
