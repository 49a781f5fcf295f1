"""Images and labels as tensors in memory: scikit-learn's digits, MNIST, CIFAR-10.

CIFAR-10 may also come as JPEGs in an npz file: similar images, but not the same, so its title differs.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..commands import BenchmarkError
from . import dataset_files as files

CIFAR10, CIFAR10_JPEG = "CIFAR-10", "CIFAR-10 (JPEG)"
TRAINING_IMAGES = {"MNIST": 60_000, CIFAR10: 50_000, CIFAR10_JPEG: 50_000, "Digits (8x8)": 1_437}


class Split(NamedTuple):
    """Images (n, channels, height, width), as float32 or bytes, and their labels (n,)."""

    images: Tensor
    labels: Tensor

    def few(self, n: int) -> Split:
        """Return at most n samples, spread evenly, because files may be sorted by class."""
        n = min(n, len(self.labels))
        rows = torch.arange(n) * len(self.labels) // n
        return Split(self.images[rows], self.labels[rows])

    def to(self, device: torch.device) -> Split:
        return Split(self.images.to(device), self.labels.to(device))


class Dataset(NamedTuple):
    """The training images, the validation images, and the dataset's name in tables."""

    train: Split
    valid: Split
    title: str

    def few(self, n: int | None) -> Dataset:
        """Return at most n images of each part; all of them for None."""
        if n is None:
            return self
        return Dataset(self.train.few(n), self.valid.few(n), f"{self.title}, {n} images")

    def scaled(self) -> Dataset:
        """Return images of bytes as float32 in [−1, 1]."""
        parts = (Split(_scaled(images.float().div_(255)), labels) for images, labels in (self.train, self.valid))
        return Dataset(*parts, self.title)


def size(title: str) -> str:
    """Return the title. If it ends in ", N images" and the dataset has more, say "reduced size"."""
    part = re.fullmatch(r"(.+), (\d+) images", title)
    if part is None or int(part[2]) >= TRAINING_IMAGES.get(part[1], 0):
        return title
    return f"{part[1]}, reduced size: {part[2]} of {TRAINING_IMAGES[part[1]]} images"


def digits() -> Dataset:
    """Return scikit-learn's 1,797 digits, 8x8: 1,437 for training, 360 for validation, with classes in proportion."""
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
        folder: the folder with the four idx files, packed (.gz) or not; None to download them into the user's cache.
        verify: whether the files must be the published ones, byte for byte.

    Raises BenchmarkError naming a file that is missing, truncated, altered or in another format.
    """
    folder = files.download_mnist() if folder is None else folder
    return Dataset(_mnist_part(folder, "train", verify), _mnist_part(folder, "t10k", verify), "MNIST")


def cifar10(folder: Path | None = None, *, verify: bool = True) -> Dataset:
    """Return CIFAR-10's 50,000 training and 10,000 test images, (n, 3, 32, 32), as bytes.

    Args:
        folder: the folder with the six files of the binary version, with their archive, or with the npz file of
            JPEGs; None to download the archive into the user's cache.
        verify: whether the files must be the published ones, byte for byte.

    Raises BenchmarkError naming a file that is missing, truncated, altered or in another format.
    """
    folder = files.download_cifar10() if folder is None else folder
    archive, jpegs = folder / files.CIFAR_ARCHIVE, folder / files.CIFAR_JPEG
    if place := _binary_folder(folder):
        return _binary_cifar10({name: files.read_bytes(place / name) for name in files.CIFAR_SHA256}, place, verify)
    if archive.exists():
        return _binary_cifar10(files.read_archive(archive), archive, verify)
    if jpegs.exists():
        return _jpeg_cifar10(jpegs, verify)
    raise BenchmarkError(f"none of {files.CIFAR_FOLDER}, {files.CIFAR_ARCHIVE} and {files.CIFAR_JPEG} is in {folder}")


def cifar10_title(folder: Path | None) -> str:
    """Return the title of what `cifar10(folder)` reads, without reading it."""
    if folder is None or _binary_folder(folder) or (folder / files.CIFAR_ARCHIVE).exists():
        return CIFAR10
    return CIFAR10_JPEG if (folder / files.CIFAR_JPEG).exists() else CIFAR10


def _binary_folder(folder: Path) -> Path | None:
    """Return the folder with files of CIFAR-10's binary version: this one or the archive's; None if neither has any."""
    places = (folder, folder / files.CIFAR_FOLDER)
    return next((place for place in places if any((place / name).exists() for name in files.CIFAR_SHA256)), None)


def _mnist_part(folder: Path, part: str, verify: bool) -> Split:
    images = files.read_idx(folder, f"{part}-images-idx3-ubyte", 3, verify=verify)
    labels = files.read_idx(folder, f"{part}-labels-idx1-ubyte", 1, verify=verify)
    if len(images) != len(labels):
        raise BenchmarkError(f"{folder}: {part} has {len(images)} images but {len(labels)} labels")
    return _grey(images / np.float32(255), labels)


def _binary_cifar10(contents: dict[str, bytes], place: Path, verify: bool) -> Dataset:
    splits = []
    for name, content in contents.items():
        splits.append(_labelled(*files.read_binary(content, place / name), place / name))
        if verify:
            files.check(content, files.CIFAR_SHA256[name], place / name)
    *train, valid = splits
    return Dataset(Split(*map(torch.cat, zip(*train, strict=True))), valid, CIFAR10)


def _jpeg_cifar10(path: Path, verify: bool) -> Dataset:
    jpeg, offsets, labels, is_test = files.read_jpegs(path, verify=verify)
    images = files.decode(jpeg, offsets.tolist(), path)
    train, valid = (_labelled(images[part], labels[part], path) for part in (~is_test, is_test))
    return Dataset(train, valid, CIFAR10_JPEG)


def _labelled(images: np.ndarray, labels: np.ndarray, path: Path) -> Split:
    if labels.max(initial=0) > 9:
        raise BenchmarkError(f"{path} has the label {labels.max()}; labels must be 0 … 9")
    return Split(torch.tensor(images), torch.tensor(labels, dtype=torch.int64))


def _grey(images: np.ndarray, labels: np.ndarray) -> Split:
    """Return images (n, height, width) in [0, 1] as one-channel images in [−1, 1], and their labels."""
    scaled = _scaled(torch.tensor(images, dtype=torch.float32))
    return Split(scaled.unsqueeze(1), torch.tensor(labels, dtype=torch.int64))


def _scaled(images: Tensor) -> Tensor:
    return images.sub_(0.5).div_(0.5)
