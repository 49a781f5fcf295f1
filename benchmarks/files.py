"""Folders of results: files are written whole or not at all, and finished work is kept as JSON lines."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from lrsched.comparison._json_lines import append_lines, plain, read_lines

from . import machine, pieces
from .commands import BenchmarkError


def prepare(folder: Path) -> None:
    """Create the folder if necessary, and check that files can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BenchmarkError(f"cannot write into the folder {folder}: {error}") from error


def write(path: Path, content: bytes | str | dict[str, Any]) -> None:
    """Replace a file's content by bytes, text or a dict as JSON. If interrupted, the old file stays."""
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


def write_figures(path: Path, figures: dict[str, Any], device: str = "cpu") -> None:
    """Write measured figures as JSON, preceded by the hardware, the versions and the commit."""
    write(path, {**machine.origin(device), **figures})


class Records:
    """The finished work of one configuration, in FOLDER/runs.jsonl, so that an interrupted command can resume.

    `found` maps the values of `keys` to a record. `config` holds everything else that determines a result; lines
    of other configurations stay in the file and are ignored. An incomplete last line is cut off.
    """

    def __init__(self, folder: Path, keys: tuple[str, ...], config: dict[str, Any]) -> None:
        self.folder, self.keys = folder, keys
        self.path = folder / "runs.jsonl"
        self.config = plain(config)
        self.found: dict[tuple[Any, ...], dict[str, Any]] = {}
        prepare(folder)
        pieces.join(folder)
        try:
            lines = read_lines(self.path)
        except OSError as error:
            raise BenchmarkError(f"cannot use {self.path}: {error}") from error
        for number, line in enumerate(lines, start=1):
            self._take(number, line)

    def _take(self, number: int, line: bytes) -> None:
        try:
            record = json.loads(line)
            if record.pop("config") == self.config:
                self.found[self._key(record)] = record
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"{self.path}, line {number}, is not a valid record: {error!r}; remove that line"
            raise BenchmarkError(message) from error

    def _key(self, record: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(record[key] for key in self.keys)

    def add(self, record: dict[str, Any]) -> None:
        """Append a record and wait until it is on disk; NaN and infinity become null."""
        record = plain(record)
        try:
            append_lines(self.path, [{**record, "config": self.config}])
        except OSError as error:
            raise BenchmarkError(f"cannot write to {self.path}: {error}; finished work is kept") from error
        self.found[self._key(record)] = record
