"""The formula: the learning rate of each group at a position, from base rates, scales, a sequence and a floor.

Pure arithmetic: no optimizer and no torch.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence as Items
from typing import Any

from .._check import number, shown
from ..sequences._sequence import Sequence

PerGroup = float | Items[float]


class Rates:
    """The values of all param groups at a position: max(low + (scale·high − low)·f(k), min(min_lr, high)).

    The values are learning rates, or another option of the groups.

    A group's scale is the ratio by which others have changed its rate. It is exactly 1.0 until somebody does.

    Args:
        bases: the base lr of each group.
        sequence: f for all groups, or a list with one sequence per group.
        min_lr: the floor, one number ≥ 0 or a list with one per group.
        limits: low and high, or only high, under the names that users know; each is one number ≥ 0 or a list. With
            limits, only the number of base lrs matters.
        low: low if there are no limits; one number ≥ 0 or a list. high is then the base lr. If low is one number, a
            group whose base is 0 stays at 0, unless all bases are 0: what is switched off stays off.

    Raises TypeError or ValueError if an argument is invalid.
    """

    def __init__(
        self,
        bases: list[float],
        sequence: Sequence | Items[Sequence],
        min_lr: PerGroup = 0.0,
        limits: dict[str, PerGroup] | None = None,
        low: PerGroup = 0.0,
    ) -> None:
        count = len(bases)
        self.sequence = _sequences(sequence, count)
        self.min_lr = _per_group("min_lr", min_lr, count)
        self.limits = {name: _per_group(name, limit, count) for name, limit in (limits or {}).items()}
        self.low = _per_group("low", low, count)
        self._one = None if isinstance(self.sequence, list) else self.sequence
        self._fit(bases, [1.0] * count)

    def settings(self) -> dict[str, Any]:
        """Return the settings as plain Python, for a state dict."""
        sequence = list(map(repr, self.sequence)) if isinstance(self.sequence, list) else repr(self.sequence)
        return copy.deepcopy({"sequence": sequence, "min_lr": self.min_lr, **self.limits})

    @property
    def bases(self) -> list[float]:
        """The base lr of each group, or the lower limit if there are limits."""
        return self.lows if self.limits else self.highs

    def factors(self, k: int) -> list[float]:
        """Return f(k) of each group."""
        if isinstance(self.sequence, list):
            return [float(sequence._at(k)) for sequence in self.sequence]
        return [float(self.sequence._at(k))] * len(self._spans)

    def at(self, k: int, warmup: float = 1.0) -> list[float]:
        """Return the learning rates at position k, one per group; `warmup` is a further factor."""
        spans, factor = self._spans, warmup
        if self._one is None:
            spans = [(low, span * f) for (low, span), f in zip(spans, self.factors(k), strict=True)]
        else:
            factor *= self._one._at(k)
            if type(factor) is not float:  # cheaper than float() at each step
                factor = float(factor)
        rates = []
        for low, span in spans:  # for one group, as usual, a comprehension takes twice as long before Python 3.12
            rates.append(low + span * factor)
        return rates if self._floors is None else list(map(max, rates, self._floors))

    def with_bases(self, bases: list[float], scales: list[float]) -> Rates:
        """Return the same settings with other base lrs and scales; ValueError if a list does not cover the groups."""
        for name, value in {**self.settings(), "low": self.low}.items():
            _check_length(name, value, len(bases))
        other = copy.copy(self)
        other._fit(bases, scales)
        return other

    def _fit(self, bases: list[float], scales: list[float]) -> None:
        """Work out what `at` needs."""
        self.count = count = len(bases)
        self.scales = scales
        limits = [_expanded(limit, count) for limit in self.limits.values()]
        self.highs = limits[-1] if limits else list(bases)
        if limits:
            self.lows = limits[0] if len(limits) == 2 else [0.0] * count
        else:
            self.lows = self._own_lows()
        ends = zip(self.lows, self.highs, scales, strict=True)
        self._spans = [(low, scale * high - low) for low, high, scale in ends]
        floors = list(map(min, _expanded(self.min_lr, count), self.highs))
        self._floors = floors if any(floors) else None

    def _own_lows(self) -> list[float]:
        """Return the low end of each group if there are no limits."""
        lows = _expanded(self.low, self.count)
        if isinstance(self.low, list) or not any(self.highs):
            return lows
        return [low if high else 0.0 for low, high in zip(lows, self.highs, strict=True)]


def _sequences(sequence: Sequence | Items[Sequence], count: int) -> Sequence | list[Sequence]:
    if not isinstance(sequence, (list, tuple)):
        return one_sequence("sequence", sequence)
    _check_length("sequence", sequence, count)
    return [one_sequence(f"sequence[{i}]", entry) for i, entry in enumerate(sequence)]


def one_sequence(name: str, sequence: object) -> Sequence:
    """Return a sequence as it is; TypeError if it is not one, or if a state could not name it."""
    if isinstance(sequence, Sequence):
        if " at 0x" in repr(sequence):  # a state identifies its sequence by its repr
            raise TypeError(
                f"{name} must print the same after a restart, or it cannot be resumed: make its class a frozen "
                f"dataclass, or give it a __repr__ without memory addresses; got {sequence!r}"
            )
        return sequence
    if isinstance(sequence, type) and issubclass(sequence, Sequence):
        called = f"{sequence.__name__}(…)"
        raise TypeError(f"{name} must be a Sequence, got the class {sequence.__name__}: write {called}")
    hint = ": wrap a function as Function(fn)" if callable(sequence) else ""
    raise TypeError(f"{name} must be a Sequence, or a list with one per param group, got {shown(sequence)}{hint}")


def _per_group(name: str, value: PerGroup, count: int) -> float | list[float]:
    if not isinstance(value, (list, tuple)):
        return number(name, value)
    _check_length(name, value, count)
    return [number(f"{name}[{i}]", entry) for i, entry in enumerate(value)]


def _check_length(name: str, value: object, count: int) -> None:
    if isinstance(value, (list, tuple)) and len(value) != count:
        raise ValueError(f"{name} must have one entry per param group: {len(value)} entries for {count} param groups")


def _expanded(value: float | list[float], count: int) -> list[float]:
    return list(value) if isinstance(value, list) else [value] * count
