"""A folder of results: one JSON line a finished run, appended as it ends, and files written whole or not at all."""

from __future__ import annotations

import json
import math
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .errors import BenchmarkError
from .training import Run


class Results:
    """The runs of one table in FOLDER/runs.jsonl, by setting and seed.

    `configs` says of each setting all that decides how its runs end. Lines of other configurations stay in the file
    and are not looked at. A line counts once its newline is written: what a killed process left of one is cut off.
    """

    def __init__(self, folder: Path, configs: dict[str, dict[str, Any]]) -> None:
        self.folder = folder
        self.path = folder / "runs.jsonl"
        self.configs = json.loads(json.dumps(configs))
        self.runs: dict[tuple[str, int], Run] = {}
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
            if record.pop("config") == self.configs.get(record["setting"]):
                self.runs[record["setting"], record["seed"]] = Run(**record)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BenchmarkError(f"{self.path}, line {number}, is no run: {error!r}; remove that line") from error

    def add(self, run: Run) -> None:
        """Append a run to the file, and see it onto the disk."""
        record = {**_finite(asdict(run)), "config": self.configs[run.setting]}
        try:
            with self.path.open("ab") as file:
                file.write(json.dumps(record, allow_nan=False).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise BenchmarkError(f"cannot write to {self.path}: {error}; the runs before this one are kept") from error
        self.runs[run.setting, run.seed] = run

    def of(self, setting: str) -> list[Run]:
        """Return the finished runs of a setting, by seed."""
        return [run for (name, _), run in sorted(self.runs.items()) if name == setting]


def prepare(folder: Path) -> None:
    """Make the folder if need be, and see that a file can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BenchmarkError(f"cannot write into the folder {folder}: {error}") from error


def write(path: Path, content: bytes | str | dict[str, Any]) -> None:
    """Replace a file by bytes, a text or an object as JSON; an interruption leaves the old one."""
    if isinstance(content, dict):
        content = json.dumps(content, indent=2) + "\n"
    if isinstance(content, str):
        content = content.encode()
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    except OSError as error:
        raise BenchmarkError(f"cannot write {path}: {error}") from error


def _finite(value: Any) -> Any:
    """Return the value with null for NaN and infinity, which JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return value
