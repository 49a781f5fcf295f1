"""Claims C3 to C6 and E1, judged from records made by hand."""

import pytest

from benchmarks.replications import claims, range_noise, study_claims
from benchmarks.replications.collected import Collected
from benchmarks.replications.sweep_claims import FAST, LOWERED, SLOW
from benchmarks.replications.verdicts import NOISE, NOT, REPRODUCED


def long(seed, equal_at, gain):
    """Return a record: the slow training equals the fast one from an epoch, and lowering divides the loss."""
    fast = [1.0] * FAST[1]
    slow = [2.0] * (equal_at - 1) + [1.0] * (SLOW[1] - equal_at + 1)
    lowered = [1.0 / gain] * LOWERED[1]
    return {"function": "log", "seed": seed, "part": "long", "fast": fast, "slow": slow, "lowered": lowered}


@pytest.mark.parametrize(
    ("equal_at", "verdict"),
    [([424, 425, 426], REPRODUCED), ([200, 400, 800], NOISE), ([29, 30, 31], NOT), ([1001] * 3, NOT)],
)
def test_c3_is_a_factor_of_about_14(equal_at, verdict):
    records = [long(seed, epoch, 1.3) for seed, epoch in enumerate(equal_at)]
    assert study_claims.c3(records).verdict == verdict


@pytest.mark.parametrize(("gain", "verdict"), [(1.3, REPRODUCED), (0.8, NOT), (20.0, NOT)])
def test_c5_is_a_gain_of_about_1_3(gain, verdict):
    records = [long(seed, 425, gain) for seed in range(3)]
    assert study_claims.c5(records).verdict == verdict


def test_c4_needs_1_over_x_and_most_of_its_seeds():
    def record(seed, dip):
        losses = [[1.0, 1.0, 1.0 - dip, 0.5]] * 100
        return {"function": "1/x", "seed": seed, "part": "untrained", "loss": 1.0, "losses": losses}

    def verdict(*records):
        return [
            judgement.verdict for _, judgement in claims.ANSWERS["C4"].judge(Collected([], {"functions": [records]}))
        ]

    assert verdict(record(0, 0), record(1, 0), record(2, 0.2)) == [REPRODUCED]
    assert verdict(record(0, 0), record(1, 0.2), record(2, 0.2)) == [NOT]
    assert verdict(record(0, 0)) == ["not judged (n = 1 is too small)"]
    assert verdict() == ["not judged (1 of 1 missing)"]


def test_c6_needs_a_scan_that_looks_further_than_16_and_one_after_training():
    def scan(seed, after, marks=(16, 128), best=50):
        losses = [[1.0, 1.0]] * 100
        losses[best] = [0.5, 0.5]
        lrs = [10 ** (-6 + 8 * i / 99) for i in range(100)]
        config = {"data": "Digits (8x8)"}
        return {"seed": seed, "after_epochs": after, "marks": [*marks], "lrs": lrs, "losses": losses, "config": config}

    def answer(*records):
        found = claims.ANSWERS["C6"].judge(Collected([], {"lr_scan": [records]}))
        return [(data, judgement.verdict) for data, judgement in found]

    label = "Digits (8x8), stand-in for CIFAR-10, 100 rates, trained 64 epochs"
    seeds = range(3)
    assert answer(*(scan(seed, after) for seed in seeds for after in (0, 64))) == [(label, REPRODUCED)]
    shifted = [scan(seed, 64, best=20) for seed in seeds]
    assert answer(*(scan(seed, 0) for seed in seeds), *shifted) == [(label, NOT)]
    assert answer(scan(0, 0), scan(0, 64)) == [(label, "not judged (n = 1 is too small)")]
    assert answer(scan(0, 0))[0][1] == "not judged (1 of 1 missing)"
    short = [scan(seed, after, marks=(8, 16)) for seed in seeds for after in (0, 64)]
    assert answer(*short) == [(label, "not judged (1 of 1 missing)")]


def test_e1_needs_both_arms_below_half_the_bump():
    bumps = {"batch 4": [1.0, 1.1, 0.9], "batch 64": [0.2, 0.3, 0.1], "batch 4, 16 steps a rate": [0.3, 0.2, 0.25]}
    assert range_noise.e1(bumps).verdict == REPRODUCED
    assert range_noise.e1({**bumps, "batch 64": [0.8, 0.9, 0.7]}).verdict == NOT
    noisy = range_noise.e1({**bumps, "batch 64": [0.2, 0.9, 0.4]})
    assert (noisy.verdict, noisy.statistic) == (NOISE, "bump: batch 64 − half of batch 4")
