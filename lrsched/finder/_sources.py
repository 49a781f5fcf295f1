"""Where batches come from: endless passes over a source, and the same batches again without keeping them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from itertools import cycle, islice
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, SequentialSampler

from .._owned import owned, undo_random

_EMPTY = "batches must have at least one batch, got none"
_REMEDY = "; an iterator can only be used once: pass a list or a DataLoader"


def endless(batches: Iterable[Any]) -> Iterator[Any]:
    """Return an iterator that starts over when the batches end, unless they come from an iterator.

    The workers of a DataLoader are started once for all passes. Raises ValueError, at once or at the first batch, if
    there are none.
    """
    if type(batches) in (list, tuple):
        if not batches:
            raise ValueError(_EMPTY)
        return cycle(batches)
    twin = _with_workers_kept(batches)
    return _passes(batches if twin is None else twin)


def close(batches: object) -> None:
    """End an iterator that `endless` returned, and with it the workers of its loader."""
    if hasattr(batches, "close"):
        batches.close()


def _passes(batches: Iterable[Any]) -> Iterator[Any]:
    once = hasattr(batches, "__next__")
    while True:
        empty = True
        for batch in batches:
            empty = False
            yield batch
        if empty:
            raise ValueError(_EMPTY + (_REMEDY if once else ""))
        if once:
            return


def _with_workers_kept(loader: object, most: int | None = None) -> DataLoader[Any] | None:
    """Return a copy of a loader whose single pass has the batches of all passes; None if it has no workers to keep.

    A loader starts its workers at every pass, which is slow. `most` limits the batches of a pass.
    """
    if not (
        isinstance(loader, DataLoader)
        and type(loader).__iter__ is DataLoader.__iter__
        and loader.num_workers > 0
        and loader.batch_sampler is not None
        and not isinstance(loader.dataset, IterableDataset)
    ):
        return None
    twin = copy.copy(loader)
    # not by setattr: a loader refuses another batch sampler
    vars(twin).update(batch_sampler=_Chain(loader.batch_sampler, most), persistent_workers=False, _iterator=None)
    return twin


class _Chain:
    """The batches of indices of a batch sampler, pass after pass."""

    def __init__(self, sampler: Iterable[list[Any]], most: int | None) -> None:
        self._sampler, self._most = sampler, most

    def __iter__(self) -> Iterator[list[Any]]:
        empty = False
        while not empty:
            empty = True
            for indices in islice(self._sampler, self._most):
                empty = False
                yield indices


class Passes:
    """Passes over the first batches of a source, such as evaluations. Workers are started once, if possible.

    That is possible if the order of the batches is always the same. `most` limits the batches of a pass.
    """

    def __init__(self, source: Iterable[Any], most: int | None = None) -> None:
        self._source, self._most = source, most
        in_order = type(getattr(source, "sampler", None)) is SequentialSampler
        self._twin = _with_workers_kept(source, most) if in_order else None
        self._running: Iterator[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        return islice(self._source, self._most) if self._twin is None else self._continued(self._twin)

    def _continued(self, twin: DataLoader[Any]) -> Iterator[Any]:
        size = len(self._source)  # type: ignore[arg-type]  # a loader whose sampler is sequential has a length
        running = iter(twin) if self._running is None else self._running
        self._running = None  # None until the pass is complete
        yield from islice(running, size if self._most is None else min(size, self._most))
        self._running = running

    def close(self) -> None:
        """End the workers."""
        self._running = None


class Replayed:
    """The same batches at every pass. They are read again, not kept, unless they come from an iterator.

    A pass starts from the random state that torch and the source had when this object was made. It draws from a random
    state of its own, so nothing that draws random numbers between the batches can change them.

    Args:
        source: an iterable of batches.
        count: the number of batches in a pass; the source starts over if it ends. None for one pass over the source.
    """

    held = 0  # the number of batches that were taken from an iterator

    def __init__(self, source: Iterable[Any], count: int | None = None) -> None:
        if hasattr(source, "__next__"):
            source = list(islice(source, count))
            if not source and count is not None:
                raise ValueError(_EMPTY + _REMEDY)
            self.held = len(source)
        self._count, plain = count, type(source) in (list, tuple)
        self._source = source if plain or count is not None else Passes(source)
        self._own = [undo_random(generator) for generator in owned([source]).generators]
        self._state = torch.get_rng_state()
        self._pass: Iterator[Any] = iter(())

    def __iter__(self) -> Iterator[Any]:
        close(self._pass)
        for undo in self._own:
            undo()
        batches = iter(self._source) if self._count is None else islice(endless(self._source), self._count)
        self._pass = self._apart(batches)
        return self._pass

    def _apart(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Yield the batches, drawn from a random state that nothing else uses."""
        state, end = self._state, object()
        while True:
            outside = torch.get_rng_state()
            torch.set_rng_state(state)
            batch = next(batches, end)
            state = torch.get_rng_state()
            torch.set_rng_state(outside)
            if batch is end:
                return
            yield batch

    def close(self) -> None:
        """End the last pass, and with it the workers of its loader."""
        close(self._pass)
        if isinstance(self._source, Passes):
            self._source.close()
