"""PlateauSequence: follows the validation loss, and writes the sequence's next learning rates at each advance."""

from __future__ import annotations

import math
import struct
from collections import deque
from collections.abc import Callable
from collections.abc import Sequence as Items
from typing import TYPE_CHECKING, Any, Literal, SupportsFloat, get_args

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from .._check import choice, flag, integer, real, shown
from .._processes import Sync, agree
from ..sequences import Sequence, Warmup
from ._follower import Event, Follower, Nonfinite, On
from ._groups import adopted, read, scaled_to_present, typed
from ._options import base_values, stamp
from ._rates import PerGroup, Rates, one_sequence
from ._rules import Mode, Rule
from ._state import STATE_VERSION, checked_state, storable, stored
from ._tracking import StepWatch, uncompiled, was_skipped
from ._writer import _Writer

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

Repeats = Literal["ignore", "count"]

_MISSING: Any = object()


class PlateauSequence(_Writer, ReduceLROnPlateau):
    """Follow a sequence by the validation loss: lr = max(base lr · scale · f(k), min(min_lr, base lr)), k = advances.

    Call `step(val_loss)` after each validation. The rule `on` watches the losses and decides when to advance.
    `preview` shows what a rule would have done with the losses of a past run.

    It writes learning rates when it is made, in its warm-up, when it advances, and when a state is loaded. In between
    it leaves them alone, and it respects what else writes a rate: an advance multiplies the present rate by
    f(k+1)/f(k). Base lr and scale are those of `SequenceLR`.

    Args:
        optimizer, sequence, min_lr: see `SequenceLR`.
        on: "either" for `Cutoff() | Oscillation()`, "cutoff", "oscillate", "patience" for `Patience()`, or a rule,
            which is copied. A cutoff alone never advances on a loss that rises. An oscillation advances at almost every
            second epoch of a noisy flat loss: right for slow sequences (1/n, 1/√n, 0.9ⁿ, sawtooth), too fast for steep
            ones such as `Geometric(0.5)`, which want "patience" or `Smoothed`.
        mode: "min" if a lower metric is better, "max" if a higher one is.
        warmup: a finite sequence, or an integer n for `Warmup(n, start=1/n)`. A hook counts the optimizer's steps, so
            the loop needs no other call: after j steps lr = base lr · scale · warmup(j) · f(k), until its length. Steps
            that bypass `optimizer.step`, such as the replay of a CUDA graph or a step inside backward, do not count;
            step a `SequenceLR` there instead.
        nonfinite: what a metric that is NaN or infinite does. "hold" counts it without advancing, "advance" advances,
            and "raise" raises ValueError. The rule does not see it.
        repeats: "ignore" drops a metric that is bit-equal to the last one if the optimizer has not stepped in between,
            as when every process calls `step`; before the optimizer's first step it drops nothing. "count" keeps every
            metric; use it if something bypasses `optimizer.step`, such as CUDA graphs or steps inside backward.
        sync, process_group: how the processes of a group agree on the metric: "mean", "max", "min" or "rank0". Every
            process must then call `step`, and a metric that is not finite on one process is NaN on all. If sync is
            None, each process follows its own metric. A group of None is the default group; copies and pickles drop
            the group.
        history: the number of events to keep, an integer ≥ 0.
        on_advance: on_advance(event), called after each advance: restore the best weights, or log.
        strict: see `SequenceLR`.
        last_epoch: ignored; some frameworks pass it to every scheduler.

    The attributes are `position`, `rule` (with its current state), `events`, and `last_epoch`, the metrics seen so far.
    Raises TypeError or ValueError if an argument is invalid, before the optimizer is changed.
    Source: Yang & Huang (2019), "by cutoff" and "by oscillate".

    >>> import torch
    >>> from lrsched import Inverse, PlateauSequence
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
        on: On | Rule = "either",
        *,
        mode: Mode = "min",
        min_lr: PerGroup = 0.0,
        warmup: Sequence | int | None = None,
        nonfinite: Nonfinite = "hold",
        repeats: Repeats = "ignore",
        sync: Sync | None = None,
        process_group: ProcessGroup | None = None,
        history: int = 1000,
        on_advance: Callable[[Event], object] | None = None,
        strict: bool = True,
        last_epoch: int = -1,
    ) -> None:
        rates = Rates(base_values(optimizer, "lr"), sequence, min_lr)
        self._warmup: Sequence | None = None
        self._warmup_length = 0
        if warmup is not None:
            self._warmup, self._warmup_length = finite_warmup(warmup)
        self._follower = Follower(on, mode, nonfinite)
        self.repeats = choice("repeats", repeats, get_args(Repeats))
        self.sync = None if sync is None else choice("sync", sync, get_args(Sync))
        self.process_group = process_group
        self._events: deque[Event] = deque(maxlen=integer("history", history))
        if not (on_advance is None or callable(on_advance)):
            raise TypeError(f"on_advance must be a function of an event, or None, got {shown(on_advance)}")
        self.on_advance = on_advance
        self._strict = flag("strict", strict)
        self.optimizer = optimizer
        self._rates = scaled_to_present(optimizer, rates)
        self._step_count = 1  # as in torch's other schedulers once they are made
        self._last_metric: float | None = None
        self._steps = StepWatch()
        self._steps.attach(optimizer, self)
        stamp(optimizer, "lr", rates.bases)
        self._write(self._rates.at(0, self._warmth()))

    @property
    def position(self) -> int:
        """The number of advances."""
        return self._follower.position

    @property
    def rule(self) -> Rule:
        """The scheduler's own copy of the rule, with its current state."""
        return self._follower.rule

    @property
    def events(self) -> list[Event]:
        """The last `history` advances, oldest first."""
        return list(self._events)

    @property
    def nonfinite(self) -> Nonfinite:
        """What a metric that is NaN or infinite does."""
        return self._follower.nonfinite

    @uncompiled
    def step(self, metrics: SupportsFloat = _MISSING, epoch: int | None = None) -> None:  # type: ignore[override]
        """Take the next metric, and advance if the rule says so.

        Args:
            metrics: one real number: a float, a numpy scalar, or a tensor with one element.
            epoch: ignored; torch's class has it.

        Raises TypeError or ValueError, and changes nothing, if metrics is not a real number. With `sync`, the other
        processes then see NaN.
        """
        try:
            metric = _number(metrics)
        except (TypeError, ValueError):
            agree(math.nan, self.sync, self.process_group)  # otherwise the other processes wait forever
            raise
        metric = agree(metric, self.sync, self.process_group)
        self._follower.check(metric)
        if self._is_repeat(metric):
            return
        k, warmth = self.position, self._warmth()
        if self._has_new_groups():
            adopted(self.optimizer, self._rates, k, warmth)  # raises before the rule sees the metric
        reason = self._follower.update(metric)
        if self._has_new_groups():
            self._adopt(k, warmth)
        self._step_count += 1
        self._last_metric = metric
        self._steps.since_metric = False
        if reason is not None:
            self._advance(metric, reason)

    def _advance(self, metric: float, reason: str) -> None:
        old = read(self.optimizer)
        self._write_next(self.position, self._warmth())
        event = Event(self._follower.epoch, metric, reason, self.position, old, list(self._last_lr))
        self._events.append(event)
        if self.on_advance is not None:
            self.on_advance(event)

    def _after_optimizer_step(self, optimizer: Optimizer) -> None:
        """Continue the warm-up: the optimizer's hook calls this."""
        if self._steps.warm >= self._warmup_length or was_skipped(optimizer):
            return
        if self._has_new_groups():
            self._adopt(self.position, self._warmth())
        self._steps.warm += 1
        self._write_next(self.position, self._warmth())

    def _warmth(self) -> float:
        """Return the warm-up's present factor."""
        return 1.0 if self._warmup is None else float(self._warmup._at(self._steps.warm))

    def _has_new_groups(self) -> bool:
        return len(self.optimizer.param_groups) != len(self._last_lr)

    @property
    def last_epoch(self) -> int:  # type: ignore[override]
        """The number of metrics seen."""
        return self._follower.epoch

    @property
    def mode(self) -> Mode:
        """Whether a lower ("min") or a higher ("max") metric is better."""
        return self._follower.mode

    def get_lr(self) -> list[float | Tensor]:
        """Return the optimizer's current learning rates, whatever wrote them."""
        return typed(self.optimizer, read(self.optimizer))

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain Python; `lrs` are the optimizer's current learning rates, whatever wrote them."""
        return {
            "version": STATE_VERSION,
            "settings": self._settings(),
            "position": self.position,
            "last_epoch": self.last_epoch,
            "_step_count": self._step_count,
            **self._rates_state(),
            "rule": self.rule.state_dict(),
            "events": [list(event.state_dict().values()) for event in self._events],  # rows, as checkpoints like them
            "last_metric": storable(self._last_metric),
            "steps": self._steps.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True) -> None:
        """Restore a state, and write its learning rates into the optimizer, in place.

        Args:
            state_dict: what `state_dict()` returned.
            strict: whether the class, the sequence, the rule, the mode, the warm-up and the limits must be the same. If
                False, here or when the scheduler was made, it keeps its own, and only the kind of rule must be the
                same: the lr is then that of its own sequence at the saved position.

        Raises TypeError or ValueError, and changes nothing, if the state does not fit.
        """
        state = checked_state(state_dict, self.state_dict(), strict and self._strict)
        rates = self._stored_rates(state)
        follower = self._follower.resumed(state["rule"], state["last_epoch"], state["position"])
        count = integer("state: _step_count", state["_step_count"])
        events = [Event.from_row(row) for row in stored("state: events", state["events"], [])]
        last_metric = stored("state: last_metric", state["last_metric"], 0.0)
        steps = StepWatch.from_state_dict(state["steps"])
        self._follower, self._step_count, self._last_metric = follower, count, last_metric
        self._events = deque(events, self._events.maxlen)
        self._steps.restore(steps)
        self._restore_rates(rates)
        if state["settings"] != self._settings():
            self._write(self._rates.at(self.position, self._warmth()))

    def _settings(self) -> dict[str, Any]:
        settings = {**super()._settings(), "rule": repr(self.rule), "mode": self.mode}
        return {**settings, "warmup": repr(self._warmup)}

    def _is_repeat(self, metric: float) -> bool:
        if self.repeats == "count" or self._last_metric is None or self._steps.since_metric or not self._steps.ever:
            return False
        return struct.pack("d", metric) == struct.pack("d", self._last_metric)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "process_group": None}  # a group cannot be pickled

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._steps.attach(self.optimizer, self)

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


_HINT = ": its rule is scheduler.rule"
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


def _number(metrics: object) -> float:
    if metrics is _MISSING:
        raise TypeError("PlateauSequence.step() needs a metric: scheduler.step(val_loss)")
    return real("metrics", metrics)


def finite_warmup(warmup: object) -> tuple[Sequence, int]:
    """Return the warm-up as a finite sequence, and its length; an integer n means Warmup(n, start=1/n)."""
    if not isinstance(warmup, Sequence):
        try:
            steps = integer("warmup", warmup, low=1)
        except TypeError:
            wanted = "warmup must be a finite Sequence, or the number of its optimizer steps as an integer"
            raise TypeError(f"{wanted}, got {shown(warmup)}") from None
        return Warmup(steps, start=1.0 / steps), steps
    length = warmup.length
    if length is None:
        raise ValueError(f"warmup must be a finite Sequence such as Warmup(500), got {warmup!r}, which never ends")
    return one_sequence("warmup", warmup), length
