"""Claim E1: the bump in a range-test curve vanishes with larger batches, or with more batches per rate.

A question in a forum shows a curve with a bump: it rises and falls again before it descends. Here the bump is how far
the raw losses before the descent rise above their first level: the highest mean of three neighbours minus the median.
The arms use larger batches, more steps per rate, only accumulated gradients, or the median of repeats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from lrsched import Curve, Estimate, range_test
from lrsched.plot import figure, save

from .. import machine
from ..commands import BenchmarkError, add_out, add_seeds, option_parser
from ..files import prepare, write_figures
from ..small_tasks import DIGITS, Batches
from ..text_tables import show
from .stats import FEWEST, differences
from .verdicts import REPRODUCED, Judgement, against, weakest

ARMS = {  # batch size, options of range_test
    "batch 4": (4, {}),
    "batch 16": (16, {}),
    "batch 64": (64, {}),
    "batch 4, 4 steps a rate": (4, {"batches_per_lr": 4}),
    "batch 4, 16 steps a rate": (4, {"batches_per_lr": 16}),
    "batch 4, accumulate 16": (4, {"accumulate": 16}),
    "batch 4, median of 5 repeats": (4, {"repeats": 5}),
}
BASE = "batch 4"
HEAD = 40  # the points before any descent, up to a rate of about 2e-4
GONE = 0.5  # a bump that is significantly lower than this share of the first arm's counts as gone
CLAIMED = ("batch 64", "batch 4, 16 steps a rate")  # the arms that E1 is about


def curve_of(arm: str, seed: int) -> Curve:
    size, options = ARMS[arm]
    torch.manual_seed(seed)
    model = DIGITS.network()
    optimizer = DIGITS.optimizer(model.parameters())
    return range_test(model, optimizer, DIGITS.loss_fn, Batches(DIGITS.data(), size, seed), **options)


def bump(curve: Curve) -> float:
    """Return how far three neighbouring losses rise above the first level, in units of the loss."""
    head = curve.losses[:HEAD]
    return float(np.convolve(head, np.ones(3) / 3, mode="valid").max() - np.median(head))


def gone(bumps: Mapping[str, Sequence[float]], arm: str) -> Judgement:
    """Judge whether an arm's bump is less than half as high as that of batch 4, seed by seed."""
    half = [GONE * value for value in bumps[BASE]]
    return against(f"bump: {arm} − half of {BASE}", differences(bumps[arm], half), above=False)


def smaller(mean: Estimate, base: Estimate, p: float) -> str:
    return "as before" if p >= 0.05 else "smaller" if mean.mean < base.mean else "larger"


def e1(bumps: Mapping[str, Sequence[float]]) -> Judgement:
    """Judge the claim: both larger batches and more batches per rate make the bump vanish."""
    return weakest([gone(bumps, arm) for arm in CLAIMED])


def cells(bumps: Mapping[str, Sequence[float]], curves: Mapping[tuple[str, int], Curve]) -> list[list[str]]:
    """Return the table, a line for each arm."""
    base = Estimate.of(bumps[BASE])
    lines = [["Range test with", "n", "bump", "relative to batch 4", "p (paired)", "suggestions", "verdict"]]
    for arm, values in bumps.items():
        mean = Estimate.of(values)
        p = Estimate.of(differences(values, bumps[BASE])).p_value()
        verdict = "gone" if gone(bumps, arm).verdict == REPRODUCED else smaller(mean, base, p)
        tests = ["", ""] if arm == BASE else [f"{p:.1g}", verdict]
        found = sum(curves[arm, seed].suggestion is not None for seed in range(mean.n))
        part = f"{mean.mean / base.mean:.2f}"
        lines.append([arm, str(mean.n), mean.text(4), part, tests[0], str(found), tests[1]])
    return lines


def main(argv: list[str]) -> int:
    parser = option_parser("range_noise", __doc__)
    add_seeds(parser, 20)
    add_out(parser, "range_noise.json and range_noise.png")
    options = parser.parse_args(argv)
    if options.seeds < FEWEST:
        raise BenchmarkError(f"--seeds must be at least {FEWEST}, which the paired test needs, got {options.seeds}")
    if options.out:
        prepare(options.out)
    torch.set_num_threads(1)
    pairs = [(arm, seed) for arm in ARMS for seed in range(options.seeds)]
    curves = {pair: curve_of(*pair) for pair in tqdm(pairs, unit="curve", leave=False)}
    bumps = {arm: [bump(curves[arm, seed]) for seed in range(options.seeds)] for arm in ARMS}
    lines = cells(bumps, curves)
    show(lines, "Bump before the descent, digits, SGD", right=lines[0][1:-1])
    print(f"E1, the bump vanishes with larger batches or more batches per rate: {e1(bumps).verdict}.")
    print("Mean ± half of the 95 % interval (Student's t). Gone: below half as high, with p < 0.05, paired by seed.")
    print(f"Hardware: {machine.hardware()}.")
    if options.out:
        verdicts = {line[0]: line[-1] for line in lines[1:]}
        write_figures(options.out / "range_noise.json", {"bumps": bumps, "verdicts": verdicts})
        draw(curves, options.out / "range_noise.png")
    return 0


def draw(curves: Mapping[tuple[str, int], Curve], path: Path) -> None:
    """Draw the first seed's curve of every arm into a PNG."""
    sheet = figure(12, 2.6 * len(ARMS))
    for ax, arm in zip(sheet.subplots(len(ARMS), 1), ARMS, strict=True):
        curves[arm, 0].plot(ax).set_title(arm, loc="left", fontsize=10)
    save(sheet, path)
