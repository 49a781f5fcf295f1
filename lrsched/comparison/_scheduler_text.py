"""How a scheduler is described in the configuration of a run, so that finished runs are found by it.

Records stay valid when the state format of this package's schedulers changes: of their states, only what decides the
run counts. States of other schedulers count as they are.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from ._setting import Scheduler

# What a state of this package's schedulers holds besides its settings and its position. When a run starts, all of it
# follows from the settings and from the optimizer, which the configuration describes too.
_BOOKKEEPING = frozenset(
    [
        "version",
        "_step_count",
        "base_lrs",
        "bases",
        "scales",
        "lrs",
        "values",
        "written_lrs",
        "rule",
        "events",
        "last_metric",
        "steps",
    ]
)
_DEFAULTS = {"warmup": "None"}  # settings that states of version 1 do not have, and their meaning there


def scheduler_text(scheduler: Scheduler | None) -> str:
    """Return the description of a scheduler: its class, and its state or the part of it that counts."""
    if scheduler is None:
        return "None"
    text = json.dumps(_reduced(scheduler.state_dict()), default=lambda value: type(value).__qualname__)
    return f"{type(scheduler).__qualname__} {text}"


def comparable(config: Any) -> Any:
    """Return a configuration in a form that is equal for equal runs, whatever version of this package described it."""
    if isinstance(config, dict) and isinstance(config.get("scheduler"), str):
        name, _, state = config["scheduler"].partition(" ")
        with suppress(ValueError):  # "None" has no state
            return {**config, "scheduler": [name, _reduced(json.loads(state))]}
    return config


def _reduced(state: Any) -> Any:
    """Return a state without the bookkeeping of this package's schedulers, also inside those that hold others."""
    if isinstance(state, (list, tuple)):
        return [_reduced(entry) for entry in state]
    if not isinstance(state, dict):
        return state
    settings = state.get("settings")
    if not (isinstance(settings, dict) and "class" in settings):
        return {key: _reduced(value) for key, value in state.items()}
    held = {key: value for key, value in state.items() if key not in _BOOKKEEPING}
    return {**held, "settings": {key: value for key, value in settings.items() if _DEFAULTS.get(key) != value}}
