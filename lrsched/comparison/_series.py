"""What a report shows of its runs: the losses and metrics by name, as arrays over epochs, and every learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ._runs import Run, Series

LOSSES = {"val_loss": "validation loss", "train_loss": "training loss"}  # the losses' names, and as headings


def names_of(runs: Sequence[Run]) -> list[str]:
    """Return the names of the losses, then of the metrics of any run."""
    return list(dict.fromkeys([*LOSSES, *(name for run in runs for name in run.metrics)]))


def heading(name: str) -> str:
    return LOSSES.get(name, name)


def series(run: Run, name: str) -> Series:
    """Return the values of a loss or metric, one per epoch; an empty list if the run does not have it."""
    losses = {"val_loss": run.val_loss, "train_loss": run.train_loss}
    return losses[name] if name in losses else run.metrics.get(name, [])


def last_value(run: Run, name: str) -> float | None:
    """Return the value after the last epoch, NaN if it was not finite; None if the run does not have it."""
    values = series(run, name)
    return None if not values else math.nan if values[-1] is None else float(values[-1])


def by_epoch(runs: Sequence[Run], name: str) -> np.ndarray:
    """Return an array (runs, epochs), with NaN for values that were not finite and after a run's end."""
    every = [series(run, name) for run in runs]
    values = np.full((len(every), max(map(len, every), default=0)), np.nan)
    for row, entries in zip(values, every, strict=True):
        row[: len(entries)] = entries
    return values


def rates_by_batch(runs: Sequence[Run]) -> np.ndarray:
    """Return the first param group's learning rates, (runs, epochs, rates per epoch), with NaN after a run's end.

    The last axis has the largest number of rates in any epoch; an epoch with fewer shows each of them for longer.
    """
    every = [_rates(run) for run in runs]
    longest = max(map(len, every), default=0)
    width = max((len(rates) for run in every for rates in run), default=1)
    values = np.full((len(every), longest, width), np.nan)
    for row, run in zip(values, every, strict=True):
        for target, rates in zip(row, run, strict=False):
            target[:] = np.asarray(rates, dtype=float)[np.arange(width) * len(rates) // width]
    return values


def _rates(run: Run) -> list[list[float]]:
    """Return the rates of each epoch; only the first, if not all were recorded."""
    complete = len(run.batch_lrs) >= len(run.lrs)
    return run.batch_lrs if complete else [groups[:1] for groups in run.lrs]
