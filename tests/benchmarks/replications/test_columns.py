import pytest

from benchmarks.replications import columns


def test_mnist_accuracy_is_the_mean_of_the_four_values_before_the_last():
    series = [0.1, 0.2, 0.90, 0.91, 0.92, 0.95, 0.5]
    assert columns.mnist_accuracy(series) == pytest.approx((0.90 + 0.91 + 0.92 + 0.95) / 4, abs=1e-12)


@pytest.mark.parametrize(
    ("series", "expected"),
    [([0.7], 0.7), ([0.7, 0.9], 0.7), ([0.6, 0.7, 0.9], 0.65), ([0.5, 0.6, 0.7, 0.8, 0.0], 0.65)],
)
def test_mnist_accuracy_of_short_runs(series, expected):
    assert columns.mnist_accuracy(series) == pytest.approx(expected, abs=1e-12)


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
    assert columns.mnist_convergence(series, 50) == expected


@pytest.mark.parametrize("images", [10_000, 360])
def test_mnist_convergence_counts_whole_images_at_every_level(images):
    allowed = images * 5 // 10_000
    for best in range(images - 300, images + 1):
        series = [(best - allowed - 1) / images, (best - allowed) / images, best / images]
        assert columns.mnist_convergence(series, 3) == 0, best


def test_cifar_accuracy_is_the_last_value_to_four_decimals():
    assert columns.cifar_accuracy([0.9, 0.74868]) == 0.7487


def test_cifar_convergence_is_the_first_quiet_stretch_of_five_epochs():
    series = [0.50, 0.60, 0.70, 0.702, 0.704, 0.706, 0.708, 0.70]
    # from 1: 0.1 + …; from 2: 4 · 0.002 = 0.008 < 0.009; from 3: 3 · 0.002 + 0.008 = 0.014
    assert columns.cifar_convergence(series, 8) == 2


def test_cifar_convergence_needs_all_five_epochs():
    assert columns.cifar_convergence([0.5, 0.7, 0.7, 0.7, 0.7], 5) == 5  # from 1 there are only four
    assert columns.cifar_convergence([0.5, 0.7, 0.7, 0.7, 0.7, 0.7], 6) == 1
    assert columns.cifar_convergence([0.7] * 4, 4) == 4
    assert columns.cifar_convergence([0.7], 1) == 1


def test_cifar_convergence_of_a_run_that_never_settles_is_the_number_of_epochs():
    assert columns.cifar_convergence([0.5, 0.6] * 12 + [0.5], 25) == 25
    assert columns.cifar_convergence([0.5, 0.6, 0.5], 25) == 25  # stopped early


def test_cifar_convergence_of_a_run_that_stopped_early_where_it_was_quiet():
    assert columns.cifar_convergence([0.5, 0.6, 0.7, 0.7, 0.7, 0.7, 0.7], 25) == 2


def test_cifar_convergence_needs_less_than_0_009():
    assert columns.cifar_convergence([0.0, 0.009, 0.009, 0.009, 0.009], 5) == 5
    assert columns.cifar_convergence([0.0, 0.0089, 0.0089, 0.0089, 0.0089], 5) == 0
