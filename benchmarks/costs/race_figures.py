"""The figures of race_quality: each method's test loss on each task, and what they say over all tasks."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np
from scipy.stats import rankdata

from .race_grid import CONSTANT, COSINE, FOLLOWED, LINEAR
from .race_problems import BETWEEN, FACTORS
from .timing import Ratio, bootstrap

TUNED, FINER = f"tuned: {COSINE}", f"tuned: {COSINE}, {len(FACTORS + BETWEEN)} rates"
TUNED_NAMES = {f"tuned: {shape}": shape for shape in (CONSTANT, COSINE, LINEAR)}
FOLLOWED_NAMES = {f"tuned: {CONSTANT}, then {shape}": shape for shape in FOLLOWED}
CAP = 10.0  # losses count up to this multiple of the untrained network's loss
CONSTANT_SHARE = 0.98  # a run that ends above this share of a constant answer's loss is lost
COUNTED = 0.01  # smaller differences, relative to the untrained network's loss, do not count
MEAN_LIMIT, WORST_LIMIT, COST_LIMIT = 1.08, 1.5, 1.3
Record = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """A method on a task: the mean test loss over seeds, diverged and lost runs, steps in runs, seconds, factors."""

    test: float
    diverged: int
    lost: int
    runs: float
    seconds: float
    factors: tuple[float, ...]


@dataclass(frozen=True)
class TaskFigures:
    """The figures of all methods on a task, by method."""

    untrained: float
    held_out: bool
    found: Mapping[str, Figure]

    def ratio(self, method: str, to: str = TUNED, *, counted: bool = False) -> float:
        """Return a method's loss over another's; 1 if `counted` and the difference is too small to count."""
        loss, other = self.found[method].test, self.found[to].test
        if counted and abs(loss - other) < COUNTED * self.untrained:
            return 1.0
        return loss / other


@dataclass(frozen=True)
class Scale:
    """The test losses of the untrained network and of the best constant answer."""

    untrained: float
    constant: float

    def losses(self, found: list[float | None]) -> list[float]:
        """Return recorded losses up to the cap; null stands for NaN and infinity."""
        return [min(_number(loss, math.inf), CAP * self.untrained) for loss in found]

    def lost(self, losses: list[float], diverged: list[bool]) -> int:
        """Return how many runs diverged or do no better than a constant answer."""
        least = CONSTANT_SHARE * self.constant
        return sum(bad or loss > least for loss, bad in zip(losses, diverged, strict=True))


def task_figures(seeds: list[list[Record]], own: float, held_out: bool, constant: float) -> TaskFigures:
    """Return the figures from the records of a task, given by seed.

    `own` is the optimizer's own rate, `constant` the loss of the best constant answer.
    """
    untrained = fmean(records[0]["untrained"] for records in seeds)
    scale = Scale(untrained, constant)
    grids = [Grid([record for record in records if "members" in record]) for records in seeds]
    others = [{name: run for record in records for name, run in record.get("runs", {}).items()} for records in seeds]
    found = {name: _direct([runs[name] for runs in others], own, scale) for name in others[0]}
    return TaskFigures(untrained, held_out, found | _tuned(grids, scale))


class Grid:
    """The runs of one seed's grid, by shape and factor."""

    def __init__(self, records: list[Record]) -> None:
        self.valid: dict[tuple[str, float], float] = {}
        self.test: dict[tuple[str, float], float] = {}
        self.diverged: dict[tuple[str, float], bool] = {}
        self.seconds: dict[tuple[str, float], float] = {}
        for record in records:
            for i, (shape, factor) in enumerate(record["members"]):
                key = shape, factor
                self.valid[key] = _number(record["valid"][i], math.inf)
                self.test[key] = _number(record["test"][i], math.inf)
                self.diverged[key] = record["diverged"][i]
                self.seconds[key] = record["seconds"] / len(record["members"])

    def factors(self, shape: str) -> list[float]:
        return sorted(factor for other, factor in self.valid if other == shape)


def _tuned(grids: list[Grid], scale: Scale) -> dict[str, Figure]:
    """Return the figures of the methods whose rate is the best of a grid on validation data, over all seeds."""
    found = {}
    for name, shape in TUNED_NAMES.items():
        if factors := [factor for factor in grids[0].factors(shape) if factor in FACTORS]:
            found[name] = _best(grids, shape, factors, scale)
    if len(grids[0].factors(COSINE)) > len(FACTORS):
        found[FINER] = _best(grids, COSINE, grids[0].factors(COSINE), scale)
    for name, shape in FOLLOWED_NAMES.items():
        if grids[0].factors(shape):
            constant = found[f"tuned: {CONSTANT}"]
            run = _best(grids, shape, constant.factors, scale)
            found[name] = replace(run, runs=constant.runs + 1, seconds=constant.seconds + run.seconds)
    return found


def best_factor(grids: list[Grid], shape: str, factors: Iterable[float]) -> float:
    """Return the factor with the lowest mean validation loss over the seeds."""
    return min(factors, key=lambda factor: fmean(grid.valid[shape, factor] for grid in grids))


def _best(grids: list[Grid], shape: str, factors: Collection[float], scale: Scale) -> Figure:
    best = best_factor(grids, shape, factors)
    losses = scale.losses([grid.test[shape, best] for grid in grids])
    diverged = [grid.diverged[shape, best] for grid in grids]
    seconds = fmean(sum(grid.seconds[shape, factor] for factor in factors) for grid in grids)
    return Figure(fmean(losses), sum(diverged), scale.lost(losses, diverged), len(factors), seconds, (best,))


def _direct(runs: list[Record], own: float, scale: Scale) -> Figure:
    losses = scale.losses([run["test"] for run in runs])
    diverged = [run["diverged"] for run in runs]
    steps, seconds = fmean(run["runs"] for run in runs), fmean(run["seconds"] for run in runs)
    factors = tuple(run["lr"] / own for run in runs)
    return Figure(fmean(losses), sum(diverged), scale.lost(losses, diverged), steps, seconds, factors)


def _number(value: float | None, otherwise: float) -> float:
    """Return a recorded number; null stands for NaN and infinity."""
    return otherwise if value is None else value


Tasks = Mapping[str, TaskFigures]


def geometric(ratios: Iterable[float]) -> Ratio:
    """Return the geometric mean and its 95 % interval by bootstrap over the tasks."""
    return bootstrap(lambda logs: np.exp(logs.mean(-1)), np.log([*ratios]))


def worst(tasks: Tasks, method: str, *, counted: bool = False) -> tuple[float, str]:
    """Return a method's largest ratio to the tuned cosine, and the task."""
    return max((task.ratio(method, counted=counted), name) for name, task in tasks.items())


def ranks(tasks: Tasks, methods: list[str]) -> dict[str, float]:
    """Return each method's mean rank over the tasks; 1 is the lowest loss."""
    table = np.array([rankdata([task.found[method].test for method in methods]) for task in tasks.values()])
    return dict(zip(methods, table.mean(0).tolist(), strict=True))
