"""The function study's tables: sweet spots by function and state, and the figures behind the claims."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from statistics import fmean, median
from typing import Any

import numpy as np

from lrsched import Estimate

from ..files import Records, write
from ..text_tables import markdown, show
from . import sweep_claims as claims
from .function_plots import function_picture, long_picture
from .function_tasks import FUNCTIONS, UNIT
from .stats import FEWEST
from .sweep_claims import Record

TITLE = "Which learning rates simple functions need"
NOTES = [
    "Loss: as published, the sum of the two batches' means / 1280, which is the mean squared error / 640; median over "
    "seeds. Best rate: the rate with the lowest loss, geometric mean over seeds. Sweet spot: the contiguous rates "
    "around the best with at most 1.1 × its loss, 8 epochs ahead, geometric means of its ends. A sweep ends at the "
    "first rate whose loss exceeds 1.1 × the loss before the sweep.",
    "The source does not say how long it trained before its second sweeps. 1000 epochs at 0.001 come closest to the "
    "only loss that it names, 2.1e-6 on log. C2 and C7 are judged from there, a choice made after all three states had "
    "been seen. From the other two states they hold for fewer seeds.",
    "C3, C4, C5 and C7 had to be put into numbers: the meanings of equal, dip, spike, bad and best were fixed after a "
    "first look at the same seeds. C5 is judged with 5e-2 lowered to 5e-3 after 400 of 500 epochs; at rates of 1e-3 "
    "and 5e-3, lowering made the loss worse.",
    "If 8 epochs gain less than a tenth at any rate, the sweet spot extends down to 1e-6 and easily overlaps the "
    "claimed one; after training, the shift says more.",
]


def geometric(values: Iterable[float]) -> float:
    return float(np.exp(fmean(np.log(list(values)))))


def spots(records: list[Record]) -> list[list[str]]:
    """Return a table of sweet spots, a line for each function and state."""
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
    """Return a table of the figures behind the claims, a line for each claim, or claim and function, with records."""
    lines = [["Claim", "Function", "n", "holds for", "figure", "value"]]
    for name, found, label, value in (
        ("C1", claims.c1(records), "best rate, decades", lambda seed: np.log10(seed["best"])),
        ("C2", claims.c2(records), "shift, decades", lambda seed: seed["shift"]),
        ("C4", claims.c4(records), "deepest dip before 8 epochs", lambda seed: max(seed["dips"][m] for m in (1, 2, 4))),
    ):
        for function, seeds in by_function(found).items():
            text = Estimate.of([float(value(seed)) for seed in seeds]).text(3)
            lines.append([name, function, str(len(seeds)), holding(seeds), label, text])
    for function, seeds in by_function(claims.c7(records)).items():
        ratios = " ".join(f"{median(seed['ratios'][m] for seed in seeds):.3f}" for m in claims.MARKS)
        label = "loss at 1e-3 / before, 1 2 4 8 ahead, medians (inf: above 1.1)"
        lines.append(["C7", function, str(len(seeds)), holding(seeds), label, ratios])
    return lines + long_figures(records)


def long_figures(records: list[Record]) -> list[list[str]]:
    """Return the lines of the claims on long trainings, C3 and C5."""
    lines = []
    equal, late = claims.c3(records), claims.c5(records)
    if equal:
        reached = [seed["factor"] for seed in equal if seed["epochs"]]
        label = f"epochs at 1e-3 / 30 at 5e-2, if at most {claims.SLOW[1]}"
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
    """Return the geometric mean of factors with its 95 % interval; the factors if there are fewer than 3."""
    if not values:
        return ""
    if len(values) < FEWEST:
        return Estimate.of(values).text(2)
    mean = Estimate.of([float(value) for value in np.log(values)])
    low, high = np.exp(mean.mean - mean.half), np.exp(mean.mean + mean.half)
    return f"{np.exp(mean.mean):.2f} ({low:.2f} … {high:.2f})"


def report(records: Records, facts: dict[str, Any]) -> None:
    """Write and print the tables, and draw the pictures; nothing if there is no record."""
    found = list(records.found.values())
    if not found:
        return
    tables = spots(found), figures(found)
    took = f"{len(found)} sweeps and long trainings in {sum(record['seconds'] for record in found):.0f} s"
    notes = [
        *NOTES,
        "Values: mean ± half of the 95 % interval (Student's t) over n seeds, of C3 and C5 for logarithms; each seed's "
        "value if n < 3.",
        f"{took}. Hardware: {facts['hardware']}.",
    ]
    folder = records.folder
    write(folder / "table.md", "\n\n".join([f"# {TITLE}", *map(markdown, tables), *notes]) + "\n")
    date = datetime.now(timezone.utc).isoformat(timespec="seconds")
    write(folder / "info.json", {**facts, "date": date, "configuration": records.config})
    pictures = {name.replace("/", "-"): function_picture(name, found) for name in FUNCTIONS}
    for name, content in {**pictures, "long": long_picture(found)}.items():
        if content:
            write(folder / f"{name}.png", content)
    for lines in tables:
        show(lines, TITLE, right=lines[0][2:])
    print(*notes, f"Written to {folder}: table.md, runs.jsonl, info.json and the pictures", sep="\n")
