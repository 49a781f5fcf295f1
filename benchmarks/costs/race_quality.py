"""How good the runs are that race starts, compared with tuned schedules and with recipes that need no tuning.

Every method trains the same networks from the same weights over the same batches, for the same number of gradient
steps. Validation data choose learning rates, test data give the figures.
"""

from __future__ import annotations

import argparse
import shlex
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from .. import machine
from ..commands import BenchmarkError, add_device, add_out, add_seeds, add_threads, chosen, count, option_parser
from ..devices import synchronize, usable
from ..files import Records, write
from ..text_tables import markdown, show
from .race_figures import Grid, Record, TaskFigures, Tasks, best_factor, task_figures
from .race_grid import CONSTANT, COSINE, FOLLOWED, GRID, LINEAR, trained
from .race_large import LARGE, Place
from .race_large import STEPS as LARGE_STEPS
from .race_methods import METHODS, WIDE, one_by_one
from .race_problems import FACTORS, TINY, Problem, tiny_problem
from .race_report import NOTES, broken, by_method, by_task, claims

STEPS = 500
SHORTEST = 64
FEW = FACTORS[3:8]  # the multiples of the optimizer's own rate that a large task's grid has on a CPU: 0.3 to 32


def race_parser() -> argparse.ArgumentParser:
    parser = option_parser("race_quality", __doc__)
    parser.add_argument("--size", choices=("tiny", "large"), default="tiny", help="of the tasks (default: %(default)s)")
    parser.add_argument("--tasks", metavar="A,B,C", help=f"only these: {', '.join(TINY)}; large: {', '.join(LARGE)}")
    add_seeds(parser, 3)
    parser.add_argument("--steps", type=count, help=f"of a run (default: {STEPS}; large: {', '.join(_lengths())})")
    parser.add_argument("--data", type=Path, metavar="DIR", help="large: folder with CIFAR-10 and MNIST, or folders of")
    add_device(parser, "large: cpu, which trains at few rates, one after another; or cuda, at ten, side by side")
    add_threads(parser)
    parser.add_argument("--show", action="store_true", help="train nothing: write the tables of what has been trained")
    add_out(parser, "the results; runs it already holds are not repeated (default: out/race_quality)")
    return parser


def _lengths() -> list[str]:
    return [f"{name} {steps}" for name, steps in LARGE_STEPS.items()]


def main(argv: list[str]) -> int:
    options = race_parser().parse_args(argv)
    if (options.steps or STEPS) < SHORTEST:
        raise BenchmarkError(f"--steps must be at least {SHORTEST}, for the rungs of a race, got {options.steps}")
    device = usable(options.device)
    if options.size == "tiny" and device.type != "cpu":
        raise BenchmarkError(f"--device {options.device}: tiny tasks train on the CPU; add --size large")
    torch.set_num_threads(options.threads)
    problems = tiny(options) if options.size == "tiny" else large(options, device)
    folder = options.out or Path("out", "race_quality" if options.size == "tiny" else "race_quality-large")
    records = Records(folder, ("task", "seed", "part"), configuration(options))
    seeds = range(options.seeds)
    if not options.show:
        torch.set_flush_denormal(True)  # diverged members would be many times slower
        try:
            train(problems, seeds, records)
        finally:
            torch.set_flush_denormal(False)
    facts = {"command": f"python -m benchmarks race_quality {shlex.join(argv)}".strip(), **machine.origin(device)}
    ready = [problem for problem in problems if has_grid(problem, seeds, records)]
    if not ready:
        raise BenchmarkError(f"--show: no task has its grid of learning rates for {options.seeds} seeds yet")
    report(records, {problem.name: collected(problem, seeds, records) for problem in ready}, facts)
    return 0


def train(problems: list[Problem], seeds: range, records: Records) -> None:
    """Train all that the records lack."""
    for problem in problems:
        grids(problem, seeds, records)
    for part in methods(problems[0]):
        for problem in problems:
            without_grid(problem, seeds, part, records)
    for problem in problems:
        followed(problem, seeds, records)


def tiny(options: argparse.Namespace) -> list[Problem]:
    """Return the tiny tasks, with all grids."""
    names = chosen("task", options.tasks, TINY)
    return [tiny_problem(name, options.steps or STEPS, GRID) for name in names]


def large(options: argparse.Namespace, device: torch.device) -> list[Problem]:
    """Return the large tasks; on a CPU with a small grid, whose runs train one after another."""
    stacked = device.type != "cpu"
    grid = {CONSTANT: FACTORS, COSINE: FACTORS, LINEAR: FACTORS} if stacked else {COSINE: FEW}
    found = [LARGE[name](Place(options.data, device)) for name in chosen("task", options.tasks, LARGE)]
    facts = {"grid": grid, "stacked": stacked, "device": device}
    return [replace(each, **facts, steps=options.steps or each.steps) for each in found]


def configuration(options: argparse.Namespace) -> dict[str, Any]:
    """Return everything that determines a result besides task, seed and part."""
    if options.size == "tiny":
        return {"steps": options.steps or STEPS, "threads": options.threads, "device": "cpu"}
    lengths = options.steps or LARGE_STEPS
    return {"size": "large", "steps": lengths, "threads": options.threads, "device": options.device}


def methods(problem: Problem) -> list[str]:
    """Return the methods without a grid that a problem is trained by; nine rates are for tiny tasks."""
    return [name for name in METHODS if name != WIDE or problem.name in TINY]


def grids(problem: Problem, seeds: range, records: Records) -> None:
    """Train the grids of learning rates that the records lack."""
    for seed in seeds:
        _train(problem, seed, problem.parts(_grid_members(problem), "grid"), records)


def has_grid(problem: Problem, seeds: range, records: Records) -> bool:
    """Return whether a task's grid has been trained."""
    parts = problem.parts(_grid_members(problem), "grid")
    return all((problem.name, seed, part) in records.found for seed in seeds for part in parts)


def _grid_members(problem: Problem) -> list[tuple[str, float]]:
    return [(shape, factor) for shape, factors in problem.grid.items() for factor in factors]


def followed(problem: Problem, seeds: range, records: Records) -> None:
    """Train with the schedulers that follow the validation loss, from the tuned constant rate."""
    members = _followed(problem, seeds, records)
    for seed in seeds:
        _train(problem, seed, members, records)


def _followed(problem: Problem, seeds: range, records: Records) -> dict[str, list[tuple[str, float]]]:
    if CONSTANT not in problem.grid:
        return {}
    found = [_grid_records(problem, seed, records) for seed in seeds]
    factor = best_factor([Grid(each) for each in found], CONSTANT, problem.grid[CONSTANT])
    return problem.parts([(shape, factor) for shape in FOLLOWED], f"from the constant × {factor:.3g}")


def _grid_records(problem: Problem, seed: int, records: Records) -> list[Record]:
    parts = problem.parts(_grid_members(problem), "grid")
    return [records.found[problem.name, seed, part] for part in parts]


def without_grid(problem: Problem, seeds: range, part: str, records: Records) -> None:
    """Train by a method that needs no grid."""
    for seed in seeds:
        if (problem.name, seed, part) not in records.found:
            _add(records, problem, seed, part, {"runs": METHODS[part](problem, seed, _clock(problem))})


def _train(problem: Problem, seed: int, parts: dict[str, list[tuple[str, float]]], records: Records) -> None:
    for part, members in parts.items():
        if (problem.name, seed, part) not in records.found:
            run = trained if problem.stacked else one_by_one
            _add(records, problem, seed, part, run(problem, seed, members, _clock(problem)))


def _clock(problem: Problem) -> Callable[[], float]:
    """Return the processor's time, or the time of day if a GPU does the work."""

    def clock() -> float:
        synchronize(problem.device)
        return time.perf_counter()

    return time.process_time if problem.device.type == "cpu" else clock


def _add(records: Records, problem: Problem, seed: int, part: str, found: dict[str, Any]) -> None:
    records.add({"task": problem.name, "seed": seed, "part": part, **_rounded(found)})
    print(f"{problem.name}, seed {seed}: {part}", flush=True)


def _rounded(value: Any) -> Any:
    """Return a record with its numbers rounded to six digits."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, (list, tuple)) else value


def collected(problem: Problem, seeds: range, records: Records) -> TaskFigures:
    """Return a task's figures, from the parts that all seeds have."""
    names = [*_followed(problem, seeds, records), *methods(problem)]
    parts = [part for part in names if all((problem.name, seed, part) in records.found for seed in seeds)]
    found = []
    for seed in seeds:
        rest = [records.found[problem.name, seed, part] for part in parts]
        found.append([*_grid_records(problem, seed, records), *rest])
    own = problem.make_optimizer(list(problem.model(0).parameters())).param_groups[0]["lr"]
    return task_figures(found, own, problem.held_out, problem.constant_loss())


def report(records: Records, tasks: Tasks, facts: dict[str, Any]) -> None:
    """Write and print the tables, and what they say."""
    title = f"{len(tasks)} task{'s' * (len(tasks) > 1)}, {lengths(records.config)}"
    lines, losses = by_method(tasks), by_task(tasks)
    notes = [*claims(tasks), *beyond(tasks), *NOTES, f"Hardware: {facts['hardware']}."]
    parts = [f"# {title}", markdown(lines), "## Test loss by task", markdown(losses), *notes]
    write(records.folder / "table.md", "\n\n".join(parts) + "\n")
    write(records.folder / "info.json", {**facts, "configuration": records.config})
    show(lines, title, right=lines[0][1:])
    show(losses, "Test loss by task", right=losses[0][1:])
    print(*notes, f"Written to {records.folder}: table.md, runs.jsonl, info.json", sep="\n")


def lengths(config: dict[str, Any]) -> str:
    """Return how long the runs are, and how long they should be."""
    steps = config["steps"]
    if isinstance(steps, dict):
        return ", ".join(_lengths()) + " steps"
    return f"{steps} steps" + (f" (reduced from {', '.join(_lengths())})" if "size" in config else "")


def beyond(tasks: Tasks) -> list[str]:
    """Return the sentence on the tasks that exceed the limit of the worst case, if there are any."""
    names = broken(tasks)
    return [f"Over the limit of the worst case, of all tasks: {', '.join(names)}."] if names else []
