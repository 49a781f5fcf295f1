import gzip
import hashlib
import io
import os
import re
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from benchmarks.__main__ import main
from benchmarks.commands import BenchmarkError
from benchmarks.replications import cifar10, dataset_files, datasets, metrics, table
from benchmarks.replications.settings import SETTINGS

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 10, 3, 32, 32), dtype=np.uint8)  # ten images a file, one of each class
LABELS = np.tile(np.arange(10, dtype=np.uint8), (6, 1))
NAMES = list(dataset_files.CIFAR_SHA256)


def records(images, labels):
    """The binary version: for each image a byte for its label, then its planes, red, green and blue."""
    return b"".join(bytes([label]) + image.tobytes() for image, label in zip(images, labels, strict=True))


FILES = {name: records(IMAGES[i], LABELS[i]) for i, name in enumerate(NAMES)}


def unpacked(folder, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {**FILES, **changes}.items():
        (folder / name).write_bytes(content)
    return folder


def packed(folder, files=FILES):
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for name, content in {"readme.html": b"<html>", **dict(reversed(files.items()))}.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return folder


def jpeg(image, size=(32, 32), mode="RGB"):
    file = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).resize(size).convert(mode).save(file, "JPEG", quality=75)
    return file.getvalue()


def npz(folder, files=None, labels=(3, 1, 4), **changes):
    """The JPEGs of three images, the last of them for validation."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [jpeg(image) for image in IMAGES[0, :3]] if files is None else files
    arrays = {
        "jpeg": np.frombuffer(b"".join(files), np.uint8),
        "offsets": np.cumsum([0, *map(len, files)]),
        "labels": np.array(labels, np.uint8),
        "is_test": np.array([False, False, True]),
    }
    np.savez(folder / "cifar10-jpeg.npz", **{**arrays, **changes})
    return folder


# --- the files


@pytest.mark.parametrize("place", ["archive", ".", "cifar-10-batches-bin"])
def test_the_binary_version_is_read_packed_or_not(tmp_path, place):
    packed(tmp_path) if place == "archive" else unpacked(tmp_path / place)
    train, valid, title = datasets.cifar10(tmp_path, verify=False)
    assert title == "CIFAR-10"
    assert train.images.dtype == valid.images.dtype == torch.uint8
    np.testing.assert_array_equal(train.images, IMAGES[:5].reshape(50, 3, 32, 32))
    np.testing.assert_array_equal(valid.images, IMAGES[5])
    assert train.labels.tolist() == [*range(10)] * 5
    assert valid.labels.dtype == torch.int64


def test_scaled_images_go_from_minus_one_to_one(tmp_path):
    data = datasets.cifar10(unpacked(tmp_path), verify=False)
    scaled = data.scaled()
    assert scaled.title == data.title
    np.testing.assert_allclose(scaled.valid.images, (IMAGES[5] / 255 - 0.5) / 0.5, atol=1e-6)
    assert (scaled.train.images.min(), scaled.train.images.max()) == (-1, 1)
    assert data.train.images.dtype == torch.uint8


def test_a_few_images_are_spread_over_the_files(tmp_path):
    few = datasets.cifar10(unpacked(tmp_path), verify=False).few(5)
    np.testing.assert_array_equal(few.train.images, IMAGES[:5, 0])  # of 50, every tenth
    np.testing.assert_array_equal(few.valid.images, IMAGES[5, ::2])
    assert few.valid.labels.tolist() == [0, 2, 4, 6, 8]
    assert few.title == "CIFAR-10, 5 images"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (FILES["test_batch.bin"][:-1], r"test_batch.bin is truncated: it has 30729 bytes, not a multiple of 3073"),
        (b"", r"test_batch.bin is truncated: it has 0 bytes"),
        (b"\x0a" + FILES["test_batch.bin"][1:], r"test_batch.bin has the label 10; labels must be 0 … 9"),
    ],
)
@pytest.mark.parametrize("form", ["files", "archive"])
def test_a_broken_file_is_named(tmp_path, content, message, form):
    files = {**FILES, "test_batch.bin": content}
    folder = unpacked(tmp_path, **files) if form == "files" else packed(tmp_path, files)
    with pytest.raises(BenchmarkError, match=message) as caught:
        datasets.cifar10(folder, verify=False)
    assert str(tmp_path) in str(caught.value)


def test_an_altered_file_is_refused(tmp_path):
    with pytest.raises(BenchmarkError, match=r"data_batch_1.bin is not the published file.* cee91656"):
        datasets.cifar10(unpacked(tmp_path / "files"))
    with pytest.raises(BenchmarkError, match=r"tar.gz/data_batch_1.bin is not the published file.* cee91656"):
        datasets.cifar10(packed(tmp_path / "archive"))
    with pytest.raises(BenchmarkError, match=r"cifar10-jpeg.npz is not the published file.* b5d78607"):
        datasets.cifar10(npz(tmp_path / "jpeg"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(
        BenchmarkError, match=r"none of cifar-10-batches-bin, cifar-10-binary.tar.gz and cifar10-jpeg.npz"
    ):
        datasets.cifar10(tmp_path)
    unpacked(tmp_path / "files")
    (tmp_path / "files" / "data_batch_4.bin").unlink()
    with pytest.raises(BenchmarkError, match=r"there is no data_batch_4.bin in .*files"):
        datasets.cifar10(tmp_path / "files", verify=False)
    files = {name: content for name, content in FILES.items() if name != "data_batch_4.bin"}
    with pytest.raises(BenchmarkError, match=r"cifar-10-binary.tar.gz does not contain data_batch_4.bin"):
        datasets.cifar10(packed(tmp_path / "archive", files), verify=False)


@pytest.mark.parametrize("damage", ["cut", "not packed", "no archive"])
def test_a_damaged_archive_is_named(tmp_path, damage):
    path = packed(tmp_path) / "cifar-10-binary.tar.gz"
    content = path.read_bytes()
    path.write_bytes({"cut": content[:-1000], "not packed": b"tar", "no archive": gzip.compress(b"tar")}[damage])
    with pytest.raises(BenchmarkError, match=r"cannot read .*cifar-10-binary.tar.gz: "):
        datasets.cifar10(tmp_path, verify=False)


# --- the JPEGs


def test_jpegs_are_decoded(tmp_path):
    train, valid, title = datasets.cifar10(npz(tmp_path), verify=False)
    assert title == "CIFAR-10 (JPEG)"
    assert (train.labels.tolist(), valid.labels.tolist()) == ([3, 1], [4])
    expected = np.asarray(Image.open(io.BytesIO(jpeg(IMAGES[0, 2]))))
    np.testing.assert_array_equal(valid.images[0].permute(1, 2, 0), expected)
    assert train.images.shape == (2, 3, 32, 32)
    assert train.images.dtype == torch.uint8


GOOD = [jpeg(image) for image in IMAGES[0, :3]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [3, 10, 4]}, "cifar10-jpeg.npz has the label 10; labels must be 0 … 9"),
        ({"labels": [3, 1]}, "its offsets, labels and is_test do not match its"),
        ({"is_test": np.array([True])}, "its offsets, labels and is_test do not match its"),
        ({"jpeg": np.frombuffer(GOOD[0], np.uint8)}, f"do not match its {len(GOOD[0])} bytes of JPEG"),
        ({"offsets": np.array([0, 9, 9, sum(map(len, GOOD))])}, "its offsets, labels and is_test do not match its"),
        ({"jpeg": np.array([{}])}, "cannot read .*npz: Object arrays cannot be loaded when allow_pickle=False"),
        ({"files": [GOOD[0], b"\x89PNG", GOOD[2]]}, f"no 32x32 colour JPEG at byte {len(GOOD[0])}: "),
        ({"files": [GOOD[0][:-300], *GOOD[1:]]}, "no 32x32 colour JPEG at byte 0: "),
        ({"files": [jpeg(IMAGES[0, 0], size=(31, 32)), *GOOD[1:]]}, "no 32x32 colour JPEG at byte 0: "),
        ({"files": [jpeg(IMAGES[0, 0], mode="L"), *GOOD[1:]]}, "no 32x32 colour JPEG at byte 0: "),
    ],
)
def test_a_broken_npz_is_named(tmp_path, changes, message):
    with pytest.raises(BenchmarkError, match=message) as caught:
        datasets.cifar10(npz(tmp_path, **changes), verify=False)
    assert str(tmp_path / "cifar10-jpeg.npz") in str(caught.value)


@pytest.mark.parametrize("damage", ["cut", "text", "array", "an array missing"])
def test_a_damaged_npz_is_named(tmp_path, damage):
    path = npz(tmp_path) / "cifar10-jpeg.npz"
    if damage == "array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif damage == "an array missing":
        np.savez(path, jpeg=np.zeros(3))
    else:
        path.write_bytes({"cut": path.read_bytes()[:-100], "text": b"images"}[damage])
    with pytest.raises(BenchmarkError, match=r"cannot read .*cifar10-jpeg.npz: "):
        datasets.cifar10(tmp_path, verify=False)


# --- the download


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "cache")
    monkeypatch.setattr(dataset_files, "CIFAR_URL", (packed(tmp_path / "mirror")).as_uri() + "/")
    return tmp_path / "cache" / "cifar10"


def test_an_archive_in_the_cache_is_used(cache, tmp_path, monkeypatch):
    packed(cache)
    content = (cache / dataset_files.CIFAR_ARCHIVE).read_bytes()
    monkeypatch.setattr(dataset_files, "CIFAR_ARCHIVE_SHA256", hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(dataset_files, "CIFAR_URL", "http://127.0.0.1:9/")  # nothing listens there
    assert datasets.cifar10(verify=False).title == "CIFAR-10"


def test_a_failed_download_names_the_address(cache, monkeypatch):
    monkeypatch.setattr(dataset_files, "CIFAR_URL", "http://127.0.0.1:9/")
    with pytest.raises(BenchmarkError, match=r"could not download cifar-10-binary.tar.gz") as caught:
        datasets.cifar10()
    assert "http://127.0.0.1:9/cifar-10-binary.tar.gz" in str(caught.value)
    assert "--data DIR" in str(caught.value)


# --- the table


def test_the_network_is_the_published_one():
    network = cifar10.network()
    shapes = [tuple(weight.shape) for weight in network.parameters() if weight.ndim > 1]
    assert shapes == [(16, 3, 3, 3), (32, 16, 3, 3), (64, 32, 3, 3), (500, 1024), (10, 500)]
    kinds = [type(layer).__name__ for layer in network]
    convolution = ["Conv2d", "ELU", "MaxPool2d"]
    assert kinds == [*convolution * 3, "Flatten", "Dropout", "Linear", "ELU", "Dropout", "Linear"]
    assert [layer.p for layer in network if isinstance(layer, nn.Dropout)] == [0.25, 0.25]
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert [repr(layer) for layer in cifar10.network_as_written()] == [repr(layer) for layer in network]


def test_dropout_as_run_ends_with_the_first_evaluation():
    network, written = cifar10.network(), cifar10.network_as_written()
    images = torch.rand(4, 3, 32, 32)
    for model, ended in ((network, True), (written, False)):
        assert not model.train()(images).equal(model(images))
        model.eval()
        model.train()
        assert model(images).equal(model(images)) is ended
        assert all(layer.training is not ended for layer in model.modules())


def test_a_loaded_network_has_the_dropout_mode_of_the_saved_one():
    evaluated, fresh = cifar10.network(), cifar10.network()
    evaluated.eval()
    for saved, active in ((evaluated, False), (fresh, True)):
        loaded = cifar10.network()
        loaded.load_state_dict(saved.state_dict())
        assert all(layer.training is active for layer in loaded.train().modules())


def test_the_settings_are_the_published_ones_and_one_with_another_cutoff():
    settings = cifar10.BENCHMARK.settings
    assert [name for name in settings if name != "seq1-cutoff-0.01"] == list(SETTINGS)
    assert list(settings)[6:9] == ["seq1-cutoff", "seq1-cutoff-0.01", "seq2-cutoff"]
    relative = {name: setting.rule.relative for name, setting in settings.items() if "cutoff" in name}
    assert relative == {
        "seq1-cutoff": 0.1,
        "seq1-cutoff-0.01": 0.01,
        "seq2-cutoff": 0.01,
        "seq3-cutoff": 0.01,
        "seq4-cutoff": 0.01,
    }
    assert settings["seq1-cutoff"].row == "seq1, c₀ 0.1"
    assert cifar10.BENCHMARK.columns is metrics.CIFAR
    assert (cifar10.BENCHMARK.epochs, cifar10.BENCHMARK.batch_size) == (25, 20)


def test_cifar10_trains_on_small_files_in_the_original_format(tmp_path, monkeypatch, capsys):
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    monkeypatch.setattr(dataset_files, "CIFAR_SHA256", sums)
    arguments = ["--data", str(unpacked(tmp_path / "data")), "--out", str(tmp_path / "out"), "--seeds", "1"]
    settings = ["--settings", "sgd,seq1-cutoff,seq1-cutoff-0.01"]
    assert main(["cifar10", *arguments, "--epochs", "2", "--limit", "10", *settings]) == 0
    assert "CIFAR-10, reduced size: 10 of 50000 images: learning rates by" in capsys.readouterr().out
    text = (tmp_path / "out" / "table.md").read_text()
    assert text.startswith(
        "# CIFAR-10, reduced size: 10 of 50000 images: learning rates by sequence and strategy, "
        "reduced length: 2 of 25 epochs\n"
    )
    lines = {line.split(" | ")[1]: line for line in text.splitlines() if line.startswith("| ")}
    assert lines["SGD"].endswith("| 0.7487 | 25 |")
    assert lines["seq1, c₀ 0.1"].endswith("| 0.7714 | 15 |")  # the published figures
    assert lines["seq1, c₀ 0.01"].endswith("|  |  |")


def test_a_run_that_stops_early_and_never_settles_converges_at_the_planned_epochs(tmp_path, monkeypatch):
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    monkeypatch.setattr(dataset_files, "CIFAR_SHA256", sums)
    stopping = replace(cifar10.BENCHMARK, stop=lambda losses: len(losses) == 2)
    arguments = ["--data", str(unpacked(tmp_path / "data")), "--out", str(tmp_path / "out"), "--seeds", "1"]
    table.run(stopping, [*arguments, "--epochs", "9", "--limit", "10", "--settings", "sgd"])
    assert re.search(r"\| SGD \| 0\.\d{4} \| 9\.0 \|", (tmp_path / "out" / "table.md").read_text())


@pytest.mark.skipif("LRSCHED_DATA" not in os.environ, reason="LRSCHED_DATA does not name the folder of the real data")
def test_the_real_jpegs():
    path = Path(os.environ["LRSCHED_DATA"], "cifar10-jpeg", "cifar10-jpeg.npz")
    jpegs = dataset_files.read_jpegs(path)
    assert np.bincount(jpegs.labels[~jpegs.is_test]).tolist() == [5000] * 10
    assert np.bincount(jpegs.labels[jpegs.is_test]).tolist() == [1000] * 10
    images = dataset_files.decode(jpegs.jpeg, jpegs.offsets[:201].tolist(), path)
    assert images.shape == (200, 3, 32, 32)
    assert images.std() > 30
