"""What the members of a race have in common: the model's tensors, the functions that users pass, the random state."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .._functions import LossFn, MakeOptimizer, modes_kept, scalar
from ._undo import Undo, undo_global_random, undo_random


class Places:
    """The tensors that training changes: weights that an optimizer may change, and all buffers.

    Args:
        owners: the modules that hold them: the model, and the loss function if it is a module.
        optimizer: an optimizer of the model; it may have parameters that no module has.
    """

    def __init__(self, owners: Sequence[nn.Module], optimizer: Optimizer) -> None:
        grouped = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        trained = [p for owner in owners for p in owner.parameters() if p.requires_grad]
        self.parameters: list[Tensor] = [*dict.fromkeys([*trained, *grouped])]
        modules = [module for owner in owners for module in owner.modules()]
        self.buffers = [
            (module._buffers, name)
            for module in modules
            for name, buffer in module._buffers.items()
            if buffer is not None
        ]
        self._own = self.read()

    def read(self) -> list[Tensor]:
        """Return the tensors that the model has now: its weights, then its buffers."""
        return [p.data for p in self.parameters] + [held[name].data for held, name in self.buffers]  # type: ignore[union-attr]

    def point_to(self, tensors: list[Tensor]) -> None:
        """Make the model use other tensors, in the order of `read()`; the first ones suffice for the weights."""
        for place, tensor in zip([*self.parameters, *self._present_buffers()], tensors, strict=False):
            place.data = tensor

    def put(self, tensors: list[Tensor]) -> None:
        """Make the model use its own memory again, with these values in it, and no gradients."""
        self.point_to(self._own)
        for own, value in zip(self._own, tensors, strict=True):
            if own.device != value.device or not torch.equal(own, value):
                own.copy_(value)
        for parameter in self.parameters:
            parameter.grad = None

    def copies(self) -> list[Tensor]:
        """Return copies of the model's own tensors; those that share memory share it in the copy, too."""
        return copy.deepcopy(self._own)

    def named(self, owner: nn.Module) -> dict[str, int]:
        """Return the index of each tensor of a module in `read()`, by name."""
        held = {id(p): i for i, p in enumerate(self.parameters)}
        held |= {id(b): len(self.parameters) + i for i, b in enumerate(self._present_buffers())}
        named = [*owner.named_parameters(), *owner.named_buffers()]
        return {name: held[id(tensor)] for name, tensor in named if id(tensor) in held}

    def _present_buffers(self) -> list[Tensor]:
        return [held[name] for held, name in self.buffers]  # type: ignore[misc]


@dataclass(frozen=True)
class Standing:
    """A member's state: its tensors in the order of `Places.read`, and its optimizer's state dict."""

    tensors: list[Tensor]
    optimizer: dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """What members have in common: the model and its places, the functions that users pass, and their generators."""

    model: nn.Module
    make_optimizer: MakeOptimizer
    loss_fn: LossFn
    places: Places
    generators: Sequence[object] = ()

    def optimizer(self) -> Optimizer:
        """Return a new optimizer of the model's parameters."""
        return self.make_optimizer(list(self.model.parameters()))

    def untrained_loss(self, batches: Iterable[Any]) -> float:
        """Return the present model's mean loss on batches, in eval mode."""
        return self.mean_over(batches, lambda batch: scalar(self.loss_fn(self.model, batch))).item()

    def mean_over(self, batches: Iterable[Any], losses_of: Callable[[Any], Tensor]) -> Tensor:
        """Return the mean of losses_of(batch), in eval mode and without gradients; random state is restored."""
        rewind = self.random_state()
        with modes_kept(self.model), torch.no_grad():
            self.model.eval()
            losses = [losses_of(batch).double() for batch in batches]
        rewind()
        if not losses:
            raise ValueError("eval_batches must have at least one batch, got none; pass judge='train' to use none")
        return torch.stack(losses).mean(0)

    def random_state(self) -> Callable[[], None]:
        """Return a function that puts the random state back as it is now."""
        undos: list[Undo] = [*undo_global_random(), *map(undo_random, self.generators)]

        def rewind() -> None:
            for undo in undos:
                undo()

        return rewind
