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


def test_a_run_without_a_finite_loss_draws_nothing_and_says_so():
    above, _ = Report([Run("a", 0, [None], [None], {}, [[0.1]])]).plot()
    assert math.isnan(above.lines[-1].get_ydata()[0])
    assert [text.get_text() for text in above.texts] == ["a: no finite value"]


@pytest.mark.parametrize(
    ("metric", "label", "first", "scale"),
    [
        (None, "validation loss", 0.9, "log"),
        ("val_loss", "validation loss", 0.9, "log"),
        ("train_loss", "training loss", 1.0, "log"),
        ("accuracy", "accuracy", 0.1, "linear"),
        ("other", "other", 0.0, "linear"),
    ],
)
def test_any_metric_can_be_drawn(metric, label, first, scale):
    above, below = REPORT.plot(metric)
    assert (above.get_ylabel(), above.get_yscale()) == (label, scale)
    assert below.get_ylabel() == "learning rate"
    assert above.lines[0].get_ydata()[0] == first


def test_the_drawing_shows_every_rate_of_a_schedule_that_steps_by_the_batch():
    run = Run("a", 0, val_loss=[0.9, 0.8], lrs=[[0.1], [0.3]], batch_lrs=[[0.1, 0.2], [0.3, 0.4]])
    _, below = Report([run]).plot()
    assert below.lines[-1].get_xdata().tolist() == [0.75, 1.25, 1.75, 2.25]  # epoch e is from e − ½ to e + ½
    assert below.lines[-1].get_ydata().tolist() == [0.1, 0.2, 0.3, 0.4]


def test_runs_without_rates_are_drawn():
    above, below = Report([Run("a", 0, val_loss=[0.9, 0.8])]).plot()
    assert above.lines[-1].get_ydata().tolist() == [0.9, 0.8]
    assert below.lines[-1].get_ydata().tolist() == []


@pytest.mark.parametrize("runs", [[], [Run("a", 0, val_loss=[0.5])]], ids=["no runs", "no training losses"])
def test_there_must_be_something_to_draw(runs):
    with pytest.raises(ValueError, match=r"there is nothing to draw: got \d settings? without any training loss"):
        Report(runs).plot("train_loss")


# ---------------------------------------------------------------- statistics


def test_values_by_seed():
    assert REPORT.values("a") == {0: 0.5, 1: 0.4, 2: 0.3}
    assert REPORT.values("a", "accuracy") == dict(enumerate(A))
    assert REPORT.values("a", lambda run: run.seed * 2) == {0: 0.0, 1: 2.0, 2: 4.0}
    nothing = Report([Run("a", 0, val_loss=[None]), Run("a", 1)]).values("a")
    assert list(nothing) == [0]  # seed 1 has no loss at all
    assert math.isnan(nothing[0])


def test_an_interval_is_that_of_the_table():
    found = REPORT.interval("a")  # 0.5, 0.4, 0.3
    assert (found.mean, found.n) == (pytest.approx(0.4), 3)
    assert found.half == pytest.approx(4.302653 * 0.1 / math.sqrt(3), abs=1e-7)
    assert str(REPORT.interval("a", "accuracy")) == "0.910 ± 0.025"
    assert REPORT.interval("a", lambda run: 100 * run.metric[-1]).mean == pytest.approx(91.0)


def test_a_difference_is_scipys_paired_test():
    found, test = REPORT.difference("a", "b", "accuracy"), stats.ttest_rel(A, B)
    low, high = test.confidence_interval(0.95)
    assert (found.low, found.high, found.n) == (pytest.approx(low), pytest.approx(high), 3)
    assert REPORT.p_value("a", "b", "accuracy") == pytest.approx(test.pvalue)
    assert REPORT.difference("b", "a", "accuracy").mean == -found.mean


def test_only_seeds_that_both_settings_finished_are_paired():
    report = Report(runs("a", A, [0.5, None, 0.3]) + runs("b", B, [0.4, 0.3, 0.1])[1:])
    found = report.difference("a", "b")
    assert found.values == pytest.approx((0.2,))
    assert math.isnan(found.half)
    assert math.isnan(report.p_value("a", "b"))


def test_wins_by_hand():
    report = Report(runs("a", A, [0.5, 0.4, None]) + runs("b", B, [0.6, 0.4, 0.3]))
    assert report.wins("a", "b") == 1  # 0.5 < 0.6; 0.4 is a tie; seed 2 diverged
    assert report.wins("b", "a") == 1
    assert report.wins("a", "b", "accuracy", mode="max") == 3
    assert report.wins("a", "b", "accuracy", mode="min") == 0
    assert report.wins("a", "b", "train_loss") == 0
    assert report.wins("a", "b", lambda run: -run.seed, mode="min") == 0


def test_a_run_that_diverged_loses_in_either_mode():
    report = Report(runs("a", [None, None, 0.1]) + runs("b", [0.2, None, None]))
    for mode in ("min", "max"):
        assert report.wins("a", "b", "accuracy", mode=mode) == 1
        assert report.wins("b", "a", "accuracy", mode=mode) == 1


def test_metrics_and_the_best_setting():
    assert REPORT.metrics == ["val_loss", "train_loss", "accuracy", "other"]
    assert Report(runs("a", A) + runs("b", B, [0.1, 0.2, 0.3])).best == "b"
    assert Report([]).best is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: REPORT.interval("c"), r"setting must be one of 'a', 'b', got 'c'"),
        (lambda: REPORT.difference("a", "c"), r"setting must be one of 'a', 'b', got 'c'"),
        (lambda: REPORT.wins("c", "a"), r"setting must be one of 'a', 'b', got 'c'"),
        (lambda: REPORT.values("a", "f1"), r"metric must be one of 'val_loss', 'train_loss', 'accuracy', 'other', got"),
        (lambda: REPORT.p_value("a", "b", ""), r"metric must be one of .*, got ''"),
        (lambda: REPORT.plot("f1"), r"metric must be one of .*, got 'f1'"),
        (lambda: REPORT.table(metric="f1"), r"metric must be one of .*, got 'f1'"),
        (lambda: REPORT.to_latex("c"), r"baseline must be one of 'a', 'b', got 'c'"),
        (
            lambda: REPORT.wins("a", "b", "accuracy"),
            r"mode must be \"min\" or \"max\" for the metric 'accuracy', got None",
        ),
        (lambda: REPORT.wins("a", "b", mode="best"), r"mode must be one of 'min', 'max', got 'best'"),
        (
            lambda: REPORT.table(metric="other", value=len),
            r"metric and value must not both be given, got metric='other'",
        ),
    ],
)
def test_unknown_names_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("metric", [3, ["accuracy"], len])
def test_a_drawing_takes_the_name_of_a_metric(metric):
    with pytest.raises(TypeError, match="metric must be one of 'val_loss', "):
        REPORT.plot(metric)


# ---------------------------------------------------------------- tables elsewhere


def test_a_table_of_one_metric():
    header, _, a, _ = cells(REPORT.table("b", metric="train_loss"))
    assert header == ["Setting", "n", "training loss", "training loss − b", "p"]
    assert a == ["a", "3", "1 ± 0", "+0 ± 0", "1"]


def test_settings_without_the_metric_have_empty_cells():
    report = Report([*runs("a", A), Run("b", 0, val_loss=[0.5])])
    header, _, a, b = cells(report.table("a"))
    assert header[2:4] == ["validation loss", "accuracy"]
    assert a[3] == "0.910 ± 0.025"
    assert b == ["b", "0", "0.5", "", "", ""]


def test_latex_has_the_figures_of_the_table():
    assert REPORT.to_latex("b").splitlines()[2:6] == [
        r"Setting & n & validation loss & accuracy & accuracy $-$ b & p \\",
        r"\midrule",
        r"a & 3 & 0.40 $\pm$ 0.25 & 0.910 $\pm$ 0.025 & $+0.037$ $\pm$ 0.038 & 0.053 \\",
        r"b & 3 & 0.40 $\pm$ 0.25 & 0.873 $\pm$ 0.052 &  &  \\",
    ]
    assert cells(REPORT.table("b"))[2][4:] == ["+0.037 ± 0.038", "0.053"]


def test_notebooks_show_the_table():
    report = Report(runs("a<b", A) + runs("c|d", B))
    assert report._repr_markdown_().splitlines()[2].startswith(r"| a\<b ")
    html = report._repr_html_()
    assert "a&lt;b" in html
    assert "c|d" in html
    assert "6 runs: 2 settings, seeds 0 to 2, 2 epochs; best validation loss: &#x27;a&lt;b&#x27;, 0.40 ± 0.25" in html
    assert html.count("<tr>") == 3


def test_a_report_without_runs_has_empty_tables():
    report = Report([])
    assert len(report.table().splitlines()) == 2
    assert "no runs" in report._repr_html_()
    assert repr(report) == "Report(no runs)"


def test_bad_values_and_reports_without_runs_are_refused():
    report = Report(runs("a", [0.5], [0.5]))
    with pytest.raises(TypeError, match=r"value must be a function of a run, or None, got 3 \(int\)"):
        report.table(value=3)
    with pytest.raises(TypeError, match=r"must be a number or None, got 'high' for Run\('a', seed=0"):
        report.interval("a", lambda run: "high")
    with pytest.raises(ValueError, match="baseline must be the name of a setting, but there are no runs, got 'a'"):
        Report([]).table("a")
