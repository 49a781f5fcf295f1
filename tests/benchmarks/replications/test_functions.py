import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.replications import function_report, functions
from benchmarks.replications import sweep_claims as claims
from benchmarks.replications.function_tasks import FUNCTIONS, UNIT, adam, network, train


def test_points_by_hand():
    x, y = FUNCTIONS["log"].points()
    assert x[0] == 0.01
    assert x[2500].item() == pytest.approx(0.01 + 2500 / 2501 * 4.99)
    assert y[0].item() == pytest.approx(math.log(0.01))
    x, y = FUNCTIONS["1/x"].points()
    assert x[1250].item() == pytest.approx(-5 + 12500 / 2501)  # -0.002: no point lies on the pole
    assert y[1250].item() == pytest.approx(-500.2)


@pytest.mark.parametrize(
    ("name", "at_minus_5", "just_above_0"),
    [
        ("exp", math.exp(-5), math.exp(10 / 5002)),
        ("sin", math.sin(-5), math.sin(10 / 5002)),
        ("2x+8", -2, 8 + 20 / 5002),
        ("step", 0, 1),
        ("1/x", -0.2, 500.2),
    ],
)
def test_targets_by_hand(name, at_minus_5, just_above_0):
    x, y = FUNCTIONS[name].points()
    assert x[1251].item() == pytest.approx(10 / 5002)
    assert (y[0].item(), y[1251].item()) == pytest.approx((at_minus_5, just_above_0))


def test_two_batches_an_epoch_and_the_published_unit():
    (x, y), (rest, _) = FUNCTIONS["sin"].batches()
    assert (x.shape, y.shape, rest.shape, x.dtype) == ((1280, 1), (1280, 1), (1221, 1), torch.float32)
    assert pytest.approx(2.1e-6, rel=0.05) == 1.3e-3 * UNIT  # as the source's losses are read


def test_the_network_depends_on_the_seed():
    first, again, other = (torch.cat([p.flatten() for p in network(seed).parameters()]) for seed in (0, 0, 1))
    assert len(first) == 20 + 110 + 110 + 11
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(functions, "STATES", {claims.UNTRAINED: (1e-3, 0), claims.AFTER: (1e-3, 2)})
    monkeypatch.setattr(claims, "LRS", np.logspace(-6, 2, 5))
    monkeypatch.setattr(claims, "SLOW", (1e-3, 40))
    monkeypatch.setattr(claims, "FAST", (5e-2, 40))
    monkeypatch.setattr(claims, "LOWERED", (5e-3, 25))


def test_the_command_resumes(tiny, capsys, tmp_path):
    arguments = ["functions", "--quick", "--out", str(tmp_path)]
    assert main(arguments) == 0
    assert "3 sweeps and long trainings, 3 of them still to do" in capsys.readouterr().out
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"runs.jsonl", "table.md", "info.json", "log.png", "long.png"}
    assert main(arguments) == 0
    assert "3 sweeps and long trainings, 0 of them still to do" in capsys.readouterr().out
    lines = [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()]
    assert [line["part"] for line in lines] == [claims.UNTRAINED, claims.AFTER, "long"]
    assert np.shape(lines[0]["losses"]) == (5, 4)
    assert [len(lines[2][name]) for name in ("slow", "fast", "lowered")] == [40, 40, 25]


def test_lowering_the_rate_leaves_the_other_run_alone(tiny):
    model, batches = network(0), FUNCTIONS["log"].batches()
    straight = train(model, adam(model, 5e-2), batches, 40)
    found = functions.long("log", 0)
    assert found["fast"] == functions.short(straight)
    assert found["lowered"][-1] != found["fast"][-1]


def test_an_unknown_function_is_named(capsys):
    assert main(["functions", "--functions", "log,cosh"]) == 1
    assert "unknown function 'cosh'; choose from log, exp" in capsys.readouterr().err


def test_committed_records_are_recognised_as_finished(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(functions, "finish", None)
    results = Path(functions.__file__).parents[1] / "results" / "functions"
    (tmp_path / "runs.jsonl").write_bytes((results / "runs.jsonl").read_bytes())
    monkeypatch.setattr(functions.function_report, "function_picture", lambda *_: None)
    assert main(["functions", "--out", str(tmp_path)]) == 0
    assert "250 sweeps and long trainings, 0 of them still to do" in capsys.readouterr().out
    table = (tmp_path / "table.md").read_text().splitlines()
    assert table[:-1] == (results / "table.md").read_text().splitlines()[:-1]  # the last line names this machine


def test_factors_of_fewer_than_three_seeds_are_listed():
    assert function_report.factors([]) == ""
    assert function_report.factors([2.0, 8.0]) == "2.00, 8.00"
    assert function_report.factors([4.0, 4.0, 4.0]) == "4.00 (4.00 … 4.00)"
