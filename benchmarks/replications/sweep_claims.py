"""The figures behind claims C1 to C7 of "Diving deep: learning rate" (2020).

Pure functions of the records of `python -m benchmarks functions` (for C6, of `python -m benchmarks lr_scan`). Each
returns a dict per function and seed, with the figures that decide the claim and, if the answer is yes or no, `holds`.
The losses of functions are the means of the two batches' mean squared errors.
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
LOWERED = (5e-3, 100)  # the lowered rate of the fast training, and the number of its last epochs that use it
UNTRAINED = "untrained"
TRAINED = ("30 epochs at 0.05", "425 epochs at 0.001", "1000 epochs at 0.001")
AFTER = TRAINED[-1]  # closest to the only loss in the post, 2.1e-6 on log; the post does not say how long
LONG = "long"

NEAR = 1.1  # the sweet spot: the rates around the best with a loss of at most 1.1 × the lowest
BEFORE_TRAINING, AFTER_TRAINING = (1e-2, 1e-1), (1e-4, 1e-3)  # the claimed sweet spots
DIP = 0.01  # a dip: the lowest loss is at least 1 % below the untrained one
SPIKE, WINDOW = 1.5, 10  # a spike: a loss above 1.5 × the median of the 10 epochs before
LAST = 20  # the final loss of a long training is the median of its last 20 epochs
FAST_EPOCHS, FAST_MEAN = 30, 5  # C3's short training; its loss is the mean of its last 5 epochs

Record = dict[str, Any]


def of(records: Iterable[Record], part: str) -> dict[tuple[str, int], Record]:
    """Return the records of a part by function and seed, in that order."""
    chosen = [record for record in records if record["part"] == part]
    names = list(dict.fromkeys(record["function"] for record in chosen))
    chosen.sort(key=lambda record: (names.index(record["function"]), record["seed"]))
    return {(record["function"], record["seed"]): record for record in chosen}


def column(record: Record, epochs: int) -> np.ndarray:
    """Return a sweep's losses at the mark `epochs`, shape (100,), NaN from where the sweep ended."""
    return np.array(record["losses"], dtype=float)[:, MARKS.index(epochs)]


def sweet_spot(losses: np.ndarray, lrs: np.ndarray = LRS) -> tuple[float, float, float]:
    """Return the ends of the contiguous rates around the best with at most 1.1 × its loss, and the best rate."""
    best = int(np.nanargmin(losses))
    near = losses <= NEAR * losses[best]  # NaN compares false
    low = best - int(np.argmin(np.append(near[best::-1], False))) + 1
    high = best + int(np.argmin(np.append(near[best:], False))) - 1
    return float(lrs[low]), float(lrs[high]), float(lrs[best])


def overlaps(low: float, high: float, span: tuple[float, float]) -> bool:
    return low <= span[1] and high >= span[0]


def c1(records: Iterable[Record], epochs: int = 8) -> list[Record]:
    """Return the sweet spots before training, without 1/x: `low`, `high`, `best`. Holds: they overlap 1e-2 … 1e-1."""
    found = []
    for (function, seed), record in of(records, UNTRAINED).items():
        if function != "1/x":
            low, high, best = sweet_spot(column(record, epochs))
            spot = {"low": low, "high": high, "best": best, "holds": overlaps(low, high, BEFORE_TRAINING)}
            found.append({"function": function, "seed": seed, **spot})
    return found


def c2(records: Iterable[Record], state: str = AFTER, epochs: int = 8) -> list[Record]:
    """Return the sweet spots after training, without 1/x: `low`, `high`, `best`.

    `shift`: decades from the same seed's best rate before training to its best rate after. Holds: the sweet spot
    overlaps 1e-4 … 1e-3 and the best rate is lower than before.
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
    """Return how many epochs at 1e-3 equal 30 at 5e-2, on log.

    `epochs`: the first epoch whose loss in the slow training is at most the mean of epochs 26 to 30 of the fast one;
    None if that takes more than 1000. `factor`: epochs/30, infinite for None. Claimed: 425/30 = 14.
    """
    found = []
    for (function, seed), record in of(records, LONG).items():
        target = fmean(record["fast"][FAST_EPOCHS - FAST_MEAN : FAST_EPOCHS])
        epochs = next((epoch for epoch, loss in enumerate(record["slow"], start=1) if loss <= target), None)
        factor = math.inf if epochs is None else epochs / FAST_EPOCHS
        found.append({"function": function, "seed": seed, "epochs": epochs, "factor": factor})
    return found


def c4(records: Iterable[Record]) -> list[Record]:
    """Return `dips` of 1/x: epochs ahead → 1 − lowest loss/untrained loss. Holds: all before 8 are below 1 %."""
    found = []
    for (function, seed), record in of(records, UNTRAINED).items():
        if function == "1/x":
            dips = {epochs: 1 - float(np.nanmin(column(record, epochs))) / record["loss"] for epochs in MARKS}
            holds = all(dip < DIP for epochs, dip in dips.items() if epochs < 8)
            found.append({"function": function, "seed": seed, "dips": dips, "holds": holds})
    return found


def spikes(losses: list[float], epochs: int) -> int:
    """Return how many of the last `epochs` have a loss above 1.5 × the median of the 10 epochs before."""
    last = range(len(losses) - epochs, len(losses))
    return sum(losses[i] > SPIKE * median(losses[i - WINDOW : i]) for i in last)


def c5(records: Iterable[Record]) -> list[Record]:
    """Return what lowering the rate from 5e-2 to 5e-3 for the last 100 of 500 epochs does, on log.

    `spikes`, `spikes_lowered`: the spikes in these 100 epochs; `factor`: the median loss of the last 20 epochs with the
    rate kept, divided by that with the rate lowered. Holds: no spike is left, and the loss is lower.
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
    """Return how 1e-3 looks after training, without 1/x.

    `ratios`: epochs ahead → loss at the rate nearest to 1e-3, divided by the loss before the sweep (infinite if the
    sweep had ended); `spot`: whether that rate lies in the sweet spot 8 epochs ahead. Holds: the loss has risen 1 and 2
    epochs ahead, and the rate lies in the sweet spot 8 ahead.
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


def c6(records: Iterable[Record], ahead: int = 16) -> list[Record]:
    """Return whether 16 batches ahead are enough to choose a rate, and whether training shifts the curve; per seed.

    `regret`: the loss at the last mark of the rate that is best 16 batches ahead, divided by the lowest loss there;
    `regret_after`: the same after training. `shift`: decades from the best rate before training to that after it, at
    the last mark; `overlap`: whether the two sweet spots overlap. Holds: both regrets are at most 1.1, and the sweet
    spots overlap. None if a record is missing; infinite if the scan had ended.
    """
    by_seed: dict[int, dict[bool, Record]] = {}
    for record in records:
        by_seed.setdefault(record["seed"], {})[record["after_epochs"] > 0] = record
    found = []
    for seed, scans in sorted(by_seed.items()):
        before, after = scans.get(False), scans.get(True)
        regrets = [None if scan is None else regret(scan, ahead) for scan in (before, after)]
        shift = overlap = holds = None
        if before is not None and after is not None:
            first, second = last_spot(before), last_spot(after)
            shift, overlap = math.log10(second[2] / first[2]), overlaps(second[0], second[1], first[:2])
            holds = overlap and max(value for value in regrets if value is not None) <= 1.1
        figures = {"regret": regrets[0], "regret_after": regrets[1], "shift": shift, "overlap": overlap}
        found.append({"seed": seed, **figures, "holds": holds})
    return found


def regret(record: Record, ahead: int) -> float:
    """Return the loss at the last mark of the rate that is best `ahead` batches ahead, divided by the lowest there."""
    losses = np.array(record["losses"], dtype=float)
    chosen = int(np.nanargmin(losses[:, record["marks"].index(ahead)]))
    value = float(losses[chosen, -1] / np.nanmin(losses[:, -1]))
    return math.inf if math.isnan(value) else value


def last_spot(record: Record) -> tuple[float, float, float]:
    """Return the sweet spot and the best rate at the last mark."""
    losses = np.array(record["losses"], dtype=float)
    return sweet_spot(losses[:, -1], np.array(record["lrs"]))
