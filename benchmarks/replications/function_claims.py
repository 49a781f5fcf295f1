"""Claims C1 to C5 and C7 of "Diving deep: learning rate" (2020), from the records of `python -m benchmarks functions`.

Pure functions: records in, one plain object a function and seed out, with the figures that the claim rests on and,
where it is a yes or no, `holds`. All losses are means of the two batches' mean squared errors.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import fmean, median
from typing import Any

import numpy as np

LRS = np.logspace(-6, 2, 100)
MARKS = (1, 2, 4, 8)  # epochs after which a sweep records the loss
SLOW, FAST = (1e-3, 1000), (5e-2, 500)  # rate and epochs of the long trainings
LOWERED = (5e-3, 100)  # the rate of the last so many epochs of the fast one where it is lowered
UNTRAINED = "untrained"
TRAINED = ("30 epochs at 0.05", "425 epochs at 0.001", "1000 epochs at 0.001")
AFTER = TRAINED[-1]  # the one that comes near the only loss the post names, 2.1e-6 on log; it does not say how long
LONG = "long"

NEAR = 1.1  # the sweet spot: the rates around the best with a loss up to so many times the lowest
BEFORE_TRAINING, AFTER_TRAINING = (1e-2, 1e-1), (1e-4, 1e-3)  # the claimed sweet spots
DIP = 0.01  # a lowest loss that is not so much below the untrained one, as a part of it, is no dip
SPIKE, WINDOW = 1.5, 10  # a spike: an epoch's loss above so many times the median of so many epochs before it
LAST = 20  # epochs whose median is the loss that a long training ends at
FAST_EPOCHS, FAST_MEAN = 30, 5  # C3's short training, and over how many of its last epochs its loss is the mean

Record = dict[str, Any]


def of(records: Iterable[Record], part: str) -> dict[tuple[str, int], Record]:
    """Return the records of a part by function and seed, in the order of both."""
    chosen = [record for record in records if record["part"] == part]
    names = list(dict.fromkeys(record["function"] for record in chosen))
    chosen.sort(key=lambda record: (names.index(record["function"]), record["seed"]))
    return {(record["function"], record["seed"]): record for record in chosen}


def column(record: Record, epochs: int) -> np.ndarray:
    """Return a sweep's losses so many epochs ahead, shape (100,), NaN where the scan had ended."""
    return np.array(record["losses"], dtype=float)[:, MARKS.index(epochs)]


def sweet_spot(losses: np.ndarray, lrs: np.ndarray = LRS) -> tuple[float, float, float]:
    """Return the lowest and highest rate of the run of neighbours with at most 1.1 × the lowest loss, and the best."""
    best = int(np.nanargmin(losses))
    near = losses <= NEAR * losses[best]  # NaN compares false
    low = best - int(np.argmin(np.append(near[best::-1], False))) + 1
    high = best + int(np.argmin(np.append(near[best:], False))) - 1
    return float(lrs[low]), float(lrs[high]), float(lrs[best])


def overlaps(low: float, high: float, span: tuple[float, float]) -> bool:
    return low <= span[1] and high >= span[0]


def c1(records: Iterable[Record], epochs: int = 8) -> list[Record]:
    """Sweet spots before training, 1/x excepted. `low`, `high`, `best`; holds: they overlap 1e-2 … 1e-1."""
    found = []
    for (function, seed), record in of(records, UNTRAINED).items():
        if function != "1/x":
            low, high, best = sweet_spot(column(record, epochs))
            spot = {"low": low, "high": high, "best": best, "holds": overlaps(low, high, BEFORE_TRAINING)}
            found.append({"function": function, "seed": seed, **spot})
    return found


def c2(records: Iterable[Record], state: str = AFTER, epochs: int = 8) -> list[Record]:
    """Sweet spots after training, 1/x excepted.

    `low`, `high`, `best`, and `shift`: decades from the same seed's best rate before training to that after. Holds: the
    sweet spot overlaps 1e-4 … 1e-3 and the best rate is lower than before.
    """
    records = list(records)
    before = {(found["function"], found["seed"]): found["best"] for found in c1(records, epochs)}
    found = []
    for key, record in of(records, state).items():
        if key in before:
            low, high, best = sweet_spot(column(record, epochs))
            shift = math.log10(best / before[key])
            holds = overlaps(low, high, AFTER_TRAINING) and shift < 0
            spot = {"low": low, "high": high, "best": best, "shift": shift, "holds": holds}
            found.append({"function": key[0], "seed": key[1], **spot})
    return found


def c3(records: Iterable[Record]) -> list[Record]:
    """How many epochs at 1e-3 equal 30 at 5e-2, on log.

    `epochs`: the first after which the slow training's loss is at most the mean of the fast one's epochs 26 to 30; None
    if that takes more than 1000. `factor`: epochs/30, infinite for None; claimed: 425/30 = 14.
    """
    found = []
    for (function, seed), record in of(records, LONG).items():
        target = fmean(record["fast"][FAST_EPOCHS - FAST_MEAN : FAST_EPOCHS])
        epochs = next((epoch for epoch, loss in enumerate(record["slow"], start=1) if loss <= target), None)
        factor = math.inf if epochs is None else epochs / FAST_EPOCHS
        found.append({"function": function, "seed": seed, "epochs": epochs, "factor": factor})
    return found


def c4(records: Iterable[Record]) -> list[Record]:
    """Whether 1/x dips. `dips`: epochs ahead → 1 − lowest loss/untrained loss; holds: all before 8 are below 1 %."""
    found = []
    for (function, seed), record in of(records, UNTRAINED).items():
        if function == "1/x":
            dips = {epochs: 1 - float(np.nanmin(column(record, epochs))) / record["loss"] for epochs in MARKS}
            holds = all(dip < DIP for epochs, dip in dips.items() if epochs < 8)
            found.append({"function": function, "seed": seed, "dips": dips, "holds": holds})
    return found


def spikes(losses: list[float], epochs: int) -> int:
    """Return how many of the last so many epochs have a loss above 1.5 × the median of the 10 before."""
    last = range(len(losses) - epochs, len(losses))
    return sum(losses[i] > SPIKE * median(losses[i - WINDOW : i]) for i in last)


def c5(records: Iterable[Record]) -> list[Record]:
    """Lower the rate for the last 100 of 500 epochs, on log, from the same 400: 5e-3 instead of 5e-2.

    `spikes`, `spikes_lowered`: how many in these 100 epochs; `factor`: the median loss of the last 20 epochs with the
    rate kept, divided by that with the rate lowered. Holds: no spike is left, and the loss is better.
    """
    found = []
    for (function, seed), record in of(records, LONG).items():
        kept = record["fast"]
        lowered = kept[: -LOWERED[1]] + record["lowered"]
        counts = spikes(kept, LOWERED[1]), spikes(lowered, LOWERED[1])
        factor = median(kept[-LAST:]) / median(lowered[-LAST:])
        figures = {"spikes": counts[0], "spikes_lowered": counts[1], "factor": factor}
        found.append({"function": function, "seed": seed, **figures, "holds": counts[1] == 0 and factor > 1})
    return found


def c7(records: Iterable[Record], state: str = AFTER) -> list[Record]:
    """How 1e-3 looks after training, 1/x excepted.

    `ratios`: epochs ahead → loss at the rate nearest to 1e-3, divided by the loss before the sweep (infinite where the
    scan had ended); `spot`: whether it lies in the sweet spot 8 epochs ahead. Holds: 1 and 2 epochs ahead the loss has
    risen, 8 ahead it lies in the sweet spot.
    """
    nearest = int(np.argmin(abs(np.log10(LRS) + 3)))
    found = []
    for (function, seed), record in of(records, state).items():
        if function != "1/x":
            ratios = {epochs: float(column(record, epochs)[nearest]) / record["loss"] for epochs in MARKS}
            ratios = {epochs: math.inf if math.isnan(ratio) else ratio for epochs, ratio in ratios.items()}
            low, high, _ = sweet_spot(column(record, 8))
            spot = bool(low <= LRS[nearest] <= high)
            bad = ratios[1] > 1 and ratios[2] > 1
            found.append({"function": function, "seed": seed, "ratios": ratios, "spot": spot, "holds": bad and spot})
    return found
