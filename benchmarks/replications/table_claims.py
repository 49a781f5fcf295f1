"""The claims that are judged from tables: A1 to A7 of Yang & Huang (2019), B1 to B4 of Jang et al. (2018)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from lrsched import Estimate

from . import settings
from .benchmark import WRITTEN
from .collected import STAND_IN, Answer, Collected, Found, Table
from .stats import differences
from .verdicts import REPRODUCED, Judgement, Values, against, alike, best, missing, nearly_all, qualified, weakest

Judge = Callable[[Table], Judgement]

FOURTEEN = tuple(settings.FOURTEEN)
FIXED, SCHEMES = FOURTEEN[:2], FOURTEEN[2:]
CUTOFF = ("seq1-cutoff", "seq2-cutoff", "seq3-cutoff", "seq4-cutoff")
TWINS = ("seq3-cutoff", "seq4-cutoff", "seq3-oscillate", "seq4-oscillate")
BADLY = 0.65
MUCH, LITTLE = 0.01, 0.005
MNIST, CIFAR, IMAGES = ("mnist", STAND_IN), ("cifar10",), ("images",)
SCHEDULES = ("baseline", "fixed", "andrej", "cyclic")  # all other rows are pictures


def most_accurate(claimed: str) -> Judge:
    return lambda table: best(table.accuracies(FOURTEEN), claimed, "accuracy")


def fastest(claimed: str, tied: Sequence[str] = ()) -> Judge:
    def judge(table: Table) -> Judgement:
        return best(table.convergences(FOURTEEN), claimed, "convergence", lowest=True, tied=tied, decimals=1)

    return judge


def badly(seq1: str) -> Judge:
    """Return the judge of A5: by cutoff, seq2, seq3 and seq4 reach at most 0.65, and seq1 reaches more."""
    names = (seq1, *CUTOFF[1:])

    def part(name: str, series: Sequence[float], well: bool) -> Judgement:
        return against(f"accuracy: {name}, claimed {'>' if well else '≤'} {BADLY}", series, BADLY, above=well)

    def judge(table: Table) -> Judgement:
        values = table.accuracies(names)
        return weakest([part(name, values[name], name == seq1) for name in names])

    return judge


def improves(table: Table) -> Judgement:
    """Judge A6 on one table: the best scheme − the best fixed rate."""
    values = table.accuracies(FOURTEEN)
    scheme, fixed = (highest(values, names) for names in (SCHEMES, FIXED))
    much = table.base in CIFAR
    bound = MUCH if much else LITTLE
    statistic = f"accuracy: {scheme} − {fixed}, claimed {'≥' if much else '<'} {bound}"
    return against(statistic, differences(values[scheme], values[fixed]), bound, above=much)


def highest(values: Values, names: Sequence[str]) -> str:
    return max(names, key=lambda name: Estimate.of(values[name]).mean)


def seq3_and_seq4_alike(table: Table) -> Judgement:
    values = table.accuracies(TWINS)
    return all_within(values, [("seq3-cutoff", "seq4-cutoff"), ("seq3-oscillate", "seq4-oscillate")])


def own_schedule_best(table: Table) -> Judgement:
    return best(table.accuracies([*table.rows]), "baseline", "accuracy")


def a_picture_beats(table: Table) -> Judgement:
    """Judge B2: the best picture against the better of cyclic and Adam 3e-4."""
    values = table.accuracies([*table.rows])
    pictures = [name for name in values if name not in SCHEDULES]
    if not pictures:
        return missing(1, 1)
    picture = highest(values, pictures)
    rivals = {name: values[name] for name in (picture, "andrej", "cyclic")}
    return qualified(best(rivals, picture, "accuracy"), "in kind: other pictures")


def fixed_is_worst(table: Table) -> Judgement:
    """Judge B3: fixed is the worst, and at most one other row does not beat it. The statistic says how many do."""
    values = table.accuracies([*table.rows])
    worst = best(values, "fixed", "accuracy", lowest=True)
    others = [
        against(f"accuracy: {name} − fixed", differences(values[name], values["fixed"]))
        for name in values
        if name != "fixed"
    ]
    beat = sum(other.verdict == REPRODUCED for other in others)
    weaker = weakest([worst, nearly_all(others)])
    return replace(weaker, statistic=f"{weaker.statistic}; {beat} of {len(others)} beat fixed")


def all_alike(table: Table) -> Judgement:
    """Judge B4: every two rows within ±0.005."""
    values = table.accuracies([*table.rows])
    names = [*values]
    return all_within(values, [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]])


def all_within(values: Values, pairs: Sequence[tuple[str, str]]) -> Judgement:
    return alike({f"accuracy: {a} − {b}, claimed within ±0.005": differences(values[a], values[b]) for a, b in pairs})


def much_and_little(collected: Collected) -> Found:
    """Judge A6 on one table of each benchmark, then on both datasets together, as run and as written."""
    found = on(MNIST + CIFAR, FOURTEEN, improves).judge(collected)
    complete = [table for table in collected.judging(FOURTEEN) if table.rows.keys() >= set(FOURTEEN)]
    for written in (False, True):
        names = [name + WRITTEN if written else name for name in ("cifar10", "mnist")]
        pair = [next((table for table in complete if table.benchmark.name == name), None) for name in names]
        both = [table for table in pair if table is not None]
        if len(both) == len(names):
            weaker = weakest([improves(table) for table in both])
            label = "; ".join(table.label for table in both)
            found.append((label, replace(weaker, statistic=f"both, the weaker shown: {weaker.statistic}")))
    return found


def on(benchmarks: tuple[str, ...], settings: Sequence[str], judge: Judge) -> Answer:
    """Return how to judge a claim about some settings on one table of each benchmark, as run and as written.

    If a table lacks runs of some of the settings, the claim is not judged on it; if its benchmark does not have
    the settings, the table is skipped.
    """

    def judged(collected: Collected) -> Found:
        found = []
        for table in collected.judging(settings):
            if table.base in benchmarks and table.benchmark.settings.keys() >= set(settings):
                absent = sum(name not in table.rows for name in settings)
                found.append((table.label, missing(absent, len(settings)) if absent else judge(table)))
        return found

    return Answer(benchmarks, judged)


SEQ1 = "seq1-cutoff-0.01"
TABLES = {
    "A1": on(MNIST, FOURTEEN, fastest("seq3-epoch")),
    "A2": on(MNIST, FOURTEEN, most_accurate("seq4-cutoff")),
    "A3": on(CIFAR, FOURTEEN, fastest("seq1-oscillate", tied=("seq1-epoch",))),
    "A4": on(CIFAR, FOURTEEN, most_accurate("seq3-epoch")),
    "A5": on(CIFAR, CUTOFF, badly("seq1-cutoff")),
    "A5, c₀ = 0.01": on(CIFAR, (SEQ1, *CUTOFF[1:]), badly(SEQ1)),
    "A6": Answer(MNIST + CIFAR, much_and_little),
    "A7": on(MNIST + CIFAR, TWINS, seq3_and_seq4_alike),
    "B1": on(IMAGES, SCHEDULES, own_schedule_best),
    "B2": on(IMAGES, SCHEDULES, a_picture_beats),
    "B3": on(IMAGES, SCHEDULES, fixed_is_worst),
    "B4": on(("images-mnist",), SCHEDULES, all_alike),
}
