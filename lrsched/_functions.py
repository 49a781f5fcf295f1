"""The functions that users pass: their types, how they are called, and what they must return."""

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
    """Add the gradients of a batch's loss, scaled if `scale` is given. Return the loss, detached and unscaled."""
    loss = loss_fn(model, batch)
    if type(loss) is not Tensor or loss.ndim:  # runs at every training step: the usual case skips the call
        loss = scalar(loss)
    (loss if scale is None else scale(loss)).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return loss.detach()


def scalar(loss: object) -> Tensor:
    """Return the result of `loss_fn` as a tensor of shape (). Raises TypeError unless it is a one-element tensor."""
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        raise TypeError(f"loss_fn must return a scalar tensor, got {described(loss)}")
    return loss.reshape(())


@contextmanager
def modes_kept(*models: nn.Module) -> Iterator[None]:
    """Restore the mode, train or eval, of every module of the models when the block ends."""
    modes = [(module, module.training) for model in models for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def described(value: object) -> str:
    """Return a tensor's shape, or the type of any other value, for error messages."""
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
