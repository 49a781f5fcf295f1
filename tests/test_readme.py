"""The README and the other pages: their blocks run, their links and commands exist, their figures are what came out."""

import json
import re
import shlex
from importlib.metadata import metadata
from itertools import chain, cycle, islice
from math import prod
from pathlib import Path

import pytest
import torch
from torch.optim import lr_scheduler as T  # noqa: N812

import lrsched
from benchmarks.__main__ import listing
from lrsched import (
    Cosine,
    CosineRestarts,
    Function,
    Geometric,
    Inverse,
    InverseTime,
    Linear,
    OneCycle,
    Piecewise,
    Polynomial,
    SequenceLR,
    Warmup,
    WarmupStableDecay,
)
from lrsched.__main__ import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FINDER = (ROOT / "docs" / "finder.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README + FINDER, re.DOTALL)
LONGEST = 21  # lines of an example that brings its own data, model and training loop
LR = 0.4


def run(call):
    """Run the one example with this call in an empty namespace, as a reader who pastes it, and return its names."""
    (example,) = (code for code in EXAMPLES if call in code)
    names = {"__name__": "__main__"}
    exec(example, names)
    return names


def test_examples_are_short():
    assert len(EXAMPLES) == 7
    for example in EXAMPLES:
        assert len([line for line in example.splitlines() if line.strip()]) <= LONGEST


def test_the_example_of_a_schedule_ends_at_a_tenth(capsys):
    names = run("SequenceLR(optimizer, Warmup(50)")
    assert names["scheduler"].last_epoch == 1000
    assert names["optimizer"].param_groups[0]["lr"] == pytest.approx(1e-4)
    assert capsys.readouterr().out.startswith("[0.0001")


def test_the_example_of_a_plateau_follows_the_loss(capsys):
    scheduler = run("PlateauSequence(optimizer")["scheduler"]
    assert scheduler.last_epoch == 50
    assert scheduler.position >= 1
    assert scheduler.events[0].epoch * 16 > 30  # the warm-up of 30 steps, 16 an epoch, was over
    assert scheduler.events[0].old_lrs == [0.1]
    assert scheduler.get_last_lr()[0] < 0.1
    assert capsys.readouterr().out == f"{scheduler}\n"


def test_the_example_of_a_range_test_finds_a_rate(capsys):
    names = run("range_test(")
    curve = names["curve"]
    assert 0.02 < curve.suggestion < 0.5
    assert names["optimizer"].param_groups[0]["lr"] == curve.suggestion
    assert curve.warning is None
    assert f"{curve.suggestion}" in capsys.readouterr().out


def test_the_example_of_a_sweep_trains_side_by_side(capsys):
    sweep = run("lr_sweep(")["sweep"]
    assert sweep.losses.shape == (60, 4)
    assert 0.05 < sweep.suggestion < 2
    assert "side by side" in capsys.readouterr().out


def test_the_example_of_a_race_can_be_continued_to_the_end(capsys):
    names = run("start = race(")
    start, model, scheduler, loss_fn = (names[name] for name in ("start", "model", "scheduler", "loss_fn"))
    assert start.lr > 0.001  # the optimizer's own rate is too low
    assert start.position == scheduler.last_epoch == 100
    assert f"{start.lr}" in capsys.readouterr().out
    for inputs, targets in islice(chain(start.batches, cycle(names["train"])), 700):
        start.optimizer.zero_grad()
        loss_fn(model(inputs), targets).backward()
        start.optimizer.step()
        scheduler.step()
    assert start.optimizer.param_groups[0]["lr"] == 0  # the end of the sequence
    with torch.no_grad():
        assert all(loss_fn(model(inputs), targets) < 0.3 for inputs, targets in names["valid"])


def test_the_example_of_compare_trains_fifteen_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    report = run("compare(")["report"]
    assert "| validation loss − fixed" in capsys.readouterr().out
    assert len(report.runs) == len((tmp_path / "runs.jsonl").read_text().splitlines()) == 15


def anchors(page):
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_exist(page):
    for path, _, anchor in (link.partition("#") for link in re.findall(r"\]\((?!http)([^)]+)\)", page.read_text())):
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


def test_the_commands_use_extras_that_exist():
    extras = metadata("torch-lrsched").get_all("Provides-Extra")
    used = re.findall(r'\.\[(\w+)\]"', README)
    assert used == ["plot", "bench", "test"]
    assert set(used) <= set(extras)


def test_the_commands_that_look_at_schedules_run(tmp_path, monkeypatch, capsys):
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    Image.linear_gradient("L").save("photo.jpg")
    commands = re.findall(r"^lrsched (.*)$", README, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        main(shlex.split(command))
    assert (tmp_path / "out.png").stat().st_size > 10_000
    first, *table, last = capsys.readouterr().out.splitlines()
    assert first == "wrote out.png (3 schedules, 111 steps)"
    assert len(table) == 51
    assert last == "wrote out.png (4800 learning rates)"


def test_the_benchmarks_named_exist():
    named = {name for page in PAGES for name in re.findall(r"-m benchmarks\s+(\w+)", page.read_text())}
    assert {"digits", "step_cost"} <= named <= set(listing().split())


def follow(make, steps=60):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=LR)
    scheduler = make(optimizer)
    lrs = []
    for _ in range(steps):
        lrs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return lrs


def shrinking(k):
    return 1 - 1 / (k + 1)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (lambda opt: T.ExponentialLR(opt, 0.9), Geometric(0.9)),
        (lambda opt: T.StepLR(opt, 7, 0.5), Geometric(0.5).every(7)),
        (lambda opt: T.MultiStepLR(opt, [10, 30], 0.1), Piecewise([10, 30], [1, 0.1, 0.01])),
        (lambda opt: T.ConstantLR(opt, 0.25, 12), Piecewise([12], [0.25, 1])),
        (lambda opt: T.LinearLR(opt, 0.25, 1.0, 12), Warmup(12, 0.25)),
        (lambda opt: T.LinearLR(opt, 1.0, 0.25, 12), Linear(12, 0.25)),
        (lambda opt: T.PolynomialLR(opt, 20, 3.0), Polynomial(20, 3.0)),
        (lambda opt: T.CosineAnnealingWarmRestarts(opt, 15), CosineRestarts(15)),
        (lambda opt: T.CosineAnnealingWarmRestarts(opt, 7, 2, 0.1), CosineRestarts(7, mult=2, end=0.1 / LR)),
        (
            lambda opt: T.MultiplicativeLR(opt, shrinking),
            Function(lambda k: prod(map(shrinking, range(1, k + 1)))),
        ),
        (lambda opt: T.MultiplicativeLR(opt, lambda k: 0.9), Geometric(0.9)),
        (
            lambda opt: T.SequentialLR(opt, [T.LinearLR(opt, 0.5, 1.0, 5), T.ExponentialLR(opt, 0.9)], [5]),
            Warmup(5, 0.5).then(Geometric(0.9)),
        ),
        (
            lambda opt: T.ChainedScheduler([T.ConstantLR(opt, 0.5, 4), T.ExponentialLR(opt, 0.9)]),
            Piecewise([4], [0.5, 1]) * Geometric(0.9),
        ),
        (lambda opt: T.LambdaLR(opt, lambda k: 1 / (k + 1)), Inverse()),
        (lambda opt: T.LambdaLR(opt, lambda k: 1 / (k + 2)), Function(lambda k: 1 / (k + 2))),
        (lambda opt: T.LambdaLR(opt, lambda k: 1 / (1 + 0.01 * k)), InverseTime(0.01)),  # Keras' formula
    ],
    ids=lambda value: "" if callable(value) and not isinstance(value, lrsched.Sequence) else repr(value),
)
def test_the_rows_without_a_difference_have_none(theirs, ours):
    assert follow(lambda opt: SequenceLR(opt, ours)) == pytest.approx(follow(theirs), rel=1e-12)


def test_the_cosine_row():
    ours = follow(lambda opt: SequenceLR(opt, Cosine(20, end=0.1 / LR)))
    theirs = follow(lambda opt: T.CosineAnnealingLR(opt, 20, 0.1))
    assert ours[:21] == pytest.approx(theirs[:21], rel=1e-12)
    assert ours[21:] == [pytest.approx(0.1)] * 39
    assert theirs[40] > 0.3


def plateau_and_warm_up(optimizer, plateau, warmup=None):
    """Return the rates of 40 steps, each followed by a metric; the loss is flat from the 20th on."""
    lrs = []
    for step in range(40):
        lrs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if warmup is not None:
            warmup.step()
        plateau.step(1.0 / min(step + 1, 20))
    return lrs


def test_the_rows_of_a_plateau_and_of_a_warm_up_beside_it():
    optimizers = [torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=LR) for _ in range(2)]
    plateau = T.ReduceLROnPlateau(optimizers[0], factor=0.5, eps=0)
    theirs = plateau_and_warm_up(optimizers[0], plateau, T.LinearLR(optimizers[0], 0.25, 1.0, 12))
    warmup = Warmup(12, 0.25)
    scheduler = lrsched.PlateauSequence(optimizers[1], Geometric(0.5), on="patience", warmup=warmup)
    assert plateau_and_warm_up(optimizers[1], scheduler) == pytest.approx(theirs, rel=1e-12)
    assert theirs[0] == LR / 4
    assert theirs[12:31] == pytest.approx([LR] * 19)
    assert theirs[31:] == pytest.approx([LR / 2] * 9)


def test_two_schedulers_multiply_as_the_chained_row_says():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=LR)
    pair = [SequenceLR(optimizer, Geometric(0.9)), SequenceLR(optimizer, Cosine(20))]
    for k in range(20):
        expected = LR * (Geometric(0.9) * Cosine(20))(k)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected, rel=1e-12)
        optimizer.step()
        for scheduler in pair:
            scheduler.step()


def test_the_step_decay_row():
    ours = follow(lambda opt: lrsched.StepDecayLR(opt, 0.5, 7))
    theirs = follow(lambda opt: T.StepLR(opt, 7, 0.5))
    assert ours[:-1] == pytest.approx(theirs[1:], rel=1e-12)


def test_the_one_cycle_row():
    def momentum(make):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=LR, momentum=0.9)
        scheduler, seen = make(optimizer), []
        for _ in range(29):
            seen.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))
            optimizer.step()
            scheduler.step()
        return seen

    theirs, ours = (momentum(lambda opt, kind=kind: kind(opt, LR, 30)) for kind in (T.OneCycleLR, lrsched.OneCycleLR))
    assert [x for pair in ours for x in pair] == pytest.approx([x for pair in theirs for x in pair], rel=1e-12)
    assert (LR * OneCycle(30).values(29)).tolist() == pytest.approx([rate for rate, _ in theirs], rel=1e-10)


def test_no_row_is_left_open():
    rows = re.findall(r"^\|(.*)\|$", README, re.MULTILINE)
    assert len(rows) > 45
    assert not [row for row in rows if "–" in re.split(r" \| ", row)[1:2]]
    named = {name for name, kind in vars(T).items() if isinstance(kind, type) and issubclass(kind, T.LRScheduler)}
    missing = {name for name in named if not re.search(rf"`{name}\(|a `{name}\(", README)}
    assert missing == {"LRScheduler", "_LRScheduler"} & named


def test_the_compositions_of_the_first_screen():
    cosine = Warmup(500).then(Cosine(9_500, end=0.1))
    assert [cosine(k) for k in (0, 250, 500, 5250, 10_000)] == pytest.approx([0, 0.5, 1, 0.55, 0.1])
    stable = WarmupStableDecay(500, 8_500, 1_000)
    assert [stable(k) for k in (0, 250, 500, 9000, 9500, 10_000, 20_000)] == [0, 0.5, 1, 1, 0.5, 0, 0]
    assert [k for k in range(100) if CosineRestarts(10, mult=2)(k) == 1] == [0, 10, 30, 70]
    by_epoch = Warmup(5, start=0.2).then(Inverse())
    assert by_epoch.values(8).tolist() == pytest.approx([0.2, 0.36, 0.52, 0.68, 0.84, 1, 1 / 2, 1 / 3])
    assert Inverse()(3) == 0.25


def test_the_costs_of_a_step_are_those_measured():
    costs = json.loads((ROOT / "benchmarks" / "results" / "step_cost" / "step_cost.json").read_text())["costs"]
    plateau = [cost for cost in costs if cost["name"].startswith("PlateauSequence")]
    others = [round(cost["ratio"], 2) for cost in costs if cost not in plateau]
    assert f"takes {min(others):.2f} to {max(others):.2f} of the time" in README
    floats = {cost["groups"]: cost["ratio"] for cost in plateau if cost["lrs"] == "float"}
    assert {round(cost["ours"]) for cost in plateau} == {6}
    assert "takes about 6 µs for any number" in " ".join(README.split())
    said = f"{floats[1]:.1f} times as long as `ReduceLROnPlateau` with one group, {floats[1000]:.2f} times as long"
    assert said in " ".join(README.split())


RESULTS = {  # a row of the README: its group and name in the table of record
    "0.001, Adam": ("Benchmark", "Adam"),
    "0.001, SGD": ("Benchmark", "SGD"),
    "0.01/√n, n grows every epoch": ("By epoch", "seq2"),
    "0.01/√n, n grows when the loss rises (`Oscillation`)": ("By oscillate", "seq2"),
    "0.01/√n, n grows when the loss stalls (`Cutoff`)": ("By cutoff", "seq2"),
}


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def recorded(folder):
    """Return the first table of a benchmark, as a dict of rows by (group, name)."""
    table = (ROOT / "benchmarks" / "results" / folder / "table.md").read_text().split("\n\n")[1]
    head, _, *lines = [cells(line) for line in table.splitlines()]
    rows, group = {}, ""
    for line in lines:
        group = line[0] or group
        rows[group, line[1]] = dict(zip(head, line, strict=False))
    return rows


def test_the_results_are_those_recorded():
    block = re.search(r"<!-- results: begin -->(.*?)<!-- results: end -->", README, re.DOTALL).group(1)
    _, _, *shown = [cells(line) for line in block.strip().splitlines()]
    table = recorded("cifar10")
    expected = []
    for label, key in RESULTS.items():
        row = table[key]
        expected.append([label, row["Accuracy"], f"{row['Stuck']} of {row['n']}", row["Published"]])
    assert shown == expected
    assert f"Five of the {len(table)} rows" in README
