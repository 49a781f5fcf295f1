"""Run what the results still lack, part by part, and end in time.

Each part is a command with a folder of its own. At the deadline it is stopped as by Ctrl-C: finished runs are kept, and
the same command resumes, also on another machine that has the folder of results. Its files have 16 MB at most.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from . import machine, pieces
from .commands import BenchmarkError, add_device, chosen, count, option_parser
from .devices import usable
from .files import prepare, write
from .parts import Part, Parts
from .text_tables import show

STOPPING = 30.0  # seconds that a stopped part has to write its report; a sixth of all the time if that is less
LENGTHS = "lengths.json"  # the lengths that were chosen, in the folder of results
RESULTS = Path("benchmarks", "results")
STOPPED = 130
HEADER = ["Part", "for", "missing", "of", "about"]


def main(argv: list[str]) -> int:
    options = everything_parser().parse_args(argv)
    deadline = Deadline(options.minutes)
    if usable(options.device).type not in ("cpu", "cuda"):
        raise BenchmarkError(f"--device {options.device}: must be cpu or cuda")
    trial = options.limit or options.epochs
    options.results = options.results or (Path("out", "all") if trial else RESULTS)
    prepare(options.results)
    parts = Parts(options, chosen_lengths(options.results))
    names = chosen("part", options.parts, parts.makers)
    try:
        pieces.join(options.results)
        codes = {} if options.list else run_parts(names, parts, deadline)
        tell(parts, names, deadline, commands=options.list)
    finally:
        pieces.split(options.results)
    failed = [name for name, code in codes.items() if code not in (0, STOPPED)]
    if failed:
        print(f"Failed, see above: {', '.join(failed)}.")
    return 1 if failed else codes.get("all", 0)


class Deadline:
    """The time by which everything must have ended; never, without minutes."""

    def __init__(self, minutes: float | None) -> None:
        seconds = math.inf if minutes is None else 60 * minutes
        self.stopping = min(STOPPING, seconds / 6)
        self._end = time.monotonic() + seconds - self.stopping

    @property
    def left(self) -> float:
        """The seconds until a part must be stopped."""
        return self._end - time.monotonic()


def chosen_lengths(results: Path) -> dict[str, int]:
    """Return the lengths chosen so far, by folder, of those parts that have begun to train."""
    path = results / LENGTHS
    try:
        lengths = dict(json.loads(path.read_text())) if path.exists() else {}
    except ValueError as error:
        raise BenchmarkError(f"{path} is not valid: {error}; remove it") from error
    return {name: length for name, length in lengths.items() if has_begun(results / name)}


def has_begun(folder: Path) -> bool:
    """Return whether a folder has records or a checkpoint, whole or in pieces."""
    return any(path.stat().st_size for path in folder.glob("runs.jsonl*"))


def run_parts(names: list[str], parts: Parts, deadline: Deadline) -> dict[str, int]:
    """Run parts until Ctrl-C; return their exit codes, and `STOPPED` for "all" if they were interrupted."""
    codes: dict[str, int] = {}
    try:
        for name in names:
            codes[name] = run_part(name, parts, deadline)
    except KeyboardInterrupt:
        codes["all"] = STOPPED
        print("\nInterrupted: run the same command again to resume.")
    return codes


def run_part(name: str, parts: Parts, deadline: Deadline) -> int:
    """Run a part if something is missing and time allows; return its exit code, or `STOPPED` when time is up."""
    found = parts.part(name)
    part = expected(found, parts, deadline.left)
    if not part.left or deadline.left < max(part.needed, found.needed):
        return 0
    if part.length is not None:
        parts.lengths[part.folder.name] = part.length
        write(parts.options.results / LENGTHS, dict(parts.lengths))
    prepare(part.folder)
    print(f"\n{name}: {part.left} of {part.units} to do, about {duration(part.estimate)}.", flush=True)
    command = [sys.executable, "-m", "benchmarks.attached", str(parts.options.results), *part.words]
    with printed(part, parts.options.device) as output, attached(command, output, deadline) as process:
        try:
            code = process.wait(None if math.isinf(deadline.left) else max(0.0, deadline.left))
        except subprocess.TimeoutExpired:
            print(f"\n{name}: time is up.", flush=True)
            return STOPPED
    if part.text is not None and code == 0:
        unfinished(part.text).replace(part.text)
    elif part.text is not None:
        print(f"{name}: what it printed is in {unfinished(part.text)}.")
    return code


@contextmanager
def attached(command: list[str], output: IO[str] | None, deadline: Deadline) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command; if it has not ended when the block is left, interrupt it and wait until it has ended.

    It has a session of its own, so that Ctrl-C in a terminal reaches it only once, by way of its input.
    """
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True)
    assert process.stdin is not None
    try:
        yield process
    finally:
        process.stdin.close()
        try:
            process.wait(deadline.stopping)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def printed(part: Part, device: str) -> Iterator[IO[str] | None]:
    """Yield a file for what the part prints, if that is its result."""
    if part.text is None:
        yield None
        return
    with unfinished(part.text).open("w") as file:
        file.write(f"{machine.note(device)}\n")
        file.flush()
        yield file


def unfinished(text: Path) -> Path:
    return text.with_name(f"{text.name}.part")


def tell(parts: Parts, names: list[str], deadline: Deadline, commands: bool = False) -> None:
    """Print how much of these parts is missing and how long it takes; with `commands`, also what would be run."""
    found, left = [], deadline.left
    for name in names:
        found.append(expected(parts.part(name), parts, left))
        left -= found[-1].estimate
    lines = [[part.name, part.purpose, str(part.left), str(part.units), duration(part.estimate)] for part in found]
    show([HEADER, *lines], f"Results in {parts.options.results}", right=HEADER[2:])
    if commands:
        print(*(f"{part.name}: python -m {' '.join(part.words)}" for part in found if part.left), sep="\n")
    total = sum(part.estimate for part in found)
    print(f"Left: about {duration(total)}." if total else "Nothing is left.")


def expected(part: Part, parts: Parts, left: float) -> Part:
    """Return a part; if its length is still to be chosen, with the one that fits into the seconds left."""
    if not part.left or part.fit is None:
        return part
    return Parts(parts.options, {**parts.lengths, part.folder.name: part.fit.length(left)}).part(part.name)


def duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def everything_parser() -> argparse.ArgumentParser:
    parser = option_parser("all", __doc__)
    parser.add_argument("--list", action="store_true", help="run nothing: show what is missing, and how long it takes")
    parser.add_argument("--minutes", type=minutes, metavar="N", help="end within N minutes (default: no limit)")
    parser.add_argument("--parts", metavar="A,B,C", help="only these; --list shows all")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder with CIFAR-10 and MNIST, or folders of them")
    shown = f"folder of the parts' folders (default: {RESULTS}, or out/all with --limit or --epochs)"
    parser.add_argument("--results", type=Path, metavar="DIR", help=shown)
    parser.add_argument("--limit", type=count, metavar="N", help="a trial: N images of each part, few seeds and rows")
    parser.add_argument("--epochs", type=count, metavar="N", help="of every run (default: as published, or what fits)")
    add_device(parser, "cpu, or cuda, which has two parts more")
    return parser


def minutes(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text}")
    return value
