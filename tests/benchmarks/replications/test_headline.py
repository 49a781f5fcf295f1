"""The tables at the top of the benchmarks' page."""

from benchmarks.replications import headline
from benchmarks.replications.collected import collect

from .helpers import levels, put


def line(data, verdict):
    return [data, "a statistic", "3", "0", "–", "–", verdict]


def test_full_data_count_before_reduced_data():
    judged = {
        "A1": [line("MNIST, 50 epochs", "reproduced"), line("Digits, stand-in for MNIST", "not reproduced")],
        "B1": [line("CIFAR-10, reduced size: 10 of 20 images", "within noise")],
        "B2": [line("CIFAR-10, reduced size: 10 of 20 images", "not reproduced (in kind: other pictures)")],
        "C6": [line("CIFAR-10", "not judged (1 of 1 missing)"), line("Digits, stand-in for CIFAR-10", "reproduced")],
    }
    assert headline.verdicts(judged).splitlines()[2:] == [
        "| reproduced | A1 | C6 |",
        "| within noise |  | B1 |",
        "| not reproduced |  | B2 |",
    ]


def test_a_claim_with_two_verdicts_names_the_data():
    judged = {
        "A7": [line("MNIST, 50 epochs", "reproduced"), line("CIFAR-10, 25 epochs", "within noise")],
        "A8": [line("CIFAR-10, 25 epochs", "within noise")],
    }
    assert headline.verdicts(judged).splitlines()[2:] == [
        "| reproduced | A7 on MNIST |  |",
        "| within noise | A7 on CIFAR-10, A8 |  |",
    ]


def test_what_was_not_run_is_not_judged():
    judged = {"A1": [line("–", "not run: `python -m benchmarks mnist`")], "A2": [line("MNIST", "not judged (n = 2 …)")]}
    assert headline.verdicts(judged).splitlines()[2:] == ["| not judged |  | A1, A2 |"]


def test_published_figures_are_counted_by_where_they_lie(tmp_path):
    put(tmp_path, "mnist", levels(seeds=(-0.1, 0.0, 0.1)))  # wide enough for each published accuracy
    put(tmp_path, "digits", levels("digits"))
    page = headline.published(collect(tmp_path).tables)
    assert page.splitlines()[2:] == [
        "| MNIST, 50 epochs, 3 seeds | accuracy | 14 | 0 | 0 |",
        "|  | convergence | 0 | 0 | 14 |",
    ]
    assert headline.published([]) == ""
