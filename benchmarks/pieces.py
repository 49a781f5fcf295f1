"""Checkpoints in pieces, so that a folder of results can be carried to another machine as small files."""

from __future__ import annotations

import os
import re
from pathlib import Path

SIZE = 16_000_000  # the most bytes of a file


def split(folder: Path, size: int = SIZE) -> None:
    """Replace each checkpoint in the folder that is larger than `size` bytes by pieces of that size."""
    for path in folder.rglob("*.checkpoint*"):
        count = -(-path.stat().st_size // size)
        if count > 1 and _whole(path) is None:
            with path.open("rb") as file:
                for i in range(count):
                    path.with_name(f"{path.name}.piece{i + 1}of{count}").write_bytes(file.read(size))
            path.unlink()


def join(folder: Path) -> None:
    """Put the pieces of each checkpoint together again, and delete them.

    If the checkpoint is there too, or a piece is missing, the pieces are left from an interrupted call and of no use.
    """
    pieces = {path: whole for path in folder.rglob("*.piece*") if (whole := _whole(path)) is not None}
    for whole in sorted(set(pieces.values())):
        found = {path.name: path for path in pieces if pieces[path] == whole}
        count = int(next(iter(found)).rpartition("of")[2])
        names = [f"{whole.name}.piece{i + 1}of{count}" for i in range(count)]
        if not whole.exists() and found.keys() == set(names):
            part = whole.with_name(f"{whole.name}.part")
            with part.open("wb") as file:
                for name in names:
                    file.write(found[name].read_bytes())
            os.replace(part, whole)
        for path in found.values():
            path.unlink()


def _whole(path: Path) -> Path | None:
    """Return the checkpoint that a path is a piece of, or None if it is not a piece."""
    found = re.fullmatch(r"(.+\.checkpoint\d*)\.piece\d+of\d+", path.name)
    return path.with_name(found[1]) if found else None
