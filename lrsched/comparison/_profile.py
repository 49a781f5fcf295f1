"""The profile of a setting: everything that a comparison learns from making its optimizer and scheduler once."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from .._check import first_line
from ..ensembles._ensemble import Ensemble, Vectorize
from ..ensembles._equivalence import obstacle, unprofitable
from ..ensembles._optimizers import kind, options, transplant, unfit
from ._configuration import groups_text, lr_lambdas
from ._nests import on_tensors, rebuilt
from ._scheduler_text import scheduler_text
from ._setting import Scheduler, Setting
from ._task import Task

Options = list[dict[str, Any]]  # of each param group, without its parameters and learning rate


@dataclass(frozen=True)
class Profile:
    """What examining a setting has shown.

    signature: everything about the optimizer except its learning rates; members with one signature share an optimizer.
    trainable: for each parameter, whether it is trained; a setting may freeze some.
    options: the options of the param groups before the scheduler is made.
    description: the new optimizer and scheduler, for the configuration of the runs.
    obstacle: why the setting's runs cannot be trained side by side, or None.
    starting_option: the option other than lr that the scheduler changes when it is made, or None.
    optimizer: the optimizer, of `parameters`, as it was before the scheduler; None if there is an obstacle.
    """

    setting: Setting
    signature: str
    trainable: tuple[bool, ...]
    options: Options
    description: dict[str, Any]
    obstacle: str | None
    starting_option: str | None
    optimizer: Optimizer | None
    parameters: list[nn.Parameter]

    @property
    def common(self) -> tuple[object, ...]:
        """What all members of an ensemble must share: the number of param groups, and which parameters are trained."""
        return len(self.options), self.trainable

    def new_optimizer(self, parameters: list[nn.Parameter]) -> Optimizer:
        """Return the optimizer that the setting would make for the parameters of another model."""
        assert self.optimizer is not None  # a setting with an obstacle never gets into an ensemble
        return _remade(self.optimizer, self.parameters, parameters)

    def changed_option(self, optimizer: Optimizer) -> str | None:
        """Return the first option that has changed since the setting made the optimizer, or None."""
        return _changed(self.options, optimizer)


def examine(
    settings: Mapping[str, Setting], task: Task, model: nn.Module, vectorize: Vectorize, lazy: bool = False
) -> dict[str, Profile]:
    """Return the profile of each setting, after calling each of its functions once.

    `model` is for trials; `lazy` says whether it had lazy parameters, as the models of the runs have.
    Raises ValueError if vectorize is True and a setting cannot be trained side by side.
    """
    trials, profiles = _Trials(task, model, vectorize, lazy), {}
    for name, setting in settings.items():
        with _restored([*model.parameters()]):
            profile = _profile(setting, model, trials)
        if vectorize is True and profile.obstacle is not None:
            raise ValueError(
                f"vectorize=True, but setting {name!r} cannot be trained side by side: {profile.obstacle}; "
                'pass vectorize="auto"'
            )
        profiles[name] = profile
    return profiles


def _profile(setting: Setting, model: nn.Module, trials: _Trials) -> Profile:
    optimizer, parameters = setting.make_optimizer(model), [*model.parameters()]
    signature = kind(optimizer, model)
    trainable = tuple(parameter.requires_grad for parameter in parameters)
    before = _copied(options(optimizer))
    reason = trials.obstacle(signature, trainable, optimizer)
    untouched = _remade(optimizer, parameters, parameters) if reason is None else None
    scheduler = setting.make_scheduler(optimizer)  # from here on, the scheduler may change the optimizer
    if reason is None and getattr(scheduler, "on_advance", None) is not None:
        reason = "its scheduler has an on_advance function, which may change the weights"
    return Profile(
        setting=setting,
        signature=signature,
        trainable=trainable,
        options=before,
        description=_description(setting, optimizer, parameters, scheduler),
        obstacle=reason,
        starting_option=_changed(before, optimizer),
        optimizer=untouched,
        parameters=parameters,
    )


@contextmanager
def _restored(parameters: list[nn.Parameter]) -> Iterator[None]:
    """When the block ends, undo what a setting has done to the parameters: frozen them, or registered hooks."""
    hooks = "_backward_hooks", "_post_accumulate_grad_hooks"
    before = [(each, each.requires_grad, [dict(getattr(each, name) or {}) for name in hooks]) for each in parameters]
    yield
    for parameter, trainable, held in before:
        parameter.requires_grad_(trainable)
        for name, earlier in zip(hooks, held, strict=True):
            present = getattr(parameter, name)
            if present:
                present.clear()
                present.update(earlier)


class _Trials:
    """Tries out on the model whether settings can be trained side by side, once per signature."""

    def __init__(self, task: Task, model: nn.Module, vectorize: Vectorize, lazy: bool) -> None:
        self._task, self._model, self._vectorize, self._lazy = task, model, vectorize, lazy
        self._found: dict[object, str | None] = {}

    def obstacle(self, signature: str, trainable: tuple[bool, ...], optimizer: Optimizer) -> str | None:
        """Return why runs with such an optimizer are trained one after another, or None."""
        if reason := self._common_obstacle or unfit(optimizer, self._model):
            return reason
        key = signature, trainable
        if key not in self._found:
            self._found[key] = self._trial(optimizer)
        return self._found[key]

    @cached_property
    def _common_obstacle(self) -> str | None:
        """The obstacle that needs no trial and is the same for all settings, or None."""
        if self._vectorize is False:
            return "vectorize=False"
        if self._lazy:
            return "the model has lazy parameters"
        return unprofitable(self._model) if self._vectorize == "auto" else None

    def _trial(self, optimizer: Optimizer) -> str | None:
        model, parameters = self._model.train(), [*self._model.parameters()]
        loss_fn, batch = on_tensors(self._task.loss_fn, self._task.train.first(self._task.first_seed))

        def on_its_own(model: Any, batch: Any) -> Any:  # each call of the trial gets whole containers
            return loss_fn(model, rebuilt(batch))

        reason = obstacle(model, lambda others: _remade(optimizer, parameters, others), on_its_own, batch)
        return reason or self._metric_obstacle

    @cached_property
    def _metric_obstacle(self) -> str | None:
        """Why metrics cannot be measured for several members at once, or None."""
        self._model.eval()
        try:
            measure, batch = on_tensors(self._task.measure, self._task.valid.first_in_order())
            Ensemble(self._model, SGD, 2).evaluate(measure, batch)
        except Exception as error:  # a user's function may raise anything under vmap
            return f"metric_fn cannot be stacked: {first_line(error)}"
        return None


def _remade(optimizer: Optimizer, parameters: list[nn.Parameter], others: list[nn.Parameter]) -> Optimizer:
    """Return a copy of an optimizer with other parameters in place of its own, in the same order."""
    return transplant(optimizer, dict(zip(parameters, others, strict=True)), lambda tensor: tensor)


def _description(
    setting: Setting, optimizer: Optimizer, parameters: list[nn.Parameter], scheduler: Scheduler | None
) -> dict[str, Any]:
    """Return what identifies a setting. Finished runs are found by it, so its format must not change."""
    functions = lr_lambdas(scheduler)
    return {
        "optimizer": " ".join(repr(optimizer).split()),
        "groups": groups_text(optimizer, parameters),
        "scheduler": scheduler_text(scheduler),
        **({"lr_lambdas": functions} if functions else {}),
        "per": setting.per,
    }


def _copied(found: Options) -> Options:
    """Return options as they are now. Containers and tensors are copied: a scheduler may change them in place."""
    mutable = (Tensor, list, tuple, dict)
    return [
        {name: copy.deepcopy(value) if isinstance(value, mutable) else value for name, value in group.items()}
        for group in found
    ]


def _changed(before: Options, optimizer: Optimizer) -> str | None:
    """Return the first option that has changed, or None. Options that were added do not count."""
    for old, now in zip(before, options(optimizer), strict=True):
        for name, value in old.items():
            if now[name] != value:
                return name
    return None
