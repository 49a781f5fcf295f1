"""May members of an Ensemble stand for single models? Tried out on a real batch, or told from the model's layers.

A model, a maker of optimizers, a loss and a batch go in; out comes the reason why not, or None.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map

from .._check import first_line
from .._functions import LossFn, MakeOptimizer, modes_kept
from ._cuda_graphs import random_state, tolerance
from ._ensemble import Ensemble, gradients
from ._optimizers import other_update

Models = list[nn.Module]
Pass = tuple[Any, Any, Any]  # losses, gradients and buffers, by their names

_WORTH = 150_000  # parameters; see `unprofitable`


def obstacle(model: nn.Module, make_optimizer: MakeOptimizer, loss_fn: LossFn, batch: Any) -> str | None:
    """Return why members of an Ensemble would not do what single models do, or None.

    Tried out, not assumed: random gradients in float64 through the stacked optimizer and through single ones; a real
    batch through two stacked members and through copies of the model. Weights, buffers and torch's random state stay.
    """
    try:
        models = [model, copy.deepcopy(model)]
    except Exception as error:  # whatever a module says that cannot be copied
        return f"the model cannot be stacked: {first_line(error)}"
    with torch.no_grad():
        for parameter in models[1].parameters():
            parameter.mul_(0.97)  # another model, so that members which see each other show it
    try:
        pair = Ensemble(models, make_optimizer, 2)
    except ValueError as error:
        return str(error)
    other = other_update(make_optimizer(list(model.parameters())))
    return other or _other_loss(pair, models, make_optimizer, loss_fn, batch)


def unprofitable(model: nn.Module) -> str | None:
    """Return why training side by side would be slower than one after another, or None: a fixed rule, by measurement.

    An accelerator is always better filled by all members. A processor gains where calls cost more than arithmetic.
    """
    first = next(model.parameters())
    if first.device.type != "cpu":
        return None
    heavy = next((part for part in model.modules() if isinstance(part, (nn.modules.conv._ConvNd, nn.RNNBase))), None)
    if heavy is not None:
        return f"on a CPU a model with {type(heavy).__name__} is faster alone"
    size = sum(parameter.numel() for parameter in model.parameters())
    return f"on a CPU a model of {size} parameters (> {_WORTH}) is faster alone" if size > _WORTH else None


def _other_loss(
    pair: Ensemble, models: Models, make_optimizer: MakeOptimizer, loss_fn: LossFn, batch: Any
) -> str | None:
    """Return why two stacked members have other losses, gradients or buffers than two single models, or None."""
    rewind = random_state(next(pair.model.parameters()).device)

    def by_itself(model: nn.Module) -> Pass:
        loss = loss_fn(model, batch)
        return loss, gradients(loss, dict(model.named_parameters())), dict(model.named_buffers())

    def in_a_stack_of_one(model: nn.Module) -> Pass:
        found: Pass = Ensemble(model, make_optimizer, 1).gradients(loss_fn, batch)
        return tree_map(lambda each: None if each is None else each[0], found)  # type: ignore[no-any-return]

    try:
        if not _masks_differ(pair.model, by_itself):
            return _differs(pair, models, by_itself, loss_fn, batch, rewind)
        with modes_kept(*models):
            for model in models:
                model.eval()
            reason = _differs(pair, models, by_itself, loss_fn, batch, rewind)
        return reason or _differs(pair, models, in_a_stack_of_one, loss_fn, batch, rewind)
    except Exception as error:  # whatever a model does that vmap cannot do; if it does not run alone either, that shows
        return f"the model cannot be stacked: {first_line(error)}"
    finally:
        rewind()


def _masks_differ(model: nn.Module, by_itself: Callable[[nn.Module], Any]) -> bool:
    """Return whether a pass draws random numbers on a GPU, whose dropout draws other ones for a stack than alone."""
    device = next(model.parameters()).device
    if device.type != "cuda":
        return False
    before = torch.cuda.get_rng_state(device)
    by_itself(copy.deepcopy(model))
    return not torch.equal(before, torch.cuda.get_rng_state(device))


def _differs(
    pair: Ensemble, models: Models, single: Callable[[nn.Module], Pass], loss_fn: LossFn, batch: Any, rewind: Any
) -> str | None:
    """Return that two stacked members have other losses, gradients or buffers than copies of them, or None."""
    singles = []
    for model in models:
        rewind()
        singles.append(tree_flatten(single(copy.deepcopy(model)))[0])
    rewind()
    with warnings.catch_warnings():  # where vmap has no rule, it goes through the members one by one
        warnings.filterwarnings("error", message="There is a performance drop")
        stacked = tree_flatten(pair.gradients(loss_fn, batch))[0]
    for i, alone in enumerate(singles):
        ours = [None if each is None else each[i] for each in stacked]
        if not all(_close(*both) for both in zip(ours, alone, strict=True)):
            return "stacked, the model has other losses, gradients or buffers than alone"
    return None


def _close(ours: Tensor | None, theirs: Tensor | None) -> bool:
    """Return whether two tensors are the same but for rounding; gradients that are not there are equal to zeros."""
    if ours is None or theirs is None:
        other = theirs if ours is None else ours
        return other is None or not other.any()
    if not ours.dtype.is_floating_point:
        return torch.equal(ours, theirs)
    allowed = tolerance(ours.dtype)
    return bool(torch.linalg.vector_norm(ours - theirs) <= allowed * (torch.linalg.vector_norm(theirs) + allowed))
