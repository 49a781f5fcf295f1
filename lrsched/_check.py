"""Argument checks that several modules share: a value and its name go in, a plain Python value comes out.

Whatever is refused is a TypeError (wrong kind) or ValueError (wrong value) naming the argument, the rule and the value.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence as Items
from typing import Any, NoReturn

import numpy as np


def real(name: str, value: object) -> float:
    """Return one real number, possibly NaN or infinite, as a float; one-element arrays and tensors count."""
    if type(value) is float:
        return value
    if isinstance(value, (bool, np.bool_, str, bytes, bytearray, complex)):
        refuse(name, "one real number", value)
    plain: Any = value
    if hasattr(plain, "detach"):  # a tensor that requires grad warns when made a float
        plain = plain.detach()
    try:
        if hasattr(plain, "item"):
            plain = plain.item()
        if isinstance(plain, (bool, str, bytes, complex)):
            refuse(name, "one real number", value)
        return float(plain)
    except OverflowError:
        raise ValueError(f"{name} must fit into a float, got {shown(value)}") from None
    except (TypeError, ValueError, RuntimeError):
        refuse(name, "one real number", value)


def number(
    name: str,
    value: object,
    low: float = 0.0,
    high: float = math.inf,
    *,
    above: float | None = None,
) -> float:
    """Return a finite float in [low, high], or in (above, high] where `above` is given."""
    plain = real(name, value)
    enough = plain >= low if above is None else plain > above
    if not (math.isfinite(plain) and enough and plain <= high):
        least = f"> {above:g}" if above is not None else f">= {low:g}"
        most = f" and <= {high:g}" if high < math.inf else ""
        raise ValueError(f"{name} must be finite, {least}{most}, got {shown(value)}")
    return plain + 0.0  # -0.0 is 0.0


def integer(name: str, value: object, low: int = 0) -> int:
    """Return an int >= low; floats are refused, even whole ones."""
    plain: Any = value
    try:
        if getattr(plain, "ndim", None) == 0:
            plain = plain.item()
        if isinstance(plain, bool):
            raise TypeError
        plain = operator.index(plain)
    except (TypeError, RuntimeError):
        refuse(name, "an integer", value)
    if plain < low:
        raise ValueError(f"{name} must be an integer >= {low}, got {plain}")
    return int(plain)


def choice(name: str, value: object, options: Items[Any]) -> Any:
    """Return the value, which must be one of the options, words that are usually the `get_args` of a Literal type."""
    if not isinstance(value, str) or value not in options:
        kind: type[Exception] = ValueError if isinstance(value, str) else TypeError
        raise kind(f"{name} must be one of {', '.join(map(repr, options))}, got {shown(value)}")
    return str(value)


def flag(name: str, value: object) -> bool:
    """Return True or False."""
    if not isinstance(value, (bool, np.bool_)):
        refuse(name, "True or False", value)
    return bool(value)


def items(name: str, value: object) -> list[Any]:
    """Return the items of a list, an array, or anything else that can be gone through but text."""
    try:
        if isinstance(value, (str, bytes, bytearray)):
            raise TypeError
        return list(value)  # type: ignore[call-overload,no-any-return]
    except TypeError:
        refuse(name, "a list", value)


def refuse(name: str, wanted: str, value: object) -> NoReturn:
    """Raise the TypeError for a value of the wrong kind."""
    raise TypeError(f"{name} must be {wanted}, got {shown(value)}")


def first_line(error: BaseException) -> str:
    """Return what an error says, up to its first line break; its type's name where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def shown(value: object) -> str:
    """Return a value as messages show it, with its type, in 80 characters or so."""
    text = repr(value)
    if len(text) > 80:
        text = text[:77] + "..."
    return f"{text} ({type(value).__name__})"
