import gzip
import hashlib
import json
import os
import struct
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.commands import BenchmarkError
from benchmarks.replications import dataset_files, datasets, mnist, table
from benchmarks.replications.datasets import Split

IMAGES = np.arange(3 * 28 * 28, dtype=np.uint8).reshape(3, 28, 28)


LABELS = np.array([5, 0, 4], dtype=np.uint8)


def idx(array):
    """The idx format: 0, 0, 8 (unsigned bytes), the number of dimensions; the sizes, big-endian; the bytes."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_mnist(folder, images=IMAGES, labels=LABELS, packed=False):
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "t10k"):
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
            else:
                (folder / name).write_bytes(idx(array))
    return folder


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_are_read_packed_or_not(tmp_path, packed):
    write_mnist(tmp_path, packed=packed)
    np.testing.assert_array_equal(dataset_files.read_idx(tmp_path, "train-images-idx3-ubyte", 3, verify=False), IMAGES)
    np.testing.assert_array_equal(dataset_files.read_idx(tmp_path, "t10k-labels-idx1-ubyte", 1, verify=False), LABELS)


def test_mnist_scales_pixels_to_minus_one_to_one(tmp_path):
    train, valid, title = datasets.mnist(write_mnist(tmp_path), verify=False)
    assert train.images.shape == valid.images.shape == (3, 1, 28, 28)
    assert train.images.dtype == torch.float32
    expected = (IMAGES[1] / 255 - 0.5) / 0.5
    np.testing.assert_allclose(train.images[1, 0].numpy(), expected, atol=1e-6)
    assert train.images.min() == -1
    assert train.images.max() == 1
    assert valid.labels.tolist() == [5, 0, 4]
    assert valid.labels.dtype == torch.int64
    assert title == "MNIST"


def test_a_missing_file_is_named(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(BenchmarkError, match=r"neither t10k-labels-idx1-ubyte nor t10k-labels-idx1-ubyte.gz is in"):
        datasets.mnist(tmp_path, verify=False)
    with pytest.raises(BenchmarkError, match=r"neither train-images-idx3-ubyte nor .* is in .*nowhere"):
        datasets.mnist(tmp_path / "nowhere", verify=False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(IMAGES)[:-1], "is truncated: unpacked, it must have 2368 bytes, but it has 2367"),
        (idx(IMAGES)[:10], "is truncated: its header has 10 of 16 bytes"),
        (b"", "begins with b''"),
        (idx(IMAGES) + b"\0", "is too long: unpacked, it must have 2368 bytes, but it has 2369"),
        (idx(LABELS), "is not an idx file of 3-dimensional bytes"),
        (b"\0\0\x0d\x03" + idx(IMAGES)[4:], "is not an idx file of 3-dimensional bytes"),
        (b"\x89PNG\r\n\x1a\n", "is not an idx file"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_broken_file_is_named(tmp_path, content, message, packed):
    name = "train-images-idx3-ubyte"
    path = tmp_path / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(BenchmarkError, match=message) as caught:
        dataset_files.read_idx(tmp_path, name, 3, verify=False)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("damage", ["cut", "bits", "not packed"])
def test_a_damaged_packed_file_is_named(tmp_path, damage):
    packed = bytearray(gzip.compress(idx(IMAGES)))
    content = {"cut": packed[:-20], "bits": packed[:12] + b"\xff" * 20 + packed[32:], "not packed": idx(IMAGES)}[damage]
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(BenchmarkError, match=r"cannot read .*train-images-idx3-ubyte.gz"):
        dataset_files.read_idx(tmp_path, "train-images-idx3-ubyte", 3, verify=False)


def test_an_altered_file_is_refused(tmp_path):
    write_mnist(tmp_path)
    with pytest.raises(BenchmarkError, match=r"train-images-idx3-ubyte is not the published file.*ba891046"):
        datasets.mnist(tmp_path)


def test_images_without_labels_are_refused(tmp_path):
    write_mnist(tmp_path, labels=LABELS[:2])
    with pytest.raises(BenchmarkError, match="train has 3 images but 2 labels"):
        datasets.mnist(tmp_path, verify=False)


def test_digits_are_split_in_proportion():
    train, valid, title = datasets.digits()
    assert title == "Digits (8x8)"
    assert train.images.shape == (1437, 1, 8, 8)
    assert valid.images.shape == (360, 1, 8, 8)
    assert (train.images.min(), train.images.max()) == (-1, 1)
    both = torch.cat([train.labels, valid.labels]).bincount()
    assert both.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]  # as in the data's description
    assert (valid.labels.bincount() - both / 5).abs().max() <= 1
    assert datasets.digits()[1].labels.equal(valid.labels)


def test_a_failed_download_names_every_address(monkeypatch, tmp_path):
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path)
    monkeypatch.setattr(
        dataset_files, "MIRRORS", ("http://127.0.0.1:9/a/", "http://127.0.0.1:9/b/")
    )  # nothing listens there
    with pytest.raises(BenchmarkError, match=r"could not download train-images-idx3-ubyte.gz") as caught:
        datasets.mnist()
    message = str(caught.value)
    assert "http://127.0.0.1:9/a/train-images-idx3-ubyte.gz" in message
    assert "http://127.0.0.1:9/b/train-images-idx3-ubyte.gz" in message
    assert "--data DIR" in message


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A web server with four small packed files, the second of two mirrors; the first one answers 404."""
    write_mnist(tmp_path / "mirror" / "good", packed=True)
    handler = partial(QuietHandler, directory=str(tmp_path / "mirror"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "cache")
    monkeypatch.setattr(dataset_files, "MIRRORS", (f"{address}/bad/", f"{address}/good/"))
    yield tmp_path / "mirror" / "good"
    server.shutdown()
    thread.join()
    server.server_close()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def test_download_tries_the_next_mirror_and_keeps_the_files(mirror, monkeypatch):
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in mirror.iterdir()}
    monkeypatch.setattr(dataset_files, "MNIST_GZ_SHA256", sums)
    folder = dataset_files.download_mnist()
    assert sorted(path.name for path in folder.iterdir()) == sorted(sums)
    np.testing.assert_array_equal(dataset_files.read_idx(folder, "train-images-idx3-ubyte", 3, verify=False), IMAGES)
    for path in mirror.iterdir():
        path.unlink()
    assert dataset_files.download_mnist() == folder  # from the cache


def test_a_download_with_another_checksum_is_refused(mirror):
    with pytest.raises(BenchmarkError, match=r"could not download train-images-idx3-ubyte.gz:(.|\n)*hash"):
        dataset_files.download_mnist()


def test_mnist_trains_on_small_files_in_the_original_format(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (130, 28, 28), dtype=np.uint8), np.arange(130, dtype=np.uint8) % 10
    write_mnist(tmp_path / "data", images, labels, packed=True)
    monkeypatch.setattr(
        dataset_files, "MNIST_SHA256", {name: sha256(tmp_path / "data", name) for name in dataset_files.MNIST_SHA256}
    )
    arguments = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--epochs", "2", "--seeds", "1"]
    assert table.run(mnist.BENCHMARK, [*arguments, "--settings", "seq4-cutoff,sgd"]) == 0
    text = (tmp_path / "out" / "table.md").read_text()
    assert "0.98264 | 34" in text  # the published figures
    assert "0.98656 | 22" in text


def sha256(folder, name):
    return hashlib.sha256(gzip.decompress((folder / f"{name}.gz").read_bytes())).hexdigest()


def test_the_network_is_the_published_one():
    network = mnist.network()
    shapes = [tuple(weight.shape) for weight in network.parameters()]
    assert shapes == [(20, 1, 3, 3), (20,), (128, 3380), (128,), (10, 128), (10,)]
    outputs = network(torch.zeros(2, 1, 28, 28))
    torch.testing.assert_close(outputs.sum(1), torch.ones(2))  # softmax, and cross-entropy applies it again
    assert mnist.BENCHMARK.loss is nn.functional.cross_entropy


@pytest.mark.skipif("LRSCHED_DATA" not in os.environ, reason="LRSCHED_DATA does not name the folder of the real data")
def test_the_real_mnist_files():
    train, valid, _ = datasets.mnist(Path(os.environ["LRSCHED_DATA"], "mnist"))
    assert train.images.shape == (60_000, 1, 28, 28)
    assert valid.images.shape == (10_000, 1, 28, 28)
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert (train.images.min(), train.images.max()) == (-1, 1)


@pytest.mark.skipif("LRSCHED_DATA" not in os.environ, reason="LRSCHED_DATA does not name the folder of the real data")
def test_mnist_learns_from_the_real_files(tmp_path):
    data = ["--data", str(Path(os.environ["LRSCHED_DATA"], "mnist")), "--limit", "3200"]
    options = [*data, "--epochs", "2", "--seeds", "1", "--settings", "adam", "--out", str(tmp_path)]
    assert table.run(mnist.BENCHMARK, options) == 0
    assert json.loads((tmp_path / "runs.jsonl").read_text())["metrics"]["accuracy"][-1] > 0.5


def test_few_samples_are_spread_over_all():
    split = Split(torch.arange(7.0).reshape(7, 1, 1, 1), torch.arange(7))
    assert split.few(3).labels.tolist() == [0, 2, 4]  # ⌊7i/3⌋
    assert split.few(4).images.flatten().tolist() == [0, 1, 3, 5]
    assert split.few(1).labels.tolist() == [0]
    assert split.few(7).labels.tolist() == split.few(100).labels.tolist() == [*range(7)]


@pytest.mark.parametrize(
    ("title", "size"),
    [
        ("MNIST", "MNIST"),
        ("MNIST, 60000 images", "MNIST, 60000 images"),
        ("MNIST, 59999 images", "MNIST, reduced size: 59999 of 60000 images"),
        ("CIFAR-10 (JPEG), 5000 images", "CIFAR-10 (JPEG), reduced size: 5000 of 50000 images"),
        ("Stars, 5 images", "Stars, 5 images"),
    ],
)
def test_a_part_of_a_dataset_is_called_a_part(title, size):
    assert datasets.size(title) == size
