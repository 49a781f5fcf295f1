"""The cost of a range test: `range_test`, torch-lr-finder and ignite's finder against the bare loop of the same length.

MLP 20-64-3, batches of 64 in a list, SGD, 100 iterations, set-up and restore included. Samples of all contestants take
turns in one process, and each is divided by the bare loop of its turn. Peers that are not installed are left out:
pip install torch-lr-finder pytorch-ignite
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib.util
import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lrsched import range_test

from .. import machine
from ..replications import report
from ..replications.table import count
from ..results import prepare, write

STEPS, LIMIT = 100, 1.05
START, END = 1e-5, 0.5  # a range in which no contestant stops early
Contestant = Callable[[], object]


class Setup:
    """A fresh model with its optimizer, and the batches."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 3))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=START)
        self.batches = [(torch.randn(64, 20), torch.randint(3, (64,))) for _ in range(10)]


def loss_fn(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def bare_loop() -> Contestant:
    setup = Setup()

    def run() -> None:
        for k in range(STEPS):
            setup.optimizer.zero_grad()
            loss_fn(setup.model, setup.batches[k % len(setup.batches)]).backward()
            setup.optimizer.step()

    return run


def ours() -> Contestant:
    setup = Setup()

    def run() -> None:
        curve = range_test(setup.model, setup.optimizer, loss_fn, setup.batches, start_lr=START, end_lr=END)
        assert len(curve) == STEPS

    return run


def lr_finder() -> Contestant:
    from torch_lr_finder import LRFinder

    setup = Setup()
    loader = torch.utils.data.DataLoader(setup.batches, batch_size=None)

    def run() -> None:
        finder = LRFinder(setup.model, setup.optimizer, nn.functional.cross_entropy)
        finder.range_test(loader, start_lr=START, end_lr=END, num_iter=STEPS)
        finder.reset()

    return run


def bare_loader_loop() -> Contestant:
    setup = Setup()
    loader = torch.utils.data.DataLoader(setup.batches, batch_size=None)

    def run() -> None:
        batches = iter(loader)
        for _ in range(STEPS):
            try:
                batch = next(batches)
            except StopIteration:
                batches = iter(loader)
                batch = next(batches)
            setup.optimizer.zero_grad()
            loss_fn(setup.model, batch).backward()
            setup.optimizer.step()

    return run


def ignite_finder() -> Contestant:
    from ignite.engine import Engine
    from ignite.handlers import FastaiLRFinder

    setup = Setup()

    def step(_: object, batch: tuple[torch.Tensor, torch.Tensor]) -> float:
        setup.optimizer.zero_grad()
        loss = loss_fn(setup.model, batch)
        loss.backward()
        setup.optimizer.step()
        return loss.item()

    def run() -> None:
        trainer, finder = Engine(step), FastaiLRFinder()
        saved = {"model": setup.model, "optimizer": setup.optimizer}
        with finder.attach(trainer, saved, num_iter=STEPS, start_lr=START, end_lr=END) as found:
            found.run(setup.batches)

    return run


PEERS = {  # each with the bare loop over the same kind of batches
    "torch-lr-finder": ("torch_lr_finder", lr_finder, bare_loader_loop),
    "pytorch-ignite": ("ignite", ignite_finder, bare_loop),
}


def measure(make: Callable[[], Contestant], make_bare: Callable[[], Contestant], samples: int) -> np.ndarray:
    """Return seconds of the contestant and of the bare loop, alternating, shape (2, samples)."""
    runs = make(), make_bare()
    times = np.empty((2, samples))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for run in runs:
            run()
        gc.collect()
        gc.disable()
        try:
            for i in range(samples):
                for which in (0, 1) if i % 2 else (1, 0):
                    started = time.perf_counter()
                    runs[which]()
                    times[which, i] = time.perf_counter() - started
        finally:
            gc.enable()
    return times


def interval(ratios: np.ndarray, resamples: int = 1000) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the median."""
    chosen = np.random.default_rng(0).integers(len(ratios), size=(resamples, len(ratios)))
    low, high = np.percentile(np.median(ratios[chosen], axis=1), [2.5, 97.5])
    return float(low), float(high)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks range_test_cost", description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=count, default=101, help="timed runs a contestant (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write range_test_cost.json into")
    options = parser.parse_args(argv)
    if options.out:
        prepare(options.out)
    torch.set_num_threads(1)
    contestants = {"lrsched.range_test": (ours, bare_loop)}
    for name, (module, make, bare) in PEERS.items():
        if importlib.util.find_spec(module):
            contestants[name] = (make, bare)
    lines, records = [["", "n", "ms", "bare ms", "ratio", "95 %"]], []
    for name, (make, bare) in contestants.items():
        times = measure(make, bare, options.samples)
        ratios = times[0] / times[1]
        ms, bare_ms = np.median(times, axis=1) * 1e3
        low, high = interval(ratios)
        ratio = float(np.median(ratios))
        lines.append(
            [name, str(options.samples), f"{ms:.1f}", f"{bare_ms:.1f}", f"{ratio:.3f}", f"{low:.3f}-{high:.3f}"]
        )
        records.append({"name": name, "ms": ms, "bare_ms": bare_ms, "ratio": ratio, "low": low, "high": high})
    hardware = machine.hardware()
    report.show(lines, f"{STEPS} iterations and everything put back, against the bare loop", right=lines[0][1:])
    verdict = "met" if records[0]["ratio"] <= LIMIT else "MISSED"
    print(f"Claim: a range test costs at most {LIMIT} of the bare loop: {verdict}.", f"Hardware: {hardware}.", sep="\n")
    if options.out:
        where = {"hardware": hardware, "versions": machine.versions(), "commit": machine.commit()}
        write(options.out / "range_test_cost.json", {**where, "samples": options.samples, "costs": records})
    return 0
