"""Batches: passes without end, workers that are started once, and the same batches again without holding them."""

import itertools
import multiprocessing
import random
import weakref

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, RandomSampler

from lrsched import lr_sweep, range_test
from lrsched.finder._sources import Passes, Replayed, close, endless
from tests.finder.helpers import BATCHES, Record, line, square


class Rows(Dataset):
    """Rows of numbers; each says which process made it."""

    def __init__(self, count=6):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        info = torch.utils.data.get_worker_info()
        return torch.tensor([float(index), -1.0 if info is None else float(info.seed - info.id)])


def starts(batches):
    """Return how many different sets of workers made the batches."""
    return len({row[1].item() for batch in batches for row in batch})


def joined(lists):
    return list(itertools.chain.from_iterable(lists))


def indices(batches):
    return [batch[:, 0].tolist() for batch in batches]


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_are_started_once_for_all_passes(persistent):
    loader = DataLoader(Rows(), 2, num_workers=2, persistent_workers=persistent)
    batches = endless(loader)
    taken = list(itertools.islice(batches, 8))
    assert indices(taken) == [[0, 1], [2, 3], [4, 5]] * 2 + [[0, 1], [2, 3]]
    assert starts(taken) == 1
    close(batches)
    assert not multiprocessing.active_children()
    assert loader._iterator is None


def test_a_shuffled_pass_has_every_row_once_and_every_pass_its_own_order():
    loader = DataLoader(Rows(), 2, shuffle=True, num_workers=1, generator=torch.Generator().manual_seed(0))
    batches = endless(loader)
    passes = [joined(indices(itertools.islice(batches, 3))) for _ in range(4)]
    close(batches)
    assert all(sorted(rows) == [0, 1, 2, 3, 4, 5] for rows in passes)
    assert len({tuple(rows) for rows in passes}) > 1


def test_the_first_pass_of_a_loader_with_workers_is_the_one_that_training_would_see():
    def loader():
        return DataLoader(Rows(), 2, shuffle=True, num_workers=1, generator=torch.Generator().manual_seed(3))

    batches = endless(loader())
    assert indices(itertools.islice(batches, 3)) == indices(loader())
    close(batches)


class Stream(IterableDataset):
    def __iter__(self):
        return iter([torch.zeros(2), torch.ones(2)])


class OwnPasses(DataLoader):
    def __iter__(self):
        return iter([torch.full((1, 2), 7.0)])


@pytest.mark.parametrize(
    "loader",
    [
        DataLoader(Stream(), 1, num_workers=1),
        OwnPasses(Rows(), 2, num_workers=1),
        DataLoader(Rows(2), batch_size=None, num_workers=1),
        DataLoader(Rows(2), batch_sampler=BatchSampler(RandomSampler(Rows(2)), 1, drop_last=False), num_workers=1),
    ],
    ids=["iterable dataset", "own iter", "no batches", "batch sampler"],
)
def test_other_loaders_with_workers_start_over_too(loader):
    batches = endless(loader)
    assert len(list(itertools.islice(batches, 5))) == 5
    close(batches)
    assert not multiprocessing.active_children()


def test_evaluations_in_order_keep_their_workers_and_always_see_the_first_batches():
    passes = Passes(DataLoader(Rows(), 2, num_workers=1), 2)
    taken = [list(passes) for _ in range(3)]
    assert [indices(batches) for batches in taken] == [[[0, 1], [2, 3]]] * 3
    assert starts(joined(taken)) == 1
    assert next(iter(passes))[:, 0].tolist() == [0, 1]  # a pass that is not finished …
    assert indices(passes) == [[0, 1], [2, 3]]  # … does not shift the next
    passes.close()
    assert not multiprocessing.active_children()
    shuffled = Passes(DataLoader(Rows(), 2, shuffle=True, num_workers=1))
    assert sorted(joined(indices(shuffled))) == [0, 1, 2, 3, 4, 5]
    assert not multiprocessing.active_children()


def test_a_range_test_starts_workers_once(monkeypatch):
    model, optimizer = line()
    made = []
    start = multiprocessing.Process.start
    monkeypatch.setattr(multiprocessing.Process, "start", lambda self: (made.append(self), start(self))[1])
    record = Record(model, optimizer)
    loader = DataLoader(torch.cat(BATCHES), 8, num_workers=2, shuffle=True)
    valid = DataLoader(torch.cat(BATCHES), 8, num_workers=1)
    assert len(range_test(model, optimizer, square, loader, end_lr=0.01, steps=30, valid=valid)) == 30
    record.verify()
    assert len(made) == 3
    assert not multiprocessing.active_children()


# ---------------------------------------------------------------- the same batches again


class Noisy(Dataset):
    """Rows with noise from every kind of generator, global and own."""

    def __init__(self):
        self.own = torch.Generator().manual_seed(1), np.random.default_rng(2), random.Random(3)

    def __len__(self):
        return 6

    def __getitem__(self, index):
        first, second, third = self.own
        return torch.tensor(
            [index, torch.rand(()), torch.rand((), generator=first), second.random(), third.random()],
            dtype=torch.float64,
        )


def test_every_pass_has_the_same_batches_whatever_is_drawn_in_between():
    for generator in (None, torch.Generator().manual_seed(5)):
        replayed = Replayed(DataLoader(Noisy(), 2, shuffle=True, generator=generator), 7)
        first = list(replayed)
        for _ in range(2):
            again = []
            for batch in replayed:
                torch.rand(3)
                again.append(batch)
            assert all(map(torch.equal, first, again))
        assert len(first) == 7


def test_drawing_batches_does_not_change_what_is_drawn_in_between():
    torch.manual_seed(0)
    expected = [torch.rand(1).item() for _ in range(4)]
    replayed = Replayed(DataLoader(Noisy(), 2, shuffle=True), 4)
    torch.manual_seed(0)
    assert [torch.rand(1).item() for _ in replayed] == expected


class Counted:
    """An iterable of many batches that knows how many of them are alive."""

    def __init__(self, count=1000):
        self.count, self.alive, self.most = count, 0, 0

    def __iter__(self):
        for k in range(self.count):
            batch = torch.full((2, 3), k / self.count)
            self.alive += 1
            self.most = max(self.most, self.alive)
            weakref.finalize(batch, self._freed)
            yield batch

    def _freed(self):
        self.alive -= 1


@pytest.mark.parametrize("vectorize", [True, False])
def test_a_sweep_over_a_thousand_batches_holds_a_few(vectorize):
    source, valid = Counted(), Counted(50)
    model, _ = line()
    sweep = lr_sweep(
        model,
        lambda params: torch.optim.SGD(params, lr=0.1),
        square,
        source,
        [1e-4, 1e-3],
        steps=(10, 1000),
        eval_batches=valid,
        vectorize=vectorize,
    )
    assert sweep.losses.shape == (2, 2)
    assert source.most <= 4
    assert valid.most <= 4
    assert source.alive == valid.alive == 0


def test_batches_of_an_iterator_are_held():
    replayed = Replayed(iter(BATCHES), 2)
    assert replayed.held == 2
    assert all(batch is held for _ in range(2) for batch, held in zip(replayed, BATCHES, strict=False))
    with pytest.raises(ValueError, match="batches must have at least one batch, got none; an iterator can"):
        Replayed(iter(()), 2)
