"""Runs in training on the disk, so that a killed comparison goes on in the middle of them."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from .._check import first_line
from ._member import Trainer

PAUSE = 10.0  # seconds at least between two checkpoints
PARTS = {"pairs", "method", "configs", "state", "random", "cuda"}
SHARE = 20  # and so many times as long as the last one took to write


class Checkpoint:
    """Where runs in training are kept, an epoch at a time, beside the file of the finished ones; nowhere for None."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.due = time.monotonic() + PAUSE
        self.held = self._read()

    def pairs(self, configs: Mapping[str, Any]) -> list[tuple[str, int]]:
        """Return the (setting, seed) pairs that were in training; forget them if it was with other configurations."""
        if self.held and any(self.held["configs"][name] != configs.get(name) for name, _ in self.held["pairs"]):
            self.held = None
        return [*self.held["pairs"]] if self.held else []

    def resume(self, trainer: Trainer) -> None:
        """Bring a trainer to where the checkpoint left it, if it is its own."""
        held, self.held = self.held, None
        if held and held["pairs"] == _pairs(trainer) and held.get("method") == trainer.method:
            try:
                trainer.load_state_dict(held["state"])
                torch.set_rng_state(held["random"])
                if held["cuda"] is not None:
                    torch.cuda.set_rng_state(held["cuda"], trainer.task.device)
            except Exception as error:  # whatever a damaged file says
                raise OSError(f"cannot resume from the checkpoint {self.path}: {error!r}; remove it") from error

    def save(self, trainer: Trainer, configs: Mapping[str, Any]) -> None:
        """Replace the checkpoint, if the last one is old enough; an interruption leaves the old one."""
        started = time.monotonic()
        if self.path is None or started < self.due:
            return
        device = trainer.task.device
        state = {
            "pairs": _pairs(trainer),
            "method": trainer.method,
            "configs": {name: configs[name] for name, _ in _pairs(trainer)},
            "state": trainer.state_dict(),
            "random": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        }
        part = self.path.with_name(f"{self.path.name}.part")
        try:
            torch.save(state, part)
            os.replace(part, self.path)
        except (OSError, RuntimeError) as error:  # a full disk is a RuntimeError of torch's
            part.unlink(missing_ok=True)
            reason = f"cannot write the checkpoint {self.path}: {first_line(error)}; the finished runs are kept"
            raise OSError(reason) from error
        except (AttributeError, TypeError, pickle.PicklingError):  # a scheduler that holds a function, say
            part.unlink(missing_ok=True)
            self.drop()
            self.path = None  # then these runs cannot be resumed
        now = time.monotonic()
        self.due = now + max(PAUSE, SHARE * (now - started))

    def drop(self) -> None:
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _read(self) -> Any:
        if self.path is None or not self.path.exists():
            return None
        try:
            held = torch.load(self.path, map_location="cpu", weights_only=True)
            return held if held.keys() >= PARTS else None
        except Exception:  # half written, damaged, or with more than plain values: then those runs begin again
            return None


def _pairs(trainer: Trainer) -> list[tuple[str, int]]:
    return [(member.run.setting, member.run.seed) for member in trainer.members]
