"""Claims A1 to A7 and B1 to B4, judged from results made by hand."""

import json
import math

import pytest

from benchmarks.replications import claims, table_claims
from benchmarks.replications.collected import BENCHMARKS, collect
from benchmarks.replications.verdicts import NOISE, NOT, REPRODUCED

from .helpers import LEVEL, judge, levels, put, series

LOW = ("seq2_cutoff", "seq3_cutoff", "seq4_cutoff")


@pytest.mark.parametrize(
    ("seq4", "rival", "verdict"), [(0.95, 0.93, REPRODUCED), (0.93, 0.93, NOISE), (0.93, 0.95, NOT)]
)
def test_a2_is_judged_against_the_best_rival(tmp_path, seq4, rival, verdict):
    put(tmp_path, "mnist", levels(seq4_cutoff=seq4, seq2_epoch=rival))
    assert judge("A2", tmp_path) == [("MNIST, 50 epochs", "accuracy: seq4-cutoff − seq2-epoch", verdict)]


def test_a1_compares_epochs_seed_by_seed(tmp_path):
    settled = {"seq3-epoch": [10, 12, 11], "seq1-cutoff": [15, 18, 16]}  # − 5, 6, 5
    table = {
        name: [series(0.9, epoch) for epoch in settled.get(name, [30, 31, 32])] for name in BENCHMARKS["mnist"].settings
    }
    put(tmp_path, "mnist", table)
    found = claims.judged("A1", collect(tmp_path))[0]
    half = 4.302653 * math.sqrt(1 / 3) / math.sqrt(3)
    assert found[1:5] == [
        "convergence: seq3-epoch − seq1-cutoff",
        "3",
        "-5.3",
        f"{-16 / 3 - half:.1f} … {-16 / 3 + half:.1f}",
    ]
    assert found[-1] == REPRODUCED


def test_only_seeds_that_all_settings_have_are_compared(tmp_path):
    table = levels(seq4_cutoff=0.95)
    table["adam"] = table["adam"][:2]
    put(tmp_path, "mnist", table)
    assert claims.judged("A2", collect(tmp_path))[0][2:] == [
        "2",
        "0.0500, 0.0500",
        "–",
        "–",
        "not judged (n = 2 is too small)",
    ]
    other = tmp_path / "other"
    table["adam"] = table["adam"][:1]
    put(other, "mnist", table)
    assert judge("A2", other)[0][2] == "not judged (n = 1 is too small)"


def test_settings_without_a_seed_in_common_are_not_judged(tmp_path):
    def put_seeds(benchmark, first):
        """Write a table whose settings have the first seed, or all others."""
        put(tmp_path, benchmark, levels(benchmark))
        path = tmp_path / f"{benchmark}-50" / "runs.jsonl"
        runs = [(json.loads(line), line) for line in path.read_text().splitlines(keepends=True)]
        path.write_text("".join(line for run, line in runs if (run["setting"] in first) == (run["seed"] == 0)))

    put_seeds("mnist", ("seq4-cutoff", "seq3-epoch"))
    put_seeds("cifar10", ("seq1-oscillate", "seq3-epoch", "seq3-cutoff"))
    put_seeds("images", ("fixed", "china"))
    put_seeds("images-mnist", ("fixed", "china"))
    for name in ("A1", "A2", "A3", "A4", "A5", "A6", "A7", "B1", "B2", "B3", "B4"):
        for _, _, verdict in judge(name, tmp_path):
            assert verdict.startswith("not judged (n = 0 is too small)"), name


def test_a_table_with_settings_missing_is_not_judged(tmp_path):
    table = levels(seq4_cutoff=0.95)
    del table["adam"], table["sgd"]
    put(tmp_path, "mnist", table)
    assert judge("A2", tmp_path) == [("MNIST, 50 epochs", "–", "not judged (2 of 14 missing)")]
    assert judge("A7", tmp_path)[0][2] == NOT  # needs no other settings: 0.9 and 0.95 by cutoff


@pytest.mark.parametrize(
    ("tied", "oscillate", "verdict", "rival"),
    [
        ([2, 4, 4], [3, 3, 5], REPRODUCED, "sgd"),  # 1, −1, 1 behind
        ([2, 3, 4], [7, 8, 9], NOT, "seq1-epoch"),  # 5 behind, every seed
        ([2, 3, 4], [11, 14, 14], NOT, "seq1-epoch"),
        ([12, 13, 14], [11, 14, 14], NOISE, "sgd"),  # − the others: −1, 1, 0
    ],
)
def test_a3_must_beat_the_others_and_not_lose_to_the_tied_setting(tmp_path, tied, oscillate, verdict, rival):
    table = {}
    for name in BENCHMARKS["cifar10"].settings:  # nothing changes after these epochs
        quiet = {"seq1-epoch": tied, "seq1-oscillate": oscillate}.get(name, [12, 13, 14])
        table[name] = [[0.1 * (i % 2) for i in range(epoch)] + [0.7] * (25 - epoch) for epoch in quiet]
    put(tmp_path, "cifar10", table, epochs=25)
    statistic = f"convergence: seq1-oscillate − {rival}"
    assert judge("A3", tmp_path) == [("CIFAR-10 (JPEG), 25 epochs", statistic, verdict)]


@pytest.mark.parametrize(
    ("others", "verdict", "shown"),
    [
        (dict.fromkeys(LOW, 0.6), REPRODUCED, "seq1-cutoff, claimed > 0.65"),
        (dict.fromkeys(LOW, 0.6) | {"seq4_cutoff": 0.7}, NOT, "seq4-cutoff, claimed ≤ 0.65"),
        (dict.fromkeys(LOW, 0.6) | {"seq3_cutoff": 0.65}, NOISE, "seq3-cutoff, claimed ≤ 0.65"),
        (
            {"seq1_cutoff": 0.5, "seq2_cutoff": 0.6, "seq3_cutoff": 0.6, "seq4_cutoff": 0.6},
            NOT,
            "seq1-cutoff, claimed > 0.65",
        ),
    ],
)
def test_a5_needs_three_bad_and_one_good(tmp_path, others, verdict, shown):
    put(tmp_path, "cifar10", levels("cifar10", **others), epochs=25)
    assert judge("A5", tmp_path) == [("CIFAR-10 (JPEG), 25 epochs", f"accuracy: {shown}", verdict)]


def test_a5_is_also_judged_with_the_same_cutoff_for_all(tmp_path):
    low = dict.fromkeys([*LOW, "seq1_cutoff_0.01"], 0.6)
    put(tmp_path, "cifar10", levels("cifar10", **low), epochs=25)
    assert judge("A5", tmp_path)[0][2] == REPRODUCED
    assert judge("A5, c₀ = 0.01", tmp_path)[0][1:] == ("accuracy: seq1-cutoff-0.01, claimed > 0.65", NOT)


def test_a5_with_the_same_cutoff_for_all_is_not_judged_as_written(tmp_path):
    put(tmp_path, "cifar10-as-written", levels("cifar10-as-written", **dict.fromkeys(LOW, 0.6)), epochs=25)
    assert judge("A5", tmp_path)[0][0] == "CIFAR-10 (JPEG), 25 epochs, as written"
    assert judge("A5, c₀ = 0.01", tmp_path) == [("–", "–", "not run: `python -m benchmarks cifar10`")]


@pytest.mark.parametrize(
    ("benchmark", "gain", "verdict"),
    [
        ("mnist", 0.0, REPRODUCED),
        ("mnist", 0.02, NOT),
        ("cifar10", 0.02, REPRODUCED),
        ("cifar10", 0.0, NOT),
    ],
)
def test_a6_needs_much_on_cifar10_and_little_on_mnist(tmp_path, benchmark, gain, verdict):
    epochs = BENCHMARKS[benchmark].epochs
    put(tmp_path, benchmark, levels(benchmark, seq3_epoch=0.92 + gain, adam=0.92, sgd=0.91), epochs)
    statistic = f"accuracy: seq3-epoch − adam, claimed {'≥ 0.01' if benchmark == 'cifar10' else '< 0.005'}"
    assert judge("A6", tmp_path)[0][1:] == (statistic, verdict)


@pytest.mark.parametrize(
    ("cifar", "mnist", "verdict", "shown"),
    [
        (0.02, 0.0, REPRODUCED, "≥ 0.01"),
        (0.02, 0.02, NOT, "< 0.005"),
        (0.0, 0.0, NOT, "≥ 0.01"),
        (0.01, 0.0, NOISE, "≥ 0.01"),  # exactly the threshold, which is not passed
    ],
)
def test_a6_as_a_whole_is_judged_by_its_weaker_part(tmp_path, cifar, mnist, verdict, shown):
    for benchmark, gain, version in [("cifar10", cifar, ""), ("mnist", mnist, ""), ("mnist", 0.02, "-as-written")]:
        table = levels(benchmark, seeds=(0, 0, 0), seq3_epoch=0.92 + gain, adam=0.92, sgd=0.5)
        if gain == 0.01:
            table["adam"] = [series(value, 20) for value in (0.90, 0.92, 0.94)]
        put(tmp_path, benchmark + version, table, BENCHMARKS[benchmark].epochs)
    *_, whole = judge("A6", tmp_path)
    statistic = f"both, the weaker shown: accuracy: seq3-epoch − adam, claimed {shown}"
    assert whole == ("CIFAR-10 (JPEG), 25 epochs; MNIST, 50 epochs", statistic, verdict)
    assert len(judge("A6", tmp_path)) == 4  # each of the three tables, and the two as run


def test_a6_as_a_whole_needs_complete_tables_of_one_kind(tmp_path):
    put(tmp_path, "cifar10", levels("cifar10"), 25)
    put(tmp_path, "digits", levels("digits"))
    put(tmp_path, "mnist-as-written", levels("mnist-as-written"))
    table = levels()
    del table["adam"]
    put(tmp_path, "mnist", table)
    assert not [data for data, _, _ in judge("A6", tmp_path) if ";" in data]
    put(tmp_path, "cifar10-as-written", levels("cifar10-as-written"), 25)
    assert [data for data, _, _ in judge("A6", tmp_path) if ";" in data] == [
        "CIFAR-10 (JPEG), 25 epochs, as written; MNIST, 50 epochs, as written"
    ]


def test_a7_shows_the_pair_furthest_apart(tmp_path):
    put(tmp_path, "mnist", levels(seq3_cutoff=0.903, seq4_oscillate=0.92))
    statistic = "accuracy: seq3-oscillate − seq4-oscillate, claimed within ±0.005"
    assert judge("A7", tmp_path)[0] == ("MNIST, 50 epochs", statistic, NOT)


def schedules(**others):
    final = {"baseline": 0.9, "fixed": 0.5, "andrej": 0.7, "cyclic": 0.8, "china": 0.85, **others}
    return {name: [value + seed for seed in LEVEL] for name, value in final.items()}


class Pictures:
    """The part of a table that the judges of B1 to B4 use."""

    def __init__(self, **others):
        self.rows = schedules(**others)

    def accuracies(self, names):
        return {name: self.rows[name] for name in names}


@pytest.mark.parametrize(
    ("judged", "others", "verdict", "statistic"),
    [
        ("own_schedule_best", {}, REPRODUCED, "accuracy: baseline − china"),
        ("own_schedule_best", {"cyclic": 0.95}, NOT, "accuracy: baseline − cyclic"),
        ("a_picture_beats", {}, f"{REPRODUCED} (in kind: other pictures)", "accuracy: china − cyclic"),
        ("a_picture_beats", {"andrej": 0.87}, f"{NOT} (in kind: other pictures)", "accuracy: china − andrej"),
        ("fixed_is_worst", {}, REPRODUCED, "accuracy: fixed − andrej; 4 of 4 beat fixed"),
        ("fixed_is_worst", {"noise": 0.5}, NOISE, "accuracy: fixed − noise; 4 of 5 beat fixed"),
        ("fixed_is_worst", {"noise": 0.5, "china": 0.5}, NOISE, "accuracy: fixed − china; 3 of 5 beat fixed"),
        ("fixed_is_worst", {"noise": 0.4}, NOT, "accuracy: fixed − noise; 4 of 5 beat fixed"),
        ("fixed_is_worst", {"noise": 0.4, "china": 0.3}, NOT, "accuracy: fixed − china; 3 of 5 beat fixed"),
        ("all_alike", {}, NOT, "accuracy: baseline − fixed, claimed within ±0.005"),
    ],
)
def test_b_claims(judged, others, verdict, statistic):
    judgement = getattr(table_claims, judged)(Pictures(**others))
    assert (judgement.verdict, judgement.statistic) == (verdict, statistic)


def test_b3_needs_nearly_any_schedule_to_beat_the_fixed_rate():
    table = Pictures()
    table.rows["china"] = [0.45, 0.9, 1.0]  # + 0.283 ± 0.72 compared with fixed, 0.5
    judgement = table_claims.fixed_is_worst(table)
    assert (judgement.verdict, judgement.statistic) == (REPRODUCED, "accuracy: fixed − andrej; 3 of 4 beat fixed")
    table.rows["noise"] = table.rows["china"]
    judgement = table_claims.fixed_is_worst(table)
    assert judgement.verdict == NOISE
    assert judgement.statistic.endswith(" − fixed; 3 of 5 beat fixed")


def test_b4_holds_if_all_rows_are_alike():
    alike = dict.fromkeys(["baseline", "fixed", "andrej", "cyclic", "china"], 0.98)
    assert table_claims.all_alike(Pictures(**alike)).verdict == REPRODUCED
