"""docs/which_schedule.md: every figure is computed here from the records of the runs."""

import json
import math
import re
from collections import defaultdict
from pathlib import Path
from statistics import fmean, stdev

import pytest
from scipy.stats import t as student

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
if not (ROOT / "docs").exists() or not RESULTS.exists():
    pytest.skip("docs/ and results are not part of this copy", allow_module_level=True)
PAGE = (ROOT / "docs" / "which_schedule.md").read_text()
SEQUENCES = {"Inverse": "seq1", "InverseSqrt": "seq2", "Geometric(0.9)": "seq3", "Sawtooth": "seq4"}


def runs(folder):
    """Return the runs of a table, by setting and seed."""
    found = defaultdict(dict)
    for line in (RESULTS / folder / "runs.jsonl").read_text().splitlines():
        run = json.loads(line)
        found[run["setting"]][run["seed"]] = run
    return found


def accuracies(folder):
    """Return each run's accuracy, the mean of the four epochs before the last, by setting and seed."""
    return {
        setting: {seed: fmean(run["metrics"]["accuracy"][-5:-1]) for seed, run in by_seed.items()}
        for setting, by_seed in runs(folder).items()
    }


def half(values):
    """Return half of the 95 % interval of the mean, by Student's t."""
    return student.ppf(0.975, len(values) - 1) * stdev(values) / len(values) ** 0.5


def said(values):
    return f"{fmean(values):.4f} ± {half(values):.4f}".replace("-", "−")


def paired(found, first, second):
    """Return the differences of two settings, seed by seed."""
    return [accuracy - found[second][seed] for seed, accuracy in found[first].items()]


def rows(heading):
    """Return the cells of the table under a row of headings."""
    (table,) = re.findall(rf"^\| {heading}[^\n]*\n\|[- |]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_the_first_table_is_what_the_digits_gave():
    found = accuracies("digits")
    table = rows(r"Sequence \| every epoch")
    assert len(table) == 4
    for (_, *cells), sequence in zip(table, SEQUENCES.values(), strict=True):
        rules = ("epoch", "cutoff", "oscillate", "either")
        assert cells == [said([*found[f"{sequence}-{rule}"].values()]) for rule in rules]
    assert said([*found["adam"].values()]) in PAGE
    assert said([*found["sgd"].values()]) in PAGE
    assert sum(difference > 0 for difference in paired(found, "adam", "seq4-cutoff")) == 4


def test_advancing_by_the_loss_is_ahead_on_digits():
    found = accuracies("digits")
    pairs = [
        round(by_loss, 4) - round(by_epoch, 4)
        for sequence in SEQUENCES.values()
        for rule in ("cutoff", "oscillate", "either")
        for by_loss, by_epoch in zip(
            found[f"{sequence}-{rule}"].values(), found[f"{sequence}-epoch"].values(), strict=True
        )
    ]
    assert [len(pairs), sum(d > 0 for d in pairs), sum(d == 0 for d in pairs), sum(d < 0 for d in pairs)] == [
        60,
        56,
        3,
        1,
    ]
    assert "of 60 pairs of a sequence, a rule and a seed,\nit was ahead in 56, level in 3, and behind in 1" in PAGE


def test_advancing_by_the_loss_is_ahead_on_mnist():
    found = accuracies("mnist-gpu")
    ahead = [
        difference
        for sequence in SEQUENCES.values()
        for rule in ("cutoff", "oscillate")
        for difference in paired(found, f"{sequence}-{rule}", f"{sequence}-epoch")
    ]
    assert len(ahead) == 24
    assert (round(min(ahead), 3), round(max(ahead), 3)) == (0.001, 0.008)
    assert "ahead in all 24 pairs, by 0.001 to 0.008" in PAGE
    best = max(found.keys() - {"adam"}, key=lambda name: fmean(found[name].values()))
    assert best == "seq4-cutoff"
    assert f"cutoff is ahead by {said(paired(found, best, 'adam'))}" in PAGE


def last_accuracies(folder):
    """Return each run's last accuracy, to 4 decimals, which is the column of CIFAR-10's tables."""
    return {
        setting: {seed: round(run["metrics"]["accuracy"][-1], 4) for seed, run in by_seed.items()}
        for setting, by_seed in runs(folder).items()
    }


def test_advancing_by_the_loss_is_not_always_ahead_on_cifar10():
    found = last_accuracies("cifar10")
    seq1, seq2, seq3, seq4 = (
        paired(found, f"{sequence}-oscillate", f"{sequence}-epoch") for sequence in SEQUENCES.values()
    )
    page = " ".join(PAGE.split())
    assert f"`Inverse()` is ahead of every epoch by {said(seq1)}" in page
    assert f"`Geometric(0.9)` is behind by {said([-difference for difference in seq3])}" in page
    for level in (seq2, seq4):
        assert abs(fmean(level)) < half(level)
    sequences = [f"{sequence}-{rule}" for sequence in SEQUENCES.values() for rule in ("epoch", "oscillate")]
    means = [fmean(found[name].values()) for name in sequences]
    assert f"at {min(means):.4f} to {max(means):.4f}." in page
    assert f"Adam reached {said([*found['adam'].values()])}" in page
    assert f"SGD at a fixed 0.001 {said([*found['sgd'].values()])}" in page
    for seed in range(5):
        fixed = max(found["adam"][seed], found["sgd"][seed])
        assert all(found[name][seed] > fixed for name in sequences)


def test_by_cutoff_alone_half_of_the_runs_on_cifar10_end_stuck():
    records = runs("cifar10")
    settings = {rule: [f"{sequence}-{rule}" for sequence in SEQUENCES.values()] for rule in ("cutoff", "oscillate")}
    settings["cutoff"][0] = "seq1-cutoff-0.01"  # from 0.01 of the first loss, like the others
    by = {rule: [run for name in names for run in records[name].values()] for rule, names in settings.items()}
    stuck = {rule: sum(run["final"]["unlearned"] > 0 for run in found) for rule, found in by.items()}
    assert stuck == {"cutoff": 10, "oscillate": 0}
    assert len(by["cutoff"]) == len(by["oscillate"]) == 20
    for run in by["cutoff"]:
        losses = [math.inf if loss is None else loss for loss in run["val_loss"]]
        assert losses.index(min(losses)) < 4  # rises from the fifth epoch on at the latest
    assert "10 of 20 runs by a cutoff" in PAGE
    assert not [name for name in records if name.endswith("-either")]
    assert "Either was not run\nat that length" in PAGE


def test_what_the_default_costs_on_digits():
    found = accuracies("digits")
    *table, mean = rows(r"Sequence \| either − cutoff")
    for (_, *cells), sequence in zip(table, SEQUENCES.values(), strict=True):
        differences = [paired(found, f"{sequence}-either", f"{sequence}-{rule}") for rule in ("cutoff", "oscillate")]
        assert cells == [said(difference) for difference in differences]
        assert all(abs(fmean(difference)) < half(difference) for difference in differences)
    for cell, rule in zip(mean[1:], ("cutoff", "oscillate"), strict=True):
        columns = [paired(found, f"{sequence}-either", f"{sequence}-{rule}") for sequence in SEQUENCES.values()]
        means = [fmean(seed) for seed in zip(*columns, strict=True)]
        assert cell == said(means)
        assert len(means) == 5
        assert fmean(means) < -half(means)


@pytest.mark.parametrize(("rule", "fewest", "most"), [("either", 5, 17), ("oscillate", 4, 16), ("cutoff", 3, 5)])
def test_how_often_a_rule_advances_on_digits(rule, fewest, most):
    advances = [
        len(run["events"]) for sequence in SEQUENCES.values() for run in runs("digits")[f"{sequence}-{rule}"].values()
    ]
    assert (min(advances), max(advances)) == (fewest, most)
    assert f"{fewest} to {most} times" in PAGE


def test_the_default_on_reduced_cifar10():
    records = runs("cifar10-reduced")
    found = last_accuracies("cifar10-reduced")
    table = rows(r"Sequence, CIFAR-10 \(5,000 images\) \| either − cutoff")
    for (_, *cells), sequence in zip(table, SEQUENCES.values(), strict=True):
        assert [run["final"]["unlearned"] for run in records[f"{sequence}-either"].values()] == [0] * 5
        cutoff = "seq1-cutoff-0.01" if sequence == "seq1" else f"{sequence}-cutoff"  # from 0.01 of the first loss
        pairs = [paired(found, f"{sequence}-either", other) for other in (cutoff, f"{sequence}-oscillate")]
        assert cells == [said(pair) for pair in pairs]


STEEP = [("0.5", ""), ("0.5", "-noise"), ("0.1", ""), ("0.1", "-noise")]


def steep(folder, heading, seeds):
    """Check the table of a steep sequence; return the differences to either of smoothed and patience, row by row."""
    found = accuracies(folder)
    differences = []
    for (_, *cells), (ratio, noise) in zip(rows(heading), STEEP, strict=True):
        by = {rule: f"{ratio}-{rule}{noise}" for rule in ("either", "oscillate", "smoothed", "patience")}
        value = {rule: said([*found[setting].values()]) for rule, setting in by.items()}
        smoothed, patience = (paired(found, by[rule], by["either"]) for rule in ("smoothed", "patience"))
        expected = [value["either"], value["oscillate"], value["smoothed"], said(smoothed)]
        assert cells == [*expected, value["patience"], said(patience)]
        assert len(smoothed) == len(patience) == seeds
        differences.append((smoothed, patience))
    return differences


def test_what_rules_do_to_a_steep_sequence_on_digits():
    for (ratio, _), differences in zip(STEEP, steep("rules-digits", r"Sequence \| by either", seeds=5), strict=True):
        for difference in differences:
            assert (fmean(difference) > half(difference)) == (ratio == "0.1")


def test_what_rules_do_to_a_steep_sequence_on_reduced_cifar10():
    differences = steep("rules-cifar10-reduced", r"Sequence, CIFAR-10 \(5,000 images\) \| by either", seeds=3)
    for smoothed, patience in differences:
        assert abs(fmean(smoothed)) < half(smoothed)
        assert fmean(patience) < 0
    records = runs("rules-cifar10-reduced")
    finished = [run for by_seed in records.values() for run in by_seed.values()]
    assert [run["final"]["unlearned"] for run in finished] == [0] * 72
    for ratio, noise in STEEP:
        advances = [len(run["events"]) for run in records[f"{ratio}-patience{noise}"].values()]
        assert set(advances) == {1, 2}


@pytest.mark.parametrize(("rule", "count"), [("patience", 0), ("patience-3", 2)])
def test_patience_hardly_ever_advanced_on_digits(rule, count):
    records = runs("rules-digits")
    settings = [f"{ratio}-{rule}{noise}" for ratio in ("0.5", "0.1") for noise in ("", "-noise")]
    advanced = [bool(run["events"]) for setting in settings for run in records[setting].values()]
    assert len(advanced) == 20
    assert sum(advanced) == count


def test_the_figures_on_range_tests_are_those_of_the_benchmark():
    table = (RESULTS / "range_test_quality" / "table.md").read_text()
    first = table.partition("\n\n## ")[2].splitlines()  # with warm-up and decay
    rows = {
        cells[0]: cells for cells in ([cell.strip() for cell in line.strip("|").split("|")] for line in first[4:11])
    }
    held_out = {rule: cells[3:5] for rule, cells in rows.items()}
    page = " ".join(PAGE.split())
    assert f"ended with {held_out['lrsched'][0]} × the loss of the best rate" in page
    assert f"fastai's minimum ended with {held_out['fastai minimum / 10'][0]} ×" in page
    assert f"without a test, with {held_out['no test: default × 10'][0]} ×" in page
    assert f"the default rate itself with {held_out['no test: default rate'][0]} ×" in page
    ratio, low, high = re.search(
        r"Ratio of the means ([\d.]+) \(95 % interval by bootstrap ([\d.]+)-([\d.]+),", table
    ).groups()
    assert f"(ratio {ratio}, 95 % interval {low} to {high})" in page
    assert f"on the worst task both ended with {float(held_out['lrsched'][1]):.0f} ×" in page
