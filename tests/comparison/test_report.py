"""Tables and drawings of finished runs."""

import math

import numpy as np
import pytest
from scipy import stats

from lrsched import Report, Run

A, B = [0.90, 0.92, 0.91], [0.85, 0.88, 0.89]


def runs(name, accuracies, losses=(0.5, 0.4, 0.3)):
    return [
        Run(name, seed, [1.0] * 2, [0.9, loss], {"accuracy": [0.1, accuracy], "other": [0.0, 0.0]}, [[0.1], [0.05]])
        for seed, (accuracy, loss) in enumerate(zip(accuracies, losses, strict=True))
    ]


REPORT = Report(runs("a", A) + runs("b", B))


def cells(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_the_table_has_means_and_intervals():
    header, rule, a, b = cells(REPORT.table())
    assert header == ["Setting", "n", "validation loss", "accuracy"]
    assert all(set(cell) == {"-"} for cell in rule)
    # s = 0.1 and 0.01, t(0.975, 2) = 4.3027: ± 0.248 and ± 0.0248; s = 0.0208 for b: ± 0.0517
    assert a == ["a", "3", "0.40 ± 0.25", "0.910 ± 0.025"]
    assert b == ["b", "3", "0.40 ± 0.25", "0.873 ± 0.052"]


def test_the_difference_to_the_baseline_is_paired_by_seed():
    header, _, a, b = cells(REPORT.table("b"))
    assert header[-2:] == ["accuracy − b", "p"]
    differences = np.subtract(A, B)
    test = stats.ttest_rel(A, B)
    low, high = test.confidence_interval(0.95)
    assert a[-2] == f"{differences.mean():+.3f} ± {(high - low) / 2:.3f}"
    assert float(a[-1]) == pytest.approx(test.pvalue, rel=0.05)
    assert b[-2:] == ["", ""]


def test_pairs_are_found_by_seed_not_by_place():
    shuffled = Report(runs("a", A)[::-1] + runs("b", B))
    assert cells(shuffled.table("b")) == cells(REPORT.table("b"))


def test_fewer_than_3_values_are_shown_without_mean_or_interval():
    report = Report(runs("a", A)[:2] + runs("b", B)[:1])
    _, _, a, b = cells(report.table())
    assert a == ["a", "2", "0.5, 0.4", "0.9, 0.92"]
    assert b == ["b", "1", "0.5", "0.85"]


def test_fewer_than_3_differences_are_shown_without_mean_interval_or_p():
    report = Report(runs("a", A) + runs("b", B)[:2])
    _, _, a, b = cells(report.table("b"))
    assert a[1:] == ["3", "0.40 ± 0.25", "0.910 ± 0.025", "+0.05, +0.04", ""]
    assert b[1:] == ["2", "0.5, 0.4", "0.85, 0.88", "", ""]
    three = cells(Report(runs("a", A) + runs("b", B)).table("b"))[2]
    assert "±" in three[-2]
    assert float(three[-1]) < 1


def test_another_value_may_be_shown():
    header, _, a, _ = cells(REPORT.table("b", value=lambda run: max(run.metric) * 100, name="best, %"))
    assert header == ["Setting", "n", "best, %", "best, % − b", "p"]
    assert a[2].startswith("91.0 ± 2.5")


def test_without_a_metric_the_loss_is_compared():
    report = Report([Run("a", 0, [1.0], [0.5], {}, [[0.1]]), Run("b", 0, [1.0], [0.25], {}, [[0.1]])])
    header, _, a, b = cells(report.table("a"))
    assert header == ["Setting", "n", "validation loss", "validation loss − a", "p"]
    assert a == ["a", "1", "0.5", "", ""]
    assert b == ["b", "1", "0.25", "-0.25", ""]


def test_runs_that_diverged_are_counted_and_left_out():
    report = Report(runs("a", [0.9, None, 0.8], [0.5, None, 0.3]) + runs("b", [None, None, None]))
    _, _, a, b = cells(report.table("a"))
    assert a[2:4] == ["0.5, 0.3 (1 diverged)", "0.9, 0.8 (1 diverged)"]
    assert b[3:] == ["(3 diverged)", "", ""]
    four = Report(runs("a", [0.9, None, 0.8, 0.7], [0.5, None, 0.3, 0.4]))
    assert cells(four.table())[2][1:] == ["4", "0.40 ± 0.25 (1 diverged)", "0.80 ± 0.25 (1 diverged)"]


def test_equal_values_have_an_interval_of_zero():
    report = Report(runs("a", [0.5] * 3, [0.25] * 3) + runs("b", [0.5] * 3, [0.25] * 3))
    _, _, a, b = cells(report.table("a"))
    assert a[2:] == ["0.25 ± 0", "0.5 ± 0", "", ""]
    assert b[2:] == ["0.25 ± 0", "0.5 ± 0", "+0 ± 0", "1"]


def test_an_unknown_baseline_is_refused():
    with pytest.raises(ValueError, match=r"baseline must be one of 'a', 'b', got 'c'"):
        REPORT.table("c")


def test_the_drawing_has_a_line_for_each_mean_and_each_run():
    report = Report(runs("a", A) + runs("b", B))
    report.runs[0].val_loss[1] = None
    report.runs[1].val_loss.append(0.2)
    report.runs[1].lrs.append([0.01])
    above, below = report.plot(title="A title")
    assert above.get_title(loc="left") == "A title"
    assert len(above.lines) == len(below.lines) == 8
    by_label = {line.get_label(): line.get_ydata().tolist() for line in above.lines}
    # at epoch 2 seeds 1 and 2 remain, at epoch 3 seed 1
    assert by_label["a"] == pytest.approx([0.9, 0.35, 0.2])
    assert by_label["b"] == pytest.approx([0.9, 0.4])


def test_a_run_without_a_finite_loss_draws_nothing():
    above, _ = Report([Run("a", 0, [None], [None], {}, [[0.1]])]).plot()
    assert math.isnan(above.lines[-1].get_ydata()[0])
