"""What makes the passes over DataLoaders independent of each other: own workers, epoch numbers, iterators."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch.utils.data import DataLoader


def samplers(loader: object) -> list[Any]:
    """Return the samplers of a loader, the one inside a batch sampler included; None for those that it lacks."""
    batch_sampler = getattr(loader, "batch_sampler", None)
    inside = getattr(batch_sampler, "sampler", None)
    own = getattr(loader, "sampler", None)
    return [own, batch_sampler] if inside is own else [own, batch_sampler, inside]


@contextmanager
def new_workers(sources: Iterable[object]) -> Iterator[None]:
    """Let a pass over a loader that starts in the block have workers of its own, even if the loader's workers persist.

    Persistent workers would continue from the random state of the last pass, and can serve only one pass at a time.
    Sources that are not loaders are left alone.
    """
    loaders = [source for source in sources if isinstance(source, DataLoader) and source.persistent_workers]
    running = [loader._iterator for loader in loaders]
    for loader in loaders:
        vars(loader).update(persistent_workers=False, _iterator=None)  # not by setattr, which a loader refuses
    try:
        yield
    finally:
        for loader, iterator in zip(loaders, running, strict=True):
            vars(loader).update(persistent_workers=True, _iterator=iterator)


@contextmanager
def epoch_set(source: object, number: int) -> Iterator[None]:
    """Within the block, give the number of a pass to whatever shuffles by `set_epoch`, such as a DistributedSampler."""
    parts = [source, *samplers(source), getattr(source, "dataset", None)]
    counting: list[Any] = [part for part in parts if hasattr(part, "set_epoch") and hasattr(part, "epoch")]
    epochs = [part.epoch for part in counting]
    for part in counting:
        part.set_epoch(number % 2**31)
    try:
        yield
    finally:
        for part, epoch in zip(counting, epochs, strict=True):
            part.set_epoch(epoch)


def same_pass(one: Iterator[Any], other: Iterator[Any]) -> bool:
    """Return whether two iterators would take each other's batches, as they do over a dataset that iterates itself."""
    inside = _of_dataset(one)
    return one is other or (inside is not None and inside is _of_dataset(other))


def _of_dataset(iterator: object) -> object:
    """Return the iterator over an IterableDataset that a loader's iterator without workers reads, or None."""
    return getattr(getattr(iterator, "_dataset_fetcher", None), "dataset_iter", None)
