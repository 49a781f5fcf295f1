"""Progress is shown on stderr, by tqdm or in lines, and only if asked for."""

import math
import re
import sys
from functools import partial

import pytest
import torch

from lrsched import Linear, lr_sweep, race, range_test
from lrsched._progress import progress_bar


def loss_fn(model, batch):
    return (model(batch) - 1.0).square().mean()


def ranged(loss_fn=loss_fn, **options):
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return range_test(model, optimizer, loss_fn, BATCHES, end_lr=1e-3, steps=10, repeats=2, **options)


def swept(loss_fn=loss_fn, lrs=(0.001, 0.01, 0.1), **options):
    return lr_sweep(small(), sgd, loss_fn, BATCHES, lrs, steps=(1, 8), **options)


def raced(loss_fn=loss_fn, **options):
    lrs = (0.001, 0.01, 0.1, 0.02)
    return race(small(), sgd, loss_fn, BATCHES, Linear(64), lrs, steps=64, eval_batches=BATCHES, **options)


def small():
    torch.manual_seed(0)
    return torch.nn.Linear(2, 1)


BATCHES = [torch.eye(2)]
sgd = partial(torch.optim.SGD, lr=0.1)
CALLS = {
    "range test": ranged,
    "sweep one after another": partial(swept, vectorize=False),
    "sweep side by side": partial(swept, vectorize=True),
    "sweep in chunks": partial(swept, vectorize=True, chunk=2),
    "sweep that masks": partial(swept, stop_above=1.5),
    "race one after another": partial(raced, vectorize=False),
    "race side by side": partial(raced, vectorize=True),
}
by_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@pytest.fixture
def no_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)


def test_nothing_is_shown_unless_asked_for(capfd):
    with progress_bar(False, "test", 3) as advance:
        assert advance is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("no_tqdm")
def test_without_tqdm_every_tenth_of_the_steps_gives_a_line(capsys):
    with progress_bar(True, "test", 25) as advance:
        for k in range(25):
            advance(f"loss {k}")
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 10
    assert lines[0] == "test: 3/25, loss 2"  # 3 is the first number of steps that is a tenth of 25
    assert lines[-1] == "test: 25/25, loss 24"


def test_with_tqdm_there_is_a_bar(capsys):
    pytest.importorskip("tqdm")
    with progress_bar(True, "my test", 2) as advance:
        advance("loss 1")
        advance("loss 2")
    out, err = capsys.readouterr()
    assert out == ""
    assert "my test" in err
    assert "\n" not in err.strip()


@pytest.mark.usefixtures("no_tqdm")
def test_a_range_test_shows_its_progress_beside_the_callback(capsys):
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    points = []
    curve = range_test(
        model,
        optimizer,
        lambda model, batch: model(batch).square().mean(),
        [torch.eye(2)],
        end_lr=1e-3,
        steps=10,
        repeats=2,
        progress=True,
        callback=lambda *point: points.append(point),
    )
    assert len(points) == 20
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == f"range test: 20/20, lr 0.001, loss {curve.all_losses[1, -1]:.4g}"
    assert len(lines) == 10


# ---------------------------------------------------------------- every long call of the finder


@by_call
@pytest.mark.usefixtures("no_tqdm")
def test_lines_rise_to_the_total_and_the_result_is_the_same(call, capsys):
    quiet = call().to_json()
    assert capsys.readouterr() == ("", "")
    assert call(progress=True).to_json() == quiet
    out, err = capsys.readouterr()
    assert out == ""
    counts = [[*map(int, re.search(r": (\d+)/(\d+), ", line).groups())] for line in err.splitlines()]
    done, total = [count for count, _ in counts], counts[0][1]
    assert done == sorted(set(done))
    assert done[-1] == total
    assert 2 <= len(done) <= 10


@by_call
def test_a_bar_is_filled_and_closed(call, bars):
    call(progress=True)
    (bar,) = bars
    assert bar.n == bar.total
    assert not bar.open


@by_call
def test_an_interrupted_bar_is_closed(call, bars):
    calls = []

    def interrupted(model, batch):
        calls.append(1)
        if bars and bars[0].n and len(calls) > 5:
            raise KeyboardInterrupt
        return loss_fn(model, batch)

    with pytest.raises(KeyboardInterrupt):
        call(interrupted, progress=True)
    (bar,) = bars
    assert 0 < bar.n < bar.total
    assert not bar.open


def test_a_sweep_counts_the_steps_of_all_rates(bars):
    swept(progress=True, vectorize=False)
    swept(progress=True, vectorize=True)
    swept(progress=True, vectorize=True, stop_above=9.0)
    assert [bar.total for bar in bars] == [3 * 8, 3 * 8, 4 * 8]  # the last also trains with a rate of 0, to compare
    alone, together, _ = (bar.texts for bar in bars)
    assert re.fullmatch(r"lr 0.001, loss [\d.]+", alone[0])
    assert together[:8] == ["rates side by side: 3"] * 8


@pytest.mark.parametrize("vectorize", [False, True])
def test_a_rate_that_diverges_fills_its_part_of_the_bar(vectorize, bars):
    sweep = swept(lrs=(1e30, 0.01), progress=True, vectorize=vectorize)
    assert math.isnan(sweep.losses[0, -1])
    assert bars[0].n == bars[0].total == 16


def test_a_sweep_that_goes_on_one_after_another_does_not_go_back(bars):
    calls = []

    def fails_later(model, batch):
        calls.append(1)
        if len(bars) and len(calls) > 5 and torch._C._functorch.is_batchedtensor(model(batch)):
            raise RuntimeError("not side by side")
        return loss_fn(model, batch)

    sweep = swept(fails_later, progress=True, vectorize=True)
    assert sweep.method == "one after another"
    assert bars[0].texts[0] == "rates side by side: 3"
    assert bars[0].texts[-1].startswith("lr 0.1, loss ")
    assert bars[0].n == bars[0].total


def test_a_race_counts_the_steps_of_the_members_that_are_left(bars):
    raced(progress=True, vectorize=False)
    assert bars[0].total == 4 * 2 + 3 * 2 + 2 * 4  # rungs at steps 2, 4 and 8
    assert bars[0].texts == [f"step {k}, rates left: {n}" for k, n in enumerate([4, 4, 3, 3, 2, 2, 2, 2], 1)]


@pytest.mark.parametrize("call", [swept, raced])
def test_progress_must_be_a_flag(call):
    with pytest.raises(TypeError, match=r"progress must be True or False, got 'yes' \(str\)"):
        call(progress="yes")
