"""Schedules by the names that transformers gives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from .._check import choice, integer
from ._decays import InverseSqrt
from ._finite import Cosine, Linear, Polynomial, Ramp
from ._language import called
from ._lists import Constant
from ._sequence import Sequence
from ._warmup import DecayShape, Warmup, WarmupStableDecay

ScheduleName = Literal[
    "linear",
    "cosine",
    "cosine_with_restarts",
    "cosine_with_min_lr",
    "cosine_warmup_with_min_lr",
    "polynomial",
    "constant",
    "constant_with_warmup",
    "inverse_sqrt",
    "warmup_stable_decay",
]


def by_name(name: ScheduleName, steps: int, warmup: int = 0, **options: object) -> Sequence:
    """Return the schedule that has this name in transformers' `get_scheduler`, as a sequence.

    `SequenceLR(optimizer, by_name("cosine", steps=10_000, warmup=500))`, stepped once per optimizer step, gives the
    same learning rates as transformers does, up to k = steps.

    All but "constant" first rise in a straight line from 0 to 1 in `warmup` steps. Then, until k = steps:

    - "linear": a straight line to 0. "cosine": half a cosine to 0.
    - "cosine_with_restarts": `cycles` (1) half cosines to 0, all of the same length.
    - "cosine_with_min_lr": half a cosine to `end`.
    - "cosine_warmup_with_min_lr": the same one step earlier; the warm-up rises from `start` (None: 1/warmup) and
      reaches 1 one step earlier too. As in transformers, the factor at k = steps is that of k = steps − 2.
    - "polynomial": (1 − x)^`power` (1.0) to `end` (1e-7, which is transformers' `lr_end` at a learning rate of 1).
    - "constant" and "constant_with_warmup": 1. "constant" has no warm-up, whatever `warmup` is.
    - "inverse_sqrt": 1/√(1 + j/`timescale`), j steps after the warm-up (None: the warm-up, or 10,000 without one).
    - "warmup_stable_decay": 1, and in the last `decay` steps a fall to `end` (0.0) of the `shape` "linear" (the
      default; transformers' is "cosine"), "cosine" or "sqrt" (transformers' "1-sqrt"). The warm-up rises from `end`.

    Args:
        name: one of the names above.
        steps: the number of training steps, an integer ≥ 1.
        warmup: the number of warm-up steps, an integer from 0 to steps.
        options: the options named above, for the names that take them. `end` and `start` are factors, not learning
            rates: transformers' `min_lr_rate`, `min_lr_ratio` and `warmup_lr_rate`. "cosine_with_min_lr" and
            "cosine_warmup_with_min_lr" need `end`, and "warmup_stable_decay" needs `decay`.

    Raises TypeError or ValueError if an argument is invalid or unknown. Schedules that watch a metric
    ("reduce_lr_on_plateau", "greedy") are not functions of the step: use `PlateauSequence`.
    Source: transformers 5.24, optimization.py.

    >>> from lrsched import by_name
    >>> by_name("cosine", steps=30, warmup=5)
    Warmup(steps=5, start=0.0).then(Cosine(steps=25, end=0.0), at=5)
    >>> by_name("warmup_stable_decay", steps=100, warmup=10, decay=20, shape="sqrt")
    WarmupStableDecay(warmup=10, stable=70, decay=20, shape='sqrt', start=0.0, end=0.0)
    """
    if name in ("reduce_lr_on_plateau", "greedy"):
        raise ValueError(f"name must be a schedule by step, but {name!r} watches a metric: use PlateauSequence")
    name = choice("name", name, get_args(ScheduleName))
    steps = integer("steps", steps, low=1)
    warmup = integer("warmup", warmup)
    if warmup > steps:
        raise ValueError(f"warmup must be <= steps, got warmup={warmup} with steps={steps}")
    return called(SCHEDULES[name], name, [steps, warmup], options)


def _warmed(warmup: int, rest: Sequence) -> Sequence:
    return Warmup(warmup).then(rest) if warmup else rest


def _linear(steps: int, warmup: int) -> Sequence:
    return _warmed(warmup, Linear(steps - warmup) if warmup < steps else Constant().scaled(0.0))


def _cosine(steps: int, warmup: int) -> Sequence:
    return _cosine_with_min_lr(steps, warmup, end=0.0)


def _cosine_with_restarts(steps: int, warmup: int, cycles: int = 1) -> Sequence:
    return _warmed(warmup, Cosine(max(1, steps - warmup), cycles=cycles))


def _cosine_with_min_lr(steps: int, warmup: int, end: float) -> Sequence:
    return _warmed(warmup, Cosine(max(1, steps - warmup), end))


def _cosine_warmup_with_min_lr(steps: int, warmup: int, end: float, start: float | None = None) -> Sequence:
    cosine = Cosine(max(1, steps - warmup), end)
    fall = cosine.skipped(1)
    if warmup < steps:  # at k = steps, transformers' cosine has turned and rises
        fall = fall.then(Constant().scaled(cosine(steps - warmup - 1)), at=steps - warmup)
    if warmup == 0:
        return fall
    first = 1 / warmup if start is None else start
    rise = Ramp(first, 1.0, warmup, "linear") if warmup > 1 else Constant().scaled(first)
    return rise.then(fall, at=warmup)


def _polynomial(steps: int, warmup: int, power: float = 1.0, end: float = 1e-7) -> Sequence:
    return _warmed(warmup, Polynomial(max(1, steps - warmup), power, end))


def _constant(steps: int, warmup: int) -> Sequence:
    return Constant()


def _constant_with_warmup(steps: int, warmup: int) -> Sequence:
    return _warmed(warmup, Constant())


def _inverse_sqrt(steps: int, warmup: int, timescale: float | None = None) -> Sequence:
    return _warmed(warmup, InverseSqrt((warmup or 10_000) if timescale is None else timescale))


def _warmup_stable_decay(
    steps: int, warmup: int, decay: int, shape: DecayShape = "linear", end: float = 0.0
) -> Sequence:
    decay = integer("decay", decay, low=1)
    if decay > steps - warmup:
        raise ValueError(f"decay must be <= steps - warmup, got decay={decay} with steps={steps}, warmup={warmup}")
    return WarmupStableDecay(warmup, steps - warmup - decay, decay, shape, start=end, end=end)


SCHEDULES: dict[str, Callable[..., Sequence]] = {
    "linear": _linear,
    "cosine": _cosine,
    "cosine_with_restarts": _cosine_with_restarts,
    "cosine_with_min_lr": _cosine_with_min_lr,
    "cosine_warmup_with_min_lr": _cosine_warmup_with_min_lr,
    "polynomial": _polynomial,
    "constant": _constant,
    "constant_with_warmup": _constant_with_warmup,
    "inverse_sqrt": _inverse_sqrt,
    "warmup_stable_decay": _warmup_stable_decay,
}
