"""The time and memory of `lr_sweep`: all rates side by side, one after another, and as published.

The contestants take turns in one process. A ratio is that of the medians; its 95 % interval comes from a bootstrap over
the turns. "As published" means bare loops that start over for every rate and for each of 1, 2, 4 and 8 epochs; none
ends early. Peak memory is measured in a new process.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lrsched import Sweep, lr_sweep

from .. import machine
from ..commands import add_device, add_out, add_samples, chosen, option_parser
from ..devices import usable
from ..files import prepare, write_figures
from ..replications.sweep_claims import LRS, MARKS
from ..text_tables import show
from .sweep_tasks import FUNCTION, TASKS, Task, cifar10_like, published, teraflops
from .timing import in_turns, ratio_of_medians, span

ALONE_LIMIT, PUBLISHED_LIMIT = 5.0, 9.0
MEMORY = [(50, 50), (200, 50), (400, 50), (200, 100), (200, 200)]  # rates, chunk
STATUS = Path("/proc/self/status")  # on Linux
SIDE, ALONE, PUBLISHED = "side by side", "one after another", "as published"


@dataclass(frozen=True)
class Cost:
    """The median seconds of training side by side and of another contestant, and the ratio of the other's to it."""

    task: str
    against: str
    samples: int
    seconds: float
    other: float
    ratio: float
    low: float | None
    high: float | None
    limit: float | None = None


def run(task: Task, vectorize: str | bool = "auto") -> Sweep:
    return lr_sweep(
        task.model,
        task.make_optimizer,
        task.loss_fn,
        task.batches,
        task.lrs,
        steps=task.steps,
        eval_batches=task.eval_batches,
        vectorize=vectorize,
    )


def costs(task: Task, samples: int, device: torch.device) -> list[Cost]:
    """Time a task's contestants, and compare each with side by side."""
    contestants: dict[str, Callable[[], object]] = {SIDE: lambda: run(task, True), ALONE: lambda: run(task, False)}
    limits = {}
    if task.name == FUNCTION:
        contestants[PUBLISHED] = lambda: published(task, MARKS)
        limits = {ALONE: ALONE_LIMIT, PUBLISHED: PUBLISHED_LIMIT}
    times = in_turns(contestants, samples, device, collect=True)
    side = float(np.median(times[SIDE]))
    found = []
    for name in list(contestants)[1:]:
        ratio = ratio_of_medians(times[name], times[SIDE])
        other = float(np.median(times[name]))
        limit = limits.get(name)
        found.append(Cost(task.name, name, samples, side, other, ratio.value, ratio.low, ratio.high, limit))
    return found


def agreement(task: Task) -> dict[str, Any]:
    """Return how far apart the losses of the two methods are, and what each suggests.

    `apart` is the largest relative difference at the last mark, at rates up to the suggestion; beyond it, training is
    chaotic and rounding alone decides.
    """
    side, alone = run(task, True), run(task, False)
    below = alone.lrs <= (alone.suggestion or np.inf)
    differences = abs(side.losses / alone.losses - 1)[below, -1]
    methods = {"method": side.method, "auto": run(task).method}
    suggestions = {"side": side.suggestion, "alone": alone.suggestion}
    return {"task": task.name, "apart": float(differences.max()), **methods, **suggestions}


def peak(rates: int, chunk: int) -> float:
    """Return by how many MiB a sweep raises the peak memory of this process."""
    torch.set_num_threads(1)
    task = TASKS[FUNCTION]()
    options: dict[str, Any] = {"steps": (1, 2), "vectorize": True}
    lr_sweep(task.model, task.make_optimizer, task.loss_fn, task.batches, LRS[:2], **options)  # torch's own memory
    before = high_water()
    lrs = np.logspace(-6, 0, rates)
    lr_sweep(task.model, task.make_optimizer, task.loss_fn, task.batches, lrs, chunk=chunk, **options)
    return high_water() - before


def high_water() -> float:
    """Return the peak memory of this process in MiB; `getrusage` would include the process that started it."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def peaks(pairs: list[tuple[int, int]]) -> list[dict[str, float]]:
    """Return the peak memory for pairs of rates and chunk, each in its own process."""
    with get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        found = [pool.apply(peak, pair) for pair in pairs]
    return [{"rates": rates, "chunk": chunk, "mib": mib} for (rates, chunk), mib in zip(pairs, found, strict=True)]


def sweep_parser() -> argparse.ArgumentParser:
    parser = option_parser("sweep_cost", __doc__)
    add_samples(parser, 11)
    parser.add_argument("--tasks", metavar="A,B,C", help=f"only these: {', '.join(TASKS)}")
    parser.add_argument("--no-memory", dest="memory", action="store_false", help="do not measure peak memory")
    add_device(parser, "cpu, or cuda to time the CIFAR-10 network instead")
    add_out(parser, "sweep_cost.json")
    return parser


def main(argv: list[str]) -> int:
    options = sweep_parser().parse_args(argv)
    names = chosen("task", options.tasks, TASKS)
    device = usable(options.device)
    if options.out:
        prepare(options.out)
    torch.set_num_threads(1)
    tasks = [TASKS[name]() for name in names] if device.type == "cpu" else [cifar10_like(device)]
    found = [cost for task in tasks for cost in costs(task, options.samples, device)]
    agreements = [agreement(task) for task in tasks]
    memory = peaks(MEMORY) if options.memory and device.type == "cpu" and STATUS.exists() else []
    show_all(found, agreements, memory)
    if device.type != "cpu":
        flop = teraflops(tasks[0])
        print(f"{flop:.2f} TFLOP per step: {flop * tasks[0].steps[-1] / found[0].seconds:.1f} TFLOP/s side by side.")
    print(f"Hardware: {machine.hardware(device)}.")
    if options.out:
        figures = {"costs": [asdict(cost) for cost in found], "agreement": agreements, "memory": memory}
        write_figures(options.out / "sweep_cost.json", figures, options.device)
    return 0


def show_all(found: list[Cost], agreements: list[dict[str, Any]], memory: list[dict[str, float]]) -> None:
    """Print the times, the agreement of the methods, and the memory."""
    lines = [["Sweep of", "against", "n", "side by side", "other", "ratio", "95 %", "limit", ""]]
    for cost in found:
        verdict = "" if cost.limit is None else "met" if cost.ratio >= cost.limit else "MISSED"
        limit = "" if cost.limit is None else f"≥ {cost.limit:g}"
        times = [f"{cost.seconds:.3f} s", f"{cost.other:.3f} s", f"{cost.ratio:.2f}"]
        lines.append([cost.task, cost.against, str(cost.samples), *times, span(cost.low, cost.high, 2), limit, verdict])
    show(lines, "Time of a sweep", right=lines[0][2:-1])
    lines = [["Sweep of", "possible", "auto takes", "losses apart", "suggestion", "alone"]]
    for line in agreements:
        suggestions = [f"{line[name]:.2g}" for name in ("side", "alone")]
        lines.append([line["task"], line["method"], line["auto"], f"{line['apart']:.1e}", *suggestions])
    show(lines, "Agreement of the two methods", right=lines[0][3:])
    if memory:
        lines = [["rates", "chunk", "peak MiB"]]
        lines += [[str(line["rates"]), str(line["chunk"]), f"{line['mib']:.1f}"] for line in memory]
        show(lines, "Memory beyond that of a sweep of two rates, function network", right=lines[0])
