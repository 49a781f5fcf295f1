"""SequenceLR: each `step()` writes the learning rates of the sequence's next position into the optimizer.

The position is `last_epoch`, and `get_lr()` is a pure closed form of it. So every subclass can be resumed, rebuilt and
put into torch's SequentialLR, although it is simpler to compose sequences than schedulers.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence as Items
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import EPOCH_DEPRECATION_WARNING

from .._check import flag, integer, shown
from ..sequences._sequence import Sequence
from ._groups import base_rates, read, scaled_to_present, typed, write
from ._rates import PerGroup, Rates
from ._state import STATE_VERSION, checked_state
from ._tracking import has_stepped, retrack_steps, track_steps, uncompiled, warn_of_order
from ._writer import _Writer


class SequenceLR(_Writer):
    """Follow a sequence: lr = max(base lr · scale · f(k), min(min_lr, base lr)), with k = number of `step()` calls.

    Use it like any scheduler of torch: call `step()` once per epoch, or once per batch, after `optimizer.step()`.

    The base lr is a group's `initial_lr`, or its lr if it has none. The scale is 1 until something else writes the lr,
    such as a second scheduler, a finder or you: the scheduler notices and continues from the new rate, so that new lr =
    present lr · f(k+1)/f(k), and two schedulers on one optimizer multiply. It starts at the present lr · f(0). With
    last_epoch ≥ 0, with `step(epoch)` and in torch's SequentialLR the scale is 1. A param group that is added later
    continues from its own lr.

    Args:
        optimizer: the optimizer to schedule; a tensor lr is filled in place.
        sequence: f, or a list with one sequence per param group.
        min_lr: the floor, ≥ 0, or a list with one per param group.
        last_epoch: −1 to start, or k − 1 to resume at position k, which needs an `initial_lr` in each param group.
        strict: whether `load_state_dict` refuses a state that was saved with other settings. If False, the scheduler
            takes the position and the scale of such a state, and the lr is that of its own sequence there.

    Raises TypeError or ValueError if an argument is invalid, before the optimizer is changed, and torch's KeyError if
    last_epoch ≥ 0 and a group has no `initial_lr`.

    >>> import torch
    >>> from lrsched import Linear, SequenceLR, Warmup
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = SequenceLR(optimizer, Warmup(2).then(Linear(4), at=2))
    >>> for _ in range(3):
    ...     print(scheduler.get_last_lr())
    ...     optimizer.step()
    ...     scheduler.step()
    [0.0]
    [0.5]
    [1.0]
    """

    _strict = True
    _users_get_lr = False  # True if a subclass defines get_lr, which then takes the place of the sequence, as in torch

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._users_get_lr = cls.get_lr is not SequenceLR.get_lr

    def __init__(
        self,
        optimizer: Optimizer,
        sequence: Sequence | Items[Sequence],
        *,
        min_lr: PerGroup = 0.0,
        last_epoch: int = -1,
        strict: bool = True,
    ) -> None:
        self._strict = flag("strict", strict)
        self._start(optimizer, Rates(base_rates(optimizer), sequence, min_lr), last_epoch)

    def _start(self, optimizer: Optimizer, rates: Rates, last_epoch: int) -> None:
        last_epoch = integer("last_epoch", last_epoch, low=-1)
        if rates.limits and last_epoch == -1:
            write(optimizer, rates.bases)  # so that `initial_lr` becomes base_lr, as in torch's CyclicLR
        track_steps(optimizer, last_epoch)
        self.optimizer = optimizer
        self._rates = rates
        self._marks, self._last_lr = None, []
        self.last_epoch = last_epoch
        self._initial_step()

    @uncompiled
    def step(self, epoch: int | None = None) -> None:
        """Go to the next position, or to position `epoch` (deprecated, as in torch), and write its learning rates."""
        if self._step_count == 1:
            warn_of_order(self.optimizer)
        if epoch is not None:
            epoch = _position(epoch)
            warnings.warn(EPOCH_DEPRECATION_WARNING, UserWarning, stacklevel=2)
        if epoch is None and self.last_epoch >= 0 and not self._users_get_lr:
            self._advance()
        else:
            self._update_lr(epoch)
        self._step_count += 1

    def _advance(self) -> None:
        """Write the learning rates of the next position: the usual step, which is timed."""
        if len(self.optimizer.param_groups) != self._rates.count:
            self._adopt(self.last_epoch)
        k = self.last_epoch + 1
        self._write_next(k)
        self.last_epoch = k

    def _update_lr(self, epoch: int | None = None) -> None:
        """Write the first learning rates, or those of position `epoch`; torch's SequentialLR calls this too."""
        if len(self.optimizer.param_groups) != self._rates.count:
            self._adopt(max(self.last_epoch, 0))
        if self._users_get_lr:
            super()._update_lr(epoch)
            self._last_lr = read(self.optimizer)
            return
        k = self.last_epoch + 1 if epoch is None else epoch
        self._rescale(started=epoch is None and k == 0)
        self._write(self._rates.at(k))
        self.last_epoch = k

    def _rescale(self, started: bool) -> None:
        """Start from the optimizer's present rates, or else make the rates absolute."""
        if self._rates.limits:
            return
        if started:
            self._rates = scaled_to_present(self.optimizer, self._rates)
        else:
            self._rates = self._rates.with_bases(self._rates.bases, [1.0] * len(self._rates.bases))

    def get_lr(self) -> list[float | Tensor]:
        """Return the learning rates of the current position; as in torch, a warning points users to `get_last_lr()`."""
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use `get_last_lr()`.",
                UserWarning,
                stacklevel=2,
            )
        return self._get_closed_form_lr()

    def _get_closed_form_lr(self) -> list[float | Tensor]:
        return typed(self.optimizer, self._rates.at(max(self.last_epoch, 0)))

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain Python; `lrs` are the optimizer's current learning rates, whatever wrote them."""
        return {
            "version": STATE_VERSION,
            "settings": self._settings(),
            "last_epoch": self.last_epoch,
            "_step_count": self._step_count,
            **self._rates_state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True) -> None:
        """Restore a state, and write its learning rates into the optimizer, in place.

        Args:
            state_dict: what `state_dict()` returned.
            strict: whether the class, the sequence and the limits must be the same. If False, here or when the
                scheduler was made, it keeps its own: the lr is then that of its own sequence at the saved position.

        Raises TypeError or ValueError, and changes nothing, if the state does not fit.
        """
        state = checked_state(state_dict, self.state_dict(), strict and self._strict)
        self._restore(self._parsed(state))
        if state["settings"] != self._settings() and self.last_epoch >= 0:
            self._write_own()

    def _write_own(self) -> None:
        """Write what the scheduler's own settings give at the position of a state that has others."""
        self._write(self._rates.at(self.last_epoch))

    def _parsed(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        """Return the checked values of a state; changes nothing."""
        return {
            "last_epoch": integer("state: last_epoch", state_dict["last_epoch"], low=-1),
            "_step_count": integer("state: _step_count", state_dict["_step_count"]),
            "rates": self._stored_rates(state_dict),
        }

    def _restore(self, parsed: dict[str, Any]) -> None:
        self.last_epoch, self._step_count = parsed["last_epoch"], parsed["_step_count"]
        self._restore_rates(parsed["rates"])

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_opt_called": has_stepped(self.optimizer)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        stepped = state.pop("_opt_called")
        self.__dict__.update(state)
        retrack_steps(self.optimizer, stepped)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(sequence={self.sequence!r}, position={self.last_epoch}, lrs={self._last_lr})"


def _position(epoch: object) -> int:
    try:
        return integer("epoch", epoch)
    except TypeError:
        remedy = "to follow a sequence within epochs, step by the batch: scheduler.step() after each optimizer.step()"
        raise TypeError(
            f"epoch must be an integer, got {shown(epoch)}; {remedy}; a metric is for PlateauSequence.step()"
        ) from None
