import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.replications import range_noise
from lrsched import Curve
from tests.finder.helpers import LRS


def test_bump_is_the_rise_before_the_descent():
    losses = np.full(100, 2.0)
    losses[10:13] = 2.5
    assert range_noise.bump(Curve(LRS, losses)) == pytest.approx(0.5)


def test_the_command_writes_its_figures(capsys, monkeypatch, tmp_path):
    arms = {arm: range_noise.ARMS[arm] for arm in ("batch 4", "batch 64", "batch 4, 16 steps a rate")}
    monkeypatch.setattr(range_noise, "ARMS", arms)
    assert main(["range_noise", "--seeds", "3", "--out", str(tmp_path)]) == 0
    assert "E1, the bump vanishes" in capsys.readouterr().out
    assert (tmp_path / "range_noise.png").is_file()


def test_two_seeds_are_too_few_for_a_paired_test(capsys):
    assert main(["range_noise", "--seeds", "2"]) == 1
    assert "--seeds must be at least 3, which the paired test needs, got 2" in capsys.readouterr().err
