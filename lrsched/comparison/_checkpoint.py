"""Checkpoints of the cohort in training: a comparison that was killed resumes in the middle of its runs."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from .._check import first_line
from ._cohort import Cohort
from ._configuration import agrees
from ._runs import Pair
from ._scheduler_text import comparable

PAUSE = 10.0  # the shortest time between two checkpoints, in seconds
SHARE = 20  # and at least this many times the time that writing the last one took
PARTS = {"pairs", "method", "configs", "state", "random", "cuda"}


class Checkpoint:
    """The state of the cohort in training, in a file beside the finished runs; no file if `path` is None."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._possible = True  # whether the state of the cohort in training can be saved
        self.due = time.monotonic() + PAUSE
        self.held = self._read()

    def pairs(self, configs: Mapping[str, Any]) -> list[Pair]:
        """Return the runs that the checkpoint holds, or none if their configurations have changed."""
        if self.held and any(not self._fits(name, configs) for name, _ in self.held["pairs"]):
            self.held = None
        return [*self.held["pairs"]] if self.held else []

    def _fits(self, name: str, configs: Mapping[str, Any]) -> bool:
        assert self.held is not None
        return name in configs and agrees(self.held["configs"][name], comparable(configs[name]))

    def resume(self, cohort: Cohort) -> None:
        """Begin the training of a cohort: restore its state if the checkpoint holds it, as it can for the first one."""
        self._possible = True
        held, self.held = self.held, None
        if not held or held["pairs"] != cohort.pairs or held["method"] != cohort.method:
            return
        try:
            cohort.load_state_dict(held["state"])
            torch.set_rng_state(held["random"])
            if held["cuda"] is not None:
                torch.cuda.set_rng_state(held["cuda"], cohort.task.device)
        except Exception as error:  # a damaged file may raise anything
            raise OSError(f"cannot resume from the checkpoint {self.path}: {error!r}; remove that file") from error

    def save(self, cohort: Cohort, configs: Mapping[str, Any]) -> None:
        """Replace the checkpoint if the last one is old enough. An interrupted call leaves the old one intact."""
        started = time.monotonic()
        if self.path is None or not self._possible or started < self.due:
            return
        state = _state(cohort, configs)
        part = self.path.with_name(f"{self.path.name}.part")
        try:
            torch.save(state, part)
            os.replace(part, self.path)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
            reason = f"cannot write the checkpoint {self.path}: {first_line(error)}; finished runs are kept"
            raise OSError(reason) from error
        except (AttributeError, TypeError, pickle.PicklingError):  # for example, a scheduler that holds a function
            self.drop()
            self._possible = False  # this cohort is trained without checkpoints
        finally:
            part.unlink(missing_ok=True)
        now = time.monotonic()
        self.due = now + max(PAUSE, SHARE * (now - started))

    def drop(self) -> None:
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any] | None:
        if self.path is None or not self.path.exists():
            return None
        try:
            held: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
            return held if held.keys() >= PARTS else None
        except Exception:  # incomplete, damaged, or holding more than plain values: these runs start again
            return None


def _state(cohort: Cohort, configs: Mapping[str, Any]) -> dict[str, Any]:
    device = cohort.task.device
    return {
        "pairs": cohort.pairs,
        "method": cohort.method,
        "configs": {name: configs[name] for name, _ in cohort.pairs},
        "state": cohort.state_dict(),
        "random": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }
