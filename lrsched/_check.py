"""Argument checks that several modules share: a value and its name go in, a plain Python value comes out.

Whatever is refused is a TypeError (wrong kind) or ValueError (wrong value) naming the argument, the rule and the value.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence as Items
from typing import Any, NoReturn

import numpy as np

STATE_VERSION = 1


def real(name: str, value: object) -> float:
    """Return one real number, possibly NaN or infinite, as a float; one-element arrays and tensors count."""
    if type(value) is float:
        return value
    if isinstance(value, (bool, np.bool_, str, bytes, bytearray, complex)):
        _refuse(name, "one real number", value)
    plain: Any = value
    if hasattr(plain, "detach"):  # a tensor that requires grad warns when made a float
        plain = plain.detach()
    try:
        if hasattr(plain, "item"):
            plain = plain.item()
        if isinstance(plain, (bool, str, bytes, complex)):
            _refuse(name, "one real number", value)
        return float(plain)
    except OverflowError:
        raise ValueError(f"{name} must fit into a float, got {_shown(value)}") from None
    except (TypeError, ValueError, RuntimeError):
        _refuse(name, "one real number", value)


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
        raise ValueError(f"{name} must be finite, {least}{most}, got {_shown(value)}")
    return plain


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
        _refuse(name, "an integer", value)
    if plain < low:
        raise ValueError(f"{name} must be an integer >= {low}, got {plain}")
    return int(plain)


def choice(name: str, value: object, options: Items[str]) -> str:
    """Return one of the options."""
    if not isinstance(value, str) or value not in options:
        kind: type[Exception] = ValueError if isinstance(value, str) else TypeError
        raise kind(f"{name} must be one of {', '.join(map(repr, options))}, got {_shown(value)}")
    return str(value)


def flag(name: str, value: object) -> bool:
    """Return True or False."""
    if not isinstance(value, (bool, np.bool_)):
        _refuse(name, "True or False", value)
    return bool(value)


def items(name: str, value: object) -> list[Any]:
    """Return the items of a list, an array, or anything else that can be gone through but text."""
    try:
        if isinstance(value, (str, bytes, bytearray)):
            raise TypeError
        return list(value)  # type: ignore[call-overload,no-any-return]
    except TypeError:
        _refuse(name, "a list", value)


def check_keys(name: str, state: object, keys: Items[str]) -> None:
    """Raise ValueError unless the state is a dict with exactly these keys."""
    if not isinstance(state, dict) or set(state) != set(keys):
        found = sorted(map(str, state)) if isinstance(state, dict) else _shown(state)
        raise ValueError(f"{name} must be a dict with the entries {sorted(keys)}, got {found}")


def check_state(state: Any, keys: Items[str], settings: dict[str, Any], strict: bool) -> None:
    """Raise ValueError unless the state is one of ours, not newer than us, and (strictly) of the same settings."""
    if not isinstance(state, dict) or "version" not in state or "settings" not in state:
        raise ValueError(f"state must be the state_dict() of a lrsched scheduler, got {_shown(state)}")
    if integer("state: version", state["version"], low=1) > STATE_VERSION:
        raise ValueError(f"state: version must be <= {STATE_VERSION}, got {state['version']}: update lrsched")
    check_keys("state", state, keys)
    if strict and state["settings"] != settings:
        raise ValueError(
            f"state of another scheduler: it has {state['settings']}, this one {settings}; "
            "load_state_dict(state, strict=False) keeps this one's settings"
        )


def storable(value: Any) -> Any:
    """Return a value as a state dict holds it: plain Python, and a float that is not finite as a string, for JSON."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (list, tuple)):
        return [*map(storable, value)]
    if isinstance(value, dict):
        return {key: storable(entry) for key, entry in value.items()}
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def restored(value: Any) -> Any:
    """Return what `storable` was given."""
    if isinstance(value, list):
        return [*map(restored, value)]
    if isinstance(value, dict):
        return {key: restored(entry) for key, entry in value.items()}
    return float(value) if isinstance(value, str) and value in ("inf", "-inf", "nan") else value


def stored(name: str, value: Any, present: Any) -> Any:
    """Return what `storable` was given, checked to be of the kind of the present value; None counts as a number."""
    if isinstance(present, (bool, str, list, dict)):
        if type(value) is not type(present):
            _refuse(name, f"a {type(present).__name__}", value)
        return value if isinstance(present, str) else restored(value)
    if present is None:
        return restored(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return None if value is None else real(name, restored(value))


def _refuse(name: str, wanted: str, value: object) -> NoReturn:
    raise TypeError(f"{name} must be {wanted}, got {_shown(value)}")


def _shown(value: object) -> str:
    text = repr(value)
    if len(text) > 80:
        text = text[:77] + "..."
    return f"{text} ({type(value).__name__})"
