"""Argument checks that several modules share. Each takes an argument's name and value and returns a plain Python value.

An invalid argument raises TypeError (wrong type) or ValueError (wrong value), whose message names the argument, the
rule and the value given.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence as Items
from typing import Any, NoReturn, TypeVar

import numpy as np

Word = TypeVar("Word")
TEXT = (str, bytes, bytearray)
NOT_REAL = (bool, np.bool_, complex, *TEXT)  # float() would accept some of these, and give an unclear error for others


def real(name: str, value: object) -> float:
    """Return one real number as a float. NaN and infinities pass; arrays and tensors must have one element."""
    if type(value) is float:
        return value
    try:
        plain = _element(value)
        result = None if isinstance(plain, NOT_REAL) else float(plain)
    except OverflowError:
        raise ValueError(f"{name} must fit into a float, got {shown(value)}") from None
    except (TypeError, ValueError, RuntimeError):
        result = None
    if result is None:
        refuse(name, "one real number", value)
    return result


def number(
    name: str,
    value: object,
    low: float = 0.0,
    high: float = math.inf,
    *,
    above: float | None = None,
) -> float:
    """Return a finite float in [low, high], or in (above, high] if `above` is given."""
    plain = real(name, value)
    enough = plain >= low if above is None else plain > above
    if not (math.isfinite(plain) and enough and plain <= high):
        least = f"> {above:g}" if above is not None else f">= {low:g}"
        most = f" and <= {high:g}" if high < math.inf else ""
        raise ValueError(f"{name} must be finite, {least}{most}, got {shown(value)}")
    return plain + 0.0  # turns -0.0 into 0.0


def integer(name: str, value: object, low: int = 0) -> int:
    """Return an int >= low. Floats are refused, even whole ones."""
    try:
        plain: Any = _element(value) if getattr(value, "ndim", None) == 0 else value
        result = None if isinstance(plain, bool) else int(operator.index(plain))
    except (TypeError, RuntimeError):
        result = None
    if result is None:
        refuse(name, "an integer", value)
    if result < low:
        raise ValueError(f"{name} must be an integer >= {low}, got {result}")
    return result


def choice(name: str, value: object, options: Items[Word]) -> Word:
    """Return the value, which must be one of the options: strings, usually the `get_args` of a Literal type."""
    if isinstance(value, str) and value in options:
        return options[options.index(value)]
    kind = ValueError if isinstance(value, str) else TypeError
    raise kind(f"{name} must be one of {', '.join(map(repr, options))}, got {shown(value)}")


def flag(name: str, value: object) -> bool:
    """Return True or False."""
    if not isinstance(value, (bool, np.bool_)):
        refuse(name, "True or False", value)
    return bool(value)


def items(name: str, value: Any) -> list[Any]:
    """Return the items of a list, an array or any other iterable, but not of text."""
    if isinstance(value, TEXT):
        refuse(name, "a list", value)
    try:
        return list(value)
    except TypeError:
        refuse(name, "a list", value)


def refuse(name: str, wanted: str, value: object) -> NoReturn:
    """Raise the TypeError for a value of the wrong type."""
    raise TypeError(f"{name} must be {wanted}, got {shown(value)}")


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its type if the message is empty."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def shown(value: object) -> str:
    """Return a value, cut to 80 characters, and its type, as error messages show them."""
    text = repr(value)
    if len(text) > 80:
        text = text[:77] + "..."
    return f"{text} ({type(value).__name__})"


def _element(value: Any) -> Any:
    """Return the only element of an array or tensor, or any other value unchanged."""
    return value.item() if hasattr(value, "item") else value
