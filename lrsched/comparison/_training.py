"""Trains the planned runs: each process trains its share, and the first one writes the finished runs to the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from .._processes import gathered, rank
from ._batches import UnequalBatchesError
from ._checkpoint import Checkpoint
from ._cohort import Cohort
from ._plan import Plan
from ._runs import Pair, Run, RunFile
from ._side_by_side import AloneError

RunCallback = Callable[[Run], object]  # callback(run)
T = TypeVar("T")


def train_missing(plan: Plan, file: RunFile, checkpoint: Checkpoint, callback: RunCallback) -> None:
    """Train this process's share of the runs that the file does not have, and add them to the file."""
    for pair in plan.pairs:
        if pair in file.runs:
            callback(file.runs[pair])
    groups = plan.groups(file, checkpoint)
    while True:
        new, groups = _train_first(groups, plan, file, checkpoint, callback)
        shares = gathered((new, len(groups)))
        new = [run for runs, _ in shares for run in runs]
        together(partial(file.add, new))
        if new:
            checkpoint.drop()
        for run in new:
            callback(file.runs[run.setting, run.seed])
        if not any(left for _, left in shares):
            return


def _train_first(
    groups: list[list[Pair]], plan: Plan, file: RunFile, checkpoint: Checkpoint, callback: RunCallback
) -> tuple[list[Run], list[list[Pair]]]:
    """Train the first group; return its runs and the groups that are left."""
    if not groups:
        return [], []
    first, *left = groups
    try:
        return _trained(plan.cohort(first), file, checkpoint, callback), left
    except AloneError as error:
        return [], [*plan.replan(first, error.setting, error.reason), *left]
    except UnequalBatchesError:
        return [], plan.split_by_seed(groups)


def _trained(cohort: Cohort, file: RunFile, checkpoint: Checkpoint, callback: RunCallback) -> list[Run]:
    """Train a cohort to its end; return its runs."""
    checkpoint.resume(cohort)
    try:
        while cohort.active:
            runs = cohort.epoch()
            checkpoint.save(cohort, file.configs)
            for run in runs:
                callback(run)
        return [member.finish() for member in cohort.members]
    except Exception as error:
        if hasattr(error, "add_note"):  # since Python 3.11
            error.add_note(f"while training {', '.join(f'{name} seed {seed}' for name, seed in cohort.pairs)}")
        raise


def open_run_file(path: Path | None, configs: Mapping[str, dict[str, Any]]) -> RunFile:
    """Return the file of runs. Only the first process reads and writes it; it sends the runs to the others."""
    file = together(lambda: RunFile(path if rank() == 0 else None, configs))
    file.runs = gathered(file.runs)[0]
    return file


def checkpoint_path(out: Path | None) -> Path | None:
    """Return this process's checkpoint file, beside `out`; None if the folder does not exist on this machine."""
    if out is None or not out.parent.is_dir():
        return None
    suffix = str(rank()) if rank() else ""
    return out.with_name(f"{out.name}.checkpoint{suffix}")


def together(action: Callable[[], T]) -> T:
    """Run an action in all processes and return its result; an OSError in one process is raised in all."""
    problem: OSError | None = None
    try:
        result = action()
    except OSError as error:
        problem = error
    for each in gathered(problem):
        if each is not None:
            raise each
    return result
