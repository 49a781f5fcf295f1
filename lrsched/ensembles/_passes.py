"""Forward and backward passes through a model whose weights are stacked, and what makes them fast on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class Skeleton(nn.Module):
    """Calls fn(model, batch) as its forward pass, so that `functional_call` can swap the model's weights."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, fn: Callable[[Any, Any], Any], batch: Any) -> Any:
        return fn(self.model, batch)


def gradients(loss: Tensor, parameters: Mapping[str, Tensor]) -> dict[str, Tensor | None]:
    """Return each parameter's gradient by name, laid out in memory as `backward()` leaves it; None if it has none."""
    trained = {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}
    found = torch.autograd.grad(loss, list(trained.values()), allow_unused=True)
    result: dict[str, Tensor | None] = dict.fromkeys(parameters)
    places = set()
    for (name, parameter), gradient in zip(trained.items(), found, strict=True):
        if gradient is not None:
            place = gradient.untyped_storage().data_ptr()
            # Some optimizers write into gradients, so two of them must not share memory; some assume equal strides.
            if place in places or gradient.stride() != parameter.stride():
                gradient = torch.empty_like(parameter).copy_(gradient)
            places.add(place)
        result[name] = gradient
    return result


def stackable_calls(model: nn.Module, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which stacked passes of a model run, and run fastest, on a device."""
    if device.type == "cpu":
        return _BatchInnermost()
    pools = any(isinstance(module, nn.AdaptiveAvgPool2d) for module in model.modules())
    return _GlobalPooling() if pools else nullcontext()


class _GlobalPooling(TorchFunctionMode):
    """Computes global average pooling as the mean that it is.

    torch computes it so too, but then sets strides in place if images are channels last, which vmap cannot.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is functional.adaptive_avg_pool2d and len(args) == 2 and args[1] in (1, (1, 1), [1, 1]):
            return torch.mean(args[0], (-2, -1), keepdim=True)
        return func(*args, **kwargs)


class _BatchInnermost(_GlobalPooling):
    """Also keeps the activations of linear layers as (members, features, batch): long rows are faster on a CPU."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is functional.linear and len(args) == 3 and not kwargs and args[0].ndim == 2:
            inputs, weight, bias = args
            if max(weight.shape) <= inputs.shape[0]:
                outputs = torch.mm(weight, inputs.t())
                return (outputs if bias is None else outputs.add_(bias[:, None])).t()
        return super().__torch_function__(func, types, args, kwargs)


def keep_freed_memory() -> None:
    """Make the C library keep up to 64 MB of freed memory instead of returning activations to the system at each step.

    Getting that memory back, page by page, took a third of a step. glibc raises its thresholds to match the largest
    block freed, up to 32 MB; other C libraries are not affected.
    """
    torch.empty(2**25 - 2**13, dtype=torch.uint8)
