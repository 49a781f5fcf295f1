"""Finished work as JSON lines, so that an interrupted command goes on where it was."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from .errors import BenchmarkError
from .results import prepare


class Records:
    """Finished work of one configuration in FOLDER/runs.jsonl: objects, by the values of some of their entries.

    `config` is all else that decides how the work ends; lines of another one stay in the file and are not looked at. A
    line counts once its newline is written: what a killed process left of one is cut off.
    """

    def __init__(self, folder: Path, keys: tuple[str, ...], config: dict[str, Any]) -> None:
        self.folder, self.keys = folder, keys
        self.path = folder / "runs.jsonl"
        self.config = json.loads(json.dumps(config))
        self.found: dict[tuple[Any, ...], dict[str, Any]] = {}
        prepare(folder)
        try:
            self.path.touch()
            *lines, unfinished = self.path.read_bytes().split(b"\n")
            if unfinished:
                os.truncate(self.path, self.path.stat().st_size - len(unfinished))
        except OSError as error:
            raise BenchmarkError(f"cannot use {self.path}: {error}") from error
        for number, line in enumerate(lines, start=1):
            self._take(number, line)

    def _take(self, number: int, line: bytes) -> None:
        try:
            record = json.loads(line)
            if record.pop("config") == self.config:
                self.found[tuple(record[key] for key in self.keys)] = record
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BenchmarkError(f"{self.path}, line {number}, is no record: {error!r}; remove that line") from error

    def add(self, record: dict[str, Any]) -> None:
        """Append a record to the file, and see it onto the disk; NaN and infinity become null."""
        record = finite(record)
        line = json.dumps({**record, "config": self.config}, allow_nan=False).encode() + b"\n"
        try:
            with self.path.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise BenchmarkError(f"cannot write to {self.path}: {error}; what is finished is kept") from error
        self.found[tuple(record[key] for key in self.keys)] = record


def finite(value: Any) -> Any:
    """Return the value with null for NaN and infinity, which JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    return value
