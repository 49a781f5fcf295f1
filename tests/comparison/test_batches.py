from typing import NamedTuple

import pytest
import torch

from lrsched.comparison._batches import Function, Tensors, batches, length, moved


def rows(n=10):
    return torch.arange(n), torch.arange(n).reshape(n, 1) * 2.0


def test_shuffled_is_a_permutation_by_the_generator_in_whole_batches():
    data = batches("train", rows(), 4)
    generator = torch.Generator().manual_seed(3)
    expected = torch.randperm(10, generator=torch.Generator().manual_seed(3)).tolist()
    first, second = ([*data.shuffled(generator)] for _ in range(2))
    assert [len(x) for x, _ in first] == [4, 4, 2]
    assert torch.cat([x for x, _ in first]).tolist() == expected
    assert torch.cat([x for x, _ in second]).tolist() != expected
    for x, y in first:
        assert torch.equal(y, x.reshape(-1, 1) * 2.0)


def test_in_order_is_every_row_once():
    cut = [*batches("valid", rows(), 4).in_order()]
    assert [x.tolist() for x, _ in cut] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_function_is_called_each_epoch_with_random_state_from_the_generator():
    def draw():
        yield torch.rand(2)

    data = batches("train", draw, 4)
    assert isinstance(data, Function)
    epochs = []
    for seed in (0, 0, 1):
        generator = torch.Generator().manual_seed(seed)
        epochs.append([next(data.shuffled(generator)).tolist() for _ in range(2)])
    assert epochs[0] == epochs[1] != epochs[2]
    assert epochs[0][0] != epochs[0][1]


def test_the_description_tells_content_apart():
    x, y = rows()
    first = Tensors((x, y), 4).description()
    assert first.startswith("(10,) torch.int64, (10, 1) torch.float32, sha256 ")
    assert Tensors((x.clone(), y.clone()), 4).description() == first
    assert Tensors((x, y + 1), 4).description() != first
    assert Function(rows).description() == "function rows"


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (torch.ones(3), TypeError, "train must be a tuple of tensors .* got Tensor"),
        ((), TypeError, "train must be a tuple of tensors"),
        ((torch.ones(3), [1, 2, 3]), TypeError, "train must be a tuple of tensors"),
        ((torch.ones(3), torch.ones(2)), ValueError, r"train: its tensors must have as many rows each.*\[3, 2\]"),
        ((torch.ones(0),), ValueError, r"at least one, got \[0\]"),
        ((torch.tensor(1.0),), ValueError, r"at least one, got \[0\]"),
    ],
)
def test_what_is_no_data_is_named(data, error, message):
    with pytest.raises(error, match=message):
        batches("train", data, 4)


class Pair(NamedTuple):
    x: torch.Tensor
    name: str


def test_batches_of_every_form_are_moved_and_measured():
    x = torch.ones(3, 2)
    batch = {"a": [Pair(x, "n")], "b": (1, x)}
    on_meta = moved(batch, torch.device("meta"))
    assert on_meta["a"][0].x.device.type == on_meta["b"][1].device.type == "meta"
    assert on_meta["a"][0].name == "n"
    assert on_meta["b"][0] == 1
    assert length(batch) == length(("text", x)) == 3
    assert length("text") == length(torch.tensor(1.0)) == 1
