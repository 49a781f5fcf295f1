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
from torch.utils._pytree import tree_map

from ._replay import random_state, tolerance
from ._stacked import other_update
from .ensemble import Ensemble, LossFn, MakeOptimizer, gradients

_WORTH = 150_000  # parameters; see `unprofitable`


def obstacle(model: nn.Module, make_optimizer: MakeOptimizer, loss_fn: LossFn, batch: Any) -> str | None:
    """Return why members of an Ensemble would not do what single models do, or None.

    Tried out, not assumed: random gradients in float64 through the stacked optimizer and through single ones; a real
    batch through two stacked members and through copies of the model. Weights, buffers and torch's random state stay.
    """
    try:
        pair = Ensemble(model, make_optimizer, 2)
    except ValueError as error:
        return str(error)
    return other_update(make_optimizer(list(model.parameters()))) or _other_loss(pair, make_optimizer, loss_fn, batch)


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


def _other_loss(pair: Ensemble, make_optimizer: MakeOptimizer, loss_fn: LossFn, batch: Any) -> str | None:
    """Return why two stacked members have other losses, gradients or buffers than two single models, or None."""
    with torch.no_grad():
        for parameter in pair._parameters.values():
            parameter[1] *= 0.97  # another model, so that members which see each other show it
    rewind = random_state(next(pair.model.parameters()).device)
    modes = [(module, module.training) for module in pair.model.modules()]

    def by_itself(model: nn.Module) -> tuple[Any, Any, Any]:
        loss = loss_fn(model, batch)
        return loss, [*gradients(loss, dict(model.named_parameters())).values()], dict(model.named_buffers())

    def in_a_stack_of_one(model: nn.Module) -> tuple[Any, Any, Any]:
        one = Ensemble(model, make_optimizer, 1)
        found: tuple[Any, Any, Any] = one._train(loss_fn, None, one._buffers, batch)
        return tree_map(lambda each: None if each is None else each[0], found)  # type: ignore[no-any-return]

    try:
        if not _masks_differ(pair.model, by_itself):
            return _differs(pair, by_itself, loss_fn, batch, rewind)
        pair.model.eval()
        reason = _differs(pair, by_itself, loss_fn, batch, rewind)
        for module, mode in modes:
            module.training = mode
        return reason or _differs(pair, in_a_stack_of_one, loss_fn, batch, rewind)
    except Exception as error:  # whatever a model does that vmap cannot do; if it does not run alone either, that shows
        return f"the model cannot be stacked: {(str(error) or type(error).__name__).strip().splitlines()[0]}"
    finally:
        for module, mode in modes:
            module.training = mode
        rewind()


def _masks_differ(model: nn.Module, by_itself: Callable[[nn.Module], Any]) -> bool:
    """Return whether a pass draws random numbers on a GPU, whose dropout draws other ones for a stack than alone."""
    device = next(model.parameters()).device
    if device.type != "cuda":
        return False
    before = torch.cuda.get_rng_state(device)
    by_itself(copy.deepcopy(model))
    return not torch.equal(before, torch.cuda.get_rng_state(device))


def _differs(pair: Ensemble, single: Any, loss_fn: LossFn, batch: Any, rewind: Callable[[], None]) -> str | None:
    """Return that two stacked members have other losses, gradients or buffers than copies of them, or None."""
    singles = []
    for i in range(pair.members):
        alone = copy.deepcopy(pair.model)
        alone.load_state_dict(pair.state(i))
        rewind()
        singles.append(single(alone))
    rewind()
    with warnings.catch_warnings():  # where vmap has no rule, it goes through the members one by one
        warnings.filterwarnings("error", message="There is a performance drop")
        losses, stacked, changed = pair._train(
            loss_fn, None, {name: each.clone() for name, each in pair._buffers.items()}, batch
        )
    for i, (loss, alone_gradients, buffers) in enumerate(singles):
        ours = [None if gradient is None else gradient[i] for gradient in stacked]
        same = _close(losses[i], loss) and all(map(_close, ours, alone_gradients))
        if not (same and all(_close(changed[name][i], buffers[name]) for name in buffers)):
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
