"""Every branch of a verdict on series made by hand: t(0.975, 2) = 4.303, t(0.975, 3) = 3.182."""

import math

import pytest

from benchmarks.replications.verdicts import (
    NOISE,
    NOT,
    REPRODUCED,
    Judgement,
    against,
    alike,
    best,
    missing,
    most,
    nearly_all,
    weakest,
)

NAN = math.nan


@pytest.mark.parametrize(
    ("values", "above", "verdict"),
    [
        ([0.66, 0.67, 0.68], True, REPRODUCED),  # 0.67 ± 0.0248 lies above 0.64
        ([0.66, 0.67, 0.68], False, NOT),
        ([0.60, 0.61, 0.62], True, NOT),
        ([0.60, 0.61, 0.62], False, REPRODUCED),
        ([0.63, 0.65, 0.67], True, NOISE),  # 0.65 ± 0.0497 has 0.64 in it
        ([0.63, 0.65, 0.67], False, NOISE),
        ([0.64, 0.64, 0.64], True, NOISE),
        ([0.65, 0.65, 0.65], True, REPRODUCED),
        ([0.66, 0.67], True, "not judged (n = 2 is too small)"),
        ([0.99], True, "not judged (n = 1 is too small)"),
        ([0.66, NAN, 0.68], True, "not judged (a run without a finite value)"),
    ],
)
def test_against_a_threshold(values, above, verdict):
    judgement = against("accuracy", values, 0.64, above=above)
    assert judgement.verdict == verdict
    assert judgement.value.n == len(values)


@pytest.mark.parametrize(
    ("claimed", "verdict", "rival"),
    [
        ([0.90, 0.91, 0.92], REPRODUCED, "a"),  # − a: 0.09, 0.10, 0.11
        ([0.81, 0.82, 0.80], NOISE, "a"),  # − a: 0, 0.01, −0.01
        ([0.79, 0.82, 0.79], NOISE, "a"),  # − a: −0.02, 0.01, −0.02: behind, with p = 0.42
        ([0.70, 0.71, 0.72], NOT, "a"),
        ([0.81, 0.81, 0.81], NOISE, "a"),  # a tie
    ],
)
def test_the_most_accurate_has_the_best_mean_and_beats_the_next(claimed, verdict, rival):
    values = {"a": [0.81, 0.81, 0.81], "b": [0.80, 0.80, 0.80], "claimed": claimed}
    judgement = best(values, "claimed", "accuracy")
    assert judgement.verdict == verdict
    assert judgement.statistic == f"accuracy: claimed − {rival}"


@pytest.mark.parametrize(
    ("tied", "verdict", "rival"),
    [
        ([8, 8, 9], REPRODUCED, "slow"),  # + 0, 1, 0: ahead of the claimed, with p = 0.42
        ([40, 41, 42], REPRODUCED, "slow"),  # behind it
        ([3, 3, 4], NOT, "tied"),  # + 5, 6, 5: 5.33 ± 1.43
    ],
)
def test_a_tied_setting_need_not_be_beaten_but_must_not_be_ahead(tied, verdict, rival):
    values = {"tied": tied, "slow": [20, 21, 22], "slower": [30, 31, 32], "claimed": [8, 9, 9]}
    judgement = best(values, "claimed", "convergence", lowest=True, tied=("tied",))
    assert (judgement.verdict, judgement.statistic) == (verdict, f"convergence: claimed − {rival}")


def test_the_fastest_has_the_lowest_mean():
    values = {"fast": [3, 3, 4], "slow": [20, 21, 22], "claimed": [8, 9, 9]}
    judgement = best(values, "claimed", "convergence", lowest=True)
    assert (judgement.verdict, judgement.statistic) == (NOT, "convergence: claimed − fast")
    assert judgement.value.mean == pytest.approx(16 / 3)
    del values["fast"]
    judgement = best(values, "claimed", "convergence", lowest=True)
    assert (judgement.verdict, judgement.statistic) == (REPRODUCED, "convergence: claimed − slow")
    assert judgement.value.mean == pytest.approx(-37 / 3)
    assert best({"a": [1], "claimed": [2]}, "claimed", "accuracy").verdict == "not judged (n = 1 is too small)"


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([0.001, 0.002, 0.003], REPRODUCED),  # 0.002 ± 0.00248
        ([0.002, 0.003, 0.004], NOISE),  # 0.003 ± 0.00248: up to 0.0055
        ([-0.002, -0.003, -0.004], NOISE),
        ([0.019, 0.020, 0.021], NOT),
        ([-0.019, -0.020, -0.021], NOT),
        ([0.0, 0.0, 0.0], REPRODUCED),
        ([0.0, 0.0], "not judged (n = 2 is too small)"),
        ([0.001], "not judged (n = 1 is too small)"),
        ([0.001, NAN], "not judged (a run without a finite value)"),
    ],
)
def test_alike_is_an_interval_within_the_bounds(differences, verdict):
    judgement = alike({"a − b": differences})
    assert (judgement.verdict, judgement.statistic) == (verdict, "a − b")


def test_of_several_pairs_the_least_alike_decides():
    near, far, noisy = [0.001, 0.002, 0.003], [0.019, 0.020, 0.021], [0.01, 0.03, 0.05]
    assert alike({"near": near, "far": far, "noisy": noisy}).statistic == "far"
    assert alike({"near": near, "noisy": noisy}).statistic == "noisy"
    assert alike({"nearer": [0.0, 0.001, 0.0], "near": near}).statistic == "near"


@pytest.mark.parametrize(
    ("found", "verdict", "share"),
    [
        ({"log": [True, True, False], "sin": [True, True, True]}, REPRODUCED, 2 / 3),
        ({"log": [True, False, False, True], "sin": [True] * 4}, NOT, 0.5),
        ({"log": [True, True]}, "not judged (n = 2 is too small)", 1),
        ({"log": [False, False, False]}, NOT, 0),
        ({"log": [True]}, "not judged (n = 1 is too small)", 1),
    ],
)
def test_most_means_more_than_half_in_every_case(found, verdict, share):
    judgement = most("share", found)
    assert (judgement.verdict, judgement.value.mean) == (verdict, share)


def test_a_share_has_the_exact_interval():
    # 3 of 3 have the chance p³, none of 3 has (1 − p)³: 0.025 at the ends
    judgement = most("share", {"log": [True, True, True]})
    assert (judgement.value.low, judgement.value.high) == pytest.approx((0.025 ** (1 / 3), 1))
    judgement = most("share", {"log": [False, False, False]})
    assert (judgement.value.low, judgement.value.high) == pytest.approx((0, 1 - 0.025 ** (1 / 3)))


def test_settings_without_a_seed_in_common_are_not_judged():
    values = {"a": [], "b": [], "claimed": []}
    assert best(values, "claimed", "accuracy", tied=("b",)).cells()[1:] == [
        "0",
        *["–"] * 3,
        "not judged (n = 0 is too small)",
    ]
    assert alike(values).cells()[1:] == ["0", *["–"] * 3, "not judged (n = 0 is too small)"]


def test_most_lists_every_case():
    judgement = most("share", {"log": [True, True, False], "sin": [True, False, False]})
    assert (judgement.statistic, judgement.value.mean) == ("share: log 2 of 3, sin 1 of 3", 1 / 3)
    assert most("share", {"log": [True, False]}).statistic == "share"


PARTS = {"good": [0.1] * 3, "noise": [0.1, -0.1, 0.0], "other": [0.2, -0.2, 0.0], "bad": [-0.1] * 3}


def test_the_weakest_part_decides():
    parts = [Judgement(verdict, against("", [1.0]).value, 0.5, verdict) for verdict in (REPRODUCED, NOISE, NOISE, NOT)]
    assert weakest(parts) is parts[3]
    assert weakest(parts[:3]) is parts[1]
    assert weakest([*parts, against("", [1.0])]).verdict == "not judged (n = 1 is too small)"


def test_nearly_all_allows_one_exception():
    good, noise, other, bad = (against(name, series) for name, series in PARTS.items())
    assert (good.verdict, noise.verdict, other.verdict, bad.verdict) == (REPRODUCED, NOISE, NOISE, NOT)
    assert nearly_all([bad, good, good]).verdict == REPRODUCED
    assert nearly_all([noise, good, bad]) is noise
    assert nearly_all([good, noise, other]) in (noise, other)
    assert nearly_all([bad, good, bad]) is bad
    assert nearly_all([bad]) is bad
    assert nearly_all([against("", [1.0]), against("", [1.0])]).verdict == "not judged (n = 1 is too small)"


def test_a_judgement_shows_its_figures():
    judgement = against("accuracy: a − b", [0.01, 0.02, 0.03])  # ± 4.303·0.01/√3; p = 1 − √(12/14)
    assert judgement.cells() == ["accuracy: a − b", "3", "0.0200", "-0.0048 … 0.0448", "0.074", NOISE]
    assert against("a", [0.5]).cells() == ["a", "1", "0.5000", "–", "–", "not judged (n = 1 is too small)"]
    assert against("a", [0.5, 0.5, 0.5], decimals=1).cells()[3:5] == ["0.5 … 0.5", "< 0.0001"]
    two = ["a", "2", "0.5000, 0.2500", "–", "–", "not judged (n = 2 is too small)"]
    assert against("a", [0.5, 0.25]).cells() == two
    assert alike({"a": [0.5, 0.25]}).cells() == two
    assert missing(2, 14).cells() == ["–", "0", "–", "–", "–", "not judged (2 of 14 missing)"]
