import gc

import numpy as np
import pytest

from benchmarks.costs.timing import in_turns, median_of_ratios, ratio_of_medians, span

from .helpers import Clock


def test_contestants_take_turns_and_the_first_turn_does_not_count():
    calls = []
    contestants = {name: lambda name=name: calls.append(name) for name in "ab"}
    times = in_turns(contestants, 2)
    assert "".join(calls) == "abbaab"
    assert {name: len(values) for name, values in times.items()} == {"a": 2, "b": 2}


def test_every_contestant_is_first_in_turn():
    calls = []
    in_turns({name: lambda name=name: calls.append(name) for name in "abc"}, 3)
    assert "".join(calls) == "abcbcacababc"


def test_a_known_ratio_is_found(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("time.perf_counter", clock)
    times = in_turns({"short": lambda: clock.wait(1.0), "long": lambda: clock.wait(4.0)}, 11)
    assert times["short"].tolist() == [1.0] * 11
    assert ratio_of_medians(times["short"], times["long"]).value == 0.25


@pytest.mark.parametrize("collect", [False, True])
def test_the_garbage_collector_is_off_unless_it_runs_before_each_call(collect):
    seen = []
    in_turns({"a": lambda: seen.append(gc.isenabled())}, 1, collect=collect)
    assert seen == [collect] * 2
    assert gc.isenabled()


def test_the_garbage_collector_is_on_again_after_an_error():
    with pytest.raises(ZeroDivisionError):
        in_turns({"a": lambda: 1 / 0}, 1)
    assert gc.isenabled()


def test_ratios_by_hand():
    times, others = np.array([1.0, 2.0, 6.0]), np.array([2.0, 8.0, 4.0])
    assert ratio_of_medians(times, others).value == 2 / 4
    assert median_of_ratios(times, others).value == 0.5  # of 0.5, 0.25, 1.5


@pytest.mark.parametrize("ratio", [ratio_of_medians, median_of_ratios], ids=["of medians", "of turns"])
def test_the_interval_holds_the_ratio(ratio):
    times, others = np.random.default_rng(0).uniform(1, 2, (2, 101))
    found = ratio(times, 2 * others)
    assert found.low < found.value < found.high
    assert 0.4 < found.low < 0.5 < found.high < 0.6
    same = ratio(np.full(5, 3.0), np.full(5, 2.0))
    assert (same.value, same.low, same.high) == (1.5, 1.5, 1.5)


@pytest.mark.parametrize("ratio", [ratio_of_medians, median_of_ratios], ids=["of medians", "of turns"])
def test_below_three_samples_there_is_no_interval(ratio):
    found = ratio(np.array([1.0, 2.0]), np.array([2.0, 2.0]))
    assert (found.value, found.low, found.high) == (0.75, None, None)
    assert span(found.low, found.high, 2) == "–"
    assert span(1.0, 2.346, 2) == "1.00-2.35"
