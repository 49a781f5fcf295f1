import argparse
import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import ExponentialLR

from benchmarks.replications import datasets, digits, table
from benchmarks.replications.settings import SETTINGS, Setting
from benchmarks.replications.training import Split, batch_loss, measure, stands_still, unlearned
from lrsched import Constant

# (1 − ((k−1) mod 10)/10) / (⌊(k−1)/10⌋ + 1), its first value used twice
SAWTOOTH = [1, 1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 1 / 2, 0.9 / 2, 0.8 / 2, 0.7 / 2, 0.6 / 2]
BY_HAND = {
    "seq1": [1 / (k + 1) for k in range(16)],
    "seq2": [1 / math.sqrt(k + 1) for k in range(16)],
    "seq3": [0.9**k for k in range(16)],
    "seq4": SAWTOOTH,
}


@pytest.fixture(scope="module")
def splits():
    return datasets.digits()


@pytest.fixture
def train(splits, tmp_path):
    """Train one setting of digits, with one seed, and return its run."""

    def train(setting, seed=0, epochs=1):
        benchmark = replace(digits.BENCHMARK, settings={"it": setting})
        options = argparse.Namespace(epochs=epochs, seeds=seed + 1, plain=True, out=tmp_path)
        progress = table.Progress(1, epochs, quiet=True)
        table.train(benchmark, benchmark.settings, splits, torch.device("cpu"), options, progress)
        return progress.finished["it", seed]

    return train


@pytest.mark.parametrize("row", BY_HAND)
def test_sequences_as_they_were_run(row):
    assert SETTINGS[f"{row}-epoch"].sequence.values(16).tolist() == pytest.approx(BY_HAND[row], rel=1e-12)
    assert SETTINGS[f"{row}-cutoff"].sequence == SETTINGS[f"{row}-epoch"].sequence


def test_a_run_is_the_loop_that_anyone_would_write(splits, train):
    torch.manual_seed(1)
    model = digits.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    scheduler = ExponentialLR(optimizer, 0.9)
    generator = torch.Generator().manual_seed(1)
    losses, accuracies = [], []
    for _ in range(3):
        dataset = torch.utils.data.TensorDataset(*splits[0])
        order = torch.randperm(1437, generator=generator).tolist()
        for images, labels in torch.utils.data.DataLoader(dataset, batch_size=64, sampler=order):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
        scheduler.step()
        with torch.no_grad():
            loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*splits[1]), batch_size=64)
            batches = [(model(images), labels) for images, labels in loader]
        losses.append(sum(nn.functional.cross_entropy(*batch).item() for batch in batches) / 6)
        shares = [(guess.argmax(1) == labels).double().mean().item() for guess, labels in batches]
        accuracies.append(sum(shares) / 6)  # batches of 64 and a last one of 40, which counts as much
    run = train(SETTINGS["seq3-epoch"], seed=1, epochs=3)
    assert run.val_loss == pytest.approx(losses, rel=1e-6)
    assert run.metrics["accuracy"] == pytest.approx(accuracies, abs=1e-12)
    assert [lr for (lr,) in run.lrs] == pytest.approx([0.01, 0.009, 0.0081], rel=1e-12)
    assert run.events == []
    assert run.train_loss[0] > run.train_loss[2]


@pytest.mark.parametrize("row", ["seq2", "seq4"])
@pytest.mark.parametrize("strategy", ["cutoff", "oscillate"])
def test_a_run_follows_its_validation_loss(train, row, strategy):
    """The published algorithms, replayed in plain Python on the losses that the run recorded."""
    run = train(SETTINGS[f"{row}-{strategy}"], epochs=14)
    position, previous, cutoff, lrs, advanced = 0, 0.0, 0.01 * run.val_loss[0], [], []
    for epoch, loss in enumerate(run.val_loss, start=1):
        lrs.append(0.01 * BY_HAND[row][position])
        if abs(loss - previous) < cutoff if strategy == "cutoff" else loss > previous:
            position, cutoff = position + 1, cutoff * 0.2
            advanced.append(epoch)
        previous = loss
    assert advanced, "the test wants a run that advances"
    assert [lr for (lr,) in run.lrs] == pytest.approx(lrs, rel=1e-12)
    assert [event["epoch"] for event in run.events] == advanced
    assert [event["position"] for event in run.events] == list(range(1, len(advanced) + 1))


def test_a_run_stops_where_the_loss_stands_still(train):
    run = train(Setting("Benchmark", "still", Constant(), lr=0.0), epochs=6)
    assert run.stopped == len(run.val_loss) == len(run.lrs) == 3


@pytest.mark.parametrize(
    ("losses", "still"),
    [
        ([0.5, 0.5], False),  # there is no loss two epochs before
        ([0.5, 0.9, 0.5], True),
        ([0.5, 0.9, 0.5 + 2e-7], False),
        ([0.5, 0.9, 0.5 - 0.5e-7], True),
        ([0.5, 0.5, math.nan], False),
    ],
)
def test_the_published_early_stop(losses, still):
    assert stands_still(losses) is still


class Guess(nn.Module):
    """Says class 1, always; its loss is that of the logits (0, 1, 0)."""

    def forward(self, images):
        return torch.tensor([0.0, 1.0, 0.0]).expand(len(images), 3)


def test_what_is_measured_by_hand():
    labels = torch.tensor([0, 1, 1, 2, 1])
    split = Split(torch.zeros(5, 1, 2, 2), labels)
    found = measure(nn.functional.cross_entropy, Guess(), split)
    wrong = math.log(math.e + 2)
    assert found["loss"].item() == pytest.approx((5 * wrong - 3) / 5, abs=1e-6)
    assert found["accuracy"].item() == pytest.approx(0.6, abs=1e-15)
    assert batch_loss(nn.functional.cross_entropy, Guess(), split) == found["loss"]
    assert unlearned(split, 4, Guess()) == {"unlearned": 2}


def test_a_class_is_unlearned_below_one_image_in_ten():
    class Reads(nn.Module):
        def forward(self, images):
            return nn.functional.one_hot(images[:, 0, 0, 0].long(), 3).float()

    labels = torch.tensor([0] * 10 + [1] * 11 + [2] * 3)
    guesses = torch.tensor([0.0] + [1.0] * 9 + [1.0] + [0.0] * 10 + [2.0] * 3)  # 1 of 10, 1 of 11, 3 of 3
    split = Split(guesses.reshape(-1, 1, 1, 1), labels)
    assert unlearned(split, 4, Reads()) == {"unlearned": 1}


def test_a_few_samples_are_spread_over_all():
    split = Split(torch.arange(7.0).reshape(7, 1, 1, 1), torch.arange(7))
    assert split.few(3).labels.tolist() == [0, 2, 4]  # ⌊7i/3⌋
    assert split.few(4).images.flatten().tolist() == [0, 1, 3, 5]
    assert split.few(1).labels.tolist() == [0]
    assert split.few(7).labels.tolist() == split.few(100).labels.tolist() == [*range(7)]
