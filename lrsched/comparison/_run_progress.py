"""The progress of a comparison: how many epochs of all its runs are trained, and the last one's loss."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .._progress import Advance, progress_bar
from ._runs import Pair, Run, last_values
from ._training import RunCallback


@contextmanager
def progress_shown(shown: bool, runs: int, epochs: int, callback: RunCallback) -> Iterator[RunCallback]:
    """Yield a callback that calls `callback` and, if wanted, shows how many epochs of all runs are trained."""
    with progress_bar(shown, "compare, epochs", runs * epochs) as advance:
        yield callback if advance is None else RunProgress(advance, runs, epochs, callback)


class RunProgress:
    """A callback that counts the epochs of all runs, shows the count, and calls another callback.

    A run that has ended counts as all its epochs, even if it was stopped early or read from a file.
    """

    def __init__(self, advance: Advance, runs: int, epochs: int, callback: RunCallback) -> None:
        self.advance, self.runs, self.epochs, self.callback = advance, runs, epochs, callback
        self._trained: dict[Pair, int] = {}
        self._finished: set[Pair] = set()

    def __call__(self, run: Run) -> None:
        pair = run.setting, run.seed
        if run.finished:
            self._finished.add(pair)
        self._trained[pair] = self.epochs if run.finished else len(run.val_loss)
        self.callback(run)
        self.advance(self._text(run), sum(self._trained.values()))

    def _text(self, run: Run) -> str:
        name = " ".join(run.setting.split())
        return ", ".join([f"{len(self._finished)}/{self.runs} runs", f"{name} seed {run.seed}", *last_values(run)])
