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


def join(folder: Path, size: int = SIZE) -> None:
    """Put the pieces of each file together again, and delete them.

    Beside the whole file, pieces are deleted if it contains them, as after an interrupted call. Raises BenchmarkError
    if a piece is missing, and if there are two versions of a file.
    """
    pieces: dict[Path, dict[int, list[Path]]] = {}
    for path in _found(folder, "*.piece*"):
        if found := re.fullmatch(rf"({SPLIT})\.piece\d+of(\d+)", path.name):
            pieces.setdefault(path.with_name(found[1]), {}).setdefault(int(found[2]), []).append(path)
    for whole, versions in sorted(pieces.items()):
        for count, found in sorted(versions.items()):
            if len(versions) > 1 or (whole.exists() and not _contains(whole, found, size)):
                raise BenchmarkError(
                    f"{whole.parent} has two versions of {whole.name}: remove the older one, whole or in pieces"
                )
            if not whole.exists():
                _join(whole, found, count)
        for path in (path for found in versions.values() for path in found):
            path.unlink()


def _join(whole: Path, pieces: list[Path], count: int) -> None:
    paths = [whole.with_name(f"{whole.name}.piece{i + 1}of{count}") for i in range(count)]
    missing = [path.name for path in paths if path not in pieces]
    if missing:
        raise BenchmarkError(f"{whole.parent} lacks {', '.join(missing)}; copy the folder again, or remove the others")
    part = whole.with_name(f"{whole.name}.part")
    with part.open("wb") as file:
        for path in paths:
            file.write(path.read_bytes())
    os.replace(part, whole)


def _contains(whole: Path, pieces: list[Path], size: int) -> bool:
    """Return whether each piece, which may be incomplete, has the same bytes as the whole file at its place."""
    with whole.open("rb") as file:
        for path in pieces:
            content = path.read_bytes()
            file.seek(size * (int(path.name.rpartition(".piece")[2].partition("of")[0]) - 1))
            if file.read(len(content)) != content:
                return False
    return True


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
