"""The command `lrsched`, also `python -m lrsched`: prints or draws schedules, or the learning rates of a picture."""

from __future__ import annotations

import argparse
import inspect
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn, get_args

import lrsched

from . import plot
from ._check import integer, number
from .schedulers._rates import Rates
from .sequences._by_name import SCHEDULES, ScheduleName, by_name
from .sequences._drawing import MOST, steps_to_show
from .sequences._language import NAMES, called, parameters, parse, plain, short_arguments
from .sequences._pixels import Channels, Order, Pixels
from .sequences._sequence import Sequence

HELP = """\
A SCHEDULE is a name, followed by a colon and its arguments if it takes any:
  inverse   geometric:0.95   sawtooth:period=20,aligned=true   piecewise:30/60,1/0.1/0.01
An argument is a number, true, false, none, a list of numbers such as 1/0.5/0.1 (with one entry: 1/), or a word.
If `steps` is missing, it is the value of --steps, or 100: cosine, one-cycle:rise=0.4
A SCHEDULE may also be an expression. Quote it, so that the shell leaves it alone:
  "0.5 * Inverse()"   "Warmup(5, start=0.2).then(Constant(), at=5).then(Linear(10), at=40)"
Names of schedules in Hugging Face's transformers work too. If a name is also one of the above, add `by_name:`:
  cosine_with_restarts:steps=1000,warmup=50,cycles=3   by_name:linear,steps=1000,warmup=50
"""
STEPS = 100  # for a schedule that needs `steps`, if none are given
ROWS = 60  # at most this many rows of a table, unless --steps or --every say otherwise
LABEL = 80  # characters of a schedule that an error shows
FIRST = 6  # learning rates of a picture that its summary lists


def run() -> None:
    """Run the command of this process. A closed pipe ends it with code 1, and Ctrl-C with code 130, both quietly."""
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def main(argv: list[str] | None = None) -> None:
    """Run one command. Bad input prints one line to stderr and exits with code 2."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        arguments.run(arguments)
    except BrokenPipeError:
        raise
    except (ArithmeticError, ImportError, MemoryError, OSError, RecursionError, TypeError, ValueError) as error:
        parser.error(" ".join(f"{error}".split()) or type(error).__name__)


# show


def _show(arguments: argparse.Namespace) -> None:
    lr = number("--lr", arguments.lr)
    given = None if arguments.steps is None else integer("--steps", arguments.steps, low=1)
    sequences = {text: _schedule(text, given or STEPS) for text in arguments.schedules}
    steps = given or max(map(steps_to_show, sequences.values()))
    if arguments.output is not None:
        return _draw(sequences, steps, lr, arguments)
    if arguments.log:
        raise ValueError("--log needs a drawing: add -o FILE")
    every = _stride(steps, given) if arguments.every is None else integer("--every", arguments.every, low=1)
    positions = range(0, steps, every)
    if arguments.json:
        return _print_json(sequences, positions, lr)
    return _print_table(positions, {text: _rate(sequence, lr) for text, sequence in sequences.items()})


def _draw(sequences: dict[str, Sequence], steps: int, lr: float, arguments: argparse.Namespace) -> None:
    if arguments.every is not None:
        raise ValueError("--every applies to printed output: leave out --every or -o")
    number("--steps", steps, high=MOST)
    x = plot.positions(steps)
    curves = {text: [lr * sequence(k) for k in x.tolist()] for text, sequence in sequences.items()}
    ylabel = "factor" if lr == 1 else "learning rate"
    ax = plot.schedules(x, curves, log=arguments.log, ylabel=ylabel)
    plot.save(ax, arguments.output)
    print(f"wrote {arguments.output} ({_count(len(sequences), 'schedule')}, {_count(steps, 'step')})")


def _stride(steps: int, given: int | None) -> int:
    """Return how far apart the printed positions are: 1 if --steps is given, else 1, 2, 5, 10, … for few rows."""
    if given is not None:
        return 1
    stride = 1
    while steps > ROWS * stride:
        stride = stride * 5 // 2 if str(stride)[0] == "2" else 2 * stride
    return stride


def _rate(sequence: Sequence, lr: float) -> Callable[[int], float]:
    return lambda k: lr * sequence(k)


def _schedule(text: str, steps: int) -> Sequence:
    """Return the sequence that a text describes. Errors start with the text, because there may be several schedules."""
    name, _, words = text.partition(":")
    label = text if len(text) <= LABEL else text[: LABEL - 3] + "..."
    try:
        return parse(text) if "(" in name else _short_form(text, name.strip(), words, steps)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{label}: {error}") from None


def _short_form(text: str, name: str, words: str, steps: int) -> Sequence:
    """Return the sequence of a short form, after adding `steps` if it is missing."""
    ours = {plain(key): kind for key, kind in NAMES.items()}
    theirs: dict[object, str] = {plain(key): key for key in get_args(ScheduleName)}
    arguments, options = short_arguments(words)
    call: Callable[..., Sequence] = ours.get(plain(name), by_name)
    if plain(name) == "byname":
        arguments[:1] = [theirs.get(plain(str(key)), key) for key in arguments[:1]]
    elif call is by_name and plain(name) in theirs:
        arguments.insert(0, theirs[plain(name)])
    elif call is by_name:
        return _unknown(text)
    if "steps" in [*inspect.signature(call).parameters][len(arguments) :] and "steps" not in options:
        options["steps"] = steps
    try:
        return called(call, name, arguments, options)
    except TypeError as error:
        misfit = str(error).startswith(("got an unexpected keyword", "missing a required"))
        if call is by_name or plain(name) not in theirs or not misfit:
            raise
        raise TypeError(f"{error}; for the one of transformers, write by_name:{theirs[plain(name)]},…") from None


def _unknown(text: str) -> Sequence:
    """Raise the error of `parse` for an unknown name, with transformers' names added."""
    try:
        return parse(text)
    except ValueError as error:
        if not str(error).startswith("unknown schedule"):
            raise
        ours = {plain(key) for key in NAMES}
        more = ", ".join(name for name in get_args(ScheduleName) if plain(name) not in ours)
        raise ValueError(f"{error}; or from transformers: {more}") from None


# image


def _image(arguments: argparse.Namespace) -> None:
    steps = integer("--steps", arguments.steps, low=1)
    low, high = number("--base-lr", arguments.base_lr), number("--max-lr", arguments.max_lr)
    pixels = Pixels(arguments.photo, steps, order=arguments.order, channels=arguments.channels)
    rates = Rates([high], pixels, limits={"base_lr": low, "max_lr": high})

    def rate(k: int) -> float:
        return rates.at(k)[0]

    if arguments.output is not None:
        x = plot.positions(steps)
        title = f"{Path(arguments.photo).name} as {_count(len(pixels), 'learning rate')}"
        left, _ = plot.picture(pixels.source, [rate(k) for k in x.tolist()], x=x, title=title)
        plot.save(left, arguments.output)
        print(f"wrote {arguments.output} ({_count(len(pixels), 'learning rate')})")
    elif arguments.values and arguments.json:
        _print_members(_summary(arguments.photo, pixels, rate), {"factors": pixels, "rates": rate}, range(steps))
    elif arguments.values:
        _print_table(range(steps), {"factor": pixels, "learning rate": rate})
    elif arguments.json:
        print(json.dumps(_summary(arguments.photo, pixels, rate), allow_nan=False))
    else:
        _print_summary(_summary(arguments.photo, pixels, rate))


def _summary(photo: str, pixels: Pixels, rate: Callable[[int], float]) -> dict[str, Any]:
    """Return a summary of a picture's learning rates. If there are very many, its statistics are those of a sample."""
    used = min(pixels.steps, len(pixels))
    sample = [rate(k) for k in plot.positions(used).tolist()]
    height, width = pixels._original
    return {
        "picture": photo,
        "width": width,
        "height": height,
        "sha256": pixels.sha256,
        "steps": pixels.steps,
        "order": pixels.order,
        "channels": pixels.channels,
        "values": len(pixels),
        "lowest": min(sample),
        "mean": math.fsum(sample) / len(sample),
        "highest": max(sample),
        "first": [rate(k) for k in range(min(used, FIRST))],
    }


def _print_summary(found: dict[str, Any]) -> None:
    print(f"{found['picture']}: {found['width']} x {found['height']} pixels, sha256 {found['sha256']}")
    print(
        f"{_count(found['values'], 'learning rate')} for {found['steps']} steps ({found['channels']}, {found['order']})"
    )
    print(f"lowest {found['lowest']:.6g}, mean {found['mean']:.6g}, highest {found['highest']:.6g}")
    print("first: " + ", ".join(f"{rate:.6g}" for rate in found["first"]))
    print("Add -o FILE to draw them, or --values to list them.")


# Printing


def _print_table(positions: range, columns: dict[str, Callable[[int], float]]) -> None:
    """Print k and the columns line by line. Column widths are fixed in advance, so the first line appears at once."""
    widths = [len(str(positions.stop)), *(max(len(label), 12) for label in columns)]  # 1.23457e-100 has 12 characters
    _print_row(["k", *columns], widths)
    for k in positions:
        _print_row([str(k), *(f"{column(k):.6g}" for column in columns.values())], widths)


def _print_row(cells: Iterable[str], widths: Iterable[int]) -> None:
    print("  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)))


def _print_json(sequences: dict[str, Sequence], positions: range, lr: float) -> None:
    """Print positions, factors and rates as one JSON object, number by number, so that memory stays small."""
    print(f'{{"lr": {json.dumps(lr)}, "positions": ', end="")
    _print_list(positions)
    for i, (text, sequence) in enumerate(sequences.items()):
        print(", " if i else ', "schedules": [', end="")
        about = {"text": text, "schedule": repr(sequence), "length": sequence.length}
        _print_members(about, {"factors": sequence, "rates": _rate(sequence, lr)}, positions, end="")
    print("]}")


def _print_members(
    about: Mapping[str, object], columns: dict[str, Callable[[int], float]], positions: range, end: str = "\n"
) -> None:
    """Print a JSON object: some members, and a list for each column."""
    print(json.dumps(about, allow_nan=False)[:-1], end="")
    for label, column in columns.items():
        print(f", {json.dumps(label)}: ", end="")
        _print_list(map(column, positions))
    print("}", end=end)


def _print_list(numbers: Iterable[float]) -> None:
    """Print a JSON list. Non-finite numbers are printed as null, because strict JSON cannot hold them."""
    print("[", end="")
    for i, value in enumerate(numbers):
        print(", " if i else "", json.dumps(value) if math.isfinite(value) else "null", sep="", end="")
    print("]", end="")


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


# The parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def _parser() -> _Parser:
    prog = "python -m lrsched" if Path(sys.argv[0]).name == "__main__.py" else "lrsched"
    parser = _Parser(prog=prog, description="Print or draw learning-rate schedules.")
    parser.add_argument("--version", action="version", version=f"lrsched {lrsched.__version__}")
    parser.set_defaults(run=lambda _: parser.print_help())
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    show = commands.add_parser(
        "show",
        help="print or draw schedules",
        description="Print schedules as a table, or draw them in one figure.",
        epilog=_names(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_show_options(show)
    image = commands.add_parser(
        "image",
        help="describe or draw a picture as learning rates",
        description="Turn the pixels of a picture into learning rates, and describe, list or draw them.",
    )
    _add_image_options(image)
    for command in (show, image):
        either = command.add_mutually_exclusive_group()
        either.add_argument("-o", "--output", metavar="FILE", help=f"draw to FILE ({', '.join(plot.FORMATS)})")
        either.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _names() -> str:
    """Return the help on schedules, with all names and their arguments."""
    ours = [f"  {name:21}{parameters(kind)}" for name, kind in NAMES.items()]
    options = {name: parameters(call).removeprefix("steps, warmup").lstrip(", ") for name, call in SCHEDULES.items()}
    theirs = [f"  {name:27}{more}" for name, more in options.items()]
    lists = [
        "The names and their arguments:",
        *ours,
        "Names of transformers, with arguments after steps and warmup=0:",
        *theirs,
    ]
    return HELP + "\n".join(map(str.rstrip, lists))


def _add_show_options(show: argparse.ArgumentParser) -> None:
    show.set_defaults(run=_show)
    show.add_argument("schedules", nargs="+", metavar="SCHEDULE", help="such as geometric:gamma=0.95; see below")
    show.add_argument(
        "--steps", type=int, help="number of positions, from k = 0 (default: enough to show the schedules)"
    )
    show.add_argument(
        "--every", type=int, help="print every EVERY-th position (default: all of --steps, else about 50)"
    )
    show.add_argument("--lr", type=float, default=1.0, help="base learning rate (default 1)")
    show.add_argument("--log", action="store_true", help="draw the vertical axis on a logarithmic scale")


def _add_image_options(image: argparse.ArgumentParser) -> None:
    image.set_defaults(run=_image)
    image.add_argument("photo", metavar="PHOTO", help="picture file")
    image.add_argument("--steps", type=int, default=5000, help="number of training steps (default 5000)")
    image.add_argument("--order", choices=get_args(Order), default="raster", help="order of pixels (default raster)")
    image.add_argument("--channels", choices=get_args(Channels), default="rgb", help="colours to read (default rgb)")
    image.add_argument("--base-lr", type=float, default=1e-5, help="learning rate of black (default 1e-5)")
    image.add_argument("--max-lr", type=float, default=1e-2, help="learning rate of white (default 1e-2)")
    image.add_argument("--values", action="store_true", help="list the learning rate of each step")


if __name__ == "__main__":
    run()
