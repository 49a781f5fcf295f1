"""The functions that users pass: their types, how they are called, and what they must return."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.loss import _Loss
from torch.optim import Optimizer

from ._check import refuse

LossFn = Callable[[Any, Any], Tensor]  # loss_fn(model, batch) -> scalar
MakeOptimizer = Callable[[list[nn.Parameter]], Optimizer]  # make_optimizer(params) -> optimizer
Callback = Callable[[int, float, float], object]  # callback(k, lr, loss)

_HINT = (
    "loss_fn(model, batch) must return the loss of a batch as a scalar tensor; for a criterion(outputs, targets), such "
    "as torch.nn.functional.cross_entropy, pass supervised(criterion)"
)


def supervised(criterion: Callable[[Any, Any], Tensor]) -> LossFn:
    """Return loss_fn(model, batch) = criterion(model(inputs), targets), for batches (inputs, targets).

    Use it wherever a loss_fn is expected: `range_test(model, optimizer, supervised(criterion), loader)`.
    A loss module of torch, such as `torch.nn.CrossEntropyLoss()`, can be passed as it is.

    Args:
        criterion: criterion(outputs, targets) -> scalar tensor.

    Raises TypeError if the criterion is not callable. The returned function raises TypeError if a batch is not a pair.

    >>> import torch
    >>> from lrsched import supervised
    >>> loss_fn = supervised(torch.nn.functional.mse_loss)
    >>> batch = torch.ones(4, 2), torch.zeros(4, 2)
    >>> loss_fn(torch.nn.Identity(), batch)
    tensor(1.)
    """
    if not callable(criterion):
        refuse("criterion", "callable", criterion)
    return Supervised(criterion)


class Supervised:
    """The function that `supervised` returns. Its `__qualname__` names it in the configuration of a comparison."""

    def __init__(self, criterion: Callable[[Any, Any], Tensor]) -> None:
        self.criterion = criterion
        self.__qualname__ = f"supervised({_text(criterion)})"

    def __repr__(self) -> str:
        return self.__qualname__

    def __call__(self, model: Any, batch: Any) -> Tensor:
        if not (isinstance(batch, (tuple, list)) and len(batch) == 2):
            got = f"{type(batch).__name__} of {len(batch)}" if isinstance(batch, (tuple, list)) else described(batch)
            raise TypeError(
                f"each batch must be a pair (inputs, targets) for supervised(criterion), got {got}; "
                "for other batches, write loss_fn(model, batch)"
            )
        inputs, targets = batch
        return self.criterion(model(inputs), targets)


def as_loss_fn(loss_fn: Any) -> LossFn:
    """Return a loss_fn(model, batch), whatever the user passed: a loss module of torch becomes `supervised`.

    If the first call of any other function fails, the error says how loss_fn is called. Every function that takes a
    loss_fn calls this once. Raises TypeError if loss_fn is not callable.
    """
    if isinstance(loss_fn, _Loss):
        return Supervised(loss_fn)
    if not callable(loss_fn):
        raise TypeError(f"loss_fn must be callable, got {described(loss_fn)}: {_HINT}")
    return loss_fn if isinstance(loss_fn, (Supervised, _Explained)) else _Explained(loss_fn)


def module_of(loss_fn: object) -> list[nn.Module]:
    """Return the module that a result of `as_loss_fn` calls, in a list; an empty list if it calls a plain function."""
    called = loss_fn.criterion if isinstance(loss_fn, Supervised) else getattr(loss_fn, "__wrapped__", loss_fn)
    return [called] if isinstance(called, nn.Module) else []


class _Explained:
    """Calls a loss_fn. Until a call succeeds, errors also say how it is called."""

    def __init__(self, loss_fn: LossFn) -> None:
        functools.update_wrapper(self, loss_fn, updated=())
        self.__wrapped__ = loss_fn
        self._succeeded = False

    def __call__(self, model: Any, batch: Any) -> Tensor:
        if self._succeeded:
            return self.__wrapped__(model, batch)
        try:
            loss = self.__wrapped__(model, batch)
        except (TypeError, AttributeError, LookupError) as error:
            raise TypeError(_explanation(error)) from error
        except Exception as error:  # any other is raised as it is, with the hint added
            if type(error) in (RuntimeError, ValueError):
                error.args = (_explanation(error),)
            elif hasattr(error, "add_note"):  # Python 3.11
                error.add_note(_HINT)
            raise
        self._succeeded = True
        return loss


def _text(criterion: object) -> str:
    """Return a criterion as text that does not change from one process to the next."""
    if isinstance(criterion, nn.Module):
        return " ".join(repr(criterion).split())
    return getattr(criterion, "__qualname__", type(criterion).__qualname__)


def _explanation(error: Exception) -> str:
    return f"loss_fn failed at its first call with {type(error).__name__}: {error}\n{_HINT}"


def made_optimizer(make_optimizer: MakeOptimizer, model: nn.Module) -> Optimizer:
    """Return the user's optimizer of a model's parameters. Raises ValueError if there is nothing to train."""
    parameters = list(model.parameters())
    if not any(parameter.requires_grad for parameter in parameters):
        raise ValueError("model has no trainable parameters")
    optimizer = make_optimizer(parameters)
    if not isinstance(optimizer, Optimizer):
        refuse("make_optimizer", "a function that returns an Optimizer", optimizer)
    return optimizer


def backward(model: Any, loss_fn: LossFn, batch: Any, scale: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """Add the gradients of a batch's loss, scaled if `scale` is given. Return the loss, detached and unscaled."""
    return attached_backward(model, loss_fn, batch, scale).detach()


def attached_backward(
    model: Any, loss_fn: LossFn, batch: Any, scale: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Do what `backward` does, but do not detach the loss: faster, and enough if only its value is needed."""
    loss = loss_fn(model, batch)
    if type(loss) is not Tensor or loss.ndim:  # runs at every training step: the usual case skips the call
        loss = scalar(loss)
    (loss if scale is None else scale(loss)).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return loss


def scalar(loss: object) -> Tensor:
    """Return the result of `loss_fn` as a tensor of shape (). Raises TypeError unless it is a one-element tensor."""
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        raise TypeError(f"loss_fn must return a scalar tensor, got {described(loss)}")
    return loss.reshape(())


def needs_closure(optimizer: Any) -> bool:
    """Return whether `optimizer.step` must be given a closure that computes the loss, as that of LBFGS."""
    if is_torchs(optimizer):
        return isinstance(optimizer, torch.optim.LBFGS)
    parameter = inspect.signature(optimizer.step).parameters.get("closure")
    return parameter is not None and parameter.default is inspect.Parameter.empty


def is_torchs(optimizer: object) -> bool:
    """Return whether an optimizer is one of torch's own."""
    return type(optimizer).__module__.startswith("torch.optim.")


def put_in_train_mode(model: nn.Module) -> None:
    """Put a model that is in eval mode as a whole, as validation or from_pretrained() leave it, in train mode."""
    if not uncompiled(model).training:  # in torch ≤ 2.4, the wrapper of a compiled model always claims train mode
        model.train()


def uncompiled(model: nn.Module) -> nn.Module:
    """Return the model that torch.compile has wrapped, or the model itself."""
    return getattr(model, "_orig_mod", model)


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
