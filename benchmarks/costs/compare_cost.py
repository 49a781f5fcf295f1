"""The time saved by training side by side: all runs of a published table as one ensemble, or one run in a plain loop.

On a GPU, both also recorded as CUDA graphs, and ResNet-32, whose runs gain nothing side by side, alone in three
arithmetics. The contestants take turns in one process. Images are noise, which does not change the time. The time of a
whole table is a step's time multiplied by the steps of all its runs, without validation. The loop trains with SGD, the
faster of the two optimizers.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lrsched import Ensemble

from .. import machine
from ..commands import add_device, add_out, add_seeds, chosen, count, option_parser
from ..devices import Arithmetic, computing_in, in_arithmetic, spoken, usable
from ..files import prepare, write_figures
from ..replications import cifar10, images, mnist
from ..replications.metrics import batch_loss
from ..replications.settings import ADDED
from ..text_tables import show
from . import step_bounds
from .timing import in_turns, ratio_of_medians, span

SHAPES = {"mnist": (60_000, 1, 28, 28), "cifar10": (50_000, 3, 32, 32), "images": (50_000, 3, 32, 32)}
TABLES = {"mnist": mnist.BENCHMARK, "cifar10": cifar10.BENCHMARK, "images": images.BENCHMARK}
ALONE = ("images",)  # tables whose runs do not train side by side
GRAPHS = ", CUDA graphs"
LOOP, STACKED = "plain loop", "ensemble"
LOOP_RECORDED, RECORDED = LOOP + GRAPHS, STACKED + GRAPHS
ARITHMETICS: dict[Arithmetic, str] = {name: spoken(name) for name in ("float32", "tf32", "bfloat16")}
LIMIT = 10.0  # times as fast as the loop: what an ensemble must reach on a GPU
ROWS = 10_000  # the most images of noise
Step = Callable[[], object]
LossFn = Callable[[Any, Any], Tensor]


@dataclass(frozen=True)
class Cost:
    """The time of a step, of one run in a loop or of all runs, and of a whole table.

    `ratio` is the loop's time for a table divided by this contestant's; `low` to `high` is its 95 % interval. `bounds`
    holds the least time that a step's bytes, operations and launches take.
    """

    table: str
    contestant: str
    runs: int
    steps: int
    seconds: float
    table_seconds: float
    ratio: float
    low: float | None
    high: float | None
    bounds: dict[str, float]


class Contest:
    """One table's contestants: each a function that takes one training step."""

    def __init__(self, name: str, seeds: int, device: torch.device) -> None:
        self.name, self.benchmark, self.device = name, TABLES[name], device
        published = [setting for name, setting in self.benchmark.settings.items() if name not in ADDED]
        self.settings = sorted(published, key=lambda setting: setting.adam)
        self.members = len(self.settings) * seeds
        samples, *shape = SHAPES[name]
        self.table_steps = -(-samples // self.benchmark.batch_size) * self.benchmark.published_epochs
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(min(samples, ROWS), *shape, generator=generator)
        labels = torch.randint(10, (len(images),), generator=generator)
        self.data = images.to(device), labels.to(device)
        self.loss_fn = partial(batch_loss, self.benchmark.loss)

    def contestants(self) -> dict[str, Step]:
        """Return the contestants by name, the plain loop first."""
        on_gpu, alone = self.device.type == "cuda", self.name in ALONE
        found: dict[str, Step] = {}
        for arithmetic, words in ARITHMETICS.items() if alone else [("float32", "")]:
            if on_gpu or arithmetic != "tf32":
                found[LOOP + words] = self.loop(arithmetic)
            if on_gpu:
                found[LOOP + words + GRAPHS] = self.loop(arithmetic, record=True)
        if not alone:
            found[STACKED] = self.ensemble(record=False)
            if on_gpu:
                found[RECORDED] = self.ensemble(record=True)
        return found

    def rows(self, shape: tuple[int, ...]) -> Iterator[Tensor]:
        """Yield the row numbers of one batch after another, shuffled anew for each epoch."""
        while True:
            order = torch.stack([torch.randperm(len(self.data[0])) for _ in range(int(np.prod(shape)))])
            cut = order.to(self.device).split(self.benchmark.batch_size, dim=1)
            yield from (rows.reshape(*shape, -1) for rows in cut)

    def batches(self, shape: tuple[int, ...] = ()) -> Iterator[tuple[Tensor, ...]]:
        return (tuple(part[rows] for part in self.data) for rows in self.rows(shape))

    def loop(self, arithmetic: Arithmetic = "float32", record: bool = False) -> Step:
        """Return a step of one run, in an ordinary loop, or recorded as `compare` records it on a GPU."""
        torch.manual_seed(0)
        model = computing_in(arithmetic, self.benchmark.network)().to(self.device)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        batches = self.batches()
        add_gradients = recorded(model) if record else lambda loss_fn, batch: loss_fn(model, batch).backward()

        def step() -> None:
            with in_arithmetic(arithmetic, self.device):
                optimizer.zero_grad()
                add_gradients(self.loss_fn, next(batches))
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


def recorded(model: torch.nn.Module) -> Callable[[LossFn, Any], object]:
    """Return a backward pass that is recorded as a CUDA graph."""
    from lrsched.ensembles._recorded_model import RecordedModel

    return RecordedModel(model).backward


def costs(contest: Contest, steps: int, turns: int) -> list[Cost]:
    """Time a table's contestants; each takes steps / turns steps in each turn."""
    contestants, each = contest.contestants(), -(-steps // turns)
    calls = {name: partial(repeat, step, each) for name, step in contestants.items()}
    times = in_turns(calls, turns, contest.device, collect=True)
    speed = step_bounds.speed(contest.device)
    found = []
    for name, step in contestants.items():
        runs = 1 if name.startswith(LOOP) else contest.members
        bounded = name in (LOOP, STACKED)  # the others do the same work, or compute faster than float32
        seconds = float(np.median(times[name])) / each
        ratio = ratio_of_medians(runs * times[LOOP], times[name])
        found.append(
            Cost(
                table=contest.name,
                contestant=name,
                runs=runs,
                steps=each * turns,
                seconds=seconds,
                table_seconds=seconds * contest.table_steps * contest.members / runs,
                ratio=ratio.value,
                low=ratio.low,
                high=ratio.high,
                bounds=step_bounds.work(step).seconds(speed) if bounded else {},
            )
        )
    return found


def repeat(step: Callable[[], object], times: int) -> None:
    for _ in range(times):
        step()


def bound_of(found: list[Cost], cost: Cost) -> tuple[str, float] | None:
    """Return what bounds a contestant, and its time divided by that bound; None if its bounds are not known.

    A recorded step does the same work as an ordinary one, but in a single launch.
    """
    ordinary = cost.contestant.removesuffix(GRAPHS)
    least = next(dict(each.bounds) for each in found if (each.table, each.contestant) == (cost.table, ordinary))
    if cost.contestant != ordinary:
        least.pop("launches", None)
    if not least:
        return None
    name = max(least, key=lambda kind: least[kind])
    return name, cost.seconds / least[name]


def cells(found: list[Cost]) -> list[list[str]]:
    header = ["Table", "contestant", "runs", "steps", "ms per step", "whole table", "ratio", "95 %", "bound", "× bound"]
    lines = [header]
    for cost in found:
        bound = bound_of(found, cost)
        counts = [str(cost.runs), str(cost.steps)]
        times = [f"{1000 * cost.seconds:.3f}", f"{cost.table_seconds:.0f} s"]
        ratio = [f"{cost.ratio:.2f}", span(cost.low, cost.high, 2)]
        bounds = ["–", "–"] if bound is None else [bound[0], f"{bound[1]:.1f}"]
        lines.append([cost.table, cost.contestant, *counts, *times, *ratio, *bounds])
    return lines


def verdicts(found: list[Cost]) -> list[str]:
    """Return how fast the recorded loops are, and whether the fastest ensemble of each table meets the limit."""
    loops = [cost for cost in found if cost.contestant.startswith(LOOP) and cost.contestant.endswith(GRAPHS)]
    lines = [f"{times_as_fast(cost)}." for cost in loops]
    for name in dict.fromkeys(cost.table for cost in found if cost.contestant == STACKED):
        ensembles = [cost for cost in found if cost.table == name and cost.contestant.startswith(STACKED)]
        best = max(ensembles, key=lambda cost: cost.ratio)
        lines.append(f"{times_as_fast(best)}, limit {LIMIT:g}: {met(best)}.")
    return lines


def times_as_fast(cost: Cost) -> str:
    return f"{cost.table}: {cost.contestant} {cost.ratio:.1f} times as fast as the loop"


def met(cost: Cost) -> str:
    if cost.low is None:
        return "not judged (fewer than 3 turns)"
    return "met" if cost.low >= LIMIT else "MISSED"


def compare_parser() -> argparse.ArgumentParser:
    parser = option_parser("compare_cost", __doc__)
    parser.add_argument("--tables", metavar="A,B", help=f"only these: {', '.join(TABLES)}")
    add_seeds(parser, 5)
    parser.add_argument("--steps", type=count, default=2000, help="timed steps per contestant (default: %(default)s)")
    parser.add_argument("--turns", type=count, default=10, help="turns they are split into (default: %(default)s)")
    add_device(parser, "cpu or cuda")
    add_out(parser, "compare_cost.json")
    return parser


def main(argv: list[str]) -> int:
    options = compare_parser().parse_args(argv)
    names = chosen("table", options.tables, TABLES)
    device = usable(options.device)
    if options.out:
        prepare(options.out)
    torch.set_num_threads(1)
    contests = (Contest(name, options.seeds, device) for name in names)
    with in_arithmetic("float32", device):  # as for the tables
        found = [cost for contest in contests for cost in costs(contest, options.steps, options.turns)]
    lines = cells(found)
    show(lines, "Time of a training step", right=lines[0][2:8])
    if device.type == "cuda":
        print(*verdicts(found), sep="\n")
    print(f"Hardware: {machine.hardware(device)}.")
    if options.out:
        figures = {"costs": [asdict(cost) for cost in found], "verdicts": verdicts(found)}
        write_figures(options.out / "compare_cost.json", figures, options.device)
    return 0
