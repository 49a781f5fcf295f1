"""What all schedulers share: writing learning rates into an optimizer, and remembering what was written last.

Every scheduler writes here, at each step or event and when a state is loaded.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from .._check import real
from ..sequences._sequence import Sequence
from ._groups import Marks, adopted, heard, read, rounded, typed, write
from ._options import restamp, stamp
from ._rates import PerGroup, Rates
from ._state import storable, stored_bases, stored_rates, stored_scales


class _Writer(LRScheduler):
    """What all schedulers share: the rates of the param groups, and the one place that writes them."""

    optimizer: Optimizer
    _rates: Rates
    _last_lr: list[float]  # type: ignore[assignment]
    _marks: Marks | None  # None before the first write, which looks at nothing

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
        return [*self._initial_lrs()]

    @base_lrs.setter
    def base_lrs(self, bases: list[float | Tensor]) -> None:
        if self._rates.limits:
            raise AttributeError(f"base_lrs of a {type(self).__name__} are set by its {next(iter(self._rates.limits))}")
        rates = stored_rates("base_lrs", list(bases), len(self._rates.bases))
        self._rates = self._rates.with_bases(rates, self._rates.scales)

    def _initial_lrs(self) -> list[float]:
        """Return the `initial_lr` of each param group."""
        return self._rates.bases

    def get_last_lr(self) -> list[float | Tensor]:
        """Return the learning rates written last, one per param group; a new tensor if the group's lr is a tensor."""
        return typed(self.optimizer, self._last_lr)

    def _write(self, rates: list[float]) -> None:
        """Write learning rates, one per param group, whatever is there, and remember them."""
        self._marks, self._last_lr = write(self.optimizer, rates), rates

    def _write_next(self, k: int, warmup: float = 1.0) -> None:
        """Write the learning rates of position k, scaled by what others have made of those written last."""
        rates = self._rates.at(k, warmup)
        marks = write(self.optimizer, rates, self._marks)
        if marks is not rates and len(marks) < len(rates):
            marks, rates = self._write_heard(marks, rates, k, warmup)
        self._marks, self._last_lr = marks, rates

    def _write_heard(self, marks: Marks, rates: list[float], k: int, warmup: float) -> tuple[Marks, list[float]]:
        """Write the rates again after somebody else was heard; return the marks and the rates.

        Classes with limits own their rates: they write them whatever is there.
        """
        done = len(marks)
        if not self._rates.limits:
            self._marks = marks + (self._marks or [])[done:]
            self._last_lr = rates[:done] + self._last_lr[done:]
            self._rates = heard(self.optimizer, self._rates, self._last_lr, first=done)
            rates = self._rates.at(k, warmup)
        return write(self.optimizer, rates), rates

    def _adopt(self, k: int, warmup: float = 1.0) -> None:
        """Schedule the param groups that were added since position k was written."""
        self._rates = adopted(self.optimizer, self._rates, k, warmup)
        stamp(self.optimizer, "lr", self._initial_lrs())
        new = self.optimizer.param_groups[len(self._last_lr) :]
        self._marks = (self._marks or []) + [None] * len(new)  # so that the next write compares their values
        self._last_lr = self._last_lr + [real("lr", group["lr"]) for group in new]

    def __getstate__(self) -> dict[str, Any]:
        forgotten = None if self._marks is None else [None] * len(self._marks)  # a copied tensor counts versions afresh
        return {**self.__dict__, "_marks": forgotten}

    def _rates_state(self) -> dict[str, Any]:
        """Return the rates' part of a state: bases, scales, the optimizer's current rates, and those written last."""
        return {
            "base_lrs": list(self._initial_lrs()),
            "scales": list(self._rates.scales),
            "lrs": storable(read(self.optimizer)),
            "written_lrs": storable(self._last_lr),
        }

    def _settings(self) -> dict[str, Any]:
        return {"class": type(self).__name__, **self._rates.settings()}

    def _stored_rates(self, state_dict: dict[str, Any]) -> StoredRates:
        """Return the rates of a state; raise TypeError or ValueError if they do not fit."""
        count = len(self.optimizer.param_groups)
        bases = stored_bases("state: base_lrs", state_dict["base_lrs"], count)
        scales = stored_scales("state: scales", state_dict["scales"], len(bases))
        lrs = stored_rates("state: lrs", state_dict["lrs"], count)
        written = stored_rates("state: written_lrs", state_dict["written_lrs"], len(bases))
        return StoredRates(self._rates.with_bases(bases, scales), lrs, written)

    def _restore_rates(self, stored: StoredRates) -> None:
        """Take the rates of a state, and write them; groups beyond them are adopted at the next write."""
        self._rates, self._last_lr = stored.rates, stored.written
        if not stored.rates.limits:
            restamp(self.optimizer, "lr", stored.rates.bases)
        marks = write(self.optimizer, stored.lrs)[: len(stored.written)]
        same = zip(marks, stored.lrs, stored.written, self.optimizer.param_groups, strict=False)
        self._marks = [  # None: somebody has changed it
            mark if lr == rounded(last, group["lr"]) else None for mark, lr, last, group in same
        ]


class StoredRates(NamedTuple):
    """What a state says of learning rates: how to compute them, what they were, and what was written last."""

    rates: Rates
    lrs: list[float]
    written: list[float]
