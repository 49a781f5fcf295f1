"""Named classes: SequenceLR with a sequence of its own, made from the sequence's arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.optim import Optimizer

from ..sequences import (
    Channels,
    Exponential,
    Geometric,
    Inverse,
    InverseSqrt,
    Order,
    Pixels,
    Sawtooth,
    StepDecay,
    TimeDecay,
)
from ._options import groups_of
from ._rates import PerGroup, Rates
from ._sequence_lr import SequenceLR

if TYPE_CHECKING:
    from ..sequences._pictures import Picture


class InverseLR(SequenceLR):
    """Decay the learning rate as 1/n: lr = base lr / (k + 1), with n = k + 1.

    Args:
        optimizer, min_lr, last_epoch, strict: see `SequenceLR`.

    Raises TypeError or ValueError if an argument is invalid.
    Source: sequence 1 of Yang & Huang (2019).

    >>> import torch
    >>> from lrsched import InverseLR
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = InverseLR(optimizer)
    >>> optimizer.step(), scheduler.step(), scheduler.get_last_lr()
    (None, None, [0.5])
    """

    def __init__(
        self, optimizer: Optimizer, *, min_lr: PerGroup = 0.0, last_epoch: int = -1, strict: bool = True
    ) -> None:
        super().__init__(optimizer, Inverse(), min_lr=min_lr, last_epoch=last_epoch, strict=strict)


class InverseSqrtLR(SequenceLR):
    """Decay the learning rate as 1/√n: lr = base lr / √(k + 1), with n = k + 1.

    Args:
        optimizer, min_lr, last_epoch, strict: see `SequenceLR`.

    Raises TypeError or ValueError if an argument is invalid.
    Source: sequence 2 of Yang & Huang (2019).

    >>> import torch
    >>> from lrsched import InverseSqrtLR
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = InverseSqrtLR(optimizer)
    >>> optimizer.step(), scheduler.step(), scheduler.get_last_lr()
    (None, None, [0.7071067811865475])
    """

    def __init__(
        self, optimizer: Optimizer, *, min_lr: PerGroup = 0.0, last_epoch: int = -1, strict: bool = True
    ) -> None:
        super().__init__(optimizer, InverseSqrt(), min_lr=min_lr, last_epoch=last_epoch, strict=strict)


class GeometricLR(SequenceLR):
    """Multiply the learning rate by γ at every step: lr = base lr · γᵏ. The same as torch's ExponentialLR.

    Args:
        gamma: γ, 0 < γ ≤ 1.
        optimizer, min_lr, last_epoch, strict: see `SequenceLR`.

    Raises TypeError or ValueError if an argument is invalid.
    Source: sequence 3 of Yang & Huang (2019).

    >>> import torch
    >>> from lrsched import GeometricLR
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = GeometricLR(optimizer, gamma=0.5)
    >>> optimizer.step(), scheduler.step(), scheduler.get_last_lr()
    (None, None, [0.5])
    """

    def __init__(
        self,
        optimizer: Optimizer,
        gamma: float = 0.9,
        *,
        min_lr: PerGroup = 0.0,
        last_epoch: int = -1,
        strict: bool = True,
    ) -> None:
        super().__init__(optimizer, Geometric(gamma), min_lr=min_lr, last_epoch=last_epoch, strict=strict)


class SawtoothLR(SequenceLR):
    """Lower the learning rate in teeth that get smaller: lr = base lr · (1 − (k mod p)/p) / (⌊(k+1)/p⌋ + 1).

    Args:
        period: p, the steps in a tooth, an integer ≥ 1.
        aligned: whether the envelope drops together with the tooth, rather than one step earlier; see `Sawtooth`.
        optimizer, min_lr, last_epoch, strict: see `SequenceLR`.

    Raises TypeError or ValueError if an argument is invalid.
    Source: sequence 4 of Yang & Huang (2019).

    >>> import torch
    >>> from lrsched import SawtoothLR
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
        strict: bool = True,
    ) -> None:
        super().__init__(optimizer, Sawtooth(period, aligned), min_lr=min_lr, last_epoch=last_epoch, strict=strict)


class ExponentialDecayLR(SequenceLR):
    """Decay the learning rate exponentially: lr = base lr · e^(−d·k).

    Args:
        decay: d per step, ≥ 0.
        optimizer, min_lr, last_epoch, strict: see `SequenceLR`.

    Raises TypeError or ValueError if an argument is invalid.
    Source: "Learning rate", Wikipedia, exponential schedule.

    >>> import torch
    >>> from lrsched import ExponentialDecayLR
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = ExponentialDecayLR(optimizer, decay=0.1)
    >>> optimizer.step(), scheduler.step(), scheduler.get_last_lr()
    (None, None, [0.9048374180359595])
    """

    def __init__(
        self, optimizer: Optimizer, decay: float, *, min_lr: PerGroup = 0.0, last_epoch: int = -1, strict: bool = True
    ) -> None:
        super().__init__(optimizer, Exponential(decay), min_lr=min_lr, last_epoch=last_epoch, strict=strict)


class StepDecayLR(SequenceLR):
    """Multiply the learning rate by d every r steps: lr = base lr · d^⌊(1 + k)/r⌋.

    Each drop comes one step earlier than in torch's StepLR.

    Args:
        drop: d, 0 < d ≤ 1.
        interval: r, the steps between drops, an integer ≥ 1.
        optimizer, min_lr, last_epoch, strict: see `SequenceLR`.

    Raises TypeError or ValueError if an argument is invalid.
    Source: "Learning rate", Wikipedia, step-based schedule.

    >>> import torch
    >>> from lrsched import StepDecayLR
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = StepDecayLR(optimizer, drop=0.5, interval=2)
    >>> optimizer.step(), scheduler.step(), scheduler.get_last_lr()
    (None, None, [0.5])
    """

    def __init__(
        self,
        optimizer: Optimizer,
        drop: float,
        interval: int,
        *,
        min_lr: PerGroup = 0.0,
        last_epoch: int = -1,
        strict: bool = True,
    ) -> None:
        super().__init__(optimizer, StepDecay(drop, interval), min_lr=min_lr, last_epoch=last_epoch, strict=strict)


class TimeDecayLR(SequenceLR):
    """Divide the learning rate by 1 + d·k at each step: lr(0) = base lr, lr(k+1) = lr(k) / (1 + d·k), in closed form.

    Args:
        decay: d, ≥ 0.
        optimizer, min_lr, last_epoch, strict: see `SequenceLR`.

    Raises TypeError or ValueError if an argument is invalid.
    Source: "Learning rate", Wikipedia, time-based schedule.

    >>> import torch
    >>> from lrsched import TimeDecayLR
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = TimeDecayLR(optimizer, decay=1.0)
    >>> for _ in range(2):
    ...     optimizer.step()
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, decay: float, *, min_lr: PerGroup = 0.0, last_epoch: int = -1, strict: bool = True
    ) -> None:
        super().__init__(optimizer, TimeDecay(decay), min_lr=min_lr, last_epoch=last_epoch, strict=strict)


class ImageLR(SequenceLR):
    """Follow the pixels of a picture: lr = base_lr + (max_lr − base_lr)·pixel/255.

    Call `step()` after each batch, and let `steps` be the number of batches in the training. The param groups' own
    learning rates are ignored.

    Args:
        image, order, channels: the picture and how it is read; see `Pixels`. Phone photos are turned upright.
        steps: about how many `step()` calls the picture lasts, an integer ≥ 1. Afterwards the last pixel holds.
        base_lr, max_lr: the learning rates of black and of white, ≥ 0.
        optimizer, last_epoch: see `SequenceLR`.

    Raises TypeError or ValueError if an argument is invalid, before the optimizer is changed.
    Source: Jang et al. (2018), "Aesthetically Pleasing Learning Rates".

    >>> import numpy as np, torch
    >>> from lrsched import ImageLR
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
        no_bases = [0.0] * len(groups_of(optimizer))
        rates = Rates(no_bases, sequence, limits={"base_lr": base_lr, "max_lr": max_lr})
        self._start(optimizer, rates, last_epoch)
