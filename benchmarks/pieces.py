"""Records and checkpoints in pieces, so that a folder of results can be carried to another machine as small files."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .commands import BenchmarkError

try:
    import fcntl
except ImportError:  # Windows, where users must not carry a folder that is in use
    fcntl = None  # type: ignore[assignment]

SIZE = 16_000_000  # the most bytes of a file
SPLIT = r"runs\.jsonl|.+\.checkpoint\d*"  # the names of files that may be in pieces


def split(folder: Path, size: int = SIZE) -> None:
    """Replace each file of records and each checkpoint that is larger than `size` bytes by pieces of that size.

    It looks in the folder and in its subfolders, as `join` does, and leaves those where another process is training.
    """
    for path in _found(folder, "*"):
        count = -(-path.stat().st_size // size)
        if count > 1 and re.fullmatch(SPLIT, path.name) and not _in_use(path.parent):
            with path.open("rb") as file:
                for i in range(count):
                    path.with_name(f"{path.name}.piece{i + 1}of{count}").write_bytes(file.read(size))
            path.unlink()


def join(folder: Path) -> None:
    """Put the pieces of each file together again, and delete them; also those that an interrupted call has left.

    Raises BenchmarkError if a piece is missing.
    """
    pieces = {path: whole for path in _found(folder, "*.piece*") if (whole := _whole(path)) is not None}
    for whole in sorted(set(pieces.values())):
        found = {path.name: path for path in pieces if pieces[path] == whole}
        if not whole.exists():
            _write(whole, found)
        for path in found.values():
            path.unlink()


def _write(whole: Path, pieces: dict[str, Path]) -> None:
    count = int(next(iter(pieces)).rpartition("of")[2])
    names = [f"{whole.name}.piece{i + 1}of{count}" for i in range(count)]
    missing = [name for name in names if name not in pieces]
    if missing:
        raise BenchmarkError(f"{whole.parent} lacks {', '.join(missing)}; copy the folder again, or remove the others")
    part = whole.with_name(f"{whole.name}.part")
    with part.open("wb") as file:
        for name in names:
            file.write(pieces[name].read_bytes())
    os.replace(part, whole)


def _found(folder: Path, pattern: str) -> list[Path]:
    return [path for path in [*folder.glob(pattern), *folder.glob(f"*/{pattern}")] if path.is_file()]


def _in_use(folder: Path) -> bool:
    """Return whether another process has locked the records of a folder, as `compare` does while it trains."""
    records = folder / "runs.jsonl"
    if fcntl is None or not records.exists():
        return False
    with records.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # the file system has no locks
            pass
    return False


def _whole(path: Path) -> Path | None:
    """Return the file that a path is a piece of, or None if it is not a piece."""
    found = re.fullmatch(rf"({SPLIT})\.piece\d+of\d+", path.name)
    return path.with_name(found[1]) if found else None
