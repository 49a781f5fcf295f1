"""The progress of long calls: a bar of tqdm if that is installed, or else lines on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LINES = 10


@contextmanager
def progress_bar(shown: bool, title: str, total: int) -> Iterator[Callable[[str], None] | None]:
    """Yield advance(text), which notes that one of `total` steps is complete, or None if nothing is to be shown."""
    if not shown:
        yield None
        return
    try:
        from tqdm import tqdm
    except ImportError:
        yield _lines(title, total)
        return
    with tqdm(total=total, desc=title, leave=False) as bar:

        def advance(text: str) -> None:
            bar.set_postfix_str(text, refresh=False)
            bar.update()

        yield advance


def _lines(title: str, total: int) -> Callable[[str], None]:
    """Return an advance(text) that prints a line for every tenth of the steps."""
    done = 0

    def advance(text: str) -> None:
        nonlocal done
        done += 1
        if done * _LINES // total > (done - 1) * _LINES // total:
            print(f"{title}: {done}/{total}, {text}", file=sys.stderr, flush=True)

    return advance
