"""A user's function as a sequence."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass

from .._check import number, refuse, shown
from ._sequence import Sequence


@dataclass(frozen=True, init=False, repr=False)
class Function(Sequence):
    """Your function as a sequence: f(k) = fn(k).

    `SequenceLR(optimizer, Function(lambda k: 0.95**k))` does what torch's LambdaLR does.

    A scheduler's state holds the repr of its sequence, and loads only into a scheduler whose sequence has the same
    repr. The repr of a `Function` shows `name`, or the function's own name if it is defined at the top level of a
    module or class. Lambdas, nested functions, partials and other callables have no telling name, so theirs is followed
    by a digest of the factors up to position 1e6: the state of one lambda does not load into another. With `name`, you
    decide what counts as the same function, and fn is called only once when the sequence is made; the digest takes
    about 200 calls. `parse` cannot read the repr.

    Args:
        fn: a function of the position k, an int ≥ 0, that returns a finite number ≥ 0 and depends on nothing else. To
            be pickled, it must be defined at the top level of a module.
        name: the name in the repr and in states, without line breaks; None for the function's own name.

    Raises TypeError or ValueError if an argument is invalid, or if fn(k) is not a finite number ≥ 0. What fn itself
    raises is not caught.

    >>> from lrsched import Function
    >>> def halved_every_ten(k):
    ...     return 0.5 ** (k // 10)
    >>> Function(halved_every_ten), Function(halved_every_ten)(20)
    (Function(<halved_every_ten>), 0.25)
    >>> Function(lambda k: 1 / (k + 2), name="1/(k+2)")
    Function(<1/(k+2)>)
    """

    fn: Callable[[int], float]
    name: str

    def __init__(self, fn: Callable[[int], float], name: str | None = None) -> None:
        if not callable(fn):
            refuse("fn", "a function of the position k", fn)
        _factor(fn, _own_name(fn) if name is None else str(name), 0)
        self._coerce(fn=fn, name=_stable_name(fn) if name is None else _checked_name(name))

    def __repr__(self) -> str:
        return f"Function(<{self.name}>)"

    def _at(self, k: int) -> float:
        return _factor(self.fn, self.name, k)


def _factor(fn: Callable[[int], float], name: str, k: int) -> float:
    """Return fn(k) as a float; ValueError unless it is a finite number ≥ 0."""
    value = fn(k)
    try:
        return number("factor", value)
    except (TypeError, ValueError):
        message = f"fn must return a finite number >= 0, got {shown(value)} from {name} at k = {k}"
        raise ValueError(message) from None


def _checked_name(name: object) -> str:
    if not isinstance(name, str):
        refuse("name", "a str or None", name)
    if not (name.strip() and name.isprintable()):
        raise ValueError(f"name must have at least one visible character and no line breaks, got {shown(name)}")
    return name


def _own_name(fn: Callable[[int], float]) -> str:
    name: str = getattr(fn, "__qualname__", type(fn).__qualname__)
    return name


def _stable_name(fn: Callable[[int], float]) -> str:
    """Return a function's own name, with a digest of its factors unless the name identifies it in its module."""
    name = _own_name(fn)
    if inspect.isfunction(fn) and "<" not in name:
        return name
    digest = hashlib.sha256(" ".join(_sample(fn, k) for k in _SAMPLED).encode()).hexdigest()
    return f"{name.rpartition('.')[2].strip('<>')}, sha256 {digest[:16]}"


def _sample(fn: Callable[[int], float], k: int) -> str:
    """Return fn(k) with 9 digits, which are the same on all machines, or the name of the error that it raises."""
    try:
        return f"{float(fn(k)):.9g}"
    except Exception as error:  # a function may be undefined after the end of training
        return type(error).__name__


_SAMPLED = sorted({*range(100), *(round(100 * 1.1**i) for i in range(98))})  # 0 … 99, then in ratios of 1.1 to 1e6
