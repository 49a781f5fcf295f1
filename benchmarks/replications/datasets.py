"""Images and labels as tensors in memory: scikit-learn's digits, MNIST and CIFAR-10 from their original files.

CIFAR-10 may also come as JPEGs in an npz file: similar images, but not the same, which its title says.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from ..errors import BenchmarkError
from .training import Split

MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
MNIST_SHA256 = {  # of the unpacked files
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
MNIST_GZ_SHA256 = {  # of the files on the mirrors
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
CIFAR_URL = "https://www.cs.toronto.edu/~kriz/"
CIFAR_ARCHIVE = "cifar-10-binary.tar.gz"
CIFAR_ARCHIVE_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
CIFAR_FOLDER = "cifar-10-batches-bin"  # within the archive
CIFAR_SHA256 = {
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}
CIFAR_JPEG = "cifar10-jpeg.npz"
CIFAR_JPEG_SHA256 = "b5d78607c1594ff0bb2a1cc268351b9d69d5ae79452732c2f12d8c90c70cb6b3"
RECORD = 1 + 3 * 32 * 32  # a label; the red, the green and the blue plane, each row by row


class Dataset(NamedTuple):
    """The images to train on, those to validate with, and what a table calls them."""

    train: Split
    valid: Split
    title: str

    def few(self, n: int | None) -> Dataset:
        """Return about n images of either part; all for None."""
        if n is None:
            return self
        return Dataset(self.train.few(n), self.valid.few(n), f"{self.title}, {n} images")

    def scaled(self) -> Dataset:
        """Return images of bytes as float32 in [−1, 1]."""
        parts = (Split(_scaled(images.float().div_(255)), labels) for images, labels in (self.train, self.valid))
        return Dataset(*parts, self.title)


class Jpegs(NamedTuple):
    """The files' bytes end to end, where each begins and the last one ends, and what they are."""

    jpeg: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
    is_test: np.ndarray


def digits() -> Dataset:
    """Return scikit-learn's 1,797 digits, 8x8: 1,437 to train on, 360 to validate with, the classes in proportion."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    parts = train_test_split(data.images, data.target, test_size=360, stratify=data.target, random_state=0)
    train_images, valid_images, train_labels, valid_labels = parts
    train, valid = _grey(train_images / 16, train_labels), _grey(valid_images / 16, valid_labels)
    return Dataset(train, valid, "Digits (8x8)")


def mnist(folder: Path | None = None, *, verify: bool = True) -> Dataset:
    """Return MNIST's 60,000 training and 10,000 test images.

    Args:
        folder: where the four idx files are, packed (.gz) or not; None to download them into the user's cache.
        verify: whether the files must be the published ones, byte for byte.

    Raises BenchmarkError naming the file that is missing, truncated, of another format or altered.
    """
    folder = download_mnist() if folder is None else folder
    return Dataset(_mnist_part(folder, "train", verify), _mnist_part(folder, "t10k", verify), "MNIST")


def cifar10(folder: Path | None = None, *, verify: bool = True) -> Dataset:
    """Return CIFAR-10's 50,000 training and 10,000 test images, (n, 3, 32, 32), as bytes.

    Args:
        folder: where the six files of the binary version are, or their archive, or else the npz file of JPEGs; None to
            download the archive into the user's cache.
        verify: whether the files must be the published ones, byte for byte.

    Raises BenchmarkError naming the file that is missing, truncated, of another format or altered.
    """
    folder = download_cifar10() if folder is None else folder
    for place in (folder, folder / CIFAR_FOLDER):
        if any((place / name).exists() for name in CIFAR_SHA256):
            return _binary_cifar10({name: _bytes(place / name) for name in CIFAR_SHA256}, place, verify)
    archive, jpegs = folder / CIFAR_ARCHIVE, folder / CIFAR_JPEG
    if archive.exists():
        return _binary_cifar10(read_archive(archive), archive, verify)
    if jpegs.exists():
        return _jpeg_cifar10(jpegs, verify)
    raise BenchmarkError(f"there is neither {CIFAR_FOLDER} nor {CIFAR_ARCHIVE} nor {CIFAR_JPEG} in {folder}")


def read_idx(folder: Path, name: str, dimensions: int, *, verify: bool = True) -> np.ndarray:
    """Return an idx file of unsigned bytes, FOLDER/name or FOLDER/name.gz, as an array."""
    path, content = _content(folder, name)
    header = 4 + 4 * dimensions
    if content[:4] != bytes([0, 0, 8, dimensions]):
        raise BenchmarkError(f"{path} is no idx file of {dimensions}-dimensional bytes: it begins with {content[:4]!r}")
    if len(content) < header:
        raise BenchmarkError(f"{path} is truncated: its header has {len(content)} of {header} bytes")
    shape = np.frombuffer(content, ">u4", dimensions, offset=4).astype(int)
    size = header + int(shape.prod())
    if len(content) != size:
        problem = "is truncated" if len(content) < size else "is too long"
        raise BenchmarkError(f"{path} {problem}: it should have {size} bytes unpacked, and has {len(content)}")
    if verify:
        _same(content, MNIST_SHA256[name], path)
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def read_archive(path: Path) -> dict[str, bytes]:
    """Return the content of each of the six files in CIFAR-10's archive."""
    try:
        with tarfile.open(path, "r:gz") as archive:  # read in its own order: to go back is to unpack it again
            files = {
                Path(member.name).name: archive.extractfile(member).read() for member in archive if member.isfile()
            }
        return {name: files[name] for name in CIFAR_SHA256}
    except KeyError as error:
        raise BenchmarkError(f"{path} has no file {error.args[0]}") from None
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise BenchmarkError(f"cannot read {path}: {error}") from error


def read_records(content: bytes, where: Path) -> Split:
    """Return the images and labels of one file of CIFAR-10's binary version."""
    if not content or len(content) % RECORD:
        raise BenchmarkError(f"{where} is truncated: it has {len(content)} bytes, no multiple of {RECORD}")
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    return _labelled(records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0], where)


def read_jpegs(path: Path, *, verify: bool = True) -> Jpegs:
    """Return the arrays of the npz file, its pictures not decoded yet."""
    content = _bytes(path)
    if verify:
        _same(content, CIFAR_JPEG_SHA256, path)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            jpegs = Jpegs(*(arrays[name] for name in Jpegs._fields))
    except (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error, zipfile.BadZipFile) as error:
        raise BenchmarkError(f"cannot read {path}: {error}") from error
    jpeg, offsets, labels, is_test = jpegs
    counts = len(offsets) - 1, len(labels), len(is_test)
    if len(set(counts)) > 1 or [offsets[0], offsets[-1]] != [0, len(jpeg)] or (np.diff(offsets) <= 0).any():
        raise BenchmarkError(f"{path}: its offsets, labels and is_test do not fit its {len(jpeg)} bytes of JPEG")
    return jpegs


def decode(jpeg: np.ndarray, offsets: Sequence[int], path: Path) -> np.ndarray:
    """Return the JPEGs between the offsets as bytes, (n, 3, 32, 32)."""
    images = np.empty((len(offsets) - 1, 32, 32, 3), np.uint8)
    try:
        for image, (start, end) in zip(images, pairwise(offsets), strict=True):
            with Image.open(io.BytesIO(jpeg[start:end].tobytes()), formats=["JPEG"]) as picture:
                image[:] = np.asarray(picture)
    except (OSError, SyntaxError, ValueError) as error:  # no JPEG, cut short, of another size
        raise BenchmarkError(f"{path}: no JPEG of 32x32 in colour at byte {start}: {error}") from error
    return images.transpose(0, 3, 1, 2)


def download_mnist() -> Path:
    """Return the cache folder with the four packed files, after fetching those that are not there yet."""
    for name, sha256 in MNIST_GZ_SHA256.items():
        folder = _fetch("mnist", name, sha256, MIRRORS)
    return folder


def download_cifar10() -> Path:
    """Return the cache folder with the archive of the binary version, after fetching it if it is not there yet."""
    return _fetch("cifar10", CIFAR_ARCHIVE, CIFAR_ARCHIVE_SHA256, [CIFAR_URL])


def _fetch(dataset: str, name: str, sha256: str, mirrors: Sequence[str]) -> Path:
    """Return the data set's cache folder, with the file in it."""
    import pooch

    folder = Path(pooch.os_cache("lrsched"), dataset)
    failures = []
    for mirror in mirrors:
        try:
            pooch.retrieve(mirror + name, sha256, fname=name, path=folder, progressbar=True)
            break
        except (OSError, ValueError) as error:  # no network or no room; another checksum
            failures.append(f"  {mirror}{name}: {error}")
    else:
        reasons = "\n".join(failures)
        raise BenchmarkError(f"could not download {name}:\n{reasons}\nGive its folder with --data DIR instead.")
    return folder


def _mnist_part(folder: Path, part: str, verify: bool) -> Split:
    images = read_idx(folder, f"{part}-images-idx3-ubyte", 3, verify=verify)
    labels = read_idx(folder, f"{part}-labels-idx1-ubyte", 1, verify=verify)
    if len(images) != len(labels):
        raise BenchmarkError(f"{folder}: {part} has {len(images)} images and {len(labels)} labels")
    return _grey(images / np.float32(255), labels)


def _binary_cifar10(contents: dict[str, bytes], where: Path, verify: bool) -> Dataset:
    splits = []
    for name, content in contents.items():
        splits.append(read_records(content, where / name))
        if verify:
            _same(content, CIFAR_SHA256[name], where / name)
    *train, valid = splits
    return Dataset(Split(*map(torch.cat, zip(*train, strict=True))), valid, "CIFAR-10")


def _jpeg_cifar10(path: Path, verify: bool) -> Dataset:
    jpeg, offsets, labels, is_test = read_jpegs(path, verify=verify)
    images = decode(jpeg, offsets.tolist(), path)
    train, valid = (_labelled(images[part], labels[part], path) for part in (~is_test, is_test))
    return Dataset(train, valid, "CIFAR-10 (JPEG)")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise BenchmarkError(f"there is no {path.name} in {path.parent}") from None
    except OSError as error:
        raise BenchmarkError(f"cannot read {path}: {error}") from error


def _same(content: bytes, sha256: str, path: Path) -> None:
    if hashlib.sha256(content).hexdigest() != sha256:
        raise BenchmarkError(f"{path} is not the published file: its sha256, unpacked, is not {sha256}")


def _content(folder: Path, name: str) -> tuple[Path, bytes]:
    plain, packed = folder / name, folder / f"{name}.gz"
    path = packed if packed.exists() and not plain.exists() else plain
    try:
        content = path.read_bytes()
        return path, gzip.decompress(content) if path == packed else content
    except FileNotFoundError:
        raise BenchmarkError(f"there is neither {name} nor {name}.gz in {folder}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise BenchmarkError(f"cannot read {path}: {error}") from error


def _grey(images: np.ndarray, labels: np.ndarray) -> Split:
    """Return images (n, height, width) in [0, 1] as one-channel images in [−1, 1], and their labels."""
    scaled = _scaled(torch.tensor(images, dtype=torch.float32))
    return Split(scaled.unsqueeze(1), torch.tensor(labels, dtype=torch.int64))


def _scaled(images: torch.Tensor) -> torch.Tensor:
    return images.sub_(0.5).div_(0.5)


def _labelled(images: np.ndarray, labels: np.ndarray, where: Path) -> Split:
    if labels.max(initial=0) > 9:
        raise BenchmarkError(f"{where} has the label {labels.max()}: labels must be 0 … 9")
    return Split(torch.tensor(images), torch.tensor(labels, dtype=torch.int64))
