"""A run of a table against a plain loop, and against the published algorithms."""

import argparse
import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import ExponentialLR

from benchmarks.replications import datasets, digits, table
from benchmarks.replications.settings import SETTINGS, Setting
from lrsched import Constant

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
        progress = table.Progress(1)
        table.train(benchmark, benchmark.settings, splits, torch.device("cpu"), options, progress)
        return progress.finished["it", seed]

    return train


@pytest.mark.parametrize("row", BY_HAND)
def test_sequences_as_they_were_run(row):
    assert SETTINGS[f"{row}-epoch"].sequence.values(16).tolist() == pytest.approx(BY_HAND[row], rel=1e-12)
    assert SETTINGS[f"{row}-cutoff"].sequence == SETTINGS[f"{row}-epoch"].sequence


def test_a_run_equals_a_plain_training_loop(splits, train):
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
        accuracies.append(sum(shares) / 6)  # batches of 64 and a last one of 40, which counts as much as the others
    run = train(SETTINGS["seq3-epoch"], seed=1, epochs=3)
    assert run.val_loss == pytest.approx(losses, rel=1e-6)
    assert run.metrics["accuracy"] == pytest.approx(accuracies, abs=1e-12)
    assert [lr for (lr,) in run.lrs] == pytest.approx([0.01, 0.009, 0.0081], rel=1e-12)
    assert run.events == []
    assert run.train_loss[0] > run.train_loss[2]


@pytest.mark.parametrize("row", ["seq2", "seq4"])
@pytest.mark.parametrize("strategy", ["cutoff", "oscillate"])
def test_a_run_follows_its_validation_loss(train, row, strategy):
    """The published algorithms, replayed in plain Python on the recorded losses."""
    run = train(SETTINGS[f"{row}-{strategy}"], epochs=14)
    position, previous, cutoff, lrs, advanced = 0, 0.0, 0.01 * run.val_loss[0], [], []
    for epoch, loss in enumerate(run.val_loss, start=1):
        lrs.append(0.01 * BY_HAND[row][position])
        if abs(loss - previous) < cutoff if strategy == "cutoff" else loss > previous:
            position, cutoff = position + 1, cutoff * 0.2
            advanced.append(epoch)
        previous = loss
    assert advanced, "the run never advanced, so nothing was tested"
    assert [lr for (lr,) in run.lrs] == pytest.approx(lrs, rel=1e-12)
    assert [event["epoch"] for event in run.events] == advanced
    assert [event["position"] for event in run.events] == list(range(1, len(advanced) + 1))


def test_a_run_stops_if_the_loss_stands_still(train):
    run = train(Setting("Benchmark", "still", Constant(), lr=0.0), epochs=6)
    assert run.stopped == len(run.val_loss) == len(run.lrs) == 3
