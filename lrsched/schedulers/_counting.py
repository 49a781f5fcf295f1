"""Schedulers whose position is the number of `step()` calls: torch's `step`, order-of-call warnings, states, copies."""

from __future__ import annotations

import warnings
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import EPOCH_DEPRECATION_WARNING, LRScheduler

from .._check import integer, shown
from ._state import STATE_VERSION, checked_state
from ._tracking import has_stepped, retrack_steps, uncompiled, warn_of_order


class _StepCounter(LRScheduler):
    """Counts `step()` calls in `last_epoch`, the position.

    A subclass writes the next position in `_advance`, and any position in `_update_lr`.
    """

    optimizer: Optimizer
    _strict = True
    _users_get_lr = False  # True if a user's get_lr takes the place of the sequence, as in torch

    @uncompiled
    def step(self, epoch: int | None = None) -> None:
        """Go to the next position, or to position `epoch` (deprecated, as in torch), and write its values."""
        count = self._step_count
        if count == 1:
            warn_of_order(self.optimizer)
        if epoch is None and self.last_epoch >= 0 and not self._users_get_lr:  # the usual case, which is timed
            self._advance()
        else:
            if epoch is not None:
                epoch = _position(epoch)
                warnings.warn(EPOCH_DEPRECATION_WARNING, UserWarning, stacklevel=2)
            self._update_lr(epoch)
        self._step_count = count + 1

    def _advance(self) -> None:
        """Write the values of the next position."""
        raise NotImplementedError

    def _settings(self) -> dict[str, Any]:
        """Return the settings as plain Python, for a state dict."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain Python."""
        return {
            "version": STATE_VERSION,
            "settings": self._settings(),
            "last_epoch": self.last_epoch,
            "_step_count": self._step_count,
        }

    def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True) -> None:
        """Restore a state, and write its values into the optimizer, in place.

        Args:
            state_dict: what `state_dict()` returned.
            strict: whether the class, the sequence and the limits must be the same. If False, here or when the
                scheduler was made, it keeps its own, and writes what its own sequence gives at the saved position.

        Raises TypeError or ValueError, and changes nothing, if the state does not fit.
        """
        state = checked_state(state_dict, self.state_dict(), strict and self._strict)
        self._restore(self._parsed(state))
        if state["settings"] != self._settings() and self.last_epoch >= 0:
            self._write_own()

    def _write_own(self) -> None:
        """Write what the scheduler's own settings give at the position of a state that has others."""
        raise NotImplementedError

    def _parsed(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        """Return the checked values of a state; changes nothing."""
        return {
            "last_epoch": integer("state: last_epoch", state_dict["last_epoch"], low=-1),
            "_step_count": integer("state: _step_count", state_dict["_step_count"]),
        }

    def _restore(self, parsed: dict[str, Any]) -> None:
        self.last_epoch, self._step_count = parsed["last_epoch"], parsed["_step_count"]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opt_called": has_stepped(self.optimizer)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        stepped = state.pop("_opt_called")
        self.__dict__.update(state)
        retrack_steps(self.optimizer, stepped)


def _position(epoch: object) -> int:
    try:
        return integer("epoch", epoch)
    except TypeError:
        remedy = "to follow a sequence within epochs, step by the batch: scheduler.step() after each optimizer.step()"
        raise TypeError(
            f"epoch must be an integer, got {shown(epoch)}; {remedy}; a metric is for PlateauSequence.step()"
        ) from None
