"""Checks of the arguments of compare(); each raises TypeError or ValueError if an argument is invalid.

`check_…` functions only check; `checked_…` functions return the value that is used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import get_args

import torch
from torch import nn

from .._check import choice, flag, integer, items
from .._functions import described
from ..ensembles._ensemble import check_vectorize
from ._devices import usable_device
from ._setting import Setting
from ._task import MetricAverage


def check_settings(settings: object) -> None:
    if not isinstance(settings, Mapping):
        raise TypeError(f"settings must be a mapping from names to Setting objects, got {described(settings)}")
    if not settings:
        raise ValueError("settings must have at least one setting, got none")
    for name, setting in settings.items():
        if not isinstance(name, str) or not isinstance(setting, Setting):
            raise TypeError(f"settings must map names to Setting objects, got {name!r}: {described(setting)}")


def check_functions(model_fn: object, loss_fn: object, **optional: object) -> None:
    """Check the functions that a user gives; those that are optional may be None."""
    if isinstance(model_fn, nn.Module):
        raise TypeError("model_fn must be a function that returns a new model at each call, got a model")
    given = {name: function for name, function in optional.items() if function is not None}
    for name, function in {"model_fn": model_fn, "loss_fn": loss_fn, **given}.items():
        if not callable(function):
            raise TypeError(f"{name} must be callable, got {described(function)}")


def check_options(metric_average: object, vectorize: object, record: object, key: object, note: object) -> None:
    choice("metric_average", metric_average, get_args(MetricAverage))
    check_vectorize(vectorize)
    flag("record", record)
    try:
        json.dumps(key)
    except (TypeError, ValueError) as error:
        raise TypeError(f"key must be a value that JSON can hold, got {key!r}: {error}") from error
    if not isinstance(note, str):
        raise TypeError(f"note must be a string, got {described(note)}")


def checked_path(out: str | PathLike[str] | None) -> Path | None:
    try:
        return None if out is None else Path(out)
    except TypeError as error:
        raise TypeError(f"out must be a path or None, got {described(out)}") from error


def checked_seeds(seeds: int | Sequence[int]) -> list[int]:
    if not isinstance(seeds, Iterable):
        return [*range(integer("seeds", seeds, low=1))]
    found = [integer(f"seeds[{i}]", seed) for i, seed in enumerate(items("seeds", seeds))]
    if not found or len(set(found)) < len(found) or max(found) >= 2**63:
        rule = "the number of seeds or a list of at least one seed, all different and below 2**63"
        raise ValueError(f"seeds must be {rule}, got {found}")
    return found


def checked_model(model_fn: Callable[[], object]) -> nn.Module:
    """Return a model with parameters, after checking that another call returns another one."""
    model = model_fn()
    if not isinstance(model, nn.Module):
        raise TypeError(f"model_fn must return a torch.nn.Module, got {described(model)}")
    if model_fn() is model:
        raise ValueError("model_fn must return a new model at each call, got the same one twice")
    if next(model.parameters(), None) is None:
        raise ValueError("model_fn must return a model with parameters, got one without any")
    return model


def checked_device(device: torch.device | str | None, model: nn.Module) -> torch.device:
    """Return the device to train on: the model's if None is given."""
    if device is None:
        return next(model.parameters()).device
    if not isinstance(device, (str, torch.device)):
        raise TypeError(f"device must be a torch.device or its name, got {described(device)}")
    return usable_device(device)
