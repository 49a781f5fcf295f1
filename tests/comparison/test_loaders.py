"""Passes over DataLoaders are independent of each other, and loaders are restored."""

import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler, IterableDataset, SequentialSampler

from lrsched.comparison._loaders import epoch_set, new_workers, same_pass, samplers


def test_samplers_of_a_loader():
    sampler = SequentialSampler(range(4))
    outer = BatchSampler(sampler, 2, drop_last=False)
    plain, nested = DataLoader(range(4), sampler=sampler), DataLoader(range(4), batch_sampler=outer)
    assert samplers(plain) == [sampler, plain.batch_sampler]
    assert samplers(nested)[1:] == [outer, sampler]
    assert samplers([1, 2]) == [None, None]


def test_a_pass_has_workers_of_its_own_and_the_users_are_kept():
    loader = DataLoader(range(4), num_workers=1, persistent_workers=True)
    used = iter(loader)
    with new_workers([[1], loader, loader]):
        own = iter(loader)
        assert own is not used
        assert iter(loader) is not own
    assert loader.persistent_workers
    assert loader._iterator is used
    assert iter(loader) is used


def test_loaders_whose_workers_do_not_persist_are_left_alone():
    loader = DataLoader(range(4))
    before = {**vars(loader)}
    with new_workers([loader, range(4)]):
        assert vars(loader) == before
    assert vars(loader) == before


def test_an_epoch_is_set_and_restored():
    sampler = DistributedSampler(range(4), num_replicas=1, rank=0)
    sampler.set_epoch(5)
    with epoch_set(DataLoader(range(4), sampler=sampler), 2**31 + 3):
        assert sampler.epoch == 3
    assert sampler.epoch == 5


def test_loaders_are_restored_after_an_error():
    loader = DataLoader(range(4), sampler=DistributedSampler(range(4), 1, 0), num_workers=1, persistent_workers=True)
    with pytest.raises(KeyError), new_workers([loader]), epoch_set(loader, 3):
        raise KeyError
    assert loader.persistent_workers
    assert loader.sampler.epoch == 0


class Stream(IterableDataset):
    def __init__(self, items):
        self.items = items

    def __iter__(self):
        return iter(self.items)


def test_iterators_that_would_take_each_others_batches():
    shared, separate = DataLoader(Stream(iter(range(4)))), DataLoader(Stream([1, 2]))
    one = iter([1])
    assert same_pass(one, one)
    assert not same_pass(one, iter([1]))
    assert same_pass(iter(shared), iter(shared))
    assert not same_pass(iter(separate), iter(separate))
    assert not same_pass(iter(DataLoader(torch.arange(2))), iter(DataLoader(torch.arange(2))))
