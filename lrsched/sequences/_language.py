"""The language of schedules: `parse` turns text into a sequence.

The text is the repr of a sequence, or the command line's short form. No code in it is ever run.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import os
import re
from collections.abc import Callable

from .._check import first_line, refuse, shown
from ._cycles import Sawtooth, Triangular
from ._decays import Exponential, Geometric, Inverse, InverseSqrt, InverseTime, StepDecay, TimeDecay
from ._expression import evaluate, number_from
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
MAX_LENGTH = 150_000  # characters of a text
MAX_NAME = 40  # characters of a name that are compared and shown
WORDS = {"true": True, "false": False, "none": None}


def parse(text: str) -> Sequence:
    """Return the sequence that a text describes: an expression, or the short form NAME[:VALUE or KEY=VALUE, ...].

    `parse("cosine:steps=30")` and `parse("Warmup(5) * Inverse()")` read a schedule from a configuration file or a
    command line. An expression may hold sequences, their combinators, products and literals; `parse(repr(sequence))`
    equals the sequence, except for pictures, functions and long `Values`, whose repr has only a digest or a name.

    The text is not run as Python, so it may come from anywhere. It can open files only as pictures: `Pixels` and the
    short form `pixels:photo.jpg,500` open the file that they name, if it is a regular file.

    Args:
        text: the text, at most 150,000 characters, 10,000 calls and products, and 100 nested brackets.

    Raises TypeError or ValueError if the text is not a schedule, or if an argument is invalid.

    >>> from lrsched import parse
    >>> parse("geometric:gamma=0.5"), parse("values:1/0.5")
    (Geometric(gamma=0.5), Values([1.0, 0.5]))
    >>> parse("Warmup(5).then(Cosine(30))")
    Warmup(steps=5, start=0.0).then(Cosine(steps=30, end=0.0), at=5)
    """
    if not isinstance(text, str):
        refuse("text", "a str", text)
    if len(text) > MAX_LENGTH:
        raise ValueError(f"text must have at most {MAX_LENGTH} characters, got {len(text)}")
    name, _, words = text.partition(":")
    try:
        sequence = _expression(text) if "(" in name else _short_form(name, words)
        hash(sequence)  # visits all parts
    except RecursionError:
        raise ValueError("the schedule is nested too deeply") from None
    except (ArithmeticError, MemoryError, OSError) as error:
        raise ValueError(f"the schedule cannot be made: {first_line(error)}") from None
    return sequence


def parameters(call: Callable[..., Sequence]) -> str:
    """Return the parameters of a class or method as its signature lists them, such as "drop, interval"."""
    found = [each for each in _signature(call).parameters.values() if each.name != "self"]
    return ", ".join(str(parameter.replace(annotation=parameter.empty)) for parameter in found)


def called(call: Callable[..., Sequence], name: str, arguments: list[object], options: dict[str, object]) -> Sequence:
    """Return what the call returns. If the arguments do not fit, raise a TypeError that lists the parameters."""
    try:
        bound = _signature(call).bind(*arguments, **options)
    except TypeError as error:
        raise TypeError(f"{error}; {name} takes {parameters(call) or 'no arguments'}") from None
    if call is Pixels:
        _check_picture(bound.arguments["image"])
    return call(*arguments, **options)


@functools.lru_cache(maxsize=64)
def _signature(call: Callable[..., Sequence]) -> inspect.Signature:
    return inspect.signature(call)


def _check_picture(image: object) -> None:
    """Raise TypeError or ValueError unless the image is the path of a regular file: a device or a pipe could hang."""
    if not isinstance(image, str):
        refuse("image", "the path of a picture", image)
    if not os.path.isfile(image):
        raise ValueError(f"image must be the path of a picture file, got {shown(image)}, which is not a file")


# The short form


def _short_form(name: str, words: str) -> Sequence:
    return _named(name, *short_arguments(words))


def short_arguments(words: str) -> tuple[list[object], dict[str, object]]:
    """Return the arguments and the keyword arguments that follow the colon of a short form."""
    arguments: list[object] = []
    options: dict[str, object] = {}
    for word in words.split(",") if words else []:
        key, equals, value = (part.strip() for part in word.rpartition("="))
        if not equals:
            arguments.append(_value(value))
        elif key in options:
            raise ValueError(f"argument {key[:MAX_NAME]!r} is given twice")
        else:
            options[key] = _value(value)
    return arguments, options


def _value(word: str) -> object:
    """Return the value of a word: true, false, none, a number, a list of numbers such as 1/0.5, or the word."""
    if word.lower() in WORDS:
        return WORDS[word.lower()]
    if "/" not in word:
        number = _number(word)
        return word if number is None else number
    numbers: list[float] = []
    for entry in word.removesuffix("/").split("/"):
        number = _number(entry)
        if number is None:  # a path
            return word
        numbers.append(number)
    return numbers


def _number(word: str) -> float | None:
    """Return a word as a number, an int if it has only digits; None if it is not a number."""
    if "_" in word:  # float() would read 1_000.0
        return None
    try:
        return number_from(word)
    except ValueError:
        return None


# Expressions


def _expression(text: str) -> Sequence:
    methods = ", ".join(f".{name}" for name in COMBINATORS)
    sequence = evaluate(text, _call, f"sequences such as Inverse(), numbers, * and {methods}")
    if not isinstance(sequence, Sequence):
        raise ValueError(f"the expression must be a schedule, got {shown(sequence)}")
    return sequence


def _call(owner: Sequence | None, name: str, arguments: list[object], options: dict[str, object]) -> Sequence:
    """Return what a call in an expression makes: a sequence of that name, or a combinator of its owner."""
    if owner is None:
        return _named(name, arguments, options)
    if name not in COMBINATORS:
        raise ValueError(f"unknown method .{name[:40]}(); choose from: {', '.join(COMBINATORS)}")
    return called(getattr(Sequence, name), name, [owner, *arguments], options)


def plain(name: str) -> str:
    """Return a name in its plain spelling: step-decay, step_decay and StepDecay become stepdecay."""
    return re.sub("[-_ ]", "", name).lower()[:MAX_NAME]


def _named(name: str, arguments: list[object], options: dict[str, object]) -> Sequence:
    """Return the sequence of that name, in any spelling."""
    keys = {key.replace("-", ""): key for key in NAMES}
    wanted = plain(name)
    if wanted in keys:
        return called(NAMES[keys[wanted]], keys[wanted], arguments, options)
    if wanted == "function":
        raise ValueError("a Function cannot be read from text: make it in Python, or use a sequence with a formula")
    near = difflib.get_close_matches(wanted, keys, n=1, cutoff=0.5)
    hint = f" (did you mean {keys[near[0]]!r}?)" if near else ""
    shown_name = name if len(name) <= MAX_NAME else name[:MAX_NAME] + "..."
    raise ValueError(f"unknown schedule {shown_name!r}{hint}; choose from: {', '.join(NAMES)}")
