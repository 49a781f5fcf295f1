"""The report of a comparison: a table of means, intervals and paired differences, and a drawing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._drawing import draw_comparison
from ._runs import Run, Series
from ._statistics import interval, p_value

FEWEST = 3  # with fewer values, a table shows the values instead of their mean and interval

Value = Callable[[Run], float | None]
BySeed = dict[int, float]


@dataclass(frozen=True)
class Report:
    """The finished runs of a comparison, by setting and seed.

    `compare` returns a report. To judge other runs, make one from a list: `Report(runs).table(baseline="fixed")`.

    Args:
        runs: the runs; tables and drawings show their settings in this order.

    >>> from lrsched import Report, Run
    >>> fixed = [Run("fixed", seed, val_loss=[loss]) for seed, loss in enumerate([0.52, 0.50, 0.54])]
    >>> decay = [Run("decay", seed, val_loss=[loss]) for seed, loss in enumerate([0.41, 0.40, 0.42])]
    >>> print(Report(fixed + decay).table(baseline="fixed"))
    | Setting | n   | validation loss | validation loss − fixed | p      |
    | ------- | --- | --------------- | ----------------------- | ------ |
    | fixed   | 3   | 0.520 ± 0.050   |                         |        |
    | decay   | 3   | 0.410 ± 0.025   | -0.110 ± 0.025          | 0.0027 |
    """

    runs: list[Run]

    @property
    def settings(self) -> list[str]:
        """The names of the settings."""
        return list(dict.fromkeys(run.setting for run in self.runs))

    def table(self, baseline: str | None = None, *, value: Value | None = None, name: str = "value") -> str:
        """Return a Markdown table with one row per setting: mean ± half-width of the 95 % interval over seeds.

        Intervals and p are Student's. The columns are the validation loss and the first metric, both after the last
        epoch. Values that are not finite are left out of the mean and counted as diverged. If fewer than 3 values
        remain, the table shows these values instead of their mean and interval.

        Args:
            baseline: the name of a setting. Adds a column with the difference of the last column from this setting,
                paired by seed, and its two-sided p if there are at least 3 pairs.
            value: value(run) -> a number to show in place of loss and metric, or None if the run has none.
            name: the heading of the `value` column.

        Raises ValueError if no setting is called `baseline`.
        """
        if baseline is not None and baseline not in self.settings:
            raise ValueError(f"baseline must be one of {', '.join(map(repr, self.settings))}, got {baseline!r}")
        shown = self._columns() if value is None else {name: value}
        columns = {heading: self._by_seed(function) for heading, function in shown.items()}
        last, compared = [*columns.items()][-1]
        lines = [[setting, *_cells(setting, columns)] for setting in self.settings]
        header = ["Setting", "n", *columns]
        if baseline is not None:
            header += [f"{last} − {baseline}", "p"]
            for setting, line in zip(self.settings, lines, strict=True):
                line += ["", ""] if setting == baseline else _difference(compared[setting], compared[baseline])
        return _markdown(header, lines)

    def plot(self, axes: tuple[Any, Any] | None = None, *, title: str = "") -> tuple[Any, Any]:
        """Draw validation loss and learning rate by epoch: each setting's mean, and a thin line for each seed.

        Args:
            axes: the axes for losses and learning rates, or None for new ones.
            title: a title above the drawing.

        Returns both axes. Raises ImportError if matplotlib is missing.
        """
        losses, lrs = {}, {}
        for setting in self.settings:
            runs = [run for run in self.runs if run.setting == setting]
            losses[setting] = _by_epoch([run.val_loss for run in runs])
            lrs[setting] = _by_epoch([[groups[0] for groups in run.lrs] for run in runs])
        return draw_comparison(losses, lrs, axes=axes, title=title)

    def _columns(self) -> dict[str, Value]:
        """Return the columns by heading: the last validation loss, and the last value of the first metric."""
        columns: dict[str, Value] = {"validation loss": lambda run: run.val_loss[-1]}
        if self.runs[0].metrics:
            columns[next(iter(self.runs[0].metrics))] = lambda run: run.metric[-1]
        return columns

    def _by_seed(self, value: Value) -> dict[str, BySeed]:
        """Return the value of each setting and seed, with NaN for None."""
        found: dict[str, BySeed] = {setting: {} for setting in self.settings}
        for run in self.runs:
            number = value(run)
            found[run.setting][run.seed] = math.nan if number is None else float(number)
        return found


def _by_epoch(series: list[Series]) -> np.ndarray:
    """Return one row per run, with NaN for None and after the run's end."""
    values = np.full((len(series), max(map(len, series))), np.nan)
    for row, entries in zip(values, series, strict=True):
        row[: len(entries)] = entries
    return values


def _cells(setting: str, columns: dict[str, dict[str, BySeed]]) -> list[str]:
    """Return the number of runs of a setting and its cell in each column."""
    values = [[*by_setting[setting].values()] for by_setting in columns.values()]
    return [str(len(values[-1])), *map(_summary, values)]


def _summary(values: list[float]) -> str:
    finite = [value for value in values if math.isfinite(value)]
    diverged = len(values) - len(finite)
    text = _text(finite)
    return f"{text} ({diverged} diverged)".strip() if diverged else text


def _difference(values: BySeed, baseline: BySeed) -> list[str]:
    """Return the cells of the paired difference and its p."""
    pairs = [value - baseline[seed] for seed, value in values.items() if seed in baseline]
    finite = [pair for pair in pairs if math.isfinite(pair)]
    return [_text(finite, sign="+"), f"{p_value(finite):.2g}" if len(finite) >= FEWEST else ""]


def _text(values: list[float], sign: str = "") -> str:
    """Return mean ± half-width, with two digits of the half-width, or the values themselves if they are too few."""
    if len(values) < FEWEST:
        return ", ".join(f"{value:{sign}.4g}" for value in values)
    mean, half = interval(values)
    if half == 0:
        return f"{mean:{sign}.4g} ± 0"
    decimals = max(0, 1 - math.floor(math.log10(half)))
    return f"{mean:{sign}.{decimals}f} ± {half:.{decimals}f}"


def _markdown(header: list[str], lines: list[list[str]]) -> str:
    widths = [max(3, *map(len, column)) for column in zip(header, *lines, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |"
        for line in [header, rule, *lines]
    )
