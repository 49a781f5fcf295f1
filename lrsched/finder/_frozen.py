"""Frozen parameters: those that training cannot change are not copied, but watched."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ._undo import Undo, undo_data

_SAMPLE = 64  # elements that are compared: writes through `.data` do not count in the version


class FrozenWeights:
    """Watches parameters for changes: by their version counters, and by a sample of their elements."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._watched: list[tuple[Tensor, Tensor, int, Tensor | None]] = []

    def add(self, parameter: Tensor) -> Undo:
        """Watch a parameter. Return what restores everything about it except its elements."""
        alias = parameter.detach()  # keeps the memory and the version counter if parameter.data is replaced
        self._watched.append((parameter, alias, alias._version, _sample(alias)))
        return undo_data(parameter, alias)

    def check(self) -> None:
        """Raise RuntimeError if a parameter has changed."""
        for parameter, alias, version, sample in self._watched:
            if alias._version != version or not _same(sample, _sample(alias)):
                names = {id(value): name for name, value in self._model.named_parameters()}
                raise RuntimeError(
                    f"the frozen parameter {names.get(id(parameter), '')!r} was changed and cannot be restored: a "
                    "parameter with requires_grad=False that is in no param group is not copied. If your training "
                    "writes it, pass its module in extra"
                )

    def clear(self) -> None:
        self._watched.clear()


def _sample(tensor: Tensor) -> Tensor | None:
    """Return some elements, evenly spread, if that needs no copy of the tensor."""
    if tensor.numel() == 0 or tensor.is_meta or not tensor.is_contiguous():
        return None
    return tensor.view(-1)[:: max(1, tensor.numel() // _SAMPLE)].clone()


def _same(before: Tensor | None, after: Tensor | None) -> bool:
    if before is None or after is None:
        return before is after
    return torch.equal(before.view(torch.uint8), after.view(torch.uint8))  # NaN equals itself, bit for bit
