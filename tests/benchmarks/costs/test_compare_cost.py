import json

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.costs import bounds, compare_cost
from benchmarks.costs.bounds import Work
from benchmarks.costs.compare_cost import LOOP, RECORDED, STACKED, Contest, Cost, bound_of, cells, verdicts

CPU = torch.device("cpu")


def test_the_work_of_a_product_and_a_sum_by_hand():
    a, b, c = torch.ones(8, 4), torch.ones(4, 2), torch.ones(8, 2)
    found = bounds.work(lambda: (a @ b).add_(c).t())  # the transpose is a view
    product, addition = 4 * (8 * 4 + 4 * 2 + 8 * 2), 4 * 3 * 8 * 2
    assert found == Work(bytes=product + addition, operations=2 * 8 * 4 * 2, launches=2)


def test_what_is_expanded_counts_once():
    assert bounds.size([torch.ones(1).expand(100), {"a": (torch.ones(3, 2).double(), None, 5)}]) == 4 + 48


def test_work_and_speed_make_seconds_the_longest_first():
    found = Work(bytes=100, operations=30, launches=2).seconds(Work(bytes=50, operations=10, launches=100))
    assert list(found.items()) == [("operations", 3.0), ("bytes", 2.0), ("launches", 0.02)]


def test_a_device_has_a_speed():
    found = bounds.speed(CPU)
    assert 1e8 < found.bytes < 1e13
    assert 1e8 < found.operations < 1e13
    assert 1e3 < found.launches < 1e8


def cost(contestant, runs, seconds, ratio=1.0, **least):
    return Cost("mnist", contestant, runs, 10, seconds, 0.0, ratio, ratio - 1, ratio + 1, least)


def test_a_recorded_pass_is_not_bound_by_its_launches():
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


def test_both_contestants_train_the_published_networks(monkeypatch):
    monkeypatch.setattr(compare_cost, "ROWS", 100)
    contest = Contest("cifar10", 2, CPU)
    assert (contest.members, contest.table_steps) == (30, 62_500)
    assert Contest("mnist", 5, CPU).table_steps == 938 * 50
    losses = contest.ensemble(record=False)()
    assert losses.shape == (30,)
    assert torch.all((losses > 2) & (losses < 2.7))  # ln 10 is 2.30
    batch = next(contest.batches((3,)))
    assert [part.shape[:2] for part in batch] == [(3, 20), (3, 20)]


def test_command(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(compare_cost, "ROWS", 100)
    options = ["--tables", "mnist", "--seeds", "1", "--steps", "3", "--turns", "2", "--out", str(tmp_path)]
    assert main(["compare_cost", *options]) == 0
    assert "ms a step" in capsys.readouterr().out
    record = json.loads((tmp_path / "compare_cost.json").read_text())
    loop, stacked = record["costs"]
    assert (loop["runs"], stacked["runs"], loop["steps"]) == (1, 14, 4)
    assert loop["table_seconds"] == pytest.approx(loop["seconds"] * 938 * 50 * 14, rel=1e-12)
    assert stacked["table_seconds"] == pytest.approx(stacked["seconds"] * 938 * 50, rel=1e-12)
    assert stacked["ratio"] == pytest.approx(loop["table_seconds"] / stacked["table_seconds"], rel=1e-12)
    assert record["verdicts"] == [] or record["hardware"]


def test_an_unknown_table_is_named(capsys):
    assert main(["compare_cost", "--tables", "mnist,svhn"]) == 1
    assert "unknown table 'svhn'; there are mnist, cifar10" in capsys.readouterr().err
