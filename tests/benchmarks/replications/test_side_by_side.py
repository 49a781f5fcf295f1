"""The published networks trained side by side: each member of the ensemble follows an ordinary run."""

import os
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.devices import in_arithmetic
from benchmarks.replications import cifar10, datasets, mnist
from benchmarks.replications.datasets import Split
from benchmarks.replications.metrics import batch_loss, measure
from lrsched import Ensemble, Setting, compare

DATA = os.environ.get("LRSCHED_DATA")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
LOSS = partial(batch_loss, nn.functional.cross_entropy)
pytestmark = pytest.mark.filterwarnings("ignore:Please use the new API settings to control TF32")


@pytest.fixture(autouse=True)
def as_the_tables():
    """Compute in float32: convolutions in TF32, a GPU's default, differ too much."""
    with in_arithmetic("float32", torch.device(DEVICE)):
        yield


def pictures(n, *shape):
    """Return noisy images of ten patterns, one per class, in place of the real images."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % 10
    patterns = torch.randn(10, *shape, generator=generator)
    return Split(patterns[labels] + torch.randn(n, *shape, generator=generator), labels)


def digits():
    if DATA is None:
        return pictures(2000, 1, 28, 28), pictures(500, 1, 28, 28)
    found = datasets.mnist(Path(DATA, "mnist"))
    return found.train.few(2000), found.valid.few(500)


@pytest.mark.parametrize(
    ("dtype", "apart", "losses_apart"),
    [(torch.float32, 0.005, 1e-3), (torch.float64, 0, 1e-9)],
    ids=["float32", "float64"],
)
def test_mnist_side_by_side_is_as_accurate_and_its_schedules_are_the_same(dtype, apart, losses_apart):
    """In float32, rounding can decide in which epoch a class is learned, because softmax is applied twice."""
    train, valid = (Split(images.to(dtype), labels) for images, labels in digits())
    rows = {name: mnist.BENCHMARK.settings[name] for name in ("adam", "seq2-oscillate")}
    settings = {name: Setting(row.optimizer, row.scheduler) for name, row in rows.items()}
    metric_fn = partial(measure, nn.functional.cross_entropy)
    options = {"epochs": 2, "batch_size": 64, "seeds": 1, "metric_fn": metric_fn, "device": DEVICE}
    alone, beside = (
        compare(settings, lambda: mnist.network().to(dtype), LOSS, train, valid, **options, vectorize=how).runs
        for how in (False, True)
    )
    for one, other in zip(alone, beside, strict=True):
        assert (one.method, other.method) == ("one after another", "side by side")
        assert other.metrics["accuracy"] == pytest.approx(one.metrics["accuracy"], abs=apart)
        assert other.val_loss == pytest.approx(one.val_loss, abs=losses_apart)
    assert [run.setting for run in beside if run.events]
    assert alone[0].metrics["accuracy"][-1] > 0.5  # it has learned something
    for run in beside:  # an ordinary scheduler does the same with the same losses
        weights = [nn.Parameter(torch.zeros(1))]
        optimizer = rows[run.setting].optimizer(weights)
        scheduler, lrs = rows[run.setting].scheduler(optimizer), []
        for loss in run.val_loss:
            lrs.append([optimizer.param_groups[0]["lr"]])
            optimizer.step()
            scheduler.step(*([] if rows[run.setting].rule is None else [loss]))
        assert run.lrs == lrs
        assert run.events == [event.state_dict() for event in getattr(scheduler, "events", ())]


def test_the_first_50_losses_of_cifar10_are_the_same():
    if DATA is None:
        images, labels = pictures(1000, 3, 32, 32)
    else:
        images, labels = datasets.cifar10(Path(DATA, "cifar10-jpeg")).scaled().train.few(1000)
    rows = [cifar10.BENCHMARK.settings[name] for name in ("seq1-epoch", "adam")]
    torch.manual_seed(0)
    model = cifar10.network().to(DEVICE).eval()  # no dropout
    ensemble = Ensemble(model, [row.optimizer for row in rows], len(rows), record=True)
    batches = [(images[i::50].to(DEVICE), labels[i::50].to(DEVICE)) for i in range(50)]
    losses = torch.stack([ensemble.step(LOSS, batch, [row.lr for row in rows]) for batch in batches])
    for i, row in enumerate(rows):
        torch.manual_seed(0)
        alone = cifar10.network().to(DEVICE).eval()
        optimizer, expected = row.optimizer(alone.parameters()), []
        for batch in batches:
            loss = LOSS(alone, batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            expected.append(loss.item())
        assert losses[:, i].tolist() == pytest.approx(expected, abs=1e-3)
        assert expected[0] != expected[-1]
