"""The command behind a table: read the options, let `lrsched.compare` train what is missing, report what there is."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

import lrsched
from lrsched import Run

from .. import machine
from ..devices import arithmetic, determinism, full_float32, leave_together, processes, several
from ..errors import BenchmarkError
from ..results import prepare, write
from . import labels
from .columns import Columns
from .datasets import Dataset
from .plots import curves
from .report import Published, Row, cells, markdown, notes, show, summary
from .settings import AS_WRITTEN, Setting, chosen
from .training import Split, batch_loss, measure, stands_still, unlearned

WRITTEN = "-as-written"  # ends the name of such a table


@dataclass(frozen=True)
class Benchmark:
    """What makes one table: its rows, its data and network, and how its columns are computed.

    `title` says what is compared; before it stands what the data are called. `drawings` makes the results' PNG files.
    `batches` makes of the training images and the batch size the function that returns an epoch's batches, None where
    they are only shuffled and cut. `stop` says after which validation losses a run ends early; `as_written` is the
    table of `--as-written`, with a name of its own, where the published text and the published runs differ. `epochs` is
    the option's default; `full_epochs` are those of the published runs, where that is not the same. `command` stands
    after `python -m benchmarks` for this table, where that is not its name. `added` is the method of rows that users
    add to the settings, None where they cannot. `where_shorter` is a sentence on what else differs in shorter runs.
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
    where_shorter: str = ""

    @property
    def published_epochs(self) -> int:
        return self.full_epochs or self.epochs

    def remarks(self, rows: list[Row], epochs: int) -> list[str]:
        """Return the sentences under a table of runs of so many epochs."""
        return notes(rows) + [self.where_shorter] * bool(self.where_shorter and epochs < self.published_epochs)

    @property
    def words(self) -> list[str]:
        """What stands after `python -m benchmarks` for this table: the command's name, then its options."""
        return (self.command or self.name).split()


def with_written(run: Benchmark, **changes: Any) -> Benchmark:
    """Return a table as run that has the one of `--as-written`: published settings, no early stop, and `changes`."""
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


def run(benchmark: Benchmark, argv: list[str]) -> int:
    """Run the command; return its exit code, 130 after Ctrl-C."""
    return execute(benchmark, parser(benchmark).parse_args(argv), argv)


def execute(benchmark: Benchmark, options: argparse.Namespace, argv: list[str]) -> int:
    """Train and report as `run`, with options that are read already."""
    command = shlex.join(["python", "-m", "benchmarks", benchmark.words[0], *argv])
    if options.as_written and benchmark.as_written is not None:
        benchmark = benchmark.as_written
    options.out = options.out or Path("out", benchmark.name)
    settings = chosen(benchmark.settings, options.settings)
    torch.set_num_threads(options.threads)
    with determinism(options.deterministic), processes(options.device) as (device, rank), full_float32(device):
        prepare(options.out)
        data = benchmark.data(options.data).few(options.limit)
        benchmark = replace(benchmark, title=f"{labels.size(data.title)}: {benchmark.title}")
        progress = Progress(len(settings) * options.seeds, options.epochs, quiet=rank > 0)
        code = 0
        try:
            train(benchmark, settings, data, device, options, progress)
        except KeyboardInterrupt:
            code = 130
            print(f"\nInterrupted: the finished runs are in {options.out}; the same command goes on from there.")
        if rank == 0:
            here = " in this process" * several()
            print(f"{len(progress.finished)} runs are finished, {progress.trained} of them trained now{here}.")
            report(benchmark, progress, options, {"command": command, "runs left": progress.left})
        if not code:
            leave_together()  # the others, not before the report is written
    return code


def train(
    benchmark: Benchmark,
    settings: Mapping[str, Setting],
    data: Dataset,
    device: torch.device,
    options: argparse.Namespace,
    progress: Progress,
) -> None:
    """Train what options.out/runs.jsonl does not hold yet, under a progress bar."""
    train_split, valid_split = data.train.to(device), data.valid.to(device)
    batches = benchmark.batches and benchmark.batches(train_split, benchmark.batch_size)
    print(end="" if progress.quiet else f"{benchmark.title}: {progress.runs} runs of {options.epochs} epochs.\n")
    with progress:
        try:
            lrsched.compare(
                {name: lrsched.Setting(row.optimizer, row.scheduler, row.per) for name, row in settings.items()},
                benchmark.network,
                partial(batch_loss, benchmark.loss),
                batches or train_split,
                valid_split,
                epochs=options.epochs,
                batch_size=benchmark.batch_size,
                seeds=options.seeds,
                metric_fn=partial(measure, benchmark.loss),
                metric_average="batches",  # as published, where the last batch of MNIST counts as much as the others
                final_fn=partial(unlearned, valid_split, benchmark.batch_size),
                stop=benchmark.stop,
                device=device,
                vectorize=False if options.plain else "auto",
                out=options.out / "runs.jsonl",
                key={
                    "benchmark": benchmark.name,
                    "data": data.title,
                    "loss": benchmark.loss.__name__,
                    **arithmetic(device),
                },
                note=machine.note(device),
                callback=progress.see,
            )
        except OSError as error:
            raise BenchmarkError(str(error)) from error


class Progress:
    """A bar that counts epochs, and the runs that are finished, by setting and seed."""

    def __init__(self, runs: int, epochs: int, quiet: bool = False) -> None:
        self.runs, self.epochs, self.quiet = runs, epochs, quiet
        self.finished: dict[tuple[str, int], Run] = {}
        self._seen: dict[tuple[str, int], int] = {}
        self._trained: set[tuple[str, int]] = set()

    def __enter__(self) -> None:
        self.bar = tqdm(total=self.runs * self.epochs, unit="epoch", mininterval=0.5, disable=self.quiet)

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def see(self, run: Run) -> None:
        pair = run.setting, run.seed
        epochs = self.epochs if run.finished else len(run.val_loss)  # with what an early stop left out
        if run.finished:
            self.finished[pair] = run
        else:
            self._trained.add(pair)
            self.bar.set_description(f"{run.setting} seed {run.seed}", refresh=False)
        if run.metric:
            self.bar.set_postfix(accuracy=f"{run.metric[-1]:.4f}", refresh=False)
        self.bar.update(epochs - self._seen.get(pair, 0))
        self._seen[pair] = epochs

    @property
    def trained(self) -> int:
        """How many of the finished runs were trained now, not read."""
        return len(self._trained & self.finished.keys())

    @property
    def left(self) -> int:
        return self.runs - len(self.finished)

    def of(self, setting: str) -> list[Run]:
        """Return the finished runs of a setting, by seed."""
        return [run for (name, _), run in sorted(self.finished.items()) if name == setting]


def report(benchmark: Benchmark, progress: Progress, options: argparse.Namespace, facts: dict[str, object]) -> None:
    """Write and print the table, the curves and where they come from; with no finished run, nothing."""
    done = {name: progress.of(name) for name in benchmark.settings}
    rows = [
        summary(name, benchmark.settings[name], runs, benchmark.columns, options.epochs)
        for name, runs in done.items()
        if runs
    ]
    if not rows:
        return
    title = f"{benchmark.title}, {labels.length(options.epochs, benchmark.published_epochs)}"
    lines = cells(rows, benchmark.published)
    remarks = [f"Claim: {benchmark.claim}", *benchmark.remarks(rows, options.epochs)]
    if benchmark.published and options.epochs != benchmark.published_epochs:
        remarks.insert(1, f"The published runs had {benchmark.published_epochs} epochs.")
    every = [["Setting", "Accuracy of each seed"], *([row.name, row.each()] for row in rows)]
    folder = options.out
    configs = {row.name: row.runs[0].config for row in rows}
    write(folder / "info.json", {**facts, **where(rows), "configurations": configs})
    write(folder / "table.md", "\n\n".join([f"# {title}", markdown(lines), *remarks, markdown(every)]) + "\n")
    for name, draw in benchmark.drawings.items():
        write(folder / name, draw(rows, title))
    show(lines, title)
    files = ["table.md", *benchmark.drawings, "runs.jsonl", "info.json"]
    print(*remarks, f"Written to {folder}: {', '.join(files)}", sep="\n")


def where(rows: list[Row]) -> dict[str, object]:
    runs = [run for row in rows for run in row.runs]
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seconds of training": round(sum(run.seconds for run in runs), 1),
        "trained": sorted({f"{run.method}: {run.reason}" for run in runs}),
        "hardware": sorted({machine.hardware_of(run.note) for run in runs}),
        "trained at commits": sorted({machine.commit_of(run.note) for run in runs}),
        "versions": machine.versions(),
        "commit": machine.commit(),
    }


def parser(benchmark: Benchmark) -> argparse.ArgumentParser:
    names = ", ".join(benchmark.settings)
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks {benchmark.name}", description=benchmark.title)
    parser.add_argument("--seeds", type=count, default=benchmark.seeds, help="seeds a setting (default: %(default)s)")
    parser.add_argument("--epochs", type=count, default=benchmark.epochs, help="epochs a run (default: %(default)s)")
    parser.add_argument("--settings", metavar="A,B,C", help=f"only these of {names}")
    parser.add_argument("--limit", type=count, metavar="N", help="only N images of each part, for a trial")
    parser.add_argument("--device", default="cpu", help="where to train: cpu, cuda, cuda:1, … (default: %(default)s)")
    parser.add_argument("--threads", type=count, default=1, help="torch's CPU threads (default: %(default)s)")
    parser.add_argument("--plain", action="store_true", help="train one run after another, none side by side")
    parser.add_argument("--deterministic", action="store_true", help="only algorithms that repeat bit for bit")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"folder for the results; runs that it holds are not trained again (default: out/{benchmark.name})",
    )
    parser.set_defaults(data=None, as_written=False)
    if benchmark.takes_data:
        parser.add_argument("--data", type=Path, metavar="DIR", help="folder with the files (default: download them)")
    if benchmark.as_written is not None:
        parser.add_argument("--as-written", action="store_true", help="as the publication has it, not as it was run")
    return parser


def count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be an integer >= 1, got {text}")
    return value
