"""The functions that users give: their types, how they are called, and what they must return.

A model, a loss function and a batch go in; a checked scalar loss comes out, with its gradients in place if asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

LossFn = Callable[[Any, Any], Tensor]  # loss_fn(model, batch) -> scalar
MakeOptimizer = Callable[[list[nn.Parameter]], Optimizer]  # make_optimizer(params) -> optimizer
Callback = Callable[[int, float, float], object]  # callback(k, lr, loss)


def backward(model: Any, loss_fn: LossFn, batch: Any, scale: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """Add the gradients of a batch's loss to those in place, and return the loss, detached and unscaled."""
    loss = loss_fn(model, batch)
    if type(loss) is not Tensor or loss.ndim:  # this runs once per training step, so the usual case costs no call
        loss = scalar(loss)
    (loss if scale is None else scale(loss)).backward()  # type: ignore[no-untyped-call]
    return loss.detach()


def scalar(loss: Any) -> Tensor:
    """Return what `loss_fn` gave as a tensor of no dimensions; TypeError unless it is a tensor with one element."""
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        raise TypeError(f"loss_fn must return a scalar tensor, got {described(loss)}")
    return loss.reshape(())


@contextmanager
def modes_kept(*models: nn.Module) -> Iterator[None]:
    """Put every module below the models back into its mode, train or eval, when the block is left."""
    modes = [(module, module.training) for model in models for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def described(value: object) -> str:
    """Return what kind of thing a value is, as error messages say it."""
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
