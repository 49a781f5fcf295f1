"""Claims judged from results made by hand; the pages of this repository against its own results."""

import json
import math
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS as COMMANDS
from benchmarks.__main__ import main
from benchmarks.errors import BenchmarkError
from benchmarks.replications import claims, images, labels, range_noise, table
from benchmarks.replications.collected import BENCHMARKS, STAND_IN, Collected, collect
from benchmarks.replications.function_claims import FAST, LOWERED, SLOW
from benchmarks.replications.verdicts import NOISE, NOT, REPRODUCED
from lrsched import Run

PAGES = Path(claims.__file__).parents[1]
DATA = {
    "mnist": "MNIST",
    "cifar10": "CIFAR-10 (JPEG)",
    "digits": "Digits (8x8)",
    "images": "CIFAR-10",
    "images-mnist": "MNIST, 10000 images",
}
LOW = ("seq2_cutoff", "seq3_cutoff", "seq4_cutoff")
LEVEL = (-0.001, 0.0, 0.001)  # what three seeds add to an accuracy


def series(final, settled):
    """Return 50 accuracies that reach `final` at epoch `settled` + 1, so that MNIST's convergence is `settled`."""
    return [final - 0.1] * (settled + 1) + [final] * (49 - settled)


def put(results, benchmark, accuracies, epochs=50):
    """Write a table's results: of each setting, of each seed, the accuracies by epoch."""
    data = DATA[benchmark.removesuffix("-as-written")]
    config = {"epochs": epochs, "key": {"benchmark": benchmark, "data": data}}
    runs = [
        Run(name, seed, metrics={"accuracy": values}, final={"unlearned": 0}, note="an abacus", finished=True)
        for name, seeds in accuracies.items()
        for seed, values in enumerate(seeds)
    ]
    lines = [json.dumps({**asdict(run), "config": {**config, "optimizer": run.setting}}) + "\n" for run in runs]
    folder = results / f"{benchmark}-{epochs}"
    folder.mkdir(parents=True)
    (folder / "runs.jsonl").write_text("".join(lines))


def levels(benchmark="mnist", seeds=LEVEL, **others):
    """Return the series of all settings, at 0.9 but for those given, whose seeds differ by `seeds`."""
    names = BENCHMARKS[benchmark].settings
    final = dict.fromkeys(names, 0.9) | {name.replace("_", "-"): value for name, value in others.items()}
    return {name: [series(value + seed, 20) for seed in seeds] for name, value in final.items()}


def judge(name, results):
    """Return data, statistic and verdict of each line of a claim."""
    return [(line[0], line[1], line[-1]) for line in claims.judged(name, collect(results))]


# --- what is read


def test_a_run_that_stands_twice_counts_once(tmp_path):
    put(tmp_path, "mnist", levels())
    path = next(tmp_path.glob("*/runs.jsonl"))
    path.write_text(path.read_text() * 2)
    (found,) = collect(tmp_path).tables
    assert {len(row.runs) for row in found.rows.values()} == {3}


def test_a_line_that_was_cut_off_does_not_count(tmp_path):
    put(tmp_path, "mnist", levels())
    path = next(tmp_path.glob("*/runs.jsonl"))
    path.write_text(path.read_text()[:-20])
    (found,) = collect(tmp_path).tables
    assert sum(len(row.runs) for row in found.rows.values()) == 14 * 3 - 1


@pytest.mark.parametrize("content", ["{}", "half a rec", "[]"])
def test_a_record_of_range_tests_that_is_none_is_named(tmp_path, content):
    (tmp_path / "range_noise").mkdir()
    (tmp_path / "range_noise" / "range_noise.json").write_text(content)
    with pytest.raises(BenchmarkError, match=r"range_noise.json is no record of range tests: "):
        collect(tmp_path)


# --- A1 to A7


def test_without_results_every_claim_says_what_to_run(tmp_path):
    for name in claims.CLAIMS:
        lines = claims.judged(name, collect(tmp_path))
        assert lines
        for line in lines:
            assert line[-1].startswith("not run: `python -m benchmarks "), name
    assert judge("A6", tmp_path) == [
        ("–", "–", "not run: `python -m benchmarks mnist`"),
        ("–", "–", "not run: `python -m benchmarks cifar10`"),
    ]
    assert judge("B4", tmp_path)[0][2] == "not run: `python -m benchmarks images --dataset mnist`"


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
    assert claims.judged("A2", collect(tmp_path))[0][2] == "2"
    other = tmp_path / "other"
    table["adam"] = table["adam"][:1]
    put(other, "mnist", table)
    assert judge("A2", other)[0][2] == "not judged (n = 1)"


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
            assert verdict.startswith("not judged (n = 0)"), name


def test_a_table_with_settings_missing_is_not_judged(tmp_path):
    table = levels(seq4_cutoff=0.95)
    del table["adam"], table["sgd"]
    put(tmp_path, "mnist", table)
    assert judge("A2", tmp_path) == [("MNIST, 50 epochs", "–", "not judged (2 of 14 missing)")]
    assert judge("A7", tmp_path)[0][2] == NOT  # which needs no others: 0.9 and 0.95 by cutoff


@pytest.mark.parametrize(
    ("tied", "oscillate", "verdict", "rival"),
    [
        ([2, 4, 4], [3, 3, 5], REPRODUCED, "sgd"),  # 1, −1, 1 behind
        ([2, 3, 4], [7, 8, 9], NOT, "seq1-epoch"),  # 5 behind, every seed
        ([2, 3, 4], [11, 14, 14], NOT, "seq1-epoch"),
        ([12, 13, 14], [11, 14, 14], NOISE, "sgd"),  # − the others: −1, 1, 0
    ],
)
def test_a3_must_beat_the_others_and_not_lose_to_the_one_that_is_tied(tmp_path, tied, oscillate, verdict, rival):
    table = {}
    for name in BENCHMARKS["cifar10"].settings:  # from when on nothing changes any more
        quiet = {"seq1-epoch": tied, "seq1-oscillate": oscillate}.get(name, [12, 13, 14])
        table[name] = [[0.1 * (i % 2) for i in range(epoch)] + [0.7] * (25 - epoch) for epoch in quiet]
    put(tmp_path, "cifar10", table, epochs=25)
    statistic = f"convergence: seq1-oscillate − {rival}"
    assert judge("A3", tmp_path) == [("CIFAR-10 (JPEG), 25 epochs", statistic, verdict)]


@pytest.mark.parametrize(
    ("others", "verdict", "told"),
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
def test_a5_needs_three_bad_and_one_good(tmp_path, others, verdict, told):
    put(tmp_path, "cifar10", levels("cifar10", **others), epochs=25)
    assert judge("A5", tmp_path) == [("CIFAR-10 (JPEG), 25 epochs", f"accuracy: {told}", verdict)]


def test_a5_is_also_judged_with_the_same_cutoff_for_all(tmp_path):
    low = dict.fromkeys([*LOW, "seq1_cutoff_0.01"], 0.6)
    put(tmp_path, "cifar10", levels("cifar10", **low), epochs=25)
    assert judge("A5", tmp_path)[0][2] == REPRODUCED
    assert judge("A5, c₀ = 0.01", tmp_path)[0][1:] == ("accuracy: seq1-cutoff-0.01, claimed > 0.65", NOT)


def test_a5_with_the_same_cutoff_for_all_is_a5_itself_as_written(tmp_path):
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
def test_a6_wants_much_on_cifar10_and_little_on_mnist(tmp_path, benchmark, gain, verdict):
    epochs = BENCHMARKS[benchmark].epochs
    put(tmp_path, benchmark, levels(benchmark, seq3_epoch=0.92 + gain, adam=0.92, sgd=0.91), epochs)
    statistic = f"accuracy: seq3-epoch − adam, claimed {'≥ 0.01' if benchmark == 'cifar10' else '< 0.005'}"
    assert judge("A6", tmp_path)[0][1:] == (statistic, verdict)


@pytest.mark.parametrize(
    ("cifar", "mnist", "verdict", "told"),
    [
        (0.02, 0.0, REPRODUCED, "≥ 0.01"),
        (0.02, 0.02, NOT, "< 0.005"),
        (0.0, 0.0, NOT, "≥ 0.01"),
        (0.01, 0.0, NOISE, "≥ 0.01"),  # the threshold itself, which is not passed
    ],
)
def test_a6_as_a_whole_is_told_by_its_weaker_part(tmp_path, cifar, mnist, verdict, told):
    for benchmark, gain, version in [("cifar10", cifar, ""), ("mnist", mnist, ""), ("mnist", 0.02, "-as-written")]:
        table = levels(benchmark, seeds=(0, 0, 0), seq3_epoch=0.92 + gain, adam=0.92, sgd=0.5)
        if gain == 0.01:
            table["adam"] = [series(value, 20) for value in (0.90, 0.92, 0.94)]
        put(tmp_path, benchmark + version, table, BENCHMARKS[benchmark].epochs)
    *_, whole = judge("A6", tmp_path)
    statistic = f"both, told by the weaker: accuracy: seq3-epoch − adam, claimed {told}"
    assert whole == ("CIFAR-10 (JPEG), 25 epochs; MNIST, 50 epochs", statistic, verdict)
    assert len(judge("A6", tmp_path)) == 4  # each of the three tables, and the two as run


def test_a6_as_a_whole_wants_complete_tables_of_one_kind(tmp_path):
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


def test_a7_is_told_by_the_pair_that_is_further_apart(tmp_path):
    put(tmp_path, "mnist", levels(seq3_cutoff=0.903, seq4_oscillate=0.92))
    statistic = "accuracy: seq3-oscillate − seq4-oscillate, claimed within ±0.005"
    assert judge("A7", tmp_path)[0] == ("MNIST, 50 epochs", statistic, NOT)


def test_what_was_trained_on_is_always_said(tmp_path):
    put(tmp_path, "digits", levels())
    put(tmp_path, "mnist", levels(), epochs=5)
    put(tmp_path, "cifar10", levels("cifar10"), epochs=25)
    put(tmp_path, "images", levels("images"), epochs=250)
    put(tmp_path, "images-mnist", levels("images-mnist"), epochs=5)
    put(tmp_path, "mnist-as-written", levels("mnist-as-written"), epochs=60)
    put(tmp_path, "digits-as-written", levels("digits-as-written"), epochs=49)
    assert [table.label for table in collect(tmp_path).tables] == [
        "MNIST, reduced length: 5 of 50 epochs",
        "CIFAR-10 (JPEG), 25 epochs",
        "CIFAR-10, 250 epochs",
        "MNIST, reduced size: 10000 of 60000 images, reduced length: 5 of 250 epochs",
        "Digits (8x8), 50 epochs, stand-in for MNIST",
        "MNIST, 60 epochs, as written",
        "Digits (8x8), reduced length: 49 of 50 epochs, stand-in for MNIST, as written",
    ]


def test_a_table_as_written_stands_for_itself_alone(tmp_path):
    put(tmp_path, "mnist-as-written", levels("mnist-as-written"))
    *_, left = claims.tables(collect(tmp_path)).splitlines()
    assert left == (
        "Not run yet: `python -m benchmarks mnist`, `python -m benchmarks cifar10`, `python -m benchmarks images`, "
        "`python -m benchmarks images --dataset mnist`, `python -m benchmarks digits`, "
        "`python -m benchmarks cifar10 --as-written`, `python -m benchmarks digits --as-written`."
    )
    assert [(data, verdict) for data, _, verdict in judge("A7", tmp_path)] == [
        ("MNIST, 50 epochs, as written", REPRODUCED),
        ("–", "not run: `python -m benchmarks mnist`"),
        ("–", "not run: `python -m benchmarks cifar10`"),
    ]
    put(tmp_path, "mnist", levels())
    assert [verdict for _, _, verdict in judge("A1", tmp_path)] == [NOISE, NOISE]


def test_every_command_that_is_told_is_one(tmp_path):
    collected = collect(tmp_path)
    told = set(re.findall("`python -m benchmarks (.*?)`", claims.tables(collected) + claims.claims(collected)))
    assert told >= {"mnist", "mnist --as-written", "images --dataset mnist", "functions"}
    for name, *options in map(str.split, told):
        assert name in COMMANDS
        if options:
            parser = images.parser() if name == "images" else table.parser(BENCHMARKS[name])
            parser.parse_args(options)


def test_the_tables_and_the_claims_say_that_pictures_on_mnist_were_cut_short(tmp_path):
    put(tmp_path, "images-mnist", levels("images-mnist"), epochs=5)
    label = "MNIST, reduced size: 10000 of 60000 images, reduced length: 5 of 250 epochs"
    assert claims.tables(collect(tmp_path)).startswith(f"### {label}\n")
    assert [line[0] for line in judge("B4", tmp_path)] == [label]


@pytest.mark.parametrize(
    ("title", "size"),
    [
        ("MNIST", "MNIST"),
        ("MNIST, 60000 images", "MNIST, 60000 images"),
        ("MNIST, 59999 images", "MNIST, reduced size: 59999 of 60000 images"),
        ("CIFAR-10 (JPEG), 5000 images", "CIFAR-10 (JPEG), reduced size: 5000 of 50000 images"),
        ("Stars, 5 images", "Stars, 5 images"),
    ],
)
def test_a_part_of_the_data_is_told_as_a_part(title, size):
    assert labels.size(title) == size


# --- B, C and E


def schedules(**others):
    final = {"baseline": 0.9, "fixed": 0.5, "andrej": 0.7, "cyclic": 0.8, "china": 0.85, **others}
    return {name: [value + seed for seed in LEVEL] for name, value in final.items()}


class Pictures:
    """What the judges of B1 to B4 look at in a table."""

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
    judgement = getattr(claims.table_claims, judged)(Pictures(**others))
    assert (judgement.verdict, judgement.statistic) == (verdict, statistic)


def test_b3_wants_nearly_any_schedule_to_beat_the_fixed_rate():
    table = Pictures()
    table.rows["china"] = [0.45, 0.9, 1.0]  # + 0.283 ± 0.72, where fixed has 0.5
    judgement = claims.table_claims.fixed_is_worst(table)
    assert (judgement.verdict, judgement.statistic) == (REPRODUCED, "accuracy: fixed − andrej; 3 of 4 beat fixed")
    table.rows["noise"] = table.rows["china"]
    judgement = claims.table_claims.fixed_is_worst(table)
    assert judgement.verdict == NOISE
    assert judgement.statistic.endswith(" − fixed; 3 of 5 beat fixed")


def test_b4_holds_where_all_rows_are_alike():
    alike = dict.fromkeys(["baseline", "fixed", "andrej", "cyclic", "china"], 0.98)
    assert claims.table_claims.all_alike(Pictures(**alike)).verdict == REPRODUCED


def long(seed, equal_at, gain):
    """Return a record: the slow training reaches the fast one's loss at an epoch, and lowering divides the loss."""
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
    assert claims.study_claims.c3(records).verdict == verdict


@pytest.mark.parametrize(("gain", "verdict"), [(1.3, REPRODUCED), (0.8, NOT), (20.0, NOT)])
def test_c5_is_a_gain_of_about_1_3(gain, verdict):
    records = [long(seed, 425, gain) for seed in range(3)]
    assert claims.study_claims.c5(records).verdict == verdict


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
    assert verdict(record(0, 0)) == ["not judged (n = 1)"]
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
    assert answer(scan(0, 0), scan(0, 64), scan(1, 0), scan(1, 64)) == [(label, REPRODUCED)]
    assert answer(scan(0, 0), scan(0, 64, best=20), scan(1, 0), scan(1, 64, best=20)) == [(label, NOT)]
    assert answer(scan(0, 0), scan(0, 64)) == [(label, "not judged (n = 1)")]
    assert answer(scan(0, 0))[0][1] == "not judged (1 of 1 missing)"
    short = [scan(seed, after, marks=(8, 16)) for seed in (0, 1) for after in (0, 64)]
    assert answer(*short) == [(label, "not judged (1 of 1 missing)")]


def test_e1_wants_both_arms_below_half_the_bump():
    bumps = {"batch 4": [1.0, 1.1, 0.9], "batch 64": [0.2, 0.3, 0.1], "batch 4, 16 steps a rate": [0.3, 0.2, 0.25]}
    assert range_noise.e1(bumps).verdict == REPRODUCED
    assert range_noise.e1({**bumps, "batch 64": [0.8, 0.9, 0.7]}).verdict == NOT
    noisy = range_noise.e1({**bumps, "batch 64": [0.2, 0.9, 0.4]})
    assert (noisy.verdict, noisy.statistic) == (NOISE, "bump: batch 64 − half of batch 4")


# --- the command and its pages


README = (
    "# A\n<!-- tables: begin -->\nold table\n<!-- tables: end -->\nB\n<!-- claims: begin -->\n<!-- claims: end -->\nC\n"
)


def test_the_command_prints_and_writes_every_claim(tmp_path, capsys):
    put(tmp_path / "results", "mnist", levels(seq4_cutoff=0.95))
    (tmp_path / "README.md").write_text(README)
    assert main(["claims", "--results", str(tmp_path / "results")]) == 0
    printed, page = capsys.readouterr().out, (tmp_path / "results" / "claims.md").read_text()
    readme = (tmp_path / "README.md").read_text()
    for name, text in claims.CLAIMS.items():
        assert f"{name}  {text[:60]}" in printed
        assert f"**{name}** {text}" in page
    assert "    → reproduced\n" in printed
    assert "accuracy: seq4-cutoff − sgd; n 3, mean 0.0500, 95 % interval 0.0500 … 0.0500, p < 0.0001" in printed
    assert page.split("\n\n", 1)[1] in readme
    assert "| By cutoff | seq1 | 0.9000 ± 0.0025 | 20.0 ± 0.0 | 3 | 0 | 0.9829 | 32 |" in readme
    assert readme.startswith("# A\n<!-- tables: begin -->\n### MNIST, 50 epochs\n")
    assert "old table" not in readme
    assert readme.endswith("<!-- claims: end -->\nC\n")
    assert main(["claims", "--results", str(tmp_path / "results")]) == 0
    assert (tmp_path / "README.md").read_text() == readme


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"config": 1}', '{"config": {}}'])
def test_a_line_that_is_no_run_is_named(tmp_path, line, capsys):
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "runs.jsonl").write_text(f"{line}\n")
    assert main(["claims", "--results", str(tmp_path)]) == 1
    assert f"error: {tmp_path}/mnist/runs.jsonl" in capsys.readouterr().err


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(BenchmarkError, match=r"there is no folder .*nowhere"):
        claims.main(["--results", str(tmp_path / "nowhere")])
    run = {"setting": "sgd", "seed": 0, "config": {"key": {"benchmark": "mnst", "data": ""}, "epochs": 1}}
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "runs.jsonl").write_text(json.dumps(run) + "\n")
    with pytest.raises(BenchmarkError, match=r"runs.jsonl has a run that is of no benchmark here: KeyError\('mnst'\)"):
        collect(tmp_path)
    with pytest.raises(BenchmarkError, match="must have the markers <!-- claims: begin -->"):
        claims.replaced("a page", "claims", "")


def test_a_run_that_stopped_early_and_was_never_quiet_counts_as_all_epochs(tmp_path):
    put(tmp_path, "cifar10", {"sgd": [[0.5, 0.6, 0.5], [0.5, 0.7] * 10]}, epochs=25)
    (found,) = collect(tmp_path).tables
    assert found.rows["sgd"].convergences == [25, 25]


def test_of_shorter_runs_of_resnet_it_is_told_how_its_batch_norm_differs(tmp_path):
    def told(benchmark, epochs):
        (tmp_path / str(epochs)).mkdir(exist_ok=True)
        put(tmp_path / str(epochs), benchmark, levels(benchmark), epochs)
        (table,) = (table for table in collect(tmp_path / str(epochs)).tables if table.benchmark.name == benchmark)
        return "the repository's take 0.003." in claims.shown(table)[-1]

    assert told("images", 249)
    assert not told("images", 250)
    assert not told("images-mnist", 249)


def test_a_picture_of_the_users_is_a_row_after_ours(tmp_path):
    put(tmp_path, "images", {"fog": [[0.99] * 250] * 2, **levels("images", cyclic=0.95)}, epochs=250)
    (found,) = collect(tmp_path).tables
    assert list(found.rows) == [*images.BENCHMARK.settings, "fog"]
    assert (found.rows["fog"].setting.method, found.rows["fog"].setting.row) == ("Picture", "fog")
    assert judge("B2", tmp_path)[0][1] == "accuracy: fog − cyclic"
    assert main(["claims", "--results", str(tmp_path)]) == 0


def test_a_row_that_nobody_can_have_added_is_named(tmp_path):
    put(tmp_path, "mnist", {"fog": [[0.99] * 50]})
    with pytest.raises(BenchmarkError, match=r"a run that is of no benchmark here: KeyError\('fog'\)"):
        collect(tmp_path)


def test_every_claim_has_an_answer():
    assert set(claims.CLAIMS) == set(claims.ANSWERS)
    letters = {"A": 7, "B": 4, "C": 7, "E": 1}
    names = [f"{letter}{i}" for letter, count in letters.items() for i in range(1, count + 1)]
    assert [name for name in claims.CLAIMS if "," not in name] == names
    assert STAND_IN in BENCHMARKS


def test_the_pages_say_what_the_results_say():
    collected = collect(claims.RESULTS)
    readme = (PAGES / "README.md").read_text()
    assert readme == claims.replaced(readme, "tables", claims.tables(collected)), "run python -m benchmarks claims"
    assert readme == claims.replaced(readme, "claims", claims.claims(collected)), "run python -m benchmarks claims"
    assert (claims.RESULTS / "claims.md").read_text().endswith(claims.claims(collected))
