"""Options of param groups, such as "weight_decay": reading and writing them, one number per group.

The "momentum" of a group that has betas is the first of them. Only this module and `_groups` touch a group.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from .._check import number, real, shown

Groups = list[dict[str, Any]]


def groups_of(optimizer: Optimizer) -> Groups:
    """Return the optimizer's param groups; TypeError if it is not an optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be an Optimizer, got {optimizer!r} ({type(optimizer).__name__})")
    return optimizer.param_groups


def read_option(optimizer: Optimizer, name: str) -> list[float]:
    """Return an option of each group."""
    return [real(name, _held(group, name)) for group in optimizer.param_groups]


def write_option(optimizer: Optimizer, name: str, values: list[float]) -> None:
    """Write an option, one value per group. A tensor is filled in place; betas[1:] stay."""
    for group, value in zip(optimizer.param_groups, values):  # noqa: B905  (strict= costs time)
        if type(group.get(name)) is float and "betas" not in group:  # the usual case, at each step
            group[name] = value
        elif _is_first_beta(group, name):
            _write_first_beta(group, value)
        elif isinstance(group[name], Tensor):
            group[name].fill_(value)
        else:
            group[name] = value


def _write_first_beta(group: dict[str, Any], value: float) -> None:
    betas = group["betas"]
    if isinstance(betas[0], Tensor):
        betas[0].fill_(value)
    else:
        group["betas"] = [value, *betas[1:]] if isinstance(betas, list) else (value, *betas[1:])


def base_values(optimizer: Optimizer, name: str, first: int = 0) -> list[float]:
    """Return an option's base in each group from the `first` on: `initial_<name>` if it has one, else the option."""
    bases = []
    for i, group in enumerate(groups_of(optimizer)[first:], first):
        present = _held(group, name)
        check_dtype(i, name, present)
        bases.append(number(f"{name} of param group {i}", group.get(_initial(name), present)))
    return bases


def check_dtype(i: int, name: str, value: object) -> None:
    """Raise TypeError if a group's option is a tensor that cannot hold every number."""
    if isinstance(value, Tensor) and not value.is_floating_point():
        raise TypeError(f"{name} of param group {i} must be a tensor of floats, got {value!r}")


def check_option(optimizer: Optimizer, name: object) -> str:
    """Return the name of an option that every group has as a number; otherwise raise an error that lists them."""
    if not isinstance(name, str):
        raise TypeError(f"name must be the name of an option of the param groups, got {shown(name)}")
    if name in ("lr", "initial_lr"):
        raise ValueError(f"name must be an option other than the learning rate, got {name!r}: use SequenceLR")
    for i, group in enumerate(groups_of(optimizer)):
        has_it = name in group or _is_first_beta(group, name)
        if has_it and _is_numeric(_held(group, name)):
            continue
        found = f"param group {i} has {shown(group[name])}" if has_it else f"param group {i} does not have it"
        hint = "; the first of the betas is 'momentum'" if name == "betas" else ""
        raise ValueError(
            f"name must be a numeric option of every param group, got {name!r}: {found}{hint}; "
            f"numeric options are {_numeric_options(group)}"
        )
    return name


def _numeric_options(group: dict[str, Any]) -> str:
    """Return the names of a group's numeric options, without the learning rate and the stamped bases."""
    names = {name for name, value in group.items() if _is_numeric(value)} | (
        {"momentum"} if "betas" in group else set()
    )
    return ", ".join(repr(name) for name in sorted(names) if name != "lr" and not name.startswith("initial_"))


def _is_numeric(value: object) -> bool:
    try:
        real("option", value)
    except (TypeError, ValueError):
        return False
    return True


def added_groups(optimizer: Optimizer, known: int) -> Groups:
    """Return the groups that were added after the `known` ones; ValueError if one of those is missing."""
    count = len(optimizer.param_groups)
    if count < known:
        raise ValueError(f"the optimizer has {count} param groups, fewer than the {known} scheduled")
    return optimizer.param_groups[known:]


def stamp(optimizer: Optimizer, name: str, bases: list[float]) -> None:
    """Set `initial_<name>` to the base in groups that have none, as torch does with `initial_lr`."""
    for group, base in zip(optimizer.param_groups, bases, strict=True):
        group.setdefault(_initial(name), base)


def restamp(optimizer: Optimizer, name: str, bases: list[float]) -> None:
    """Set `initial_<name>` to the base in the first groups, and remove it from the others, not adopted yet."""
    for i, group in enumerate(optimizer.param_groups):
        if i < len(bases):
            group[_initial(name)] = bases[i]
        else:
            group.pop(_initial(name), None)


def check_stamped(optimizer: Optimizer, name: str) -> None:
    """Raise KeyError, as torch does for `initial_lr`, if a group has no `initial_<name>` to resume from."""
    for i, group in enumerate(groups_of(optimizer)):
        if _initial(name) not in group:
            raise KeyError(
                f"param {_initial(name)!r} is not specified in param_groups[{i}] when resuming scheduler with "
                "last_epoch >= 0: load the optimizer's state first"
            )


def note(optimizer: Optimizer, first: int, entries: dict[str, list[float]]) -> None:
    """Set entries of the groups from the `first` on, each given as one number per group."""
    for name, values in entries.items():
        for group, value in zip(optimizer.param_groups[first:], values[first:], strict=True):
            group[name] = value


def _initial(name: str) -> str:
    return f"initial_{name}"


def _is_first_beta(group: dict[str, Any], name: str) -> bool:
    return name == "momentum" and isinstance(group.get("betas"), (list, tuple))


def _held(group: dict[str, Any], name: str) -> Any:
    """Return an option of a group, of any type."""
    return group["betas"][0] if _is_first_beta(group, name) else group[name]
