"""What training side by side saves: all runs of a published table as one ensemble, against the loop of a single run.

The contestants take turns in one process, on noise in the images' place: the time does not depend on them. The time of
a whole table is a step's times the steps of all its runs, validation left out; that of the loop is of SGD, the faster.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lrsched import Ensemble

from .. import machine
from ..devices import usable
from ..errors import BenchmarkError
from ..replications import cifar10, mnist, report
from ..replications.table import count
from ..replications.training import batch_loss
from ..results import prepare, write
from . import bounds
from .step_cost import interval
from .sweep_cost import measure

SHAPES = {"mnist": (60_000, 1, 28, 28), "cifar10": (50_000, 3, 32, 32)}
TABLES = {"mnist": mnist.BENCHMARK, "cifar10": cifar10.BENCHMARK}
LOOP, STACKED, RECORDED = "plain loop", "ensemble", "ensemble, CUDA graphs"
LIMIT = 10.0  # times as fast as the loop, on a GPU
ROWS = 10_000  # images of noise at most


@dataclass(frozen=True)
class Cost:
    """What a step takes, of one run in a loop or of all runs, and what a whole table would take.

    `ratio` is how many times longer the loop takes for a table, `low` to `high` its 95 % interval; `bounds` are the
    least times of a step's bytes, operations and launches.
    """

    table: str
    contestant: str
    runs: int
    steps: int
    seconds: float
    table_seconds: float
    ratio: float
    low: float
    high: float
    bounds: dict[str, float]


class Contest:
    """One table's contestants: each a function that takes one training step."""

    def __init__(self, name: str, seeds: int, device: torch.device) -> None:
        self.name, self.benchmark, self.device = name, TABLES[name], device
        self.settings = sorted(self.benchmark.settings.values(), key=lambda setting: setting.adam)
        self.members = len(self.settings) * seeds
        samples, *shape = SHAPES[name]
        self.table_steps = -(-samples // self.benchmark.batch_size) * self.benchmark.epochs
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(min(samples, ROWS), *shape, generator=generator)
        labels = torch.randint(10, (len(images),), generator=generator)
        self.data = images.to(device), labels.to(device)
        self.loss_fn = partial(batch_loss, self.benchmark.loss)

    def contestants(self) -> dict[str, Callable[[], object]]:
        found = {LOOP: self.loop(), STACKED: self.ensemble(record=False)}
        return found | ({RECORDED: self.ensemble(record=True)} if self.device.type == "cuda" else {})

    def rows(self, shape: tuple[int, ...]) -> Iterator[Tensor]:
        """Yield the rows of batch after batch, for an epoch at a time."""
        while True:
            order = torch.stack([torch.randperm(len(self.data[0])) for _ in range(int(np.prod(shape)))])
            cut = order.to(self.device).split(self.benchmark.batch_size, dim=1)
            yield from (rows.reshape(*shape, -1) for rows in cut)

    def batches(self, shape: tuple[int, ...] = ()) -> Iterator[tuple[Tensor, ...]]:
        return (tuple(part[rows] for part in self.data) for rows in self.rows(shape))

    def loop(self) -> Callable[[], object]:
        """Return a step of one run, as anyone would write it."""
        torch.manual_seed(0)
        model = self.benchmark.network().to(self.device)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        batches = self.batches()

        def step() -> None:
            optimizer.zero_grad()
            self.loss_fn(model, next(batches)).backward()
            optimizer.step()

        return step

    def ensemble(self, record: bool) -> Callable[[], object]:
        """Return a step of all runs, each with its own batch."""
        torch.manual_seed(0)
        models = [self.benchmark.network().to(self.device) for _ in range(self.members)]
        settings = [setting for setting in self.settings for _ in range(self.members // len(self.settings))]
        ensemble = Ensemble(models, [setting.optimizer for setting in settings], self.members, record=record)
        lrs, batches = [setting.lr * (1 + i / 100) for i, setting in enumerate(settings)], self.batches((self.members,))
        return lambda: ensemble.step(self.loss_fn, next(batches), lrs, batch_dim=0)


def costs(contest: Contest, steps: int, turns: int) -> list[Cost]:
    """Time a table's contestants, in turns of steps / turns each."""
    contestants, each = contest.contestants(), -(-steps // turns)
    times = measure({name: partial(repeat, step, each) for name, step in contestants.items()}, turns, contest.device)
    speed, found = bounds.speed(contest.device), []
    for name, step in contestants.items():
        runs = 1 if name == LOOP else contest.members
        seconds, loop = float(np.median(times[name])) / each, float(np.median(times[LOOP])) / each
        low, high = (value * runs for value in interval(np.stack([times[LOOP], times[name]])))
        least = {} if name == RECORDED else bounds.work(step).seconds(speed)
        whole = seconds * contest.table_steps * contest.members / runs
        found.append(
            Cost(contest.name, name, runs, each * turns, seconds, whole, loop * runs / seconds, low, high, least)
        )
    return found


def repeat(step: Callable[[], object], times: int) -> None:
    for _ in range(times):
        step()


def bound_of(found: list[Cost], cost: Cost) -> tuple[str, float]:
    """Return what bounds a contestant and how many times longer than that it takes.

    A recorded pass does the work of one that is called, but launches its kernels as one.
    """
    stacked = next(each for each in found if each.table == cost.table and each.contestant == STACKED)
    least = dict(cost.bounds or stacked.bounds)
    if cost.contestant == RECORDED:
        least.pop("launches")
    name = max(least, key=lambda kind: least[kind])
    return name, cost.seconds / least[name]


def cells(found: list[Cost]) -> list[list[str]]:
    lines = [["Table", "contestant", "runs", "steps", "ms a step", "a table", "ratio", "95 %", "bound", "over it"]]
    for cost in found:
        kind, over = bound_of(found, cost)
        span = f"{cost.low:.2f}-{cost.high:.2f}"
        figures = [f"{1000 * cost.seconds:.3f}", f"{cost.table_seconds:.0f} s", f"{cost.ratio:.2f}", span]
        lines.append([cost.table, cost.contestant, str(cost.runs), str(cost.steps), *figures, kind, f"{over:.1f}"])
    return lines


def verdicts(found: list[Cost]) -> list[str]:
    """Return, for each table on a GPU, whether the fastest ensemble meets the limit."""
    lines = []
    for name in dict.fromkeys(cost.table for cost in found):
        best = max((cost for cost in found if cost.table == name), key=lambda cost: cost.ratio)
        met = "met" if best.low >= LIMIT else "MISSED"
        lines.append(f"{name}: {best.contestant} {best.ratio:.1f} times as fast as the loop, limit {LIMIT:g}: {met}.")
    return lines


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks compare_cost", description=__doc__.splitlines()[0])
    parser.add_argument("--tables", default=",".join(TABLES), help="joined by commas (default: %(default)s)")
    parser.add_argument("--seeds", type=count, default=5, help="seeds a setting (default: %(default)s)")
    parser.add_argument("--steps", type=count, default=2000, help="timed steps a contestant (default: %(default)s)")
    parser.add_argument("--turns", type=count, default=10, help="turns that share them (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write compare_cost.json into")
    return parser


def main(argv: list[str]) -> int:
    options = parser().parse_args(argv)
    names = options.tables.split(",")
    if unknown := [name for name in names if name not in TABLES]:
        raise BenchmarkError(f"unknown table {unknown[0]!r}; there are {', '.join(TABLES)}")
    device = usable(options.device)
    if options.out:
        prepare(options.out)
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False  # as in the tables
    found = [
        cost for name in names for cost in costs(Contest(name, options.seeds, device), options.steps, options.turns)
    ]
    lines = cells(found)
    report.show(lines, "Time of a training step", right=lines[0][2:8])
    print(*(verdicts(found) if device.type == "cuda" else []), f"Hardware: {machine.hardware(device)}.", sep="\n")
    if options.out:
        where: dict[str, Any] = {"hardware": machine.hardware(device), "versions": machine.versions()}
        where |= {"commit": machine.commit(), "costs": [asdict(cost) for cost in found], "verdicts": verdicts(found)}
        write(options.out / "compare_cost.json", where)
    return 0
