"""The function study's table: sweet spots by function and state, and the claims' figures over seeds."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from statistics import fmean, median
from typing import Any

import numpy as np

from .. import machine
from ..records import Records
from ..results import write
from . import function_claims as claims
from .function_claims import Record
from .function_plots import function_picture, long_picture
from .function_tasks import FUNCTIONS, UNIT
from .report import markdown, show
from .stats import mean_interval

TITLE = "Which learning rates simple functions want"
NOTES = [
    "Loss: as published, the sum of the two batches' means / 1280, which is the mean squared error / 640; median over "
    "seeds. Best rate: the one of lowest loss, geometric mean over seeds. Sweet spot: the run of rates around the best "
    "with at most 1.1 × its loss, 8 epochs ahead, geometric means of its ends. Rates count up to the first whose loss "
    "is above 1.1 × that before the sweep.",
    "The source does not say how long it trained before its second sweeps. 1000 epochs at 0.001 come near the only "
    "loss that it names, 2.1e-6 on log: C2 and C7 are taken from there, a choice made after all three states had been "
    "seen. From the other two they hold for fewer seeds.",
    "C3, C4, C5 and C7 are put into numbers here: what counts as equal, a dip, a spike, bad and best was fixed after "
    "a first look at the same seeds. C5 is judged at 5e-2 lowered to 5e-3 after 400 of 500 epochs; at rates of 1e-3 "
    "and 5e-3 lowering made the loss worse.",
    "Where 8 epochs gain less than a tenth at any rate, the sweet spot reaches down to 1e-6 and overlaps the claimed "
    "one easily: after training the shift says more.",
]


def geometric(values: Iterable[float]) -> float:
    return float(np.exp(fmean(np.log(list(values)))))


def spots(records: list[Record]) -> list[list[str]]:
    """Return the header and a line for each function and state."""
    lines = [["Function", "Sweep from", "n", "Loss", *(f"best {m} ahead" for m in claims.MARKS), "Sweet spot"]]
    for function in FUNCTIONS:
        named = function
        for state in (claims.UNTRAINED, *claims.TRAINED):
            seeds = [record for (name, _), record in claims.of(records, state).items() if name == function]
            if not seeds:
                continue
            found = {m: [claims.sweet_spot(claims.column(record, m)) for record in seeds] for m in claims.MARKS}
            best = [f"{geometric(spot[2] for spot in found[m]):.1e}" for m in claims.MARKS]
            low, high = (geometric(spot[i] for spot in found[claims.MARKS[-1]]) for i in (0, 1))
            loss = median(record["loss"] for record in seeds) * UNIT
            lines.append([named, state, str(len(seeds)), f"{loss:.2g}", *best, f"{low:.1e} … {high:.1e}"])
            named = ""
    return lines


def figures(records: list[Record]) -> list[list[str]]:
    """Return the header and a line for each claim, or claim and function, that has records."""
    lines = [["Claim", "Function", "n", "holds for", "figure", "value"]]
    for name, found, label, value in (
        ("C1", claims.c1(records), "best rate, decades", lambda seed: np.log10(seed["best"])),
        ("C2", claims.c2(records), "shift, decades", lambda seed: seed["shift"]),
        ("C4", claims.c4(records), "deepest dip before 8 epochs", lambda seed: max(seed["dips"][m] for m in (1, 2, 4))),
    ):
        for function, seeds in by_function(found).items():
            text = mean_interval([float(value(seed)) for seed in seeds]).text(3)
            lines.append([name, function, str(len(seeds)), holding(seeds), label, text])
    for function, seeds in by_function(claims.c7(records)).items():
        ratios = " ".join(f"{median(seed['ratios'][m] for seed in seeds):.3f}" for m in claims.MARKS)
        label = "loss at 1e-3 / before, 1 2 4 8 ahead, medians (inf: above 1.1)"
        lines.append(["C7", function, str(len(seeds)), holding(seeds), label, ratios])
    equal, late = claims.c3(records), claims.c5(records)
    if equal:
        reached = [seed["factor"] for seed in equal if seed["epochs"]]
        label = f"epochs at 1e-3 / 30 at 5e-2, where at most {claims.SLOW[1]}"
        lines.append(["C3", "log", str(len(equal)), f"reached by {len(reached)}", label, factors(reached)])
    if late:
        factor = factors([seed["factor"] for seed in late])
        lines.append(["C5", "log", str(len(late)), holding(late), "loss, rate kept / lowered", factor])
        kept, lowered = (fmean(seed[name] for seed in late) for name in ("spikes", "spikes_lowered"))
        lines.append(["", "", "", "", "spikes in the last epochs, kept, lowered", f"{kept:.1f}, {lowered:.1f}"])
    return lines


def by_function(found: list[Record]) -> dict[str, list[Record]]:
    names = dict.fromkeys(seed["function"] for seed in found)
    return {name: [seed for seed in found if seed["function"] == name] for name in names}


def holding(seeds: list[Record]) -> str:
    return f"{sum(seed['holds'] for seed in seeds)} of {len(seeds)}"


def factors(values: list[float]) -> str:
    """Return the geometric mean of factors with its 95 % interval."""
    if not values:
        return ""
    mean = mean_interval([float(value) for value in np.log(values)])
    low, high = np.exp(mean.mean - mean.half), np.exp(mean.mean + mean.half)
    return f"{np.exp(mean.mean):.2f} ({low:.2f} … {high:.2f})"


def report(records: Records, facts: dict[str, Any]) -> None:
    """Write and print the tables, and draw the pictures; with no record, nothing."""
    found = list(records.found.values())
    if not found:
        return
    tables = spots(found), figures(found)
    took = f"{len(found)} sweeps and long trainings in {sum(record['seconds'] for record in found):.0f} s"
    notes = [
        *NOTES,
        "Values: mean ± half of the 95 % interval (Student's t) over n seeds; C3 and C5 on the scale of factors.",
        f"{took}. Hardware: {facts['hardware']}.",
    ]
    folder = records.folder
    write(folder / "table.md", "\n\n".join([f"# {TITLE}", *map(markdown, tables), *notes]) + "\n")
    where = {"date": datetime.now(timezone.utc).isoformat(timespec="seconds"), "versions": machine.versions()}
    write(folder / "info.json", {**facts, **where, "commit": machine.commit(), "configuration": records.config})
    pictures = {name.replace("/", "-"): function_picture(name, found) for name in FUNCTIONS}
    for name, content in {**pictures, "long": long_picture(found)}.items():
        if content:
            write(folder / f"{name}.png", content)
    for lines in tables:
        show(lines, TITLE, right=lines[0][2:])
    print(*notes, f"Written to {folder}: table.md, runs.jsonl, info.json and the pictures", sep="\n")
