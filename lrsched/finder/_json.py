"""JSON of results: how a curve or a sweep is written as text and read back."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

VERSION = 1  # of the format


def json_text(**values: object) -> str:
    """Return the values as a JSON object with the format's version; in arrays, non-finite numbers become null."""
    plain = {name: _listed(value) if isinstance(value, np.ndarray) else value for name, value in values.items()}
    return json.dumps({"version": VERSION, **plain})


def json_values(text: str | bytes, kind: str, required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, Any]:
    """Return the required and optional values in a text of `json_text`. Raises ValueError if it cannot be read."""
    state = json.loads(text)
    if not isinstance(state, dict) or not set(required) <= set(state):
        listed = ", ".join(required[:-1])
        raise ValueError(f"text must be the JSON of a {kind}, with the keys {listed} and {required[-1]}")
    if state.get("version", VERSION) > VERSION:
        raise ValueError(f"text: version must be <= {VERSION}, got {state['version']}: update lrsched to read it")
    return {name: state[name] for name in (*required, *optional) if name in state}


def _listed(array: np.ndarray) -> list[Any]:
    """Return nested lists, with None for numbers that JSON cannot represent."""
    if array.ndim > 1:
        return [_listed(row) for row in array]
    return [x if math.isfinite(x) else None for x in array.tolist()]
