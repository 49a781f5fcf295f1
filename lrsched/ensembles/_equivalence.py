"""Whether members of an Ensemble train as single models would, tried out on a real batch, and whether it is faster."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from .._check import first_line
from .._functions import LossFn, MakeOptimizer, modes_kept
from ._ensemble import Ensemble, Pass
from ._optimizers import other_update
from ._passes import gradients
from ._same import random_state, same

_WORTH = 150_000  # parameters; in larger models, arithmetic takes more time than calls, as measured on CPUs


def obstacle(model: nn.Module, make_optimizer: MakeOptimizer, loss_fn: LossFn, batch: Any) -> str | None:
    """Return why members of an Ensemble would not do what single models do, or None.

    This is tried out, not assumed: random gradients in float64 go through the stacked optimizer and through single
    ones, and a real batch goes through two stacked members and through copies of the model. The model's weights and
    buffers, and torch's random state, are left as they were.
    """
    try:
        other_model = copy.deepcopy(model)
    except Exception as error:  # a module may raise anything when copied
        return f"the model cannot be stacked: {first_line(error)}"
    with torch.no_grad():
        for parameter in other_model.parameters():
            parameter.mul_(0.97)  # with different weights, results show whether members affect each other
    models = [model, other_model]
    try:
        pair = Ensemble(models, make_optimizer, 2)
    except ValueError as error:
        return str(error)
    reason = other_update(make_optimizer(list(model.parameters())))
    return reason or _Trial(pair, models, make_optimizer, loss_fn, batch).difference()


def unprofitable(model: nn.Module) -> str | None:
    """Return why training side by side would be slower than one run at a time, or None.

    The answer rests on measurements: an accelerator always gains from training all members at once; a CPU gains only
    if calls take more time than arithmetic.
    """
    first = next(model.parameters())
    if first.device.type != "cpu":
        return None
    for part in model.modules():
        if isinstance(part, (nn.modules.conv._ConvNd, nn.RNNBase)):
            return f"on a CPU, a model with {type(part).__name__} trains faster one run at a time"
    size = sum(parameter.numel() for parameter in model.parameters())
    if size > _WORTH:
        return f"on a CPU, a model with more than {_WORTH} parameters ({size}) trains faster one run at a time"
    return None


@dataclass
class _Trial:
    """A training pass of two stacked members, compared with the passes of two single models."""

    pair: Ensemble
    models: list[nn.Module]
    make_optimizer: MakeOptimizer
    loss_fn: LossFn
    batch: Any

    def difference(self) -> str | None:
        """Return how stacked members differ from single models, or None.

        On a GPU, dropout draws other masks for a stack than for a single model. Members are then compared with single
        models in eval mode, and in train mode with stacks of one.
        """
        rewind = random_state(self._device)
        try:
            if not self._masks_differ():
                return self._differs(self._alone, rewind)
            with modes_kept(*self.models):
                for model in self.models:
                    model.eval()
                reason = self._differs(self._alone, rewind)
            return reason or self._differs(self._stack_of_one, rewind)
        except Exception as error:  # a model may do anything that vmap cannot
            return f"the model cannot be stacked: {first_line(error)}"
        finally:
            rewind()

    @property
    def _device(self) -> torch.device:
        return next(self.models[0].parameters()).device

    def _alone(self, model: nn.Module) -> list[Tensor | None]:
        """Return the loss, gradients and buffers of a single model."""
        loss = self.loss_fn(model, self.batch)
        return _leaves((loss, gradients(loss, dict(model.named_parameters())), dict(model.named_buffers())))

    def _stack_of_one(self, model: nn.Module) -> list[Tensor | None]:
        """Return the loss, gradients and buffers of a model that is the only member of an Ensemble."""
        results = Ensemble(model, self.make_optimizer, 1).gradients(self.loss_fn, self.batch)
        return _of_member(0, _leaves(results))

    def _masks_differ(self) -> bool:
        """Return whether a single pass draws random numbers on a GPU."""
        if self._device.type != "cuda":
            return False
        before = torch.cuda.get_rng_state(self._device)
        self._alone(copy.deepcopy(self.models[0]))
        return not torch.equal(before, torch.cuda.get_rng_state(self._device))

    def _differs(self, single: Callable[[nn.Module], list[Tensor | None]], rewind: Callable[[], None]) -> str | None:
        """Return how stacked members differ from copies of the models, each passed to `single`, or None."""
        expected = []
        for model in self.models:
            rewind()
            expected.append(single(copy.deepcopy(model)))
        rewind()
        with warnings.catch_warnings():  # vmap warns if it has to run the members one at a time
            warnings.filterwarnings("error", message="There is a performance drop")
            stacked = _leaves(self.pair.gradients(self.loss_fn, self.batch))
        for i, alone in enumerate(expected):
            results = zip(_of_member(i, stacked), alone, strict=True)
            if not all(same(*pair, none_is_zero=True) for pair in results):
                return "the losses, gradients or buffers of the stacked model differ from those of a single one"
        return None


def _leaves(results: Pass) -> list[Tensor | None]:
    """Return the losses, gradients and buffers of a pass as a flat list, with None for a missing gradient."""
    return tree_leaves(results)


def _of_member(i: int, stacked: list[Tensor | None]) -> list[Tensor | None]:
    return [None if each is None else each[i] for each in stacked]
