"""The members of a race: the same training at several learning rates, side by side or one after another.

Members that train one after another share the model: each has its own weights, buffers and optimizer, and the model's
tensors point to them for the member's turn. So a member is, bit for bit, what the model would be if it were alone.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from .._functions import LossFn, MakeOptimizer, modes_kept, scalar
from .._owned import undo_random
from ..ensembles._ensemble import Ensemble
from ..schedulers._groups import write
from ._steps import TrainingSteps
from ._undo import Undo, undo_global_random

Array = NDArray[np.float64]


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


class _Unit(Protocol):
    """Members that take their steps together."""

    count: int
    alive: bool

    def step(self, batch: Any, rates: Array) -> Tensor: ...
    def start_average(self) -> None: ...
    def evaluate(self, batch: Any, averaged: bool) -> Tensor: ...
    def keep(self, mask: list[bool]) -> None: ...
    def state(self, i: int) -> Standing: ...


class _Stack:
    """Members that train side by side, in an Ensemble."""

    alive = True

    def __init__(self, recipe: Recipe, count: int) -> None:
        self.count = count
        self._recipe = recipe
        self._ensemble = Ensemble(recipe.model, recipe.make_optimizer, count)

    def step(self, batch: Any, rates: Array) -> Tensor:
        return self._ensemble.step(self._recipe.loss_fn, batch, rates).double()

    def start_average(self) -> None:
        self._ensemble.start_average()

    def evaluate(self, batch: Any, averaged: bool) -> Tensor:
        if averaged:
            with self._ensemble.averaged():
                return self.evaluate(batch, averaged=False)
        losses: Tensor = self._ensemble.evaluate(self._recipe.loss_fn, batch)
        return losses.double().reshape(self.count)

    def keep(self, mask: list[bool]) -> None:
        self._ensemble.keep(mask)
        self.count = self._ensemble.members

    def state(self, i: int) -> Standing:
        found = self._ensemble.tensors(i)
        tensors = self._recipe.places.copies()
        for name, index in self._recipe.places.named(self._recipe.model).items():
            tensors[index] = found[name]
        return Standing(tensors, self._ensemble.optimizer_state(i))


class _Single:
    """A member that trains alone, in its turn."""

    count = 1

    def __init__(self, recipe: Recipe, standing: Standing | None = None) -> None:
        self.alive = True
        self.optimizer = recipe.optimizer()
        self._recipe = recipe
        self._tensors = recipe.places.copies() if standing is None else standing.tensors
        if standing is not None:
            self.optimizer.load_state_dict(standing.optimizer)
        self._mean: list[Tensor] | None = None
        self._averaged = 0
        self._batch: Any = None
        training = TrainingSteps(recipe.model, self.optimizer, recipe.loss_fn, self._batches())
        training.prepare()
        self._points = training.points()

    def _batches(self) -> Iterator[Any]:
        while True:
            yield self._batch

    @contextmanager
    def _turn(self) -> Iterator[None]:
        places = self._recipe.places
        places.point_to(self._tensors)
        yield
        self._tensors = places.read()

    def step(self, batch: Any, rates: Array) -> Tensor:
        write(self.optimizer, rates[0].tolist())
        self._batch = batch
        with self._turn():
            loss = next(self._points)
        self._batch = None
        self.alive = math.isfinite(loss)
        if self._mean is not None:
            self._averaged += 1
            for mean, value in zip(self._mean, self._tensors, strict=False):
                mean.lerp_(value, 1 / self._averaged)
        return torch.tensor([loss], dtype=torch.float64)

    def start_average(self) -> None:
        self._averaged = 0
        self._mean = copy.deepcopy(self._tensors[: len(self._recipe.places.parameters)])

    def evaluate(self, batch: Any, averaged: bool) -> Tensor:
        recipe = self._recipe
        if not self.alive:
            return torch.full((1,), math.nan, dtype=torch.float64)
        recipe.places.point_to(self._tensors)
        if averaged:
            assert self._mean is not None
            recipe.places.point_to(self._mean)
        return scalar(recipe.loss_fn(recipe.model, batch)).double().reshape(1)

    def keep(self, mask: list[bool]) -> None:
        """Keep the only member: a unit without members is dropped."""

    def state(self, i: int) -> Standing:
        return Standing(self._tensors, self.optimizer.state_dict())


class Members:
    """The members that are still in the race, in units that take turns; every member draws the same random numbers.

    Args:
        recipe: what they have in common.
        count: how many there are.
        chunk: the most to train side by side; 0 to train one after another.
    """

    def __init__(self, recipe: Recipe, count: int, chunk: int) -> None:
        self._recipe = recipe
        self._units: list[_Unit] = [
            _Stack(recipe, min(chunk, count - start)) if chunk else _Single(recipe)
            for start in range(0, count, chunk or 1)
        ]

    @property
    def count(self) -> int:
        return sum(unit.count for unit in self._units)

    def step(self, batch: Any, rates: Array) -> Tensor:
        """Train every member on a batch at its rates, shape (members, param groups); return the losses, NaN if lost."""
        rewind = self._recipe.random_state() if len(self._units) > 1 else None
        losses, drawn = [], False
        for unit, rows in zip(self._units, self._rows(), strict=True):
            if not unit.alive:
                losses.append(torch.full((unit.count,), math.nan, dtype=torch.float64))
                continue
            if drawn and rewind is not None:
                rewind()
            losses.append(unit.step(batch, rates[rows]))
            drawn = True
        return torch.cat(losses)

    def start_average(self) -> None:
        """Start a new mean of each member's weights, over the weights after each step from now on."""
        for unit in self._units:
            unit.start_average()

    def eval_losses(self, batches: Iterable[Any], averaged: bool) -> Tensor:
        """Return the members' mean losses on batches, in eval mode; random state is restored."""
        return self._recipe.mean_over(
            batches, lambda batch: torch.cat([unit.evaluate(batch, averaged) for unit in self._units])
        )

    def keep(self, mask: list[bool]) -> None:
        """Drop the members for which `mask` is False."""
        kept = []
        for unit, rows in zip(self._units, self._rows(), strict=True):
            if any(mask[rows]):
                unit.keep(mask[rows])
                kept.append(unit)
        self._units = kept

    def separate(self) -> None:
        """Train the members one after another from now on."""
        self._units = [_Single(self._recipe, self.state(i)) for i in range(self.count)]

    def state(self, i: int) -> Standing:
        """Return the state of member i, which its further steps change."""
        for unit, rows in zip(self._units, self._rows(), strict=True):
            if i < rows.stop:
                return unit.state(i - rows.start)
        raise IndexError(i)

    def optimizer(self, i: int) -> Optimizer:
        """Return the optimizer of member i, with its state."""
        unit = self._units[i] if i < len(self._units) else None
        if isinstance(unit, _Single):
            return unit.optimizer
        optimizer = self._recipe.optimizer()
        optimizer.load_state_dict(self.state(i).optimizer)
        return optimizer

    def _rows(self) -> list[slice]:
        ends = list(accumulate(unit.count for unit in self._units))
        return [slice(end - unit.count, end) for unit, end in zip(self._units, ends, strict=True)]
