"""The README: its example runs, and its table says what is so."""

import re
from importlib.metadata import metadata
from pathlib import Path

import pytest
import torch
from torch.optim import lr_scheduler as T  # noqa: N812

import lrsched
from lrsched import Constant, Cosine, Geometric, Inverse, Linear, Piecewise, Polynomial, SequenceLR, Warmup

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
EXAMPLE = re.search(r"```python\n(.*?)```", README, re.DOTALL).group(1)
LR = 0.4


def test_the_example_has_ten_lines_at_most_and_runs():
    assert len([line for line in EXAMPLE.splitlines() if line.strip()]) <= 10
    losses = iter([1.0, 0.9, *[0.899 - 1e-9 * i for i in range(48)]])
    names = {"train": lambda model, optimizer: optimizer.step(), "validate": lambda model: next(losses)}
    exec(EXAMPLE, names)
    scheduler = names["scheduler"]
    assert scheduler.last_epoch == 50
    # 0.9 → 0.899 is below the cutoff of 0.01, then of 0.002 and, at last, 1e-9 below every one down to 0.01·0.2^10
    assert scheduler.position > 2
    assert scheduler.get_last_lr()[0] < 0.01


def test_the_example_of_compare_has_ten_lines_at_most_and_runs(tmp_path, monkeypatch, capsys):
    example = next(code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "compare(" in code)
    assert len([line for line in example.splitlines() if line.strip()]) <= 10
    monkeypatch.chdir(tmp_path)
    x = torch.linspace(-1, 1, 128).reshape(128, 1)
    names = {
        "model_fn": lambda: torch.nn.Linear(1, 1),
        "loss_fn": lambda model, batch: (model(batch[0]) - batch[1]).square().mean(),
        "train": (x, x.exp()),
        "valid": (x, x.exp()),
    }
    exec(example, names)
    assert "| validation loss − fixed" in capsys.readouterr().out
    assert len(names["report"].runs) == len((tmp_path / "runs.jsonl").read_text().splitlines()) == 15


def test_the_example_of_a_sweep_has_ten_lines_at_most_and_runs(capsys):
    example = next(code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "lr_sweep(" in code)
    assert len([line for line in example.splitlines() if line.strip()]) <= 10
    x = torch.linspace(-1, 1, 128).reshape(128, 1)
    names = {
        "model": torch.nn.Linear(1, 1),
        "loss_fn": lambda model, batch: (model(batch[0]) - batch[1]).square().mean(),
        "loader": [(x[i::4], x[i::4].exp()) for i in range(4)],
    }
    exec(example, names)
    assert names["sweep"].losses.shape == (60, 4)
    assert "side by side" in capsys.readouterr().out


def test_what_it_shows_is_there():
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        paths = re.findall(r"\]\((?!http|#)([^)#]+)", page.read_text())
        assert paths
        for path in paths:
            assert (page.parent / path).exists(), f"{page}: {path}"


def test_the_commands_use_extras_that_exist():
    extras = metadata("torch-lrsched").get_all("Provides-Extra")
    used = re.findall(r'\.\[(\w+)\]"', README)
    assert used == ["bench", "test"]
    assert set(used) <= set(extras)


def follow(make, steps=60):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=LR)
    scheduler = make(optimizer)
    lrs = []
    for _ in range(steps):
        lrs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return lrs


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
        (lambda opt: T.CosineAnnealingWarmRestarts(opt, 15), Cosine(15).repeated(15)),
        (
            lambda opt: T.SequentialLR(opt, [T.LinearLR(opt, 0.5, 1.0, 5), T.ExponentialLR(opt, 0.9)], [5]),
            Warmup(5, 0.5).then(Geometric(0.9), at=5),
        ),
        (
            lambda opt: T.ChainedScheduler([T.ConstantLR(opt, 0.5, 4), T.ExponentialLR(opt, 0.9)]),
            Piecewise([4], [0.5, 1]) * Geometric(0.9),
        ),
        (lambda opt: T.LambdaLR(opt, lambda k: 1 / (k + 1)), Inverse()),
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


def test_the_step_decay_row():
    ours = follow(lambda opt: lrsched.StepDecayLR(opt, 0.5, 7))
    theirs = follow(lambda opt: T.StepLR(opt, 7, 0.5))
    assert ours[:-1] == pytest.approx(theirs[1:], rel=1e-12)


def test_the_compositions_of_the_first_screen():
    stable = Warmup(500).then(Constant(), at=500).then(Linear(1000), at=9000)
    assert [stable(k) for k in (0, 250, 500, 9000, 9500, 10_000, 20_000)] == [0, 0.5, 1, 1, 0.5, 0, 0]
    assert [(Warmup(5) * Inverse())(k) for k in (0, 1, 5)] == [0, 0.1, 1 / 6]
    assert Inverse()(3) == 0.25


def test_what_is_said_of_which_schedule_is_what_came_out():
    page = (ROOT / "docs" / "which_schedule.md").read_text()
    result = (ROOT / "benchmarks" / "results" / "digits" / "table.md").read_text()
    quoted = re.findall(r"0\.\d{4} ± 0\.\d{4}", page)
    assert len(quoted) == 14
    assert all(value in result for value in quoted)
    rows = re.findall(r"^\| ([\w-]+) \| ([\d. ]+) \|$", result, re.MULTILINE)
    seeds = {name: [*map(float, values.split())] for name, values in rows}
    pairs = [
        (by_loss, by_epoch)
        for sequence in ("seq1", "seq2", "seq3", "seq4")
        for rule in ("cutoff", "oscillate")
        for by_loss, by_epoch in zip(seeds[f"{sequence}-{rule}"], seeds[f"{sequence}-epoch"], strict=True)
    ]
    assert len(pairs) == 40
    assert sum(a > b for a, b in pairs) == 38
    assert sum(a == b for a, b in pairs) == 2
    assert sum(a > b for a, b in zip(seeds["adam"], seeds["seq4-cutoff"], strict=True)) == 4


def test_what_is_said_of_mnist_is_what_came_out():
    result = (ROOT / "benchmarks" / "results" / "mnist" / "table.md").read_text()
    rows = re.findall(r"^\| ([\w-]+) \| ([\d.* ]+) \|$", result, re.MULTILINE)
    seeds = {name: [float(value.strip("*")) for value in values.split()] for name, values in rows}
    ahead = [
        by_loss - by_epoch
        for sequence in ("seq1", "seq2", "seq3", "seq4")
        for rule in ("cutoff", "oscillate")
        for by_loss, by_epoch in zip(seeds[f"{sequence}-{rule}"], seeds[f"{sequence}-epoch"], strict=True)
    ]
    assert len(ahead) == 16
    assert (round(min(ahead), 3), round(max(ahead), 3)) == (0.001, 0.008)
    for i, best in enumerate(seeds.pop("adam")):
        assert best > max(values[i] for values in seeds.values())


def test_the_digits_table_is_the_one_that_came_out():
    block = re.search(r"<!-- digits: begin -->(.*?)<!-- digits: end -->", README, re.DOTALL).group(1)
    shown = [line for line in block.splitlines() if line.startswith("|")]
    result = (ROOT / "benchmarks" / "results" / "digits" / "table.md").read_text()
    assert len(shown) == 16
    assert "\n".join(shown) in result
