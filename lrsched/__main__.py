"""`python -m lrsched`: look at any schedule or picture, as a table or as a drawing."""

from __future__ import annotations

import argparse
import ast
import difflib
import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

import lrsched

from . import plot
from ._check import integer, number
from .schedulers._rates import Rates
from .sequences._pixels import Pixels
from .sequences._sequence import Sequence

COMBINATORS = ("then", "scaled", "clipped", "repeated", "delayed", "every")

HELP = """\
A SCHEDULE is a name, with arguments after a colon where it takes any:
  inverse   geometric:0.95   sawtooth:period=20,aligned=true   piecewise:30/60,1/0.1/0.01
A value is a number, true, false, none, a list of numbers such as 1/0.5/0.1 (of one number: 1/), or a word.
It may also be an expression (in quotes, because of the shell):
  "Warmup(5) * Inverse()"   "Warmup(5).then(Constant(), at=5).then(Linear(10), at=40)"
The names and their arguments:
"""


def parse(text: str) -> Sequence:
    """Return the sequence that a command-line argument means: NAME[:VALUE or KEY=VALUE, ...] or an expression.

    An expression is made of the sequences of lrsched, their combinators, products and literals; nothing else is called.

    Raises TypeError or ValueError where the text is none of that, or an argument is out of range.

    >>> parse("geometric:gamma=0.5"), parse("values:1/0.5")
    (Geometric(gamma=0.5), Values([1.0, 0.5]))
    >>> parse("Warmup(5) * Inverse()")
    Warmup(steps=5, start=0.0) * Inverse()
    """
    name, _, rest = text.partition(":")
    if "(" in name:
        return _expression(text)
    arguments: list[object] = []
    options: dict[str, object] = {}
    for key, equals, value in (argument.rpartition("=") for argument in rest.split(",") if rest):
        key, value = key.strip(), value.strip()
        if not equals:
            arguments.append(_value(value))
        elif key in options:
            raise ValueError(f"argument {key!r} is given twice")
        else:
            options[key] = _value(value)
    return _sequence(name, arguments, options)


def names() -> dict[str, type[Sequence]]:
    """Return lrsched's public sequences by their names in kebab-case.

    >>> names()["inverse-sqrt"].__name__
    'InverseSqrt'
    """
    public = (getattr(lrsched, name) for name in lrsched.__all__)
    return {
        re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower(): kind
        for kind in public
        if isinstance(kind, type) and issubclass(kind, Sequence) and not inspect.isabstract(kind)
    }


def main(argv: list[str] | None = None) -> None:
    """Run one command; on bad input print one line to stderr and exit with code 2."""
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
    sequences = {text: _parse(text) for text in arguments.schedules}
    if arguments.log and arguments.output is None:
        raise ValueError("--log is for drawings: it needs -o FILE")
    if arguments.output is None:
        return _table({text: sequence.scaled(lr) for text, sequence in sequences.items()}, steps)
    curves = {text: lr * sequence.values(steps) for text, sequence in sequences.items()}
    ylabel = "factor" if lr == 1 else "learning rate"
    ax = plot.schedules(np.arange(steps), curves, log=arguments.log, ylabel=ylabel)
    return plot.save(ax, arguments.output)


def _image(arguments: argparse.Namespace) -> None:
    steps = integer("--steps", arguments.steps, low=1)
    low, high = number("--base-lr", arguments.base_lr), number("--max-lr", arguments.max_lr)
    pixels = Pixels(arguments.photo, steps, order=arguments.order, channels=arguments.channels)
    rates = Rates([high], pixels, limits={"base_lr": low, "max_lr": high})
    if arguments.output is None:
        return _table({"factor": pixels, "learning rate": lambda k: rates.at(k)[0]}, steps)
    title = f"{Path(arguments.photo).name} as {len(pixels)} learning rates"
    left, _ = plot.picture(pixels.source, [rates.at(k)[0] for k in range(steps)], title=title)
    return plot.save(left, arguments.output)


def _table(columns: Mapping[str, Callable[[int], float]], steps: int) -> None:
    """Print k and the columns line by line; widths are fixed beforehand, so that a long table begins at once."""
    first = len(str(steps))
    widths = [max(len(label), 12) for label in columns]  # 1.23457e-100 has 12 characters
    print("  ".join(["k".rjust(first), *map(str.rjust, columns, widths)]))
    for k in range(steps):
        values = (f"{column(k):.6g}" for column in columns.values())
        print("  ".join([str(k).rjust(first), *map(str.rjust, values, widths)]))


def _parse(text: str) -> Sequence:
    try:
        return parse(text)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{text}: {error}") from None


def _expression(text: str) -> Sequence:
    try:
        sequence = _evaluate(ast.parse(text.strip(), mode="eval").body)
    except (MemoryError, RecursionError, SyntaxError) as error:
        raise ValueError(f"cannot be read: {getattr(error, 'msg', error)}") from None
    if not isinstance(sequence, Sequence):
        raise ValueError("is not a schedule")
    return sequence


def _evaluate(node: ast.expr) -> Any:
    """Return what an expression stands for, walking its tree: anything not named here is refused, and nothing runs."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_evaluate(item) for item in items]
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            factors = _evaluate(left), _evaluate(right)
            if any(isinstance(factor, Sequence) for factor in factors):
                return factors[0] * factors[1]
        case ast.Call(func=ast.Name(id=name)):
            return _sequence(name, *_arguments(node))
        case ast.Call(func=ast.Attribute(value=inner, attr=name)) if name in COMBINATORS:
            sequence = _evaluate(inner)
            if isinstance(sequence, Sequence):
                return _bound(getattr(sequence, name), name, *_arguments(node))
    allowed = f"only sequences, numbers, * and {', '.join('.' + name for name in COMBINATORS)} are read"
    raise ValueError(f"cannot read {ast.unparse(node)!r}; {allowed}")


def _arguments(call: ast.Call) -> tuple[list[object], dict[str, object]]:
    options = {keyword.arg or "**": _evaluate(keyword.value) for keyword in call.keywords}
    return [_evaluate(argument) for argument in call.args], options


def _sequence(name: str, arguments: list[object], options: dict[str, object]) -> Sequence:
    kinds = {key.replace("-", ""): (key, kind) for key, kind in names().items()}
    wanted = re.sub("[-_ ]", "", name).lower()
    if wanted not in kinds:
        near = difflib.get_close_matches(wanted, kinds, n=1, cutoff=0.5)
        hint = f"did you mean {kinds[near[0]][0]}? " if near else ""
        raise ValueError(f"no schedule is called {name!r}; {hint}all names: {', '.join(names())}")
    key, kind = kinds[wanted]
    return _bound(kind, key, arguments, options)


def _bound(call: Callable[..., Sequence], name: str, arguments: list[object], options: dict[str, object]) -> Sequence:
    """Return the call's result, or say which arguments it takes."""
    try:
        inspect.signature(call).bind(*arguments, **options)
    except TypeError as error:
        raise TypeError(f"{error}; {name} takes {_takes(call) or 'no arguments'}") from None
    return call(*arguments, **options)


def _takes(call: Callable[..., Sequence]) -> str:
    """Return the arguments of a call as they stand in its signature: drop, interval, gamma=0.9."""
    return ", ".join(str(p.replace(annotation=p.empty)) for p in inspect.signature(call).parameters.values())


def _value(text: str) -> object:
    """Return the value of a word of the command line: a constant, a number, a list of numbers, or the word itself."""
    constants = {"true": True, "false": False, "none": None}
    if text.lower() in constants:
        return constants[text.lower()]
    if re.fullmatch(r"[-+]?[0-9]+", text):
        return int(text)
    try:
        return text if "_" in text else float(text)
    except ValueError:
        pass
    items = [_value(item) for item in text.removesuffix("/").split("/")] if "/" in text else []
    return items if items and all(type(item) in (int, float) for item in items) else text


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def _parser() -> _Parser:
    parser = _Parser(prog="python -m lrsched", description="Look at learning-rate schedules.")
    parser.add_argument("--version", action="version", version=f"lrsched {lrsched.__version__}")
    parser.set_defaults(run=lambda _: parser.print_help())
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    show = commands.add_parser(
        "show",
        help="print or draw schedules",
        description="Print schedules as a table, or draw them in one picture.",
        epilog=HELP + "\n".join(f"  {name:14}{_takes(kind)}".rstrip() for name, kind in names().items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    show.set_defaults(run=_show)
    show.add_argument("schedules", nargs="+", metavar="SCHEDULE", help="such as geometric:gamma=0.95, see below")
    show.add_argument("--steps", type=int, default=50, help="positions, from k = 0 on (default 50)")
    show.add_argument("--lr", type=float, default=1.0, help="the base learning rate (default 1)")
    show.add_argument("--log", action="store_true", help="draw over a logarithmic axis")

    image = commands.add_parser(
        "image",
        help="print or draw the learning rates that a picture becomes",
        description="Print the learning rates that a picture becomes, or draw them beside it.",
    )
    image.set_defaults(run=_image)
    image.add_argument("photo", metavar="PHOTO", help="a picture file")
    image.add_argument("--steps", type=int, default=5000, help="training steps (default 5000)")
    image.add_argument("--order", choices=("raster", "serpentine"), default="raster", help="(default raster)")
    image.add_argument("--channels", choices=("rgb", "gray"), default="rgb", help="(default rgb)")
    image.add_argument("--base-lr", type=float, default=1e-5, help="learning rate of black (default 1e-5)")
    image.add_argument("--max-lr", type=float, default=1e-2, help="learning rate of white (default 1e-2)")

    for command in (show, image):
        command.add_argument("-o", "--output", metavar="FILE", help=f"draw to FILE ({', '.join(plot.FORMATS)})")
    return parser


if __name__ == "__main__":
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output, `head` say, has closed it: leave quietly
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
