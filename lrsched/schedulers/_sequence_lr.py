"""SequenceLR: a sequence and an optimizer go in; each `step()` writes the learning rates of the next position.

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

from .._check import integer
from ..sequences._sequence import Sequence
from ._groups import adopted, base_rates, read, stamp, typed, write
from ._rates import PerGroup, Rates
from ._state import STATE_VERSION, check_state, storable
from ._tracking import has_stepped, retrack_steps, track_steps, uncompiled, warn_of_order
from ._writer import _Writer


class SequenceLR(_Writer):
    """Follow a sequence: lr = max(base lr · f(k), min(min_lr, base lr)), with k = number of `step()` calls.

    Use it like any scheduler of torch: call `step()` once per epoch, or once per batch, after `optimizer.step()`.
    A param group that is added later follows the sequence from its own lr.

    Args:
        optimizer: the optimizer to schedule; a tensor lr is filled in place.
        sequence: f, or a list with one sequence per param group.
        min_lr: the floor, ≥ 0, or a list with one per param group.
        last_epoch: −1 to start, or k − 1 to resume at position k, which needs an `initial_lr` in each param group.

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
    ) -> None:
        self._start(optimizer, Rates(base_rates(optimizer), sequence, min_lr), last_epoch)

    def _start(self, optimizer: Optimizer, rates: Rates, last_epoch: int) -> None:
        last_epoch = integer("last_epoch", last_epoch, low=-1)
        if rates.limits and last_epoch == -1:
            write(optimizer, rates.bases)  # so that `initial_lr` becomes base_lr, as in torch's CyclicLR
        track_steps(optimizer, last_epoch)
        self.optimizer = optimizer
        self._rates = rates
        self.last_epoch = last_epoch
        self._initial_step()

    @uncompiled
    def step(self, epoch: int | None = None) -> None:
        """Go to the next position, or to position `epoch` (deprecated, as in torch), and write its learning rates."""
        if self._step_count == 1:
            warn_of_order(self.optimizer)
        if epoch is not None:
            try:
                epoch = integer("epoch", epoch)
            except TypeError as error:
                raise TypeError(f"{error}; a metric is for PlateauSequence.step()") from None
            warnings.warn(EPOCH_DEPRECATION_WARNING, UserWarning, stacklevel=2)
        self._update_lr(epoch)
        self._step_count += 1

    def _update_lr(self, epoch: int | None = None) -> None:
        if len(self.optimizer.param_groups) != len(self._rates.highs):
            self._adopt()
        if self._users_get_lr:
            super()._update_lr(epoch)
            self._last_lr = read(self.optimizer)
            return
        k = self.last_epoch + 1 if epoch is None else epoch
        self._write(self._rates.at(k))
        self.last_epoch = k

    def _adopt(self) -> None:
        """Schedule the param groups that were added since."""
        self._rates = adopted(self.optimizer, self._rates)
        stamp(self.optimizer, self._rates.bases)

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
            "base_lrs": list(self._rates.bases),
            "lrs": storable(read(self.optimizer)),
        }

    def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True) -> None:
        """Restore a state, and write its learning rates into the optimizer, in place.

        Args:
            state_dict: what `state_dict()` returned.
            strict: whether the class, the sequence and the limits must be the same. If False, this scheduler keeps its
                own.

        Raises TypeError or ValueError, and changes nothing, if the state does not fit.
        """
        check_state(state_dict, tuple(self.state_dict()), self._settings(), strict)
        self._restore(self._parsed(state_dict))

    def _parsed(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        """Return the checked values of a state; changes nothing."""
        rates, lrs = self._stored_rates(state_dict)
        return {
            "last_epoch": integer("state: last_epoch", state_dict["last_epoch"], low=-1),
            "_step_count": integer("state: _step_count", state_dict["_step_count"]),
            "rates": rates,
            "lrs": lrs,
        }

    def _restore(self, parsed: dict[str, Any]) -> None:
        self.last_epoch, self._step_count = parsed["last_epoch"], parsed["_step_count"]
        self._restore_rates(parsed["rates"], parsed["lrs"])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opt_called": has_stepped(self.optimizer)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        stepped = state.pop("_opt_called")
        self.__dict__.update(state)
        retrack_steps(self.optimizer, stepped)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(sequence={self.sequence!r}, position={self.last_epoch}, lrs={self._last_lr})"
