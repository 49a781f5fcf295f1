"""Claim E1: the bump in a range-test curve goes away with larger batches, or with more batches a rate.

A forum's question shows a curve that rises and falls again before it descends. Here the bump of a curve is how far the
raw losses, before the descent, rise above their first level: the highest mean of three neighbours minus the median, in
units of the descent. One arm enlarges the batch, one takes more steps a rate, one only accumulates gradients.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from lrsched import Curve, range_test

from .. import machine
from ..results import prepare, write
from ..small_tasks import TASKS, Batches
from . import report
from .stats import Mean, differences, mean_interval, p_value
from .table import count
from .verdicts import REPRODUCED, Judgement, against, weakest

TASK = TASKS["digits-sgd4"]
ARMS = {  # batch size, then options of range_test
    "batch 4": (4, {}),
    "batch 16": (16, {}),
    "batch 64": (64, {}),
    "batch 4, 4 steps a rate": (4, {"batches_per_lr": 4}),
    "batch 4, 16 steps a rate": (4, {"batches_per_lr": 16}),
    "batch 4, accumulate 16": (4, {"accumulate": 16}),
    "batch 4, median of 5 repeats": (4, {"repeats": 5}),
}
BASE = "batch 4"
HEAD = 40  # points before any descent, up to a rate of about 2e-4
GONE = 0.5  # a bump that is, significantly, less than half as high counts as gone
CLAIMED = ("batch 64", "batch 4, 16 steps a rate")  # the arms that E1 speaks of


def curve_of(arm: str, seed: int) -> Curve:
    size, options = ARMS[arm]
    torch.manual_seed(seed)
    model = TASK.network()
    optimizer = TASK.optimizer(model.parameters())
    return range_test(model, optimizer, TASK.loss_fn, Batches(TASK.data(), size, seed), **options)


def bump(curve: Curve) -> float:
    """Return how far three neighbouring losses rise above the first level, in units of the loss."""
    head = curve.losses[:HEAD]
    return float(np.convolve(head, np.ones(3) / 3, mode="valid").max() - np.median(head))


def gone(bumps: Mapping[str, Sequence[float]], arm: str) -> Judgement:
    """Judge whether an arm's bump is less than half as high as that of single batches of 4, seed by seed."""
    half = [GONE * value for value in bumps[BASE]]
    return against(f"bump: {arm} − half of {BASE}", differences(bumps[arm], half), above=False)


def smaller(mean: Mean, base: Mean, p: float) -> str:
    return "as before" if p >= 0.05 else "smaller" if mean.mean < base.mean else "larger"


def e1(bumps: Mapping[str, Sequence[float]]) -> Judgement:
    """Judge the claim: both larger batches and more batches a rate make the bump go away."""
    return weakest([gone(bumps, arm) for arm in CLAIMED])


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks range_noise", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=count, default=20, help="default: %(default)s")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for range_noise.json and range_noise.png")
    options = parser.parse_args(argv)
    if options.seeds < 2:
        parser.error("the paired test needs at least 2 seeds")
    if options.out:
        prepare(options.out)
    torch.set_num_threads(1)
    pairs = [(arm, seed) for arm in ARMS for seed in range(options.seeds)]
    curves = {pair: curve_of(*pair) for pair in tqdm(pairs, unit="curve", leave=False)}
    bumps = {arm: [bump(curves[arm, seed]) for seed in range(options.seeds)] for arm in ARMS}
    base = mean_interval(bumps[BASE])
    lines = [["Range test of", "n", "bump", "of batch 4's", "p (paired)", "suggestions", "verdict"]]
    for arm, values in bumps.items():
        mean = mean_interval(values)
        p = p_value(differences(values, bumps[BASE]))
        verdict = "" if arm == BASE else "gone" if gone(bumps, arm).verdict == REPRODUCED else smaller(mean, base, p)
        found = sum(curves[arm, seed].suggestion is not None for seed in range(options.seeds))
        part = f"{mean.mean / base.mean:.2f}"
        cells = [str(mean.n), mean.text(4), part, "" if arm == BASE else f"{p:.1g}", str(found), verdict]
        lines.append([arm, *cells])
    report.show(lines, "Bump before the descent, digits, SGD", right=lines[0][1:-1])
    verdict = e1(bumps).verdict
    print(f"E1, the bump goes away with larger batches or more batches a rate: {verdict}.")
    print("Mean ± half of the 95 % interval (Student's t); gone: below half as high, p < 0.05 paired with that half.")
    hardware = machine.hardware()
    print(f"Hardware: {hardware}.")
    if options.out:
        where = {"hardware": hardware, "versions": machine.versions(), "commit": machine.commit()}
        verdicts = {line[0]: line[-1] for line in lines[1:]}
        write(options.out / "range_noise.json", {**where, "bumps": bumps, "verdicts": verdicts})
        draw(curves, options.out / "range_noise.png")
    return 0


def draw(curves: dict[tuple[str, int], Curve], path: Path) -> None:
    """Draw the first seed's curve of every arm into a PNG."""
    from lrsched.plot import figure, save

    sheet = figure(12, 2.6 * len(ARMS))
    for ax, arm in zip(sheet.subplots(len(ARMS), 1), ARMS, strict=True):
        curves[arm, 0].plot(ax).set_title(arm, loc="left", fontsize=10)
    save(sheet, path)
