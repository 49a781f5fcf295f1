"""PlateauSequence: validation losses go in, and a sequence's next learning rate is written when a rule says so."""

from __future__ import annotations

import copy
import math
import struct
import weakref
from collections import deque
from collections.abc import Iterable
from collections.abc import Sequence as Items
from typing import Any, Literal, get_args

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from .._check import choice, integer, items, number, real
from .._processes import Sync, agree
from ..sequences._sequence import Sequence
from ._groups import PerGroup, Rates, groups_of, read, restamp, stamp, stored_bases, stored_rates, typed, write
from ._rules import Event, Follower, Mode, Nonfinite, On, Rule
from ._state import STATE_VERSION, check_keys, check_state, storable, stored

Repeats = Literal["ignore", "count"]

_MISSING: Any = object()


class PlateauSequence(ReduceLROnPlateau):
    """Follow a sequence by the validation loss: lr = max(base lr · f(k), min(min_lr, base lr)), k = number of advances.

    `scheduler.step(val_loss)` after each validation; the rule `on` decides whether to advance. It is a
    ReduceLROnPlateau by type alone, so that frameworks pass it the metric. It writes learning rates when made, at
    advances, when a state is loaded and when a param group is new, so a warm-up made after it works until the first
    advance.

    Args:
        optimizer: whose learning rates to set; a tensor lr is written in place.
        sequence: f, or a list with one for each param group.
        on: "cutoff" (`Cutoff()`), "oscillate" (`Oscillation()`), or a rule, of which the scheduler keeps a copy.
        mode: "min" where a lower metric is better, "max" where a higher one is.
        min_lr: the floor, ≥ 0, or a list with one for each param group.
        nonfinite: what NaN and ±inf do: "hold" counts them and no more, "advance" advances, "raise" raises ValueError;
            the rule sees none of them.
        repeats: "ignore" drops a metric bit-equal to the last one if the optimizer has stepped since the scheduler was
            made, but not since the last metric, as when every process calls; "count" keeps every one, as CUDA graphs
            and steps inside backward need, which bypass `optimizer.step`.
        sync: None, or how the processes of a group agree on the metric, each calling `step`: "mean", "max", "min",
            "rank0"; a non-finite one anywhere makes it NaN everywhere.
        process_group: the group; None for the default one. Copies and states drop it.
        history: how many events to keep, an integer ≥ 0.
        last_epoch: accepted because some frameworks pass it to every scheduler; unused.

    The attributes are `position`, `rule` with its present state, `events`, and `last_epoch`, the metrics seen. Raises
    TypeError or ValueError naming the argument that is wrong, before the optimizer is touched.
    Source: Yang & Huang (2019), "by cutoff" and "by oscillate".

    >>> import torch
    >>> from lrsched import Inverse
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    >>> scheduler = PlateauSequence(optimizer, Inverse(), on="oscillate")
    >>> for val_loss in (0.9, 0.7, 0.8):
    ...     scheduler.step(val_loss)
    >>> scheduler.get_last_lr(), scheduler.events[0].reason
    ([0.05], 'oscillation: 0.8 > 0.7')
    """

    def __init__(
        self,
        optimizer: Optimizer,
        sequence: Sequence | Items[Sequence],
        on: On | Rule = "cutoff",
        *,
        mode: Mode = "min",
        min_lr: PerGroup = 0.0,
        nonfinite: Nonfinite = "hold",
        repeats: Repeats = "ignore",
        sync: Sync | None = None,
        process_group: Any = None,
        history: int = 1000,
        last_epoch: int = -1,
    ) -> None:
        self._rates = Rates(groups_of(optimizer), sequence, min_lr)
        self._follower = Follower(on, mode, nonfinite)
        self.repeats = choice("repeats", repeats, get_args(Repeats))
        self.sync = None if sync is None else choice("sync", sync, get_args(Sync))
        self.process_group = process_group
        self._events: deque[Event] = deque(maxlen=integer("history", history))
        self.optimizer = optimizer
        self._step_count = 1  # as after the constructors of torch's other schedulers
        self._last_metric: float | None = None
        self._steps = _Steps()
        self._watch_steps()
        stamp(optimizer, self._rates.bases)
        self._write()

    @property
    def position(self) -> int:
        """How often the rule has advanced."""
        return self._follower.position

    @property
    def rule(self) -> Rule:
        """The scheduler's own copy of the rule, with its present state."""
        return self._follower.rule

    @property
    def events(self) -> list[Event]:
        """The last `history` advances, oldest first."""
        return list(self._events)

    @property
    def sequence(self) -> Sequence | list[Sequence]:
        """The sequence, or a list of them."""
        return copy.copy(self._rates.sequence)

    @property
    def min_lr(self) -> PerGroup:
        """The floor, or a list of them."""
        return copy.copy(self._rates.min_lr)

    @property
    def nonfinite(self) -> Nonfinite:
        """What NaN and ±inf do."""
        return self._follower.nonfinite

    def step(self, metrics: Any = _MISSING, epoch: int | None = None) -> None:  # type: ignore[override]
        """Take the next metric, and advance if the rule says so.

        Args:
            metrics: one real number: a float, a numpy scalar, a tensor of one element.
            epoch: accepted for torch's signature; unused.

        Raises TypeError or ValueError, and changes nothing, where metrics is no such number; with `sync`, the other
        processes see NaN.
        """
        try:
            metric = _number(metrics)
        except (TypeError, ValueError):
            agree(math.nan, self.sync, self.process_group)  # the other processes would wait for ever
            raise
        metric = agree(metric, self.sync, self.process_group)
        self._follower.check(metric)
        if self._is_repeat(metric):
            return
        rates = self._rates.adopted(self.optimizer.param_groups)
        reason = self._follower.update(metric)
        self._step_count += 1
        self._last_metric = metric
        self._steps.since_metric = False
        if rates is not self._rates:
            self._adopt(rates)
        if reason is not None:
            old = read(self.optimizer)
            self._write()
            event = Event(self._follower.epoch, metric, reason, self.position, old, list(self._last_lr))
            self._events.append(event)

    step._torchdynamo_disable = True  # type: ignore[attr-defined]

    @property
    def last_epoch(self) -> int:  # type: ignore[override]
        """How many metrics have been seen."""
        return self._follower.epoch

    @property
    def mode(self) -> Mode:
        """Whether a lower ("min") or a higher ("max") metric is better."""
        return self._follower.mode

    @property
    def base_lrs(self) -> list[float | Tensor]:  # type: ignore[override]
        """The base lr of each param group."""
        return [*self._rates.bases]

    def get_lr(self) -> list[float | Tensor]:
        """Return the optimizer's learning rates now, whoever wrote them."""
        return typed(self.optimizer, read(self.optimizer))

    def get_last_lr(self) -> list[float | Tensor]:
        """Return the learning rates written last, one per param group, as new tensors where the groups' are tensors."""
        return typed(self.optimizer, self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain Python; `lrs` are the optimizer's learning rates now, whoever wrote them."""
        return {
            "version": STATE_VERSION,
            "settings": self._settings(),
            "position": self.position,
            "last_epoch": self.last_epoch,
            "_step_count": self._step_count,
            "base_lrs": list(self._rates.bases),
            "lrs": [*map(storable, read(self.optimizer))],
            "rule": self.rule.state_dict(),
            "events": [event.state_dict() for event in self._events],
            "last_metric": storable(self._last_metric),
            "steps": vars(self._steps).copy(),
        }

    def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True) -> None:
        """Take a state, and write its learning rates into the optimizer, in place.

        Args:
            state_dict: what `state_dict()` returned.
            strict: whether class, sequence, rule, mode and limits must be the same; without it this scheduler's own
                stay, and the rule must still be of the same kind.

        Raises TypeError or ValueError, and changes nothing, where the state does not fit.
        """
        check_state(state_dict, tuple(self.state_dict()), self._settings(), strict)
        groups = self.optimizer.param_groups
        bases = stored_bases("state: base_lrs", state_dict["base_lrs"], len(groups))
        lrs = stored_rates("state: lrs", state_dict["lrs"], len(groups))
        follower = self._follower.resumed(state_dict["rule"], state_dict["last_epoch"], state_dict["position"])
        count = integer("state: _step_count", state_dict["_step_count"])
        events = [Event.from_state_dict(event) for event in stored("state: events", state_dict["events"], [])]
        last_metric = stored("state: last_metric", state_dict["last_metric"], 0.0)
        steps = _Steps.from_state_dict(state_dict["steps"])
        self._rates = self._rates.resumed(groups[: len(bases)], bases)
        restamp(self.optimizer, bases)
        self._follower, self._step_count, self._last_metric = follower, count, last_metric
        self._events = deque(events, self._events.maxlen)
        vars(self._steps).update(vars(steps))
        self._last_lr = lrs[: len(bases)]
        write(self.optimizer, lrs)

    def _settings(self) -> dict[str, Any]:
        settings = {"class": type(self).__name__, **self._rates.settings()}
        return {**settings, "rule": repr(self.rule), "mode": self.mode}

    def _write(self) -> None:
        self._last_lr: list[float] = self._rates.write(self.optimizer, self.position)  # type: ignore[assignment]

    def _adopt(self, rates: Rates) -> None:
        """Schedule new groups too, and write their learning rates; those of the others may be a warm-up's."""
        known = len(self._rates.highs)
        new = rates.at(self.position)[known:]
        stamp(self.optimizer, rates.bases)
        write(self.optimizer, new, first=known)
        self._rates, self._last_lr = rates, self._last_lr + new

    def _is_repeat(self, metric: float) -> bool:
        if self.repeats == "count" or self._last_metric is None or self._steps.since_metric or not self._steps.ever:
            return False
        return struct.pack("d", metric) == struct.pack("d", self._last_metric)

    def _watch_steps(self) -> None:
        """Have the optimizer note its steps; the hook goes when the scheduler does."""
        optimizer: Any = self.optimizer
        while not hasattr(optimizer, "_optimizer_step_post_hooks") and hasattr(optimizer, "optimizer"):
            optimizer = optimizer.optimizer  # a wrapper that has no hooks of its own, such as Accelerate's
        if hasattr(optimizer, "_optimizer_step_post_hooks"):
            handle = optimizer.register_step_post_hook(self._steps.note)
            weakref.finalize(self, handle.remove).atexit = False

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "process_group": None}  # it cannot be pickled

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._watch_steps()

    def __getattr__(self, name: str) -> Any:
        hint = _HINT if name in _OF_REDUCE_LR_ON_PLATEAU else ""
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}")

    def _init_is_better(self, *_: Any, **__: Any) -> None:
        raise AttributeError(f"{type(self).__name__!r} object has no threshold{_HINT}")

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(sequence={self.sequence!r}, rule={self.rule!r}, "
            f"position={self.position}, lrs={self._last_lr})"
        )


_HINT = ": what it waits for is in scheduler.rule"
_OF_REDUCE_LR_ON_PLATEAU = frozenset(
    [
        "factor",
        "patience",
        "threshold",
        "threshold_mode",
        "cooldown",
        "cooldown_counter",
        "in_cooldown",
        "eps",
        "best",
        "num_bad_epochs",
        "min_lrs",
        "default_min_lr",
        "mode_worse",
    ]
)


class _Steps:
    """Whether the optimizer has stepped: ever since the scheduler was made, and since the last metric."""

    def __init__(self, ever: bool = False, since_metric: bool = False) -> None:
        self.ever = ever
        self.since_metric = since_metric

    def note(self, *_: Any) -> None:
        self.ever = self.since_metric = True

    @classmethod
    def from_state_dict(cls, state_dict: dict[str, Any]) -> _Steps:
        check_keys("state: steps", state_dict, ("ever", "since_metric"))
        return cls(**{name: stored(f"state: {name}", value, False) for name, value in state_dict.items()})


def _number(metrics: Any) -> float:
    if metrics is _MISSING:
        raise TypeError("PlateauSequence.step() needs the metric that it follows: scheduler.step(val_loss)")
    return real("metrics", metrics)


def preview(
    sequence: Sequence,
    on: On | Rule,
    metrics: Iterable[Any],
    *,
    base_lr: float = 1.0,
    mode: Mode = "min",
    min_lr: float = 0.0,
    nonfinite: Nonfinite = "hold",
) -> list[Event]:
    """Return the events that a PlateauSequence would have with these metrics, without an optimizer.

    Args:
        sequence: f.
        on: "cutoff", "oscillate", or a rule.
        metrics: the metrics in their order, each one real number; every one counts, repeated or not.
        base_lr: the learning rate at factor 1, ≥ 0.
        mode: "min" or "max".
        min_lr: the floor, ≥ 0.
        nonfinite: "hold", "advance" or "raise".

    Raises TypeError or ValueError naming the argument that is wrong.

    >>> from lrsched import Inverse
    >>> [(event.epoch, event.new_lrs) for event in preview(Inverse(), "oscillate", [0.9, 0.7, 0.8, 0.9])]
    [(3, [0.5]), (4, [0.3333333333333333])]
    """
    rates = Rates([{"lr": number("base_lr", base_lr)}], sequence, min_lr)
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
