"""Ensemble: K copies of one model, trained side by side as one batched model, each at its own learning rate."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.utils._pytree import tree_map

from .._check import choice, integer, items, refuse, shown
from .._functions import LossFn, MakeOptimizer, described
from ._cuda_graphs import Recordings
from ._optimizers import Part, parts, stack, unfit
from ._passes import Skeleton, gradients, keep_freed_memory, stackable_calls

Randomness = Literal["same", "different"]  # whether all members draw the same random numbers
Vectorize = bool | Literal["auto"]  # whether several members are trained side by side
Method = Literal["side by side", "one after another"]  # how several members were trained

Tensors = dict[str, Tensor]  # stacked parameters or buffers, by the model's names
Pass = tuple[Tensor, dict[str, Tensor | None], Tensors]  # losses, gradients and buffers


class Ensemble:
    """Trains K copies of a model side by side; each does what a single model would do at the same learning rate.

    The weights, buffers and optimizer state of all members are stacked in tensors of shape (K, …), so a step of all
    members takes no more operations than a step of one model. The optimizer steps once, at λ, the
    largest learning rate of any member (in each param group). A member with learning rate η then gets

        p ← p_old + (η / λ) · (p_new − p_old),

    which equals a step at η, because the updates of the optimizers listed below are linear in the learning rate.

        ensemble = Ensemble(model, make_optimizer, 3)
        for batch in batches:
            losses = ensemble.step(loss_fn, batch, [1e-3, 1e-2, 1e-1])  # shape (3,)
        model.load_state_dict(ensemble.state(int(losses.argmin())))

    The model itself is never trained: members start from copies of its weights. They run in its modes, so
    `model.train()` and `model.eval()` set them for all members.

    Args:
        model: the module to copy, or a list of K modules of one architecture, one per member.
        make_optimizer: make_optimizer(params) -> SGD, Adam, AdamW, NAdam, RAdam, Adamax, Adagrad, Adadelta or RMSprop,
            not a subclass; or a list of K such functions, one per member. All optimizers must have the same number of
            param groups; neighbouring members whose optimizers differ only in lr share one. `params` are the parameters
            of the (first) model.
        members: K, an integer ≥ 1.
        randomness: "same" if every member draws the random numbers (of dropout, for example) that a single model would
            draw, or "different" if each draws its own.
        record: whether passes on a GPU are recorded as CUDA graphs after a few calls and replayed from then on. The
            functions given to `step` and `evaluate` must then depend on nothing that changes except the model and the
            batch; `step` checks this once in 1,000 steps. `unrecorded` says why nothing is replayed.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if a list does not have K items, if the models differ in architecture or are not initialised yet, or
            if the optimizer cannot serve stacked members; the message says why.

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
        optimizers = _optimizers(make_optimizer, self.model, self.members)
        self._skeleton = Skeleton(self.model)
        self._parameters = self._stacked([dict(each.named_parameters()) for each in models])
        self._buffers = self._stacked([dict(each.named_buffers()) for each in models])
        self._device = next(iter(self._parameters.values())).device
        own = dict(zip(self.model.parameters(), self._parameters.values(), strict=True))
        if len(optimizers) == 1:
            self._parts = [Part(optimizers[0], own, slice(0, self.members))]
        else:
            self._parts = parts(optimizers, self.model, own)
        self._recordings = Recordings() if record else None
        self._mean: Tensors | None = None
        self._averaged = 0  # steps that the mean holds
        if self._device.type == "cpu":
            keep_freed_memory()

    def step(self, loss_fn: LossFn, batch: Any, lrs: ArrayLike | Tensor, batch_dim: int | None = None) -> Tensor:
        """Train every member on one batch, at its own learning rate; return the losses before the step, shape (K,).

        Args:
            loss_fn: loss_fn(model, batch) -> scalar tensor, written for a single model.
            batch: a tensor, or tensors in tuples, lists or dicts.
            lrs: learning rates ≥ 0, shape (K,) or (K, param groups).
            batch_dim: None if all members get the same batch; otherwise the axis of every tensor of the batch that
                counts members.

        Raises:
            TypeError: if `loss_fn` does not return a scalar tensor.
            ValueError: if `lrs` has another shape, or a rate is negative or not finite.
            RuntimeError: from torch.func.vmap if the forward pass cannot be stacked (control flow that depends on data,
                `.item()`); with `record`, if `loss_fn` depends on more than the model and the batch.
        """
        rates = self._rates(lrs)
        losses, grads, self._buffers = self._call(self._losses_and_gradients, loss_fn, batch, batch_dim, watch=True)
        for part in self._parts:
            part.step(grads.values(), rates)
        if self._mean is not None:
            self._averaged += 1
            for name, mean in self._mean.items():
                mean.lerp_(self._parameters[name].detach(), 1 / self._averaged)
        return torch.clone(losses)

    def gradients(self, loss_fn: LossFn, batch: Any, batch_dim: int | None = None) -> Pass:
        """Return the losses, gradients by name and buffers that a training pass of `step` gives, but change nothing."""
        return self._losses_and_gradients(loss_fn, batch_dim, self._buffers, batch)

    @torch.no_grad()
    def evaluate(self, fn: Callable[[Any, Any], Any], batch: Any, batch_dim: int | None = None) -> Any:
        """Return fn(model, batch) for all members: its tensors, without gradients, get a leading axis of size K."""
        result, self._buffers = self._call(self._map, fn, batch, batch_dim, watch=False)
        return tree_map(torch.clone, result)  # a replay overwrites its outputs, and fn may return a weight itself

    def start_average(self) -> None:
        """Start a new running mean of each member's weights, over the weights after each step from now on.

        A mean over the last part of a training imitates a decayed learning rate; `averaged()` uses it.
        """
        self._averaged = 0
        self._mean = {name: value.detach().clone() for name, value in self._parameters.items() if value.requires_grad}

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within the block, members have their mean weights since `start_average()`, and the buffers they have now.

        Use it to evaluate: `with ensemble.averaged(): losses = ensemble.evaluate(loss_fn, batch)`. Raises RuntimeError
        if no step was taken since `start_average()`.
        """
        if self._mean is None or not self._averaged:
            raise RuntimeError("averaged() needs a step after start_average(), got none: call start_average() first")
        with torch.no_grad():
            present = {name: self._parameters[name].detach().clone() for name in self._mean}
            try:
                self._write(self._mean)  # into the same memory, which recorded passes read
                yield
            finally:
                self._write(present)

    @torch.no_grad()
    def keep(self, mask: ArrayLike | Tensor) -> None:
        """Drop the members for which `mask` is False; the others stay in order.

        Raises ValueError unless `mask` is K booleans with at least one True.
        """
        kept = torch.as_tensor(mask, device="cpu")
        if kept.dtype != torch.bool or kept.shape != (self.members,) or not kept.any():
            raise ValueError(f"mask must be {self.members} booleans with at least one True, got {mask!r}")
        for parameter in self._parameters.values():
            parameter.data = parameter.data[kept.to(parameter.device)]  # in place: the parts hold this object
        start = 0
        for part in self._parts:
            part.keep(kept[part.rows], start)
            start = part.rows.stop
        self._parts = [part for part in self._parts if part.rows.stop > part.rows.start]
        self._buffers = {name: buffer[kept.to(buffer.device)] for name, buffer in self._buffers.items()}
        if self._mean is not None:
            self._mean = {name: mean[kept.to(mean.device)] for name, mean in self._mean.items()}
        self.members = int(kept.sum())
        if self._recordings is not None:
            self._recordings.clear()

    @property
    def optimizers(self) -> list[Optimizer]:
        """The optimizers, one for each group of neighbouring members that share one."""
        return [part.optimizer for part in self._parts]

    @property
    def unrecorded(self) -> str | None:
        """Why passes are not replayed as CUDA graphs, or None if they are."""
        return "record=False" if self._recordings is None else self._recordings.problem

    def state(self, i: int) -> dict[str, Any]:
        """Return a copy of member i's weights and buffers, under the names of the model's `state_dict()`."""
        named = [*self.model.named_parameters(), *self.model.named_buffers()]
        stacked = {**self._parameters, **self._buffers}
        places = {id(tensor): stacked[name] for name, tensor in named}
        return {
            key: places[id(value)][i].detach().clone() if id(value) in places else copy.deepcopy(value)
            for key, value in self.model.state_dict(keep_vars=True).items()
        }

    def tensors(self, i: int) -> dict[str, Tensor]:
        """Return copies of all parameters and buffers of member i, by name, those outside `state_dict()` included."""
        return {name: each[i].detach().clone() for name, each in {**self._parameters, **self._buffers}.items()}

    def buffers(self, i: int) -> dict[str, Tensor]:
        """Return copies of the buffers of member i, by name, those outside `state_dict()` included."""
        return {name: each[i].detach().clone() for name, each in self._buffers.items()}

    def optimizer_state(self, i: int) -> dict[str, Any]:
        """Return a copy of member i's optimizer state: what its own optimizer's `state_dict()` would hold.

        Load it into `make_optimizer(params)` to train the member alone, from `state(i)`. Its learning rates are those
        of the member's last step.
        """
        i = range(self.members)[i]
        part = next(part for part in self._parts if i < part.rows.stop)
        return part.state(i - part.rows.start)

    def _write(self, weights: Tensors) -> None:
        for name, value in weights.items():
            self._parameters[name].data.copy_(value)

    def _stacked(self, named: list[Tensors]) -> Tensors:
        return {name: stack([each[name] for each in named], self.members) for name in named[0]}

    def _call(
        self,
        run: Callable[..., Any],
        fn: Callable[[Any, Any], Any],
        batch: Any,
        batch_dim: int | None,
        watch: bool,
    ) -> Any:
        """Return run(fn, batch_dim, buffers, batch), replayed from a recording if `record` is set."""
        if self._recordings is None:
            return run(fn, batch_dim, self._buffers, batch)
        key = run.__name__, batch_dim, *(module.training for module in self.model.modules())
        return self._recordings(key, fn, partial(run, fn, batch_dim), self._buffers, batch, watch=watch)

    def _losses_and_gradients(self, loss_fn: LossFn, batch_dim: int | None, buffers: Tensors, batch: Any) -> Pass:
        """Return the members' losses, their gradients by name, and the buffers after a forward pass."""
        leaves = {name: value.detach().requires_grad_(value.requires_grad) for name, value in self._parameters.items()}
        losses, buffers = self._map(loss_fn, batch_dim, buffers, batch, leaves)  # each recording needs its own leaves
        if not isinstance(losses, Tensor) or losses.shape != (self.members,):
            got = described(losses[0] if isinstance(losses, Tensor) else losses)
            raise TypeError(f"loss_fn must return a scalar tensor, got {got}")
        return losses.detach(), gradients(losses.sum(), leaves), buffers

    def _map(
        self,
        fn: Callable[[Any, Any], Any],
        batch_dim: int | None,
        buffers: Tensors,
        batch: Any,
        parameters: Tensors | None = None,
    ) -> tuple[Any, Tensors]:
        """Return fn(model, batch) for all members, and their buffers after it."""
        buffers = {name: buffer.clone() for name, buffer in buffers.items()}  # batch norm writes into them

        def single(tensors: Tensors, batch: Any) -> tuple[Any, Tensors]:
            held = {f"model.{name}": tensor for name, tensor in tensors.items()}
            result = functional_call(self._skeleton, held, (fn, batch))  # puts replaced buffers into `held`
            return result, {name: held[f"model.{name}"] for name in buffers}

        with stackable_calls(self.model, self._device):
            mapped = vmap(single, in_dims=(0, batch_dim), randomness=self._randomness)
            result, changed = mapped({**(parameters or self._parameters), **buffers}, batch)
        return result, {name: buffer.detach().contiguous() for name, buffer in changed.items()}

    def _rates(self, lrs: ArrayLike | Tensor) -> np.ndarray:
        """Return learning rates as an array of shape (members, param groups)."""
        rates = np.asarray(lrs.detach().cpu() if isinstance(lrs, Tensor) else lrs, dtype=np.float64)
        groups = len(self._parts[0].optimizer.param_groups)
        if rates.shape == (self.members,):
            rates = np.broadcast_to(rates[:, None], (self.members, groups))
        if rates.shape != (self.members, groups):
            raise ValueError(f"lrs must have shape ({self.members},) or ({self.members}, {groups}), got {rates.shape}")
        legal = np.isfinite(rates) & (rates >= 0)
        if not legal.all():
            raise ValueError(f"lrs must be finite and >= 0, got {rates[~legal][0]}")
        return rates


def check_vectorize(vectorize: object) -> None:
    """Raise TypeError or ValueError unless the value is "auto", True or False."""
    if isinstance(vectorize, bool) or (isinstance(vectorize, str) and vectorize == "auto"):
        return
    kind = ValueError if isinstance(vectorize, str) else TypeError
    raise kind(f"vectorize must be one of 'auto', True, False, got {shown(vectorize)}")


def _models(model: nn.Module | Sequence[nn.Module], members: int) -> list[nn.Module]:
    """Return one model for all members, or a list of one for each."""
    models = [model] if isinstance(model, nn.Module) else items("model", model)
    for each in models:
        if not isinstance(each, nn.Module):
            refuse("model", "a torch.nn.Module or a list of them", each)
        if any(is_lazy(parameter) for parameter in each.parameters()):
            raise ValueError("model is not initialised yet (it has lazy parameters): pass one batch through it first")
    if not isinstance(model, nn.Module) and len(models) != members:
        got = f"a list of {len(models)}"
        raise ValueError(f"model must be one module or a list of {members}, one per member, got {got}")
    first, *others = [_shapes(each) for each in models]
    if any(other != first for other in others):
        raise ValueError(
            "model: all modules of the list must have the same architecture, got other names, shapes or frozen weights"
        )
    return models


def _shapes(model: nn.Module) -> dict[str, tuple[torch.Size, bool]]:
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return {name: (value.shape, value.requires_grad) for name, value in tensors}


def _optimizers(make_optimizer: Any, model: nn.Module, members: int) -> list[Optimizer]:
    """Return one optimizer for all members, or a list of one for each. Each still has the model's own parameters."""
    several = isinstance(make_optimizer, (list, tuple))
    makers = make_optimizer if several else [make_optimizer]
    for make in makers:
        if not callable(make):
            refuse("make_optimizer", "a function, or a list of functions, one per member", make_optimizer)
    if several and len(makers) != members:
        got = f"a list of {len(makers)}"
        raise ValueError(f"make_optimizer must be one function or a list of {members}, one per member, got {got}")
    optimizers = [make(list(model.parameters())) for make in makers]
    for optimizer in optimizers:
        if reason := unfit(optimizer, model):
            raise ValueError(f"make_optimizer: {reason}")
    groups = [len(optimizer.param_groups) for optimizer in optimizers]
    if len(set(groups)) > 1:
        raise ValueError(f"make_optimizer: all optimizers must have the same number of param groups, got {groups}")
    return optimizers
