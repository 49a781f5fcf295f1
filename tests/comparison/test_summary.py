"""A report in one line."""

import pytest

from lrsched import Report, Run
from lrsched.comparison._summary import best_setting, summary


def run(setting, seed, *losses):
    return Run(setting, seed, val_loss=list(losses))


A = [run("a", seed, 0.9, loss) for seed, loss in enumerate([0.3, 0.4, 0.5])]
B = [run("b", seed, 0.9, loss) for seed, loss in enumerate([0.2, 0.3, 0.4])]


@pytest.mark.parametrize(
    ("runs", "text"),
    [
        ([], "no runs"),
        (A[:1], "1 run: 1 setting, seed 0, 2 epochs; best validation loss: 'a', 0.3"),
        (A + B, "6 runs: 2 settings, seeds 0 to 2, 2 epochs; best validation loss: 'b', 0.30 ± 0.25"),
        (A + B[:1], "4 runs: 2 settings, 1 to 3 seeds each, 2 epochs; best validation loss: 'b', 0.2"),
        ([A[0], run("a", 7, 0.2)], "2 runs: 1 setting, 2 seeds, 1 to 2 epochs; best validation loss: 'a', 0.3, 0.2"),
        ([run("a", 0, None)], "1 run: 1 setting, seed 0, 1 epoch; no finite validation loss"),
        ([run("a", 0)], "1 run: 1 setting, seed 0, 0 epochs; no finite validation loss"),
        ([A[0], run("b", 1, 0.5, 0.6)], "2 runs: 2 settings, 1 seed each, 2 epochs; best validation loss: 'a', 0.3"),
    ],
)
def test_it_says_how_much_was_trained_and_what_was_best(runs, text):
    assert summary(runs) == text
    assert repr(Report(runs)) == f"Report({text})"


def test_a_long_name_is_cut():
    text = summary([run("x" * 500 + "\n", 0, 0.5)])
    assert f"'{'x' * 39}…', 0.5" in text
    assert "\n" not in summary([run("two\nlines", 0, 0.5)])


def test_twenty_settings_are_still_one_line():
    runs = [run(f"setting {i}", seed, 0.5) for i in range(20) for seed in range(5)]
    assert len(repr(Report(runs))) < 120


def test_a_setting_with_diverged_runs_is_best_only_if_all_have_some():
    diverged = [run("c", 0, 0.1), run("c", 1, None), run("c", 2, 0.1)]
    assert best_setting([*diverged, *A]) == "a"
    worse = [run("d", 0, 0.01), run("d", 1, None), run("d", 2, None)]
    assert best_setting([*worse, *diverged]) == "c"
    assert best_setting([]) is None
