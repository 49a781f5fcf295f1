"""The report of race_quality: its tables, its claims and its notes."""

from __future__ import annotations

from statistics import fmean, median

from .race_figures import (
    CAP,
    CONSTANT_SHARE,
    COST_LIMIT,
    COUNTED,
    FINER,
    FOLLOWED_NAMES,
    MEAN_LIMIT,
    TUNED,
    TUNED_NAMES,
    WORST_LIMIT,
    Tasks,
    geometric,
    ranks,
    worst,
)
from .race_methods import DEFAULT, FREE, RACE, RANGE, TENFOLD, WIDE
from .timing import span

ORDER = (
    RACE,
    RACE + FREE,
    WIDE,
    WIDE + FREE,
    TENFOLD,
    RANGE,
    RANGE + FREE,
    DEFAULT,
    *TUNED_NAMES,
    FINER,
    *FOLLOWED_NAMES,
)
SHOWN = {  # the columns of the table by task; range_test_quality shows only totals of the tasks held out, so does this
    DEFAULT: "default",
    TENFOLD: "× 10",
    TUNED: "tuned cosine",
    RACE: RACE,
    RACE + FREE: RACE + FREE,
    WIDE: "nine",
}


def methods_of(tasks: Tasks) -> list[str]:
    """Return the methods that all tasks have, in the order of the table."""
    return [name for name in ORDER if all(name in task.found for task in tasks.values())]


def by_method(tasks: Tasks) -> list[list[str]]:
    """Return the table of the methods over all tasks."""
    header = ["Method", "Mean", "95 %", "Median", "Held out", "Worst", "Raw mean", "Raw worst", "Rank"]
    lines = [[*header, "Diverged", "Lost", "Runs", "Seconds"]]
    rank = ranks(tasks, methods_of(tasks))
    for method, place in rank.items():
        lines.append([method, *_cells(tasks, method), f"{place:.1f}", *_counts(tasks, method)])
    return lines


def _cells(tasks: Tasks, method: str) -> list[str]:
    """Return a method's means and worst cases."""
    ratios = [task.ratio(method, counted=True) for task in tasks.values()]
    mean = geometric(ratios)
    held_out = [task.ratio(method, counted=True) for task in tasks.values() if task.held_out]
    raw = geometric(task.ratio(method) for task in tasks.values())
    ratio, where = worst(tasks, method, counted=True)
    return [
        f"{mean.value:.3f}",
        span(mean.low, mean.high, 2),
        f"{median(ratios):.3f}",
        f"{geometric(held_out).value:.3f}" if held_out else "–",
        f"{ratio:.3g} {where}",
        f"{raw.value:.3f}",
        f"{worst(tasks, method)[0]:.3g}",
    ]


def _counts(tasks: Tasks, method: str) -> list[str]:
    """Return a method's diverged and lost runs, and its mean steps and seconds."""
    figures = [task.found[method] for task in tasks.values()]
    bad = sum(figure.diverged for figure in figures), sum(figure.lost for figure in figures)
    runs, seconds = fmean(figure.runs for figure in figures), fmean(figure.seconds for figure in figures)
    return [*map(str, bad), f"{runs:.2f}", f"{seconds:.1f}"]


def by_task(tasks: Tasks) -> list[list[str]]:
    """Return the table of test losses by task, and of the learning rates as multiples of the optimizer's own."""
    methods = [name for name in SHOWN if name in methods_of(tasks)]
    lines = [["Task", "Untrained", *(SHOWN[name] for name in methods), "Best rate", "Race's rates"]]
    for name, task in tasks.items():
        losses = [f"{task.found[method].test:.4g}" for method in methods]
        best = f"{task.found[TUNED].factors[0]:.3g}"
        raced = ", ".join(f"{factor:.3g}" for factor in task.found[RACE].factors) if RACE in task.found else "–"
        label = name if task.held_out else f"{name} †"
        lines.append([label, f"{task.untrained:.3g}", *losses, best, raced])
    return lines


def claims(tasks: Tasks) -> list[str]:
    """Return the verdicts on race."""
    if not {RACE, TENFOLD} <= set(methods_of(tasks)):
        return []
    mean = geometric(task.ratio(RACE, counted=True) for task in tasks.values())
    recipe = geometric(task.ratio(TENFOLD, counted=True) for task in tasks.values())
    ratio, where = worst(tasks, RACE, counted=True)
    recipe_ratio, recipe_where = worst(tasks, TENFOLD, counted=True)
    cost = fmean(task.found[RACE + FREE].runs for task in tasks.values())
    raced = [task.found[name] for task in tasks.values() for name in (RACE, RACE + FREE)]
    diverged, lost = sum(each.diverged for each in raced), sum(each.lost for each in raced)
    return [
        f"{_met(mean.value <= MEAN_LIMIT)}: race has at most {MEAN_LIMIT} × the loss of the tuned cosine, as "
        f"counted: {mean.value:.3f} ({span(mean.low, mean.high, 2)}, n = {len(tasks)} tasks).",
        f"{_met(ratio <= WORST_LIMIT)}: at worst {WORST_LIMIT} ×: {ratio:.2f} ({where}).",
        f"{_met(cost <= COST_LIMIT)}: a race and its training take the steps of at most {COST_LIMIT} runs: {cost:.2f}.",
        f"{_met(diverged == 0)}: no race ends in a diverged run: {diverged} of {_races(tasks)}; {lost} are lost.",
        f"{_met(mean.value <= recipe.value)}: in the mean race is no worse than the default rate × 10: "
        f"{mean.value:.3f} against {recipe.value:.3f}; at worst {ratio:.2f} against {recipe_ratio:.2f} "
        f"({recipe_where}).",
    ]


def broken(tasks: Tasks) -> list[str]:
    """Return the tasks on which race exceeds the limit of the worst case, with the ratio."""
    found = {name: task.ratio(RACE, counted=True) for name, task in tasks.items() if RACE in task.found}
    return [f"{name} ({ratio:.2f})" for name, ratio in found.items() if ratio > WORST_LIMIT]


def _met(holds: bool) -> str:
    return "Met" if holds else "MISSED"


def _races(tasks: Tasks) -> int:
    return 2 * sum(len(task.found[RACE].factors) for task in tasks.values())


NOTES = (
    f"Mean: geometric mean over the tasks of the test loss, over that of “{TUNED}”; 95 %: bootstrap over the tasks. A "
    f"task's loss is the mean over its seeds, each at most {CAP:g} × the untrained network's. A task whose losses "
    f"differ by less than {COUNTED:g} of the untrained network's counts as 1, except in the raw figures. race's rates "
    "and rules were chosen on other tasks, after failures on these had shown what to mend. Held out: the tasks on "
    "which range_test's rule was not chosen either; the others are marked †. Diverged: runs whose last training losses "
    "exceed the untrained network's loss. Lost: these, and runs that end no better than a constant answer (above "
    f"{CONSTANT_SHARE:g} of its test loss).",
    "All methods take the same number of gradient steps, except those marked *, whose races and range tests are not "
    "charged: Runs shows the steps of all members as a multiple of one run. A tuned method takes one run for each rate "
    "of its grid; the rate is chosen on validation data, over all seeds. Seconds: of the processor, for all that a "
    "method takes; grids train side by side.",
)
