"""Which learning rate an image network wants, 1 to 128 batches ahead: "Diving deep: learning rate" (2020), claim C6.

100 rates from the same weights over the same augmented batches, and after 64 epochs of training once more; the time
beside the published 591.6 s. On a CPU the scan is reduced, and says so, unless --rates and --marks are given.
"""

from __future__ import annotations

import argparse
import io
import shlex
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from lrsched import Sweep, lr_sweep
from lrsched.plot import figure

from .. import machine
from ..devices import usable
from ..errors import BenchmarkError
from ..records import Records
from ..results import write
from .report import markdown, show
from .scan_claims import c6
from .scan_tasks import BATCH, TASKS, Batches, Task, loss_fn, make_optimizer
from .stats import mean_interval
from .table import count

MARKS = (1, 2, 4, 8, 16, 32, 64, 128)
PUBLISHED = dict(zip(MARKS, (4.7, 4.1, 7.6, 15.5, 30.6, 67.3, 143.9, 317.9), strict=True))  # seconds, a run a mark
RATES, LOW, HIGH = 100, 1e-6, 1e2
REDUCED = {"cifar10": (20, MARKS[:5]), "digits": (50, MARKS)}  # what a CPU does in minutes
STOP_ABOVE = 1.1


def scan(task: Task, seed: int, after: int, rates: int, marks: Sequence[int]) -> dict[str, Any]:
    """Train a network so many epochs, and return the record of a scan from there."""
    model = task.network(seed)
    train(model, task, seed, after)
    lrs = np.logspace(np.log10(LOW), np.log10(HIGH), rates)
    batches = list(islice(Batches(task, 1000 + seed), marks[-1]))
    started = time.perf_counter()
    found = lr_sweep(model, make_optimizer, loss_fn, batches, lrs, steps=marks, stop_above=STOP_ABOVE)
    synchronize(task.train.images.device)
    seconds = time.perf_counter() - started
    sweep = {"lrs": lrs.tolist(), "marks": list(marks), "losses": found.losses.tolist(), "method": found.method}
    where = {"seed": seed, "after_epochs": after}
    return {**where, **sweep, "suggestion": found.suggestion, "seconds": seconds}


def train(model: torch.nn.Module, task: Task, seed: int, epochs: int) -> None:
    """Train as published, at 1e-3."""
    batches = Batches(task, seed)
    optimizer = make_optimizer(model.parameters())
    for batch in islice(batches, epochs * batches.epoch):
        optimizer.zero_grad()
        loss_fn(model, batch).backward()
        optimizer.step()


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks lr_scan", description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", choices=TASKS, default="cifar10", help="default: %(default)s")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder with CIFAR-10 (default: download it)")
    parser.add_argument("--seeds", type=count, default=1, help="default: %(default)s")
    parser.add_argument("--after-epochs", type=count, metavar="N", help="scan once more after N epochs at 1e-3")
    parser.add_argument("--rates", type=count, help=f"default: {RATES}; on a CPU fewer")
    parser.add_argument("--marks", type=marks, help=f"default: {','.join(map(str, MARKS))}; on a CPU fewer")
    parser.add_argument("--each", action="store_true", help="also time a scan that ends at each mark, as published")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, … (default: %(default)s)")
    parser.add_argument("--threads", type=count, default=1, help="torch's CPU threads (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for the results, which are not done again (default: out/…)"
    )
    return parser


def marks(text: str) -> tuple[int, ...]:
    return tuple(count(part) for part in text.split(","))


def main(argv: list[str]) -> int:
    options = parser().parse_args(argv)
    device = usable(options.device)
    torch.set_num_threads(options.threads)
    rates, ahead = REDUCED[options.dataset] if device.type == "cpu" else (RATES, MARKS)
    rates, ahead = options.rates or rates, options.marks or ahead
    if list(ahead) != sorted(set(ahead)):
        raise BenchmarkError(f"--marks must increase, got {','.join(map(str, ahead))}")
    task = TASKS[options.dataset](options.data)
    task = replace(task, train=task.train.to(device))
    folder = options.out or Path("out", f"lr_scan-{options.dataset}")
    records = Records(folder, ("seed", "after_epochs"), configuration(task, rates, ahead))
    states = [0, *([options.after_epochs] if options.after_epochs else [])]
    wanted = [(seed, after) for seed in range(options.seeds) for after in states]
    for seed, after in wanted:
        if (seed, after) not in records.found:
            records.add(scan(task, seed, after, rates, ahead))
            print(f"seed {seed}, after {after} epochs: {records.found[seed, after]['seconds']:.1f} s", flush=True)
    facts = {
        "command": f"python -m benchmarks lr_scan {shlex.join(argv)}".strip(),
        "hardware": machine.hardware(device),
        "batches an epoch": Batches(task, 0).epoch,
    }
    if options.each:
        facts["seconds of each mark"] = [scan(task, 0, 0, rates, ahead[: i + 1])["seconds"] for i in range(len(ahead))]
    report(records, [records.found[key] for key in wanted], facts)
    return 0


def configuration(task: Task, rates: int, ahead: Sequence[int]) -> dict[str, Any]:
    """Return all that decides how a scan ends, but seed and state."""
    return {
        "data": task.title,
        "network": " ".join(repr(task.network(0)).split()),
        "rates": rates,
        "marks": ahead,
        "device": task.train.images.device.type,
        "threads": torch.get_num_threads(),
    }


def report(records: Records, found: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    """Write and print the table, and draw the first seed's scans."""
    rates, ahead = records.config["rates"], records.config["marks"]
    size = f"{rates} rates, 1 … {ahead[-1]} batches of {BATCH}"
    reduced = "" if (rates, tuple(ahead)) == (RATES, MARKS) else f" (reduced from {RATES} rates, 1 … {MARKS[-1]})"
    title = f"{records.config['data']}: {size}{reduced}"
    lines = [["Scan", "n", "seconds", *(f"best {mark} ahead" for mark in ahead)]]
    for after in sorted({record["after_epochs"] for record in found}):
        scans = [record for record in found if record["after_epochs"] == after]
        best = [best_rate(scans, i) for i in range(len(ahead))]
        seconds = fmean(record["seconds"] for record in scans)
        name = f"after {after} epochs" if after else "untrained"
        lines.append([name, str(len(scans)), f"{seconds:.1f}", *best])
    if each := facts.get("seconds of each mark"):
        lines.append(["a run a mark", "1", f"{sum(each):.1f}", *(f"{seconds:.1f} s" for seconds in each)])
    if not reduced:
        published = (f"{seconds:.1f} s" for seconds in PUBLISHED.values())
        lines.append(["published, a run a mark", "1", f"{sum(PUBLISHED.values()):.1f}", *published])
    notes = [*verdict(c6(found, 16)) * (16 in ahead[:-1]), f"Hardware: {facts['hardware']}."]
    remark = f"An epoch has {facts['batches an epoch']} batches; the source's, of CIFAR-10, 500."
    notes[:0] = ["Best rate: the lowest mean training loss of so many batches, geometric mean over seeds.", remark]
    write(records.folder / "table.md", "\n\n".join([f"# {title}", markdown(lines), *notes]) + "\n")
    where = {"versions": machine.versions(), "commit": machine.commit(), "configuration": records.config}
    write(records.folder / "info.json", {**facts, **where})
    write(records.folder / "scan.png", picture([record for record in found if record["seed"] == 0], title))
    show(lines, title, right=lines[0][1:])
    print(*notes, f"Written to {records.folder}: table.md, runs.jsonl, info.json, scan.png", sep="\n")


def best_rate(scans: list[dict[str, Any]], mark: int) -> str:
    """Return the geometric mean of the best rates; all are equal where the only loss was taken before a step."""
    columns = [np.array(record["losses"], dtype=float)[:, mark] for record in scans]
    if scans[0]["marks"][mark] == 1:
        return "any"
    best = [record["lrs"][int(np.nanargmin(losses))] for record, losses in zip(scans, columns, strict=True)]
    return f"{np.exp(fmean(np.log(best))):.1e}"


def verdict(seeds: list[dict[str, Any]]) -> list[str]:
    """Return what C6 comes to, a sentence each."""
    regret = mean_interval([seed["regret"] for seed in seeds])
    lines = [f"C6: the rate that is best 16 batches ahead has {regret.text(3)} × the lowest loss at the last mark"]
    both = [seed for seed in seeds if seed["holds"] is not None]
    if both:
        after = mean_interval([seed["regret_after"] for seed in both])
        shift = mean_interval([seed["shift"] for seed in both])
        lines[0] += f", after training {after.text(3)} ×"
        overlap = f"the sweet spots overlap for {sum(seed['overlap'] for seed in both)} of {len(both)} seeds"
        holds = f"C6 holds for {sum(seed['holds'] for seed in both)} of {len(both)}"
        lines.append(f"Training shifts the best rate by {shift.text(2)} decades; {overlap}. {holds}.")
    lines[0] += f" (n = {len(seeds)}, mean ± half of the 95 % interval)."
    return lines


def picture(scans: list[dict[str, Any]], title: str) -> bytes:
    """Return a PNG of the scans, side by side."""
    sheet = figure(6.5 * len(scans), 4.4)
    for ax, record in zip(np.atleast_1d(sheet.subplots(1, len(scans))), scans, strict=True):
        sweep = Sweep(record["lrs"], record["marks"], np.array(record["losses"], dtype=float), record["method"])
        after = f"after {record['after_epochs']} epochs" if record["after_epochs"] else "untrained"
        sweep.plot(ax).set_title(after, loc="left", fontsize=10)
    sheet.suptitle(title, x=0.01, ha="left", fontsize=11)
    content = io.BytesIO()
    sheet.savefig(content, format="png", dpi=100)
    return content.getvalue()
