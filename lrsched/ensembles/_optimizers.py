"""One optimizer for many members: stacked tensors in its parameters' places, a learning rate for each member.

Ordinary optimizers go in; out come copies for tensors of shape (members, …), or the reason why there can be none.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, NAdam, Optimizer, RAdam, RMSprop

# Their update is linear in the learning rate and goes element by element. Subclasses may do anything else; Adafactor,
# ASGD and Rprop look linear over one step and are not.
STACKABLE = (SGD, Adam, AdamW, NAdam, RAdam, Adamax, Adagrad, Adadelta, RMSprop)
_COUNTERS = ("step", "mu_product")  # their state that all members share


def unfit(optimizer: object, model: nn.Module) -> str | None:
    """Return why one optimizer object cannot serve all members, or None."""
    if type(optimizer) not in STACKABLE:
        names = ", ".join(kind.__name__ for kind in STACKABLE)
        return f"{type(optimizer).__name__} is not exactly one of {names}"
    assert isinstance(optimizer, Optimizer)
    known = set(model.parameters())
    if not all(parameter in known for group in optimizer.param_groups for parameter in group["params"]):
        return "the optimizer has parameters that are not the model's"
    if not any(parameter.requires_grad for group in optimizer.param_groups for parameter in group["params"]):
        return "the optimizer has no trainable parameters"
    if "step" in vars(optimizer) or optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:
        return "the optimizer's step() has been replaced or has hooks"
    if any(parameter._backward_hooks or parameter._post_accumulate_grad_hooks for parameter in known):
        return "a parameter has gradient hooks, which stacked gradients would pass by"
    return None


def options(optimizer: Optimizer) -> list[dict[str, Any]]:
    """Return what the param groups say besides their parameters and learning rates."""
    return [
        {name: value for name, value in group.items() if name not in ("params", "lr", "initial_lr")}
        for group in optimizer.param_groups
    ]


def kind(optimizer: Optimizer, model: nn.Module) -> str:
    """Return what must be the same for members that share an optimizer: all of it but the learning rates."""
    places = {parameter: i for i, parameter in enumerate(model.parameters())}
    groups = [[places[parameter] for parameter in group["params"]] for group in optimizer.param_groups]
    return f"{type(optimizer).__module__}.{type(optimizer).__qualname__} {options(optimizer)} {groups}"


class Part:
    """Neighbouring members and the optimizer that they share, whose parameters are their rows of the stacked ones."""

    def __init__(self, optimizer: Optimizer, parameters: dict[Any, Tensor], rows: slice) -> None:
        self.rows = rows
        self._whole = [*parameters.values()]
        views = {old: whole.detach()[rows].requires_grad_(whole.requires_grad) for old, whole in parameters.items()}
        self._views = [*views.values()]
        self.optimizer = transplant(optimizer, views, lambda value: stack([value], rows.stop - rows.start))

    def step(self, gradients: Iterable[Tensor | None], rates: np.ndarray) -> None:
        """Take a step with the gradients of all members, one for each parameter, at these members' rates."""
        for view, gradient in zip(self._views, gradients, strict=True):
            view.grad = None if gradient is None else gradient[self.rows]
        step_members(self.optimizer, rates[self.rows])

    def keep(self, kept: Tensor, start: int) -> None:
        """Drop members, once the stacked parameters have: `kept` says which of these stay, `start` where they begin."""
        self.rows = slice(start, start + int(kept.sum()))
        for view, whole in zip(self._views, self._whole, strict=True):
            shape, chosen = view.shape, kept.to(view.device)
            held = self.optimizer.state.get(view, {})
            for key, value in held.items():
                if isinstance(value, Tensor) and value.shape == shape:
                    held[key] = value[chosen]
            view.grad = None
            view.data = whole.detach()[self.rows]  # the same object: the optimizer knows it


def parts(optimizers: list[Optimizer], model: nn.Module, stacked: dict[Any, Tensor]) -> list[Part]:
    """Return the parts of the stacked parameters, by the model's, where each member has one of these optimizers.

    Neighbours whose optimizers are of one kind, and in one state, share the first one's.
    """
    kinds = [kind(optimizer, model) for optimizer in optimizers]
    starts = [0]
    for i in range(1, len(optimizers)):
        first = starts[-1]
        if kinds[i] != kinds[first] or not _same_state(optimizers[i], optimizers[first]):
            starts.append(i)
    ends = [*starts[1:], len(optimizers)]
    return [Part(optimizers[start], stacked, slice(start, end)) for start, end in zip(starts, ends, strict=True)]


def _same_state(one: Optimizer, other: Optimizer) -> bool:
    states = [
        [each.state.get(parameter, {}) for group in each.param_groups for parameter in group["params"]]
        for each in (one, other)
    ]
    return all(
        ours.keys() == theirs.keys() and all(torch.equal(*map(torch.as_tensor, (ours[k], theirs[k]))) for k in ours)
        for ours, theirs in zip(*states, strict=True)
    )


def stack(tensors: list[Tensor], members: int) -> Tensor:
    """Return a leaf of shape (members, …): the tensors given, or one of them for all."""
    first = tensors[0]
    values = [tensor.detach() for tensor in tensors]
    whole = torch.stack(values) if len(values) > 1 else values[0].expand(members, *first.shape).clone()
    return whole.requires_grad_(first.requires_grad)


def transplant(optimizer: Optimizer, places: dict[Any, Tensor], change: Callable[[Tensor], Tensor]) -> Optimizer:
    """Return a copy of an optimizer for other tensors in its parameters' places, with its state changed like them.

    The groups keep their options; an optimizer made for the other tensors could see other dimensions in them.
    """
    other = copy.deepcopy(optimizer, {id(old): new for old, new in places.items()})
    for group in other.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"] = group["lr"].clone()  # groups that were given one tensor have rates of their own here
    for parameter in places.values():
        held = other.state.get(parameter, {})
        for key, value in held.items():
            if isinstance(value, Tensor) and key not in _COUNTERS:
                held[key] = change(value)
    return other


def step_members(optimizer: Optimizer, rates: np.ndarray) -> None:
    """Take the optimizer's step for stacked parameters, at rates of shape (members, groups)."""
    before: list[tuple[Tensor, Tensor, Tensor]] = []
    for group, column in zip(optimizer.param_groups, rates.T, strict=True):
        most = column.max()
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(most)
        else:
            group["lr"] = float(most)
        if (column == most).all():
            continue
        moving = [parameter for parameter in group["params"] if parameter.grad is not None]
        for parameter in moving:
            weight = _shares((column / most).tobytes(), parameter.device, parameter.dtype)
            weight = weight.view(-1, *[1] * (parameter.ndim - 1))
            before.append((parameter.detach(), parameter.detach().clone(), weight))
    optimizer.step()
    for parameter, old, weight in before:
        torch.lerp(old, parameter, weight, out=parameter)


@lru_cache(maxsize=64)
def _shares(shares: bytes, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return float64 numbers as a tensor; kept, since rates rarely change and a GPU would wait for each copy."""
    return torch.from_numpy(np.frombuffer(shares).copy()).to(device, dtype)


def other_update(optimizer: Optimizer) -> str | None:
    """Return why stacked parameters would be updated in another way than single ones, or None.

    A corner of each parameter stands for it: the updates of these optimizers go element by element.
    """
    rates, generator = (1.0, 0.3), torch.Generator().manual_seed(0)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    corners = {parameter: _corner(parameter) for parameter in parameters}
    alone = [{old: new.clone().requires_grad_() for old, new in corners.items()} for _ in rates]
    pairs = {old: stack([new], len(rates)).requires_grad_() for old, new in corners.items()}
    singles = [transplant(optimizer, places, _corner) for places in alone]
    stacked = transplant(optimizer, pairs, lambda value: stack([_corner(value)], len(rates)))
    groups = len(optimizer.param_groups)
    for _ in range(3):
        for old, pair in pairs.items():
            pair.grad = torch.randn(pair.shape, generator=generator, dtype=pair.dtype).to(pair.device)
            for places, gradient in zip(alone, pair.grad, strict=True):
                places[old].grad = gradient.clone()
        step_members(stacked, np.tile(rates, (groups, 1)).T)
        for each, rate in zip(singles, rates, strict=True):
            step_members(each, np.full((1, groups), rate))
    for old, pair in pairs.items():
        if not torch.allclose(pair, torch.stack([places[old] for places in alone]), rtol=1e-6, atol=1e-7):
            return f"{type(optimizer).__name__} updates stacked parameters in another way than single ones"
    return None


def _corner(tensor: Tensor) -> Tensor:
    """Return the first elements along every axis, in double precision."""
    return tensor.detach()[tuple(slice(2) for _ in tensor.shape)].to(torch.promote_types(tensor.dtype, torch.float64))
