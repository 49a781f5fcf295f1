"""docs/coming_from.md: the rows of fastai, by its formulas, and the tables that the page takes from the README."""

import math
import re
from pathlib import Path

import pytest
import torch

import lrsched
from lrsched import Geometric, PlateauSequence

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "coming_from.md").read_text(encoding="utf-8")
LR, N = 0.4, 60
VALUES = {"n": N, "b": 10, "p": 0.25, "d": 25, "e": 1e5, "c": 1, "m": 2, "s": 0.8}
NAMES = {**vars(lrsched), **VALUES}


def row(begins):
    """Return the cell of the row whose first cell begins with this text."""
    (line,) = (line for line in PAGE.splitlines() if line.startswith(f"| `{begins}"))
    return line.strip("| ").split(" | ")[1]


def integers(code):
    """Return the code of a cell with p*n as an integer, as the page says."""
    return code.replace("p*n", str(int(VALUES["p"] * N)))


def factors(code, **more):
    """Return the first n factors of the sequence that the code makes."""
    return eval(integers(code.removeprefix("f = ")), {**NAMES, **more}).values(N).tolist()


def sched_cos(start, end, pos):
    return start + (1 + math.cos(math.pi * (1 - pos))) * (end - start) / 2


def combined_cos(pct, start, middle, end, pos):
    return sched_cos(start, middle, pos / pct) if pos < pct else sched_cos(middle, end, (pos - pct) / (1 - pct))


def sgdr(pos):
    """One epoch, two, then three of the four of the next cycle."""
    k = pos * N
    start, length = next((s, c) for s, c in ((0, 10), (10, 20), (30, 40)) if k < s + c)
    return sched_cos(1, 0, (k - start) / length)


@pytest.mark.parametrize(
    ("begins", "formula"),
    [
        ("fit_one_cycle(", lambda pos: combined_cos(0.25, 1 / 25, 1, 1e-5, pos)),
        ("fit_flat_cos(", lambda pos: combined_cos(0.25, 1, 1, 1e-5, pos)),
        ("fit_sgdr(", sgdr),
    ],
    ids=["one cycle", "flat cosine", "sgdr"],
)
def test_the_fits_of_fastai(begins, formula):
    (code,) = re.findall(r"`(f = .*?)`", row(begins))
    assert factors(code) == pytest.approx([formula(k / N) for k in range(N)], rel=1e-9, abs=1e-12)


def test_the_annealers_of_fastai():
    share = [k / N for k in range(N)]
    (ramp,) = re.findall(r"`(f = .*?)`", row("SchedLin("))
    assert factors(ramp, e=0.1) == pytest.approx([0.8 + pos * (0.1 - 0.8) for pos in share])
    assert '`scale="log"`' in row("SchedLin(")
    log = ramp.replace('"linear"', '"log"')
    assert factors(log, e=0.1) == pytest.approx([0.8 * (0.1 / 0.8) ** pos for pos in share])
    cosine, poly = re.findall(r"`(f = .*?)`", row("SchedCos("))
    assert factors(cosine) == pytest.approx([sched_cos(0.8, 0, pos) for pos in share])
    assert factors(poly, p=3) == pytest.approx([0.8 + (0 - 0.8) * pos**3 for pos in share])


def test_two_schedules_in_a_row():
    (code,) = re.findall(r"`(f\.then.*?)`", row("combine_scheds("))
    both = factors(code, f=lrsched.Warmup(15), g=lrsched.Linear(45))
    assert both == pytest.approx([k / 15 for k in range(15)] + [1 - k / 45 for k in range(45)])


def reduce_lr_on_plateau(losses, patience, factor, min_delta):
    """fastai's callback, after its source."""
    lr, best, wait, found = LR, float("inf"), 0, []
    for loss in losses:
        if loss + min_delta < best:
            best, wait = loss, 0
        else:
            wait += 1
            if wait >= patience:
                lr, wait = lr / factor, 0
        found.append(lr)
    return found


@pytest.mark.parametrize("patience", [1, 3])
def test_the_plateau_of_fastai(patience):
    (code,) = re.findall(r"`(PlateauSequence.*?)`", row("ReduceLROnPlateau("))
    optimizer = torch.optim.SGD([torch.ones(1)], lr=LR)
    scheduler = eval(code, {**NAMES, "opt": optimizer, "p": patience, "g": 10.0, "d": 0.05})
    losses = [1.0, 0.9, 0.87, 0.86, 0.85, 0.84, 0.6, 0.7, 0.7, 0.7, 0.7, 0.7]
    found = []
    for loss in losses:
        optimizer.step()
        scheduler.step(loss)
        found += scheduler.get_last_lr()
    assert found == pytest.approx(reduce_lr_on_plateau(losses, patience, 10.0, 0.05))
    assert found[-1] < LR
    assert scheduler.rule.patience == patience - 1
    assert isinstance(scheduler, PlateauSequence)
    assert scheduler.sequence == Geometric(0.1)


def test_the_suggestions_of_lr_find():
    curve = lrsched.Curve([0.01, 0.1, 1.0, 10.0], [1.0, 0.9, 0.3, 5.0])
    assert set(re.findall(r'"(.*?)"', row("lr_find("))) <= set(curve.suggestions)


def test_the_other_tables_are_those_of_the_readme():
    names = re.findall(r"<!-- table: (\w+) -->", PAGE)
    assert names == ["torch", "transformers", "timm"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in names:
        assert len(re.findall(rf"^\| {name}\b", readme, re.MULTILINE)) == 1
