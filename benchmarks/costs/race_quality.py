"""How good the runs are that race starts, compared with tuned schedules and with recipes that need no tuning.

Every method trains the same networks from the same weights over the same batches, for the same number of gradient
steps. Validation data choose learning rates, test data give the figures.
"""

from __future__ import annotations

import argparse
import shlex
import time
from pathlib import Path
from typing import Any

import torch

from .. import machine
from ..commands import add_out, add_seeds, chosen, count, option_parser
from ..files import Records, write
from ..text_tables import markdown, show
from .race_figures import Grid, Record, TaskFigures, Tasks, best_factor, task_figures
from .race_grid import CONSTANT, FOLLOWED, GRID, trained
from .race_methods import METHODS
from .race_problems import TINY, Problem, tiny_problem
from .race_report import NOTES, broken, by_method, by_task, claims

STEPS = 500


def race_parser() -> argparse.ArgumentParser:
    parser = option_parser("race_quality", __doc__)
    parser.add_argument("--tasks", metavar="A,B,C", help=f"only these: {', '.join(TINY)}")
    add_seeds(parser, 3)
    parser.add_argument("--steps", type=count, default=STEPS, help="gradient steps of a run (default: %(default)s)")
    add_out(parser, "the results; runs it already holds are not repeated", Path("out/race_quality"))
    return parser


def main(argv: list[str]) -> int:
    options = race_parser().parse_args(argv)
    names = chosen("task", options.tasks, TINY)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # diverged members would be many times slower
    records = Records(options.out, ("task", "seed", "part"), {"steps": options.steps, "threads": 1, "device": "cpu"})
    problems = [tiny_problem(name, options.steps, GRID) for name in names]
    seeds = range(options.seeds)
    for problem in problems:
        grids(problem, seeds, records)
    for problem in problems:
        followed(problem, seeds, records)
    for part in METHODS:
        for problem in problems:
            without_grid(problem, seeds, part, records)
    facts = {"command": f"python -m benchmarks race_quality {shlex.join(argv)}".strip(), **machine.origin()}
    report(records, {problem.name: collected(problem, seeds, records) for problem in problems}, facts)
    return 0


def grids(problem: Problem, seeds: range, records: Records) -> None:
    """Train the grids of learning rates that the records lack."""
    members = [(shape, factor) for shape, factors in problem.grid.items() for factor in factors]
    for seed in seeds:
        _train(problem, seed, problem.parts(members, "grid"), records)


def followed(problem: Problem, seeds: range, records: Records) -> None:
    """Train with the schedulers that follow the validation loss, from the tuned constant rate."""
    members = _followed(problem, seeds, records)
    for seed in seeds:
        _train(problem, seed, members, records)


def _followed(problem: Problem, seeds: range, records: Records) -> dict[str, list[tuple[str, float]]]:
    found = [_grid_records(problem, seed, records) for seed in seeds]
    factor = best_factor([Grid(each) for each in found], CONSTANT, problem.grid[CONSTANT])
    return problem.parts([(shape, factor) for shape in FOLLOWED], f"from the constant × {factor:.3g}")


def _grid_records(problem: Problem, seed: int, records: Records) -> list[Record]:
    members = [(shape, factor) for shape, factors in problem.grid.items() for factor in factors]
    return [records.found[problem.name, seed, part] for part in problem.parts(members, "grid")]


def without_grid(problem: Problem, seeds: range, part: str, records: Records) -> None:
    """Train by a method that needs no grid."""
    for seed in seeds:
        if (problem.name, seed, part) not in records.found:
            _add(records, problem, seed, part, {"runs": METHODS[part](problem, seed, time.process_time)})


def _train(problem: Problem, seed: int, parts: dict[str, list[tuple[str, float]]], records: Records) -> None:
    for part, members in parts.items():
        if (problem.name, seed, part) not in records.found:
            _add(records, problem, seed, part, trained(problem, seed, members, time.process_time))


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
    """Return a task's figures."""
    after = _followed(problem, seeds, records)
    found = []
    for seed in seeds:
        rest = [records.found[problem.name, seed, part] for part in [*after, *METHODS]]
        found.append([*_grid_records(problem, seed, records), *rest])
    own = problem.make_optimizer(list(problem.model(0).parameters())).param_groups[0]["lr"]
    return task_figures(found, own, problem.held_out)


def report(records: Records, tasks: Tasks, facts: dict[str, Any]) -> None:
    """Write and print the tables, and what they say."""
    title = f"{len(tasks)} tasks, {records.config['steps']} steps"
    lines, losses = by_method(tasks), by_task(tasks)
    notes = [*claims(tasks), *beyond(tasks), *NOTES, f"Hardware: {facts['hardware']}."]
    parts = [f"# {title}", markdown(lines), "## Test loss by task", markdown(losses), *notes]
    write(records.folder / "table.md", "\n\n".join(parts) + "\n")
    write(records.folder / "info.json", {**facts, "configuration": records.config})
    show(lines, title, right=lines[0][1:])
    show(losses, "Test loss by task", right=losses[0][1:])
    print(*notes, f"Written to {records.folder}: table.md, runs.jsonl, info.json", sep="\n")


def beyond(tasks: Tasks) -> list[str]:
    """Return the sentence on the tasks that exceed the limit of the worst case, if there are any."""
    names = broken(tasks)
    return [f"Over the limit of the worst case, of all tasks: {', '.join(names)}."] if names else []
