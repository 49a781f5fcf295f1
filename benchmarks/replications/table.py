"""The command behind a table: let `lrsched.compare` train the missing runs, then report all finished ones."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import torch

import lrsched
from lrsched import Run

from .. import machine, pieces
from ..commands import (
    BenchmarkError,
    add_arithmetic,
    add_device,
    add_out,
    add_seeds,
    add_threads,
    chosen,
    count,
    option_parser,
)
from ..devices import (
    arithmetic_entry,
    check_arithmetic,
    computing_in,
    determinism,
    in_arithmetic,
    leave_together,
    processes,
    several,
    spoken,
)
from ..files import prepare, write
from ..text_tables import markdown, show
from .benchmark import Benchmark
from .datasets import Dataset, size
from .metrics import batch_loss, measure, unlearned
from .settings import Setting
from .table_rows import Row, cells, length, summary


def run(benchmark: Benchmark, argv: list[str]) -> int:
    """Run the command and return its exit code, 130 after Ctrl-C."""
    return execute(benchmark, table_parser(benchmark).parse_args(argv), argv)


def execute(benchmark: Benchmark, options: argparse.Namespace, argv: list[str]) -> int:
    """Train and report as `run` does, with parsed options."""
    command = shlex.join(["python", "-m", "benchmarks", benchmark.words[0], *argv])
    if options.as_written and benchmark.as_written is not None:
        benchmark = benchmark.as_written
    options.out = options.out or Path("out", benchmark.name)
    settings = {name: benchmark.settings[name] for name in chosen("setting", options.settings, benchmark.settings)}
    torch.set_num_threads(options.threads)
    with ExitStack() as stack:
        stack.enter_context(determinism(options.deterministic))
        device, rank = stack.enter_context(processes(options.device))
        check_arithmetic(options.arithmetic, device)
        stack.enter_context(in_arithmetic(options.arithmetic, device))
        prepare(options.out)
        if rank == 0:
            pieces.join(options.out)
        data = benchmark.data(options.data).few(options.limit)
        benchmark = replace(benchmark, title=f"{size(data.title)}: {benchmark.title}{spoken(options.arithmetic)}")
        progress = Progress(len(settings) * options.seeds)
        if rank == 0:
            print(f"{benchmark.title}: {progress.runs} runs of {options.epochs} epochs.")
        code = 0
        try:
            train(benchmark, settings, data, device, options, progress)
        except KeyboardInterrupt:
            code = 130
            print(f"\nInterrupted: the finished runs are in {options.out}; run the same command again to resume.")
        if rank == 0:
            here = " in this process" if several() else ""
            print(f"{len(progress.finished)} runs are finished, {progress.trained} of them trained now{here}.")
            report(benchmark, progress, options, command)
        if code == 0:
            leave_together()  # only now, after the report is written
    return code


def train(
    benchmark: Benchmark,
    settings: Mapping[str, Setting],
    data: Dataset,
    device: torch.device,
    options: argparse.Namespace,
    progress: Progress,
) -> None:
    """Train the runs that options.out/runs.jsonl does not hold yet, with a progress bar."""
    train_split, valid_split = data.train.to(device), data.valid.to(device)
    batches = benchmark.batches and benchmark.batches(train_split, benchmark.batch_size)
    key = {"benchmark": benchmark.name, "data": data.title, "loss": benchmark.loss.__name__}
    key |= arithmetic_entry(options.arithmetic, device)
    try:
        lrsched.compare(
            {name: lrsched.Setting(row.optimizer, row.scheduler, row.per) for name, row in settings.items()},
            computing_in(options.arithmetic, benchmark.network),
            partial(batch_loss, benchmark.loss),
            batches or train_split,
            valid_split,
            epochs=options.epochs,
            batch_size=benchmark.batch_size,
            seeds=options.seeds,
            metric_fn=partial(measure, benchmark.loss),
            metric_average="batches",  # as published: MNIST's smaller last batch counts like the others
            final_fn=partial(unlearned, valid_split, benchmark.batch_size),
            stop=benchmark.stop,
            device=device,
            vectorize=False if options.plain else "auto",
            out=options.out / "runs.jsonl",
            key=key,
            note=machine.note(device, options.arithmetic),
            callback=progress.see,
            progress=True,
        )
    except OSError as error:
        raise BenchmarkError(str(error)) from error


class Progress:
    """The finished runs by setting and seed, and how many of them were trained now."""

    def __init__(self, runs: int) -> None:
        self.runs = runs
        self.finished: dict[tuple[str, int], Run] = {}
        self._trained: set[tuple[str, int]] = set()

    def see(self, run: Run) -> None:
        """Record a run after one of its epochs or at its end."""
        pair = run.setting, run.seed
        if run.finished:
            self.finished[pair] = run
        else:
            self._trained.add(pair)

    @property
    def trained(self) -> int:
        """The number of finished runs that were trained now, not read from the file."""
        return len(self._trained & self.finished.keys())

    @property
    def left(self) -> int:
        return self.runs - len(self.finished)

    def of(self, setting: str) -> list[Run]:
        """Return the finished runs of a setting, by seed."""
        return [run for (name, _), run in sorted(self.finished.items()) if name == setting]


def report(benchmark: Benchmark, progress: Progress, options: argparse.Namespace, command: str) -> None:
    """Write and print the table, the curves and their origin; nothing if no run is finished."""
    done = {name: progress.of(name) for name in benchmark.settings}
    rows = [
        summary(name, benchmark.settings[name], runs, benchmark.columns, options.epochs)
        for name, runs in done.items()
        if runs
    ]
    if not rows:
        return
    folder = options.out
    title = f"{benchmark.title}, {length(options.epochs, benchmark.published_epochs)}"
    lines = cells(rows, benchmark.published)
    remarks = [f"Claim: {benchmark.claim}", *benchmark.remarks(rows, options.epochs)]
    if benchmark.published and options.epochs != benchmark.published_epochs:
        remarks.insert(1, f"The published runs had {benchmark.published_epochs} epochs.")
    every = [["Setting", "Accuracy of each seed"], *([row.name, row.each()] for row in rows)]
    write(folder / "info.json", {"command": command, "runs left": progress.left, **origin(rows)})
    write(folder / "table.md", "\n\n".join([f"# {title}", markdown(lines), *remarks, markdown(every)]) + "\n")
    for name, draw in benchmark.drawings.items():
        write(folder / name, draw(rows, title))
    show(lines, title)
    files = ["table.md", *benchmark.drawings, "runs.jsonl", "info.json"]
    print(*remarks, f"Written to {folder}: {', '.join(files)}", sep="\n")


def origin(rows: list[Row]) -> dict[str, object]:
    """Return when, how and where the runs were trained, and their configurations."""
    runs = [run for row in rows for run in row.runs]
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seconds of training": round(sum(run.seconds for run in runs), 1),
        "trained": sorted({f"{run.method}: {run.reason}" for run in runs}),
        "hardware": sorted({machine.hardware_of(run.note) for run in runs}),
        "trained at commits": sorted({machine.commit_of(run.note) for run in runs}),
        "versions": machine.versions(),
        "commit": machine.commit(),
        "configurations": {row.name: row.runs[0].config for row in rows},
    }


def table_parser(benchmark: Benchmark) -> argparse.ArgumentParser:
    parser = option_parser(benchmark.words[0], benchmark.title)
    add_seeds(parser, benchmark.seeds)
    parser.add_argument("--epochs", type=count, default=benchmark.epochs, help="epochs per run (default: %(default)s)")
    parser.add_argument("--settings", metavar="A,B,C", help=f"only these: {', '.join(benchmark.settings)}")
    parser.add_argument("--limit", type=count, metavar="N", help="at most N images of each part, for a trial")
    add_device(parser)
    add_arithmetic(parser)
    add_threads(parser)
    parser.add_argument("--plain", action="store_true", help="train one run after another, never side by side")
    parser.add_argument("--deterministic", action="store_true", help="only algorithms that repeat bit for bit")
    add_out(parser, f"the results; runs it already holds are not trained again (default: out/{benchmark.name})")
    parser.set_defaults(data=None, as_written=False)
    if benchmark.takes_data:
        parser.add_argument("--data", type=Path, metavar="DIR", help="folder with the files (default: download them)")
    if benchmark.as_written is not None:
        parser.add_argument("--as-written", action="store_true", help="follow the text, not the authors' code")
    return parser
