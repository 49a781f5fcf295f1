"""What the results lack, and how long it takes."""

import json
import math
from argparse import Namespace

import pytest
import torch

from benchmarks import machine
from benchmarks.__main__ import MODULES
from benchmarks.parts import START, Fit, Parts
from benchmarks.replications.settings import ADDED, FOURTEEN
from lrsched import Run

from .replications.helpers import series


def parts(results, lengths=None, **options):
    defaults = {"device": "cpu", "data": None, "limit": None, "epochs": None}
    return Parts(Namespace(results=results, **{**defaults, **options}), lengths if lengths is not None else {})


def put(folder, benchmark, settings, seeds, epochs=50, device="cpu", data="MNIST", seconds=100.0):
    """Write finished runs."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"epochs": epochs, "device": device, "key": {"benchmark": benchmark, "data": data}}
    with (folder / "runs.jsonl").open("a") as file:
        for seed in seeds:
            for name in settings:
                values = series(0.9, 20)
                run = Run(name, seed, train_loss=values, metrics={"accuracy": values}, seconds=seconds, config=config)
                record = {name: value for name, value in vars(run).items() if name != "finished"}
                file.write(json.dumps(record) + "\n")


def jpegs(folder):
    """Return a folder with the file of CIFAR-10's images as JPEGs, empty."""
    folder.mkdir()
    (folder / "cifar10-jpeg.npz").touch()
    return folder


def test_without_results_everything_is_missing(tmp_path):
    found = {name: parts(tmp_path).part(name) for name in parts(tmp_path).makers}
    assert [(name, part.left, part.units) for name, part in found.items()] == [
        ("mnist", 70, 70),
        ("mnist-either", 20, 20),
        ("cifar10", 95, 95),
        ("lr_scan", 6, 6),
        ("images", 30, 30),
        ("images-mnist", 30, 30),
        ("race_quality", 1, 1),
    ]
    assert [*parts(tmp_path, device="cuda").makers][4:6] == ["compare_cost", "gpu_tests"]


def test_finished_runs_of_the_same_kind_count(tmp_path):
    put(tmp_path / "mnist-gpu", "mnist", FOURTEEN, range(3), device="cuda", seconds=5.0)
    put(tmp_path / "mnist-gpu", "mnist", FOURTEEN, [3], device="cuda", epochs=9)
    put(tmp_path / "mnist-gpu", "mnist", FOURTEEN, [3], device="cpu")
    put(tmp_path / "mnist-gpu", "mnist", FOURTEEN, [3], device="cuda", data="MNIST, 500 images")
    put(tmp_path / "mnist-gpu", "mnist", ADDED[:1], range(7), device="cuda")
    on_gpu = parts(tmp_path, device="cuda:0")
    seeds, either = on_gpu.part("mnist"), on_gpu.part("mnist-either")
    assert (seeds.done, seeds.units, seeds.left) == (42, 70, 28)
    assert seeds.estimate == pytest.approx(START + 28 * 5.0)  # as the finished ones took
    assert (either.done, either.units) == (5, 20)
    assert parts(tmp_path).part("mnist").done == 0  # the CPU has another folder
    assert seeds.loses == "all"
    assert parts(tmp_path).part("mnist").loses == "an epoch"


def test_an_incomplete_last_line_does_not_count(tmp_path):
    put(tmp_path / "mnist", "mnist", ["sgd"], range(2))
    path = tmp_path / "mnist" / "runs.jsonl"
    path.write_bytes(path.read_bytes()[:-10])
    assert parts(tmp_path).part("mnist").done == 1


def test_estimates_scale_with_epochs_and_images(tmp_path):
    whole, short, few = (
        parts(tmp_path, **options).part("mnist") for options in ({}, {"epochs": 5}, {"limit": 600, "epochs": 50})
    )
    assert whole.estimate - START == pytest.approx(10 * (short.estimate - START))
    assert few.units == 14  # a trial has one seed
    assert (few.estimate - START) / 14 == pytest.approx((whole.estimate - START) / 70 / 100)
    assert parts(tmp_path, limit=10**6).part("mnist").seconds == whole.seconds


def test_what_a_step_of_resnet32_cost_tells_how_long_an_epoch_takes(tmp_path):
    before = parts(tmp_path, {"images-cifar10-gpu": 10}, device="cuda").part("images").seconds
    folder = tmp_path / "compare_cost-gpu"
    folder.mkdir()
    names = ("plain loop", "plain loop, in bfloat16, CUDA graphs")
    costs = [{"table": "images", "contestant": name, "seconds": 0.0035} for name in names]
    (folder / "compare_cost.json").write_text(json.dumps({"costs": costs[:1]}))
    assert parts(tmp_path, {"images-cifar10-gpu": 10}, device="cuda").part("images").seconds == before
    (folder / "compare_cost.json").write_text(json.dumps({"costs": costs}))
    seconds = parts(tmp_path, {"images-cifar10-gpu": 10}, device="cuda").part("images").seconds
    assert seconds == pytest.approx(10 * 391 * 0.004 * 1.1)  # 0.5 ms more for the batch, 10 % for validation


def test_commands_name_data_limit_and_folder(tmp_path):
    data = tmp_path / "data"
    (data / "mnist").mkdir(parents=True)
    trial = parts(tmp_path / "results", data=data, limit=500, epochs=1)
    words = trial.part("mnist").words
    assert words[:6] == ["benchmarks", "mnist", "--seeds", "1", "--epochs", "1"]
    assert ["--data", str(data / "mnist"), "--limit", "500"] == words[6:10]
    assert words[-4:] == ["--device", "cpu", "--out", str(tmp_path / "results" / "mnist")]
    assert str(data) in trial.part("cifar10").words  # it has no folder of its own
    for name in trial.makers:
        assert trial.part(name).words[1] in MODULES


def test_resnet32_trains_on_a_gpu_in_bfloat16_run_by_run(tmp_path):
    on_gpu = parts(tmp_path, device="cuda")
    assert {"--plain", "--arithmetic", "bfloat16"} <= set(on_gpu.part("images").words)
    assert on_gpu.part("images").loses == "an epoch"
    assert on_gpu.part("images-mnist").loses == "all"
    assert "--arithmetic" not in parts(tmp_path).part("images").words


@pytest.mark.parametrize(
    ("left", "length"), [(1000.0, 50), (10.0, 10), (math.inf, 250), (1e9, 250), (-5.0, 10), (205.0, 10), (220.0, 11)]
)
def test_a_length_fits_into_its_share_of_the_time(left, length):
    assert Fit(10.0, 0.5, 10, 250).length(left) == length


def test_a_chosen_length_is_kept(tmp_path):
    unknown, chosen = (parts(tmp_path, lengths).part("images") for lengths in ({}, {"images-cifar10": 12}))
    assert unknown.fit is not None
    assert unknown.words[unknown.words.index("--epochs") + 1] == "250"
    assert (chosen.fit, chosen.length) == (None, 12)
    assert chosen.words[chosen.words.index("--epochs") + 1] == "12"
    given = parts(tmp_path, {"images-cifar10": 12}, epochs=3).part("images")
    assert given.words[given.words.index("--epochs") + 1] == "3"


def test_scans_of_the_same_rates_and_marks_count(tmp_path):
    folder, data = tmp_path / "lr_scan-cifar10", jpegs(tmp_path / "data")
    folder.mkdir()
    config = {"data": "CIFAR-10 (JPEG)", "rates": 20, "marks": [1, 2, 4, 8, 16, 32]}
    lines = [
        {"seed": 0, "after_epochs": 0, "config": config},
        {"seed": 0, "after_epochs": 64, "config": {**config, "rates": 30}},
        {"seed": 1, "after_epochs": 9, "config": config},
        {"seed": 2, "after_epochs": 64, "config": {**config, "data": "CIFAR-10 (JPEG), 500 images"}},
    ]
    (folder / "runs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    part = parts(tmp_path, data=data).part("lr_scan")
    assert (part.done, part.units) == (1, 6)
    assert part.needed == START + part.seconds  # a scan that is stopped starts again
    assert parts(tmp_path).part("lr_scan").done == 0  # without the folder it would use the original images


def test_runs_on_jpegs_and_on_the_original_images_are_told_apart(tmp_path):
    put(tmp_path / "cifar10", "cifar10", ["sgd"], range(5), epochs=25, device="cuda", data="CIFAR-10 (JPEG)")
    data = jpegs(tmp_path / "data")
    assert parts(tmp_path, device="cuda", data=data).part("cifar10").done == 5
    assert parts(tmp_path, device="cuda").part("cifar10").done == 0
    (data / "cifar-10-binary.tar.gz").touch()  # would be used instead
    assert parts(tmp_path, device="cuda", data=data).part("cifar10").done == 0


def test_a_cpu_does_not_write_into_the_folders_of_a_gpu(tmp_path):
    kinds = [parts(tmp_path, device=device) for device in ("cpu", "cuda")]
    on_cpu, on_gpu = ({kind.part(name).folder.name for name in kind.makers} for kind in kinds)
    assert {"mnist", "cifar10-cpu"} < on_cpu
    assert {"mnist-gpu", "cifar10"} < on_gpu
    assert not on_cpu & on_gpu


def test_a_race_is_done_when_its_table_is_written(tmp_path):
    folder = tmp_path / "race_quality-large"
    folder.mkdir()
    info = folder / "info.json"
    for steps, left in ((64, 1), (500, 0)):
        info.write_text(json.dumps({"configuration": {"steps": steps}}))
        assert parts(tmp_path).part("race_quality").left == left


def test_tests_on_a_gpu_are_repeated_for_another_commit(tmp_path, monkeypatch):
    on_gpu = parts(tmp_path, device="cuda")
    part = on_gpu.part("gpu_tests")
    assert part.left == 1
    part.folder.mkdir()
    part.text.write_text(f"{machine.note(torch.device('cpu'))}\n1 passed\n")
    assert on_gpu.part("gpu_tests").left == 0
    monkeypatch.setattr(machine, "commit", lambda: "another")
    assert on_gpu.part("gpu_tests").left == 1
    files = {word.rpartition("/")[2] for word in part.words}
    assert {"test_cuda_graphs.py", "test_heard.py", "test_compile.py", "test_side_by_side.py"} <= files
