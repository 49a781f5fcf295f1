"""A report in one line: how many settings, seeds and epochs, and the best setting."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ._runs import Run, counted
from ._series import last_value
from ._statistics import Estimate

_NAME_WIDTH = 40


def summary(runs: Sequence[Run]) -> str:
    """Return the number of runs, settings, seeds and epochs, and the setting with the lowest validation loss."""
    if not runs:
        return "no runs"
    settings = {run.setting for run in runs}
    what = f"{counted(len(runs), 'run')}: {counted(len(settings), 'setting')}, {_seeds(runs)}, {_epochs(runs)}"
    best = best_setting(runs)
    if best is None:
        return f"{what}; no finite validation loss"
    name = best if len(best) <= _NAME_WIDTH else f"{best[: _NAME_WIDTH - 1]}…"
    return f"{what}; best validation loss: {name!r}, {Estimate.of(_finite(_losses(runs, best)))}"


def best_setting(runs: Sequence[Run]) -> str | None:
    """Return the setting with the lowest mean loss among those with the fewest diverged runs; None if all diverged."""
    ranks: dict[str, tuple[int, float]] = {}
    for setting in dict.fromkeys(run.setting for run in runs):
        losses = _losses(runs, setting)
        finite = _finite(losses)
        if finite:
            ranks[setting] = len(losses) - len(finite), Estimate.of(finite).mean
    return min(ranks, key=lambda setting: ranks[setting], default=None)


def _losses(runs: Sequence[Run], setting: str) -> list[float]:
    values = [last_value(run, "val_loss") for run in runs if run.setting == setting]
    return [value for value in values if value is not None]


def _finite(values: list[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]


def _seeds(runs: Sequence[Run]) -> str:
    by_setting: dict[str, set[int]] = {}
    for run in runs:
        by_setting.setdefault(run.setting, set()).add(run.seed)
    seeds = [*by_setting.values()]
    if any(each != seeds[0] for each in seeds):
        counts = [len(each) for each in seeds]
        return "1 seed each" if max(counts) == 1 else f"{_span(counts)} seeds each"
    first, last, n = min(seeds[0]), max(seeds[0]), len(seeds[0])
    if n == 1:
        return f"seed {first}"
    return f"seeds {first} to {last}" if last - first == n - 1 else f"{n} seeds"


def _epochs(runs: Sequence[Run]) -> str:
    lengths = [len(run.val_loss) for run in runs]
    return counted(lengths[0], "epoch") if len(set(lengths)) == 1 else f"{_span(lengths)} epochs"


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"
