import json
from dataclasses import replace

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.costs import compare_cost
from benchmarks.costs.compare_cost import (
    LOOP,
    LOOP_RECORDED,
    RECORDED,
    STACKED,
    Contest,
    Cost,
    bound_of,
    cells,
    verdicts,
)

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
    slow = [cost(LOOP, 1, 2.0, launches=1.0), cost(STACKED, 70, 8.0, 3.0, launches=2.0)]
    assert verdicts(slow) == ["mnist: ensemble 3.0 times as fast as the loop, limit 10: MISSED."]


def test_recorded_loops_are_compared_with_the_plain_one_in_float32():
    costs = [
        cost(LOOP, 1, 2.0, launches=1.5, bytes=0.5),
        cost(LOOP_RECORDED, 1, 1.0, 2.0),
        cost("plain loop, in bfloat16", 1, 1.9, 1.1),
        cost("plain loop, in bfloat16, CUDA graphs", 1, 0.5, 4.0),
    ]
    assert [bound_of(costs, each) for each in costs] == [("launches", 2.0 / 1.5), ("bytes", 2.0), None, None]
    assert [line[-2:] for line in cells(costs)[3:]] == [["–", "–"]] * 2
    assert verdicts(costs) == [
        "mnist: plain loop, CUDA graphs 2.0 times as fast as the loop.",
        "mnist: plain loop, in bfloat16, CUDA graphs 4.0 times as fast as the loop.",
    ]


def test_the_contestants_of_each_device(monkeypatch):
    monkeypatch.setattr(compare_cost, "ROWS", 10)
    monkeypatch.setattr(Contest, "loop", lambda *_, **options: options)
    monkeypatch.setattr(Contest, "ensemble", lambda *_, record: record)
    published, resnet = Contest("mnist", 1, CPU), Contest("images", 3, CPU)
    assert (resnet.members, resnet.table_steps) == (30, 391 * 250)
    assert [*published.contestants()] == [LOOP, STACKED]
    assert [*resnet.contestants()] == [LOOP, "plain loop, in bfloat16"]
    published.device = resnet.device = torch.device("cuda")
    assert [*published.contestants()] == [LOOP, LOOP_RECORDED, STACKED, RECORDED]
    assert [*resnet.contestants()] == [
        "plain loop",
        "plain loop, CUDA graphs",
        "plain loop, in TF32",
        "plain loop, in TF32, CUDA graphs",
        "plain loop, in bfloat16",
        "plain loop, in bfloat16, CUDA graphs",
    ]
    assert resnet.contestants()["plain loop, in TF32, CUDA graphs"] == {"record": True}


def test_a_step_of_resnet32_in_bfloat16_changes_its_weights(monkeypatch):
    monkeypatch.setattr(compare_cost, "ROWS", 8)
    contest, made = Contest("images", 1, CPU), []
    network = contest.benchmark.network
    kept = replace(contest.benchmark, network=lambda: made.append(network()) or made[-1], batch_size=8)
    monkeypatch.setattr(contest, "benchmark", kept)
    step = contest.loop("bfloat16")
    before = [weight.detach().clone() for weight in made[0].parameters()]
    step()
    after = [*made[0].parameters()]
    assert {weight.dtype for weight in after} == {torch.float32}
    assert not any(old.equal(new) for old, new in zip(before, after, strict=True))


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
    assert "unknown table 'svhn'; choose from mnist, cifar10, images" in capsys.readouterr().err
