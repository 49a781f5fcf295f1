"""Folders of results, and files in them written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from .errors import BenchmarkError


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
