"""`python -m lrsched` prints or draws schedules, or the learning rates of a picture."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NoReturn, get_args

import numpy as np

import lrsched

from . import plot
from ._check import integer, number
from .schedulers._rates import Rates
from .sequences._language import NAMES, parameters, parse
from .sequences._pixels import Channels, Order, Pixels
from .sequences._sequence import Sequence

HELP = """\
A SCHEDULE is a name, followed by a colon and its arguments if it takes any:
  inverse   geometric:0.95   sawtooth:period=20,aligned=true   piecewise:30/60,1/0.1/0.01
An argument is a number, true, false, none, a list of numbers such as 1/0.5/0.1 (with one entry: 1/), or a word.
A SCHEDULE may also be an expression. Quote it, so that the shell leaves it alone:
  "0.5 * Inverse()"   "Warmup(5, start=0.2).then(Constant(), at=5).then(Linear(10), at=40)"
The names and their arguments:
"""


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


def _show(arguments: argparse.Namespace) -> None:
    steps = integer("--steps", arguments.steps, low=1)
    lr = number("--lr", arguments.lr)
    sequences = {text: _schedule(text) for text in arguments.schedules}
    if arguments.output is None:
        if arguments.log:
            raise ValueError("--log needs a drawing: add -o FILE")
        return _print_table({text: sequence.scaled(lr) for text, sequence in sequences.items()}, steps)
    curves = {text: lr * sequence.values(steps) for text, sequence in sequences.items()}
    ylabel = "factor" if lr == 1 else "learning rate"
    ax = plot.schedules(np.arange(steps), curves, log=arguments.log, ylabel=ylabel)
    return plot.save(ax, arguments.output)


def _schedule(text: str) -> Sequence:
    """Return the sequence that a text describes. Errors start with the text, because there may be several schedules."""
    try:
        return parse(text)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{text}: {error}") from None


def _image(arguments: argparse.Namespace) -> None:
    steps = integer("--steps", arguments.steps, low=1)
    low, high = number("--base-lr", arguments.base_lr), number("--max-lr", arguments.max_lr)
    pixels = Pixels(arguments.photo, steps, order=arguments.order, channels=arguments.channels)
    rates = Rates([high], pixels, limits={"base_lr": low, "max_lr": high})
    if arguments.output is None:
        return _print_table({"factor": pixels, "learning rate": lambda k: rates.at(k)[0]}, steps)
    title = f"{Path(arguments.photo).name} as {len(pixels)} learning rates"
    left, _ = plot.picture(pixels.source, [rates.at(k)[0] for k in range(steps)], title=title)
    return plot.save(left, arguments.output)


def _print_table(columns: Mapping[str, Callable[[int], float]], steps: int) -> None:
    """Print k and the columns line by line. Column widths are fixed in advance, so the first line appears at once."""
    widths = [len(str(steps)), *(max(len(label), 12) for label in columns)]  # 1.23457e-100 has 12 characters
    _print_row(["k", *columns], widths)
    for k in range(steps):
        _print_row([str(k), *(f"{column(k):.6g}" for column in columns.values())], widths)


def _print_row(cells: Iterable[str], widths: Iterable[int]) -> None:
    print("  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def _parser() -> _Parser:
    parser = _Parser(prog="python -m lrsched", description="Print or draw learning-rate schedules.")
    parser.add_argument("--version", action="version", version=f"lrsched {lrsched.__version__}")
    parser.set_defaults(run=lambda _: parser.print_help())
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    show = commands.add_parser(
        "show",
        help="print or draw schedules",
        description="Print schedules as a table, or draw them in one figure.",
        epilog=HELP + "\n".join(f"  {name:14}{parameters(kind)}".rstrip() for name, kind in NAMES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_show_options(show)
    image = commands.add_parser(
        "image",
        help="print or draw a picture as learning rates",
        description="Turn the pixels of a picture into learning rates, and print them or draw them beside the picture.",
    )
    _add_image_options(image)
    for command in (show, image):
        command.add_argument("-o", "--output", metavar="FILE", help=f"draw to FILE ({', '.join(plot.FORMATS)})")
    return parser


def _add_show_options(show: argparse.ArgumentParser) -> None:
    show.set_defaults(run=_show)
    show.add_argument("schedules", nargs="+", metavar="SCHEDULE", help="such as geometric:gamma=0.95; see below")
    show.add_argument("--steps", type=int, default=50, help="number of positions, from k = 0 (default 50)")
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


if __name__ == "__main__":
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe: exit quietly
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
