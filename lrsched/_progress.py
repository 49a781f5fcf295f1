"""The progress of long calls: a bar of tqdm if that is installed, or else lines on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from ._processes import rank

_LINES = 10


class Advance(Protocol):
    """Notes that the next step is complete; with `done`, that the first `done` steps are."""

    def __call__(self, text: str, done: int | None = None) -> None: ...


@contextmanager
def progress_bar(shown: bool, title: str, total: int) -> Iterator[Advance | None]:
    """Yield advance(text), which notes that one of `total` steps is complete, or None if nothing is to be shown.

    Of several processes, only the one with rank 0 shows anything.
    """
    if not shown or rank() > 0:
        yield None
        return
    try:
        from tqdm import tqdm
    except ImportError:
        yield _lines(title, total)
        return
    with tqdm(total=total, desc=title, leave=False) as bar:

        def advance(text: str, done: int | None = None) -> None:
            bar.set_postfix_str(text, refresh=False)
            bar.update(1 if done is None else max(0, done - bar.n))

        yield advance


def _lines(title: str, total: int) -> Advance:
    """Return an advance(text) that prints a line for every tenth of the steps."""
    count = 0

    def advance(text: str, done: int | None = None) -> None:
        nonlocal count
        before, count = count, count + 1 if done is None else max(count, done)
        if count * _LINES // total > before * _LINES // total:
            print(f"{title}: {count}/{total}, {text}", file=sys.stderr, flush=True)

    return advance
