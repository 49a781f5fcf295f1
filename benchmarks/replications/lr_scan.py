"""Which learning rates an image network needs, 1 to 128 batches ahead: "Diving deep: learning rate" (2020), claim C6.

A scan trains at 100 rates from the same weights over the same augmented batches; a second scan follows 64 epochs of
training. The published scan took 591.6 s. On a CPU the scan is reduced, and says so, unless --rates and --marks are
given.
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

from lrsched import Estimate, Sweep, lr_sweep
from lrsched.plot import figure

from .. import machine
from ..commands import (
    BenchmarkError,
    add_device,
    add_out,
    add_seeds,
    add_threads,
    count,
    option_parser,
)
from ..devices import synchronize, usable
from ..files import Records, write
from ..text_tables import markdown, show
from .scan_tasks import BATCH, TASKS, Batches, Task, loss_fn, make_optimizer
from .stats import FEWEST
from .sweep_claims import c6

MARKS = (1, 2, 4, 8, 16, 32, 64, 128)
PUBLISHED = dict(zip(MARKS, (4.7, 4.1, 7.6, 15.5, 30.6, 67.3, 143.9, 317.9), strict=True))  # seconds, one run per mark
RATES, LOW, HIGH = 100, 1e-6, 1e2
REDUCED = {"cifar10": (20, MARKS[:5]), "digits": (50, MARKS)}  # what a CPU finishes in minutes
STOP_ABOVE = 1.1


def scan(task: Task, seed: int, after: int, rates: int, marks: Sequence[int]) -> dict[str, Any]:
    """Train a network for `after` epochs, and return the record of a scan from there."""
    model = task.network(seed)
    train(model, task, seed, after)
    lrs = np.logspace(np.log10(LOW), np.log10(HIGH), rates)
    batches = list(islice(Batches(task, 1000 + seed), marks[-1]))
    started = time.perf_counter()
    found = lr_sweep(model, make_optimizer, loss_fn, batches, lrs, steps=marks, stop_above=STOP_ABOVE)
    synchronize(task.train.images.device)
    seconds = time.perf_counter() - started
    sweep = {"lrs": lrs.tolist(), "marks": list(marks), "losses": found.losses.tolist(), "method": found.method}
    return {"seed": seed, "after_epochs": after, **sweep, "suggestion": found.suggestion, "seconds": seconds}


def train(model: torch.nn.Module, task: Task, seed: int, epochs: int) -> None:
    """Train as published, at 1e-3."""
    batches = Batches(task, seed)
    optimizer = make_optimizer(model.parameters())
    for batch in islice(batches, epochs * batches.epoch):
        optimizer.zero_grad()
        loss_fn(model, batch).backward()
        optimizer.step()


def scan_parser() -> argparse.ArgumentParser:
    parser = option_parser("lr_scan", __doc__)
    parser.add_argument("--dataset", choices=TASKS, default="cifar10", help="default: %(default)s")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder with CIFAR-10 (default: download it)")
    add_seeds(parser, 1)
    parser.add_argument("--after-epochs", type=count, metavar="N", help="scan again after N epochs at 1e-3")
    parser.add_argument("--rates", type=count, help=f"number of rates (default: {RATES}; fewer on a CPU)")
    shown = ",".join(map(str, MARKS))
    parser.add_argument("--marks", type=marks, help=f"batches ahead (default: {shown}; fewer on a CPU)")
    parser.add_argument("--each", action="store_true", help="also time a scan that ends at each mark, as published")
    add_device(parser)
    add_threads(parser)
    add_out(parser, "the results; scans it already holds are not repeated (default: out/lr_scan-DATASET)")
    return parser


def marks(text: str) -> tuple[int, ...]:
    return tuple(count(part) for part in text.split(","))


def main(argv: list[str]) -> int:
    options = scan_parser().parse_args(argv)
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
    states = [0, options.after_epochs] if options.after_epochs else [0]
    wanted = [(seed, after) for seed in range(options.seeds) for after in states]
    for seed, after in wanted:
        if (seed, after) not in records.found:
            records.add(scan(task, seed, after, rates, ahead))
            print(f"seed {seed}, after {after} epochs: {records.found[seed, after]['seconds']:.1f} s", flush=True)
    facts = {
        "command": f"python -m benchmarks lr_scan {shlex.join(argv)}".strip(),
        "batches an epoch": Batches(task, 0).epoch,
        **machine.origin(device),
    }
    if options.each:
        facts["seconds of each mark"] = [scan(task, 0, 0, rates, ahead[: i + 1])["seconds"] for i in range(len(ahead))]
    report(records, [records.found[key] for key in wanted], facts)
    return 0


def configuration(task: Task, rates: int, ahead: Sequence[int]) -> dict[str, Any]:
    """Return everything that determines a scan besides seed and training."""
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
    full = (rates, tuple(ahead)) == (RATES, MARKS)
    reduced = "" if full else f" (reduced from {RATES} rates, 1 … {MARKS[-1]})"
    title = f"{records.config['data']}: {rates} rates, 1 … {ahead[-1]} batches of {BATCH}{reduced}"
    lines = cells(found, ahead, facts.get("seconds of each mark"), full)
    notes = [
        "Best rate: the one with the lowest mean training loss over so many batches, geometric mean over seeds.",
        f"An epoch has {facts['batches an epoch']} batches; in the source, on CIFAR-10, it has 500.",
    ]
    if 16 in ahead[:-1]:
        notes += verdict(c6(found, 16))
    notes.append(f"Hardware: {facts['hardware']}.")
    write(records.folder / "table.md", "\n\n".join([f"# {title}", markdown(lines), *notes]) + "\n")
    write(records.folder / "info.json", {**facts, "configuration": records.config})
    write(records.folder / "scan.png", picture([record for record in found if record["seed"] == 0], title))
    show(lines, title, right=lines[0][1:])
    print(*notes, f"Written to {records.folder}: table.md, runs.jsonl, info.json, scan.png", sep="\n")


def cells(found: list[dict[str, Any]], ahead: Sequence[int], each: list[float] | None, full: bool) -> list[list[str]]:
    """Return the table: a line before and a line after training, then the times of one run per mark."""
    lines = [["Scan", "n", "seconds", *(f"best {mark} ahead" for mark in ahead)]]
    for after in sorted({record["after_epochs"] for record in found}):
        scans = [record for record in found if record["after_epochs"] == after]
        best = [best_rate(scans, i) for i in range(len(ahead))]
        seconds = fmean(record["seconds"] for record in scans)
        name = f"after {after} epochs" if after else "untrained"
        lines.append([name, str(len(scans)), f"{seconds:.1f}", *best])
    if each:
        lines.append(["one run per mark", "1", f"{sum(each):.1f}", *(f"{seconds:.1f} s" for seconds in each)])
    if full:
        published = (f"{seconds:.1f} s" for seconds in PUBLISHED.values())
        lines.append(["published, one run per mark", "1", f"{sum(PUBLISHED.values()):.1f}", *published])
    return lines


def best_rate(scans: list[dict[str, Any]], mark: int) -> str:
    """Return the geometric mean of the best rates; "any" after 1 batch, whose loss is taken before the first step."""
    columns = [np.array(record["losses"], dtype=float)[:, mark] for record in scans]
    if scans[0]["marks"][mark] == 1:
        return "any"
    best = [record["lrs"][int(np.nanargmin(losses))] for record, losses in zip(scans, columns, strict=True)]
    return f"{np.exp(fmean(np.log(best))):.1e}"


def verdict(seeds: list[dict[str, Any]]) -> list[str]:
    """Return the figures behind C6 as sentences."""
    regret = Estimate.of([seed["regret"] for seed in seeds])
    line = f"C6: the rate that is best 16 batches ahead has {regret.text(3)} × the lowest loss at the last mark"
    both = [seed for seed in seeds if seed["holds"] is not None]
    if both:
        line += f", after training {Estimate.of([seed['regret_after'] for seed in both]).text(3)} ×"
    shown = "mean ± half of the 95 % interval" if len(seeds) >= FEWEST else "each seed's value"
    lines = [f"{line} (n = {len(seeds)}, {shown})."]
    if both:
        shift = Estimate.of([seed["shift"] for seed in both])
        overlap = f"the sweet spots overlap for {sum(seed['overlap'] for seed in both)} of {len(both)} seeds"
        holds = f"C6 holds for {sum(seed['holds'] for seed in both)} of {len(both)}"
        lines.append(f"Training shifts the best rate by {shift.text(2)} decades; {overlap}. {holds}.")
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
