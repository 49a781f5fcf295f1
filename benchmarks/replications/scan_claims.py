"""Claim C6 of "Diving deep: learning rate" (2020), from the records of `python -m benchmarks lr_scan`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from .function_claims import overlaps, sweet_spot

Record = dict[str, Any]


def c6(records: Iterable[Record], ahead: int = 16) -> list[Record]:
    """Whether 16 batches ahead are enough to choose, and whether training shifts the curve; an object a seed.

    `regret`: the loss, at the last mark, of the rate that is best 16 batches ahead, divided by the lowest there;
    `regret_after`: the same after training. `shift`: decades from the rate that is best at the last mark before
    training to that after it; `overlap`: whether the sweet spots of the two overlap. Holds: both regrets are at most
    1.1, and the sweet spots overlap. None for what there is no record of; infinite where the scan had ended.
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
            first, second = spot(before), spot(after)
            shift, overlap = math.log10(second[2] / first[2]), overlaps(second[0], second[1], first[:2])
            holds = overlap and max(value for value in regrets if value is not None) <= 1.1
        figures = {"regret": regrets[0], "regret_after": regrets[1], "shift": shift, "overlap": overlap}
        found.append({"seed": seed, **figures, "holds": holds})
    return found


def regret(record: Record, ahead: int) -> float:
    losses = np.array(record["losses"], dtype=float)
    chosen = int(np.nanargmin(losses[:, record["marks"].index(ahead)]))
    value = float(losses[chosen, -1] / np.nanmin(losses[:, -1]))
    return math.inf if math.isnan(value) else value


def spot(record: Record) -> tuple[float, float, float]:
    """Return the sweet spot at the last mark and the best rate."""
    losses = np.array(record["losses"], dtype=float)
    return sweet_spot(losses[:, -1], np.array(record["lrs"]))
