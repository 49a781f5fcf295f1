"""Reads expressions such as "Warmup(5) * Inverse().every(3)".

They look like Python, but only this grammar reads them, so a text can neither run code nor exhaust the reader:

    expression = factor {"*" factor}
    factor     = ["-"] number | value {"." name arguments}
    value      = number | string | True | False | None | list | "(" expression ")" | name arguments
    list       = "[" [expression {"," expression} [","]] "]", or the same in parentheses
    arguments  = "(" [argument {"," argument} [","]] ")"
    argument   = [name "="] expression
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import NoReturn

from ._sequence import Sequence

# Called with the sequence before the dot, or None; a name; its arguments; and its keyword arguments.
Call = Callable[[Sequence | None, str, list[object], dict[str, object]], Sequence]

MAX_DIGITS = 4300  # Python's own limit for int()
MAX_CALLS = 10_000
MAX_DEPTH = 100
CONSTANTS = {"True": True, "False": False, "None": None}
TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?)
    |(?P<name>[^\W\d]\w*)
    |(?P<string>'(?:[^'\\\n]|\\['"\\])*'|"(?:[^"\\\n]|\\['"\\])*")
    |(?P<mark>[][(),=.*-])
    |(?P<end>\Z))""",
    re.VERBOSE,
)
EQUALS = re.compile(r"\s*=")


def evaluate(text: str, call: Call, allowed: str) -> object:
    """Return the value of an expression; ValueError if it cannot be read. Error messages list what is `allowed`."""
    return _Reader(text, call, allowed).whole()


def number_from(word: str) -> int | float:
    """Return a word as a number: an int if it has only digits. Raises ValueError if it is not a number."""
    if len(word) > MAX_DIGITS:
        raise ValueError(f"a number must have at most {MAX_DIGITS} digits, got {word[:20]!r}…")
    return int(word) if re.fullmatch(r"[-+]?[0-9_]+", word) else float(word)


class _Reader:
    """Reads one expression from left to right. `_kind` and `_word` are the next token."""

    def __init__(self, text: str, call: Call, allowed: str) -> None:
        self._text = text
        self._call = call
        self._allowed = allowed
        self._calls = self._depth = self._end = 0
        self._word = ""
        self._advance()

    def whole(self) -> object:
        value = self._expression()
        if self._kind != "end":
            self._refuse()
        return value

    def _advance(self) -> str:
        """Go to the next token, and return the word of the present one."""
        word = self._word
        found = TOKEN.match(self._text, self._end)
        if found is None or found.lastgroup is None:
            self._refuse(self._end)
        self._kind: str = found.lastgroup
        self._word = found[self._kind]
        self._start, self._end = found.start(self._kind), found.end()
        return word

    def _expression(self) -> object:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError(f"the expression must be nested at most {MAX_DEPTH} deep")
        value = self._factor()
        while self._word == "*":
            start = self._start
            self._count()
            self._advance()
            factors = value, self._factor()
            if not any(isinstance(factor, Sequence) for factor in factors):
                self._refuse(start)
            value = operator.mul(*factors)
        self._depth -= 1
        return value

    def _factor(self) -> object:
        if self._word == "-":
            self._advance()
            if self._kind != "number":
                self._refuse()
            return -number_from(self._advance())
        value = self._value()
        while self._word == ".":
            start = self._start
            self._advance()
            name = self._name_of_call(start)
            if not isinstance(value, Sequence):
                self._refuse(start)
            value = self._called(value, name)
        return value

    def _value(self) -> object:
        if self._kind == "number":
            return number_from(self._advance())
        if self._kind == "string":
            return re.sub(r"\\(.)", r"\1", self._advance()[1:-1])
        if self._word == "[":
            return self._items("]")[0]
        if self._word == "(":
            entries, comma = self._items(")")
            return entries[0] if len(entries) == 1 and not comma else entries
        if self._word in CONSTANTS:
            return CONSTANTS[self._advance()]
        return self._called(None, self._name_of_call(self._start))

    def _items(self, close: str) -> tuple[list[object], bool]:
        """Return the entries up to a closing bracket, and whether a comma follows the last one."""
        entries: list[object] = []
        comma = False
        self._advance()
        while self._word != close:
            entries.append(self._expression())
            comma = self._word == ","
            self._next_entry(close)
        self._advance()
        return entries, comma

    def _name_of_call(self, start: int) -> str:
        """Read a name that is followed by a bracket, or refuse the text from `start`."""
        is_name = self._kind == "name"
        name = self._advance()
        if not is_name or self._word != "(":
            self._refuse(start)
        return name

    def _called(self, owner: Sequence | None, name: str) -> Sequence:
        self._count()
        arguments: list[object] = []
        options: dict[str, object] = {}
        self._advance()
        while self._word != ")":
            key = self._key()
            if key is None and options:
                self._refuse()
            elif key is None:
                arguments.append(self._expression())
            elif key in options:
                raise ValueError(f"argument {_cut(key)} is given twice")
            else:
                options[key] = self._expression()
            self._next_entry(")")
        self._advance()
        return self._call(owner, name, arguments, options)

    def _count(self) -> None:
        self._calls += 1
        if self._calls > MAX_CALLS:
            raise ValueError(f"the expression must have at most {MAX_CALLS} calls and products")

    def _key(self) -> str | None:
        """Read the name and the "=" of a keyword argument, or return None if another argument follows."""
        if self._kind != "name" or not EQUALS.match(self._text, self._end):
            return None
        key = self._advance()
        self._advance()
        return key

    def _next_entry(self, close: str) -> None:
        """Go past the comma after an entry; without one, the bracket must close."""
        if self._word == ",":
            self._advance()
        elif self._word != close:
            self._refuse()

    def _refuse(self, start: int | None = None) -> NoReturn:
        """Raise the error for a text that cannot be read from `start`, or from the present token."""
        rest = self._text[self._start if start is None else start :].strip()
        if not rest:
            raise ValueError("cannot read the expression: it ends too early; is a bracket or a quote not closed?")
        if rest[0] == "<":
            raise ValueError(
                f"cannot read {_cut(rest)}: <…> stands for a picture, a long list or a function; make it in Python"
            )
        raise ValueError(f"cannot read {_cut(rest)}: only {self._allowed} are allowed")


def _cut(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
