"""Timing in turns: contestants alternate in one process, so that whatever slows the machine slows all of them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from ..devices import synchronize

CPU = torch.device("cpu")
FEWEST = 3  # samples that an interval needs


def in_turns(
    contestants: Mapping[str, Callable[[], object]],
    samples: int,
    device: torch.device = CPU,
    *,
    collect: bool = False,
) -> dict[str, np.ndarray]:
    """Return the seconds of each contestant's calls, shape (samples,).

    A turn calls every contestant once, and the next turn starts with the next contestant. The first turn is a warm-up
    and does not count. The garbage collector is off; with `collect` it is on, and also runs before every call,
    which suits calls that take seconds and need much memory.
    """
    names = list(contestants)
    times: dict[str, list[float]] = {name: [] for name in names}
    with collector(on=collect):
        for turn in range(samples + 1):
            for i in range(len(names)):
                name = names[(turn + i) % len(names)]
                if collect:
                    gc.collect()
                started = time.perf_counter()
                contestants[name]()
                synchronize(device)
                times[name].append(time.perf_counter() - started)
    return {name: np.array(values[1:]) for name, values in times.items()}


@contextmanager
def collector(on: bool) -> Iterator[None]:
    """Collect garbage, then keep the garbage collector on or off within the block."""
    gc.collect()
    if not on:
        gc.disable()
    try:
        yield
    finally:
        gc.enable()


@dataclass(frozen=True)
class Ratio:
    """A ratio of times and its 95 % interval by bootstrap; its ends are None if there are fewer than 3 samples."""

    value: float
    low: float | None
    high: float | None


def span(low: float | None, high: float | None, decimals: int) -> str:
    """Return an interval as text; a dash if there is none."""
    return "–" if low is None or high is None else f"{low:.{decimals}f}-{high:.{decimals}f}"


def ratio_of_medians(times: np.ndarray, others: np.ndarray) -> Ratio:
    """Return median(times) / median(others), resampled in pairs."""
    return bootstrap(lambda pairs: np.divide(*np.median(pairs, axis=-1)), np.stack([times, others]))


def median_of_ratios(times: np.ndarray, others: np.ndarray) -> Ratio:
    """Return the median of times / others."""
    return bootstrap(lambda ratios: np.median(ratios, axis=-1), times / others)


def bootstrap(statistic: Callable[[np.ndarray], np.ndarray], samples: np.ndarray, resamples: int = 1000) -> Ratio:
    """Return a statistic over the last axis of the samples, and its 95 % percentile interval."""
    n = samples.shape[-1]
    value = float(statistic(samples))
    if n < FEWEST:
        return Ratio(value, None, None)
    chosen = np.random.default_rng(0).integers(n, size=(resamples, n))
    low, high = np.percentile(statistic(samples[..., chosen]), [2.5, 97.5])
    return Ratio(value, float(low), float(high))
