"""The figures behind C1 to C7, on records made by hand; rate i of a sweep is 10^(−6 + 8i/99)."""

import math

import numpy as np
import pytest

from benchmarks.replications import sweep_claims as claims
from benchmarks.replications.sweep_claims import c6


def sweep(function, part, lowest, loss=1.0, seed=0, depth=0.5):
    """Return a record with `loss` everywhere, but depth × loss at the rates with these indices."""
    losses = np.full((100, 4), loss)
    losses[lowest] = depth * loss
    return {"function": function, "seed": seed, "part": part, "loss": loss, "losses": losses.tolist()}


def test_sweet_spot_is_the_run_around_the_best():
    losses = np.full(100, 3.0)
    losses[10] = 1.05  # near enough, but not contiguous
    losses[20:23] = 1.1, 1.0, 1.09
    losses[50:] = np.nan
    low, high, best = claims.sweet_spot(losses)
    assert [round((math.log10(lr) + 6) * 99 / 8) for lr in (low, high, best)] == [20, 22, 21]
    assert claims.sweet_spot(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == (1.0, 1.0, 1.0)
    assert claims.sweet_spot(np.array([2.0, 1.0]), np.array([1.0, 2.0])) == (2.0, 2.0, 2.0)


def test_c1_and_c2_overlap_the_claimed_range():
    inside, above, after = [52], [70], [26]  # 1.6e-2, 0.45, 1.3e-4
    records = [
        sweep("log", claims.UNTRAINED, inside),
        sweep("exp", claims.UNTRAINED, above),
        sweep("1/x", claims.UNTRAINED, inside),
        sweep("log", claims.AFTER, after),
        sweep("exp", claims.AFTER, above),
    ]
    assert [(seed["function"], seed["holds"]) for seed in claims.c1(records)] == [("log", True), ("exp", False)]
    log, exp = claims.c2(records)
    assert log["holds"]
    assert log["shift"] == pytest.approx((26 - 52) * 8 / 99)
    assert not exp["holds"]
    assert exp["shift"] == 0


def long(slow, fast, lowered):
    return [{"function": "log", "seed": 0, "part": "long", "slow": slow, "fast": fast, "lowered": lowered}]


def test_c3_counts_the_epochs_that_equal_thirty():
    fast = [9.0] * 25 + [1.0, 2.0, 3.0, 4.0, 5.0] + [9.0] * 470  # the mean of the last 5 of 30 is 3
    (found,) = claims.c3(long([10.0] * 299 + [3.0] * 701, fast, []))
    assert (found["epochs"], found["factor"]) == (300, 10)
    (found,) = claims.c3(long([10.0] * 1000, fast, []))
    assert (found["epochs"], found["factor"]) == (None, math.inf)


def test_c4_is_about_dips_before_eight_epochs():
    flat = sweep("1/x", claims.UNTRAINED, [50], depth=0.995)
    deep = sweep("1/x", claims.UNTRAINED, [50], depth=0.98, seed=1)
    late = sweep("1/x", claims.UNTRAINED, [], seed=2)
    late["losses"][50][3] = 0.5
    late["losses"][60] = [None] * 4
    assert [seed["holds"] for seed in claims.c4([deep, late, flat])] == [True, False, True]
    assert claims.c4([late])[0]["dips"] == {1: 0, 2: 0, 4: 0, 8: 0.5}


def test_c5_counts_spikes():
    kept = [1.0] * 400 + [1.0, 1.6, 1.0, 1.0, 1.4] * 20
    (found,) = claims.c5(long([], kept, [0.5] * 100))
    assert (found["spikes"], found["spikes_lowered"], found["factor"], found["holds"]) == (20, 0, 2, True)
    (found,) = claims.c5(long([], kept, [0.5] * 50 + [5.0] + [0.5] * 49))
    assert (found["spikes_lowered"], found["holds"]) == (1, False)


def test_c7_needs_a_rise_first_and_the_sweet_spot_last():
    record = sweep("sin", claims.AFTER, [36, 37, 38])  # 37 is the rate nearest to 1e-3
    for ahead in (0, 1):
        record["losses"][37][ahead] = 1.05
    (found,) = claims.c7([record])
    assert found["holds"]
    assert found["ratios"] == {1: 1.05, 2: 1.05, 4: 0.5, 8: 0.5}
    record["losses"][37][1] = 0.9
    assert not claims.c7([record])[0]["holds"]
    record["losses"][37] = [None] * 4  # the sweep had ended
    (found,) = claims.c7([record])
    assert (found["ratios"][8], found["spot"]) == (math.inf, False)


def record(seed, after, losses):
    return {"seed": seed, "after_epochs": after, "lrs": [0.01, 0.1, 1.0], "marks": [16, 128], "losses": losses}


def test_c6_by_hand():
    before = [[2.0, 1.0], [1.5, 0.8], [1.8, None]]  # best 16 ahead: 0.1; at the last mark too
    assert c6([record(0, 0, before)]) == [
        {"seed": 0, "regret": 1, "regret_after": None, "shift": None, "overlap": None, "holds": None}
    ]
    after = [[1.0, 0.8], [1.1, 0.4], [3.0, 2.0]]  # best 16 ahead: 0.01, which is twice the best at the end
    (found,) = c6([record(1, 64, after), record(1, 0, before)])
    assert (found["regret_after"], found["shift"], found["overlap"], found["holds"]) == (2, 0, True, False)
    shifted = [[1.0, 0.4], [1.1, 0.8], [3.0, 2.0]]
    (found,) = c6([record(1, 64, shifted), record(1, 0, before)])
    assert found["shift"] == pytest.approx(-1)
    assert (found["overlap"], found["holds"]) == (False, False)
    ended = [[2.0, 1.0], [1.5, 0.8], [1.0, None]]
    assert c6([record(0, 0, ended)])[0]["regret"] == math.inf
