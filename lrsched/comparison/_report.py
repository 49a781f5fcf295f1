"""What a comparison came to: a table of means with their intervals and paired differences, and a drawing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import plot
from ._runs import Run
from ._statistics import interval, p_value

Value = Callable[[Run], Any]


@dataclass(frozen=True)
class Report:
    """The finished runs of a comparison, by setting and seed."""

    runs: list[Run]

    @property
    def settings(self) -> list[str]:
        """The names of the settings."""
        return list(dict.fromkeys(run.setting for run in self.runs))

    def table(self, baseline: str | None = None, *, value: Value | None = None, name: str = "value") -> str:
        """Return a Markdown table: of each setting mean ± half of the 95 % interval over its seeds, by Student's t.

        It shows the validation loss and the first metric after the last epoch. Runs that ended with a value that is
        not finite are left out of a mean and counted as diverged.

        Args:
            baseline: a setting; then come the paired difference to it, seed by seed, of the last column before, with
                its interval and the two-sided p of Student's test.
            value: value(run) -> a number to show instead, None for none.
            name: the heading of `value`.

        Raises ValueError where no setting is called `baseline`.
        """
        if baseline is not None and baseline not in self.settings:
            raise ValueError(f"baseline must be one of {', '.join(map(repr, self.settings))}, got {baseline!r}")
        columns = self._columns() if value is None else {name: value}
        shown = {heading: self._by_seed(function) for heading, function in columns.items()}
        header = ["Setting", "n", *shown]
        if baseline is not None:
            header += [f"{[*shown][-1]} − {baseline}", "p"]
        lines = [header, ["---"] * len(header)]
        for setting in self.settings:
            found = [by_seed[setting] for by_seed in shown.values()]
            line = [setting, str(len(found[-1])), *(_summary(values) for values in found)]
            if baseline is not None:
                line += _difference(found[-1], [*shown.values()][-1][baseline]) if setting != baseline else ["", ""]
            lines.append(line)
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        lines[1] = ["-" * width for width in widths]
        return "\n".join(_line(line, widths) for line in lines)

    def plot(self, axes: tuple[Any, Any] | None = None, *, title: str = "") -> tuple[Any, Any]:
        """Draw validation loss and learning rate by epoch, a line for each setting's mean, a thin one for each seed.

        Args:
            axes: the axes for losses and learning rates, or None for new ones.
            title: a line above.

        Raises ImportError where matplotlib is missing.
        """
        losses, lrs = {}, {}
        for setting in self.settings:
            runs = [run for run in self.runs if run.setting == setting]
            losses[setting] = by_epoch([run.val_loss for run in runs])
            lrs[setting] = by_epoch([[groups[0] for groups in run.lrs] for run in runs])
        return plot.comparison(losses, lrs, axes=axes, title=title)

    def _columns(self) -> dict[str, Value]:
        columns: dict[str, Value] = {"validation loss": lambda run: run.val_loss[-1]}
        for metric in [*self.runs[0].metrics][:1]:
            columns[metric] = lambda run: run.metric[-1]
        return columns

    def _by_seed(self, value: Value) -> dict[str, dict[int, float]]:
        """Return, of each setting, the value of each seed, NaN for None."""
        found: dict[str, dict[int, float]] = {setting: {} for setting in self.settings}
        for run in self.runs:
            number = value(run)
            found[run.setting][run.seed] = math.nan if number is None else float(number)
        return found


def by_epoch(series: list[list[Any]]) -> np.ndarray:
    """Return one line a run, NaN after its end and for None."""
    values = np.full((len(series), max(map(len, series))), np.nan)
    for line, entries in zip(values, series, strict=True):
        line[: len(entries)] = entries
    return values


def _summary(values: dict[int, float]) -> str:
    finite = [value for value in values.values() if math.isfinite(value)]
    diverged = len(values) - len(finite)
    text = _text(*interval(finite)) if finite else ""
    return f"{text} ({diverged} diverged)".strip() if diverged else text


def _difference(values: dict[int, float], baseline: dict[int, float]) -> list[str]:
    pairs = [value - baseline[seed] for seed, value in values.items() if seed in baseline]
    finite = [pair for pair in pairs if math.isfinite(pair)]
    if not finite:
        return ["", ""]
    p = p_value(finite)
    return [_text(*interval(finite), sign="+"), "" if math.isnan(p) else f"{p:.2g}"]


def _text(mean: float, half: float, sign: str = "") -> str:
    """Return mean ± half, to two digits of the half."""
    if not half > 0:
        return f"{mean:{sign}.4g}" + ("" if math.isnan(half) else " ± 0")
    decimals = max(0, 1 - math.floor(math.log10(half)))
    return f"{mean:{sign}.{decimals}f} ± {half:.{decimals}f}"


def _line(cells: list[str], widths: list[int]) -> str:
    return f"| {' | '.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))} |"
