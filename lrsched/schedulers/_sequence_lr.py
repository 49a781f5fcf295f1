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

from .._check import flag, integer
from ..sequences._sequence import Sequence
from ._counting import _StepCounter
from ._groups import assign, read, scaled_to_present, typed, write
from ._options import base_values
from ._rates import PerGroup, Rates
from ._tracking import track_steps
from ._writer import _Writer


class SequenceLR(_Writer, _StepCounter):
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
        self._start(optimizer, Rates(base_values(optimizer, "lr"), sequence, min_lr), last_epoch)

    def _start(self, optimizer: Optimizer, rates: Rates, last_epoch: int) -> None:
        last_epoch = integer("last_epoch", last_epoch, low=-1)
        self._rates = rates
        if rates.limits and last_epoch == -1:
            write(optimizer, self._initial_lrs())  # so that `initial_lr` becomes base_lr, as in torch's CyclicLR
        track_steps(optimizer, last_epoch)
        self.optimizer = optimizer
        self._marks, self._last_lr = None, []
        self.last_epoch = last_epoch
        self._initial_step()

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
            self._follow_users(epoch)
            return
        k = self.last_epoch + 1 if epoch is None else epoch
        self._rescale(started=epoch is None and k == 0)
        self._write(self._rates.at(k))
        self.last_epoch = k

    def _follow_users(self, epoch: int | None) -> None:
        """Write what a user's `get_lr` returns, as torch's own `_update_lr` does, which torch ≤ 2.8 does not have."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._get_lr_called_within_step = True
        try:
            lrs = self.get_lr() if epoch is None else self._get_closed_form_lr()
        finally:
            self._get_lr_called_within_step = False
        assign(self.optimizer, lrs)
        self._last_lr = read(self.optimizer)

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
        return {**super().state_dict(), **self._rates_state()}

    def _parsed(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        return {**super()._parsed(state_dict), "rates": self._stored_rates(state_dict)}

    def _restore(self, parsed: dict[str, Any]) -> None:
        super()._restore(parsed)
        self._restore_rates(parsed["rates"])

    def __getstate__(self) -> dict[str, Any]:
        return {**_StepCounter.__getstate__(self), **_Writer.__getstate__(self)}

    def _write_own(self) -> None:
        self._write(self._rates.at(self.last_epoch))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(sequence={self.sequence!r}, position={self.last_epoch}, lrs={self._last_lr})"
