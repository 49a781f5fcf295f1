"""The follower: asks a rule about each metric, counts the position, and describes advances as events. No optimizer."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, SupportsFloat, get_args

from .._check import choice, integer, items, number, real, shown
from ..sequences._sequence import Sequence
from ._rates import Rates
from ._rules import Cutoff, Mode, Oscillation, Patience, Rule, ask
from ._state import EVENT, check_keys, storable, stored

On = Literal["either", "cutoff", "oscillate", "patience"]
Nonfinite = Literal["hold", "advance", "raise"]


@dataclass(frozen=True)
class Event:
    """One advance: what caused it, and the learning rates before and after.

    Args:
        epoch: the number of metrics seen so far, this one included.
        metric: the metric that caused the advance.
        reason: why, as a text with numbers.
        position: the new position.
        old_lrs, new_lrs: the learning rate of each param group before and after.

    >>> from lrsched import Inverse, preview
    >>> preview(Inverse(), "oscillate", [0.7, 0.8])
    [Event(epoch=2, metric=0.8, reason='oscillation: 0.8 > 0.7', position=1, old_lrs=[1.0], new_lrs=[0.5])]
    """

    epoch: int
    metric: float
    reason: str
    position: int
    old_lrs: list[float]
    new_lrs: list[float]

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the event as plain Python."""
        return {name: storable(value) for name, value in vars(self).items()}

    @classmethod
    def from_state_dict(cls, state_dict: dict[str, Any]) -> Event:
        """Return the event of a `state_dict()`; raise TypeError or ValueError if it is not one."""
        check_keys("state: event", state_dict, EVENT)
        values = dict(state_dict)
        for name in ("epoch", "position"):
            values[name] = integer(f"state: event: {name}", values[name])
        for name, kind in (("metric", 0.0), ("reason", ""), ("old_lrs", []), ("new_lrs", [])):
            values[name] = stored(f"state: event: {name}", values[name], kind)
        for name in ("old_lrs", "new_lrs"):
            values[name] = [real(f"state: event: {name}", lr) for lr in values[name]]
        if len(values["old_lrs"]) != len(values["new_lrs"]):
            raise ValueError(f"state: event: old_lrs and new_lrs must have the same length, got {state_dict}")
        return cls(**values)

    @classmethod
    def from_row(cls, row: Any) -> Event:
        """Return the event whose entries stand in a list, as in a scheduler's state; raise as `from_state_dict`."""
        if not isinstance(row, list) or len(row) != len(EVENT):
            raise ValueError(f"state: event must be a list of {', '.join(EVENT)}, got {shown(row)}")
        return cls.from_state_dict(dict(zip(EVENT, row, strict=True)))


class Follower:
    """Ask a rule about every finite metric, and count the metrics (`epoch`) and the advances (`position`).

    Args:
        on: "either", "cutoff", "oscillate", "patience", or a rule, which is copied.
        mode: "min" if a lower metric is better, "max" if a higher one is.
        nonfinite: "hold" counts a metric that is NaN or infinite without advancing, "advance" advances, and "raise"
            raises ValueError. The rule does not see it.
    """

    def __init__(self, on: On | Rule, mode: Mode = "min", nonfinite: Nonfinite = "hold") -> None:
        self.rule = _rule(on)
        self.mode: Mode = choice("mode", mode, get_args(Mode))
        self.nonfinite: Nonfinite = choice("nonfinite", nonfinite, get_args(Nonfinite))
        self.epoch = 0
        self.position = 0

    def resumed(self, rule_state: dict[str, Any], epoch: int, position: int) -> Follower:
        """Return a copy in a saved state; raise TypeError or ValueError if the state does not fit."""
        other = copy.deepcopy(self)
        other.rule.load_state_dict(rule_state)
        other.epoch = integer("state: last_epoch", epoch)
        other.position = integer("state: position", position)
        return other

    def check(self, metric: float) -> None:
        """Raise ValueError if the metric is not finite and nonfinite is "raise"."""
        if self.nonfinite == "raise" and not math.isfinite(metric):
            raise ValueError(f'metrics must be finite with nonfinite="raise", got {metric}')

    def update(self, metric: float) -> str | None:
        """Take the next metric, which has passed `check`; return why the position advanced, or None."""
        reason = None
        if math.isfinite(metric):
            reason = self._ask(metric)
        elif self.nonfinite == "advance":
            reason = f"nonfinite: {metric}"
        self.epoch += 1
        if reason is not None:
            self.position += 1
        return reason

    def _ask(self, metric: float) -> str | None:
        """Ask the rule; if it fails, it has not seen the metric."""
        held = [(attributes, dict(attributes)) for attributes in self.rule._attributes()]
        try:
            return ask(self.rule, metric, self.mode)
        except BaseException:
            for attributes, before in held:
                attributes.clear()
                attributes.update(before)
            raise


def preview(
    sequence: Sequence,
    on: On | Rule,
    metrics: Iterable[SupportsFloat],
    *,
    base_lr: float = 1.0,
    mode: Mode = "min",
    min_lr: float = 0.0,
    nonfinite: Nonfinite = "hold",
) -> list[Event]:
    """Return the events that a PlateauSequence would have with these metrics, without an optimizer.

    Use it to try rules on the validation losses of a past run.

    Args:
        sequence, on, mode, min_lr, nonfinite: see `PlateauSequence`.
        metrics: the metrics in order, each one real number. Every one counts, even if it repeats the previous one.
        base_lr: the learning rate at factor 1, ≥ 0.

    Raises TypeError or ValueError if an argument is invalid.

    >>> from lrsched import Inverse, preview
    >>> [(event.epoch, event.new_lrs) for event in preview(Inverse(), "oscillate", [0.9, 0.7, 0.8, 0.9])]
    [(3, [0.5]), (4, [0.3333333333333333])]
    """
    rates = Rates([number("base_lr", base_lr)], sequence, min_lr)
    follower = Follower(on, mode, nonfinite)
    events = []
    lrs = rates.at(0)
    for i, metric in enumerate(items("metrics", metrics)):
        metric = real(f"metrics[{i}]", metric)
        follower.check(metric)
        reason = follower.update(metric)
        if reason is not None:
            old, lrs = lrs, rates.at(follower.position)
            events.append(Event(follower.epoch, metric, reason, follower.position, old, lrs))
    return events


def _rule(on: On | Rule) -> Rule:
    if isinstance(on, Rule):
        return copy.deepcopy(on)
    if isinstance(on, str) and on in get_args(On):
        return _RULES[on]()
    kind = ValueError if isinstance(on, str) else TypeError
    raise kind(
        f"on must be one of {', '.join(map(repr, get_args(On)))}, or a Rule such as Patience(3), got {shown(on)}"
    )


_RULES: dict[str, Callable[[], Rule]] = {
    "either": lambda: Cutoff() | Oscillation(),
    "cutoff": Cutoff,
    "oscillate": Oscillation,
    "patience": Patience,
}
