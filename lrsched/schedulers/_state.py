"""State dicts: plain values go in and come out again, checked, so that a damaged or foreign state changes nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence as Items
from typing import Any

import numpy as np

from .._check import integer, real, refuse, shown

STATE_VERSION = 1


def check_keys(name: str, state: object, keys: Items[str]) -> None:
    """Raise ValueError unless the state is a dict with exactly these keys."""
    if not isinstance(state, dict) or set(state) != set(keys):
        found = sorted(map(str, state)) if isinstance(state, dict) else shown(state)
        raise ValueError(f"{name} must be a dict with the entries {sorted(keys)}, got {found}")


def check_state(state: Any, keys: Items[str], settings: dict[str, Any], strict: bool) -> None:
    """Raise ValueError unless the state is one of ours, not newer than us, and (strictly) of the same settings."""
    if not isinstance(state, dict) or "version" not in state or "settings" not in state:
        raise ValueError(f"state must be the state_dict() of a lrsched scheduler, got {shown(state)}")
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
            refuse(name, f"a {type(present).__name__}", value)
        return value if isinstance(present, str) else restored(value)
    if present is None:
        return restored(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return None if value is None else real(name, restored(value))
