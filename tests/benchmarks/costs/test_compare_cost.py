import json

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.costs import compare_cost
from benchmarks.costs.compare_cost import LOOP, RECORDED, STACKED, Contest, Cost, bound_of, cells, verdicts

CPU = torch.device("cpu")


def cost(contestant, runs, seconds, ratio=1.0, **least):
    return Cost("mnist", contestant, runs, 10, seconds, 0.0, ratio, ratio - 1, ratio + 1, least)


def test_a_recorded_step_is_not_bound_by_its_launches():
    costs = [
        cost(LOOP, 1, 2.0, launches=1.0, bytes=0.5),
        cost(STACKED, 70, 8.0, 15.0, launches=2.0, bytes=1.0),
        cost(RECORDED, 70, 3.0, 40.0),
    ]
    assert [bound_of(costs, each) for each in costs] == [("launches", 2.0), ("launches", 4.0), ("bytes", 3.0)]
    assert [line[-2:] for line in cells(costs)[1:]] == [["launches", "2.0"], ["launches", "4.0"], ["bytes", "3.0"]]
    assert verdicts(costs) == ["mnist: ensemble, CUDA graphs 40.0 times as fast as the loop, limit 10: met."]
    assert verdicts(costs[:2])[0].endswith("15.0 times as fast as the loop, limit 10: met.")
    assert verdicts(costs[:1])[0].endswith("MISSED.")


def test_the_contestants_train_the_published_networks(monkeypatch):
    monkeypatch.setattr(compare_cost, "ROWS", 100)
    contest = Contest("cifar10", 2, CPU)
    assert (contest.members, contest.table_steps) == (30, 62_500)
    assert Contest("mnist", 5, CPU).table_steps == 938 * 50
    losses = contest.ensemble(record=False)()
    assert losses.shape == (30,)
    assert torch.all((losses > 2) & (losses < 2.7))  # ln 10 is 2.30
    batch = next(contest.batches((3,)))
    assert [part.shape[:2] for part in batch] == [(3, 20), (3, 20)]


def test_the_command_writes_its_figures(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(compare_cost, "ROWS", 100)
    options = ["--tables", "mnist", "--seeds", "1", "--steps", "3", "--turns", "2", "--out", str(tmp_path)]
    assert main(["compare_cost", *options]) == 0
    assert "ms per step" in capsys.readouterr().out
    record = json.loads((tmp_path / "compare_cost.json").read_text())
    loop, stacked = record["costs"]
    assert (loop["runs"], stacked["runs"], loop["steps"]) == (1, 14, 4)
    assert loop["table_seconds"] == pytest.approx(loop["seconds"] * 938 * 50 * 14, rel=1e-12)
    assert stacked["table_seconds"] == pytest.approx(stacked["seconds"] * 938 * 50, rel=1e-12)
    assert stacked["ratio"] == pytest.approx(loop["table_seconds"] / stacked["table_seconds"], rel=1e-12)
    assert (stacked["low"], stacked["high"]) == (None, None)  # two turns have no interval
    assert record["verdicts"][0].endswith("not judged (fewer than 3 turns).")


def test_an_unknown_table_is_named(capsys):
    assert main(["compare_cost", "--tables", "mnist,svhn"]) == 1
    assert "unknown table 'svhn'; choose from mnist, cifar10" in capsys.readouterr().err
