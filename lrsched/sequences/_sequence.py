"""The base class of all sequences, and the combinators that make new sequences from old ones.

A sequence maps a position k = 0, 1, 2, … to a dimensionless factor. It keeps no state between calls.
"""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from .._check import integer, number, real, refuse, shown
from ._drawing import draw, html_picture, steps_to_show

if TYPE_CHECKING:
    from ..plot import Axes


class Sequence(ABC):
    """A schedule as a pure function: position k ≥ 0 → factor f(k) ≥ 0.

    A scheduler multiplies the base lr by the factor. Call a sequence to get one factor, and `values` to get
    many. `*` and the methods below combine sequences.

    To add a sequence, write a frozen dataclass that computes f(k) in `_at(k)`, for an int k ≥ 0. Sequences are
    immutable. They compare and hash by their arguments, pickle, and have the call that makes them as their repr.

    >>> from lrsched import Inverse, Warmup
    >>> sequence = Warmup(2, start=0.5).then(Inverse())
    >>> sequence(3), sequence.values(4).tolist()
    (0.5, [0.5, 0.75, 1.0, 0.5])
    """

    __array_ufunc__ = None  # np.float64(2) * sequence must call __rmul__, not make an array

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in inspect.get_annotations(cls):
            if hasattr(Sequence, name):
                raise TypeError(f"{cls.__name__}: the field {name!r} hides Sequence.{name}; rename the field")

    @property
    def length(self) -> int | None:
        """The number of positions until a finite sequence holds its last value; None if it never ends."""
        return None

    @abstractmethod
    def _at(self, k: int) -> float:
        """Return the factor at position k, an int ≥ 0."""

    def __call__(self, k: SupportsIndex) -> float:
        """Return the factor at position k. Raises TypeError or ValueError unless k is an integer ≥ 0."""
        return float(self._at(integer("k", k)))

    def values(self, n: int) -> np.ndarray:
        """Return the first n factors, f(0) … f(n − 1), as a float64 array of shape (n,).

        Raises TypeError or ValueError unless n is an integer ≥ 0.

        >>> from lrsched import Inverse
        >>> Inverse().values(4).tolist()
        [1.0, 0.5, 0.3333333333333333, 0.25]
        """
        n = integer("n", n)
        return np.fromiter(map(self._at, range(n)), dtype=np.float64, count=n)

    def plot(
        self,
        steps: int | None = None,
        *,
        ax: Axes | None = None,
        log: bool = False,
        label: str | None = None,
        title: str = "",
        xlabel: str = "position k",
    ) -> Axes:
        """Draw the factors at positions 0 … steps − 1, jumps as vertical lines, and return matplotlib's axes.

        `steps=None` draws a tenth more than the length, or enough of an endless sequence to show its shape. At most
        20,000 positions are computed. `label` is written at the right end: None for the repr, "" for none. Raises
        ImportError if matplotlib is missing; TypeError or ValueError unless `steps` is an integer from 1 to 1e15.

        >>> from lrsched import Piecewise
        >>> ax = Piecewise([2], [1, 0.1]).plot(4, xlabel="epoch")
        >>> ax.lines[0].get_ydata().tolist()
        [1.0, 1.0, 0.1, 0.1]
        """
        steps = steps_to_show(self) if steps is None else integer("steps", steps, low=1)
        return draw(self, repr(self) if label is None else label, steps, log=log, ax=ax, title=title, xlabel=xlabel)

    def _repr_html_(self) -> str | None:
        """Return the repr and a picture for notebooks, or None if drawing fails: then they show only the repr."""
        return html_picture(self)

    def __mul__(self, other: Sequence | float) -> Sequence:
        """Return the product f(k)·g(k) if `other` is a sequence g, and c·f(k) if it is a number c ≥ 0."""
        if isinstance(other, Sequence):
            return _Product(self, other)
        if callable(other) and hasattr(type(other), "__rmul__"):
            return NotImplemented  # leave the product to the other library, whose function defines it
        return _Scaled(self, _multiplier(other))

    def __rmul__(self, other: float) -> Sequence:
        return _Scaled(self, _multiplier(other))

    def then(self, other: Sequence, at: int | None = None) -> Sequence:
        """Return f(k) for k < at, and other(k − at) from there: `other` starts at its own position 0.

        Without `at`, `other` starts at this sequence's `length`: `Warmup(500).then(Cosine(9_500))`.

        Raises TypeError if `other` is not a sequence; TypeError or ValueError unless `at` is an integer ≥ 0, or None
        for a sequence that ends.

        >>> from lrsched import Values, Warmup
        >>> Values([1.0]).then(Values([0.5, 0.25]), at=2).values(4).tolist()
        [1.0, 1.0, 0.5, 0.25]
        >>> Warmup(2).then(Values([0.5, 0.25]))
        Warmup(steps=2, start=0.0).then(Values([0.5, 0.25]), at=2)
        """
        if not isinstance(other, Sequence):
            refuse("other", "a Sequence", other)
        if at is None:
            at = self.length
        if at is None:
            raise ValueError(f"at must be given, because {shown(self)} never ends: write .then(…, at=k)")
        return _Chain.of(self, other, integer("at", at))

    def scaled(self, c: float) -> Sequence:
        """Return c·f(k). Raises TypeError or ValueError unless c is a finite number ≥ 0.

        >>> from lrsched import Constant
        >>> (2 * Constant()) == Constant().scaled(2)
        True
        """
        return _Scaled(self, c)

    def clipped(self, low: float = 0.0, high: float = math.inf) -> Sequence:
        """Return min(max(f(k), low), high). Raises TypeError or ValueError unless 0 ≤ low ≤ high and low is finite.

        >>> from lrsched import Values
        >>> Values([1.0, 0.5, 0.1]).clipped(low=0.2, high=0.8).values(3).tolist()
        [0.8, 0.5, 0.2]
        """
        return _Clipped(self, low, high)

    def repeated(self, period: int) -> Sequence:
        """Return f(k mod period): the first `period` factors, repeated forever.

        Raises TypeError or ValueError unless `period` is an integer ≥ 1.

        >>> from lrsched import Values
        >>> Values([1.0, 0.5, 0.1]).repeated(2).values(5).tolist()
        [1.0, 0.5, 1.0, 0.5, 1.0]
        """
        return _Repeated(self, period)

    def delayed(self, m: int) -> Sequence:
        """Return f(max(0, k − m)): the first factor is held for m more positions.

        Raises TypeError or ValueError unless m is an integer ≥ 0.

        >>> from lrsched import Values
        >>> Values([1.0, 0.5, 0.1]).delayed(2).values(5).tolist()
        [1.0, 1.0, 1.0, 0.5, 0.1]
        """
        return _Delayed(self, m)

    def skipped(self, m: int) -> Sequence:
        """Return f(k + m): the first m positions are left out.

        Raises TypeError or ValueError unless m is an integer ≥ 0.

        >>> from lrsched import Values
        >>> Values([1.0, 0.5, 0.1]).skipped(1).values(3).tolist()
        [0.5, 0.1, 0.1]
        """
        return _Skipped(self, m)

    def every(self, m: int) -> Sequence:
        """Return f(⌊k/m⌋): advance once every m positions.

        If the scheduler steps once per batch, `every(batches_per_epoch)` makes a sequence advance once per epoch.
        Raises TypeError or ValueError unless m is an integer ≥ 1.

        >>> from lrsched import Values
        >>> Values([1.0, 0.5, 0.1]).every(2).values(5).tolist()
        [1.0, 1.0, 0.5, 0.5, 0.1]
        """
        return _Every(self, m)

    def _coerce(self, **fields: object) -> None:
        """Set fields of the frozen instance. Only `__init__`, `__post_init__` and `__setstate__` may call it."""
        for name, value in fields.items():
            object.__setattr__(self, name, value)


Schedule = Sequence


def printed(sequence: Any, unless_default: str) -> str:
    """Return the call that makes a dataclass, without one argument if that has its default.

    An argument that was added later must not change the repr of older calls, because saved states contain it.
    """
    fields_shown = [
        each for each in fields(sequence) if each.name != unless_default or getattr(sequence, each.name) != each.default
    ]
    arguments = ", ".join(f"{each.name}={getattr(sequence, each.name)!r}" for each in fields_shown)
    return f"{type(sequence).__qualname__}({arguments})"


def _multiplier(value: object) -> float:
    """Return the number that a sequence is multiplied by."""
    try:
        return number("the number that multiplies a Sequence", value)
    except TypeError:
        message = f"a Sequence can be multiplied by another Sequence or by a number, got {shown(value)}"
        raise TypeError(message) from None


# The combinators. The methods of Sequence return them, and the repr of each is the call that makes it.


@dataclass(frozen=True, repr=False)
class _Product(Sequence):
    left: Sequence
    right: Sequence

    def __repr__(self) -> str:
        return f"{self.left!r} * {_operand(self.right)}"

    @property
    def length(self) -> int | None:
        lengths = self.left.length, self.right.length
        return None if lengths[0] is None or lengths[1] is None else max(lengths[0], lengths[1])

    def _at(self, k: int) -> float:
        return self.left._at(k) * self.right._at(k)


@dataclass(frozen=True, repr=False)
class _Chain(Sequence):
    """Sequences one after another: parts[i] begins at starts[i] with its own position 0. Flat, whatever its length.

    A part that starts before earlier ones cuts them off: at k, the last part with a start ≤ k counts.
    """

    parts: tuple[Sequence, ...]
    starts: tuple[int, ...]

    @cached_property  # not in __post_init__, which would make each `then` of a long chain slow
    def _least(self) -> tuple[int, ...]:
        """The least of each start and those after it."""
        return tuple(accumulate(reversed(self.starts), min))[::-1]

    @classmethod
    def of(cls, first: Sequence, second: Sequence, at: int) -> Sequence:
        """Return the chain of two sequences, or of all their parts if they are chains themselves."""
        parts, starts = (first.parts, first.starts) if isinstance(first, _Chain) else ((first,), (0,))
        more, later = (second.parts, second.starts) if isinstance(second, _Chain) else ((second,), (0,))
        return cls(parts + more, starts + tuple(at + start for start in later))

    def __repr__(self) -> str:
        rest = zip(self.parts[1:], self.starts[1:], strict=True)
        return _operand(self.parts[0]) + "".join(f".then({part!r}, at={start})" for part, start in rest)

    @property
    def length(self) -> int | None:
        last = self.parts[-1].length
        return None if last is None else self.starts[-1] + last

    def _at(self, k: int) -> float:
        i = bisect_right(self._least, k) - 1
        return self.parts[i]._at(k - self.starts[i])


@dataclass(frozen=True, repr=False)
class _Scaled(Sequence):
    inner: Sequence
    c: float

    def __post_init__(self) -> None:
        self._coerce(c=number("c", self.c))

    def __repr__(self) -> str:
        return f"{_operand(self.inner)}.scaled({self.c!r})"

    @property
    def length(self) -> int | None:
        return self.inner.length

    def _at(self, k: int) -> float:
        return self.c * self.inner._at(k)


@dataclass(frozen=True, repr=False)
class _Clipped(Sequence):
    inner: Sequence
    low: float
    high: float

    def __post_init__(self) -> None:
        low = number("low", self.low)
        high = real("high", self.high)
        self._coerce(low=low, high=high if high == math.inf else number("high", high, low))

    def __repr__(self) -> str:
        high = "" if self.high == math.inf else f", high={self.high!r}"
        return f"{_operand(self.inner)}.clipped(low={self.low!r}{high})"

    @property
    def length(self) -> int | None:
        return self.inner.length

    def _at(self, k: int) -> float:
        return min(max(self.inner._at(k), self.low), self.high)


@dataclass(frozen=True, repr=False)
class _Repeated(Sequence):
    inner: Sequence
    period: int

    def __post_init__(self) -> None:
        self._coerce(period=integer("period", self.period, low=1))

    def __repr__(self) -> str:
        return f"{_operand(self.inner)}.repeated({self.period})"

    def _at(self, k: int) -> float:
        return self.inner._at(k % self.period)


@dataclass(frozen=True, repr=False)
class _Delayed(Sequence):
    inner: Sequence
    m: int

    def __post_init__(self) -> None:
        self._coerce(m=integer("m", self.m))

    def __repr__(self) -> str:
        return f"{_operand(self.inner)}.delayed({self.m})"

    @property
    def length(self) -> int | None:
        return None if self.inner.length is None else self.m + self.inner.length

    def _at(self, k: int) -> float:
        return self.inner._at(max(0, k - self.m))


@dataclass(frozen=True, repr=False)
class _Skipped(Sequence):
    inner: Sequence
    m: int

    def __post_init__(self) -> None:
        self._coerce(m=integer("m", self.m))

    def __repr__(self) -> str:
        return f"{_operand(self.inner)}.skipped({self.m})"

    @property
    def length(self) -> int | None:
        return None if self.inner.length is None else max(0, self.inner.length - self.m)

    def _at(self, k: int) -> float:
        return self.inner._at(k + self.m)


@dataclass(frozen=True, repr=False)
class _Every(Sequence):
    inner: Sequence
    m: int

    def __post_init__(self) -> None:
        self._coerce(m=integer("m", self.m, low=1))

    def __repr__(self) -> str:
        return f"{_operand(self.inner)}.every({self.m})"

    @property
    def length(self) -> int | None:
        return None if self.inner.length is None else self.m * self.inner.length

    def _at(self, k: int) -> float:
        return self.inner._at(k // self.m)


def _operand(sequence: Sequence) -> str:
    """Return the repr of the sequence, in parentheses if it is a product, so that `.` and `*` apply to all of it."""
    return f"({sequence!r})" if isinstance(sequence, _Product) else repr(sequence)
