"""Rules: watch a metric and return the reason to advance, or None. No torch, no learning rates."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, get_args

from .._check import choice, integer, number, refuse
from ._state import check_keys, storable, stored

Mode = Literal["min", "max"]
ThresholdMode = Literal["rel", "abs"]


class Rule(ABC):
    """Watch a metric and say when to advance. `a | b` advances when either rule does.

    To write a rule, define `update` and a `__repr__` that shows the settings: a state is loaded only into a rule with
    the same print. List in `state_fields` the attributes that `update` changes: numbers, strings, None, or lists and
    dicts of these. They are saved and restored; all other attributes start afresh on resuming.

    >>> from lrsched import Rule
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
    _numbers: ClassVar[tuple[str, ...]] = ()  # the state fields that hold a number or None

    @abstractmethod
    def update(self, metric: float, mode: Mode) -> str | None:
        """Take the next metric, and return the reason to advance, a text that is not empty, or None.

        Args:
            metric: a finite float.
            mode: "min" if lower is better, "max" if higher is better.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the attributes in `state_fields`, and the states of the rules that this one holds."""
        own = {name: storable(copy.deepcopy(getattr(self, name))) for name in self.state_fields}
        return {**own, **{name: rule.state_dict() for name, rule in self._rules().items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the attributes in `state_fields`, and the states of the rules that this one holds.

        Raises TypeError or ValueError, and changes nothing, if a name is missing or unknown, or if the current value is
        a number, a string, a list or a dict and the new one is not.
        """
        rules = self._rules()
        check_keys(f"state of {self!r}", state_dict, (*self.state_fields, *rules))
        checked: dict[str, Any] = {}
        for name in self.state_fields:
            value, present = state_dict[name], getattr(self, name)
            is_number = name in self._numbers
            checked[name] = stored(f"state: {name}", value, 0.0 if present is None and is_number else present)
            if isinstance(present, int) and is_number:
                integer(f"state: {name}", value)
        for name, rule in copy.deepcopy(rules).items():  # copies first: if one refuses its state, nothing has changed
            rule.load_state_dict(state_dict[name])
        for name, rule in rules.items():
            rule.load_state_dict(state_dict[name])
        self.__dict__.update(copy.deepcopy(checked))

    def _rules(self) -> dict[str, Rule]:
        """Return the rules that this one holds as attributes, or in lists or tuples, by name."""
        held: dict[str, object] = {}
        for name, value in vars(self).items():
            if name not in self.state_fields:
                entries = enumerate(value) if isinstance(value, (list, tuple)) else ()
                held |= {name: value, **{f"{name}[{i}]": entry for i, entry in entries}}
        return {name: value for name, value in held.items() if isinstance(value, Rule)}

    def __or__(self, other: Rule) -> Rule:
        return _Either(self, other) if isinstance(other, Rule) else NotImplemented

    def _attributes(self) -> list[dict[str, Any]]:
        """Return the `__dict__` of this rule and of each rule inside it."""
        return [vars(self), *(attributes for rule in self._rules().values() for attributes in rule._attributes())]

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}()"


class Cutoff(Rule):
    """Advance when the metric changes by less than a cutoff, which then shrinks.

    Advance if |m_t − m_{t−1}| < c; then c ← max(c·decay, min_cutoff).

    Args:
        cutoff, relative: the first c, in units of the metric, ≥ 0. If cutoff is None, the first c is
            relative · |first finite metric that is not 0|, with relative ≥ 0.
        decay: the factor of c at each advance, 0 < decay ≤ 1.
        min_cutoff: a floor for c after an advance, ≥ 0. Set it to the resolution of the metric, such as 0.004 · loss
            for bfloat16.
        previous: the metric assumed before the first one. If None, the first metric never advances.

    The attribute `cutoff` is the current c (None before the first metric that is not 0).
    Raises TypeError or ValueError if an argument is invalid.
    Source: "by cutoff" of Yang & Huang (2019), with relative = 0.01, decay = 0.2, previous = 0.

    >>> from lrsched import Cutoff
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
        """Return the reason if the metric changed by less than the cutoff, in either mode."""
        last, self.last = self.last, metric
        if self.cutoff is None and metric != 0.0:
            self.cutoff = self.relative * abs(metric)
        if last is None or self.cutoff is None or not abs(metric - last) < self.cutoff:
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
        previous: the metric assumed before the first one. If None, the first metric never advances.

    Raises TypeError or ValueError if an argument is invalid.
    Source: "by oscillate" of Yang & Huang (2019), with previous = 0.

    >>> from lrsched import Oscillation
    >>> rule = Oscillation()
    >>> [rule.update(metric, "min") for metric in (1.0, 0.5, 0.6)]
    [None, None, 'oscillation: 0.6 > 0.5']
    """

    state_fields = _numbers = ("last",)

    def __init__(self, previous: float | None = None) -> None:
        self.last = self._previous = _previous(previous)

    def update(self, metric: float, mode: Mode) -> str | None:
        """Return the reason if the metric is worse than the previous one."""
        last, self.last = self.last, metric
        if last is None or not (metric > last if mode == "min" else metric < last):
            return None
        return f"oscillation: {metric:.15g} {'>' if mode == 'min' else '<'} {last:.15g}"

    def __repr__(self) -> str:
        return f"Oscillation(previous={self._previous!r})"


class Patience(Rule):
    """Advance when more than `patience` metrics in a row fail to improve: the rule of torch's ReduceLROnPlateau.

    A metric m improves on the best one, b, if m < b·(1 − threshold) ("rel") or m < b − threshold ("abs"). In mode "max"
    it improves if m > b·(1 + threshold) or m > b + threshold.

    Args:
        patience: the metrics that may fail to improve without an advance, an integer ≥ 0.
        threshold, threshold_mode: the least improvement that counts, ≥ 0, relative to the best metric ("rel") or in
            units of the metric ("abs").
        cooldown: the metrics after an advance that are not counted, an integer ≥ 0.

    Raises TypeError or ValueError if an argument is invalid.
    Source: torch.optim.lr_scheduler.ReduceLROnPlateau.

    >>> from lrsched import Patience
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
        """Return the reason if more metrics than `patience` have failed to improve."""
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


class Smoothed(Rule):
    """Show another rule the exponential average of the metric, so that noise does not advance it.

    The rule sees a_t = s_t / (1 − (1 − w)ᵗ), with s_t = (1 − w)·s_{t−1} + w·m_t and s_0 = 0. This debiased average
    starts at m_1 and looks back over about 1/w metrics.

    Args:
        rule: the rule, which is copied.
        weight: w, 0 < w ≤ 1; with 1 the rule sees the metric itself.

    Raises TypeError or ValueError if an argument is invalid.
    Source: Kingma & Ba (2015), arXiv:1412.6980, section 3 (the debiased average).

    >>> from lrsched import Oscillation, Smoothed
    >>> rule = Smoothed(Oscillation(), weight=0.5)
    >>> [rule.update(metric, "min") for metric in (1.0, 0.7, 0.75, 1.0)]
    [None, None, None, 'smoothed: oscillation: 0.893333333333333 > 0.771428571428571']
    """

    state_fields = _numbers = ("average", "seen")

    def __init__(self, rule: Rule, weight: float = 0.1) -> None:
        if not isinstance(rule, Rule):
            refuse("rule", "a Rule such as Patience(3)", rule)
        self.rule = copy.deepcopy(rule)
        self.weight = number("weight", weight, above=0.0, high=1.0)
        self.average = 0.0
        self.seen = 0

    def update(self, metric: float, mode: Mode) -> str | None:
        """Return the reason of the rule, which sees the average."""
        self.seen += 1
        self.average = (1.0 - self.weight) * self.average + self.weight * metric
        reason = ask(self.rule, self.average / (1.0 - (1.0 - self.weight) ** self.seen), mode)
        return None if reason is None else f"smoothed: {reason}"

    def __repr__(self) -> str:
        return f"Smoothed({self.rule!r}, weight={self.weight!r})"


class _Either(Rule):
    """Advance when one of two rules does; both see every metric."""

    def __init__(self, first: Rule, second: Rule) -> None:
        self.first, self.second = copy.deepcopy(first), copy.deepcopy(second)  # in r | r, r must not see a metric twice

    def update(self, metric: float, mode: Mode) -> str | None:
        reasons = [ask(rule, metric, mode) for rule in (self.first, self.second)]
        return "; ".join(filter(None, reasons)) or None

    def __repr__(self) -> str:
        second = f"({self.second!r})" if isinstance(self.second, _Either) else repr(self.second)
        return f"{self.first!r} | {second}"


def ask(rule: Rule, metric: float, mode: Mode) -> str | None:
    """Return what a rule's `update` returns; TypeError unless it is None or a text that is not empty."""
    reason: object = rule.update(metric, mode)
    if not (reason is None or (isinstance(reason, str) and reason)):
        raise TypeError(f"{rule!r}.update must return the reason, a string that is not empty, or None, got {reason!r}")
    return reason


def _previous(previous: float | None) -> float | None:
    return None if previous is None else number("previous", previous, -math.inf)
