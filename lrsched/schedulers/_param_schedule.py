"""ParamSchedule: follows a sequence with an option of the param groups other than the learning rate."""

from __future__ import annotations

import copy
from collections.abc import Sequence as Items
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from .._check import flag, integer
from ..sequences._sequence import Sequence
from ._counting import _StepCounter
from ._groups import read, typed
from ._options import (
    added_groups,
    base_values,
    check_option,
    check_stamped,
    read_option,
    restamp,
    stamp,
    write_option,
)
from ._rates import PerGroup, Rates
from ._state import storable, stored_bases, stored_rates
from ._tracking import track_steps


class ParamSchedule(_StepCounter):
    """Schedule weight decay, momentum or another number of the param groups: value = low + (base − low)·f(k).

    For a weight decay that rises from 0.04 to 0.4 by a cosine, as in self-supervised training, make the optimizer with
    weight_decay=0.4 and use `ParamSchedule(optimizer, "weight_decay", Warmup(steps, shape="cosine"), low=0.04)`.

    The position k is the number of `step()` calls. Use it beside a learning-rate scheduler: step both, in either order,
    and save both. If a framework takes only one scheduler, pass torch's `ChainedScheduler` of both. It never writes a
    learning rate, and `get_last_lr()` returns the optimizer's current ones, which frameworks log. `get_last_value()`
    returns its own values.

    The base is the option's value when the scheduler is made, and is kept as `initial_<name>` in the group, as torch
    keeps `initial_lr`. A group that has an `initial_<name>` already starts from that. A group whose base is 0, such as
    biases without weight decay, stays at 0, unless all bases are 0 or low is a list. A param group that is added later
    has its own value as its base. The values are absolute: if something else writes the option, the next step
    overwrites it. So give each option one schedule. `OneCycleLR` and `CyclicLR` schedule the momentum too: to schedule
    it here, pass them `cycle_momentum=False`.

    Args:
        optimizer: the optimizer; a tensor option is filled in place.
        name: the option: "weight_decay", "momentum" (the first of the betas if there are betas), "eps", or any other
            entry of the param groups that is a number ≥ 0. For "lr", use `SequenceLR`.
        sequence: f, or a list with one sequence per param group.
        low: the value where f is 0, ≥ 0, or a list with one per param group. It may lie above the base: `Cosine(n)`
            leads from the base to low in n steps, up or down.
        last_epoch: −1 to start, or k − 1 to resume at position k, which needs the base of each param group, as
            `initial_<name>`, and an `initial_lr`. Both are in the optimizer's state.
        strict: whether `load_state_dict` refuses a state that was saved with another sequence or low. If False, the
            scheduler takes the position and the bases of such a state. The option must be the same in any case.

    Raises TypeError or ValueError if an argument is invalid, and KeyError if last_epoch ≥ 0 and a base is missing,
    before anything is changed.
    Source: Caron et al. (2021), arXiv:2104.14294, section 3.2, for a weight decay that rises by a cosine.

    >>> import torch
    >>> from lrsched import Cosine, ParamSchedule
    >>> optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], weight_decay=0.04)
    >>> scheduler = ParamSchedule(optimizer, "weight_decay", Cosine(2), low=0.4)  # from 0.04 up to 0.4
    >>> for _ in range(3):
    ...     print(round(optimizer.param_groups[0]["weight_decay"], 6))
    ...     optimizer.step()
    ...     scheduler.step()
    0.04
    0.22
    0.4
    """

    def __init__(
        self,
        optimizer: Optimizer,
        name: str,
        sequence: Sequence | Items[Sequence],
        *,
        low: PerGroup = 0.0,
        last_epoch: int = -1,
        strict: bool = True,
    ) -> None:
        self.name = check_option(optimizer, name)
        self._rates = Rates(base_values(optimizer, self.name), sequence, low=low)
        self._strict = flag("strict", strict)
        last_epoch = integer("last_epoch", last_epoch, low=-1)
        if last_epoch >= 0:
            check_stamped(optimizer, self.name)
        track_steps(optimizer, last_epoch)
        stamp(optimizer, self.name, self._rates.bases)
        self.optimizer = optimizer
        self.base_lrs = [*base_values(optimizer, "lr")]
        self.last_epoch = last_epoch
        self._initial_step()

    @property
    def sequence(self) -> Sequence | list[Sequence]:
        """The sequence, or a list with one per param group."""
        return copy.copy(self._rates.sequence)

    @property
    def low(self) -> PerGroup:
        """The value where the factor is 0, or a list with one per param group."""
        return copy.copy(self._rates.low)

    @property
    def base_values(self) -> list[float]:
        """The base of each param group."""
        return [*self._rates.bases]

    def get_last_value(self) -> list[float]:
        """Return the values of the current position, one per param group, as they were last written."""
        return self._rates.at(max(self.last_epoch, 0))

    def get_last_lr(self) -> list[float | Tensor]:
        """Return the optimizer's current learning rates, which others write; a new tensor if a group's is a tensor."""
        return typed(self.optimizer, read(self.optimizer))

    def get_lr(self) -> list[float | Tensor]:
        """Return the optimizer's current learning rates, since this scheduler leaves them as they are."""
        return self.get_last_lr()

    def _advance(self) -> None:
        self._update_lr()

    def _update_lr(self, epoch: int | None = None) -> None:
        """Write the values of the next position, or of position `epoch`; torch's SequentialLR calls this too."""
        if len(self.optimizer.param_groups) != self._rates.count:
            self._adopt()
        k = self.last_epoch + 1 if epoch is None else epoch
        write_option(self.optimizer, self.name, self._rates.at(k))
        self.last_epoch = k

    def _adopt(self) -> None:
        """Schedule the param groups that were added."""
        known = self._rates.count
        added_groups(self.optimizer, known)
        check_option(self.optimizer, self.name)
        self._rates = self._with_bases(self._rates.bases + base_values(self.optimizer, self.name, known))
        stamp(self.optimizer, self.name, self._rates.bases)

    def _with_bases(self, bases: list[float]) -> Rates:
        return self._rates.with_bases(bases, [1.0] * len(bases))

    def _write_own(self) -> None:
        write_option(self.optimizer, self.name, self._rates.at(self.last_epoch))

    def _settings(self) -> dict[str, Any]:
        settings = self._rates.settings()
        return {
            "class": type(self).__name__,
            "name": self.name,
            "sequence": settings["sequence"],
            "low": copy.copy(self._rates.low),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain Python; `values` are the option's current values, whatever wrote them."""
        values = storable(read_option(self.optimizer, self.name))
        return {**super().state_dict(), "bases": self.base_values, "values": values}

    def _parsed(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        settings = state_dict["settings"]
        if not isinstance(settings, dict) or settings.get("name") != self.name:
            raise ValueError(f"state must be that of the option {self.name!r}, got settings {settings}")
        count = len(self.optimizer.param_groups)
        bases = stored_bases("state: bases", state_dict["bases"], count)
        return {
            **super()._parsed(state_dict),
            "rates": self._with_bases(bases),
            "values": stored_rates("state: values", state_dict["values"], count),
        }

    def _restore(self, parsed: dict[str, Any]) -> None:
        super()._restore(parsed)
        self._rates = parsed["rates"]
        restamp(self.optimizer, self.name, self._rates.bases)
        write_option(self.optimizer, self.name, parsed["values"])

    def __repr__(self) -> str:
        values = self.get_last_value()
        return f"ParamSchedule({self.name!r}, sequence={self.sequence!r}, position={self.last_epoch}, values={values})"
