"""Schedulers that own the learning rate and cycle the momentum against it: what CyclicLR and OneCycleLR share."""

from __future__ import annotations

import copy
from typing import Any

from torch.optim import Optimizer

from .._check import flag
from ..sequences import Sequence
from ._groups import adopted
from ._options import groups_of, read_option, write_option
from ._rates import PerGroup, Rates
from ._sequence_lr import SequenceLR
from ._state import storable, stored_rates


class _MomentumLR(SequenceLR):
    """A SequenceLR with limits, whose momentum falls when the learning rate rises.

    momentum = max_momentum − (max_momentum − base_momentum)·g(k). The momentum is the first beta if a group has betas.
    """

    cycle_momentum: bool
    _momenta: Rates

    def _set_momenta(
        self,
        optimizer: Optimizer,
        cycle_momentum: bool,
        sequence: Sequence,
        base_momentum: PerGroup,
        max_momentum: PerGroup,
    ) -> None:
        """Check and keep what the momenta follow; changes nothing in the optimizer."""
        self.cycle_momentum = flag("cycle_momentum", cycle_momentum)
        if self.cycle_momentum and not {"momentum", "betas"} & set(optimizer.defaults):
            raise ValueError(
                "optimizer must have momentum or betas with cycle_momentum=True, "
                f"got {type(optimizer).__name__}: pass cycle_momentum=False"
            )
        limits = {"max_momentum": max_momentum, "base_momentum": base_momentum}
        self._momenta = Rates([0.0] * len(groups_of(optimizer)), sequence, limits=limits)

    def _advance(self) -> None:
        super()._advance()
        self._write_momenta()

    def _update_lr(self, epoch: int | None = None) -> None:
        super()._update_lr(epoch)
        self._write_momenta()

    def _write_momenta(self) -> None:
        if self.cycle_momentum:
            write_option(self.optimizer, "momentum", self._momenta.at(self.last_epoch))

    def _adopt(self, k: int, warmup: float = 1.0) -> None:
        momenta = adopted(self.optimizer, self._momenta, k)
        super()._adopt(k)
        self._momenta = momenta

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain Python, with the optimizer's current learning rates and momenta."""
        momenta = read_option(self.optimizer, "momentum") if self.cycle_momentum else []
        return {**super().state_dict(), "momenta": storable(momenta)}

    def _parsed(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        parsed = super()._parsed(state_dict)
        rates = parsed["rates"].rates
        return {
            **parsed,
            "momentum_rates": self._momenta.with_bases(rates.bases, rates.scales),
            "momenta": self._stored_momenta(state_dict),
        }

    def _stored_momenta(self, state_dict: dict[str, Any]) -> list[float]:
        """Return the momenta to write: those of a state, or the present ones if its scheduler did not cycle them."""
        if not self.cycle_momentum:
            return []
        if state_dict["settings"].get("cycle_momentum") is False:
            return read_option(self.optimizer, "momentum")
        return stored_rates("state: momenta", state_dict["momenta"], len(self.optimizer.param_groups))

    def _restore(self, parsed: dict[str, Any]) -> None:
        super()._restore(parsed)
        self._momenta = parsed["momentum_rates"]
        if self.cycle_momentum:
            write_option(self.optimizer, "momentum", parsed["momenta"])

    def _write_own(self) -> None:
        super()._write_own()
        self._write_momenta()

    def _settings(self) -> dict[str, Any]:
        return {**super()._settings(), "cycle_momentum": self.cycle_momentum, **copy.deepcopy(self._momenta.limits)}
