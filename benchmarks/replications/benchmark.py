"""The definition of a table: its settings, data, network and columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from .datasets import Dataset, Split
from .metrics import Columns, stands_still
from .settings import AS_WRITTEN, Setting
from .table_rows import Published, Row, curves, notes

WRITTEN = "-as-written"  # ends the name of a table as written


@dataclass(frozen=True)
class Benchmark:
    """Everything that defines one table.

    What is trained:
        settings: the rows, by name. `added`: the method of the rows that users may add; None if they may not.
        data: returns the dataset in a folder (None: download it). `takes_data`: whether `--data` is an option.
        network, loss, batch_size: as published.
        epochs, seeds: the defaults of the options. `full_epochs`: the published epochs, if different.
        batches: takes the training images and the batch size, and makes a function that returns an epoch's batches;
            None to shuffle the images and cut them into batches.
        stop: takes the validation losses so far and returns whether the run ends now.
    What is shown:
        name, title, claim: the dataset's name comes before the title, which says what is compared.
        command: the words after `python -m benchmarks`, if they are not the name.
        columns, published: how the columns are computed, and the published figures.
        drawings: functions that draw the PNG files, by file name.
        shorter_remark: a sentence on how shorter runs differ.
    as_written: the table of `--as-written`, which follows the published text, not the authors' code.
    """

    name: str
    title: str
    claim: str
    settings: Mapping[str, Setting]
    data: Callable[[Path | None], Dataset]
    network: Callable[[], nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor]
    columns: Columns
    epochs: int
    seeds: int
    batch_size: int
    takes_data: bool = False
    published: Mapping[str, Published] = field(default_factory=dict)
    drawings: Mapping[str, Callable[[list[Row], str], bytes]] = field(default_factory=lambda: {"curves.png": curves})
    batches: Callable[[Split, int], Callable[[], Iterable[tuple[Tensor, Tensor]]]] | None = None
    stop: Callable[[list[float]], bool] | None = stands_still
    as_written: Benchmark | None = None
    full_epochs: int | None = None
    command: str | None = None
    added: str | None = None
    shorter_remark: str = ""

    @property
    def published_epochs(self) -> int:
        return self.full_epochs or self.epochs

    @property
    def words(self) -> list[str]:
        """The words after `python -m benchmarks`: the command's name, then its options."""
        return (self.command or self.name).split()

    def remarks(self, rows: list[Row], epochs: int) -> list[str]:
        """Return the paragraphs below a table whose runs had `epochs` epochs."""
        remarks = notes(rows)
        if self.shorter_remark and epochs < self.published_epochs:
            remarks.append(self.shorter_remark)
        return remarks


def with_written(run: Benchmark, **changes: Any) -> Benchmark:
    """Return a table with its `--as-written` version: the settings of the text, no early stop, and `changes`."""
    written = replace(
        run,
        name=run.name + WRITTEN,
        title=f"{run.title}, as written",
        command=f"{run.name} --as-written",
        settings=AS_WRITTEN,
        stop=None,
        **changes,
    )
    return replace(run, as_written=written)
