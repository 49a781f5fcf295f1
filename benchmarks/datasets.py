"""Images and labels as tensors in memory: scikit-learn's digits, and MNIST from its original idx files."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np
import torch

from .errors import BenchmarkError
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


def digits() -> tuple[Split, Split]:
    """Return scikit-learn's 1,797 digits, 8x8: 1,437 to train on, 360 to validate with, the classes in proportion."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    parts = train_test_split(data.images, data.target, test_size=360, stratify=data.target, random_state=0)
    train_images, valid_images, train_labels, valid_labels = parts
    return _split(train_images / 16, train_labels), _split(valid_images / 16, valid_labels)


def mnist(folder: Path | None = None, *, verify: bool = True) -> tuple[Split, Split]:
    """Return MNIST's 60,000 training and 10,000 test images.

    Args:
        folder: where the four idx files are, packed (.gz) or not; None to download them into the user's cache.
        verify: whether the files must be the published ones, byte for byte.

    Raises BenchmarkError naming the file that is missing, truncated, of another format or altered.
    """
    folder = download_mnist() if folder is None else folder
    return _mnist_part(folder, "train", verify), _mnist_part(folder, "t10k", verify)


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
    if verify and hashlib.sha256(content).hexdigest() != MNIST_SHA256[name]:
        raise BenchmarkError(f"{path} is not the published file: its sha256, unpacked, is not {MNIST_SHA256[name]}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def download_mnist() -> Path:
    """Return the cache folder with the four packed files, after fetching those that are not there yet."""
    import pooch

    folder = Path(pooch.os_cache("lrsched"), "mnist")
    for name, sha256 in MNIST_GZ_SHA256.items():
        failures = []
        for mirror in MIRRORS:
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
    return _split(images / np.float32(255), labels)


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


def _split(images: np.ndarray, labels: np.ndarray) -> Split:
    """Return one-channel images in [0, 1] scaled to [−1, 1], and their labels."""
    scaled = (torch.tensor(images, dtype=torch.float32) - 0.5) / 0.5
    return Split(scaled.unsqueeze(1), torch.tensor(labels, dtype=torch.int64))
