"""Which learning rates simple functions need: "Diving deep: learning rate" (2020), claims C1 to C5 and C7.

Sweeps of 100 rates, 1, 2, 4 and 8 epochs ahead, of a network before and after training; and long trainings on log at a
low rate, at a high one, and at a high one that is lowered at the end.
"""

from __future__ import annotations

import argparse
import shlex
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch.optim import Adam
from tqdm import tqdm

from lrsched import lr_sweep, snapshot

from .. import machine
from ..commands import add_out, add_seeds, add_threads, chosen, option_parser
from ..files import Records
from . import function_report
from . import sweep_claims as claims
from .function_tasks import FUNCTIONS, adam, evaluate, loss_fn, network, train

STATES = {
    claims.UNTRAINED: (1e-3, 0),
    "30 epochs at 0.05": (5e-2, 30),
    "425 epochs at 0.001": (1e-3, 425),
    "1000 epochs at 0.001": (1e-3, 1000),
}  # the rate and the epochs of the training before a sweep
STOP_ABOVE = 1.1
DRAWN = 25  # every 25th of the network's outputs is kept


def sweep(function: str, seed: int, state: str) -> dict[str, Any]:
    """Train a network to the state, and return a sweep over the rates from there."""
    batches = FUNCTIONS[function].batches()
    model = network(seed)
    lr, epochs = STATES[state]
    train(model, adam(model, lr), batches, epochs)
    found = lr_sweep(
        model,
        lambda parameters: Adam(parameters, lr=1e-3),  # a new one for every rate of the sweep
        loss_fn,
        batches,
        claims.LRS,
        steps=[len(batches) * mark for mark in claims.MARKS],
        eval_batches=batches,
        stop_above=STOP_ABOVE,
    )
    with torch.no_grad():
        outputs = torch.cat([model(x) for x, _ in batches])[::DRAWN, 0]
    return {
        "loss": evaluate(model, batches),
        "losses": [short(row) for row in found.losses.tolist()],
        "suggestion": found.suggestion,
        "method": found.method,
        "outputs": short(outputs.tolist()),
    }


def long(function: str, seed: int) -> dict[str, Any]:
    """Return the losses per epoch of the trainings that C3 and C5 compare."""
    batches = FUNCTIONS[function].batches()
    lower, last = claims.LOWERED
    losses = {}
    for name, (lr, epochs) in (("slow", claims.SLOW), ("fast", claims.FAST)):
        model = network(seed)
        optimizer = adam(model, lr)
        losses[name] = train(model, optimizer, batches, epochs - last)
        if name == "fast":
            with snapshot(model, optimizer):
                optimizer.param_groups[0]["lr"] = lower
                losses["lowered"] = train(model, optimizer, batches, last)
        losses[name] += train(model, optimizer, batches, last)
    return {name: short(values) for name, values in losses.items()}


def short(values: Iterable[float]) -> list[float]:
    """Return the values with 5 significant digits, which is enough for pictures and claims."""
    return [float(f"{value:.5g}") for value in values]


def work(functions: Iterable[str], seeds: int) -> list[tuple[str, int, str]]:
    """Return the (function, seed, part) to do, seed by seed."""
    parts = {name: [*STATES, *([claims.LONG] if name == "log" else [])] for name in functions}
    return [(name, seed, part) for seed in range(seeds) for name in parts for part in parts[name]]


def finish(function: str, seed: int, part: str) -> dict[str, Any]:
    """Do one part and return its record."""
    started = time.perf_counter()
    record = long(function, seed) if part == claims.LONG else sweep(function, seed, part)
    seconds = round(time.perf_counter() - started, 2)
    return {"function": function, "seed": seed, "part": part, **record, "seconds": seconds}


def configuration() -> dict[str, Any]:
    """Return everything that determines a part besides function, seed and part."""
    return {
        "network": " ".join(repr(network(0)).split()),
        "states": STATES,
        "rates": [claims.LRS[0], claims.LRS[-1], len(claims.LRS)],
        "marks": claims.MARKS,
        "stop_above": STOP_ABOVE,
        "long": [claims.SLOW, claims.FAST, claims.LOWERED],
        "threads": torch.get_num_threads(),
    }


def function_parser() -> argparse.ArgumentParser:
    parser = option_parser("functions", __doc__)
    add_seeds(parser, 10)
    parser.add_argument("--functions", metavar="A,B,C", help=f"only these: {', '.join(FUNCTIONS)}")
    add_threads(parser)
    parser.add_argument("--quick", action="store_true", help="one seed, and only log unless --functions is given")
    add_out(parser, "the results; work it already holds is not repeated", default=Path("out", "functions"))
    return parser


def main(argv: list[str]) -> int:
    options = function_parser().parse_args(argv)
    names = options.functions or ("log" if options.quick else None)
    wanted = work(chosen("function", names, FUNCTIONS), 1 if options.quick else options.seeds)
    torch.set_num_threads(options.threads)
    records = Records(options.out, ("function", "seed", "part"), configuration())
    left = [key for key in wanted if key not in records.found]
    print(f"Functions: {len(wanted)} sweeps and long trainings, {len(left)} of them still to do.")
    for key in tqdm(left, unit="part", disable=not left):
        records.add(finish(*key))
    command = f"python -m benchmarks functions {shlex.join(argv)}".strip()
    function_report.report(records, {"command": command, **machine.origin()})
    return 0
