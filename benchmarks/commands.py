"""What the commands share: the error that is shown without a traceback, and options that several of them take."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path


class BenchmarkError(Exception):
    """The user's input, a file or this machine cannot be used. Only the message is shown, no traceback."""


def option_parser(name: str, doc: str) -> argparse.ArgumentParser:
    """Return the parser of `python -m benchmarks NAME`, described by the first line of the docstring."""
    return argparse.ArgumentParser(prog=f"python -m benchmarks {name}", description=doc.splitlines()[0])


def add_out(parser: argparse.ArgumentParser, files: str, default: Path | None = None) -> None:
    """Add `--out DIR`."""
    shown = f" (default: {default})" if default else ""
    parser.add_argument("--out", type=Path, metavar="DIR", default=default, help=f"folder for {files}{shown}")


def add_samples(parser: argparse.ArgumentParser, default: int) -> None:
    """Add `--samples N`."""
    parser.add_argument(
        "--samples", type=count, default=default, help="timed samples per contestant (default: %(default)s)"
    )


def add_seeds(parser: argparse.ArgumentParser, default: int) -> None:
    """Add `--seeds N`."""
    parser.add_argument("--seeds", type=count, default=default, help="number of seeds (default: %(default)s)")


def add_device(parser: argparse.ArgumentParser, remark: str = "cpu, cuda, cuda:1, …") -> None:
    """Add `--device NAME`."""
    parser.add_argument("--device", default="cpu", help=f"{remark} (default: %(default)s)")


def add_arithmetic(parser: argparse.ArgumentParser) -> None:
    """Add `--arithmetic NAME`."""
    parser.add_argument(
        "--arithmetic",
        choices=("float32", "tf32", "bfloat16"),
        default="float32",
        help="tf32 (GPUs only), or bfloat16 in the forward pass, with float32 weights and loss (default: %(default)s)",
    )


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Add `--threads N`."""
    parser.add_argument("--threads", type=count, default=1, help="torch's CPU threads (default: %(default)s)")


def count(text: str) -> int:
    """Parse an integer ≥ 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be an integer >= 1, got {text}")
    return value


def chosen(kind: str, names: str | None, known: Iterable[str]) -> list[str]:
    """Return the names in a comma-separated list, in the order of `known`; all of them for None.

    Raises BenchmarkError if a name is unknown or the list is empty; `kind` is the word for a name in the message.
    """
    known = list(known)
    if names is None:
        return known
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise BenchmarkError(f"unknown {kind} {', '.join(map(repr, unknown))}; choose from {', '.join(known)}")
    if not wanted:
        raise BenchmarkError(f"--{kind}s is empty; choose from {', '.join(known)}")
    return [name for name in known if name in wanted]
