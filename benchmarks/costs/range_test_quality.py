"""How good suggested learning rates are: the loss of a training at the suggestion, relative to the best of a grid.

On 62 tiny tasks of many kinds, a model trains for 300 steps from the suggestion, with a warm-up over 5 % of the steps
and a linear decay to zero, as the documentation recommends; and at the constant rate. Half of the tasks are held out,
by their names: rules are chosen on the others, and for the held-out half only totals are shown. The suggestions of
other libraries are computed from the same raw losses by their formulas.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from lrsched import Curve, range_test

from .. import machine
from ..commands import add_out, add_seeds, chosen, count, option_parser
from ..files import Records, write
from ..text_tables import markdown, show
from ..tiny.grid import CONSTANT, RATES, RECIPE, final_losses
from ..tiny.tasks import TASKS, held_out
from . import other_finders

Record = dict[str, Any]  # of a task and a seed: the losses of its range test, and the final losses over the grid
Rule = Callable[[Curve, float], float | None]  # (curve, the optimizer's default rate) -> a learning rate
TESTED = np.logspace(-7, 1, 100)  # the learning rates of a range test by default
WORTHLESS = 10.0  # a final loss counts as at most this many untrained losses, also if training diverged
OPPONENT = "fastai minimum / 10"
FEWEST = 3  # tasks that an interval needs
UNCOUNTED = 0.01  # of the untrained loss: smaller differences are not counted

RULES: dict[str, Rule] = {
    "lrsched": lambda curve, _: curve.suggestion,
    "fastai minimum / 10": lambda curve, _: other_finders.fastai_minimum(curve),
    "fastai valley": lambda curve, _: other_finders.fastai_valley(curve),
    "torch-lr-finder": lambda curve, _: other_finders.lr_finder_steepest(curve),
    "ignite": lambda curve, _: other_finders.ignite_steepest(curve),
    "no test: default rate": lambda _, default: default,
    "no test: default × 10": lambda _, default: 10 * default,
}


def measured(name: str, seeds: Sequence[int], steps: int) -> list[Record]:
    """Train a task over the grid and run its range tests, which use other batches; return a record for each seed."""
    task = TASKS[name]
    untrained, final = final_losses(task, seeds, steps)
    records = []
    for i, seed in enumerate(seeds):
        model = task.model(seed)
        curve = range_test(model, task.make_optimizer(model.parameters()), task.loss_fn, task.batches(1000 + seed))
        record = {"task": name, "seed": seed, "untrained": rounded([untrained[i]])[0]}
        record["final"] = {schedule: rounded(losses[i]) for schedule, losses in final.items()}
        records.append({**record, "losses": rounded(curve.losses), "stop_reason": curve.stop_reason})
    return records


def rounded(values: Iterable[float]) -> list[float | None]:
    """Return six significant digits of each value, and None for what is not finite."""
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values]


def curve_of(record: Record) -> Curve:
    return Curve(TESTED[: len(record["losses"])], record["losses"], stop_reason=record["stop_reason"])


def final_grid(records: Sequence[Record], schedule: str) -> np.ndarray:
    """Return the final losses, shape (seeds, RATES)."""
    losses = np.array([record["final"][schedule] for record in records], dtype=float)
    worst = WORTHLESS * np.array([[record["untrained"]] for record in records])
    return np.fmin(losses, worst)


def ratio(records: Sequence[Record], schedule: str, lrs: Sequence[float]) -> float:
    """Return how many times the best rate's loss a task's suggestions give, as a geometric mean over seeds.

    Between the rates of the grid, log loss is interpolated in log lr. The best rate is the same for all seeds.
    """
    final = np.log(np.fmax(final_grid(records, schedule), 1e-12))
    best = np.exp(final[:, final.mean(axis=0).argmin()])
    given = np.exp([np.interp(np.log10(lr), np.log10(RATES), row) for lr, row in zip(lrs, final, strict=True)])
    allowance = UNCOUNTED * np.array([record["untrained"] for record in records])
    return geometric(np.fmax(1.0, given / (best + allowance)))


def geometric(values: Iterable[float]) -> float:
    return float(np.exp(np.mean(np.log(list(values)))))


def suggested(records: Sequence[Record], rule: Rule) -> tuple[list[float], int]:
    """Return a rule's learning rate for each seed, and how many are missing; for these, the default rate counts."""
    task = TASKS[records[0]["task"]]
    default = task.make_optimizer([torch.nn.Parameter(torch.zeros(1))]).param_groups[0]["lr"]
    found = [rule(curve_of(record), default) for record in records]
    return [default if lr is None else lr for lr in found], found.count(None)


def totals(tasks: Mapping[str, Sequence[Record]], schedule: str) -> list[list[str]]:
    """Return the table of means and worst tasks, a line for each rule."""
    lines = [["Rule", *(f"{part}: {what}" for part in ("chosen on", "held out") for what in ("mean", "worst")), "None"]]
    for name, rule in RULES.items():
        found = {task: suggested(records, rule) for task, records in tasks.items()}
        line = [name]
        for part in (False, True):
            values = [ratio(tasks[task], schedule, lrs) for task, (lrs, _) in found.items() if held_out(task) == part]
            line += [f"{geometric(values):.2f}", f"{max(values):.1f}"] if values else ["", ""]
        lines.append([*line, str(sum(missing for _, missing in found.values()))])
    return lines


def verdict(tasks: Mapping[str, Sequence[Record]]) -> str | None:
    """Return whether the claim on the held-out tasks holds, with an interval by bootstrap; None without such tasks."""
    held = [records for name, records in tasks.items() if held_out(name)]
    if len(held) < FEWEST:
        return None
    ours, theirs = (
        np.log([ratio(records, RECIPE, suggested(records, RULES[rule])[0]) for records in held])
        for rule in ("lrsched", OPPONENT)
    )
    chosen_tasks = np.random.default_rng(0).integers(0, len(held), (10_000, len(held)))
    low, high = np.exp(np.percentile((ours - theirs)[chosen_tasks].mean(axis=1), [2.5, 97.5]))
    met = ours.mean() < theirs.mean() and ours.max() <= theirs.max()
    return (
        f"Claim: on the held-out tasks, with warm-up and decay, lower in the mean than {OPPONENT} and not higher in "
        f"the worst: {'met' if met else 'MISSED'}. Ratio of the means {np.exp((ours - theirs).mean()):.2f} (95 % "
        f"interval by bootstrap {low:.2f}-{high:.2f}, n = {len(held)} tasks), worst {np.exp(ours.max()):.2f} and "
        f"{np.exp(theirs.max()):.2f}; better by more than 1 % on {(ours < theirs - 0.01).sum()} tasks, worse on "
        f"{(ours > theirs + 0.01).sum()}."
    )


def details(tasks: Mapping[str, Sequence[Record]]) -> list[list[str]]:
    """Return the table of the tasks that are not held out: ratios with warm-up and decay."""
    lines = [["Task", *RULES, "best loss", "at"]]
    for name, records in tasks.items():
        if not held_out(name):
            final = np.log(np.fmax(final_grid(records, RECIPE), 1e-12)).mean(axis=0)
            best = [f"{np.exp(final.min()):.3g}", f"{RATES[final.argmin()]:.2g}"]
            given = [f"{ratio(records, RECIPE, suggested(records, rule)[0]):.2f}" for rule in RULES.values()]
            lines.append([name, *given, *best])
    return lines


def notes(seeds: int, steps: int, tasks: int) -> list[str]:
    return [
        f"{tasks} tasks, {seeds} seeds, {steps} steps. Each figure is the validation loss at the suggestion, divided "
        "by that of the best rate of a grid (factor 10^¼, the same rate for all seeds) plus a hundredth of the "
        "untrained loss, and at least 1; geometric means over seeds and tasks. Losses between two rates of the grid "
        "are interpolated; a loss counts as at most ten untrained losses.",
        "None: suggestions that are missing; the optimizer's default rate counts in their place (SGD 0.01, Adam and "
        "AdamW 0.001).",
        "The tasks are divided by a hash of their names. Our rule was chosen on one half; of the other half, only the "
        "totals were looked at.",
        f"Hardware: {machine.hardware()}.",
    ]


def main(argv: list[str]) -> int:
    parser = option_parser("range_test_quality", __doc__)
    add_seeds(parser, 3)
    parser.add_argument("--steps", type=count, default=300, help="length of a training (default: %(default)s)")
    parser.add_argument("--tasks", metavar="A,B,C", help=f"only these: {', '.join(TASKS)}")
    add_out(parser, "the results; tasks it already holds are not trained again", Path("out", "range_test_quality"))
    options = parser.parse_args(argv)
    names = chosen("task", options.tasks, TASKS)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    seeds = range(options.seeds)
    config = {"steps": options.steps, "seeds": options.seeds, "rates": rounded(RATES)}
    records = Records(options.out, ("task", "seed"), config)
    for name in tqdm(names, unit="task", leave=False):
        if any((name, seed) not in records.found for seed in seeds):
            for record in measured(name, seeds, options.steps):
                records.add(record)
    report(records, {name: [records.found[name, seed] for seed in seeds] for name in names}, argv)
    return 0


def report(records: Records, tasks: Mapping[str, Sequence[Record]], argv: list[str]) -> None:
    """Print the tables of totals, and write the results."""
    title = "How good suggested learning rates are"
    headings = {RECIPE: "A warm-up over 5 % of the steps, then linearly to zero", CONSTANT: "The rate held constant"}
    sections = [f"# {title}"]
    for schedule, heading in headings.items():
        lines = totals(tasks, schedule)
        show(lines, heading, right=lines[0][1:])
        sections += [f"## {heading}", markdown(lines)]
    below = notes(records.config["seeds"], records.config["steps"], len(tasks))
    if claim := verdict(tasks):
        below.insert(0, claim)
    chosen_on = "## The tasks that the rule was chosen on, with warm-up and decay"
    sections += [*below, chosen_on, markdown(details(tasks))]
    write(records.folder / "table.md", "\n\n".join(sections) + "\n")
    command = shlex.join(["python", "-m", "benchmarks", "range_test_quality", *argv])
    write(records.folder / "info.json", {"command": command, **machine.origin(), "configuration": records.config})
    print(*below, f"Written to {records.folder}: table.md, runs.jsonl, info.json", sep="\n")
