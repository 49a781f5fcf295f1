"""Random generators are found wherever objects keep them, without running code of the objects."""

import functools
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset, RandomSampler, Subset

from lrsched import snapshot
from lrsched._owned import owned, undo_random, used_by
from tests.finder.helpers import line

KINDS = {
    "torch": lambda: torch.Generator().manual_seed(1),
    "numpy": lambda: np.random.default_rng(1),
    "numpy bits": lambda: np.random.PCG64(1),
    "numpy legacy": lambda: np.random.RandomState(1),
    "numpy legacy with other bits": lambda: np.random.RandomState(np.random.PCG64(1)),
    "python": lambda: random.Random(1),
}


def draw(generator):
    if isinstance(generator, torch.Generator):
        return torch.rand(1, generator=generator).item()
    if isinstance(generator, np.random.BitGenerator):
        return generator.random_raw()
    return generator.random_sample() if isinstance(generator, np.random.RandomState) else generator.random()


class Holder:
    def __init__(self, value):
        self.value = value

    def method(self, item):
        return item

    @property
    def costly(self):
        pytest.fail("a property was read")


class Slotted:
    __slots__ = ("empty", "value")

    def __init__(self, value):
        self.value = value


class Data(Dataset):
    def __init__(self, transform):
        self.transform = transform

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return torch.zeros(1)


class Compose:
    def __init__(self, *transforms):
        self.transforms = list(transforms)


PLACES = {
    "itself": lambda generator: generator,
    "attribute": Holder,
    "slot": Slotted,
    "containers": lambda generator: Holder({"a": [({"b": generator},)]}),
    "closure": lambda generator: lambda x: x + draw(generator),
    "default": lambda generator: lambda x, generator=generator: x,
    "partial": lambda generator: functools.partial(draw, generator),
    "bound method": lambda generator: Holder(generator).method,
    "transform": lambda generator: Data(Compose(len, Holder(generator))),
    "nested datasets": lambda generator: ConcatDataset([Subset(Data(None), [0]), Subset(Data(Holder(generator)), [1])]),
    "sampler": lambda generator: DataLoader(Data(None), sampler=RandomSampler(Data(None), generator=generator)),
    "collate_fn": lambda generator: DataLoader(Data(None), collate_fn=Holder(generator).method),
    "module": lambda generator: nn.Sequential(nn.Linear(1, 1), module_with(generator)),
}


def module_with(generator):
    module = nn.Identity()
    module.noise = Holder(generator)
    return module


@pytest.mark.parametrize("place", PLACES)
def test_a_generator_is_found_in_every_place(place):
    generator = KINDS["torch"]()
    assert [found for found in owned([PLACES[place](generator)]).generators if found is generator] == [generator]


@pytest.mark.parametrize("kind", KINDS)
def test_a_snapshot_restores_the_generators_of_modules_and_of_extra(kind):
    model, optimizer = line()
    mine, of_data = KINDS[kind](), KINDS[kind]()
    model.noise, data = Holder(mine), Data(Compose(Holder(of_data)))
    with snapshot(model, optimizer, extra=[data]) as saved:
        first = draw(mine), draw(of_data)
        saved.restore()
        assert (draw(mine), draw(of_data)) == first
    assert (draw(mine), draw(of_data)) == first


def test_cycles_and_large_objects_end_the_search():
    cycle = Holder(None)
    cycle.value = [cycle]
    assert owned([cycle]).generators == []
    chain = None
    for _ in range(100_000):
        chain = Holder(chain)
    assert owned([chain, Holder([Holder(k) for k in range(100_000)])]).generators == []
    while chain is not None:  # freeing the chain all at once would recurse
        chain = chain.value


def test_system_random_has_no_state_to_restore():
    assert owned([Holder(random.SystemRandom())]).generators == []


_GLOBAL = random.Random(3)


def uses_a_global(model, batch):
    return _GLOBAL.random()


def test_the_global_generators_that_a_function_names_are_found():
    assert owned(used_by(uses_a_global)).generators == [_GLOBAL]
    assert owned([uses_a_global]).generators == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_generator_is_restored(kind):
    generator = KINDS[kind]()
    undo = undo_random(generator)
    first = draw(generator)
    undo()
    assert draw(generator) == first
