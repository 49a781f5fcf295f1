import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.costs import range_test_cost, range_test_quality
from benchmarks.replications import range_noise
from benchmarks.small_tasks import TASKS
from lrsched import Curve
from tests.finder.helpers import LRS, sigmoid


def test_rules_of_other_libraries_by_hand():
    losses = np.array([1.0, 3.0])
    averaged = range_test_quality.averaged
    assert averaged(losses, 0.5, debias=False).tolist() == [1.0, 2.0]
    assert averaged(losses, 0.5, debias=True).tolist() == pytest.approx([1.0, 1.75 / 0.75])


@pytest.mark.parametrize(  # noise-free: the figures of the published study of these rules
    ("rule", "expected"),
    [("fastai minimum", -1.37), ("fastai valley", -3.36), ("torch-lr-finder", -1.91)],
)
def test_rules_of_other_libraries_on_the_synthetic_curve(rule, expected):
    found = range_test_quality.RULES[rule](Curve(LRS, sigmoid(1.8)))
    assert np.log10(found) == pytest.approx(expected, abs=0.1)


def test_every_task_trains():
    for task in TASKS.values():
        data = task.data()
        model = task.network()
        task.loss_fn(model, (data[0][:8], data[1][:8])).backward()


def test_bump_is_the_rise_before_the_descent():
    losses = np.full(100, 2.0)
    losses[10:13] = 2.5
    assert range_noise.bump(Curve(LRS, losses)) == pytest.approx(0.5)


def test_quality_command(capsys, tmp_path):
    arguments = ["range_test_quality", "--seeds", "1", "--tasks", "diabetes-sgd-all", "--out", str(tmp_path)]
    assert main(arguments) == 0
    assert "diabetes-sgd-all" in capsys.readouterr().out
    assert (tmp_path / "range_test_quality.json").is_file()
    with pytest.raises(SystemExit):
        main(["range_test_quality", "--tasks", "chess"])
    assert "no task is called 'chess'" in capsys.readouterr().err


def test_cost_command(capsys, monkeypatch):
    monkeypatch.setattr(range_test_cost, "PEERS", {})
    assert main(["range_test_cost", "--samples", "1"]) == 0
    assert "lrsched.range_test" in capsys.readouterr().out


def test_noise_command(capsys, monkeypatch, tmp_path):
    arms = {arm: range_noise.ARMS[arm] for arm in ("batch 4", "batch 64", "batch 4, 16 steps a rate")}
    monkeypatch.setattr(range_noise, "ARMS", arms)
    assert main(["range_noise", "--seeds", "2", "--out", str(tmp_path)]) == 0
    assert "E1, the bump goes away" in capsys.readouterr().out
    assert (tmp_path / "range_noise.png").is_file()
