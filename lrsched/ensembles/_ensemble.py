"""Ensemble: K replicas of one model, trained side by side, each with its own learning rate.

A model, a maker of optimizers and batches go in; every call comes back with one result per member. All members' weights
lie in one tensor per parameter, so that a step of all of them costs the calls of a single one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from .._check import choice, integer, items, refuse
from .._functions import LossFn, MakeOptimizer
from ._cuda_graphs import Recordings
from ._optimizers import Part, parts, stack, unfit

Randomness = Literal["same", "different"]
Method = Literal["side by side", "one after another"]  # how several members are trained
Vectorize = bool | Literal["auto"]  # whether members are trained side by side


class Ensemble:
    """K replicas of a model, trained side by side: what each of them would do alone, at its own learning rate.

    A step is the user's optimizer's at the largest learning rate λ, then p ← p_old + lr/λ·(p_new − p_old), which is
    the step at lr where updates are linear in it. The model serves as a skeleton: its own weights stay as they are, and
    its modes (train or eval) are the members'.

    Args:
        model: the module to replicate, or a list of modules of one architecture, one per member.
        make_optimizer: make_optimizer(params) -> optimizer, of exactly one of the types SGD, Adam, AdamW, NAdam,
            RAdam, Adamax, Adagrad, Adadelta, RMSprop; or a list of such functions, one per member: neighbours whose
            optimizers differ in nothing but the lr share one. `params` are those of the first model.
        members: K, an integer ≥ 1.
        randomness: "same" random numbers for all members, those of a single model (dropout, say), or "different".
        record: on a GPU, whether passes are recorded as CUDA graphs after a few calls and replayed from then on. The
            functions given to `step` and `evaluate` must then depend on nothing that changes but the model and the
            batch: `step` raises RuntimeError where it finds, once in 1,000 steps, that this is not so. `unrecorded`
            says why nothing is replayed, if so.

    Raises:
        TypeError: if an argument is of another kind.
        ValueError: if the optimizer cannot serve all members at once, with the reason.

    >>> import torch
    >>> from lrsched import Ensemble
    >>> model = torch.nn.Linear(2, 1)
    >>> ensemble = Ensemble(model, lambda params: torch.optim.SGD(params, lr=1.0), 3)
    >>> batch = torch.eye(2), torch.ones(2, 1)
    >>> losses = ensemble.step(lambda model, batch: ((model(batch[0]) - batch[1]) ** 2).mean(), batch, [0.0, 0.1, 0.2])
    >>> losses.shape, torch.equal(ensemble.state(0)["weight"], model.weight)
    (torch.Size([3]), True)
    """

    def __init__(
        self,
        model: nn.Module | Sequence[nn.Module],
        make_optimizer: MakeOptimizer | Sequence[MakeOptimizer],
        members: int,
        *,
        randomness: Randomness = "same",
        record: bool = False,
    ) -> None:
        self.members = integer("members", members, low=1)
        self._randomness = choice("randomness", randomness, get_args(Randomness))
        models = _models(model, self.members)
        self.model = models[0]
        optimizers = self._made(make_optimizer)
        self._skeleton = _Call(self.model)
        self._parameters = self._stack([dict(each.named_parameters()) for each in models])
        self._buffers = self._stack([dict(each.named_buffers()) for each in models])
        own = dict(zip(self.model.parameters(), self._parameters.values(), strict=True))
        whole = slice(0, self.members)
        several = len(optimizers) > 1
        self._parts = parts(optimizers, self.model, own) if several else [Part(optimizers[0], own, whole)]
        self._recordings = Recordings() if record else None
        if next(self.model.parameters()).device.type == "cpu":
            _keep_freed_memory()

    def step(self, loss_fn: LossFn, batch: Any, lrs: Any, batch_dim: int | None = None) -> Tensor:
        """Train every member on one batch, at its own learning rate; return the losses before the step, shape (K,).

        Args:
            loss_fn: loss_fn(model, batch) -> scalar tensor, written for one member.
            batch: tensors, possibly in tuples, lists or dicts.
            lrs: learning rates ≥ 0, shape (K,) or (K, param groups).
            batch_dim: None, the same batch for every member, or which axis of every tensor of the batch counts members.

        Raises TypeError or ValueError naming the argument, or what torch.func.vmap raises where the forward pass of the
        model cannot be stacked (control flow on data, `.item()`).
        """
        rates = self._checked(lrs)
        losses, gradients, self._buffers = self._call(self._gradients, loss_fn, batch, batch_dim, watch=True)
        for part in self._parts:
            part.step(gradients.values(), rates)
        return torch.clone(losses)

    def gradients(self, loss_fn: LossFn, batch: Any, batch_dim: int | None = None) -> tuple[Any, Any, Any]:
        """Return losses, gradients by parameter and buffers after a pass as `step` takes one, which changes nothing."""
        found: tuple[Any, Any, Any] = self._gradients(loss_fn, batch_dim, self._buffers, batch)
        return found

    @torch.no_grad()
    def evaluate(self, fn: Callable[[Any, Any], Any], batch: Any, batch_dim: int | None = None) -> Any:
        """Return fn(model, batch) of every member, its tensors with a leading members axis, without gradients."""
        result, self._buffers = self._call(self._map, fn, batch, batch_dim, watch=False)
        return tree_map(torch.clone, result)  # it may be overwritten, or be a weight

    @torch.no_grad()
    def keep(self, mask: Any) -> None:
        """Drop the members for which mask, K booleans, is False; the others stay in order."""
        kept = torch.as_tensor(mask, device="cpu")
        if kept.dtype != torch.bool or kept.shape != (self.members,) or not kept.any():
            raise ValueError(f"mask must be {self.members} booleans, one of them True at least, got {mask!r}")
        for parameter in self._parameters.values():
            parameter.data = parameter.data[kept.to(parameter.device)]  # the same object: the parts know it
        start = 0
        for part in self._parts:
            part.keep(kept[part.rows], start)
            start = part.rows.stop
        self._parts = [part for part in self._parts if part.rows.stop > part.rows.start]
        self._buffers = {name: buffer[kept.to(buffer.device)] for name, buffer in self._buffers.items()}
        self.members = int(kept.sum())
        if self._recordings is not None:
            self._recordings.clear()

    @property
    def optimizers(self) -> list[Optimizer]:
        """The optimizers, one for each run of neighbouring members that share one."""
        return [part.optimizer for part in self._parts]

    @property
    def unrecorded(self) -> str | None:
        """Why passes are not replayed as CUDA graphs, or None where they are."""
        return "record is False" if self._recordings is None else self._recordings.problem

    def state(self, i: int) -> dict[str, Any]:
        """Return a copy of member i's weights and buffers, as the model's `state_dict()` names them."""
        named = [*self.model.named_parameters(), *self.model.named_buffers()]
        ours = {id(tensor): {**self._parameters, **self._buffers}[name] for name, tensor in named}
        whole = self.model.state_dict(keep_vars=True)
        return {
            key: ours[id(value)][i].detach().clone() if id(value) in ours else copy.deepcopy(value)
            for key, value in whole.items()
        }

    def _stack(self, named: list[dict[str, Any]]) -> dict[str, Tensor]:
        return {name: stack([each[name] for each in named], self.members) for name in named[0]}

    def _made(self, make_optimizer: Any) -> list[Optimizer]:
        """Return the optimizers of single models: one for all members, or one for each of them."""
        several = isinstance(make_optimizer, (list, tuple))
        makers = make_optimizer if several else [make_optimizer]
        for make in makers:
            if not callable(make):
                refuse("make_optimizer", "a function, or a list of functions, one per member", make_optimizer)
        if several and len(makers) != self.members:
            raise ValueError(f"make_optimizer must be one function or {self.members}, one a member, got {len(makers)}")
        found = [make(list(self.model.parameters())) for make in makers]
        for optimizer in found:
            if reason := unfit(optimizer, self.model):
                raise ValueError(f"make_optimizer: {reason}")
        if len({len(optimizer.param_groups) for optimizer in found}) > 1:
            raise ValueError("make_optimizer: all optimizers must have as many param groups")
        return found

    def _call(self, how: Any, fn: Callable[[Any, Any], Any], batch: Any, batch_dim: int | None, watch: bool) -> Any:
        """Return how(fn, batch_dim, buffers, batch), recorded where wanted."""
        if self._recordings is None:
            return how(fn, batch_dim, self._buffers, batch)
        key = how.__name__, batch_dim, *(module.training for module in self.model.modules())
        return self._recordings(key, fn, partial(how, fn, batch_dim), self._buffers, batch, watch=watch)

    def _gradients(self, loss_fn: LossFn, batch_dim: int | None, buffers: Any, batch: Any) -> Any:
        """Return the members' losses, their gradients by parameter, and the buffers after a forward pass."""
        leaves = {name: value.detach().requires_grad_(value.requires_grad) for name, value in self._parameters.items()}
        losses, buffers = self._map(loss_fn, batch_dim, buffers, batch, leaves)  # new ones: a recording wants them so
        if not isinstance(losses, Tensor) or losses.shape != (self.members,):
            got = f"shape {tuple(losses.shape[1:])}" if isinstance(losses, Tensor) else type(losses).__name__
            raise TypeError(f"loss_fn must return a scalar tensor, got {got}")
        return losses.detach(), gradients(losses.sum(), leaves), buffers

    def _map(self, fn: Any, batch_dim: int | None, buffers: Any, batch: Any, parameters: Any = None) -> Any:
        """Return what fn gives for every member, and the buffers as it leaves them."""
        buffers = {name: buffer.clone() for name, buffer in buffers.items()}  # batch norm writes into them

        def single(tensors: dict[str, Tensor], batch: Any) -> Any:
            held = {f"model.{name}": tensor for name, tensor in tensors.items()}
            result = functional_call(self._skeleton, held, (fn, batch))  # puts replaced buffers into held
            return result, {name: held[f"model.{name}"] for name in buffers}

        with self._layout():
            mapped = vmap(single, in_dims=(0, batch_dim), randomness=self._randomness)
            result, changed = mapped({**(parameters or self._parameters), **buffers}, batch)
        return result, {name: buffer.detach().contiguous() for name, buffer in changed.items()}

    def _layout(self) -> AbstractContextManager[Any]:
        on_cpu = next(iter(self._parameters.values())).device.type == "cpu"
        return _BatchInnermost() if on_cpu else nullcontext()

    def _checked(self, lrs: Any) -> np.ndarray:
        """Return learning rates as an array of shape (members, groups)."""
        rates = np.asarray(lrs.detach().cpu() if isinstance(lrs, Tensor) else lrs, dtype=np.float64)
        groups = len(self._parts[0].optimizer.param_groups)
        if rates.shape == (self.members,):
            rates = np.broadcast_to(rates[:, None], (self.members, groups))
        if rates.shape != (self.members, groups):
            raise ValueError(f"lrs must have shape ({self.members},) or ({self.members}, {groups}), got {rates.shape}")
        if not (np.isfinite(rates) & (rates >= 0)).all():
            raise ValueError(f"lrs must be finite and >= 0, got {rates[~(np.isfinite(rates) & (rates >= 0))][0]}")
        return rates


class _Call(nn.Module):
    """Gives a model to a function of (model, batch) with other weights in it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, fn: Callable[[Any, Any], Any], batch: Any) -> Any:
        return fn(self.model, batch)


class _BatchInnermost(TorchFunctionMode):
    """Keeps the activations of linear layers as (members, features, batch): long rows, which a CPU is fast on."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is functional.linear and len(args) == 3 and not kwargs and args[0].ndim == 2:
            inputs, weight, bias = args
            if max(weight.shape) <= inputs.shape[0]:
                outputs = torch.mm(weight, inputs.t())
                return (outputs if bias is None else outputs.add_(bias[:, None])).t()
        return func(*args, **kwargs)


def _models(model: Any, members: int) -> list[nn.Module]:
    models = [model] if isinstance(model, nn.Module) else items("model", model)
    for each in models:
        if not isinstance(each, nn.Module):
            refuse("model", "a torch.nn.Module or a list of them", each)
        if any(is_lazy(parameter) for parameter in each.parameters()):
            raise ValueError("model is not initialised yet (it has lazy parameters): pass one batch through it first")
    if not isinstance(model, nn.Module) and len(models) != members:
        raise ValueError(f"model must be one module or {members}, one per member, got {len(models)}")
    shapes = [
        {name: value.shape for name, value in [*each.named_parameters(), *each.named_buffers()]} for each in models
    ]
    if any(other != shapes[0] for other in shapes):
        raise ValueError("model must be a list of modules of one architecture: names or shapes of weights differ")
    return models


def gradients(loss: Tensor, parameters: dict[str, Any]) -> dict[str, Tensor | None]:
    """Return the gradient of each parameter by name, laid out as `backward()` leaves it; None where there is none."""
    trained = {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}
    found = torch.autograd.grad(loss, list(trained.values()), allow_unused=True)
    result: dict[str, Tensor | None] = dict.fromkeys(parameters)
    places = set()
    for (name, parameter), gradient in zip(trained.items(), found, strict=True):
        if gradient is not None:
            place = gradient.untyped_storage().data_ptr()
            if place in places or gradient.stride() != parameter.stride():  # optimizers may write into it, or assume it
                gradient = torch.empty_like(parameter).copy_(gradient)
            places.add(place)
        result[name] = gradient
    return result


def _keep_freed_memory() -> None:
    """Let the C library keep up to 64 MB that were freed: by default it hands activations back at each step.

    Getting them again, page by page, took a third of a step. glibc raises its limits to twice the largest block freed,
    of 32 MB at most; others are not affected.
    """
    torch.empty(2**25 - 2**13, dtype=torch.uint8)
