"""Batches from tensors, loaders, other iterables and functions."""

import random
import weakref

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, DistributedSampler, IterableDataset, TensorDataset

from lrsched.comparison._batches import SourceBatches, TensorBatches, UnequalBatchesError, as_batches


def rows(n=10):
    return torch.arange(n), torch.arange(n).reshape(n, 1) * 2.0


def generator(seed):
    return torch.Generator().manual_seed(seed)


def plain(batches):
    return [[part.tolist() for part in batch] for batch in batches]


# ---------------------------------------------------------------- tensors


def test_shuffled_batches_are_the_generators_permutation():
    data, shuffler = as_batches("train", rows(), 4), generator(3)
    expected = torch.randperm(10, generator=generator(3)).tolist()
    first, second = ([*data.shuffled(shuffler)] for _ in range(2))
    assert [len(x) for x, _ in first] == [4, 4, 2]
    assert torch.cat([x for x, _ in first]).tolist() == expected
    assert torch.cat([x for x, _ in second]).tolist() != expected
    for x, y in first:
        assert torch.equal(y, x.reshape(-1, 1) * 2.0)


def test_batches_in_order_have_every_row_once():
    data = as_batches("valid", rows(), 4)
    assert [x.tolist() for x, _ in data.in_order()] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert data.first_in_order()[0].tolist() == [0, 1, 2, 3]


# ---------------------------------------------------------------- sources


class Reversed:
    """A map-style class that can be gone through: it has a length and items, and yields batches."""

    def __len__(self):
        return 9

    def __getitem__(self, i):
        return (torch.arange(4.0) + i,)

    def __iter__(self):
        return (self[i] for i in torch.randperm(len(self)).tolist())


class Stream(IterableDataset):
    def __iter__(self):
        return iter([(torch.rand(()), i) for i in range(10)])


class Augmented(Dataset):
    """Draws from every global generator, and from two of its own."""

    def __init__(self):
        self.own = np.random.default_rng(0), random.Random(0)

    def __len__(self):
        return 10

    def __getitem__(self, i):
        own = [self.own[0].random(), self.own[1].random()]
        return (torch.tensor([i, torch.rand(()).item(), np.random.rand(), random.random(), *own]),)  # noqa: NPY002


GLOBAL = np.random.default_rng(0)


class AugmentedByGlobal(Dataset):
    """Draws from a generator that it does not own."""

    def __len__(self):
        return 10

    def __getitem__(self, i):
        return (torch.tensor([i, GLOBAL.random()]),)


def generated_by_global():
    def noise():
        return torch.tensor([GLOBAL.random()])

    for _ in range(3):
        yield (noise(),)


def function_over(loader):
    return lambda: (batch for batch in loader)


def function_over_several(*loaders):
    def train():
        for loader in loaders:
            yield from loader

    return train


def persistent_loader():
    return DataLoader(Augmented(), 4, shuffle=True, num_workers=1, persistent_workers=True)


def generated():
    yield (torch.rand(2),)
    yield (torch.rand(2),)


SOURCES = {
    "function": lambda: generated,
    "function that returns a loader": lambda: lambda: DataLoader(TensorDataset(*rows()), 4, shuffle=True),
    "loader": lambda: DataLoader(TensorDataset(*rows()), 4, shuffle=True),
    "loader with a generator": lambda: DataLoader(TensorDataset(*rows()), 4, shuffle=True, generator=generator(5)),
    "augmented": lambda: DataLoader(Augmented(), 4, shuffle=True, generator=generator(5)),
    "augmented by workers": lambda: DataLoader(Augmented(), 4, shuffle=True, num_workers=2),
    "augmented by workers that persist": lambda: DataLoader(
        Augmented(), 4, shuffle=True, num_workers=2, persistent_workers=True
    ),
    "sampler that shuffles by epoch": lambda: DataLoader(
        TensorDataset(*rows()), 4, sampler=DistributedSampler(TensorDataset(*rows()), num_replicas=1, rank=0)
    ),
    "augmented by a global generator": lambda: DataLoader(AugmentedByGlobal(), 4, shuffle=True),
    "function with a nested function": lambda: generated_by_global,
    "function over a loader": lambda: function_over(persistent_loader()),
    "function over loaders": lambda: function_over_several(persistent_loader(), persistent_loader()),
    "stream": lambda: DataLoader(Stream(), 4),
    "iterable": Reversed,
}


@pytest.mark.parametrize("name", SOURCES)
def test_the_runs_generator_alone_decides_the_batches_of_an_epoch(name):
    data = as_batches("train", SOURCES[name](), None)
    assert isinstance(data, SourceBatches)
    first, second, other = generator(0), generator(0), generator(1)
    epochs = [plain(data.shuffled(first)) for _ in range(2)]
    torch.rand(1), np.random.rand(), random.random()  # noqa: NPY002
    others = plain(data.shuffled(other))
    again = [plain(data.shuffled(second)) for _ in range(2)]
    assert epochs == again
    assert epochs[0] != epochs[1]
    assert epochs[0] != others
    resumed = generator(0)
    resumed.set_state(generator(0).get_state())
    torch.randint(2**62, (), generator=resumed)
    assert plain(as_batches("train", SOURCES[name](), None).shuffled(resumed)) == epochs[1]  # in another process


@pytest.mark.parametrize("name", SOURCES)
def test_epochs_of_several_seeds_under_way_at_once_do_not_change_each_other(name):
    data = as_batches("train", SOURCES[name](), None)
    alone = [plain(data.shuffled(generator(seed))) for seed in (0, 1)]
    together = [*data.shared([generator(0), generator(1), generator(0)], [0, 1, 0])]
    assert {dim for _, dim in together} == {0}
    for i, member in enumerate((0, 1, 0)):
        assert [[part[i].tolist() for part in batch] for batch, _ in together] == alone[member]


@pytest.mark.parametrize("name", SOURCES)
def test_the_users_random_state_and_generators_are_as_before(name):
    source = SOURCES[name]()
    states = torch.get_rng_state(), random.getstate(), str(np.random.get_state())  # noqa: NPY002
    own = getattr(source, "generator", None)
    held = None if own is None else own.get_state()
    data = as_batches("train", source, None)
    for _ in data.shared([generator(0), generator(1)], [0, 1]):
        assert torch.equal(torch.get_rng_state(), states[0])
        assert (random.getstate(), str(np.random.get_state())) == states[1:]  # noqa: NPY002
        assert own is None or torch.equal(own.get_state(), held)


@pytest.mark.parametrize("name", ["augmented by a global generator", "function with a nested function"])
def test_a_global_generator_is_as_before(name):
    state = GLOBAL.bit_generator.state
    for _ in as_batches("train", SOURCES[name](), None).shared([generator(0), generator(1)], [0, 1]):
        assert GLOBAL.bit_generator.state == state
    assert GLOBAL.bit_generator.state == state


def test_a_loader_inside_a_function_is_restored():
    loader = persistent_loader()
    used = iter(loader)
    data = as_batches("train", function_over(loader), None)
    assert len([*data.shared([generator(0), generator(1)], [0, 1])]) == 3
    assert loader.persistent_workers
    assert loader._iterator is used


def test_a_loader_is_used_as_it_is_and_restored():
    class Counting(DataLoader):
        passes = 0

        def __iter__(self):
            self.passes += 1
            return super().__iter__()

    loader = Counting(TensorDataset(*rows()), 4, num_workers=1, persistent_workers=True)
    used = iter(loader)
    sampler = loader.sampler
    data = as_batches("train", loader, None)
    assert len([*data.shared([generator(0), generator(1)], [0, 1])]) == 3
    assert loader.passes == 3
    assert loader.persistent_workers
    assert loader._iterator is used
    assert loader.sampler is sampler


def test_an_epoch_that_the_user_set_is_restored():
    loader = SOURCES["sampler that shuffles by epoch"]()
    loader.sampler.set_epoch(5)
    assert len([*as_batches("train", loader, None).shuffled(generator(0))]) == 3
    assert loader.sampler.epoch == 5


def test_members_with_one_seed_share_their_batches():
    passes = []

    def train():
        passes.append(torch.rand(1).item())
        return [(torch.ones(3) * i,) for i in range(4)]

    data = as_batches("train", train, None)
    members = [generator(0) for _ in range(3)]
    for _ in range(2):
        found = [*data.shared(members, [0, 0, 0])]
        assert [(batch[0][0].item(), dim) for batch, dim in found] == [(0.0, None), (1.0, None), (2.0, None), (3, None)]
    assert len(passes) == 2
    assert torch.equal(members[0].get_state(), members[2].get_state())


def test_validation_has_the_same_batches_at_each_pass():
    data = as_batches("valid", SOURCES["augmented"](), None)
    assert plain(data.in_order()) == plain(data.in_order())


def test_the_batch_that_a_trial_takes_is_not_made_again():
    made = []

    def train():
        for i in range(3):
            made.append(i)
            yield (torch.rand(1),)

    data = as_batches("train", train, None)
    first = data.first(0)
    assert plain([data.first(0)]) == plain([first])
    assert made == [0]
    epoch = [*data.shuffled(generator(0))]
    assert plain(epoch[:1]) == plain([first])
    assert made == [0, 1, 2]
    fresh = as_batches("train", train, None)
    assert plain(epoch) == plain(fresh.shuffled(generator(0)))


@pytest.mark.parametrize("first", ["training", "validation"])
def test_trials_that_change_a_batch_do_not_change_that_of_others(first):
    def train():
        return [{"x": torch.ones(2), "labels": [torch.zeros(1)]}]

    data = as_batches("train", train, None)
    begun = (lambda: data.first(0)) if first == "training" else data.first_in_order
    for _ in range(3):
        batch = begun()
        assert batch["labels"][0] == 0
        batch["x"].sub_(1.0)
        batch.pop("labels")[0].add_(1.0)
    batches = data.shuffled(generator(0)) if first == "training" else data.in_order()
    assert [(batch["x"].tolist(), batch["labels"]) for batch in batches] == [([1.0, 1.0], [torch.zeros(1)])]


def test_functions_that_change_their_batch_do_not_change_the_users_tensors():
    mine, expected = rows(), rows()
    data = as_batches("valid", mine, 4)
    for batch in [data.first(0), data.first_in_order(), *data.in_order(), *data.shuffled(generator(0))]:
        for part in batch:
            part.add_(1)
    for part, original in zip(mine, expected, strict=True):
        assert torch.equal(part, original)


def test_the_pass_that_a_trial_began_ends_if_another_one_is_needed():
    ended = []

    def train():
        try:
            yield (torch.rand(1),)
            yield (torch.rand(1),)
        finally:
            ended.append(True)

    data = as_batches("train", train, None)
    first = data.first(0)
    batches = data.shuffled(generator(1))
    assert ended == [True]
    assert [len(batch) for batch in batches] == [1, 1]
    assert torch.equal(next(data.shuffled(generator(0)))[0], first[0])


def test_batches_are_not_held():
    alive = []

    def train():
        for _ in range(20):
            batch = torch.zeros(1)
            alive.append(weakref.ref(batch))
            yield (batch,)
            del batch

    data = as_batches("train", train, None)
    most = 0
    for _ in data.shared([generator(0), generator(1)], [0, 1]):
        most = max(most, sum(ref() is not None for ref in alive))
    assert most <= 4
    assert len(alive) == 40


# ---------------------------------------------------------------- unequal batches


def unequal_shapes():
    return [(torch.ones(int(torch.randint(2, 100, ()))),)]


def unequal_numbers():
    return [(torch.ones(2),)] * int(torch.randint(1, 100, ()))


@pytest.mark.parametrize("train", [unequal_shapes, unequal_numbers])
def test_batches_of_different_seeds_that_cannot_be_stacked(train):
    data = as_batches("train", train, None)
    with pytest.raises(UnequalBatchesError):
        [*data.shared([generator(0), generator(1)], [0, 1])]
    assert len([*data.shared([generator(0), generator(0)], [0, 0])]) >= 1


def test_passes_that_would_share_an_iterator_are_not_mixed():
    class Loader:
        def __init__(self):
            self.left = 0

        def __iter__(self):
            self.left = 3
            return self

        def __next__(self):
            if not self.left:
                raise StopIteration
            self.left -= 1
            return (torch.full((1,), float(self.left)),)

    loader = Loader()
    data = as_batches("train", lambda: loader, None)
    with pytest.raises(UnequalBatchesError):
        [*data.shared([generator(0), generator(1)], [0, 1])]
    assert plain(data.shuffled(generator(0))) == [[[2.0]], [[1.0]], [[0.0]]]


class Itself(IterableDataset):
    """Is its own iterator, so a pass that starts takes the samples of the one under way."""

    def __iter__(self):
        self.left = 10
        return self

    def __next__(self):
        if not self.left:
            raise StopIteration
        self.left -= 1
        return torch.tensor(float(self.left))


def test_passes_over_a_dataset_that_is_its_own_iterator_are_not_mixed():
    data = as_batches("train", DataLoader(Itself(), 2), None)
    with pytest.raises(UnequalBatchesError):
        [*data.shared([generator(0), generator(1)], [0, 1])]
    assert len([*data.shuffled(generator(0))]) == 5
    in_workers = as_batches("train", DataLoader(Itself(), 2, num_workers=1), None)
    assert len([*in_workers.shared([generator(0), generator(1)], [0, 1])]) == 5


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (torch.ones(3), TypeError, "train must be a tuple of tensors .* a DataLoader .* returns one, got a tensor of"),
        ((), TypeError, "train must be a tuple of tensors .* got an empty tuple"),
        ((torch.ones(3), [1, 2, 3]), TypeError, "train must be a tuple of tensors .* got a tuple of Tensor, list"),
        (
            (torch.ones(3), torch.ones(2)),
            ValueError,
            r"tensors of train must all have the same number of rows.*\[3, 2\]",
        ),
        ((torch.ones(0),), ValueError, r"at least one, got \[0\]"),
        ((torch.tensor(1.0),), ValueError, r"at least one, got \[0\]"),
        (5, TypeError, "train must be a tuple of tensors .* got int"),
        ("text", TypeError, "train must be a tuple of tensors .* got str"),
        ({"x": torch.ones(3)}, TypeError, "train must be a tuple of tensors .* got dict"),
        (np.ones(3), TypeError, "train must be a tuple of tensors .* got ndarray"),
        (TensorDataset(torch.ones(3)), TypeError, r"got TensorDataset: pass DataLoader\(dataset, batch_size=…\)"),
        (iter([1]), TypeError, "train must have new batches at each pass, .* pass a list of batches, a DataLoader"),
        (generated(), TypeError, r"an iterator \(generator\) can only be used once: pass a list"),
        (
            DataLoader([1, 2], sampler=DistributedSampler([1, 2], num_replicas=2, rank=0)),
            ValueError,
            "train must have all batches in every process, got a loader with a DistributedSampler for 2 processes",
        ),
        (
            DataLoader([1, 2], batch_sampler=BatchSampler(DistributedSampler([1, 2], 2, 0), 1, False)),
            ValueError,
            "train must have all batches in every process, got a loader with a DistributedSampler for 2 processes",
        ),
    ],
    ids=[
        "tensor",
        "empty tuple",
        "list inside",
        "different rows",
        "no rows",
        "scalar",
        "number",
        "text",
        "dict",
        "array",
        "dataset",
        "iterator",
        "generator",
        "distributed",
        "distributed inside",
    ],
)
def test_invalid_data_are_refused(data, error, message):
    with pytest.raises(error, match=message):
        as_batches("train", data, 4)


def test_tensors_need_a_batch_size():
    with pytest.raises(ValueError, match="batch_size must be an integer >= 1 if valid is a tuple of tensors, got None"):
        as_batches("valid", rows(), None)
    assert isinstance(as_batches("valid", rows(), 2), TensorBatches)


def test_a_function_that_returns_no_iterable_is_refused():
    with pytest.raises(TypeError, match="a valid function must return an iterable of batches, got int"):
        as_batches("valid", lambda: 5, 4).first_in_order()


def test_a_function_that_needs_arguments_is_refused():
    with pytest.raises(TypeError, match=r"a train function is called without arguments, got .*: missing .* 'epoch'"):
        as_batches("train", lambda epoch: [], None)
    as_batches("train", lambda epoch=0: [], None)


def test_random_numbers_of_numpy_follow_the_seed_even_if_only_later_batches_draw_them():
    def late():
        yield np.zeros(1)
        yield np.random.rand(1)  # noqa: NPY002

    data, state = as_batches("train", late, None), np.random.get_state(legacy=False)  # noqa: NPY002
    first, again = ([*data.shuffled(generator(3))] for _ in range(2))
    np.testing.assert_equal(first, again)
    np.testing.assert_equal(np.random.get_state(legacy=False), state)  # noqa: NPY002


def test_a_sampler_inside_a_batch_sampler_gets_the_number_of_the_pass():
    sampler = DistributedSampler(range(20), num_replicas=1, rank=0)
    data = as_batches("train", DataLoader(torch.arange(20), batch_sampler=BatchSampler(sampler, 20, False)), None)
    shuffler = generator(0)
    first, second = ([batch.tolist() for batch in data.shuffled(shuffler)] for _ in range(2))
    assert first != second
    assert sampler.epoch == 0


def test_sources_without_batches_are_refused():
    with pytest.raises(ValueError, match=r"train must have at least one batch, got none$"):
        as_batches("train", list, None).first(0)
    used = iter([(torch.ones(1),)])
    data = as_batches("train", lambda: used, None)
    assert len([*data.shuffled(generator(0))]) == 1
    with pytest.raises(ValueError, match="train must have at least one batch, got none; it had batches before, but "):
        [*data.shuffled(generator(0))]


def test_batches_are_moved_to_the_device():
    data = as_batches("train", lambda: [{"x": [torch.ones(2)]}], None).to(torch.device("meta"))
    assert next(data.shuffled(generator(0)))["x"][0].device.type == "meta"
    assert as_batches("train", rows(), 4).to(torch.device("meta")).first(0)[0].device.type == "meta"
