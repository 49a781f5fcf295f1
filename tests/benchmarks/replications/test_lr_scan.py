import json
import math
from itertools import islice

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.replications import scan_tasks
from benchmarks.replications.scan_claims import c6
from benchmarks.replications.scan_tasks import Batches, rotated


def record(seed, after, losses):
    return {"seed": seed, "after_epochs": after, "lrs": [0.01, 0.1, 1.0], "marks": [16, 128], "losses": losses}


def test_c6_by_hand():
    before = [[2.0, 1.0], [1.5, 0.8], [1.8, None]]  # best 16 ahead: 0.1; at the last mark too
    assert c6([record(0, 0, before)]) == [
        {"seed": 0, "regret": 1, "regret_after": None, "shift": None, "overlap": None, "holds": None}
    ]
    after = [[1.0, 0.8], [1.1, 0.4], [3.0, 2.0]]  # best 16 ahead: 0.01, which is twice the best at the end
    (found,) = c6([record(1, 64, after), record(1, 0, before)])
    assert (found["regret_after"], found["shift"], found["overlap"], found["holds"]) == (2, 0, True, False)
    shifted = [[1.0, 0.4], [1.1, 0.8], [3.0, 2.0]]
    (found,) = c6([record(1, 64, shifted), record(1, 0, before)])
    assert found["shift"] == pytest.approx(-1)
    assert (found["overlap"], found["holds"]) == (False, False)
    ended = [[2.0, 1.0], [1.5, 0.8], [1.0, None]]
    assert c6([record(0, 0, ended)])[0]["regret"] == math.inf


def test_the_published_network():
    network = scan_tasks.network(3, 32, 32)
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    linear = [layer for layer in network if isinstance(layer, torch.nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [(2048, 300), (300, 10)]
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in network) == 5
    assert network(torch.zeros(2, 3, 32, 32)).exp().sum(1).tolist() == pytest.approx([1, 1])


def test_images_are_turned_and_mirrored():
    image = torch.arange(9.0).reshape(1, 1, 3, 3)
    still, right = torch.zeros(1), torch.full((1,), math.pi / 2)
    assert torch.equal(rotated(image, still, torch.ones(1)), image)
    assert torch.equal(rotated(image, still, -torch.ones(1)), image.flip(3))
    assert torch.equal(rotated(image, right, torch.ones(1)), image.rot90(1, (2, 3)))


def test_batches_start_again_alike():
    task = scan_tasks.digits()
    assert Batches(task, 0).epoch == 14
    first, again, other = (next(iter(Batches(task, seed))) for seed in (0, 0, 1))
    assert first[0].shape == (100, 1, 8, 8)
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[1], other[1])
    labels = torch.cat([labels for _, labels in islice(Batches(task, 0), 14)])
    assert len(labels) == 1400
    assert first[0].min() == -1  # black, normalised


def test_command_resumes(capsys, tmp_path):
    arguments = ["lr_scan", "--dataset", "digits", "--rates", "3", "--marks", "1,2,16,17", "--after-epochs", "1"]
    assert main([*arguments, "--each", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "reduced from 100 rates" in shown
    assert "seed 0, after 1 epochs" in shown
    assert "C6 holds for" in shown
    assert {path.name for path in tmp_path.iterdir()} == {"runs.jsonl", "table.md", "info.json", "scan.png"}
    assert len(json.loads((tmp_path / "info.json").read_text())["seconds of each mark"]) == 4
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    assert "seed 0, after" not in capsys.readouterr().out
    assert len((tmp_path / "runs.jsonl").read_text().splitlines()) == 2


def test_marks_must_increase(capsys):
    assert main(["lr_scan", "--dataset", "digits", "--marks", "4,2"]) == 1
    assert "--marks must increase, got 4,2" in capsys.readouterr().err
