"""The command behind a table: read the options, train what is missing, report what there is."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from . import machine
from .columns import Columns
from .datasets import Dataset
from .errors import BenchmarkError
from .plots import curves
from .report import Published, Row, cells, markdown, notes, show, summary
from .results import Results, write
from .settings import Setting, chosen
from .training import Run, Task, train


@dataclass(frozen=True)
class Benchmark:
    """What makes one table: its rows, its data and network, and how its columns are computed.

    `title` says what is compared; before it stands what the data are called.
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


def run(benchmark: Benchmark, argv: list[str]) -> int:
    """Run the command; return its exit code, 130 after Ctrl-C."""
    options = parser(benchmark).parse_args(argv)
    settings = chosen(benchmark.settings, options.settings)
    device = usable(options.device)
    torch.set_num_threads(options.threads)
    data = benchmark.data(options.data)
    if options.limit is not None:
        data = data.few(options.limit)
    benchmark = replace(benchmark, title=f"{data.title}: {benchmark.title}")
    configs = configurations(benchmark, data.title, options.epochs, device)
    results = Results(options.out, configs)
    task = Task(benchmark.network, benchmark.loss, data.train.to(device), data.valid.to(device), benchmark.batch_size)
    wanted = [(name, seed) for seed in range(options.seeds) for name in settings]
    missing = [pair for pair in wanted if pair not in results.runs]
    print(f"{benchmark.title}: {len(wanted)} runs of {options.epochs} epochs, {len(missing)} of them still to do.")
    code = 0
    try:
        train_all(task, settings, missing, options.epochs, results, machine.hardware(device))
    except KeyboardInterrupt:
        code = 130
        results = Results(options.out, configs)  # what the file holds is what is finished
        print(f"\nInterrupted: the finished runs are in {results.path}; the same command goes on from there.")
    facts = {
        "command": f"python -m benchmarks {benchmark.name} {shlex.join(argv)}".strip(),
        "runs left": sum(pair not in results.runs for pair in wanted),
    }
    report(benchmark, results, facts, options.epochs)
    return code


def train_all(
    task: Task,
    settings: Mapping[str, Setting],
    pairs: list[tuple[str, int]],
    epochs: int,
    results: Results,
    hardware: str,
) -> None:
    """Train the (setting, seed) pairs one after another, under a progress bar that counts epochs."""
    with tqdm(total=len(pairs) * epochs, unit="epoch", mininterval=0.5, disable=not pairs) as bar:

        def on_epoch(run: Run) -> None:
            bar.set_description(f"{run.setting} seed {run.seed}", refresh=False)
            bar.set_postfix(val_acc=f"{run.val_accuracy[-1]:.4f}", refresh=False)
            bar.update()

        for name, seed in pairs:
            run = train(task, name, settings[name], seed, epochs, on_epoch)
            run.machine = hardware
            results.add(run)
            bar.update(epochs - len(run.val_loss))  # what an early stop left out


def report(benchmark: Benchmark, results: Results, facts: dict[str, object], epochs: int) -> None:
    """Write and print the table, the curves and where they come from; with no finished run, nothing."""
    done = {name: results.of(name) for name in benchmark.settings}
    rows = [summary(name, benchmark.settings[name], runs, benchmark.columns) for name, runs in done.items() if runs]
    if not rows:
        return
    title = f"{benchmark.title}, {epochs} epochs"
    lines = cells(rows, benchmark.published)
    remarks = [f"Claim: {benchmark.claim}", *notes(rows)]
    if benchmark.published and epochs != benchmark.epochs:
        remarks.insert(1, f"The published runs had {benchmark.epochs} epochs.")
    every = [["Setting", "Accuracy of each seed"], *([row.name, row.each()] for row in rows)]
    folder = results.folder
    write(folder / "info.json", {**facts, **where(rows), "configurations": results.configs})
    write(folder / "table.md", "\n\n".join([f"# {title}", markdown(lines), *remarks, markdown(every)]) + "\n")
    write(folder / "curves.png", curves(rows, title))
    show(lines, title)
    print(*remarks, f"Written to {folder}: table.md, curves.png, runs.jsonl, info.json", sep="\n")


def where(rows: list[Row]) -> dict[str, object]:
    runs = [run for row in rows for run in row.runs]
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seconds of training": round(sum(run.seconds for run in runs), 1),
        "hardware": sorted({run.machine for run in runs}),
        "versions": machine.versions(),
        "commit": machine.commit(),
    }


def configurations(benchmark: Benchmark, data: str, epochs: int, device: torch.device) -> dict[str, dict[str, object]]:
    """Return, for each setting, all that decides how its runs end, but the seed."""
    common = {
        "benchmark": benchmark.name,
        "data": data,
        "network": " ".join(repr(benchmark.network()).split()),
        "loss": benchmark.loss.__name__,
        "batch_size": benchmark.batch_size,
        "epochs": epochs,
        "device": device.type,
        "threads": torch.get_num_threads(),  # one sums in another order than two
    }
    return {name: {**common, "setting": repr(setting)} for name, setting in benchmark.settings.items()}


def parser(benchmark: Benchmark) -> argparse.ArgumentParser:
    names = ", ".join(benchmark.settings)
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks {benchmark.name}", description=benchmark.title)
    parser.add_argument("--seeds", type=count, default=benchmark.seeds, help="seeds a setting (default: %(default)s)")
    parser.add_argument("--epochs", type=count, default=benchmark.epochs, help="epochs a run (default: %(default)s)")
    parser.add_argument("--settings", metavar="A,B,C", help=f"only these of {names}")
    parser.add_argument("--limit", type=count, metavar="N", help="use only about N images of either part, for a trial")
    parser.add_argument("--device", default="cpu", help="where to train: cpu, cuda, cuda:1, … (default: %(default)s)")
    parser.add_argument("--threads", type=count, default=1, help="torch's CPU threads (default: %(default)s)")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("out", benchmark.name),
        metavar="DIR",
        help="folder for the results; runs that it already holds are not trained again (default: %(default)s)",
    )
    if benchmark.takes_data:
        parser.add_argument("--data", type=Path, metavar="DIR", help="folder with the files (default: download them)")
    else:
        parser.set_defaults(data=None)
    return parser


def count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be an integer >= 1, got {text}")
    return value


def usable(name: str) -> torch.device:
    """Return the device after putting a number on it."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise BenchmarkError(f"--device {name} cannot be used: {str(error).splitlines()[0]}") from error
    return device
