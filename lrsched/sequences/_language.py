"""The language of schedules: `parse` turns text into a sequence.

The text is what a sequence prints, or the command line's short form. No other code in it is ever run.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import operator
import re
from collections.abc import Callable

from .._check import shown
from ._cycles import Sawtooth, Triangular
from ._decays import Exponential, Geometric, Inverse, InverseSqrt, InverseTime, StepDecay, TimeDecay
from ._finite import Cosine, Linear, Polynomial, Ramp
from ._lists import Constant, Piecewise, Values
from ._one_cycle import OneCycle
from ._pixels import Pixels
from ._restarts import CosineRestarts
from ._sequence import Sequence
from ._warmup import Warmup, WarmupStableDecay

NAMES: dict[str, type[Sequence]] = {
    "constant": Constant,
    "cosine": Cosine,
    "cosine-restarts": CosineRestarts,
    "exponential": Exponential,
    "geometric": Geometric,
    "inverse": Inverse,
    "inverse-sqrt": InverseSqrt,
    "inverse-time": InverseTime,
    "linear": Linear,
    "one-cycle": OneCycle,
    "piecewise": Piecewise,
    "pixels": Pixels,
    "polynomial": Polynomial,
    "ramp": Ramp,
    "sawtooth": Sawtooth,
    "step-decay": StepDecay,
    "time-decay": TimeDecay,
    "triangular": Triangular,
    "values": Values,
    "warmup": Warmup,
    "warmup-stable-decay": WarmupStableDecay,
}
COMBINATORS = ("then", "scaled", "clipped", "repeated", "delayed", "skipped", "every")
WORDS = {"true": True, "false": False, "none": None}


def parse(text: str) -> Sequence:
    """Return the sequence that a text describes: an expression, or the short form NAME[:VALUE or KEY=VALUE, ...].

    An expression may hold sequences, their combinators, products and literals. What a sequence prints is an
    expression, except for long `Values` and pictures, which print a digest.

    Raises TypeError or ValueError if the text is not a schedule, or if an argument is invalid.

    >>> from lrsched.sequences._language import parse
    >>> parse("geometric:gamma=0.5"), parse("values:1/0.5")
    (Geometric(gamma=0.5), Values([1.0, 0.5]))
    >>> parse("Cosine(30) * Inverse()")
    Cosine(steps=30, end=0.0) * Inverse()
    """
    name, _, words = text.partition(":")
    return _expression(text) if "(" in name else _short_form(name, words)


def parameters(call: Callable[..., Sequence]) -> str:
    """Return the parameters of a class or method as its signature lists them, such as "drop, interval"."""
    found = inspect.signature(call).parameters.values()
    return ", ".join(str(parameter.replace(annotation=parameter.empty)) for parameter in found)


# The short form


def _short_form(name: str, words: str) -> Sequence:
    arguments: list[object] = []
    options: dict[str, object] = {}
    for word in words.split(",") if words else []:
        key, equals, value = (part.strip() for part in word.rpartition("="))
        if not equals:
            arguments.append(_value(value))
        elif key in options:
            raise ValueError(f"argument {key!r} is given twice")
        else:
            options[key] = _value(value)
    return _named(name, arguments, options)


def _value(word: str) -> object:
    """Return the value of a word: true, false, none, a number, a list of numbers such as 1/0.5, or the word."""
    if word.lower() in WORDS:
        return WORDS[word.lower()]
    if "/" in word:
        numbers = [_number(entry) for entry in word.removesuffix("/").split("/")]
        return word if None in numbers else numbers
    number = _number(word)
    return word if number is None else number


def _number(word: str) -> float | None:
    """Return the number that a word spells, an int if it has only digits, or None."""
    if re.fullmatch(r"[-+]?[0-9]+", word):
        return int(word)
    if "_" in word:  # float() would read 1_000.0
        return None
    try:
        return float(word)
    except ValueError:
        return None


# Expressions


def _expression(text: str) -> Sequence:
    try:
        sequence = _evaluate(ast.parse(text.strip(), mode="eval").body)
    except (MemoryError, RecursionError, SyntaxError) as error:
        raise ValueError(f"cannot read the expression: {getattr(error, 'msg', error)}") from None
    if not isinstance(sequence, Sequence):
        raise ValueError(f"the expression must be a schedule, got {shown(sequence)}")
    return sequence


def _evaluate(node: ast.expr) -> object:
    """Return the value of a syntax tree. Only the cases listed here are accepted, so no other code can run."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.List(elts=entries) | ast.Tuple(elts=entries):
            return [_evaluate(entry) for entry in entries]
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            factors = _evaluate(left), _evaluate(right)
            if any(isinstance(factor, Sequence) for factor in factors):
                return operator.mul(*factors)
        case ast.Call(func=ast.Name(id=name)):
            return _named(name, *_arguments(node))
        case ast.Call(func=ast.Attribute(value=inner, attr=name)) if name in COMBINATORS:
            sequence = _evaluate(inner)
            if isinstance(sequence, Sequence):
                return _called(getattr(sequence, name), name, *_arguments(node))
    methods = ", ".join(f".{name}" for name in COMBINATORS)
    raise ValueError(f"cannot read {ast.unparse(node)!r}: only sequences, numbers, * and {methods} are allowed")


def _arguments(call: ast.Call) -> tuple[list[object], dict[str, object]]:
    options = {keyword.arg or "**": _evaluate(keyword.value) for keyword in call.keywords}
    return [_evaluate(argument) for argument in call.args], options


# Names and calls


def _named(name: str, arguments: list[object], options: dict[str, object]) -> Sequence:
    """Return the sequence of that name, in any spelling: step-decay, step_decay, StepDecay."""
    keys = {key.replace("-", ""): key for key in NAMES}
    wanted = re.sub("[-_ ]", "", name).lower()
    if wanted in keys:
        return _called(NAMES[keys[wanted]], keys[wanted], arguments, options)
    near = difflib.get_close_matches(wanted, keys, n=1, cutoff=0.5)
    hint = f" (did you mean {keys[near[0]]!r}?)" if near else ""
    raise ValueError(f"unknown schedule {name!r}{hint}; choose from: {', '.join(NAMES)}")


def _called(call: Callable[..., Sequence], name: str, arguments: list[object], options: dict[str, object]) -> Sequence:
    """Return what the call returns. If the arguments do not fit, raise a TypeError that lists the parameters."""
    try:
        inspect.signature(call).bind(*arguments, **options)
    except TypeError as error:
        raise TypeError(f"{error}; {name} takes {parameters(call) or 'no arguments'}") from None
    return call(*arguments, **options)
