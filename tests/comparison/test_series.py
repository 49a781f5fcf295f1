"""What a report shows of its runs, as arrays."""

import math

import numpy as np

from lrsched import Run
from lrsched.comparison._series import by_epoch, heading, last_value, names_of, rates_by_batch, series

NAN = math.nan
RUN = Run("a", 0, [1.0, 0.9], [0.8, None], {"accuracy": [0.5, 0.6], "": [1.0, 2.0]}, [[0.1, 0.2], [0.05, 0.1]])


def test_losses_come_first_then_the_metrics_of_any_run():
    assert names_of([RUN, Run("b", 0, metrics={"f1": [], "accuracy": []})]) == [
        "val_loss",
        "train_loss",
        "accuracy",
        "",
        "f1",
    ]
    assert names_of([]) == ["val_loss", "train_loss"]
    assert [heading(name) for name in ("val_loss", "train_loss", "f1")] == ["validation loss", "training loss", "f1"]


def test_a_series_is_found_by_its_name():
    assert series(RUN, "train_loss") == [1.0, 0.9]
    assert series(RUN, "val_loss") == [0.8, None]
    assert series(RUN, "") == [1.0, 2.0]
    assert series(RUN, "f1") == []


def test_the_last_value_is_nan_if_not_finite_and_none_if_missing():
    assert last_value(RUN, "accuracy") == 0.6
    assert math.isnan(last_value(RUN, "val_loss"))
    assert last_value(RUN, "f1") is None


def test_values_by_epoch_end_with_their_run():
    runs = [RUN, Run("a", 1, val_loss=[0.7, 0.6, 0.5]), Run("a", 2)]
    expected = [[0.8, NAN, NAN], [0.7, 0.6, 0.5], [NAN, NAN, NAN]]
    np.testing.assert_array_equal(by_epoch(runs, "val_loss"), expected)
    assert by_epoch(runs, "f1").shape == (3, 0)


def test_a_rate_per_epoch_is_that_of_the_first_group():
    runs = [RUN, Run("a", 1, lrs=[[0.1]])]
    np.testing.assert_array_equal(rates_by_batch(runs), [[[0.1], [0.05]], [[0.1], [NAN]]])


def test_every_rate_of_a_schedule_that_steps_by_the_batch_is_there():
    rates = [[0.1, 0.2, 0.3, 0.4], [0.5], [0.6, 0.7]]
    run = Run("a", 0, lrs=[[0.1], [0.5], [0.6]], batch_lrs=rates)
    expected = [[[0.1, 0.2, 0.3, 0.4], [0.5] * 4, [0.6, 0.6, 0.7, 0.7]]]
    np.testing.assert_array_equal(rates_by_batch([run]), expected)


def test_runs_resumed_from_an_earlier_version_show_a_rate_per_epoch():
    run = Run("a", 0, lrs=[[0.1], [0.5]], batch_lrs=[[0.5, 0.6]])  # those of the first epoch were not recorded
    np.testing.assert_array_equal(rates_by_batch([run]), [[[0.1], [0.5]]])


def test_runs_without_rates_have_none():
    assert rates_by_batch([Run("a", 0, val_loss=[0.1])]).shape == (1, 0, 1)
    np.testing.assert_array_equal(rates_by_batch([Run("a", 0, lrs=[[None]])]), [[[NAN]]])
