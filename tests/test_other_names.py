"""The README's tables of transformers' and timm's names: what each row says is read from the page and compared."""

import math
import re
from pathlib import Path

import pytest
import torch
import transformers

import lrsched
from lrsched import PlateauSequence

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
LR, N, W = 0.4, 60, 10
VALUES = {"lr": LR, "n": N, "w": W, "c": 3, "p": 1.5, "e": 0.1, "t": 2, "s": 0.05, "d": 20, "m": 0.1, "g": 0.5, "r": 7}
VALUES |= {"a": -7, "b": 3}
NAMES = {**vars(lrsched), "tanh": math.tanh, "by_name": lrsched.by_name}


def rows(heading):
    """Return the rows of the table with this heading, as pairs of cells."""
    table = re.search(rf"^\| {re.escape(heading)}[^\n]*\n\|[-|]+\n(.*?)\n\n", README, re.DOTALL | re.MULTILINE).group(1)
    return [tuple(cell.strip() for cell in line.strip("| ").split(" | ")) for line in table.splitlines()]


def ours(cell, **more):
    """Return the sequence that the first `f = …` of a cell makes."""
    return eval(re.search(r"`f = (.*?)`", cell).group(1), {**NAMES, **VALUES, **more})


# transformers


def hugging_face(name, options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=LR)
    scheduler = transformers.get_scheduler(name, optimizer, W, N, scheduler_specific_kwargs=options)
    rates = []
    for _ in range(N + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


CASES = [
    (name, {key: VALUES.get(value, value.strip('"')) for key, value in re.findall(r"`(\w+)=([^`]+)`", theirs)}, cell)
    for theirs, cell in rows("transformers, `get_scheduler")
    for name in re.findall(r'`"(\w+)"`', theirs)
    if "f = " in cell
]


@pytest.mark.parametrize(("name", "options", "cell"), CASES, ids=[case[0] for case in CASES])
def test_the_rows_of_transformers(name, options, cell):
    sequence = ours(cell, name=name)
    assert (LR * sequence.values(N + 1)).tolist() == pytest.approx(hugging_face(name, options), rel=1e-9, abs=1e-15)


def test_every_name_of_transformers_is_in_the_table():
    said = set(re.findall(r'"(\w+)"', README[README.index("| transformers, ") :]))
    assert {kind.value for kind in transformers.SchedulerType} <= said


def test_the_plateau_row_of_transformers():
    scheduler = PlateauSequence(torch.optim.SGD([torch.ones(1)], lr=LR), lrsched.Geometric(0.5), on="patience")
    theirs = transformers.get_scheduler(
        "reduce_lr_on_plateau", torch.optim.SGD([torch.ones(1)], lr=LR), scheduler_specific_kwargs={"factor": 0.5}
    )
    for loss in [1.0] * 40:
        scheduler.step(loss)
        theirs.step(loss)
        assert scheduler.get_last_lr() == pytest.approx(theirs.get_last_lr())
    assert scheduler.get_last_lr() == [LR / 8]


# timm, by its documented formulas: it is not among the packages that the tests need


def cosine(t, c=1):
    cycle, rest = divmod(t, N)
    low, high = VALUES["m"], LR
    return low + 0.5 * (high - low) * (1 + math.cos(math.pi * rest / N)) if cycle < c else low


def poly(t):
    return 0.1 + (LR - 0.1) * (1 - t / N) ** VALUES["p"] if t < N else 0.1


def tanh(t):
    return 0.5 * LR * (1 - math.tanh(-7 * (1 - t / N) + 3 * t / N)) if t < N else 0.0


def wsd(t):
    if t < W:
        return LR * t / W
    decayed = min(max(0, t - W - (N - VALUES["d"])) / VALUES["d"], 1)
    return 0.1 + (LR - 0.1) * (1 - math.sqrt(decayed))


def step(t):
    return LR * 0.5 ** (t // 7)


def multi_step(t):
    return LR * 0.1 ** ((t + 1 >= 30) + (t + 1 >= 80))


@pytest.mark.parametrize(
    ("begins", "formula"),
    [
        ("`CosineLRScheduler(opt, n, lr_min=m)`", cosine),
        ("the same, with `cycle_limit=c`", lambda t: cosine(t, c=3)),
        ("`PolyLRScheduler(", poly),
        ("`TanhLRScheduler(", tanh),
        ("`WSDLRScheduler(", wsd),
        ("`StepLRScheduler(", step),
        ("`MultiStepLRScheduler(", multi_step),
    ],
    ids=["cosine", "cosine cycles", "poly", "tanh", "wsd", "step", "multi-step"],
)
def test_the_rows_of_timm(begins, formula):
    (cell,) = (cell for theirs, cell in rows("timm") if theirs.startswith(begins))
    expected = [formula(t) for t in range(4 * N)]
    assert (LR * ours(cell).values(4 * N)).tolist() == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_growing_cycles_of_timm():
    assert any("`CosineRestarts(n, mult=t, end=m/lr)`" in cell for _, cell in rows("timm"))
    restarts = lrsched.CosineRestarts(N, mult=2, end=0.1 / LR)
    for t in range(N + 2 * N + 5):
        i = math.floor(math.log(1 + t / N, 2))
        rest = t - (2**i - 1) * N
        expected = 0.1 + 0.5 * (LR - 0.1) * (1 + math.cos(math.pi * rest / (2**i * N)))
        assert LR * restarts(t) == pytest.approx(expected)


@pytest.mark.parametrize("prefix", [True, False])
def test_a_warm_up_of_timm(prefix):
    (cell,) = (cell for theirs, cell in rows("timm") if f"`warmup_prefix={prefix}`" in theirs)
    f = lrsched.Cosine(N, end=0.1 / LR)
    sequence = eval(cell.strip("`"), {**NAMES, **VALUES, "f": f})
    expected = [0.05 + t * (LR - 0.05) / W if t < W else cosine(t - W if prefix else t) for t in range(2 * N)]
    assert (LR * sequence.values(2 * N)).tolist() == pytest.approx(expected)


def test_the_plateau_row_of_timm():
    (cell,) = (cell for theirs, cell in rows("timm") if theirs.startswith("`PlateauLRScheduler("))
    optimizers = [torch.optim.SGD([torch.ones(1)], lr=LR) for _ in range(2)]
    scheduler = eval(cell.strip("`"), {**NAMES, **VALUES, "opt": optimizers[0], "p": 3})
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizers[1], factor=0.5, patience=3, mode="max")
    for accuracy in [0.1, 0.2, 0.3, *[0.3] * 12]:
        scheduler.step(accuracy)
        theirs.step(accuracy)
        assert scheduler.get_last_lr() == pytest.approx(theirs.get_last_lr())
    assert scheduler.get_last_lr()[0] < LR / 2
