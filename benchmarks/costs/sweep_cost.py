"""The time and memory of `lr_sweep`: all rates side by side, one after another, and as published.

Contestants take turns in one process; a ratio is that of the medians, its 95 % interval by bootstrap over the turns. As
published means bare loops: for each of 1, 2, 4 and 8 epochs every rate anew; none ends early. Peak memory is that of a
fresh process.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lrsched import Sweep, lr_sweep

from .. import machine
from ..devices import usable
from ..replications import report
from ..replications.function_claims import LRS, MARKS
from ..replications.table import count
from ..results import prepare, write
from .step_cost import interval
from .sweep_tasks import FUNCTION, TASKS, Task, cifar10_like, published, teraflops

ALONE_LIMIT, PUBLISHED_LIMIT = 5.0, 9.0
MEMORY = [(50, 50), (200, 50), (400, 50), (200, 100), (200, 200)]  # rates, chunk
STATUS = Path("/proc/self/status")  # of Linux
SIDE, ALONE, PUBLISHED = "side by side", "one after another", "as published"


@dataclass(frozen=True)
class Cost:
    """Median seconds of side by side and of another contestant, and how many times longer the other takes."""

    task: str
    against: str
    samples: int
    seconds: float
    other: float
    ratio: float
    low: float
    high: float
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


def measure(contestants: dict[str, Callable[[], object]], samples: int, device: torch.device) -> dict[str, np.ndarray]:
    """Return the seconds of each contestant, in turns, another one first each time; the first turn does not count."""
    names = list(contestants)
    times: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(samples + 1):
        for i in range(len(names)):
            name = names[(turn + i) % len(names)]
            gc.collect()
            started = time.perf_counter()
            contestants[name]()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times[name].append(time.perf_counter() - started)
    return {name: np.array(values[1:]) for name, values in times.items()}


def costs(task: Task, samples: int, device: torch.device) -> list[Cost]:
    """Time a task's contestants."""
    contestants: dict[str, Callable[[], object]] = {SIDE: lambda: run(task, True), ALONE: lambda: run(task, False)}
    limits = {}
    if task.name == FUNCTION:
        contestants[PUBLISHED] = lambda: published(task, MARKS)
        limits = {ALONE: ALONE_LIMIT, PUBLISHED: PUBLISHED_LIMIT}
    times = measure(contestants, samples, device)
    found = []
    for name, seconds in list(times.items())[1:]:
        low, high = interval(np.stack([seconds, times[SIDE]]))
        medians = float(np.median(times[SIDE])), float(np.median(seconds))
        ratio = medians[1] / medians[0]
        found.append(Cost(task.name, name, samples, *medians, ratio, low, high, limits.get(name)))
    return found


def agreement(task: Task) -> dict[str, Any]:
    """Return how far the losses of the two methods lie apart, and what each suggests.

    `apart` is the largest relative difference at the last mark, at rates up to the suggestion: beyond, training is
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
    lr_sweep(task.model, task.make_optimizer, task.loss_fn, task.batches, LRS[:2], **options)  # what torch itself takes
    before = high_water()
    lrs = np.logspace(-6, 0, rates)
    lr_sweep(task.model, task.make_optimizer, task.loss_fn, task.batches, lrs, chunk=chunk, **options)
    return high_water() - before


def high_water() -> float:
    """Return the peak memory of this process in MiB; `getrusage` would count that of the process that started it."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def peaks(pairs: list[tuple[int, int]]) -> list[dict[str, float]]:
    """Return the peak memory for pairs of rates and chunk, each in a process of its own."""
    with get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        found = [pool.apply(peak, pair) for pair in pairs]
    return [{"rates": rates, "chunk": chunk, "mib": mib} for (rates, chunk), mib in zip(pairs, found, strict=True)]


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks sweep_cost", description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=count, default=11, help="timed runs a contestant (default: %(default)s)")
    parser.add_argument("--tasks", default=",".join(TASKS), help="names, joined by commas (default: all)")
    parser.add_argument("--no-memory", dest="memory", action="store_false", help="leave out peak memory")
    parser.add_argument("--device", default="cpu", help="cuda: the CIFAR-10 network instead (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write sweep_cost.json into")
    return parser


def main(argv: list[str]) -> int:
    options = parser().parse_args(argv)
    names = options.tasks.split(",")
    unknown = [name for name in names if name not in TASKS]
    if unknown:
        parser().error(f"no task is called {unknown[0]!r}; there are {', '.join(TASKS)}")
    device = usable(options.device)
    if options.out:
        prepare(options.out)
    torch.set_num_threads(1)
    tasks = [TASKS[name]() for name in names] if device.type == "cpu" else [cifar10_like(device)]
    found = [cost for task in tasks for cost in costs(task, options.samples, device)]
    agreements = [agreement(task) for task in tasks]
    memory = peaks(MEMORY) if options.memory and device.type == "cpu" and STATUS.exists() else []
    show(found, agreements, memory)
    if device.type != "cpu":
        flop = teraflops(tasks[0])
        print(f"{flop:.2f} TFLOP a step: {flop * tasks[0].steps[-1] / found[0].seconds:.1f} TFLOP/s side by side.")
    print(f"Hardware: {machine.hardware(device)}.")
    if options.out:
        where = {"hardware": machine.hardware(device), "versions": machine.versions(), "commit": machine.commit()}
        records = {"costs": [asdict(cost) for cost in found], "agreement": agreements, "memory": memory}
        write(options.out / "sweep_cost.json", {**where, **records})
    return 0


def show(found: list[Cost], agreements: list[dict[str, Any]], memory: list[dict[str, float]]) -> None:
    """Print what was measured, and the verdicts."""
    lines = [["Sweep of", "against", "n", "side by side", "other", "ratio", "95 %", "limit", ""]]
    for cost in found:
        span = f"{cost.low:.2f}-{cost.high:.2f}"
        verdict = "" if cost.limit is None else "met" if cost.ratio >= cost.limit else "MISSED"
        limit = "" if cost.limit is None else f"≥ {cost.limit:g}"
        times = [f"{cost.seconds:.3f} s", f"{cost.other:.3f} s", f"{cost.ratio:.2f}"]
        lines.append([cost.task, cost.against, str(cost.samples), *times, span, limit, verdict])
    report.show(lines, "Time of a sweep", right=lines[0][2:-1])
    lines = [["Sweep of", "possible", "auto takes", "losses apart", "suggestion", "alone"]]
    for line in agreements:
        suggestions = [f"{line[name]:.2g}" for name in ("side", "alone")]
        lines.append([line["task"], line["method"], line["auto"], f"{line['apart']:.1e}", *suggestions])
    report.show(lines, "Agreement of the two methods", right=lines[0][3:])
    if memory:
        lines = [["rates", "chunk", "peak MiB"]]
        lines += [[str(line["rates"]), str(line["chunk"]), f"{line['mib']:.1f}"] for line in memory]
        report.show(lines, "Memory beyond a sweep of two rates, function network", right=lines[0])
