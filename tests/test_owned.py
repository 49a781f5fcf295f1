"""Random generators are found wherever objects keep them, without running code of the objects."""

import functools
import random
import types

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset, RandomSampler, Subset

from lrsched import snapshot
from lrsched._owned import owned, undo_random
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


def uses_a_global(model=None, batch=None):
    return _GLOBAL.random()


def calls_another():
    return uses_a_global()


def calls_itself():
    return calls_itself() + uses_a_global()


def uses_it_inside():
    def inner():
        return [_GLOBAL.random() for _ in range(2)]

    return inner()


class Uses:
    """Has a generator for all instances in a class attribute, and uses another one in its methods."""

    own = np.random.default_rng(0)

    def __getitem__(self, index):
        return uses_a_global()


class Inherits(Uses):
    def __init__(self):
        self.others = [Uses() for _ in range(3)]


class InProperty:
    @property
    def value(self):
        return _GLOBAL.random()


class InStatic:
    @staticmethod
    def value():
        return _GLOBAL.random()


class InClassMethod:
    @classmethod
    def value(cls):
        return _GLOBAL.random()


_HOLDER = Holder(_GLOBAL)
_MODULE = types.ModuleType("helpers_of_a_user")
_MODULE.inner = types.ModuleType("helpers_of_a_user.inner")
_MODULE.inner.outer, _MODULE.inner.draws = _MODULE, uses_a_global


class Proxy:
    """Like a proxy without an object: it refuses everything."""

    def __getattribute__(self, name):
        raise RuntimeError("no object")


_PROXY = None

USERS = {
    "function": uses_a_global,
    "called function": calls_another,
    "recursion": calls_itself,
    "nested function": uses_it_inside,
    "generator expression": lambda: (_GLOBAL.random() for _ in range(2)),
    "held function": Holder([calls_another]),
    "decorated function": torch.no_grad()(uses_a_global),
    "object": lambda: _HOLDER.value,
    "module": lambda: _MODULE.inner.draws(),
    "class": lambda: Uses()[0],
    "dataset": DataLoader(Data(InProperty())),
    "property": InProperty(),
    "static method": InStatic(),
    "class method": InClassMethod(),
}


@pytest.mark.parametrize("name", USERS)
def test_a_global_generator_that_code_uses_is_found(name):
    found = owned([USERS[name]]).generators
    assert [each for each in found if each is not Uses.own] == [_GLOBAL]


def test_a_proxy_without_an_object_is_skipped(monkeypatch):
    monkeypatch.setitem(globals(), "_PROXY", Proxy())
    assert owned([lambda: (_PROXY, _GLOBAL)]).generators == [_GLOBAL]


@pytest.mark.parametrize("value", [Uses(), Inherits()], ids=["class", "base class"])
def test_the_generators_of_a_class_and_its_methods_are_found(value):
    assert owned([value]).generators == [Uses.own, _GLOBAL]


def test_what_objects_own_comes_before_what_their_code_uses():
    deep = Holder([[[random.Random(0)]]])
    assert owned([Uses(), deep]).generators == [deep.value[0][0][0], Uses.own, _GLOBAL]


def uses_global_state(model=None, batch=None):
    return shuffle, torch.default_generator, np.random.rand, normal


shuffle, normal = random.shuffle, torch.default_generator


def test_the_global_generators_of_torch_numpy_and_python_do_not_count():
    assert owned([uses_global_state]).generators == []


def test_code_with_many_globals_ends_the_search():
    namespace = {"__name__": "many"}
    lines = [f"def f{k}(): return f{(k + 1) % 30_000}, f{k // 2}" for k in range(30_000)]
    exec("\n".join(lines), namespace)
    assert owned([namespace["f0"]]).generators == []


def test_loaders_are_found():
    loader = DataLoader(Data(None))
    assert owned([lambda: (batch for batch in loader)]).loaders == [loader]
    assert owned([Holder({"train": loader})]).loaders == [loader]


def test_a_snapshot_restores_a_generator_that_a_dataset_uses():
    model, optimizer = line()
    with snapshot(model, optimizer, extra=[Data(InProperty())]):
        first = _GLOBAL.random()
    assert _GLOBAL.random() == first


@pytest.mark.parametrize("kind", KINDS)
def test_a_generator_is_restored(kind):
    generator = KINDS[kind]()
    undo = undo_random(generator)
    first = draw(generator)
    undo()
    assert draw(generator) == first
