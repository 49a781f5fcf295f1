"""OneCycleLR: one rise and one fall of the learning rate over the whole training, and the momentum the opposite way."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

from torch.optim import Optimizer

from .._check import choice, flag, integer, number
from ..sequences import OneCycle, OneCycleShape
from ._momentum import _MomentumLR
from ._options import groups_of, note
from ._rates import PerGroup, Rates

AnnealStrategy = Literal["cos", "linear"]
_SHAPES: dict[AnnealStrategy, OneCycleShape] = {"cos": "cosine", "linear": "linear"}


class OneCycleLR(_MomentumLR):
    """Raise the learning rate to max_lr and lower it again, in one cycle: torch's OneCycleLR in closed form.

    lr = max_lr·f(k), momentum = max_momentum − (max_momentum − base_momentum)·g(k), where f is `OneCycle(steps,
    pct_start, 1/div_factor, 1/(div_factor·final_div_factor), …)`, and g is the same curve from 0 to 1 and back to 0.

    Call `step()` after each batch. `range_test` finds max_lr. The optimizer must have momentum or betas (the first beta
    is the momentum), unless cycle_momentum is False. Past the end, the last values hold; torch's class raises
    ValueError there. A param group that is added later follows the same cycle.

    As in torch, each param group gets the entries initial_lr, max_lr and min_lr, the first, the highest and the last
    learning rate, and max_momentum and base_momentum if the momentum is cycled.

    Args:
        max_lr: the highest learning rate, ≥ 0, a number or a list with one per param group.
        total_steps: the number of learning rates in the cycle, an integer ≥ 1.
        epochs, steps_per_epoch: integers ≥ 1 whose product is total_steps, if that is None; otherwise ignored.
        pct_start: the share of the cycle in which the learning rate rises, in [0, 1].
        anneal_strategy: "cos" or "linear".
        cycle_momentum: whether to cycle the momentum too.
        base_momentum, max_momentum: the momenta at max_lr and at the ends, ≥ 0, each a number or a list.
        div_factor: the first learning rate is max_lr/div_factor; > 0.
        final_div_factor: the last learning rate is the first one divided by final_div_factor; > 0.
        three_phase: whether the learning rate falls back to the first one, as fast as it rose, before the last phase.
        optimizer, last_epoch: see `SequenceLR`.

    Raises TypeError or ValueError if an argument is invalid, before the optimizer is changed.
    Source: Smith & Topin (2018), arXiv:1708.07120, section 3; torch's OneCycleLR.

    >>> import torch
    >>> from lrsched import OneCycleLR
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    >>> scheduler = OneCycleLR(optimizer, max_lr=1.0, total_steps=10, pct_start=0.3, anneal_strategy="linear")
    >>> scheduler.get_last_lr(), optimizer.param_groups[0]["momentum"]
    ([0.04], 0.95)
    >>> optimizer.step(), scheduler.step(), scheduler.get_last_lr()
    (None, None, [0.52])
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: PerGroup,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: AnnealStrategy = "cos",
        cycle_momentum: bool = True,
        base_momentum: PerGroup = 0.85,
        max_momentum: PerGroup = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        steps = _total_steps(total_steps, epochs, steps_per_epoch)
        self._div_factor = number("div_factor", div_factor, above=0.0)
        self._final_div_factor = number("final_div_factor", final_div_factor, above=0.0)
        rise = number("pct_start", pct_start, high=1.0)
        shape = _SHAPES[choice("anneal_strategy", anneal_strategy, get_args(AnnealStrategy))]
        three_phase = flag("three_phase", three_phase)
        start = 1.0 / self._div_factor
        sequence = OneCycle(steps, rise, start, start / self._final_div_factor, shape, three_phase)
        rates = Rates([0.0] * len(groups_of(optimizer)), sequence, limits={"max_lr": max_lr})
        opposite = replace(sequence, start=0.0, end=0.0)
        self._set_momenta(optimizer, cycle_momentum, opposite, base_momentum, max_momentum)
        self._start(optimizer, rates, last_epoch)
        self.total_steps = steps
        if last_epoch == -1:
            self._note_limits(first=0)

    def _initial_lrs(self) -> list[float]:
        return [max_lr / self._div_factor for max_lr in self._rates.highs]

    def _note_limits(self, first: int) -> None:
        """Set the entries of param groups, from the `first` on, in which torch keeps the limits."""
        initial = self._initial_lrs()
        entries = {
            "initial_lr": initial,
            "max_lr": self._rates.highs,
            "min_lr": [lr / self._final_div_factor for lr in initial],
        }
        if self.cycle_momentum:
            entries |= {"max_momentum": self._momenta.lows, "base_momentum": self._momenta.highs}
        note(self.optimizer, first, entries)

    def _adopt(self, k: int, warmup: float = 1.0) -> None:
        known = self._rates.count
        super()._adopt(k, warmup)
        self._note_limits(first=known)


def _total_steps(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    """Return the number of steps, given as such or as epochs times steps per epoch."""
    if total_steps is not None:
        return integer("total_steps", total_steps, low=1)
    if epochs is None or steps_per_epoch is None:
        raise ValueError(
            "total_steps, or both epochs and steps_per_epoch, must be given, got "
            f"total_steps=None, epochs={epochs!r}, steps_per_epoch={steps_per_epoch!r}"
        )
    return integer("epochs", epochs, low=1) * integer("steps_per_epoch", steps_per_epoch, low=1)
