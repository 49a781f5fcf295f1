"""How data are described: finished runs are found by it, so a change of one character trains all of them again."""

from functools import partial

import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    SequentialSampler,
    Subset,
    TensorDataset,
)

from lrsched.comparison._data_text import source_text, tensors_text

X, Y = torch.arange(6), torch.arange(12.0).reshape(6, 2)


class Plain(Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, i):
        return X[i]


class Stream(IterableDataset):
    def __iter__(self):
        return iter(X)


class Batches:
    def __iter__(self):
        return iter([X])


class Sized(Batches):
    def __len__(self):
        return 1


def test_tensors_are_described_by_shape_dtype_and_contents():
    first = tensors_text((X, Y))
    assert first == "(6,) torch.int64, (6, 2) torch.float32, sha256 " + first[-16:]
    assert tensors_text((X.clone(), Y.t().contiguous().t())) == first
    assert tensors_text((X, Y + 1)) != first
    assert tensors_text((torch.tensor(1.0),)).startswith("() torch.float32, sha256 ")


def function():
    return [X]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (function, "function function"),
        (partial(function), "function partial"),
        (Batches(), "Batches"),
        (Sized(), "Sized of 1 batches"),
        (Stream(), "Stream"),
        (DataLoader(Plain(), 4), "DataLoader of Plain of 6 samples, batch_size 4, SequentialSampler, drop_last False"),
        (DataLoader(Plain(), 2, shuffle=True, drop_last=True), "DataLoader of Plain of 6 samples, batch_size 2, "
         "RandomSampler, drop_last True"),
        (DataLoader(Stream(), 4), "DataLoader of Stream, batch_size 4, _InfiniteConstantSampler, drop_last False"),
        (DataLoader(Plain(), None), "DataLoader of Plain of 6 samples, batches by SequentialSampler of 6 batches"),
        (
            DataLoader(Plain(), batch_sampler=BatchSampler(SequentialSampler(X), 4, False)),
            "DataLoader of Plain of 6 samples, batches by BatchSampler of 2 batches of SequentialSampler, "
            "batch_size 4, drop_last False",
        ),
        (
            DataLoader(TensorDataset(X, Y), 4),
            f"DataLoader of TensorDataset ({tensors_text((X, Y))}), batch_size 4, SequentialSampler, drop_last False",
        ),
    ],
    ids=[
        "function",
        "partial",
        "iterable",
        "with a length",
        "stream",
        "loader",
        "shuffled",
        "loader of a stream",
        "no batches",
        "batch sampler",
        "tensors",
    ],
)  # fmt: skip
def test_sources_are_described_without_going_through_them(source, text):
    assert source_text(source) == text


def test_lists_of_batches_are_described_by_their_contents():
    one, other = [{"x": X}, {"x": X}], [{"x": X}, {"x": X + 1}]
    assert source_text(one).startswith("list of 2 batches, sha256 ")
    assert source_text(one) == source_text([{"x": X.clone()}, {"x": X}])
    assert source_text(one) != source_text(other)
    assert source_text([Y[:3], Y[3:]]) != source_text([Y[:2], Y[2:]])
    assert source_text([Y]) != source_text([Y.view(torch.int32)])


def test_a_subset_is_described_by_its_indices():
    first, again, other = (DataLoader(Subset(Plain(), rows), 2) for rows in ([0, 1], range(2), [1, 2]))
    assert source_text(first) == source_text(again) != source_text(other)
    assert " of Plain of 6 samples, batch_size 2" in source_text(first)
