"""The report of a comparison: tables, statistics, a picture, a DataFrame."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from .._check import choice, refuse
from ..schedulers._rules import Mode
from ._data_frame import data_frame
from ._drawing import draw_comparison
from ._runs import Run
from ._series import LOSSES, by_epoch, heading, last_value, names_of, rates_by_batch
from ._statistics import Estimate
from ._summary import best_setting, summary
from ._table import Table

if TYPE_CHECKING:
    from ..plot import Axes
    from ._data_frame import DataFrame

Value = Callable[[Run], float | None]  # value(run) -> a number, or None if it is not finite
Metric = str | Value | None
BySeed = dict[int, float]


@dataclass(frozen=True, repr=False)
class Report:
    """The finished runs of a comparison, by setting and seed.

    `compare` returns a report. To judge other runs, make one from a list: `Report(runs).table(baseline="fixed")`.

    Args:
        runs: the runs; tables and drawings show their settings in this order.

    The methods take a `metric`; tables and statistics use its value after a run's last epoch:

    - None: the validation loss;
    - a name: "val_loss", "train_loss", or a metric of the runs; `metrics` lists them;
    - a function: metric(run) -> a number, or None if it is not finite; for statistics only.

    Statistics are Student's, with one value per seed. `difference`, `p_value` and `wins` pair the values by seed.

    >>> from lrsched import Report, Run
    >>> fixed = [Run("fixed", seed, val_loss=[loss]) for seed, loss in enumerate([0.52, 0.50, 0.54])]
    >>> decay = [Run("decay", seed, val_loss=[loss]) for seed, loss in enumerate([0.41, 0.40, 0.42])]
    >>> report = Report(fixed + decay)
    >>> report
    Report(6 runs: 2 settings, seeds 0 to 2, 1 epoch; best validation loss: 'decay', 0.410 ± 0.025)
    >>> print(report.table(baseline="fixed"))
    | Setting | n   | validation loss | validation loss − fixed | p      |
    | ------- | --- | --------------- | ----------------------- | ------ |
    | fixed   | 3   | 0.520 ± 0.050   |                         |        |
    | decay   | 3   | 0.410 ± 0.025   | -0.110 ± 0.025          | 0.0027 |
    >>> difference = report.difference("decay", "fixed")
    >>> round(difference.mean, 3), round(difference.half, 3), difference.n
    (-0.11, 0.025, 3)
    >>> report.wins("decay", "fixed")
    3
    """

    runs: list[Run]

    @property
    def settings(self) -> list[str]:
        """The names of the settings."""
        return list(dict.fromkeys(run.setting for run in self.runs))

    @property
    def metrics(self) -> list[str]:
        """The names that `metric` may have: the two losses, then the metrics of the runs."""
        return names_of(self.runs)

    @property
    def best(self) -> str | None:
        """The setting with the lowest mean validation loss among those with the fewest diverged runs, or None."""
        return best_setting(self.runs)

    def values(self, setting: str, metric: Metric = None) -> BySeed:
        """Return a setting's values by seed, NaN if a value is not finite. Runs that lack the metric are left out.

        Raises ValueError if there is no such setting or metric.
        """
        _require("setting", setting, self.settings)
        runs = [run for run in self.runs if run.setting == setting]
        if callable(metric):
            return {run.seed: _number(metric, run) for run in runs}
        name = "val_loss" if metric is None else metric
        _require("metric", name, self.metrics)
        values = {run.seed: last_value(run, name) for run in runs}
        return {seed: value for seed, value in values.items() if value is not None}

    def interval(self, setting: str, metric: Metric = None) -> Estimate:
        """Return the mean of a setting's finite values with its 95 % interval.

        Raises ValueError if there is no such setting or metric.
        """
        return _finite_estimate([*self.values(setting, metric).values()])

    def difference(self, a: str, b: str, metric: Metric = None) -> Estimate:
        """Return the mean of the differences a − b, paired by seed, with its 95 % interval.

        Seeds for which one of the two values is missing or not finite are left out. Raises ValueError if there is no
        such setting or metric.
        """
        return _finite_estimate([one - other for one, other in self._pairs(a, b, metric)])

    def p_value(self, a: str, b: str, metric: Metric = None) -> float:
        """Return the two-sided p of Student's paired t-test of a and b; NaN for fewer than 3 pairs.

        Raises ValueError if there is no such setting or metric.
        """
        return self.difference(a, b, metric).p_value()

    def wins(self, a: str, b: str, metric: Metric = None, *, mode: Mode | None = None) -> int:
        """Return the number of seeds for which setting a is better than b. A finite value beats one that is not.

        Args:
            a, b: the names of two settings.
            metric: what to compare, None for the validation loss.
            mode: "min" if lower is better, "max" if higher is better. None is "min" for the losses; for other metrics,
                you must say which.

        Raises TypeError or ValueError if there is no such setting or metric, or if `mode` is missing or invalid.
        """
        pairs = self._pairs(a, b, metric)
        if mode is None:
            if metric not in (None, *LOSSES):
                raise ValueError(f'mode must be "min" or "max" for the metric {metric!r}, got None')
            mode = "min"
        sign = 1 if choice("mode", mode, get_args(Mode)) == "min" else -1
        ranks = [[sign * value if math.isfinite(value) else math.inf for value in pair] for pair in pairs]
        return sum(one < other for one, other in ranks)

    def table(
        self,
        baseline: str | None = None,
        *,
        metric: str | None = None,
        value: Value | None = None,
        name: str = "value",
    ) -> str:
        """Return a Markdown table with one row per setting: mean ± half-width of the 95 % interval over seeds.

        The columns are the validation loss and the first metric, both after the last epoch. Values that are not finite
        are left out of the mean and counted as diverged. If fewer than 3 values remain, the table shows these values
        instead of their mean and interval.

        Args:
            baseline: the name of a setting. Adds a column with the difference of the last column from this setting,
                paired by seed, and its two-sided p if there are at least 3 pairs.
            metric: the name of the only metric to show; one of `metrics`.
            value: value(run) -> the only number to show, or None if the run has none.
            name: the heading of the `value` column.

        Raises ValueError if there is no such setting or metric, or if both `metric` and `value` are given.
        """
        return self._table(baseline, metric, value, name).markdown()

    def to_latex(
        self,
        baseline: str | None = None,
        *,
        metric: str | None = None,
        value: Value | None = None,
        name: str = "value",
    ) -> str:
        r"""Return the table of `table`, with the same arguments and figures, as a LaTeX tabular.

        It needs `\usepackage{booktabs}`. Names are escaped.
        """
        return self._table(baseline, metric, value, name).latex()

    def to_pandas(self) -> DataFrame:
        """Return a pandas DataFrame with one row per run and epoch.

        Columns: `setting`, `seed`, `epoch` (from 1), `lr` (the first param group's learning rate at the start of the
        epoch; those of further groups are `lr_1`, `lr_2`, …), `val_loss`, `train_loss`, and each metric under its name,
        or `metrics.<name>` if another column has that name. Values that were not finite are NaN. The learning rates of
        a scheduler that steps after each batch are in `Run.batch_lrs`.

        Raises ImportError if pandas is missing.
        """
        return data_frame(self.runs)

    def plot(
        self, metric: str | None = None, axes: tuple[Axes, Axes] | None = None, *, title: str = ""
    ) -> tuple[Axes, Axes]:
        """Draw the validation loss or another metric, and the learning rates, by epoch.

        Each setting has a line for the mean of its runs at each epoch, a band for the 95 % interval of that mean if
        there are at least 3 runs, and a thin line for each run. The axes fit the runs, so a band may extend beyond
        them. Below is every learning rate of the first param group, including those within an epoch if the scheduler
        steps after each batch.

        Args:
            metric: one of `metrics`; None for the validation loss. Only losses have a logarithmic axis.
            axes: the axes for values and learning rates, or None for new ones.
            title: a title above the drawing.

        Returns both axes. Raises ValueError if there is no such metric or nothing to draw, and ImportError if
        matplotlib is missing.
        """
        name = "val_loss" if metric is None else metric
        _require("metric", name, self.metrics)
        values, rates = {}, {}
        for setting in self.settings:
            runs = [run for run in self.runs if run.setting == setting]
            values[setting], rates[setting] = by_epoch(runs, name), rates_by_batch(runs)
        return draw_comparison(values, rates, axes=axes, title=title, ylabel=heading(name), log=name in LOSSES)

    def __repr__(self) -> str:
        return f"Report({summary(self.runs)})"

    def _repr_markdown_(self) -> str:
        return self._table().rendered_markdown()

    def _repr_html_(self) -> str:
        return self._table().html(summary(self.runs))

    def _table(
        self, baseline: str | None = None, metric: str | None = None, value: Value | None = None, name: str = "value"
    ) -> Table:
        if baseline is not None:
            _require("baseline", baseline, self.settings)
        columns = self._columns(metric, value, name)
        last, compared = columns[-1]
        header = ["Setting", "n", *(title for title, _ in columns)]
        lines = []
        for setting in self.settings:
            found = [[*self.values(setting, shown).values()] for _, shown in columns]
            lines.append([setting, str(len(found[-1])), *map(_cell, found)])
        if baseline is not None:
            header += [f"{last} − {baseline}", "p"]
            for line in lines:
                line += ["", ""] if line[0] == baseline else self._difference(line[0], baseline, compared)
        return Table(header, lines)

    def _columns(self, metric: str | None, value: Value | None, name: str) -> list[tuple[str, str | Value]]:
        """Return the heading of each column and what it shows."""
        if value is not None:
            if metric is not None:
                raise ValueError(f"metric and value must not both be given, got metric={metric!r} and a value")
            if not callable(value):
                refuse("value", "a function of a run, or None", value)
            return [(name, value)]
        if metric is not None:
            _require("metric", metric, self.metrics)
            return [(heading(metric), metric)]
        first = [each for each in self.metrics if each not in LOSSES][:1]
        return [(heading(each), each) for each in ("val_loss", *first)]

    def _difference(self, setting: str, baseline: str, metric: Metric) -> list[str]:
        """Return the cells of the paired difference and its p."""
        found = self.difference(setting, baseline, metric)
        p = found.p_value()
        return [found.text(sign="+") if found.n else "", "" if math.isnan(p) else f"{p:.2g}"]

    def _pairs(self, a: str, b: str, metric: Metric) -> list[tuple[float, float]]:
        """Return the values of two settings for the seeds that both have."""
        first, second = self.values(a, metric), self.values(b, metric)
        return [(value, second[seed]) for seed, value in first.items() if seed in second]


def _require(argument: str, name: object, known: list[str]) -> None:
    if not isinstance(name, str) or name not in known:
        kind = ValueError if isinstance(name, str) else TypeError
        listed = f"one of {', '.join(map(repr, known))}" if known else "the name of a setting, but there are no runs"
        raise kind(f"{argument} must be {listed}, got {name!r}")


def _number(value: Value, run: Run) -> float:
    """Return value(run), NaN for None. Raises TypeError if it is not a number."""
    found = value(run)
    try:
        return math.nan if found is None else float(found)
    except (TypeError, ValueError) as error:
        raise TypeError(f"metric(run) or value(run) must be a number or None, got {found!r} for {run!r}") from error


def _finite_estimate(values: list[float]) -> Estimate:
    return Estimate.of([value for value in values if math.isfinite(value)])


def _cell(values: list[float]) -> str:
    """Return a mean with its interval, and the number of runs that diverged."""
    estimate = _finite_estimate(values)
    diverged = len(values) - estimate.n
    text = estimate.text() if estimate.n else ""
    return f"{text} ({diverged} diverged)".strip() if diverged else text
