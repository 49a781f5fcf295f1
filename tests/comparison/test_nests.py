"""Batches as nests of tensors."""

import copy
from collections import OrderedDict, UserDict
from collections.abc import MutableMapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pytest
import torch

from lrsched.comparison._nests import copied, mapped, moved, on_tensors, sample_count, stacked, structure, tensors

X = torch.ones(3, 2)


class Pair(NamedTuple):
    x: torch.Tensor
    name: str


@dataclass(frozen=True)
class Sample:
    x: torch.Tensor
    length: int = 3


class Encoding(UserDict):
    """Like a tokenizer's: a mapping whose items are attributes too."""

    def __getattr__(self, name):
        return self.data[name]


class Packed:
    def __init__(self, device="cpu"):
        self.device = device

    def to(self, device):
        return Packed(device)


NESTS = {
    "tensor": X,
    "tuple": (X, 2 * X),
    "list": [X, [2 * X]],
    "dict": {"b": X, "a": 2 * X},
    "ordered dict": OrderedDict(b=X),
    "named tuple": Pair(X, "n"),
    "dataclass": Sample(X),
    "encoding": Encoding(x=X, y=2 * X),
    "read-only mapping": MappingProxyType({"x": X}),
    "all of them": {"a": [Pair(X, "n"), Sample(2 * X)], "b": (1, None, Encoding(z=3 * X))},
}


@pytest.mark.parametrize("name", NESTS)
def test_every_tensor_is_moved_and_containers_keep_their_types(name):
    nest = NESTS[name]
    there = moved(nest, torch.device("meta"))
    assert {tensor.device.type for tensor in tensors(there)} == {"meta"}
    assert type(there) is (dict if name == "read-only mapping" else type(nest))
    assert {tensor.device.type for tensor in tensors(nest)} == {"cpu"}  # the batch itself is as it was
    assert moved(nest, None) is nest


def test_what_is_not_a_tensor_stays_and_special_containers_keep_their_attributes():
    there = moved(NESTS["all of them"], torch.device("meta"))
    assert (there["a"][0].name, there["a"][1].length, there["b"][:2]) == ("n", 3, (1, None))
    assert there["b"][2].z.device.type == "meta"


def test_other_objects_with_a_method_to_are_moved_by_it():
    there = moved([Packed()], torch.device("meta"))
    assert there[0].device == torch.device("meta")


def test_a_packed_sequence_is_moved_as_a_whole_and_cannot_be_stacked():
    packed = torch.nn.utils.rnn.pack_sequence([torch.ones(3, 2), torch.ones(2, 2)])
    (there,) = moved([packed], torch.device("meta"))
    assert (there.data.device.type, there.batch_sizes.device.type) == ("meta", "cpu")
    assert structure([packed]) != structure([copy.copy(packed)])
    assert structure([packed]) == structure([packed])


@pytest.mark.parametrize("name", NESTS)
def test_nests_are_stacked_along_a_new_first_axis(name):
    nest = NESTS[name]
    both = stacked([nest, mapped(lambda leaf: 5 * leaf if isinstance(leaf, torch.Tensor) else leaf, nest)])
    for whole, one in zip(tensors(both), tensors(nest), strict=True):
        assert torch.equal(whole, torch.stack([one, 5 * one]))


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ((X, X), (X, 2 * X), True),
        ((X, X), [X, X], False),
        ((X, X), (X,), False),
        ((X,), (X[:2],), False),
        ((X,), (X.double(),), False),
        ({"x": X}, {"x": 2 * X}, True),
        ({"x": X}, {"y": X}, False),
        (Sample(X), Sample(2 * X), True),
        (Sample(X), Sample(X, length=2), False),
        ((X, "a"), (X, "a"), True),
        ((X, "a"), (X, "b"), False),
        ((X, np.ones(2)), (X, np.ones(2)), False),
    ],
    ids=[
        "tensors",
        "containers",
        "lengths",
        "shapes",
        "dtypes",
        "dicts",
        "keys",
        "dataclasses",
        "fields",
        "equal texts",
        "texts",
        "arrays",
    ],
)
def test_nests_of_the_same_structure_can_be_stacked(one, other, equal):
    assert (structure(one) == structure(other)) is equal


def test_samples_are_counted_on_the_first_tensor():
    assert sample_count(NESTS["all of them"]) == sample_count(("text", X)) == 3
    assert sample_count("text") == sample_count(torch.tensor(1.0)) == 1


def total(model, batch):
    return sum((i + 1) * tensor.sum() for i, tensor in enumerate(tensors(batch)))


@pytest.mark.parametrize("name", NESTS)
def test_a_function_of_a_batch_becomes_one_of_what_torch_can_map_over(name):
    nest = NESTS[name]
    function, batch = on_tensors(total, nest)
    plain = name in ("tensor", "tuple", "list", "dict", "ordered dict")
    assert (function is total) is (batch is nest) is plain
    assert all(isinstance(leaf, torch.Tensor) for leaf in torch.utils._pytree.tree_leaves(batch))
    assert function(None, batch) == total(None, nest)


def test_a_function_of_tensors_restores_the_batch_and_is_equal_for_batches_of_one_structure():
    def whole(model, batch):
        return batch

    function, batch = on_tensors(whole, Pair(X, "n"))
    again, other = on_tensors(whole, Pair(2 * X, "n"))
    assert function == again
    assert hash(function) == hash(again)
    assert function != on_tensors(whole, Pair(X, "m"))[0]
    restored = function(None, other)
    assert isinstance(restored, Pair)
    assert torch.equal(restored.x, 2 * X)
    assert restored.name == "n"
    assert batch[0] is X


class Wrapper(MutableMapping):
    """A mapping whose shallow copies share its items."""

    def __init__(self, items):
        self.items_ = items

    def __getitem__(self, key):
        return self.items_[key]

    def __setitem__(self, key, value):
        self.items_[key] = value

    def __delitem__(self, key):
        del self.items_[key]

    def __iter__(self):
        return iter(self.items_)

    def __len__(self):
        return len(self.items_)


def test_a_mapping_of_another_class_is_not_changed_by_mapping_over_it():
    x = torch.ones(2)
    batch = Wrapper({"x": x, "id": 7})
    function, leaves = on_tensors(lambda model, batch: batch["x"].sum(), batch)
    assert type(stacked([batch, batch])) is Wrapper
    assert batch["x"] is x
    assert function(None, leaves) == 2


class Graph:
    """Not a nest, but it can copy itself, as batches of graphs can."""

    def __init__(self, x):
        self.x = x

    def clone(self):
        return Graph(self.x.clone())


def test_a_copy_shares_no_container_and_no_tensor():
    parameter = torch.ones(2, requires_grad=True)
    batch = {"x": [torch.ones(2)], "sample": Sample(torch.ones(2)), "graph": Graph(torch.ones(2)), "p": parameter}
    other = copied(batch)
    for part in (other["x"][0], other["sample"].x, other["graph"].x, other["p"].data):
        part.zero_()
    assert [part.sum() for part in (batch["x"][0], batch["sample"].x, batch["graph"].x, parameter)] == [2, 2, 2, 2]
    assert other["p"].is_leaf
    assert other["p"].requires_grad
    assert other["sample"].length == 3
    other["x"].clear()
    assert len(batch["x"]) == 1
