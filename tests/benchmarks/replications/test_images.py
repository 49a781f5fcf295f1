import hashlib
import json
import math
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from benchmarks.__main__ import main
from benchmarks.commands import BenchmarkError
from benchmarks.devices import computing_in
from benchmarks.replications import dataset_files, images, resnet
from benchmarks.replications.datasets import Split
from lrsched import Pixels

from .test_cifar10 import FILES, unpacked
from .test_datasets import sha256, write_mnist

# --- the network


def test_resnet32_is_the_published_one():
    network = resnet.resnet32()
    shapes = [tuple(layer.weight.shape) for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    stages = [
        *[(16, 3, 3, 3)],
        *[(16, 16, 3, 3)] * 2 + [(16, 16, 1, 1)] + [(16, 16, 3, 3)] * 8,
        *[(32, 16, 3, 3), (32, 32, 3, 3), (32, 16, 1, 1)] + [(32, 32, 3, 3)] * 8,
        *[(64, 32, 3, 3), (64, 64, 3, 3), (64, 32, 1, 1)] + [(64, 64, 3, 3)] * 8,
        *[(10, 64)],
    ]
    assert shapes == stages
    assert len([shape for shape in shapes if shape[-1] != 1]) == 32
    assert sum(weight.numel() for weight in network.parameters()) == 466_970  # 464,698 weights, 1,136 of 31 norms twice
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert {(norm.momentum, norm.eps) for norm in norms} == {(0.003, 1e-5)}
    sizes = []
    for layer in network[:-4]:
        layer.register_forward_hook(lambda layer, inputs, output: sizes.append(tuple(output.shape[1:])))
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert sizes[:-1] == [(16, 32, 32)] * 6 + [(32, 16, 16)] * 5 + [(64, 8, 8)] * 5


@pytest.mark.parametrize("training", [True, False])
def test_in_bfloat16_every_layer_computes_with_channels_last(training):
    network, seen = computing_in("bfloat16", partial(images.network, 100))(), []
    for layer in network.network.modules():
        layer.register_forward_hook(lambda layer, inputs, output: seen.append(output))
    assert network.train(training)(torch.randn(2, 3, 32, 32)).dtype == torch.float32
    assert {output.dtype for output in seen} == {torch.bfloat16}
    pictures = [output for output in seen if output.ndim == 4]
    assert len(pictures) > 31 + 31  # convolutions and norms
    assert all(output.is_contiguous(memory_format=torch.channels_last) for output in pictures)


@pytest.mark.parametrize("begins_stage", [False, True])
def test_a_block_adds_its_input(begins_stage):
    block = resnet.Block(4, 4, 1, begins_stage, momentum=0.1)
    nn.init.zeros_(block.conv2.weight)
    block.eval()  # the averages are 0 and 1 still
    x = torch.randn(2, 4, 6, 6)
    if not begins_stage:
        torch.testing.assert_close(block(x), x)
        return
    weight = block.shortcut.weight[:, :, 0, 0]
    active = x.clamp(min=0) / math.sqrt(1 + 1e-5)  # the shortcut begins after normalisation and ReLU
    torch.testing.assert_close(block(x), torch.einsum("oc,nchw->nohw", weight, active))


def test_the_first_weights_have_the_variance_of_the_fan_in():
    torch.manual_seed(0)
    weights = resnet.convolution(64, 256, 3).weight
    std = 1 / math.sqrt(64 * 9)
    assert weights.std().item() == pytest.approx(std, rel=0.01)
    assert weights.abs().max() <= 2 * std / 0.8796256


# --- its images


def test_shifted_images_are_crops_of_the_padded_ones():
    torch.manual_seed(0)
    image = torch.arange(1, 19, dtype=torch.uint8).reshape(2, 3, 3)
    padded = np.pad(image.numpy(), ((0, 0), (4, 4), (4, 4)))
    crops = {}
    for top in range(9):
        for left in range(9):
            crop = padded[:, top : top + 3, left : left + 3]
            crops.setdefault(crop.tobytes(), (top, left, False))
            crops.setdefault(crop[:, :, ::-1].tobytes(), (top, left, True))
    moved = resnet.shifted(image.expand(4000, 2, 3, 3), resnet.random_moves(4000))
    found = [crops[shifted.numpy().tobytes()] for shifted in moved]
    empty = crops[bytes(18)]
    visible = [place for place in found if place != empty]
    assert {place[0] for place in visible} == {place[1] for place in visible} == {2, 3, 4, 5, 6}
    assert len(visible) / 4000 == pytest.approx(25 / 81, abs=0.03)
    assert sum(flip for _, _, flip in visible) / len(visible) == pytest.approx(0.5, abs=0.06)


def test_images_are_standardised_one_by_one():
    values = np.random.default_rng(0).integers(0, 256, (3, 3, 4, 5), dtype=np.uint8)
    values[2] = 7  # the deviation counts as 1/√60, and the mean is 7
    found = resnet.standardised(torch.tensor(values)).numpy()
    np.testing.assert_allclose(found[1], (values[1] - values[1].mean()) / values[1].std(), rtol=1e-5, atol=1e-5)
    assert (found[2] == 0).all()
    values[2, 0, 0, 0] = 8
    deviation = values[2].std()  # 0.128 < 1/√60 = 0.1291
    assert deviation < 1 / math.sqrt(60)
    found = resnet.standardised(torch.tensor(values)).numpy()
    assert found[2].max() == pytest.approx((8 - values[2].mean()) * math.sqrt(60), rel=1e-4)


def test_an_epoch_has_every_image_once_in_an_order_of_its_own():
    train = Split(torch.randint(0, 256, (10, 3, 8, 8), dtype=torch.uint8), torch.arange(10))
    epoch = resnet.batches(train, 4)
    orders = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        batches = list(epoch())
        assert [tuple(inputs.shape) for inputs, _ in batches] == [(4, 3, 8, 8), (4, 3, 8, 8), (2, 3, 8, 8)]
        orders.append((torch.cat([labels for _, labels in batches]).tolist(), batches[0][0]))
    assert sorted(orders[0][0]) == list(range(10))
    assert orders[0][0] == orders[1][0] != orders[2][0]
    assert orders[0][1].equal(orders[1][1])


# --- the schedules


TWO = {"two": lambda: np.array([[0, 255]], dtype=np.uint8)}
ROWS = images.schedules(128 * 1000, 4, TWO)  # 4000 batches


def test_the_published_schedules():
    rates = {name: row.rates() for name, row in ROWS.items()}
    assert all(len(values) == 4000 for values in rates.values())
    falls = [rates["baseline"][k] for k in (0, 1599, 1600, 2399, 2400, 3199, 3200, 3999)]
    assert falls == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001], rel=1e-12)
    assert set(rates["fixed"]) == set(rates["andrej"]) == {3e-4}
    cycle = [rates["cyclic"][k] for k in (0, 500, 1000, 1500, 2000, 3000)]
    half = 1e-5 + (1e-2 - 1e-5) / 2
    assert cycle == pytest.approx([1e-5, half, 1e-2, half, 1e-5, 1e-2], rel=1e-9)
    # 2x1 pixels become 51x25, 2/f and 1/f with f = √(2·1·3/4000): a line has 25 black ones and 26 white, of 3 channels
    assert rates["two"][:75] == [1e-5] * 75
    assert rates["two"][75:153] == pytest.approx([1e-2] * 78, rel=1e-9)
    assert rates["two"][153:228] == [1e-5] * 75
    assert rates["two"][25 * 153 :] == pytest.approx([1e-2] * 175, rel=1e-9)  # the last pixel holds


@pytest.mark.parametrize("name", ROWS)
def test_the_published_optimizers(name):
    optimizer = ROWS[name].optimizer([nn.Parameter(torch.zeros(1))])
    ROWS[name].scheduler(optimizer)
    group = optimizer.param_groups[0]
    assert group["weight_decay"] == 2e-4
    assert type(optimizer) is (torch.optim.Adam if name == "andrej" else torch.optim.SGD)
    assert group.get("momentum", 0.9) == 0.9  # the cycle is of the rate alone


def test_a_short_run_has_three_falls_too():
    assert images.schedules(128, 1, {})["baseline"].rates() == [0.1]
    five = images.schedules(128, 5, {})["baseline"].rates()
    assert five == pytest.approx([0.1, 0.1, 0.01, 0.001, 0.0001], rel=1e-12)


def test_a_picture_is_made_for_the_published_number_of_steps():
    assert images.horizon(50_000, 250) == 97_656  # 50,000·250/128 = 97,656.25
    assert images.batches(50_000, 250) == 97_750  # 391 an epoch
    # 300 images for 2 epochs: 6 batches, 600/128 = 4.7. For 4 steps 2x1 pixels become one, f = √(2·1·3/4) = 1.22, that
    # in the middle, the white one; for 6 they would stay as they are, and begin with three steps of black.
    assert images.schedules(300, 2, TWO)["two"].rates() == pytest.approx([1e-2] * 6, rel=1e-9)
    assert images.schedules(5, 1, TWO)["two"].rates() == pytest.approx([1e-2], rel=1e-9)


def test_evaluation_forgets_the_start_of_a_short_run():
    assert images.network(97_750)[1].norm1.momentum == 0.003
    assert images.network(90)[1].norm1.momentum == 0.1
    assert images.network(3_323)[1].norm1.momentum > images.network(3_324)[1].norm1.momentum == 0.003


# --- the pictures


def test_the_built_in_pictures():
    arrays = {name: image() for name, image in images.PICTURES.items()}
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.uint8)}
    assert arrays["china"].shape == arrays["flower"].shape == (427, 640, 3)
    assert arrays["digit"].shape == (128, 128)
    assert arrays["digit"][:16, 32:48].tolist() == [[80] * 16] * 16  # the digit's first line is 0 0 5 13 9 1 0 0
    assert arrays["falling"][:, 0].tolist() == list(range(255, -1, -1))
    assert arrays["rising"].tolist() == arrays["falling"][::-1].tolist()
    assert arrays["noise"].mean() == pytest.approx(127.5, abs=1)


def test_a_users_picture_is_named_after_its_file(tmp_path):
    Image.new("L", (3, 2), 51).save(tmp_path / "fog.png")
    pictures = images.with_pictures([tmp_path / "fog.png"])
    assert list(pictures) == [*images.PICTURES, "fog"]
    assert pictures["fog"]().tolist() == [[[51] * 3] * 3] * 2


def test_a_picture_of_16_bits_keeps_its_levels(tmp_path):
    Image.fromarray(np.array([[0, 257], [1000, 65535]], dtype=np.uint16)).save(tmp_path / "deep.png")
    read = images.with_pictures([tmp_path / "deep.png"])["deep"]()
    assert read.shape == (2, 2, 3)
    assert read[..., 0].tolist() == [[0.0, 257 / 65535], [1000 / 65535, 1.0]]
    assert Pixels(read, 12).values(12).tolist() == pytest.approx(Pixels(tmp_path / "deep.png", 12).values(12).tolist())


def test_an_unusable_picture_is_named(tmp_path):
    (tmp_path / "text.png").write_text("text")
    for name in ("china", "baseline"):
        Image.new("L", (3, 2)).save(tmp_path / f"{name}.png")
    for name, message in (
        ("nowhere.png", "No such file"),
        ("text.png", "cannot identify"),
        ("china.png", "the name 'china' is taken"),
        ("baseline.png", "the name 'baseline' is taken"),
    ):
        with pytest.raises(BenchmarkError, match=rf"--image .*{name}: .*{message}"):
            images.with_pictures([tmp_path / name])


# --- the command

BATCH_NORM = "max(0.003, 10/(10 + batches of the run)) of each batch"


def test_images_trains_resnet_and_draws(tmp_path, monkeypatch, capsys):
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    monkeypatch.setattr(dataset_files, "CIFAR_SHA256", sums)
    monkeypatch.setattr(images, "BATCH", 4)
    Image.new("L", (3, 2), 255).save(tmp_path / "fog.png")
    files = ["--data", str(unpacked(tmp_path / "data")), "--image", str(tmp_path / "fog.png"), "--out", str(tmp_path)]
    assert main(["images", *files, "--limit", "5", "--epochs", "1", "--seeds", "1", "--settings", "fog,cyclic"]) == 0
    assert ": pictures as schedules: 2 runs of 1 epochs" in capsys.readouterr().out
    runs = [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()]
    assert [(run["setting"], run["lrs"]) for run in runs] == [("cyclic", [[1e-5]]), ("fog", [[1e-2]])]
    assert (tmp_path / "pictures.png").read_bytes().startswith(b"\x89PNG")
    title = (tmp_path / "table.md").read_text().splitlines()[0]
    size, length = "reduced size: 5 of 50000 images", "reduced length: 1 of 250 epochs"
    assert title == f"# CIFAR-10, {size}: pictures as schedules, {length}"
    assert BATCH_NORM in (tmp_path / "table.md").read_text()


def test_images_on_mnist_follows_its_schedule_batch_by_batch(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    write_mnist(
        tmp_path, rng.integers(0, 256, (300, 28, 28), dtype=np.uint8), np.arange(300, dtype=np.uint8) % 10, True
    )
    monkeypatch.setattr(
        dataset_files, "MNIST_SHA256", {name: sha256(tmp_path, name) for name in dataset_files.MNIST_SHA256}
    )
    options = ["--dataset", "mnist", "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--epochs", "2"]
    assert main(["images", *options, "--seeds", "1", "--settings", "rising,baseline"]) == 0
    command = json.loads((tmp_path / "out" / "info.json").read_text())["command"]
    assert command == f"python -m benchmarks images {' '.join(options)} --seeds 1 --settings rising,baseline"
    runs = [json.loads(line) for line in (tmp_path / "out" / "runs.jsonl").read_text().splitlines()]
    rates = {name: row.rates() for name, row in images.schedules(300, 2, images.PICTURES).items()}  # of 128, 128 and 44
    assert {run["setting"]: run["lrs"] for run in runs} == {
        name: [[rates[name][0]], [rates[name][3]]] for name in ("baseline", "rising")
    }
    assert all("(7): Softmax(dim=1)" in run["config"]["model"] for run in runs)  # which the loss applies again
    assert {run["config"]["key"]["loss"] for run in runs} == {"cross_entropy"}
