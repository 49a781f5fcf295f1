"""Schedulers: a sequence and an optimizer go in, each `step()` writes the learning rates of the next position.

`get_lr()` is a pure closed form of the position, which is `last_epoch`, so every class can be resumed, rebuilt and put
into torch's SequentialLR; compose sequences, not schedulers, where you can.
"""

from __future__ import annotations

import copy
import types
import warnings
from collections.abc import Callable
from collections.abc import Sequence as Items
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import EPOCH_DEPRECATION_WARNING, LRScheduler

from .._check import choice, flag, integer, number
from ..sequences._decays import (
    CycleMode,
    Exponential,
    Geometric,
    Inverse,
    InverseSqrt,
    Sawtooth,
    StepDecay,
    TimeDecay,
    Triangular,
)
from ..sequences._pixels import Channels, Order, Picture, Pixels
from ..sequences._sequence import Sequence
from ._groups import (
    PerGroup,
    Rates,
    groups_of,
    read,
    read_momenta,
    restamp,
    retrack_steps,
    stamp,
    stored_bases,
    stored_rates,
    track_steps,
    typed,
    write,
    write_momenta,
)
from ._state import STATE_VERSION, check_state, storable, stored

ScaleMode = Literal["cycle", "iterations"]


class SequenceLR(LRScheduler):
    """Follow a sequence: lr = max(base lr · f(k), min(min_lr, base lr)), k = number of `step()` calls.

    Args:
        optimizer: whose learning rates to set; a tensor lr is written in place.
        sequence: f, or a list with one for each param group.
        min_lr: the floor, ≥ 0, or a list with one for each param group.
        last_epoch: −1 to start, k − 1 to resume at position k (`initial_lr` must then be in the groups).

    A group added later is scheduled from its own lr. Raises TypeError or ValueError naming the argument that is wrong,
    before the optimizer is touched; torch's KeyError where last_epoch ≥ 0 and a group has no `initial_lr`.

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

    _users_get_lr = False  # then a subclass's own get_lr decides, as in torch, and not the sequence

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
        self._start(optimizer, Rates(groups_of(optimizer), sequence, min_lr), last_epoch)

    def _start(self, optimizer: Optimizer, rates: Rates, last_epoch: int) -> None:
        last_epoch = integer("last_epoch", last_epoch, low=-1)
        if rates.limits and last_epoch == -1:
            write(optimizer, rates.lows)  # so that `initial_lr` becomes base_lr, as in torch's CyclicLR
        track_steps(optimizer, last_epoch)
        self.optimizer = optimizer
        self._rates = rates
        self.last_epoch = last_epoch
        self._initial_step()

    @property
    def sequence(self) -> Sequence | list[Sequence]:
        """The sequence, or a list of them."""
        return copy.copy(self._rates.sequence)

    @property
    def min_lr(self) -> PerGroup:
        """The floor, or a list of them."""
        return copy.copy(self._rates.min_lr)

    @property
    def base_lrs(self) -> list[float | Tensor]:
        """The base lr of each param group, the lower limit where the class names both; a copy: assign a new list."""
        return [*self._rates.bases]

    @base_lrs.setter
    def base_lrs(self, bases: list[float | Tensor]) -> None:
        if self._rates.limits:
            raise AttributeError(f"base_lrs of a {type(self).__name__} are set by its base_lr")
        rates = stored_rates("base_lrs", list(bases), len(self._rates.highs))
        self._rates = self._rates.resumed(self.optimizer.param_groups, rates)

    def step(self, epoch: int | None = None) -> None:
        """Go to the next position, or to position `epoch` (deprecated, as in torch), and write its learning rates."""
        if self._step_count == 1:
            self._check_order()
        if epoch is not None:
            try:
                epoch = integer("epoch", epoch)
            except TypeError as error:
                raise TypeError(f"{error}; a metric is for PlateauSequence.step()") from None
            warnings.warn(EPOCH_DEPRECATION_WARNING, UserWarning, stacklevel=2)
        self._update_lr(epoch)
        self._step_count += 1

    # torch.compile traces third-party schedulers, unlike torch's own, at the cost of extra graphs.
    step._torchdynamo_disable = True  # type: ignore[attr-defined]

    def _update_lr(self, epoch: int | None = None) -> None:
        if len(self.optimizer.param_groups) != len(self._rates.highs):
            self._adopt()
        if self._users_get_lr:
            super()._update_lr(epoch)
            self._last_lr: list[float] = read(self.optimizer)  # type: ignore[assignment]
            return
        k = self.last_epoch + 1 if epoch is None else epoch
        self._last_lr = self._rates.write(self.optimizer, k)
        self.last_epoch = k

    def _adopt(self) -> None:
        self._rates = self._rates.adopted(self.optimizer.param_groups)
        stamp(self.optimizer, self._rates.bases)

    def get_lr(self) -> list[float | Tensor]:
        """Return the learning rates of the present position; torch's warning tells users of `get_last_lr()`."""
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use `get_last_lr()`.",
                UserWarning,
                stacklevel=2,
            )
        return self._get_closed_form_lr()

    def _get_closed_form_lr(self) -> list[float | Tensor]:
        return typed(self.optimizer, self._rates.at(max(self.last_epoch, 0)))

    def get_last_lr(self) -> list[float | Tensor]:
        """Return the learning rates written last, one per param group, as new tensors where the groups' are tensors."""
        return typed(self.optimizer, self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain Python; `lrs` are the optimizer's learning rates now, whoever wrote them."""
        return {
            "version": STATE_VERSION,
            "settings": self._settings(),
            "last_epoch": self.last_epoch,
            "_step_count": self._step_count,
            "base_lrs": list(self._rates.bases),
            "lrs": [*map(storable, read(self.optimizer))],
        }

    def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True) -> None:
        """Take a state, and write its learning rates into the optimizer, in place.

        Args:
            state_dict: what `state_dict()` returned.
            strict: whether class, sequence and limits must be the same; without it this scheduler's own stay.

        Raises TypeError or ValueError, and changes nothing, where the state does not fit.
        """
        self._check_state(state_dict, strict)
        groups = self.optimizer.param_groups
        last_epoch = integer("state: last_epoch", state_dict["last_epoch"], low=-1)
        steps = integer("state: _step_count", state_dict["_step_count"])
        bases = stored_bases("state: base_lrs", state_dict["base_lrs"], len(groups))
        lrs = stored_rates("state: lrs", state_dict["lrs"], len(groups))
        self._rates = self._rates.resumed(groups[: len(bases)], bases)
        if not self._rates.limits:
            restamp(self.optimizer, bases)
        self.last_epoch, self._step_count, self._last_lr = last_epoch, steps, lrs[: len(bases)]
        write(self.optimizer, lrs)

    def _check_state(self, state_dict: dict[str, Any], strict: bool) -> None:
        check_state(state_dict, tuple(self.state_dict()), self._settings(), strict)

    def _settings(self) -> dict[str, Any]:
        return {"class": type(self).__name__, **self._rates.settings()}

    def _check_order(self) -> None:
        """Give torch's two warnings about the order of calls, at the line that called `step()`."""
        if not hasattr(self.optimizer.step, "_wrapped_by_lr_sched"):
            told = (
                "Seems like `optimizer.step()` has been overridden after learning rate scheduler initialization. "
                "Please, make sure to call `optimizer.step()` before `lr_scheduler.step()`."
            )
        elif not getattr(self.optimizer, "_opt_called", False):
            told = (
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. In this order "
                "the first learning rate of the schedule is skipped."
            )
        else:
            return
        link = "https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"
        warnings.warn(f"{told} See {link}", UserWarning, stacklevel=3)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opt_called": getattr(self.optimizer, "_opt_called", False)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        called = state.pop("_opt_called")
        self.__dict__.update(state)
        retrack_steps(self.optimizer)
        if called:
            self.optimizer._opt_called = True  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(sequence={self.sequence!r}, position={self.last_epoch}, lrs={self._last_lr})"


class InverseLR(SequenceLR):
    """lr = base lr / (k + 1), 1/n decay with n = k + 1.

    Args:
        optimizer: whose learning rates to set.
        min_lr: the floor, ≥ 0, or a list with one for each param group.
        last_epoch: −1 to start, k − 1 to resume at position k.

    Raises TypeError or ValueError naming the argument that is wrong.
    Source: sequence 1 of Yang & Huang (2019).

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = InverseLR(optimizer)
    >>> optimizer.step(), scheduler.step(), scheduler.get_last_lr()
    (None, None, [0.5])
    """

    def __init__(self, optimizer: Optimizer, *, min_lr: PerGroup = 0.0, last_epoch: int = -1) -> None:
        super().__init__(optimizer, Inverse(), min_lr=min_lr, last_epoch=last_epoch)


class InverseSqrtLR(SequenceLR):
    """lr = base lr / √(k + 1), 1/√n decay with n = k + 1.

    Args:
        optimizer: whose learning rates to set.
        min_lr: the floor, ≥ 0, or a list with one for each param group.
        last_epoch: −1 to start, k − 1 to resume at position k.

    Raises TypeError or ValueError naming the argument that is wrong.
    Source: sequence 2 of Yang & Huang (2019).

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = InverseSqrtLR(optimizer)
    >>> optimizer.step(), scheduler.step(), scheduler.get_last_lr()
    (None, None, [0.7071067811865475])
    """

    def __init__(self, optimizer: Optimizer, *, min_lr: PerGroup = 0.0, last_epoch: int = -1) -> None:
        super().__init__(optimizer, InverseSqrt(), min_lr=min_lr, last_epoch=last_epoch)


class GeometricLR(SequenceLR):
    """lr = base lr · γᵏ; the same as torch's ExponentialLR.

    Args:
        optimizer: whose learning rates to set.
        gamma: γ, 0 < γ ≤ 1.
        min_lr: the floor, ≥ 0, or a list with one for each param group.
        last_epoch: −1 to start, k − 1 to resume at position k.

    Raises TypeError or ValueError naming the argument that is wrong.
    Source: sequence 3 of Yang & Huang (2019).

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = GeometricLR(optimizer, gamma=0.5)
    >>> optimizer.step(), scheduler.step(), scheduler.get_last_lr()
    (None, None, [0.5])
    """

    def __init__(
        self, optimizer: Optimizer, gamma: float = 0.9, *, min_lr: PerGroup = 0.0, last_epoch: int = -1
    ) -> None:
        super().__init__(optimizer, Geometric(gamma), min_lr=min_lr, last_epoch=last_epoch)


class SawtoothLR(SequenceLR):
    """lr = base lr · (1 − (k mod p)/p) / (⌊(k+1)/p⌋ + 1), teeth under an envelope; see `Sawtooth`.

    Args:
        optimizer: whose learning rates to set.
        period: p, steps a tooth, an integer ≥ 1.
        aligned: whether the envelope drops with the tooth, not one step before.
        min_lr: the floor, ≥ 0, or a list with one for each param group.
        last_epoch: −1 to start, k − 1 to resume at position k.

    Raises TypeError or ValueError naming the argument that is wrong.
    Source: sequence 4 of Yang & Huang (2019).

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = SawtoothLR(optimizer, period=4)
    >>> optimizer.step(), scheduler.step(), scheduler.get_last_lr()
    (None, None, [0.75])
    """

    def __init__(
        self,
        optimizer: Optimizer,
        period: int = 10,
        aligned: bool = False,
        *,
        min_lr: PerGroup = 0.0,
        last_epoch: int = -1,
    ) -> None:
        super().__init__(optimizer, Sawtooth(period, aligned), min_lr=min_lr, last_epoch=last_epoch)


class ExponentialDecayLR(SequenceLR):
    """lr = base lr · e^(−d·k).

    Args:
        optimizer: whose learning rates to set.
        decay: d per step, ≥ 0.
        min_lr: the floor, ≥ 0, or a list with one for each param group.
        last_epoch: −1 to start, k − 1 to resume at position k.

    Raises TypeError or ValueError naming the argument that is wrong.
    Source: "Learning rate", Wikipedia, exponential schedule.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = ExponentialDecayLR(optimizer, decay=0.0)
    >>> optimizer.step(), scheduler.step(), scheduler.get_last_lr()
    (None, None, [1.0])
    """

    def __init__(self, optimizer: Optimizer, decay: float, *, min_lr: PerGroup = 0.0, last_epoch: int = -1) -> None:
        super().__init__(optimizer, Exponential(decay), min_lr=min_lr, last_epoch=last_epoch)


class StepDecayLR(SequenceLR):
    """lr = base lr · d^⌊(1 + k)/r⌋; each drop one step earlier than in torch's StepLR.

    Args:
        optimizer: whose learning rates to set.
        drop: d, 0 < d ≤ 1.
        interval: r, steps from drop to drop, an integer ≥ 1.
        min_lr: the floor, ≥ 0, or a list with one for each param group.
        last_epoch: −1 to start, k − 1 to resume at position k.

    Raises TypeError or ValueError naming the argument that is wrong.
    Source: "Learning rate", Wikipedia, step-based schedule.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = StepDecayLR(optimizer, drop=0.5, interval=2)
    >>> optimizer.step(), scheduler.step(), scheduler.get_last_lr()
    (None, None, [0.5])
    """

    def __init__(
        self, optimizer: Optimizer, drop: float, interval: int, *, min_lr: PerGroup = 0.0, last_epoch: int = -1
    ) -> None:
        super().__init__(optimizer, StepDecay(drop, interval), min_lr=min_lr, last_epoch=last_epoch)


class TimeDecayLR(SequenceLR):
    """lr(0) = base lr, lr(k+1) = lr(k) / (1 + d·k), in closed form.

    Args:
        optimizer: whose learning rates to set.
        decay: d, ≥ 0.
        min_lr: the floor, ≥ 0, or a list with one for each param group.
        last_epoch: −1 to start, k − 1 to resume at position k.

    Raises TypeError or ValueError naming the argument that is wrong.
    Source: "Learning rate", Wikipedia, time-based schedule.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = TimeDecayLR(optimizer, decay=1.0)
    >>> optimizer.step(), scheduler.step(), scheduler.get_last_lr()
    (None, None, [1.0])
    """

    def __init__(self, optimizer: Optimizer, decay: float, *, min_lr: PerGroup = 0.0, last_epoch: int = -1) -> None:
        super().__init__(optimizer, TimeDecay(decay), min_lr=min_lr, last_epoch=last_epoch)


class ImageLR(SequenceLR):
    """Follow the pixels of a picture: lr = base_lr + (max_lr − base_lr)·pixel/255.

    Args:
        optimizer: whose learning rates to set.
        image: the picture: a path, an open file, a PIL image or an array; see `Pixels`.
        steps: about how many `step()` calls the picture lasts, an integer ≥ 1; then the last pixel holds.
        base_lr: the learning rate of black, ≥ 0.
        max_lr: the learning rate of white, ≥ 0.
        order: "raster" or "serpentine".
        channels: "rgb" or "gray".
        last_epoch: −1 to start, k − 1 to resume at position k.

    Raises TypeError or ValueError naming the argument that is wrong, before the optimizer is touched.
    Source: Jang et al. (2018), "Aesthetically Pleasing Learning Rates".

    >>> import numpy as np, torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    >>> scheduler = ImageLR(optimizer, np.array([[0, 255]], dtype=np.uint8), steps=2, channels="gray")
    >>> optimizer.step(), scheduler.step(), scheduler.get_last_lr()
    (None, None, [0.01])
    """

    def __init__(
        self,
        optimizer: Optimizer,
        image: Picture,
        steps: int,
        base_lr: float = 1e-5,
        max_lr: float = 1e-2,
        *,
        order: Order = "raster",
        channels: Channels = "rgb",
        last_epoch: int = -1,
    ) -> None:
        sequence = Pixels(image, steps, order, channels)
        self._start(optimizer, Rates(groups_of(optimizer), sequence, limits=(base_lr, max_lr)), last_epoch)


class CyclicLR(SequenceLR):
    """Cycle learning rates, and momenta against them: torch's CyclicLR, in closed form.

    lr = base_lr + (max_lr − base_lr)·f(k) and momentum = max_momentum − (max_momentum − base_momentum)·f(k), with f the
    `Triangular` of step_size_up, step_size_down, mode and gamma, or 0 → 1 → 0 times scale_fn. Momentum is `betas[0]` in
    optimizers that have betas.

    Args:
        optimizer: whose learning rates and momenta to set.
        base_lr: the lower learning rate, ≥ 0, or a list with one for each param group.
        max_lr: the upper learning rate, likewise.
        step_size_up: `step()` calls from base_lr to max_lr, > 0.
        step_size_down: `step()` calls back, ≥ 0; as many as up if None.
        mode: "triangular", "triangular2" or "exp_range"; ignored with scale_fn.
        gamma: γ of "exp_range", 0 < γ ≤ 1.
        scale_fn: the height as a function of the cycle, from 1, or of k.
        scale_mode: "cycle" or "iterations": which of the two.
        cycle_momentum: whether to cycle the momentum too.
        base_momentum: the lower momentum, reached at max_lr, ≥ 0, or a list.
        max_momentum: the upper momentum, reached at base_lr, likewise.
        last_epoch: −1 to start, k − 1 to resume at position k.

    Raises TypeError or ValueError naming the argument that is wrong, before the optimizer is touched.
    Source: Smith (2017), arXiv:1506.01186, section 3.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    >>> scheduler = CyclicLR(optimizer, base_lr=0.0, max_lr=1.0, step_size_up=2)
    >>> optimizer.step(), scheduler.step(), scheduler.get_last_lr(), optimizer.param_groups[0]["momentum"]
    (None, None, [0.5], 0.8500000000000001)
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: PerGroup,
        max_lr: PerGroup,
        step_size_up: float = 2000,
        step_size_down: float | None = None,
        mode: CycleMode = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: ScaleMode = "cycle",
        cycle_momentum: bool = True,
        base_momentum: PerGroup = 0.8,
        max_momentum: PerGroup = 0.9,
        last_epoch: int = -1,
    ) -> None:
        number("step_size_up", step_size_up, above=0.0)
        number("step_size_down", 0.0 if step_size_down is None else step_size_down)
        triangle = Triangular(step_size_up, step_size_down, mode if scale_fn is None else "triangular", gamma)
        scale_mode = choice("scale_mode", scale_mode, get_args(ScaleMode))
        sequence: Sequence = triangle
        if scale_fn is not None:
            if not callable(scale_fn):
                raise TypeError(f"scale_fn must be a function, got {scale_fn!r}")
            sequence = _ScaledTriangle(triangle, scale_fn, scale_mode)
        groups = groups_of(optimizer)
        cycle_momentum = flag("cycle_momentum", cycle_momentum)
        rates = Rates(groups, sequence, limits=(base_lr, max_lr))
        if cycle_momentum and not {"momentum", "betas"} & set(optimizer.defaults):
            raise ValueError(f"optimizer must have momentum or betas with cycle_momentum=True, got {optimizer!r}")
        names = ("max_momentum", "base_momentum")
        self.cycle_momentum = cycle_momentum
        self._momenta = Rates(groups, sequence, limits=(max_momentum, base_momentum), names=names)
        self._scale_fn = scale_fn
        self._start(optimizer, rates, last_epoch)

    @property
    def max_lrs(self) -> list[float]:
        """The upper limit of each param group."""
        return [*self._rates.highs]

    def _update_lr(self, epoch: int | None = None) -> None:
        super()._update_lr(epoch)
        if self.cycle_momentum:
            write_momenta(self.optimizer, self._momenta.at(self.last_epoch))

    def _adopt(self) -> None:
        momenta = self._momenta.adopted(self.optimizer.param_groups)
        super()._adopt()
        self._momenta = momenta

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain Python, with the momenta and, where scale_fn is an object, its `__dict__`."""
        momenta = read_momenta(self.optimizer) if self.cycle_momentum else []
        inside = getattr(self._scale_fn, "__dict__", None)
        has_state = isinstance(inside, dict) and not isinstance(self._scale_fn, types.FunctionType)
        kept = storable(copy.deepcopy(inside)) if has_state else None
        return {**super().state_dict(), "momenta": storable(momenta), "scale_fn": kept}

    def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True) -> None:
        """Take a state, and write its learning rates and momenta; see `SequenceLR.load_state_dict`."""
        self._check_state(state_dict, strict)
        count = len(self.optimizer.param_groups) if self.cycle_momentum else 0
        momenta = stored_rates("state: momenta", state_dict["momenta"], count)
        inside = {} if state_dict["scale_fn"] is None else stored("state: scale_fn", state_dict["scale_fn"], {})
        groups = self.optimizer.param_groups
        bases = stored_bases("state: base_lrs", state_dict["base_lrs"], len(groups))
        resumed = self._momenta.resumed(groups[: len(bases)], [])
        super().load_state_dict(state_dict, strict)
        self._momenta = resumed
        write_momenta(self.optimizer, momenta)
        if inside and isinstance(getattr(self._scale_fn, "__dict__", None), dict):
            vars(self._scale_fn).update(copy.deepcopy(inside))

    def _settings(self) -> dict[str, Any]:
        return {**super()._settings(), "cycle_momentum": self.cycle_momentum, **self._momenta.settings()}


@dataclass(frozen=True)
class _ScaledTriangle(Sequence):
    """A triangle times a user's function of the cycle, from 1, or of k."""

    triangle: Triangular
    scale_fn: Callable[[float], float] = field(repr=False)
    scale_mode: ScaleMode

    def _at(self, k: int) -> float:
        cycle = k // self.triangle.period + 1
        return self.triangle._at(k) * self.scale_fn(cycle if self.scale_mode == "cycle" else k)
