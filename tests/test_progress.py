"""Progress is shown on stderr, by tqdm or in lines, and only if asked for."""

import sys

import pytest
import torch

from lrsched import range_test
from lrsched._progress import progress_bar


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
