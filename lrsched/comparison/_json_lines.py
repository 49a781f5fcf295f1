"""JSON-lines files that survive a killed process: records are synced to disk, and an unfinished line is cut off."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def read_lines(path: Path) -> list[bytes]:
    """Return the complete lines and cut an unfinished last line off the file. Creates the file if it does not exist.

    Raises OSError if the file cannot be read or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.open("ab").close()
    *lines, unfinished = path.read_bytes().split(b"\n")
    if unfinished:
        os.truncate(path, path.stat().st_size - len(unfinished))
    return lines


def append_lines(path: Path, records: Iterable[object]) -> None:
    """Append one line per record and wait until all are on disk. Raises OSError if that fails."""
    text = "".join(json.dumps(plain(record), allow_nan=False) + "\n" for record in records)
    with path.open("ab") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def plain(value: Any) -> Any:
    """Return the value as JSON would give it back, with None for NaN and infinity."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return value
