import math

import pytest
import torch
from torch import nn

from benchmarks.replications import metrics
from benchmarks.replications.datasets import Split
from benchmarks.replications.metrics import batch_loss, measure, stands_still, unlearned


@pytest.mark.parametrize(
    ("losses", "still"),
    [
        ([0.5, 0.5], False),  # no loss two epochs before
        ([0.5, 0.9, 0.5], True),
        ([0.5, 0.9, 0.5 + 2e-7], False),
        ([0.5, 0.9, 0.5 - 0.5e-7], True),
        ([0.5, 0.5, math.nan], False),
    ],
)
def test_the_published_early_stop(losses, still):
    assert stands_still(losses) is still


class Guess(nn.Module):
    """Always says class 1, with the logits (0, 1, 0)."""

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


def test_mnist_accuracy_is_the_mean_of_the_four_values_before_the_last():
    series = [0.1, 0.2, 0.90, 0.91, 0.92, 0.95, 0.5]
    assert metrics.mnist_accuracy(series) == pytest.approx((0.90 + 0.91 + 0.92 + 0.95) / 4, abs=1e-12)


@pytest.mark.parametrize(
    ("series", "expected"),
    [([0.7], 0.7), ([0.7, 0.9], 0.7), ([0.6, 0.7, 0.9], 0.65), ([0.5, 0.6, 0.7, 0.8, 0.0], 0.65)],
)
def test_mnist_accuracy_of_short_runs(series, expected):
    assert metrics.mnist_accuracy(series) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ([0.9, 0.98, 0.9856, 0.9851, 0.986], 1),  # 0.9856 is the first value >= 0.986 - 0.0005
        ([0.9, 0.98, 0.9849, 0.9855, 0.986], 2),  # exactly 0.0005 below counts
        ([0.9, 0.98, 0.985, 0.9854, 0.986], 3),  # 0.0006 below does not
        ([0.99, 0.5, 0.6], -1),
        ([0.1], -1),
    ],
)
def test_mnist_convergence(series, expected):
    assert metrics.mnist_convergence(series, 50) == expected


@pytest.mark.parametrize("images", [10_000, 360])
def test_mnist_convergence_counts_whole_images_at_every_level(images):
    allowed = images * 5 // 10_000
    for best in range(images - 300, images + 1):
        series = [(best - allowed - 1) / images, (best - allowed) / images, best / images]
        assert metrics.mnist_convergence(series, 3) == 0, best


def test_cifar_accuracy_is_the_last_value_to_four_decimals():
    assert metrics.cifar_accuracy([0.9, 0.74868]) == 0.7487


def test_cifar_convergence_is_the_first_quiet_stretch_of_five_epochs():
    series = [0.50, 0.60, 0.70, 0.702, 0.704, 0.706, 0.708, 0.70]
    # from 1: 0.1 + …; from 2: 4 · 0.002 = 0.008 < 0.009; from 3: 3 · 0.002 + 0.008 = 0.014
    assert metrics.cifar_convergence(series, 8) == 2


def test_cifar_convergence_needs_all_five_epochs():
    assert metrics.cifar_convergence([0.5, 0.7, 0.7, 0.7, 0.7], 5) == 5  # from 1 there are only four
    assert metrics.cifar_convergence([0.5, 0.7, 0.7, 0.7, 0.7, 0.7], 6) == 1
    assert metrics.cifar_convergence([0.7] * 4, 4) == 4
    assert metrics.cifar_convergence([0.7], 1) == 1


def test_cifar_convergence_of_a_run_that_never_settles_is_the_number_of_epochs():
    assert metrics.cifar_convergence([0.5, 0.6] * 12 + [0.5], 25) == 25
    assert metrics.cifar_convergence([0.5, 0.6, 0.5], 25) == 25  # stopped early


def test_cifar_convergence_of_a_run_that_stopped_early_where_it_was_quiet():
    assert metrics.cifar_convergence([0.5, 0.6, 0.7, 0.7, 0.7, 0.7, 0.7], 25) == 2


def test_cifar_convergence_needs_less_than_0_009():
    assert metrics.cifar_convergence([0.0, 0.009, 0.009, 0.009, 0.009], 5) == 5
    assert metrics.cifar_convergence([0.0, 0.0089, 0.0089, 0.0089, 0.0089], 5) == 0
