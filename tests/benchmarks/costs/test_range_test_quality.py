import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.costs import range_test_quality
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


def test_the_command_writes_its_figures(capsys, tmp_path):
    arguments = ["range_test_quality", "--seeds", "1", "--tasks", "diabetes-sgd-all", "--out", str(tmp_path)]
    assert main(arguments) == 0
    assert "diabetes-sgd-all" in capsys.readouterr().out
    assert (tmp_path / "range_test_quality.json").is_file()
    assert main(["range_test_quality", "--tasks", "chess"]) == 1
    assert "unknown task 'chess'; choose from digits-momentum64" in capsys.readouterr().err
