"""Records of runs, and the JSON-lines file of finished runs, which are appended as they end and read on resuming."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from ..ensembles._ensemble import Method
from ._configuration import agrees
from ._json_lines import append_lines, plain, read_lines
from ._scheduler_text import comparable

try:
    import fcntl
except ImportError:  # Windows, where users must avoid running two comparisons with one file
    fcntl = None  # type: ignore[assignment]

Pair = tuple[str, int]  # the setting and the seed of a run
Series = list[float | None]  # one value per epoch


@dataclass(repr=False)
class Run:
    """The record of one run, which is a setting trained with a seed.

    `compare` returns runs in a `Report`. `setting` is the name of the setting.

    Values per epoch (None if a value was not finite):
        train_loss: the mean training loss.
        val_loss: the validation loss.
        metrics: name → values; reports compare the first metric.
        lrs: the learning rate of each param group at the start of the epoch.
        batch_lrs: if the scheduler steps after each batch, the first param group's learning rate at each batch of the
            epoch, or a single number if it did not change. Otherwise empty, as it is in records of earlier versions.

    How the run went:
        events: the events of a `PlateauSequence`, as plain Python values.
        final: what `final_fn` returned.
        stopped: the number of epochs after which `stop` ended the run, or None.
        resumed: the numbers of epochs after which the run was resumed from a checkpoint.
        seconds: the time spent on the run; runs that are trained side by side share it equally.
        method, reason: how the run was trained, and why; `method` is empty until training starts.
        note: the `note` given to `compare`.
        config: everything that determines the result, except the seed.
        finished: whether the run has ended and, if there is a file, is on disk.

    >>> from lrsched import Run
    >>> run = Run("fixed", seed=0, val_loss=[0.5, 0.25], metrics={"accuracy": [0.8, 0.9]})
    >>> run.metric
    [0.8, 0.9]
    >>> run
    Run('fixed', seed=0, 2 epochs, val_loss 0.25, accuracy 0.9)
    """

    setting: str
    seed: int
    train_loss: Series = field(default_factory=list)
    val_loss: Series = field(default_factory=list)
    metrics: dict[str, Series] = field(default_factory=dict)
    lrs: list[list[float]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    final: dict[str, Any] = field(default_factory=dict)
    stopped: int | None = None
    resumed: list[int] = field(default_factory=list)
    seconds: float = 0.0
    method: Method | Literal[""] = ""
    reason: str = ""
    note: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    finished: bool = False
    batch_lrs: list[list[float]] = field(default_factory=list)

    @property
    def metric(self) -> Series:
        """The values of the first metric; an empty list if there are no metrics."""
        return next(iter(self.metrics.values()), [])

    def __repr__(self) -> str:
        """Return a short description with the last validation loss and first metric."""
        parts = [repr(self.setting), f"seed={self.seed}", counted(len(self.val_loss), "epoch"), *last_values(self)]
        return f"Run({', '.join(parts)})"


def counted(n: int, noun: str) -> str:
    """Return "1 epoch" or "2 epochs"."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def last_values(run: Run) -> list[str]:
    """Return the last validation loss and the last value of the first metric, each with its name."""
    measured = {"val_loss": run.val_loss, **dict([*run.metrics.items()][:1])}
    return [f"{name} {_shown(series[-1])}" for name, series in measured.items() if series]


def _shown(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"


@contextmanager
def sole_use(path: Path | None) -> Iterator[None]:
    """Lock a file against other processes. Raises OSError if it is locked already or cannot be written.

    The operating system releases the lock when the process ends, however it ends.
    """
    if path is None:
        yield
        return
    owner = os.getpid()
    with _opened_to_append(path) as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise OSError(f"out, {path}, is in use by another process") from error
            except OSError:  # the file system has no locks
                pass
        try:
            yield
        finally:
            if fcntl is not None and os.getpid() == owner:  # forked workers that are still alive keep the file open
                with suppress(OSError):
                    fcntl.flock(file, fcntl.LOCK_UN)


def _opened_to_append(path: Path) -> IO[bytes]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab")
    except OSError as error:
        raise OSError(f"cannot write to out, {path}: {error}") from error


class RunFile:
    """The finished runs of a comparison by setting and seed; only in memory if `path` is None.

    `configs` holds, for each setting, everything that determines its results. Lines with other configurations stay in
    the file and are ignored. A line counts once its newline is written; a line that a killed process left unfinished is
    cut off.

    Raises OSError if the file cannot be used or a line is not a valid run record.
    """

    def __init__(self, path: Path | None, configs: Mapping[str, dict[str, Any]]) -> None:
        self.path = path
        self.configs: dict[str, dict[str, Any]] = plain(dict(configs))
        self.runs: dict[Pair, Run] = {}
        self._wanted = {name: comparable(config) for name, config in self.configs.items()}
        if path is None:
            return
        try:
            lines = read_lines(path)
        except OSError as error:
            raise OSError(f"cannot write to out, {path}: {error}") from error
        for number, line in enumerate(lines, start=1):
            self._take(number, line)

    def _take(self, number: int, line: bytes) -> None:
        try:
            record = json.loads(line)
            if agrees(record["config"], self._wanted.get(record["setting"])):
                run = Run(**record, finished=True)
                self.runs[run.setting, run.seed] = run
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"{self.path}, line {number}, is not a valid run record: {error!r}; remove that line"
            raise OSError(reason) from error

    def add(self, runs: Iterable[Run]) -> None:
        """Append runs to the file and wait until they are on disk; only then do they count as finished."""
        by_pair = {(run.setting, run.seed): run for run in runs}
        new = [run for pair, run in by_pair.items() if pair not in self.runs]
        for run in new:
            run.config = self.configs[run.setting]
        if self.path is not None:
            try:
                append_lines(self.path, map(_record, new))
            except OSError as error:
                raise OSError(f"cannot write to out, {self.path}: {error}; earlier runs are kept") from error
        for run in new:
            run.finished = True
            self.runs[run.setting, run.seed] = run


def _record(run: Run) -> dict[str, Any]:
    record = asdict(run)
    del record["finished"]  # every run in the file is finished
    return record
