"""Ensemble: K replicas of one model, trained side by side, each with its own learning rate.

A model, a maker of optimizers and batches go in; every call comes back with one result per member. All members' weights
lie in one tensor per parameter, so that a step of all of them costs the calls of a single one.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.overrides import TorchFunctionMode

from ._check import choice, integer, items, refuse
from ._stacked import other_update, stack, step_members, transplant, unfit

MakeOptimizer = Callable[[list[nn.Parameter]], Optimizer]
LossFn = Callable[[Any, Any], Tensor]

_WORTH = 150_000  # parameters; see `unprofitable`


class Ensemble:
    """K replicas of a model, trained side by side: what each of them would do alone, at its own learning rate.

    A step is the user's optimizer's at the largest learning rate λ, then p ← p_old + lr/λ·(p_new − p_old), which is
    the step at lr where updates are linear in it. The model serves as a skeleton: its own weights stay as they are, and
    its modes (train or eval) are the members'.

    Args:
        model: the module to replicate, or a list of modules of one architecture, one per member.
        make_optimizer: make_optimizer(params) -> optimizer, of exactly one of the types SGD, Adam, AdamW, NAdam,
            RAdam, Adamax, Adagrad, Adadelta, RMSprop.
        members: K, an integer ≥ 1.
        randomness: "same" random numbers for all members, those of a single model (dropout, say), or "different".

    Raises:
        TypeError: if an argument is of another kind.
        ValueError: if the optimizer cannot serve all members at once, with the reason.

    >>> model = nn.Linear(2, 1)
    >>> ensemble = Ensemble(model, lambda params: torch.optim.SGD(params, lr=1.0), 3)
    >>> batch = torch.eye(2), torch.ones(2, 1)
    >>> losses = ensemble.step(lambda model, batch: ((model(batch[0]) - batch[1]) ** 2).mean(), batch, [0.0, 0.1, 0.2])
    >>> losses.shape, torch.equal(ensemble.state(0)["weight"], model.weight)
    (torch.Size([3]), True)
    """

    def __init__(
        self,
        model: nn.Module | Sequence[nn.Module],
        make_optimizer: MakeOptimizer,
        members: int,
        *,
        randomness: str = "same",
    ) -> None:
        self.members = integer("members", members, low=1)
        self._randomness = choice("randomness", randomness, ("same", "different"))
        models = _models(model, self.members)
        self.model = models[0]
        optimizer = make_optimizer(list(self.model.parameters()))
        if reason := unfit(optimizer, self.model):
            raise ValueError(f"make_optimizer: {reason}")
        self._skeleton = _Call(self.model)
        self._parameters = self._stack([dict(each.named_parameters()) for each in models])
        self._buffers = self._stack([dict(each.named_buffers()) for each in models])
        own = dict(zip(self.model.parameters(), self._parameters.values(), strict=True))
        self.optimizer = transplant(optimizer, own, lambda value: stack([value], self.members))
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
        losses = self._map(loss_fn, batch, batch_dim)
        if not isinstance(losses, Tensor) or losses.shape != (self.members,):
            got = f"shape {tuple(losses.shape[1:])}" if isinstance(losses, Tensor) else type(losses).__name__
            raise TypeError(f"loss_fn must return a scalar tensor, got {got}")
        for name, gradient in _gradients(losses.sum(), self._parameters).items():
            self._parameters[name].grad = gradient
        step_members(self.optimizer, rates)
        return losses.detach()

    @torch.no_grad()
    def evaluate(self, fn: Callable[[Any, Any], Any], batch: Any, batch_dim: int | None = None) -> Any:
        """Return fn(model, batch) of every member, its tensors with a leading members axis, without gradients."""
        return self._map(fn, batch, batch_dim)

    @torch.no_grad()
    def keep(self, mask: Any) -> None:
        """Drop the members for which mask, K booleans, is False; the others stay in order."""
        kept = torch.as_tensor(mask, device="cpu")
        if kept.dtype != torch.bool or kept.shape != (self.members,) or not kept.any():
            raise ValueError(f"mask must be {self.members} booleans, one of them True at least, got {mask!r}")
        for parameter in self._parameters.values():
            shape, chosen = parameter.shape, kept.to(parameter.device)
            for key, value in self.optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor) and value.shape == shape:
                    self.optimizer.state[parameter][key] = value[chosen]
            parameter.grad = None
            parameter.data = parameter.data[chosen]  # the same object: the optimizer knows it
        self._buffers = {name: buffer[kept.to(buffer.device)] for name, buffer in self._buffers.items()}
        self.members = int(kept.sum())

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

    def _map(self, fn: Callable[[Any, Any], Any], batch: Any, batch_dim: int | None) -> Any:
        """Return what fn gives for every member, and take over the buffers that it changed."""

        def single(tensors: dict[str, Tensor], batch: Any) -> Any:
            held = {f"model.{name}": tensor for name, tensor in tensors.items()}
            result = functional_call(self._skeleton, held, (fn, batch))  # puts replaced buffers into held
            return result, {name: held[f"model.{name}"] for name in self._buffers}

        with self._layout():
            mapped = vmap(single, in_dims=(0, batch_dim), randomness=self._randomness)
            result, buffers = mapped({**self._parameters, **self._buffers}, batch)
        self._buffers = {name: buffer.detach().contiguous() for name, buffer in buffers.items()}
        return result

    def _layout(self) -> AbstractContextManager[Any]:
        on_cpu = next(iter(self._parameters.values())).device.type == "cpu"
        return _BatchInnermost() if on_cpu else nullcontext()

    def _checked(self, lrs: Any) -> np.ndarray:
        """Return learning rates as an array of shape (members, groups)."""
        rates = np.asarray(lrs.detach().cpu() if isinstance(lrs, Tensor) else lrs, dtype=np.float64)
        groups = len(self.optimizer.param_groups)
        if rates.shape == (self.members,):
            rates = np.broadcast_to(rates[:, None], (self.members, groups))
        if rates.shape != (self.members, groups):
            raise ValueError(f"lrs must have shape ({self.members},) or ({self.members}, {groups}), got {rates.shape}")
        if not (np.isfinite(rates) & (rates >= 0)).all():
            raise ValueError(f"lrs must be finite and >= 0, got {rates[~(np.isfinite(rates) & (rates >= 0))][0]}")
        return rates


def obstacle(model: nn.Module, make_optimizer: MakeOptimizer, loss_fn: LossFn, batch: Any) -> str | None:
    """Return why members of an Ensemble would not do what single models do, or None.

    Tried out, not assumed: random gradients in float64 through the stacked optimizer and through single ones; a real
    batch through two stacked members and through copies of the model. Weights, buffers and torch's random state stay.
    """
    try:
        pair = Ensemble(model, make_optimizer, 2)
    except ValueError as error:
        return str(error)
    return other_update(make_optimizer(list(model.parameters()))) or _other_loss(pair, loss_fn, batch)


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


def _other_loss(pair: Ensemble, loss_fn: LossFn, batch: Any) -> str | None:
    """Return why two stacked members have other losses, gradients or buffers than two single models, or None."""
    with torch.no_grad():
        for parameter in pair._parameters.values():
            parameter[1] *= 0.97  # another model, so that members which see each other show it
    rewind = _random_state(next(pair.model.parameters()).device)
    try:
        singles = []
        for i in range(pair.members):
            alone = copy.deepcopy(pair.model)
            alone.load_state_dict(pair.state(i))
            loss = loss_fn(alone, batch)
            singles.append((loss, _gradients(loss, dict(alone.named_parameters())), dict(alone.named_buffers())))
            rewind()
        with warnings.catch_warnings():  # where vmap has no rule, it goes through the members one by one
            warnings.filterwarnings("error", message="There is a performance drop")
            losses = pair._map(loss_fn, batch, None)
            gradients = _gradients(losses.sum(), pair._parameters)
    except Exception as error:  # whatever a model does that vmap cannot do; if it does not run alone either, that shows
        return f"the model cannot be stacked: {(str(error) or type(error).__name__).strip().splitlines()[0]}"
    finally:
        rewind()
    for i, (loss, single, buffers) in enumerate(singles):
        same = _close(losses[i], loss) and all(_close(_at(gradients[name], i), single[name]) for name in gradients)
        if not (same and all(_close(pair._buffers[name][i], buffers[name]) for name in buffers)):
            return "stacked, the model has other losses, gradients or buffers than alone"
    return None


def _gradients(loss: Tensor, parameters: dict[str, Any]) -> dict[str, Tensor | None]:
    trained = {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}
    gradients = torch.autograd.grad(loss, list(trained.values()), allow_unused=True)
    return dict(zip(trained, gradients, strict=True))


def _random_state(device: torch.device) -> Callable[[], None]:
    """Return what goes back to torch's present random state."""
    on_cpu, on_device = torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def rewind() -> None:
        torch.set_rng_state(on_cpu)
        if on_device is not None:
            torch.cuda.set_rng_state(on_device, device)

    return rewind


def _at(tensor: Tensor | None, i: int) -> Tensor | None:
    return None if tensor is None else tensor[i]


def _close(ours: Tensor | None, theirs: Tensor | None) -> bool:
    """Return whether two tensors are the same but for rounding; gradients that are not there are equal to zeros."""
    if ours is None or theirs is None:
        other = theirs if ours is None else ours
        return other is None or not other.any()
    if not ours.dtype.is_floating_point:
        return torch.equal(ours, theirs)
    tolerance = 10 * torch.finfo(ours.dtype).eps ** 0.5
    return bool(torch.linalg.vector_norm(ours - theirs) <= tolerance * (torch.linalg.vector_norm(theirs) + tolerance))


def _keep_freed_memory() -> None:
    """Let the C library keep up to 64 MB that were freed: by default it hands activations back at each step.

    Getting them again, page by page, took a third of a step. glibc raises its limits to twice the largest block freed,
    of 32 MB at most; others are not affected.
    """
    torch.empty(2**25 - 2**13, dtype=torch.uint8)
