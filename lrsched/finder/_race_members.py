"""The members of a race: the same training at several learning rates, side by side or one after another.

Members that train one after another share the model: each has its own weights, buffers and optimizer, and the model's
tensors point to them for the member's turn. So a member is, bit for bit, what the model would be if it were alone.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

from .._functions import scalar
from ..ensembles._ensemble import Ensemble
from ..schedulers._groups import write
from ._race_recipe import Recipe, Standing
from ._steps import TrainingSteps

Array = NDArray[np.float64]


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
