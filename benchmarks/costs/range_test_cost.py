"""The cost of a range test: `range_test`, torch-lr-finder and ignite's finder, compared with the bare training loop.

An MLP 20-64-3 takes 100 steps of SGD with batches of 64 from a list; set-up and restoring are included. Each contestant
alternates with its bare loop in one process, and the ratio is the median over the turns. Other libraries are left out
if they are not installed: pip install torch-lr-finder pytorch-ignite
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import nn

from lrsched import range_test

from .. import machine
from ..commands import add_out, add_samples, option_parser
from ..files import prepare, write_figures
from ..text_tables import show
from .timing import in_turns, median_of_ratios, span

STEPS, LIMIT = 100, 1.05
START, END = 1e-5, 0.5  # a range in which no contestant stops early
Batch = tuple[torch.Tensor, torch.Tensor]
Contestant = Callable[[], object]


class Setup:
    """A new model with its optimizer, and the batches."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 3))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=START)
        self.batches = [(torch.randn(64, 20), torch.randint(3, (64,))) for _ in range(10)]
        self.loader = torch.utils.data.DataLoader(self.batches, batch_size=None)

    def step(self, batch: Batch) -> torch.Tensor:
        self.optimizer.zero_grad()
        loss = loss_fn(self.model, batch)
        loss.backward()
        self.optimizer.step()
        return loss


def loss_fn(model: nn.Module, batch: Batch) -> torch.Tensor:
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def bare_loop() -> Contestant:
    setup = Setup()

    def run() -> None:
        for k in range(STEPS):
            setup.step(setup.batches[k % len(setup.batches)])

    return run


def bare_loader_loop() -> Contestant:
    setup = Setup()

    def run() -> None:
        batches = repeated(setup.loader)
        for _ in range(STEPS):
            setup.step(next(batches))

    return run


def repeated(loader: Iterable[Batch]) -> Iterator[Batch]:
    while True:
        yield from loader


def lrsched_test() -> Contestant:
    setup = Setup()

    def run() -> None:
        curve = range_test(setup.model, setup.optimizer, loss_fn, setup.batches, start_lr=START, end_lr=END)
        assert len(curve) == STEPS

    return run


def lr_finder() -> Contestant:
    from torch_lr_finder import LRFinder

    setup = Setup()

    def run() -> None:
        finder = LRFinder(setup.model, setup.optimizer, nn.functional.cross_entropy)
        finder.range_test(setup.loader, start_lr=START, end_lr=END, num_iter=STEPS)
        finder.reset()

    return run


def ignite_finder() -> Contestant:
    from ignite.engine import Engine
    from ignite.handlers import FastaiLRFinder

    setup = Setup()

    def run() -> None:
        trainer, finder = Engine(lambda _, batch: setup.step(batch).item()), FastaiLRFinder()
        saved = {"model": setup.model, "optimizer": setup.optimizer}
        with finder.attach(trainer, saved, num_iter=STEPS, start_lr=START, end_lr=END) as found:
            found.run(setup.batches)

    return run


OWN = "lrsched.range_test"
PEERS = {  # module, contestant, and the bare loop over the same kind of batches
    "torch-lr-finder": ("torch_lr_finder", lr_finder, bare_loader_loop),
    "pytorch-ignite": ("ignite", ignite_finder, bare_loop),
}


def measure(name: str, make: Callable[[], Contestant], make_bare: Callable[[], Contestant], samples: int) -> dict:
    """Time a contestant and its bare loop in turns, without their output; return a line of the result."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        times = in_turns({"test": make(), "bare": make_bare()}, samples)
    ms, bare_ms = (float(np.median(times[which])) * 1e3 for which in ("test", "bare"))
    ratio = median_of_ratios(times["test"], times["bare"])
    return {"name": name, "ms": ms, "bare_ms": bare_ms, "ratio": ratio.value, "low": ratio.low, "high": ratio.high}


def cells(costs: list[dict], samples: int) -> list[list[str]]:
    lines = [["", "n", "ms", "bare ms", "ratio", "95 %"]]
    for cost in costs:
        times = [f"{cost['ms']:.1f}", f"{cost['bare_ms']:.1f}", f"{cost['ratio']:.3f}"]
        lines.append([cost["name"], str(samples), *times, span(cost["low"], cost["high"], 3)])
    return lines


def main(argv: list[str]) -> int:
    parser = option_parser("range_test_cost", __doc__)
    add_samples(parser, 101)
    add_out(parser, "range_test_cost.json")
    options = parser.parse_args(argv)
    if options.out:
        prepare(options.out)
    torch.set_num_threads(1)
    contestants = {OWN: (lrsched_test, bare_loop)}
    contestants |= {name: peer[1:] for name, peer in PEERS.items() if importlib.util.find_spec(peer[0])}
    costs = [measure(name, make, bare, options.samples) for name, (make, bare) in contestants.items()]
    lines = cells(costs, options.samples)
    show(lines, f"{STEPS} iterations with everything restored, compared with the bare loop", right=lines[0][1:])
    verdict = "met" if costs[0]["ratio"] <= LIMIT else "MISSED"
    print(f"Claim: a range test costs at most {LIMIT} × the bare loop: {verdict}.")
    print(f"Hardware: {machine.hardware()}.")
    if options.out:
        write_figures(options.out / "range_test_cost.json", {"samples": options.samples, "costs": costs})
    return 0
