"""compare() on loaders, other iterables and functions, from end to end."""

import json
from collections import Counter, UserDict
from dataclasses import dataclass

import pytest
import torch
from torch import multiprocessing, nn
from torch.optim.lr_scheduler import CyclicLR, ExponentialLR
from torch.utils.data import DataLoader, Dataset, RandomSampler, TensorDataset

from lrsched import PlateauSequence, Sawtooth, SequenceLR, Setting, Warmup, compare, supervised
from tests.comparison.helpers import DATA, TWO_SETTINGS, adam, hidden, sgd
from tests.comparison.test_side_by_side import assert_alike

DOUBLE = tuple(part.double() for part in DATA)
SETTINGS = {
    "fixed": Setting(sgd(0.05, momentum=0.9)),
    "plateau": Setting(sgd(0.1, momentum=0.9), lambda opt: PlateauSequence(opt, Sawtooth(), on="oscillate")),
    "batch": Setting(sgd(0.1, momentum=0.9), lambda opt: SequenceLR(opt, Warmup(10)), per="batch"),
    "adam": Setting(adam(), lambda opt: ExponentialLR(opt, 0.5)),
}
LOSS = supervised(nn.functional.mse_loss)


def model_fn():
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 1)).double()


def deviation(model, batch):
    return (model(batch[0]) - batch[1]).abs().mean()


class Noisy(Dataset):
    """Samples with noise that is drawn anew each time."""

    def __len__(self):
        return 40

    def __getitem__(self, i):
        return DOUBLE[0][i] + 0.1 * torch.randn(3), DOUBLE[1][i]


class Batches:
    """A class of the user's: it yields batches in random order and can be gone through again."""

    def __init__(self):
        self.generator = torch.Generator().manual_seed(5)

    def __iter__(self):
        order = torch.randperm(40, generator=self.generator)
        return iter([(DOUBLE[0][rows], DOUBLE[1][rows]) for rows in order.split(11)])


GLOBAL = torch.Generator().manual_seed(7)


class NoisyByGlobal(Noisy):
    """Draws its noise from a generator that it does not own."""

    def __getitem__(self, i):
        return DOUBLE[0][i] + 0.1 * torch.randn(3, generator=GLOBAL), DOUBLE[1][i]


def over(loader):
    return lambda: (batch for batch in loader)


def from_function():
    for rows in torch.randperm(40).split(11):
        yield DOUBLE[0][rows], DOUBLE[1][rows]


TRAIN = {
    "tensors": lambda: DOUBLE,
    "loader": lambda: DataLoader(TensorDataset(*DOUBLE), 11, shuffle=True),
    "loader with a generator": lambda: DataLoader(
        TensorDataset(*DOUBLE), 11, shuffle=True, generator=torch.Generator().manual_seed(3)
    ),
    "loader of noisy samples": lambda: DataLoader(Noisy(), 11, shuffle=True),
    "loader with workers": lambda: DataLoader(Noisy(), 11, shuffle=True, num_workers=1, persistent_workers=True),
    "loader of samples with a global generator": lambda: DataLoader(NoisyByGlobal(), 11, shuffle=True),
    "function over a loader with workers": lambda: over(
        DataLoader(Noisy(), 11, shuffle=True, num_workers=1, persistent_workers=True)
    ),
    "list of batches": lambda: [(DOUBLE[0][:20], DOUBLE[1][:20]), (DOUBLE[0][20:33], DOUBLE[1][20:33])],
    "class": Batches,
    "function": lambda: from_function,
    "function that returns a loader": lambda: lambda: DataLoader(TensorDataset(*DOUBLE), 11, shuffle=True),
}


@pytest.mark.parametrize("kind", TRAIN)
def test_side_by_side_equals_one_after_another(kind):
    batch_size = 11 if kind == "tensors" else None
    valid = DOUBLE if kind == "tensors" else DataLoader(TensorDataset(*DOUBLE), 15)
    options = {"epochs": 3, "batch_size": batch_size, "seeds": 2, "metric_fn": deviation}
    alone, beside = (
        compare(SETTINGS, model_fn, LOSS, TRAIN[kind](), valid, vectorize=how, **options).runs for how in (False, True)
    )
    assert {run.method for run in beside} == {"side by side"}
    assert {run.reason for run in beside} == {"8 runs sharing 2 optimizers, differing only in lr"}
    assert_alike(alone, beside, rel=1e-9, abs=1e-12)
    if kind != "list of batches":
        assert alone[0].train_loss != alone[1].train_loss


def test_loaders_are_trained_side_by_side_by_default():
    loader = DataLoader(TensorDataset(*DATA), 8, shuffle=True)
    report = compare(TWO_SETTINGS, lambda: nn.Linear(3, 1), LOSS, loader, loader, epochs=1, seeds=2)
    assert {run.method for run in report.runs} == {"side by side"}
    assert {run.config["batch_size"] for run in report.runs} == {None}
    train = {run.config["train"] for run in report.runs}
    assert len(train) == 1
    assert train.pop().startswith("DataLoader of TensorDataset ((40, 3) torch.float32, (40, 1) torch.float32, sha256 ")


# ---------------------------------------------------------------- how often batches are made


class Counted(Dataset):
    """Counts how often its samples are taken, in all workers together."""

    def __init__(self):
        self.taken = multiprocessing.get_context("fork").Value("i", 0)

    def __len__(self):
        return 40

    def __getitem__(self, i):
        with self.taken.get_lock():
            self.taken.value += 1
        return DOUBLE[0][i], DOUBLE[1][i]


class CountedSampler(RandomSampler):
    passes = 0

    def __iter__(self):
        self.passes += 1
        return super().__iter__()


def counted_loader(**options):
    data = Counted()
    start = "fork" if options else None  # that of the counter; Python 3.14 has another default
    return DataLoader(data, 8, sampler=CountedSampler(data), multiprocessing_context=start, **options)


@pytest.mark.parametrize("workers", [{}, {"num_workers": 2}], ids=["no workers", "workers"])
def test_a_loader_is_gone_through_once_a_seed_and_epoch(workers):
    train, valid = counted_loader(**workers), counted_loader(**workers)
    report = compare(SETTINGS, model_fn, LOSS, train, valid, epochs=3, seeds=2)
    assert {run.method for run in report.runs} == {"side by side"}
    assert (train.sampler.passes, train.dataset.taken.value) == (2 * 3, 2 * 3 * 40)  # seeds × epochs
    assert (valid.sampler.passes, valid.dataset.taken.value) == (3, 3 * 40)  # for all runs together


def test_one_after_another_each_run_goes_through_the_loader_once_an_epoch():
    train, valid = counted_loader(), counted_loader()
    compare(TWO_SETTINGS, model_fn, LOSS, train, valid, epochs=3, seeds=2, vectorize=False)
    assert train.sampler.passes == valid.sampler.passes == 2 * 2 * 3


def test_a_function_is_called_once_a_seed_and_epoch():
    calls = Counter()

    def train():
        calls["train"] += 1
        return from_function()

    def valid():
        calls["valid"] += 1
        return [DOUBLE]

    compare(SETTINGS, model_fn, LOSS, train, valid, epochs=3, seeds=2)
    assert calls == {"train": 2 * 3, "valid": 3}


# ---------------------------------------------------------------- paired


@pytest.mark.parametrize(
    "kind",
    [
        "loader of noisy samples",
        "loader of samples with a global generator",
        "loader with workers",
        "function over a loader with workers",
        "class",
        "function",
    ],
)
def test_all_settings_of_a_seed_see_the_same_batches(kind):
    seen = {}

    def loss_fn(model, batch):
        if model.training and torch.is_grad_enabled():
            seen.setdefault(id(model), []).append(batch[0].sum().item())
        return LOSS(model, batch)

    models = []

    def new_model():
        models.append(model_fn())
        return models[-1]

    compare(SETTINGS, new_model, loss_fn, TRAIN[kind](), DOUBLE, epochs=2, batch_size=40, seeds=2, vectorize=False)
    runs = [seen[id(model)] for model in models[2:]]  # the first two are trials
    assert len(runs) == 8
    assert {len(run) for run in runs} == {8}
    assert len({tuple(run[:4]) for run in runs}) == len({tuple(run) for run in runs}) == 2  # one for each seed
    assert runs[0][:4] != runs[0][4:]


def test_what_a_model_draws_does_not_change_the_batches():
    def noisy_model():
        return nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1)).double()

    seen = {}

    def sums(name):
        def loss_fn(model, batch):
            if torch.is_grad_enabled():
                seen.setdefault(name, []).append(batch[0].sum().item())
            return LOSS(model, batch)

        return loss_fn

    for name, make in {"dropout": noisy_model, "plain": model_fn}.items():
        call = {"a": Setting(sgd())}, make, sums(name), DataLoader(Noisy(), 11, shuffle=True), [DOUBLE]
        compare(*call, epochs=2, seeds=1, vectorize=False)
    assert seen["dropout"] == seen["plain"]


# ---------------------------------------------------------------- kinds of batches


@dataclass
class Sample:
    x: torch.Tensor
    y: torch.Tensor
    name: str = "sample"


class Encoding(UserDict):
    """Like a tokenizer's: a mapping whose items are attributes too."""

    def __getattr__(self, name):
        return self.data[name]


@pytest.mark.parametrize(
    "kind",
    [lambda x, y: {"x": x, "y": y}, Sample, lambda x, y: Encoding(x=x, y=y)],
    ids=["dict", "dataclass", "encoding"],
)
def test_batches_may_be_any_nest(kind):
    def train():
        return [kind(x, y) for x, y in from_function()]

    def loss_fn(model, batch):
        x, y = (batch["x"], batch["y"]) if type(batch) is dict else (batch.x, batch.y)
        return nn.functional.mse_loss(model(x), y)

    options = {"epochs": 2, "seeds": 2}
    valid = [kind(*DOUBLE)]
    alone, beside = (
        compare(TWO_SETTINGS, model_fn, loss_fn, train, valid, vectorize=how, **options).runs for how in (False, True)
    )
    assert {run.method for run in beside} == {"side by side"}
    assert_alike(alone, beside, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("vectorize", [False, "auto"])
def test_a_loss_may_take_the_labels_out_of_its_batch(vectorize):
    """As is common with the dicts of transformers."""

    def train():
        return ({"x": x, "labels": y} for x, y in from_function())

    def loss_fn(model, batch):
        labels = batch.pop("labels")
        return nn.functional.mse_loss(model(batch["x"]), labels)

    runs = compare(TWO_SETTINGS, model_fn, loss_fn, train, train, epochs=2, seeds=2, vectorize=vectorize).runs
    assert [len(run.val_loss) for run in runs] == [2] * 4
    expected = compare(TWO_SETTINGS, model_fn, LOSS, from_function, from_function, epochs=2, seeds=2, vectorize=False)
    for run, other in zip(runs, expected.runs, strict=True):
        assert run.val_loss == pytest.approx(other.val_loss, rel=1e-9)


def bucketed():
    """Return batches whose number and sizes are random."""
    for _ in range(int(torch.randint(2, 9, ()))):
        rows = torch.randint(40, (int(torch.randint(5, 12, ())),))
        yield DOUBLE[0][rows], DOUBLE[1][rows]


def test_if_the_batches_of_seeds_differ_in_shape_only_the_settings_of_a_seed_are_trained_side_by_side(tmp_path):
    settings = {**SETTINGS, "cyclic": Setting(sgd(0.1, momentum=0.9), lambda opt: CyclicLR(opt, 0.01, 0.1))}
    options = {"epochs": 3, "seeds": 2, "out": tmp_path / "runs.jsonl"}
    alone = compare(settings, model_fn, LOSS, bucketed, [DOUBLE], epochs=3, seeds=2, vectorize=False).runs
    beside = compare(settings, model_fn, LOSS, bucketed, [DOUBLE], **options).runs
    assert_alike(alone, beside, rel=1e-9, abs=1e-12)
    assert {run.reason for run in beside if run.setting != "cyclic"} == {
        "4 runs sharing 2 optimizers, differing only in lr; the batches of other seeds differ in shape or number"
    }
    lines = [json.loads(line) for line in options["out"].read_text().splitlines()]
    assert len({(line["setting"], line["seed"]) for line in lines}) == len(lines) == 10


# ---------------------------------------------------------------- kept


def test_runs_on_a_loader_are_found_again(tmp_path):
    out = tmp_path / "runs.jsonl"

    def new_lines(loader):
        before = len(out.read_text().splitlines()) if out.exists() else 0
        compare(TWO_SETTINGS, model_fn, LOSS, loader, [DOUBLE], epochs=1, seeds=2, out=out)
        return len(out.read_text().splitlines()) - before

    loader = DataLoader(TensorDataset(*DOUBLE), 8, shuffle=True)
    assert [new_lines(loader), new_lines(loader)] == [4, 0]
    assert new_lines(DataLoader(TensorDataset(*DOUBLE), 9, shuffle=True)) == 4
    assert new_lines(DataLoader(TensorDataset(*DOUBLE), 8)) == 4
    assert new_lines(DataLoader(TensorDataset(DOUBLE[0] + 1, DOUBLE[1]), 8, shuffle=True)) == 4


@pytest.mark.parametrize("name", ["train", "valid"])
def test_iterators_are_refused_before_anything_is_trained(name):
    data = {"train": DOUBLE, "valid": DOUBLE, name: from_function()}
    message = rf"{name} must have new batches at each pass, but an iterator \(generator\) can only be used once: pass"
    with pytest.raises(TypeError, match=message):
        compare(TWO_SETTINGS, model_fn, LOSS, **data, epochs=1, batch_size=8)


def test_a_batch_size_is_needed_for_tensors_only():
    with pytest.raises(ValueError, match="batch_size must be an integer >= 1 if train is a tuple of tensors, got None"):
        compare(TWO_SETTINGS, model_fn, LOSS, DOUBLE, [DOUBLE], epochs=1)
    with pytest.raises(ValueError, match="batch_size"):
        compare(TWO_SETTINGS, model_fn, LOSS, [DOUBLE], [DOUBLE], epochs=1, batch_size=0)


def test_functions_may_take_entries_out_of_a_batch():
    x, y = DATA

    def batches():
        return [{"x": x[i : i + 10], "y": y[i : i + 10]} for i in range(0, 40, 10)]

    def popping(model, batch):
        target = batch.pop("y")
        return nn.functional.mse_loss(model(batch.pop("x")), target)

    def reading(model, batch):
        return nn.functional.mse_loss(model(batch["x"]), batch["y"])

    settings = {"a": Setting(sgd(0.05)), "b": Setting(sgd(0.1))}
    options = {"epochs": 2, "seeds": 2, "vectorize": True}
    popped, read = (
        compare(settings, hidden, loss_fn, batches(), batches(), metric_fn=loss_fn, **options).runs
        for loss_fn in (popping, reading)
    )
    assert [(run.train_loss, run.val_loss, run.metric) for run in popped] == [
        (run.train_loss, run.val_loss, run.metric) for run in read
    ]
