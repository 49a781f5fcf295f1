"""Records of runs, and the JSON-lines file that keeps the finished ones: appended as they end, read when resumed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ._json_lines import append_lines, plain, read_lines

try:
    import fcntl
except ImportError:  # Windows, where two comparisons with one file are the user's to avoid
    fcntl = None  # type: ignore[assignment]

Series = list[float | None]


@dataclass
class Run:
    """What one run, a setting with a seed, came to: one value an epoch, None where it was not finite.

    `metrics` has a list for each metric, the first of them the one that reports compare; `lrs` the learning rates of
    the param groups at the start of each epoch; `events` the advances of a PlateauSequence, as plain Python; `final`
    what `final_fn` returned; `stopped` the epoch after which `stop` ended the run, or None; `resumed` the epochs after
    which the run was resumed from a checkpoint; `method` and `reason` how it was trained and why so; `config` all
    that decides how it ends, but the seed; `finished` whether it has ended and, where there is a file, is on the disk.
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
    method: str = ""
    reason: str = ""
    note: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    finished: bool = False

    @property
    def metric(self) -> Series:
        """The first metric, an empty list where there is none."""
        return next(iter(self.metrics.values()), [])


@contextmanager
def sole_use(path: Path | None) -> Iterator[None]:
    """Keep a file from being opened so by another process; raises OSError where one has done so, or it cannot be used.

    The system ends it with the process and those that it forked, however they end.
    """
    if path is None:
        yield
        return
    owner = os.getpid()
    with _appended(path) as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise OSError(f"out, {path}, is in use by another process") from error
            except OSError:  # a file system without locks
                pass
        try:
            yield
        finally:
            if fcntl is not None and os.getpid() == owner:  # workers that live on hold the file open too
                with suppress(OSError):
                    fcntl.flock(file, fcntl.LOCK_UN)


def _appended(path: Path) -> Any:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab")
    except OSError as error:
        raise OSError(f"cannot write to out, {path}: {error}") from error


class RunFile:
    """The finished runs of one comparison, by setting and seed; in memory only where `path` is None.

    `configs` says of each setting all that decides how its runs end. Lines of other configurations stay in the file
    and are not looked at. A line counts once its newline is written: what a killed process left of one is cut off.
    Raises OSError naming the file where it cannot be used or has a line that is no run.
    """

    def __init__(self, path: Path | None, configs: Mapping[str, dict[str, Any]]) -> None:
        self.path = path
        self.configs = plain(dict(configs))
        self.runs: dict[tuple[str, int], Run] = {}
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
            if record["config"] == self.configs.get(record["setting"]):
                run = Run(**record, finished=True)
                self.runs[run.setting, run.seed] = run
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise OSError(f"{self.path}, line {number}, is no run: {error!r}; remove that line") from error

    def add(self, runs: Iterable[Run]) -> None:
        """Append runs to the file, and see them onto the disk; from then on they are finished."""
        new = {(run.setting, run.seed): run for run in runs}
        runs = [run for pair, run in new.items() if pair not in self.runs]
        for run in runs:
            run.config = self.configs[run.setting]
        if self.path is not None:
            try:
                append_lines(self.path, map(_record, runs))
            except OSError as error:
                raise OSError(f"cannot write to out, {self.path}: {error}; the runs before are kept") from error
        for run in runs:
            run.finished = True
            self.runs[run.setting, run.seed] = run


def _record(run: Run) -> dict[str, Any]:
    record = asdict(run)
    del record["finished"]  # it is, since it stands there
    return record
