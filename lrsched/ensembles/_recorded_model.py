"""Passes of a single model on a GPU, recorded as CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_map

from .._functions import LossFn, backward, scalar
from ._cuda_graphs import Recordings
from ._passes import Skeleton, gradients

Pass = tuple[Tensor, list[Tensor | None]]  # the loss and the gradient of each parameter


class RecordedModel:
    """Runs a model's passes on a GPU, and records and replays those that are repeated with batches of the same shapes.

    A replay does what an ordinary pass does: it fills the gradients and updates the buffers in place. Optimizers run as
    usual between the passes, and must update the parameters in place. Recording ends if a replay gives other results.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model, self._skeleton = model, Skeleton(model)
        self._training = Recordings(lambda: self._tensors, per="tensor")
        self._evaluation = Recordings(lambda: self._tensors, per="tensor")
        self.look()

    def look(self) -> None:
        """Read the model's modules, parameters and buffers again. Call this after they may have been replaced."""
        self._modules = [*self._model.modules()]
        self._parameters = dict(self._model.named_parameters())
        self._tensors = self._present()
        if any(each._backward_hooks or each._post_accumulate_grad_hooks for each in self._parameters.values()):
            self._training.give_up("a parameter has gradient hooks")
        self._lazy = any(is_lazy(tensor) for tensor in self._tensors)

    def _present(self) -> list[Tensor]:
        return [*self._model.parameters(), *self._model.buffers()]

    @property
    def unrecorded(self) -> str | None:
        """Why training passes are not replayed as CUDA graphs, or None if they are."""
        return self._training.problem

    def backward(self, loss_fn: LossFn, batch: Any) -> Tensor:
        """Set the gradients of a batch's loss, which must be None or zeros before, and return the loss."""
        if self._lazy or self._training.gave_up:
            loss = backward(self._model, loss_fn, batch)
            if self._lazy:
                self.look()
            return loss
        plain, recorded = partial(self._pass, loss_fn), partial(self._recordable_pass, loss_fn)
        loss, found = self._training(self._key(), loss_fn, plain, batch, watch=True, recorded=recorded)
        for parameter, gradient in zip(self._parameters.values(), found, strict=True):
            parameter.grad = gradient
        return torch.clone(loss)  # the next replay overwrites it

    @torch.no_grad()
    def evaluate(self, fn: Callable[[Any, Any], Any], batch: Any) -> Any:
        """Return fn(model, batch), computed without gradients."""
        found = self._evaluation(self._key(), fn, partial(fn, self._model), batch, watch=False)
        return tree_map(torch.clone, found)

    def _key(self) -> tuple[object, ...]:
        """Return what a recording depends on: modes, and where the tensors lie that it reads."""
        places = [(tensor.data_ptr(), tensor.requires_grad) for tensor in self._tensors]
        return *(module.training for module in self._modules), *places

    def _pass(self, loss_fn: LossFn, batch: Any) -> Pass:
        for parameter in self._parameters.values():
            parameter.grad = None
        loss = backward(self._model, loss_fn, batch)
        if [*map(id, self._present())] != [*map(id, self._tensors)]:
            self._training.give_up("the model replaces a parameter or buffer")
        return loss, [parameter.grad for parameter in self._parameters.values()]

    def _recordable_pass(self, loss_fn: LossFn, batch: Any) -> Pass:
        """Do what `_pass` does on other leaves with the parameters' memory.

        Gradients of the parameters themselves belong to the stream of earlier passes, which a recording must not join.
        """
        leaves = {name: value.detach().requires_grad_(value.requires_grad) for name, value in self._parameters.items()}
        swapped = {f"model.{name}": leaf for name, leaf in leaves.items()}
        with _attributes_kept(self._modules):
            loss = scalar(functional_call(self._skeleton, swapped, (loss_fn, batch)))
        return loss.detach(), [*gradients(loss, leaves).values()]


@contextmanager
def _attributes_kept(modules: list[nn.Module]) -> Iterator[None]:
    """Restore the attributes of modules, such as counters, when the block ends: a recording is not a training pass."""
    held = [(module, dict(vars(module)), dict(module._buffers)) for module in modules]
    try:
        yield
    finally:
        for module, attributes, buffers in held:
            vars(module).update(attributes)
            module._buffers.update(buffers)
