"""How good suggested learning rates are: the loss after 300 steps at the suggestion, relative to the best of a grid.

The suggestions of other libraries are computed from the same raw losses by their formulas: fastai's minimum and
valley, torch-lr-finder's and ignite's steepest descent. A missing suggestion counts as a ratio of 10.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from itertools import islice

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from lrsched import Curve, range_test

from .. import machine
from ..commands import add_out, add_seeds, chosen, option_parser
from ..files import prepare, write_figures
from ..small_tasks import NAMED, TASKS, Batches, Task
from ..text_tables import show

STEPS = 300
GRID = 10.0 ** np.arange(-5, 1.01, 0.25)
MEAN_LIMIT, WORST_LIMIT = 1.45, 3.5
NOTHING = 10.0  # the ratio of a missing suggestion
Rule = Callable[[Curve], float | None]


def averaged(losses: np.ndarray, weight: float, debias: bool) -> np.ndarray:
    """Return the exponential moving average that other finders record."""
    smooth, value = np.empty_like(losses), 0.0 if debias else losses[0]
    for k, loss in enumerate(losses):
        value = weight * loss + (1 - weight) * value
        smooth[k] = value / (1 - (1 - weight) ** (k + 1)) if debias else value
    return smooth


def fastai(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Return the rates and averages that fastai keeps, up to four times the lowest average."""
    smooth = averaged(curve.losses, 0.02, debias=True)
    over = np.flatnonzero(smooth > 4 * np.minimum.accumulate(smooth))
    n = int(over[0]) + 1 if over.size else len(smooth)
    part = slice(n // 10, max(n - 5, n // 10 + 1))
    return curve.lrs[part], smooth[part]


def fastai_minimum(curve: Curve) -> float:
    lrs, smooth = fastai(curve)
    return float(lrs[smooth.argmin()]) / 10


def fastai_valley(curve: Curve) -> float:
    lrs, smooth = fastai(curve)
    lengths = np.ones(len(smooth), dtype=int)
    for i in range(1, len(smooth)):
        longer = lengths[:i][smooth[:i] > smooth[i]]
        lengths[i] = 1 + longer.max(initial=0)
    end = int(lengths.argmax())
    third = lengths[end] / 3
    return float(lrs[max(0, end - lengths[end]) + int(third) + int(third / 2)])


def lr_finder_steepest(curve: Curve) -> float | None:
    smooth = averaged(curve.losses, 0.05, debias=False)[10:-5]
    return float(curve.lrs[10:-5][np.gradient(smooth).argmin()]) if len(smooth) > 1 else None


def ignite_steepest(curve: Curve) -> float | None:
    smooth = averaged(curve.losses, 0.05, debias=False)
    lowest = int(smooth.argmin())
    return float(curve.lrs[np.gradient(smooth)[1:lowest].argmin() + 1]) if lowest > 1 else None


RULES: dict[str, Rule] = {
    "lrsched": lambda curve: curve.suggestion,
    "fastai minimum": fastai_minimum,
    "fastai valley": fastai_valley,
    "torch-lr-finder": lr_finder_steepest,
    "ignite": ignite_steepest,
}


def final_loss(task: Task, model: nn.Module, batches: Batches, lr: float) -> float:
    """Return the loss on all data after the steps at one learning rate; infinite if training diverged."""
    model = copy.deepcopy(model)
    optimizer = task.optimizer(model.parameters())
    optimizer.param_groups[0]["lr"] = lr
    for batch in islice(batches, STEPS):
        optimizer.zero_grad()
        loss = task.loss_fn(model, batch)
        if not math.isfinite(loss.item()):
            return math.inf
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        loss = task.loss_fn(model, batches.data).item()
    return loss if math.isfinite(loss) else math.inf


def ratios(task: Task, seed: int) -> dict[str, float]:
    """Return, for every rule, the loss at its suggestion divided by the best of the grid."""
    torch.manual_seed(seed)
    data = task.data()
    model = task.network()
    batches = Batches(data, task.batch, seed)
    optimizer = task.optimizer(model.parameters())
    curve = range_test(model, optimizer, task.loss_fn, Batches(data, task.batch, 1000 + seed))
    untrained = task.loss_fn(model, data).item()
    losses = [final_loss(task, model, batches, float(lr)) for lr in GRID]
    floor = 1e-4 * untrained  # below it, ratios mean nothing, because nothing is left to learn
    found = {}
    for name, rule in RULES.items():
        lr = rule(curve)
        loss = math.inf if lr is None else min(final_loss(task, model, batches, lr), 10 * untrained)
        found[name] = NOTHING if lr is None else max(loss, floor) / max(min(losses), floor)
    return found


def geometric(values: list[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))


Means = dict[str, dict[str, float]]  # the geometric mean over seeds, by task and rule


def cells(means: Means) -> list[list[str]]:
    """Return the table: the tasks, then mean and worst of the six tasks of the claim, and of all tasks."""
    lines = [["loss at the suggestion / best of the grid", *RULES]]
    lines += [[name, *(f"{of_task[rule]:.2f}" for rule in RULES)] for name, of_task in means.items()]
    named = [name for name in NAMED if name in means]
    for label, names in (("the six of the claim", named), ("all", list(means))):
        for kind, over in (("mean", geometric), ("worst", max)):
            if names:
                figures = (over([means[name][rule] for name in names]) for rule in RULES)
                lines.append([f"{label}: {kind}", *(f"{figure:.2f}" for figure in figures)])
    return lines


def verdict(means: Means) -> str:
    """Return whether the claim on the six tasks holds."""
    own = [means[name]["lrsched"] for name in NAMED]
    return "met" if geometric(own) <= MEAN_LIMIT and max(own) <= WORST_LIMIT else "MISSED"


def main(argv: list[str]) -> int:
    parser = option_parser("range_test_quality", __doc__)
    add_seeds(parser, 8)
    parser.add_argument("--tasks", metavar="A,B,C", help=f"only these: {', '.join(TASKS)}")
    add_out(parser, "range_test_quality.json")
    options = parser.parse_args(argv)
    names = chosen("task", options.tasks, TASKS)
    if options.out:
        prepare(options.out)
    torch.set_num_threads(1)
    seeds = range(options.seeds)
    pairs = [(name, seed) for name in names for seed in seeds]
    runs = {pair: ratios(TASKS[pair[0]], pair[1]) for pair in tqdm(pairs, unit="run", leave=False)}
    means = {name: {rule: geometric([runs[name, seed][rule] for seed in seeds]) for rule in RULES} for name in names}
    lines = cells(means)
    show(lines, f"Geometric means over {options.seeds} seeds, {STEPS} steps", right=lines[0][1:])
    if means.keys() >= set(NAMED):
        print(f"Claim: on the six, mean at most {MEAN_LIMIT} and worst at most {WORST_LIMIT}: {verdict(means)}.")
    print(f"Hardware: {machine.hardware()}.")
    if options.out:
        records = [{"task": name, "seed": seed, **found} for (name, seed), found in runs.items()]
        write_figures(options.out / "range_test_quality.json", {"ratios": records})
    return 0
