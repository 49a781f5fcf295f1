"""Rules: metrics go in one at a time, "advance now" comes out with a reason; no torch, no learning rates.

`Follower` adds what every rule needs, the policy for non-finite metrics and the count of advances.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, get_args

from .._check import choice, integer, number, real
from ._state import check_keys, storable, stored

On = Literal["cutoff", "oscillate"]
Mode = Literal["min", "max"]
Nonfinite = Literal["hold", "advance", "raise"]
ThresholdMode = Literal["rel", "abs"]


class Rule(ABC):
    """Watches a metric and says when to advance.

    A subclass defines `update` and names the attributes that it changes in `state_fields`: numbers, strings, None, or
    lists and dicts of these, which are saved and loaded; all others start afresh on resuming. Give it a `__repr__` that
    shows its settings: a saved state is only loaded where the rules print alike. `a | b` advances when either does.

    >>> class Every(Rule):
    ...     state_fields = ("seen",)
    ...     def __init__(self, n):
    ...         self.n, self.seen = n, 0
    ...     def update(self, metric, mode):
    ...         self.seen += 1
    ...         return f"every {self.n}" if self.seen % self.n == 0 else None
    ...     def __repr__(self):
    ...         return f"Every({self.n})"
    >>> [Every(2).update(1.0, "min"), (Every(2) | Every(1)).update(1.0, "min")]
    [None, 'every 1']
    """

    state_fields: ClassVar[tuple[str, ...]] = ()
    _numbers: ClassVar[tuple[str, ...]] = ()  # those of them that are numbers, or None

    @abstractmethod
    def update(self, metric: float, mode: Mode) -> str | None:
        """Take the next metric, a finite float; return the reason to advance, a sentence, or None.

        Args:
            metric: the metric.
            mode: "min" where lower is better, "max" where higher is.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the attributes named in `state_fields`, as plain Python."""
        return {name: storable(copy.deepcopy(getattr(self, name))) for name in self.state_fields}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the attributes named in `state_fields`.

        Raises TypeError or ValueError, and takes none, where a name is missing or unknown, or where the present value
        is a number, a string, a list or a dict and the new one is not.
        """
        check_keys(f"state of {self!r}", state_dict, self.state_fields)
        kept = {}
        for name, value in state_dict.items():
            present = getattr(self, name)
            kept[name] = stored(f"state: {name}", value, 0.0 if present is None and name in self._numbers else present)
            if isinstance(present, int) and name in self._numbers:
                integer(f"state: {name}", value)
        self.__dict__.update(copy.deepcopy(kept))

    def __or__(self, other: Rule) -> Rule:
        return _Either(self, other) if isinstance(other, Rule) else NotImplemented

    def _attributes(self) -> list[dict[str, Any]]:
        """Return where this rule, or each rule that it is made of, keeps its attributes."""
        return [vars(self)]

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}()"


class Cutoff(Rule):
    """Advance when the metric changes by less than a cutoff, which then shrinks.

    |m_t − m_{t−1}| < c, and at each advance c ← max(c·decay, min_cutoff).

    Args:
        cutoff: the first c, in units of the metric, ≥ 0; None for relative · |first finite metric|.
        relative: that share, ≥ 0.
        decay: what c is multiplied by at each advance, 0 < decay ≤ 1.
        min_cutoff: the least that an advance leaves of c; give the metric's resolution, about 0.004 · loss for
            bfloat16, ≥ 0.
        previous: the metric assumed before the first one; with None the first metric never advances.

    The attribute `cutoff` is the present c (None before the first metric). Raises TypeError or ValueError naming the
    argument that is out of range.
    Source: "by cutoff" of Yang & Huang (2019), with relative = 0.01, decay = 0.2, previous = 0.

    >>> rule = Cutoff(cutoff=0.1)
    >>> [rule.update(metric, "min") for metric in (1.0, 0.5, 0.45)], rule.cutoff
    ([None, None, 'cutoff: abs(0.45 - 0.5) < 0.1'], 0.020000000000000004)
    """

    state_fields = _numbers = ("cutoff", "last")

    def __init__(
        self,
        cutoff: float | None = None,
        relative: float = 0.01,
        decay: float = 0.2,
        min_cutoff: float = 0.0,
        previous: float | None = None,
    ) -> None:
        self.cutoff = self._first = None if cutoff is None else number("cutoff", cutoff)
        self.relative = number("relative", relative)
        self.decay = number("decay", decay, above=0.0, high=1.0)
        self.min_cutoff = number("min_cutoff", min_cutoff)
        self.last = self._previous = _previous(previous)

    def update(self, metric: float, mode: Mode) -> str | None:
        """Return the reason if the metric changed by less than the cutoff; the mode makes no difference."""
        last, self.last = self.last, metric
        if self.cutoff is None:
            self.cutoff = self.relative * abs(metric)
        if last is None or not abs(metric - last) < self.cutoff:
            return None
        reason = f"cutoff: abs({metric:.15g} - {last:.15g}) < {self.cutoff:.15g}"
        self.cutoff = max(self.cutoff * self.decay, self.min_cutoff)
        return reason

    def __repr__(self) -> str:
        return (
            f"Cutoff(cutoff={self._first!r}, relative={self.relative!r}, decay={self.decay!r}, "
            f"min_cutoff={self.min_cutoff!r}, previous={self._previous!r})"
        )


class Oscillation(Rule):
    """Advance when the metric gets worse: m_t > m_{t−1} in mode "min", m_t < m_{t−1} in mode "max".

    Args:
        previous: the metric assumed before the first one; with None the first metric never advances.

    Raises TypeError or ValueError naming the argument that is out of range.
    Source: "by oscillate" of Yang & Huang (2019), with previous = 0.

    >>> rule = Oscillation()
    >>> [rule.update(metric, "min") for metric in (1.0, 0.5, 0.6)]
    [None, None, 'oscillation: 0.6 > 0.5']
    """

    state_fields = _numbers = ("last",)

    def __init__(self, previous: float | None = None) -> None:
        self.last = self._previous = _previous(previous)

    def update(self, metric: float, mode: Mode) -> str | None:
        """Return the reason if the metric is worse than the one before."""
        last, self.last = self.last, metric
        if last is None or not (metric > last if mode == "min" else metric < last):
            return None
        return f"oscillation: {metric:.15g} {'>' if mode == 'min' else '<'} {last:.15g}"

    def __repr__(self) -> str:
        return f"Oscillation(previous={self._previous!r})"


class Patience(Rule):
    """Advance when more than `patience` metrics in a row are no better than the best: torch's ReduceLROnPlateau.

    Better than the best b, in mode "min": m < b·(1 − threshold) for "rel", m < b − threshold for "abs"; in mode "max":
    m > b·(1 + threshold), m > b + threshold.

    Args:
        patience: metrics that may fail to improve without an advance, an integer ≥ 0.
        threshold: what counts as better, ≥ 0.
        threshold_mode: "rel" or "abs".
        cooldown: metrics after an advance that are not counted, an integer ≥ 0.

    Raises TypeError or ValueError naming the argument that is out of range.
    Source: torch.optim.lr_scheduler.ReduceLROnPlateau.

    >>> rule = Patience(patience=1)
    >>> [rule.update(metric, "min") for metric in (1.0, 1.0, 1.0)]
    [None, None, 'patience: 2 metrics no better than 1']
    """

    state_fields = _numbers = ("best", "bad", "cooling")

    def __init__(
        self, patience: int = 10, threshold: float = 1e-4, threshold_mode: ThresholdMode = "rel", cooldown: int = 0
    ) -> None:
        self.patience = integer("patience", patience)
        self.threshold = number("threshold", threshold)
        self.threshold_mode = choice("threshold_mode", threshold_mode, get_args(ThresholdMode))
        self.cooldown = integer("cooldown", cooldown)
        self.best: float | None = None
        self.bad = 0
        self.cooling = 0

    def update(self, metric: float, mode: Mode) -> str | None:
        """Return the reason if the patience is at its end."""
        if self._better(metric, mode):
            self.best, self.bad = metric, 0
        else:
            self.bad += 1
        if self.cooling > 0:
            self.cooling, self.bad = self.cooling - 1, 0
        if self.bad <= self.patience:
            return None
        best = "none" if self.best is None else f"{self.best:.15g}"
        reason = f"patience: {self.bad} metrics no better than {best}"
        self.bad, self.cooling = 0, self.cooldown
        return reason

    def _better(self, metric: float, mode: Mode) -> bool:
        worst = math.inf if mode == "min" else -math.inf
        best = worst if self.best is None else self.best
        if self.threshold_mode == "rel":
            return metric < best * (1.0 - self.threshold) if mode == "min" else metric > best * (self.threshold + 1.0)
        return metric < best - self.threshold if mode == "min" else metric > best + self.threshold

    def __repr__(self) -> str:
        return (
            f"Patience(patience={self.patience}, threshold={self.threshold!r}, "
            f"threshold_mode={self.threshold_mode!r}, cooldown={self.cooldown})"
        )


class _Either(Rule):
    """Advances when one of two rules does; both see every metric."""

    def __init__(self, first: Rule, second: Rule) -> None:
        self.first, self.second = copy.deepcopy(first), copy.deepcopy(second)  # r | r must not see a metric twice

    def update(self, metric: float, mode: Mode) -> str | None:
        reasons = [_ask(rule, metric, mode) for rule in (self.first, self.second)]
        return "; ".join(filter(None, reasons)) or None

    def state_dict(self) -> dict[str, Any]:
        return {"first": self.first.state_dict(), "second": self.second.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        check_keys(f"state of {self!r}", state_dict, ("first", "second"))
        first, second = copy.deepcopy(self.first), copy.deepcopy(self.second)
        first.load_state_dict(state_dict["first"])
        second.load_state_dict(state_dict["second"])
        self.first, self.second = first, second

    def _attributes(self) -> list[dict[str, Any]]:
        return self.first._attributes() + self.second._attributes()

    def __repr__(self) -> str:
        second = f"({self.second!r})" if isinstance(self.second, _Either) else repr(self.second)
        return f"{self.first!r} | {second}"


@dataclass(frozen=True)
class Event:
    """One advance.

    Args:
        epoch: how many metrics had been seen, this one included, from 1.
        metric: the metric that caused it.
        reason: why, a sentence with its numbers.
        position: the new position.
        old_lrs: the learning rate of each param group before.
        new_lrs: and after.
    """

    epoch: int
    metric: float
    reason: str
    position: int
    old_lrs: list[float]
    new_lrs: list[float]

    def state_dict(self) -> dict[str, Any]:
        """Return the event as plain Python, with its own lists."""
        return {name: storable(value) for name, value in vars(self).items()}

    @classmethod
    def from_state_dict(cls, state_dict: dict[str, Any]) -> Event:
        """Return the event of a `state_dict()`; raises TypeError or ValueError where it is none."""
        check_keys("state: event", state_dict, [field.name for field in fields(cls)])
        values = dict(state_dict)
        for name in ("epoch", "position"):
            values[name] = integer(f"state: event: {name}", values[name])
        for name, kind in (("metric", 0.0), ("reason", ""), ("old_lrs", []), ("new_lrs", [])):
            values[name] = stored(f"state: event: {name}", values[name], kind)
        for name in ("old_lrs", "new_lrs"):
            values[name] = [real(f"state: event: {name}", lr) for lr in values[name]]
        if len(values["old_lrs"]) != len(values["new_lrs"]):
            raise ValueError(f"state: event: old_lrs and new_lrs must be as many, got {state_dict}")
        return cls(**values)


class Follower:
    """Metric → rule → position: asks the rule about every finite metric and counts what it says.

    Args:
        on: "cutoff", "oscillate", or a rule, which is copied.
        mode: "min" where a lower metric is better, "max" where a higher one is.
        nonfinite: "hold" counts NaN and ±inf as seen and no more, "advance" advances, "raise" raises ValueError; the
            rule sees none of them.
    """

    def __init__(self, on: On | Rule, mode: Mode = "min", nonfinite: Nonfinite = "hold") -> None:
        self.rule = _rule(on)
        self.mode: Mode = choice("mode", mode, get_args(Mode))
        self.nonfinite: Nonfinite = choice("nonfinite", nonfinite, get_args(Nonfinite))
        self.epoch = 0
        self.position = 0

    def resumed(self, rule_state: dict[str, Any], epoch: int, position: int) -> Follower:
        """Return a copy that goes on from a saved state; raises TypeError or ValueError where it does not fit."""
        other = copy.deepcopy(self)
        other.rule.load_state_dict(rule_state)
        other.epoch = integer("state: last_epoch", epoch)
        other.position = integer("state: position", position)
        return other

    def check(self, metric: float) -> None:
        """Raise ValueError if the policy refuses the metric."""
        if self.nonfinite == "raise" and not math.isfinite(metric):
            raise ValueError(f'metrics must be finite with nonfinite="raise", got {metric}')

    def update(self, metric: float) -> str | None:
        """Take the next metric, which `check` has let pass; return why the position advanced, or None."""
        reason = None
        if math.isfinite(metric):
            held = [(attributes, dict(attributes)) for attributes in self.rule._attributes()]
            try:
                reason = _ask(self.rule, metric, self.mode)
            except BaseException:  # the metric has not been seen, then
                for attributes, before in held:
                    attributes.clear()
                    attributes.update(before)
                raise
        elif self.nonfinite == "advance":
            reason = f"nonfinite: {metric}"
        self.epoch += 1
        self.position += reason is not None
        return reason


def _ask(rule: Rule, metric: float, mode: Mode) -> str | None:
    reason: object = rule.update(metric, mode)
    if not (reason is None or (isinstance(reason, str) and reason)):
        raise TypeError(f"{rule!r}.update must return the reason, a string that is not empty, or None, got {reason!r}")
    return reason


def _rule(on: On | Rule) -> Rule:
    if isinstance(on, Rule):
        return copy.deepcopy(on)
    if not isinstance(on, str):
        raise TypeError(f'on must be "cutoff", "oscillate" or a Rule, got {on!r}')
    return Cutoff() if choice("on", on, get_args(On)) == "cutoff" else Oscillation()


def _previous(previous: float | None) -> float | None:
    return None if previous is None else number("previous", previous, -math.inf)
