import json

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.costs import range_test_quality
from benchmarks.costs.other_finders import averaged
from benchmarks.costs.range_test_quality import CONSTANT, RATES, RECIPE, TESTED, ratio, suggested, totals
from lrsched import Curve
from tests.finder.helpers import LRS, sigmoid

TASK = "linear-plane-sgd16"


def test_averages_of_other_libraries_by_hand():
    losses = np.array([1.0, 3.0])
    assert averaged(losses, 0.5, debias=False).tolist() == [1.0, 2.0]
    assert averaged(losses, 0.5, debias=True).tolist() == pytest.approx([1.0, 1.75 / 0.75])


@pytest.mark.parametrize(  # noise-free: the figures of the published study of these rules
    ("rule", "expected"),
    [("fastai minimum / 10", -1.37), ("fastai valley", -3.36), ("torch-lr-finder", -1.91)],
)
def test_rules_of_other_libraries_on_the_synthetic_curve(rule, expected):
    found = range_test_quality.RULES[rule](Curve(LRS, sigmoid(1.8)), 0.01)
    assert np.log10(found) == pytest.approx(expected, abs=0.1)


def record(seed=0, untrained=2.0, losses=(1.0,) * 30, at=None):
    """Return a record whose final loss is 1 at every rate, but for those in `at`."""
    final = [1.0] * len(RATES)
    for place, loss in (at or {}).items():
        final[place] = loss
    final = {RECIPE: final, CONSTANT: final}
    return {"task": TASK, "seed": seed, "untrained": untrained, "final": final, "losses": list(losses)} | {
        "stop_reason": "completed"
    }


def test_a_ratio_is_the_loss_over_the_best_and_an_allowance():
    best = record(at={8: 0.48})  # at 10^-3; the allowance is a hundredth of 2
    assert ratio([best], RECIPE, [1e-3]) == 1.0  # not 0.48 / 0.5
    assert ratio([best], RECIPE, [10.0]) == pytest.approx(1.0 / 0.5)
    halfway = 10**-2.875
    assert ratio([best], RECIPE, [halfway]) == pytest.approx(0.48**0.5 / 0.5)
    assert ratio([best], RECIPE, [1e-9]) == pytest.approx(2.0)  # below the grid, its lowest rate counts


def test_the_best_rate_is_the_same_for_all_seeds_and_ratios_are_averaged_geometrically():
    two = [record(0, at={4: 0.1, 8: 0.48}), record(1, at={4: 5.0, 8: 0.48})]
    assert ratio(two, RECIPE, [10.0, 1e-3]) == pytest.approx(2.0**0.5)


def test_a_training_that_diverged_counts_as_ten_untrained_losses():
    lost = record(at={8: 0.48, len(RATES) - 1: None})
    assert ratio([lost], RECIPE, [10.0]) == pytest.approx(20 / 0.5)


def test_a_missing_suggestion_counts_as_the_default_rate():
    flat = record()  # of SGD
    assert suggested([flat], lambda curve, _: curve.suggestion) == ([0.01], 1)
    assert suggested([flat], lambda curve, default: 10 * default) == ([0.1], 0)


def test_curves_are_read_from_records():
    losses = [2.0] * 40 + [1.0] * 10
    curve = range_test_quality.curve_of(record(losses=losses))
    assert curve.lrs.tolist() == TESTED[:50].tolist()
    assert curve.losses.tolist() == losses


def test_the_command_writes_its_results_and_resumes(capsys, tmp_path, monkeypatch):
    arguments = ["--seeds", "2", "--steps", "20", "--tasks", f"{TASK},mlp-iris-sgd8", "--out", str(tmp_path)]
    assert main(["range_test_quality", *arguments]) == 0
    assert "no test: default rate" in capsys.readouterr().out
    lines = (tmp_path / "runs.jsonl").read_text().splitlines()
    assert [(json.loads(line)["task"], json.loads(line)["seed"]) for line in lines] == [
        *((TASK, 0), (TASK, 1), ("mlp-iris-sgd8", 0), ("mlp-iris-sgd8", 1))
    ]
    info = json.loads((tmp_path / "info.json").read_text())
    assert info["configuration"]["steps"] == 20
    table = (tmp_path / "table.md").read_text()
    monkeypatch.setattr(range_test_quality, "measured", pytest.fail)
    assert main(["range_test_quality", *arguments]) == 0
    assert (tmp_path / "table.md").read_text() == table


def test_held_out_tasks_appear_in_totals_only():
    held_out = [name for name in range_test_quality.TASKS if range_test_quality.held_out(name)]
    shown = "linear-classes-momentum4"
    tasks = {name: [record() | {"task": name}] for name in (shown, held_out[0])}
    assert [line[0] for line in range_test_quality.details(tasks)[1:]] == [shown]
    head, first, *_ = totals(tasks, RECIPE)
    assert dict(zip(head, first, strict=True))["held out: mean"] == "1.00"


def test_the_claim_needs_a_lower_mean_and_no_higher_worst(monkeypatch):
    held_out = [name for name in range_test_quality.TASKS if range_test_quality.held_out(name)][:3]
    tasks = {name: [record(at={8: 0.48}) | {"task": name}] for name in held_out}
    rules = {"lrsched": lambda curve, _: 1e-3, range_test_quality.OPPONENT: lambda curve, _: 1.0}
    monkeypatch.setattr(range_test_quality, "RULES", rules)
    said = range_test_quality.verdict(tasks)
    assert (
        ": met. Ratio of the means 0.50 (95 % interval by bootstrap 0.50-0.50, n = 3 tasks), worst 1.00 and 2.00"
        in said
    )
    assert said.endswith("better by more than 1 % on 3 tasks, worse on 0.")
    monkeypatch.setattr(range_test_quality, "RULES", dict(zip(rules, reversed(rules.values()), strict=True)))
    assert ": MISSED." in range_test_quality.verdict(tasks)
    assert range_test_quality.verdict({}) is None


def test_an_unknown_task_is_an_error(capsys):
    assert main(["range_test_quality", "--tasks", "chess"]) == 1
    assert "unknown task 'chess'; choose from mlp-digits-sgd32" in capsys.readouterr().err
