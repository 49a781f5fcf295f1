"""State dicts: makes plain values of a state, and checks those of a loaded one before anything changes."""

from __future__ import annotations

import math
from collections.abc import Sequence as Items
from typing import Any, NoReturn

import numpy as np

from .._check import integer, number, real, refuse, shown

STATE_VERSION = 2
EVENT = ("epoch", "metric", "reason", "position", "old_lrs", "new_lrs")  # the entries of an event in a state


def check_keys(name: str, state: object, keys: Items[str]) -> None:
    """Raise ValueError unless the state is a dict with exactly these keys."""
    if not isinstance(state, dict) or set(state) != set(keys):
        found = sorted(map(str, state)) if isinstance(state, dict) else shown(state)
        raise ValueError(f"{name} must be a dict with the entries {sorted(keys)}, got {found}")


def checked_state(state: Any, own: dict[str, Any], strict: bool) -> dict[str, Any]:
    """Return a state in the present version, with the entries of the scheduler's own one.

    Raises ValueError if this package cannot read it or, if strict, it was saved with other settings.
    """
    if not isinstance(state, dict) or "version" not in state or "settings" not in state:
        raise ValueError(f"state must be the state_dict() of an lrsched scheduler, got {shown(state)}")
    if integer("state: version", state["version"], low=1) > STATE_VERSION:
        raise ValueError(f"state: version must be <= {STATE_VERSION}, got {state['version']}: update lrsched")
    if state["version"] == 1:
        state = _from_version_1(state, own)
    if strict and state["settings"] != own["settings"]:
        raise ValueError(
            f"state must have this scheduler's settings: it has {state['settings']}, this one {own['settings']}; "
            "to keep this scheduler's settings, make it with strict=False, or use load_state_dict(state, strict=False)"
        )
    check_keys("state", state, tuple(own))
    checked: dict[str, Any] = state
    return checked


def _from_version_1(state: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return a state of version 1 with what version 2 added: at that time nobody else was heard, and no warm-up."""
    bases, lrs = state.get("base_lrs"), state.get("lrs")
    added: dict[str, Any] = {}
    if isinstance(bases, list) and isinstance(lrs, list):
        added = {"scales": [1.0] * len(bases), "written_lrs": lrs[: len(bases)]}
    if "warmup" in own["settings"] and isinstance(state["settings"], dict):
        added["settings"] = {**state["settings"], "warmup": "None"}
        added["steps"] = {**state["steps"], "warm": 0} if isinstance(state.get("steps"), dict) else None
        events = state.get("events")
        if isinstance(events, list) and all(isinstance(event, dict) for event in events):
            added["events"] = [[event.get(name) for name in EVENT] for event in events]
    return {**state, **added}


def storable(value: Any) -> Any:
    """Return a value as a state dict holds it: plain Python, with inf and nan as strings, for JSON."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (list, tuple)):
        return [storable(entry) for entry in value]
    if isinstance(value, dict):
        return {key: storable(entry) for key, entry in value.items()}
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def restored(value: Any) -> Any:
    """Undo `storable`."""
    if isinstance(value, list):
        return [restored(entry) for entry in value]
    if isinstance(value, dict):
        return {key: restored(entry) for key, entry in value.items()}
    return float(value) if isinstance(value, str) and value in ("inf", "-inf", "nan") else value


def stored(name: str, value: Any, present: Any) -> Any:
    """Undo `storable`; TypeError if the value is not of the type of the present one (None counts as a number)."""
    if isinstance(present, (bool, str, list, dict)):
        if type(value) is not type(present):
            refuse(name, f"a {type(present).__name__}", value)
        return value if isinstance(present, str) else restored(value)
    if present is None:
        return restored(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return None if value is None else real(name, restored(value))


def stored_rates(name: str, values: Any, count: int) -> list[float]:
    """Return the learning rates of a state dict; TypeError or ValueError unless there are `count`."""
    rates = _stored_list(name, values)
    if len(rates) != count:
        _refuse_length(name, rates, count)
    return [real(name, restored(rate)) for rate in rates]


def stored_scales(name: str, values: Any, count: int) -> list[float]:
    """Return the scales of a state dict; TypeError or ValueError unless there are `count`, finite and > 0."""
    return [number(name, scale, above=0.0) for scale in stored_rates(name, values, count)]


def stored_bases(name: str, values: Any, count: int) -> list[float]:
    """Return the base lrs of a state dict, at most `count`: groups that were not adopted yet have none."""
    bases = _stored_list(name, values)
    if len(bases) > count or (count and not bases):
        _refuse_length(name, bases, count)
    return [number(name, base) for base in bases]


def _stored_list(name: str, values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise TypeError(f"{name} must be a list of numbers, got {values!r}")
    return values


def _refuse_length(name: str, values: list[Any], count: int) -> NoReturn:
    raise ValueError(f"{name} must have one entry per param group: {len(values)} entries for {count} param groups")
