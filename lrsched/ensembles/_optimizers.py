"""One optimizer for many stacked members, each with its own learning rate.

A copy of an ordinary optimizer gets parameters of shape (members, …), unless there is a reason why that fails.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, NAdam, Optimizer, RAdam, RMSprop

from ._same import same

# These update element by element and linearly in the learning rate. Subclasses may do anything else; Adafactor, ASGD
# and Rprop look linear over one step but are not.
STACKABLE = (SGD, Adam, AdamW, NAdam, RAdam, Adamax, Adagrad, Adadelta, RMSprop)
_COUNTERS = ("step", "mu_product")  # state that all members share, so it is not stacked

Places = Mapping[nn.Parameter, Tensor]  # a single model's parameters -> the tensors that take their places


def unfit(optimizer: Optimizer, model: nn.Module) -> str | None:
    """Return why one optimizer cannot serve all members, or None."""
    if type(optimizer) not in STACKABLE:
        names = ", ".join(kind.__name__ for kind in STACKABLE)
        return f"{type(optimizer).__name__} is not exactly one of {names}"
    known = set(model.parameters())
    parameters = _parameters(optimizer)
    if not known.issuperset(parameters):
        return "the optimizer has parameters that do not belong to the model"
    if not any(parameter.requires_grad for parameter in parameters):
        return "the optimizer has no trainable parameters"
    if "step" in vars(optimizer) or optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:
        return "the optimizer's step() has been replaced or has hooks"
    if any(parameter._backward_hooks or parameter._post_accumulate_grad_hooks for parameter in known):
        return "a parameter has gradient hooks, which stacked gradients would bypass"
    return None


def options(optimizer: Optimizer) -> list[dict[str, Any]]:
    """Return the options of each param group, without its parameters and learning rates."""
    return [
        {name: value for name, value in group.items() if name not in ("params", "lr", "initial_lr")}
        for group in optimizer.param_groups
    ]


def kind(optimizer: Optimizer, model: nn.Module) -> str:
    """Return a text that is the same for optimizers that differ only in their learning rates and state."""
    places = {parameter: i for i, parameter in enumerate(model.parameters())}
    groups = [[places[parameter] for parameter in group["params"]] for group in optimizer.param_groups]
    return f"{type(optimizer).__module__}.{type(optimizer).__qualname__} {options(optimizer)} {groups}"


def _parameters(optimizer: Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


class Part:
    """Neighbouring members that share an optimizer. Its parameters are their rows of the stacked parameters."""

    def __init__(self, optimizer: Optimizer, parameters: Places, rows: slice) -> None:
        self.rows = rows
        self._whole = [*parameters.values()]
        views = {old: whole.detach()[rows].requires_grad_(whole.requires_grad) for old, whole in parameters.items()}
        self._views = [*views.values()]
        self.optimizer = transplant(optimizer, views, lambda value: stack([value], rows.stop - rows.start))
        self._rates: np.ndarray | None = None  # of the last step, shape (members, param groups)

    def step(self, gradients: Iterable[Tensor | None], rates: np.ndarray) -> None:
        """Take a step. `gradients` (one per parameter) and `rates` are those of all members of the ensemble."""
        for view, gradient in zip(self._views, gradients, strict=True):
            view.grad = None if gradient is None else gradient[self.rows]
        self._rates = rates[self.rows]
        step_members(self.optimizer, self._rates)

    def state(self, row: int) -> dict[str, Any]:
        """Return a copy of the state dict that the member in a row would have with an optimizer of its own."""
        packed = self.optimizer.state_dict()
        views = _parameters(self.optimizer)
        states = {
            i: {
                name: value[row].clone() if _is_stacked(value, views[i]) else copy.deepcopy(value)
                for name, value in state.items()
            }
            for i, state in packed["state"].items()
        }
        groups = copy.deepcopy(packed["param_groups"])
        if self._rates is not None:
            for group, rate in zip(groups, self._rates[row].tolist(), strict=True):
                group["lr"] = group["lr"].fill_(rate) if isinstance(group["lr"], Tensor) else rate
        return {"state": states, "param_groups": groups}

    def keep(self, kept: Tensor, start: int) -> None:
        """Drop members that the stacked parameters have already lost.

        `kept` says which of this part's members stay; `start` is the new row of the first of them.
        """
        self.rows = slice(start, start + int(kept.sum()))
        if self._rates is not None:
            self._rates = self._rates[kept.numpy()]
        for view, whole in zip(self._views, self._whole, strict=True):
            state, chosen = self.optimizer.state.get(view, {}), kept.to(view.device)
            for key, value in [*state.items()]:
                if _is_stacked(value, view):
                    state[key] = value[chosen]
            view.grad = None
            view.data = whole.detach()[self.rows]  # in place: the optimizer holds this object


def _is_stacked(value: object, view: Tensor) -> bool:
    """Return whether a value of an optimizer's state has a row per member, as the view of a parameter has."""
    return isinstance(value, Tensor) and value.shape == view.shape


def parts(optimizers: list[Optimizer], model: nn.Module, stacked: Places) -> list[Part]:
    """Return the parts of an ensemble; `optimizers` has one optimizer per member.

    Neighbours whose optimizers have the same kind and state share the first of these.
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
    """Return whether two optimizers of one kind hold exactly the same state."""
    for mine, yours in zip(_parameters(one), _parameters(other), strict=True):
        state, other_state = one.state.get(mine, {}), other.state.get(yours, {})
        if state.keys() != other_state.keys():
            return False
        for name, value in state.items():
            if not torch.equal(torch.as_tensor(value), torch.as_tensor(other_state[name])):
                return False
    return True


def stack(tensors: list[Tensor], members: int) -> Tensor:
    """Return a leaf of shape (members, …): the tensors, one per member, or a single one repeated for all members."""
    first = tensors[0]
    values = [tensor.detach() for tensor in tensors]
    whole = torch.stack(values) if len(values) > 1 else values[0].expand(members, *first.shape).clone()
    return whole.requires_grad_(first.requires_grad)


def transplant(optimizer: Optimizer, places: Places, change: Callable[[Tensor], Tensor]) -> Optimizer:
    """Return a copy of an optimizer with other tensors in its parameters' places, and `change` applied to its state.

    A copy keeps the options of the param groups. A new optimizer might choose others for the new tensors' shapes.
    """
    other = copy.deepcopy(optimizer, {id(old): new for old, new in places.items()})
    for group in other.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"] = group["lr"].clone()  # groups that shared one tensor get separate learning rates
    for parameter in places.values():
        state = other.state.get(parameter, {})
        for name, value in [*state.items()]:
            if isinstance(value, Tensor) and name not in _COUNTERS:
                state[name] = change(value)
    return other


def step_members(optimizer: Optimizer, rates: np.ndarray) -> None:
    """Take the optimizer's step for stacked parameters, at rates of shape (members, param groups).

    The optimizer steps at the largest rate λ of each group; then p ← p_old + (η / λ)·(p_new − p_old) at rate η.
    """
    slower: list[tuple[Tensor, Tensor, Tensor]] = []  # parameter, its value before the step, η / λ
    for group, column in zip(optimizer.param_groups, rates.T, strict=True):
        largest = column.max()
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(largest)
        else:
            group["lr"] = float(largest)
        if (column == largest).all():
            continue
        shares = (column / largest).tobytes()
        for parameter in group["params"]:
            if parameter.grad is not None:
                weight = _on_device(shares, parameter.device, parameter.dtype)
                weight = weight.view(-1, *[1] * (parameter.ndim - 1))
                slower.append((parameter.detach(), parameter.detach().clone(), weight))
    optimizer.step()
    for parameter, old, weight in slower:
        torch.lerp(old, parameter, weight, out=parameter)


@lru_cache(maxsize=64)
def _on_device(numbers: bytes, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return float64 numbers as a tensor. Cached, because rates rarely change and each copy makes a GPU wait."""
    return torch.from_numpy(np.frombuffer(numbers).copy()).to(device, dtype)


def other_update(optimizer: Optimizer) -> str | None:
    """Return why stacked parameters would be updated differently from single ones, or None.

    Three steps with random gradients are taken at two rates. A corner of each parameter is enough, because updates are
    element by element.
    """
    rates = 1.0, 0.3
    corners = {parameter: _corner(parameter) for parameter in _parameters(optimizer)}
    alone = [{old: new.clone().requires_grad_() for old, new in corners.items()} for _ in rates]
    pairs = {old: stack([new], len(rates)).requires_grad_() for old, new in corners.items()}
    singles = [transplant(optimizer, places, _corner) for places in alone]
    stacked = transplant(optimizer, pairs, lambda value: stack([_corner(value)], len(rates)))
    groups = len(optimizer.param_groups)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        for old, pair in pairs.items():
            pair.grad = torch.randn(pair.shape, generator=generator, dtype=pair.dtype).to(pair.device)
            for places, gradient in zip(alone, pair.grad, strict=True):
                places[old].grad = gradient.clone()
        step_members(stacked, np.tile(rates, (groups, 1)).T)
        for each, rate in zip(singles, rates, strict=True):
            step_members(each, np.full((1, groups), rate))
    for old, pair in pairs.items():
        found, expected = _reals(pair), _reals(torch.stack([places[old] for places in alone]))
        if not same(found, expected, per="element", relative=1e-6, absolute=1e-7):
            return f"{type(optimizer).__name__} updates stacked parameters differently from single ones"
    return None


def _corner(tensor: Tensor) -> Tensor:
    """Return the first two elements along every axis, in double precision."""
    return tensor.detach()[tuple(slice(2) for _ in tensor.shape)].to(torch.promote_types(tensor.dtype, torch.float64))


def _reals(tensor: Tensor) -> Tensor:
    """Return complex numbers as pairs of real ones."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor
