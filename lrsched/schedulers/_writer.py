"""The writer: learning rates go into an optimizer's param groups, and the scheduler remembers what it wrote last.

Every scheduler writes here, at each step or event and when a state is loaded.
"""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..sequences._sequence import Sequence
from ._groups import restamp, typed, write
from ._rates import PerGroup, Rates
from ._state import stored_bases, stored_rates


class _Writer(LRScheduler):
    """What all schedulers share: the rates of the param groups, and the one place that writes them."""

    optimizer: Optimizer
    _rates: Rates
    _last_lr: list[float]  # type: ignore[assignment]

    @property
    def sequence(self) -> Sequence | list[Sequence]:
        """The sequence, or a list with one per param group."""
        return copy.copy(self._rates.sequence)

    @property
    def min_lr(self) -> PerGroup:
        """The floor, or a list with one per param group."""
        return copy.copy(self._rates.min_lr)

    @property
    def base_lrs(self) -> list[float | Tensor]:
        """The base lr of each param group, or the lower limit if the class has limits; a copy: assign a new list."""
        return [*self._rates.bases]

    @base_lrs.setter
    def base_lrs(self, bases: list[float | Tensor]) -> None:
        if self._rates.limits:
            raise AttributeError(f"base_lrs of a {type(self).__name__} are set by its base_lr")
        self._rates = self._rates.with_bases(stored_rates("base_lrs", list(bases), len(self._rates.bases)))

    def get_last_lr(self) -> list[float | Tensor]:
        """Return the learning rates written last, one per param group; a new tensor if the group's lr is a tensor."""
        return typed(self.optimizer, self._last_lr)

    def _write(self, rates: list[float], first: int = 0) -> None:
        """Write learning rates, one per param group from the `first` on, and remember them."""
        write(self.optimizer, rates, first)
        self._last_lr = self._last_lr[:first] + rates if first else rates

    def _settings(self) -> dict[str, Any]:
        return {"class": type(self).__name__, **self._rates.settings()}

    def _stored_rates(self, state_dict: dict[str, Any]) -> tuple[Rates, list[float]]:
        """Return the rates and the learning rates of a state; raise TypeError or ValueError if they do not fit."""
        count = len(self.optimizer.param_groups)
        bases = stored_bases("state: base_lrs", state_dict["base_lrs"], count)
        lrs = stored_rates("state: lrs", state_dict["lrs"], count)
        return self._rates.with_bases(bases), lrs

    def _restore_rates(self, rates: Rates, lrs: list[float]) -> None:
        """Take what `_stored_rates` returned; groups beyond the rates are adopted at the next write."""
        self._rates = rates
        if not rates.limits:
            restamp(self.optimizer, rates.bases)
        self._last_lr = lrs[: len(rates.bases)]
        write(self.optimizer, lrs)
