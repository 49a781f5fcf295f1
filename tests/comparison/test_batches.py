"""Batches from tensors and from functions."""

from typing import NamedTuple

import pytest
import torch

from lrsched.comparison._batches import FunctionBatches, TensorBatches, as_batches, moved, sample_count


def rows(n=10):
    return torch.arange(n), torch.arange(n).reshape(n, 1) * 2.0


def test_shuffled_batches_are_the_generators_permutation():
    data = as_batches("train", rows(), 4)
    generator = torch.Generator().manual_seed(3)
    expected = torch.randperm(10, generator=torch.Generator().manual_seed(3)).tolist()
    first, second = ([*data.shuffled(generator)] for _ in range(2))
    assert [len(x) for x, _ in first] == [4, 4, 2]
    assert torch.cat([x for x, _ in first]).tolist() == expected
    assert torch.cat([x for x, _ in second]).tolist() != expected
    for x, y in first:
        assert torch.equal(y, x.reshape(-1, 1) * 2.0)


def test_batches_in_order_have_every_row_once():
    cut = [*as_batches("valid", rows(), 4).in_order()]
    assert [x.tolist() for x, _ in cut] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_function_is_called_each_epoch_with_torch_seeded_from_the_generator():
    def draw():
        yield torch.rand(2)

    data = as_batches("train", draw, 4)
    assert isinstance(data, FunctionBatches)
    epochs = []
    for seed in (0, 0, 1):
        generator = torch.Generator().manual_seed(seed)
        epochs.append([next(data.shuffled(generator)).tolist() for _ in range(2)])
    assert epochs[0] == epochs[1] != epochs[2]
    assert epochs[0][0] != epochs[0][1]


def test_descriptions_of_different_contents_differ():
    x, y = rows()
    first = TensorBatches((x, y), 4).description()
    assert first.startswith("(10,) torch.int64, (10, 1) torch.float32, sha256 ")
    assert TensorBatches((x.clone(), y.clone()), 4).description() == first
    assert TensorBatches((x, y + 1), 4).description() != first
    assert FunctionBatches(rows).description() == "function rows"


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (torch.ones(3), TypeError, "train must be a tuple of tensors .* got Tensor"),
        ((), TypeError, "train must be a tuple of tensors"),
        ((torch.ones(3), [1, 2, 3]), TypeError, "train must be a tuple of tensors"),
        (
            (torch.ones(3), torch.ones(2)),
            ValueError,
            r"tensors of train must all have the same number of rows.*\[3, 2\]",
        ),
        ((torch.ones(0),), ValueError, r"at least one, got \[0\]"),
        ((torch.tensor(1.0),), ValueError, r"at least one, got \[0\]"),
    ],
    ids=["tensor", "empty tuple", "list inside", "different rows", "no rows", "scalar"],
)
def test_invalid_data_are_refused(data, error, message):
    with pytest.raises(error, match=message):
        as_batches("train", data, 4)


class Pair(NamedTuple):
    x: torch.Tensor
    name: str


def test_nested_batches_are_moved_and_their_samples_counted():
    x = torch.ones(3, 2)
    batch = {"a": [Pair(x, "n")], "b": (1, x)}
    on_meta = moved(batch, torch.device("meta"))
    assert on_meta["a"][0].x.device.type == on_meta["b"][1].device.type == "meta"
    assert on_meta["a"][0].name == "n"
    assert on_meta["b"][0] == 1
    assert sample_count(batch) == sample_count(("text", x)) == 3
    assert sample_count("text") == sample_count(torch.tensor(1.0)) == 1


def test_a_function_that_returns_no_iterable_is_refused():
    with pytest.raises(TypeError, match="a train or valid function must return an iterable of batches, got 5"):
        as_batches("valid", lambda: 5, 4).in_order()
