"""What identifies a run besides its seed: parts of its configuration, and whether a recorded one is the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from torch import nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from ._scheduler_text import comparable

LATER = ("functions", "parameters", "groups", "lr_lambdas")  # entries that records of earlier versions lack
_PLAIN = (bool, int, float, str, type(None))


def agrees(recorded: Any, wanted: Any) -> bool:
    """Return whether a recorded configuration is the wanted one. Entries that its version lacks are not compared.

    `wanted` is the result of `comparable`, or None, which no configuration agrees with.
    """
    found = comparable(recorded)
    if not (isinstance(found, dict) and isinstance(wanted, dict)):
        return bool(found == wanted)
    unknown = {name: wanted[name] for name in LATER if name in wanted and name not in found}
    return bool({**found, **unknown} == wanted)


def function_text(function: object) -> str | None:
    """Return the name of a function, with the arguments that a partial has bound; None for None."""
    if function is None:
        return None
    if isinstance(function, partial):
        named = (f"{name}={_value(value)}" for name, value in sorted(function.keywords.items()))
        return f"{function_text(function.func)}({', '.join([*map(_value, function.args), *named])})"
    return name_of(function)


def name_of(function: object) -> str:
    """Return the name of a function, or of the class of a callable object."""
    given = getattr(function, "__wrapped__", function)  # not the wrapper of `as_loss_fn`
    return str(getattr(given, "__qualname__", type(given).__qualname__))


def parameters_text(model: nn.Module) -> str:
    """Return a hash of the names, shapes and dtypes of a model's parameters, and of which are frozen."""
    lines = (
        f"{name} {'lazy' if is_lazy(each) else tuple(each.shape)} {each.dtype} {each.requires_grad}\n"
        for name, each in model.named_parameters()
    )
    return f"sha256 {hashlib.sha256(''.join(lines).encode()).hexdigest()[:16]}"


def groups_text(optimizer: Optimizer, parameters: list[nn.Parameter]) -> str:
    """Return the positions of each param group's parameters, and of the frozen ones: "0-2, 5; 3-4; frozen 0-1"."""
    places = {id(parameter): i for i, parameter in enumerate(parameters)}
    groups = [_ranges(places[id(parameter)] for parameter in group["params"]) for group in optimizer.param_groups]
    frozen = _ranges(i for i, parameter in enumerate(parameters) if not parameter.requires_grad)
    return "; ".join([*groups, *([f"frozen {frozen}"] if frozen else [])])


def lr_lambdas(scheduler: object) -> list[str | None]:
    """Return the functions of torch's LambdaLR and MultiplicativeLR, whose states do not name them."""
    return [function_text(function) for each in _inside(scheduler) for function in getattr(each, "lr_lambdas", ())]


def _inside(scheduler: object) -> Iterator[object]:
    """Yield a scheduler and those that it holds."""
    yield scheduler
    for each in getattr(scheduler, "_schedulers", ()):
        yield from _inside(each)


def _ranges(numbers: Iterable[int]) -> str:
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][-1] + 1:
            spans[-1][1:] = [number]
        else:
            spans.append([number])
    return ", ".join("-".join(map(str, span)) for span in spans)


def _value(value: object) -> str:
    if isinstance(value, _PLAIN):
        return repr(value)
    return str(function_text(value)) if callable(value) else type(value).__qualname__
