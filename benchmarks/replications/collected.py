"""The contents of a folder of results: tables, each of one benchmark and configuration, and records of studies."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lrsched import Run

from .. import machine
from ..commands import BenchmarkError
from ..devices import Arithmetic, spoken
from . import cifar10, digits, images, mnist
from .benchmark import WRITTEN, Benchmark
from .datasets import size
from .settings import Setting
from .stats import FEWEST
from .table_rows import Heading, Row, length, summary
from .verdicts import Judgement

RUN = (mnist.BENCHMARK, cifar10.BENCHMARK, images.BENCHMARK, images.MNIST, digits.BENCHMARK)
TABLES = RUN + tuple(benchmark.as_written for benchmark in RUN if benchmark.as_written)
BENCHMARKS = {benchmark.name: benchmark for benchmark in TABLES}
STAND_IN = "digits"  # for MNIST
STUDIES = ("functions", "lr_scan", "rules")  # folders whose names begin with these answer no claim about a table
MEASURED = ("race_quality", "range_test_quality")  # folders of this package's own measurements answer no claim
OWN = ("optimizer", "groups", "scheduler", "lr_lambdas", "per")  # entries of a configuration that are its setting's
LATER = ("functions", "parameters")  # entries that older records lack


@dataclass(frozen=True)
class Table:
    """The finished runs of one benchmark whose configurations differ only in the setting."""

    folder: Path
    benchmark: Benchmark
    data: str
    epochs: int
    rows: dict[str, Row]
    arithmetic: Arithmetic = "float32"
    names_hardware: bool = False  # in the label, which another table would share otherwise

    @property
    def base(self) -> str:
        """The benchmark's name without "-as-written"."""
        return self.benchmark.name.removesuffix(WRITTEN)

    @property
    def label(self) -> str:
        """The dataset and the number of epochs, which must accompany every number from this table."""
        parts = [size(self.data), length(self.epochs, self.benchmark.published_epochs) + spoken(self.arithmetic)]
        if self.base == STAND_IN:
            parts.append("stand-in for MNIST")
        if self.base != self.benchmark.name:
            parts.append("as written")
        if self.names_hardware:
            parts.append(f"on {self.hardware}")
        return ", ".join(parts)

    @property
    def hardware(self) -> str:
        """The accelerators that trained the runs, and "a CPU" for the runs without one."""
        found = {machine.hardware_of(run.note) for row in self.rows.values() for run in row.runs}
        return " and ".join(sorted({name.partition(";")[0] if ";" in name else "a CPU" for name in found}))

    @property
    def runs(self) -> int:
        return sum(len(row.runs) for row in self.rows.values())

    @property
    def full(self) -> bool:
        """Whether the runs had all the data and at least the published length."""
        return size(self.data) == self.data and self.epochs >= self.benchmark.published_epochs

    def rank(self, settings: Sequence[str]) -> tuple[bool, bool, int, int]:
        """Return how well claims about some settings can be judged here: the greatest of several tables judges."""
        if not self.rows.keys() >= set(settings):
            return False, self.full, self.epochs, 0
        seeds = len(self.accuracies(settings)[settings[0]])
        return seeds >= FEWEST, self.full, self.epochs, seeds

    def accuracies(self, names: Sequence[str]) -> dict[str, list[float]]:
        """Return the accuracies of settings, for the seeds that all of them have."""
        return self._paired(names, {name: row.accuracies for name, row in self.rows.items()})

    def convergences(self, names: Sequence[str]) -> dict[str, list[float]]:
        """Return the convergences of settings, for the seeds that all of them have."""
        return self._paired(names, {name: row.convergences for name, row in self.rows.items()})

    def _paired(self, names: Sequence[str], values: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
        by_seed = {
            name: dict(zip((run.seed for run in self.rows[name].runs), values[name], strict=True)) for name in names
        }
        common = sorted(set.intersection(*(set(found) for found in by_seed.values())))
        return {name: [found[seed] for seed in common] for name, found in by_seed.items()}


@dataclass(frozen=True)
class Collected:
    """A folder's tables, and the records of its studies by name."""

    tables: list[Table]
    studies: dict[str, list[Any]]  # an entry per folder

    @property
    def names(self) -> set[str]:
        """The benchmarks that were run; as run and as written count separately."""
        return {table.benchmark.name for table in self.tables} | set(self.studies)

    def judging(self, settings: Sequence[str]) -> list[Table]:
        """Return the table of each benchmark that judges claims about some settings."""
        by_name: dict[str, list[Table]] = {}
        for table in self.tables:
            by_name.setdefault(table.benchmark.name, []).append(table)
        return [max(found, key=lambda table: table.rank(settings)) for found in by_name.values()]


Found = list[tuple[str, Judgement]]  # the data, and the judgement of the claim on them


@dataclass(frozen=True)
class Answer:
    """The benchmarks that a claim is judged from, and the function that judges it."""

    benchmarks: tuple[str, ...]
    judge: Callable[[Collected], Found]


def collect(results: Path) -> Collected:
    """Read a folder of results. Tables are in the benchmarks' order; more epochs, then more runs come first."""
    tables: list[Table] = []
    studies: dict[str, list[Any]] = {}
    for path in sorted(results.glob("*/runs.jsonl")):
        if path.parent.name.startswith(MEASURED):
            continue
        study = next((name for name in STUDIES if path.parent.name.startswith(name)), None)
        if study:
            studies.setdefault(study, []).append(latest(records(path)))
        else:
            tables += _tables(path)
    for path in sorted(results.glob("*/range_noise.json")):
        studies.setdefault("range_noise", []).append(_bumps(path))
    order = [*BENCHMARKS]
    tables.sort(key=lambda table: (order.index(table.benchmark.name), -table.epochs, table.data, -table.runs))
    labels = Counter(table.label for table in tables)
    return Collected([replace(table, names_hardware=labels[table.label] > 1) for table in tables], studies)


def records(path: Path) -> list[dict[str, Any]]:
    """Return the objects in a JSON-lines file, without an incomplete last line. The file is not changed."""
    *lines, _ = path.read_bytes().split(b"\n")
    return [_parsed(path, number, line) for number, line in enumerate(lines, start=1)]


def _bumps(path: Path) -> Any:
    try:
        return json.loads(path.read_text())["bumps"]
    except (ValueError, KeyError, TypeError) as error:
        raise BenchmarkError(f"{path} is not a valid record of range tests: {error!r}") from error


def latest(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records that share the last one's configuration."""
    return [record for record in found if record["config"] == found[-1]["config"]]


def _parsed(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
        if not isinstance(record["config"], dict):
            raise TypeError("its config is not an object")
    except (ValueError, KeyError, TypeError) as error:
        raise BenchmarkError(f"{path}, line {number}, is not a valid record: {error!r}") from error
    return record


def _tables(path: Path) -> list[Table]:
    """Return a table for each configuration in a file of runs. If a run appears twice, the first counts."""
    runs: dict[str, dict[str, dict[int, Run]]] = {}
    for record in records(path):
        shared = {name: value for name, value in record["config"].items() if name not in OWN + LATER}
        run = _run(path, record)
        runs.setdefault(json.dumps(shared), {}).setdefault(run.setting, {}).setdefault(run.seed, run)
    return [
        _table(path, json.loads(shared), {name: [*by_seed.values()] for name, by_seed in found.items()})
        for shared, found in runs.items()
    ]


def _run(path: Path, record: dict[str, Any]) -> Run:
    try:
        return Run(**record)
    except TypeError as error:
        raise BenchmarkError(f"{path} has a line that is not a valid run: {error}") from error


def _table(path: Path, config: dict[str, Any], runs: dict[str, list[Run]]) -> Table:
    try:
        benchmark = BENCHMARKS[config["key"]["benchmark"]]
        settings = _settings(benchmark, runs)
        rows = {
            name: summary(name, setting, runs[name], benchmark.columns, config["epochs"])
            for name, setting in settings.items()
            if name in runs
        }
        arithmetic = config["key"].get("arithmetic", "float32")
        return Table(path.parent, benchmark, config["key"]["data"], config["epochs"], rows, arithmetic)
    except (KeyError, TypeError, ValueError) as error:
        raise BenchmarkError(f"{path} has a run of an unknown benchmark or setting: {error!r}") from error


def _settings(benchmark: Benchmark, names: Iterable[str]) -> dict[str, Setting | Heading]:
    """Return a benchmark's settings, then the rows that users added: their own pictures."""
    added = sorted(set(names) - set(benchmark.settings))
    if added and benchmark.added is None:
        raise KeyError(added[0])
    return {**benchmark.settings, **{name: Heading(benchmark.added, name) for name in added}}
