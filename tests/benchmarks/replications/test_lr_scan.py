import json
import math
from itertools import islice
from pathlib import Path

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.replications import lr_scan, scan_tasks
from benchmarks.replications.scan_tasks import Batches, rotated


def test_the_published_network():
    network = scan_tasks.network(3, 32, 32)
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    linear = [layer for layer in network if isinstance(layer, torch.nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [(2048, 300), (300, 10)]
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in network) == 5
    assert network(torch.zeros(2, 3, 32, 32)).exp().sum(1).tolist() == pytest.approx([1, 1])


def test_images_are_rotated_and_mirrored():
    image = torch.arange(9.0).reshape(1, 1, 3, 3)
    still, right = torch.zeros(1), torch.full((1,), math.pi / 2)
    assert torch.equal(rotated(image, still, torch.ones(1)), image)
    assert torch.equal(rotated(image, still, -torch.ones(1)), image.flip(3))
    assert torch.equal(rotated(image, right, torch.ones(1)), image.rot90(1, (2, 3)))


def test_every_iteration_yields_the_same_batches():
    task = scan_tasks.digits()
    assert Batches(task, 0).epoch == 14
    first, again, other = (next(iter(Batches(task, seed))) for seed in (0, 0, 1))
    assert first[0].shape == (100, 1, 8, 8)
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[1], other[1])
    labels = torch.cat([labels for _, labels in islice(Batches(task, 0), 14)])
    assert len(labels) == 1400
    assert first[0].min() == -1  # black, normalised


def test_the_command_resumes(capsys, tmp_path):
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


def test_a_trial_and_its_arithmetic_are_in_title_and_record(tmp_path, capsys):
    command = ["lr_scan", "--dataset", "digits", "--rates", "3", "--marks", "1,2", "--limit", "200"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    assert main([*command, "--arithmetic", "bfloat16", "--out", str(tmp_path)]) == 0
    title = (tmp_path / "table.md").read_text().splitlines()[0]
    assert title.startswith("# Digits (8x8), reduced size: 200 of 1437 images: 3 rates, 1 … 2 batches of 100")
    assert title.endswith(", in bfloat16 (reduced from 100 rates, 1 … 128)")
    exact, rounded = (json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines())
    assert (exact["config"].get("arithmetic"), rounded["config"]["arithmetic"]) == (None, "bfloat16")
    assert rounded["losses"] != exact["losses"]
    assert json.loads((tmp_path / "info.json").read_text())["batches an epoch"] == 2
    assert main([*command, "--arithmetic", "tf32"]) == 1
    assert "error: --arithmetic tf32 needs a GPU" in capsys.readouterr().err


def test_marks_must_increase(capsys):
    assert main(["lr_scan", "--dataset", "digits", "--marks", "4,2"]) == 1
    assert "--marks must increase, got 4,2" in capsys.readouterr().err


@pytest.mark.parametrize(("seeds", "text"), [(2, "1.000, 1.500 × the"), (3, "1.500 ± 1.242 × the")])
def test_the_regret_of_fewer_than_three_seeds_is_listed(seeds, text):
    figures = {"regret_after": None, "shift": None, "overlap": None, "holds": None}
    (line,) = lr_scan.verdict([{"seed": i, "regret": 1 + i / 2, **figures} for i in range(seeds)])
    assert text in line
    assert line.endswith("(n = 2, each seed's value)." if seeds == 2 else "(n = 3, mean ± half of the 95 % interval).")


def test_committed_scans_are_recognised_as_finished(tmp_path, monkeypatch):
    results = Path(lr_scan.__file__).parents[1] / "results" / "lr_scan-digits"
    (tmp_path / "runs.jsonl").write_bytes((results / "runs.jsonl").read_bytes())
    monkeypatch.setattr(lr_scan, "scan", None)
    options = ["--dataset", "digits", "--seeds", "10", "--after-epochs", "64", "--out", str(tmp_path)]
    assert main(["lr_scan", *options]) == 0
    table = (tmp_path / "table.md").read_text().splitlines()
    assert table[:-1] == (results / "table.md").read_text().splitlines()[:-1]  # the last line names this machine
