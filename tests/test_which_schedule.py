"""docs/which_schedule.md: every figure is computed here from the records of the runs."""

import json
import math
import re
from collections import defaultdict
from pathlib import Path
from statistics import fmean, median, stdev

import pytest
from scipy.stats import t as student

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
if not (ROOT / "docs").exists() or not RESULTS.exists():
    pytest.skip("docs/ and results are not part of this copy", allow_module_level=True)
SOURCE = (ROOT / "docs" / "which_schedule.md").read_text()
PAGE = " ".join(SOURCE.split())
ROWS = ("seq1", "seq2", "seq3", "seq4")


def runs(folder):
    """Return the runs of a table, by setting and seed."""
    found = defaultdict(dict)
    for line in (RESULTS / folder / "runs.jsonl").read_text().splitlines():
        run = json.loads(line)
        found[run["setting"]][run["seed"]] = run
    return found


def column(folder, formula):
    return {
        setting: {seed: formula(run["metrics"]["accuracy"]) for seed, run in by_seed.items()}
        for setting, by_seed in runs(folder).items()
    }


def accuracies(folder):
    """Return each run's accuracy by setting and seed: the last, or the mean of the four before it, as the tables do."""
    if "cifar10" in folder:
        return column(folder, lambda values: round(values[-1], 4))
    return column(folder, lambda values: fmean(values[-5:-1]))


def fullest_mnist():
    """Return the folder of MNIST's table with the most seeds that all settings have."""
    return max(("mnist", "mnist-gpu"), key=lambda folder: min(map(len, runs(folder).values())))


def half(values):
    """Return half of the 95 % interval of the mean, by Student's t."""
    return student.ppf(0.975, len(values) - 1) * stdev(values) / len(values) ** 0.5


def said(values):
    return f"{fmean(values):.4f} ± {half(values):.4f}".replace("-", "−")


def gain(values):
    """Return a difference as the tables show it: with its sign, and bold if the interval excludes 0."""
    text = ("+" if fmean(values) > 0 else "") + said(values)
    return f"**{text}**" if abs(fmean(values)) > half(values) else text


def paired(found, first, second):
    """Return the differences of two settings, seed by seed."""
    return [accuracy - found[second][seed] for seed, accuracy in found[first].items()]


def table(heading):
    """Return the cells of the table under a row of headings, without its lines in bold, which name the data."""
    (lines,) = re.findall(rf"^\| {heading}[^\n]*\n\|[- |]+\n((?:\|.*\n)+)", SOURCE, re.MULTILINE)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines.splitlines()]
    return [line for line in cells if line[1] or not line[0].startswith("**")]


def test_the_generated_parts_are_up_to_date():
    from benchmarks.replications import schedule_page
    from benchmarks.replications.claims import replaced
    from benchmarks.replications.collected import collect

    for name, content in schedule_page.blocks(collect(RESULTS), RESULTS).items():
        assert replaced(SOURCE, name, content) == SOURCE, "run python -m benchmarks claims"


def test_the_table_of_rules():
    lines = iter(table(r"Sequence \| every epoch"))
    for folder in ("cifar10", "cifar10-reduced", fullest_mnist(), "digits"):
        found = accuracies(folder)
        for row in ROWS:
            base = f"{row}-epoch"
            cutoff = "seq1-cutoff-0.01" if row == "seq1" and "cifar10" in folder else f"{row}-cutoff"
            others = [cutoff, f"{row}-oscillate", f"{row}-either", "adam"]
            gains = [gain(paired(found, name, base)) if name in found else "–" for name in others]
            assert next(lines)[1:] == [said([*found[base].values()]), *gains]
    assert not [*lines]


def test_the_loss_of_cifar10_rises_early_and_accuracy_does_not_follow_it():
    lowest, lost = [], []
    for setting, by_seed in runs("cifar10").items():
        if setting.endswith(("-epoch", "-oscillate")):
            drops = []
            for run in by_seed.values():
                best = run["val_loss"].index(min(run["val_loss"]))
                lowest.append(best + 1)
                drops.append(run["metrics"]["accuracy"][-1] - run["metrics"]["accuracy"][best])
            lost.append(fmean(drops))
    assert len(lost) == 8
    assert f"lowest validation loss after {min(lowest)} to {max(lowest)} of 25 epochs" in PAGE
    assert f"the mean accuracy there is {min(lost):.3f} to {max(lost):.3f} lower than at the end" in PAGE
    assert f"the loss rises after {min(lowest)} to {max(lowest)} epochs" in PAGE


def test_by_cutoff_alone_half_of_the_runs_on_cifar10_end_stuck():
    records = runs("cifar10")
    settings = {rule: [f"{row}-{rule}" for row in ROWS] for rule in ("cutoff", "oscillate")}
    settings["cutoff"][0] = "seq1-cutoff-0.01"  # from 0.01 of the first loss, like the others
    by = {rule: [run for name in names for run in records[name].values()] for rule, names in settings.items()}
    stuck = {rule: sum(run["final"]["unlearned"] > 0 for run in found) for rule, found in by.items()}
    assert stuck == {"cutoff": 10, "oscillate": 0}
    assert len(by["cutoff"]) == len(by["oscillate"]) == 20
    assert PAGE.count("10 of 20 runs") == 2
    assert "by oscillate none did" in PAGE
    advances = [len(run["events"]) for run in by["oscillate"]]
    assert f"Oscillate advances {min(advances)} to {max(advances)} times in 25 epochs" in PAGE
    rarely = [len(run["events"]) for run in by["cutoff"]]
    assert max(rarely) == 1  # "rarely lowers the rate"


@pytest.mark.parametrize("folder", ["digits", fullest_mnist()])
def test_rules_are_ahead_of_every_epoch_on_mnist_and_digits(folder):
    found = accuracies(folder)
    rules = [rule for rule in ("cutoff", "oscillate", "either") if f"seq1-{rule}" in found]
    beyond_noise = []
    for rule in rules:
        differences = [paired(found, f"{row}-{rule}", f"{row}-epoch") for row in ROWS]
        gains = [fmean(difference) for difference in differences]
        assert min(gains) > 0
        assert max(gains) == gains[0]
        beyond_noise += [fmean(difference) > half(difference) for difference in differences]
    assert sum(beyond_noise) > len(beyond_noise) / 2
    assert "all four sequences have higher means than every epoch, in most cases beyond noise. `Inverse()` gain" in PAGE


def test_the_sawtooth_has_the_highest_mean_on_mnist_and_digits():
    rules = []
    for folder in (fullest_mnist(), "digits"):
        found = accuracies(folder)
        best = max(found.keys() - {"sgd", "adam"}, key=lambda name: fmean(found[name].values()))
        assert best.startswith("seq4-")
        rules.append(best.removeprefix("seq4-"))
    mnist, digits = rules
    assert (
        f"The sawtooth has the highest mean of the sequences on MNIST (by {mnist}) and on digits (by {digits})" in PAGE
    )


def test_sequences_by_oscillate_on_cifar10():
    found = accuracies("cifar10")
    means = [fmean(found[f"{row}-oscillate"].values()) for row in ROWS]
    assert (
        f"except by cutoff on CIFAR-10. By oscillate, the four have {min(means):.4f} to {max(means):.4f} there" in PAGE
    )


def test_what_either_gives():
    assert not [name for name in runs("cifar10") if name.endswith("-either")]
    assert "**Either, the default,** has not been run on CIFAR-10 at full length" in PAGE
    reduced = runs("cifar10-reduced")
    final = [run["final"]["unlearned"] for row in ROWS for run in reduced[f"{row}-either"].values()]
    assert final == [0] * 20
    assert "On 5,000 of its images none of 20 runs got stuck" in PAGE
    found = accuracies("cifar10-reduced")
    behind = max((paired(found, f"{row}-oscillate", f"{row}-either") for row in ROWS), key=fmean)
    assert f"it was behind oscillate by at most {said(behind)}" in PAGE
    digits = accuracies("digits")
    for rule in ("oscillate", "cutoff"):
        columns = [paired(digits, f"{row}-{rule}", f"{row}-either") for row in ROWS]
        assert f"behind {rule} by {said([fmean(seed) for seed in zip(*columns, strict=True)])}" in PAGE


def test_what_adam_gives():
    digits, mnist, cifar = (accuracies(folder) for folder in ("digits", fullest_mnist(), "cifar10"))
    above = sum(difference > 0 for difference in paired(digits, "adam", "seq4-cutoff"))
    adam = said([*digits["adam"].values()])
    assert f"reached {adam} on digits, above the best sequence in {above} of 5 seeds" in PAGE
    best = max(mnist.keys() - {"adam"}, key=lambda name: fmean(mnist[name].values()))
    difference = paired(mnist, "adam", best)
    level = abs(fmean(difference)) <= half(difference)
    relation = "level with" if level else "ahead of" if fmean(difference) > 0 else "behind"
    assert f"On MNIST it is {relation} the best sequence" in PAGE
    adam, sgd = (said([*cifar[name].values()]) for name in ("adam", "sgd"))
    assert f"On CIFAR-10 it reached {adam}, and SGD at a fixed 0.001 reached {sgd}" in PAGE
    for name in (f"{row}-{rule}" for row in ROWS for rule in ("epoch", "oscillate")):
        for seed in range(5):
            assert cifar[name][seed] > max(cifar["adam"][seed], cifar["sgd"][seed])
    assert "every sequence beats both, every epoch and by oscillate" in PAGE


STEEP = [("0.5", ""), ("0.5", "-noise"), ("0.1", ""), ("0.1", "-noise")]


def test_the_table_of_steep_sequences():
    lines = iter(table(r"Sequence \| by either"))
    for folder in ("rules-digits", "rules-cifar10-reduced"):
        found = accuracies(folder)
        for ratio, noise in STEEP:
            others = ("oscillate", "smoothed", "patience")
            either, *names = (f"{ratio}-{rule}{noise}" for rule in ("either", *others))
            gains = [gain(paired(found, name, either)) for name in names]
            name, *cells = next(lines)
            assert name == f"`Geometric({ratio})`{', noise' if noise else ''}"
            assert cells == [said([*found[either].values()]), *gains]
            *two, patience = (paired(found, name, either) for name in names)
            smoothed = paired(found, names[1], names[0])
            assert 0 < fmean(smoothed) < half(smoothed)
            ahead = folder == "rules-digits" and ratio == "0.1"
            for difference in two:
                assert fmean(difference) > half(difference) if ahead else abs(fmean(difference)) < half(difference)
            assert (fmean(patience) > 0) == (folder == "rules-digits")
    assert not [*lines]


def test_how_often_patience_advances():
    digits, cifar = runs("rules-digits"), runs("rules-cifar10-reduced")
    never = [run["events"] for ratio, noise in STEEP for run in digits[f"{ratio}-patience{noise}"].values()]
    assert never == [[]] * 20
    assert "it never advanced, in 20 runs" in PAGE
    late = {len(run["events"]) for ratio, noise in STEEP for run in cifar[f"{ratio}-patience{noise}"].values()}
    assert late == {1, 2}
    finished = [run for records in (digits, cifar) for by_seed in records.values() for run in by_seed.values()]
    assert {run["final"]["unlearned"] for run in finished} == {0}


GRID = [0.01 * 10 ** (k / 2) for k in range(10)]  # the ten rates of a tuned method, as multiples of the default
COSINE = "cosine with warm-up"


def number(value):
    return math.inf if value is None else value


def race_records(folder):
    """Return the records of each task."""
    found = defaultdict(list)
    for line in (RESULTS / folder / "runs.jsonl").read_text().splitlines():
        record = json.loads(line)
        found[record["task"]].append(record)
    return found


def race_losses(records):
    """Return a task's untrained loss, its mean test loss by method, and the best multiple of the tuned ones."""
    grid = [record for record in records if "members" in record]
    untrained = fmean({record["seed"]: record["untrained"] for record in grid}.values())
    valid, test = defaultdict(list), defaultdict(list)
    for record in grid:
        for i, (shape, factor) in enumerate(record["members"]):
            if any(math.isclose(factor, each, rel_tol=1e-3) for each in GRID):
                valid[shape, factor].append(number(record["valid"][i]))
                test[shape, factor].append(min(number(record["test"][i]), 10 * untrained))
    best = {
        shape: min((key for key in valid if key[0] == shape), key=lambda key: fmean(valid[key])) for shape, _ in valid
    }
    direct = defaultdict(list)
    for record in records:
        for name, run in record.get("runs", {}).items():
            direct[name].append(min(number(run["test"]), 10 * untrained))
    losses = {shape: fmean(test[key]) for shape, key in best.items()}
    losses |= {name: fmean(values) for name, values in direct.items()}
    return untrained, losses, {shape: factor for shape, (_, factor) in best.items()}


def race_ratios(folder):
    """Return each method's loss on each task, over that of the tuned cosine; small differences count as none."""
    ratios = defaultdict(list)
    for records in race_records(folder).values():
        untrained, losses, _ = race_losses(records)
        for name, loss in losses.items():
            equal = abs(loss - losses[COSINE]) < 0.01 * untrained
            ratios[name].append(1.0 if equal else loss / losses[COSINE])
    return ratios


def geometric(values):
    return math.exp(fmean(math.log(value) for value in values))


def test_the_table_of_methods_for_a_known_length():
    from benchmarks.costs import race_figures

    ratios = race_ratios("race_quality")
    methods = [
        *("linear with warm-up", "constant", "ReduceLROnPlateau"),
        *("PlateauSequence(Sawtooth())", "PlateauSequence(Inverse())"),
        *("race", "race *", "range test, warm-up, linear"),
        *("default rate × 10, warm-up, linear", "default rate, constant"),
    ]
    lines = table(r"Rate \| Then")
    for line, name in zip(lines, methods, strict=True):
        assert len(ratios[name]) == 24
        interval = race_figures.geometric(ratios[name])
        assert line[2] == f"{geometric(ratios[name]):.2f} ({interval.low:.2f} to {interval.high:.2f})"
        worst = max(ratios[name])
        assert line[3] == (f"{worst:.1f}" if worst < 100 else f"{worst:.0f}" if worst < 1e6 else "> 10⁶")
    default, constant = (geometric(ratios[name]) for name in ("default rate, constant", "constant"))
    assert f"a constant rate ended with {default:.2f} × the loss of a tuned cosine if it was" in PAGE
    assert f"and with {constant:.2f} × if it was tuned" in PAGE
    sawtooth = geometric(ratios["PlateauSequence(Sawtooth())"])
    assert f"tiny tasks only: {sawtooth:.2f} ×, against {constant:.2f} × for the same tuned rate held constant" in PAGE
    members = [
        record["runs"]["race *"]["runs"]
        for task in race_records("race_quality").values()
        for record in task
        if "race *" in record.get("runs", {})
    ]
    assert lines[6][4] == f"{fmean(members):.2f}"


def test_race_on_larger_tasks():
    ratios = race_ratios("race_quality-large")
    tasks = {task: race_losses(records)[1] for task, records in race_records("race_quality-large").items()}
    assert list(tasks) == ["cifar10", "finetune-mnist"]
    charged, free = (
        [f"{tasks[task][name] / tasks[task][COSINE]:.2f} ×" for task in tasks] for name in ("race", "race *")
    )
    assert len(ratios["race"]) == 2
    assert f"it ends with {' and '.join(charged)}, or {' and '.join(free)} if its extra steps are not charged" in PAGE


def test_race_on_text():
    (records,) = race_records("race_quality-large-text").values()
    losses = race_losses(records)[1]
    charged, free = (f"{losses[name] / losses[COSINE]:.2f} ×" for name in ("race", "race *"))
    assert f"on a character transformer (2 seeds), with {charged} or {free}" in PAGE
    constant = losses["default rate, constant"]
    assert constant == min(losses.values())
    assert f"default rate, held constant, ends lower than all of these, with {constant / losses[COSINE]:.2f} ×" in PAGE


def test_the_best_peaks_of_the_tiny_tasks():
    best = {task: race_losses(records)[2][COSINE] for task, records in race_records("race_quality").items()}
    adam = [factor for task, factor in best.items() if "adam" in task]
    assert len(best) == 24
    assert f"on the {len(adam)} of the 24 tasks" in PAGE
    assert f"was {min(adam):.0f} to {max(adam):.0f} times 1e-3 (median {median(adam):.0f} times)" in PAGE
    tuned = sorted(factor for task, factor in best.items() if task.startswith("finetune") and "momentum" in task)
    assert f"it was {tuned[0]:.2f} and {tuned[1]:.2f} times 0.01" in PAGE


def test_the_figures_on_range_tests():
    from benchmarks.costs import range_test_quality

    tasks = defaultdict(list)
    for line in (RESULTS / "range_test_quality" / "runs.jsonl").read_text().splitlines():
        record = json.loads(line)
        tasks[record["task"]].append(record)
    held_out = {line[0]: line[3:5] for line in range_test_quality.totals(tasks, range_test_quality.RECIPE)[1:]}
    assert f"it ended with {held_out['lrsched'][0]} × the loss of the best rate of a grid" in PAGE
    assert f"a tenth of fastai's minimum with {held_out['fastai minimum / 10'][0]} ×" in PAGE
    assert f"Ten times the default rate ended with {held_out['no test: default × 10'][0]} ×" in PAGE
    assert f"the default rate with {held_out['no test: default rate'][0]} ×" in PAGE
    claim = range_test_quality.verdict(tasks)
    ratio, low, high, n, worst = re.search(
        r"means ([\d.]+) \(95 % interval by bootstrap ([\d.]+)-([\d.]+), n = (\d+) tasks\), worst ([\d.]+)", claim
    ).groups()
    assert f"(ratio {ratio}, 95 % interval {low} to {high}: within noise)" in PAGE
    assert f"On {n} tasks that its rule was not chosen on" in PAGE
    assert f"both tests ended with {float(worst):.0f} ×" in PAGE
