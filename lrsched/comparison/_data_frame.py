"""A report as a pandas DataFrame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ._runs import Run, Series
from ._series import LOSSES, names_of, series

if TYPE_CHECKING:
    from pandas import DataFrame as DataFrame


def data_frame(runs: Sequence[Run]) -> DataFrame:
    """Return a DataFrame with one row per run and epoch. Raises ImportError if pandas is missing."""
    try:
        from pandas import DataFrame
    except ImportError as error:
        raise ImportError("to_pandas needs pandas: pip install pandas") from error
    groups = max((len(rates) for run in runs for rates in run.lrs), default=1)
    lrs = ["lr", *(f"lr_{i}" for i in range(1, groups))]
    names = names_of(runs)
    headings = _distinct(names, {"setting", "seed", "epoch", *lrs})
    rows = [row for run in runs for row in _rows(run, groups, names)]
    return DataFrame(rows, columns=["setting", "seed", "epoch", *lrs, *headings])


def _rows(run: Run, groups: int, names: Sequence[str]) -> list[list[Any]]:
    """Return the rows of a run: setting, seed, epoch, the groups' learning rates, then each loss and metric."""
    columns = [series(run, name) for name in names]
    epochs = max(len(run.lrs), *map(len, columns))
    rows = []
    for i in range(epochs):
        lrs: Series = [*run.lrs[i]] if i < len(run.lrs) else []
        lrs += [None] * (groups - len(lrs))
        values = [column[i] if i < len(column) else None for column in columns]
        rows.append([run.setting, run.seed, i + 1, *(math.nan if value is None else value for value in lrs + values)])
    return rows


def _distinct(names: Sequence[str], taken: set[str]) -> list[str]:
    """Return the columns' headings; a metric that has the name of another column becomes "metrics.name"."""
    return [f"metrics.{name}" if name in taken and name not in LOSSES else name for name in names]
