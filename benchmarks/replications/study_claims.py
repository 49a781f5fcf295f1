"""The claims that are judged from studies, not tables: C1 to C7, "Diving deep: learning rate" (2020), and E1."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..devices import spoken
from . import range_noise, sweep_claims
from .collected import Answer, Collected, Found
from .function_tasks import FUNCTIONS
from .verdicts import Judgement, alike, missing, most, weakest

Records = list[dict[str, Any]]
PUBLISHED_EPOCHS = 425 / 30  # C3's epochs at 1e-3 that equal one at 5e-2
PUBLISHED_GAIN = 1.3  # C5
ABOUT = math.log10(2)  # "about": within a factor of two, in decades
LONGEST = sweep_claims.SLOW[1] / sweep_claims.FAST_EPOCHS  # the factor of a seed that takes longer


def in_most_seeds(
    what: str, judged: Callable[[Records], Records], functions: Sequence[str]
) -> Callable[[Records], Judgement]:
    """Return the judge of a claim that must hold for most seeds, for each of some functions."""

    def judge(records: Records) -> Judgement:
        found: dict[str, list[bool]] = {}
        for line in judged(records):
            found.setdefault(line["function"], []).append(line["holds"])
        absent = set(functions) - set(found)
        if absent:
            return missing(len(absent), len(functions))
        return most(f"share of the seeds with {what}", found)

    return judge


def about(what: str, factors: Iterable[float], published: float) -> Judgement:
    """Judge, in decades, whether the factors are about as published."""
    values = [math.log10(factor / published) for factor in factors]
    return alike({f"log₁₀({what} / {published:.3g}), claimed within ±log₁₀ 2": values}, ABOUT)


def c3(records: Records) -> Judgement:
    factors = [min(line["factor"], LONGEST) for line in sweep_claims.c3(records)]
    return about("epochs at 1e-3 for one at 5e-2", factors, PUBLISHED_EPOCHS) if factors else missing(1, 1)


def c5(records: Records) -> Judgement:
    late = in_most_seeds("no spike left and a lower loss", sweep_claims.c5, ["log"])(records)
    factors = [line["factor"] for line in sweep_claims.c5(records)]
    return weakest([late, about("loss with the rate kept / lowered", factors, PUBLISHED_GAIN)]) if factors else late


def c6(records: Records) -> Judgement:
    found = [line["holds"] for line in sweep_claims.c6(records) if line["holds"] is not None]
    if not found or records[0]["marks"][-1] <= 16:  # no scan after training, or none beyond 16 batches
        return missing(1, 1)
    return most("share of the seeds with 16 batches enough to choose and sweet spots that overlap", {"": found})


def scanned(records: Records) -> str:
    """Return the dataset, the number of rates and the training, which must accompany every number from a scan."""
    config, after = records[0]["config"], max(record["after_epochs"] for record in records)
    stand_in = "" if config["data"].startswith("CIFAR-10") else ", stand-in for CIFAR-10"
    trained = f"trained {after} epochs{spoken(config.get('arithmetic', 'float32'))}"
    return f"{config['data']}{stand_in}, {len(records[0]['lrs'])} rates, {trained}"


def study(name: str, data: str | Callable[[Any], str], judge: Callable[[Any], Judgement]) -> Answer:
    """Return how to judge a claim from one study's records."""

    def judged(collected: Collected) -> Found:
        found = collected.studies.get(name, [])
        return [(data if isinstance(data, str) else data(records), judge(records)) for records in found]

    return Answer((name,), judged)


FIVE = [name for name in FUNCTIONS if name != "1/x"]
SPOT, MOVED = "a sweet spot overlapping 1e-2 … 1e-1", "a sweet spot moved down, overlapping 1e-4 … 1e-3"
FLAT, LATER = "no dip 1, 2 or 4 epochs ahead", "1e-3 bad 1 and 2 epochs ahead, in the sweet spot 8 ahead"
STUDIES = {
    "C1": study("functions", "five functions", in_most_seeds(SPOT, sweep_claims.c1, FIVE)),
    "C2": study("functions", "five functions", in_most_seeds(MOVED, sweep_claims.c2, FIVE)),
    "C3": study("functions", "log(x)", c3),
    "C4": study("functions", "1/x", in_most_seeds(FLAT, sweep_claims.c4, ["1/x"])),
    "C5": study("functions", "log(x)", c5),
    "C6": study("lr_scan", scanned, c6),
    "C7": study("functions", "five functions", in_most_seeds(LATER, sweep_claims.c7, FIVE)),
    "E1": study("range_noise", "digits (8x8), range tests with SGD", range_noise.e1),
}
