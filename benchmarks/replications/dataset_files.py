"""Reading and downloading the original files of MNIST and CIFAR-10, each checked against its published checksum.

Every function raises BenchmarkError if a file is missing, truncated, altered or in another format.
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
from PIL import Image

from ..commands import BenchmarkError

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
CIFAR_FOLDER = "cifar-10-batches-bin"  # inside the archive
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
RECORD = 1 + 3 * 32 * 32  # the label, then the red, green and blue planes, row by row


class Jpegs(NamedTuple):
    """The joined files, the offset of each and the end of the last, their labels, and which are for validation."""

    jpeg: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
    is_test: np.ndarray


# ---------------------------------------------------------------- MNIST


def read_idx(folder: Path, name: str, dimensions: int, *, verify: bool = True) -> np.ndarray:
    """Return an idx file of unsigned bytes, FOLDER/name or FOLDER/name.gz, as an array."""
    path, content = _unpacked(folder, name)
    header = 4 + 4 * dimensions
    if content[:4] != bytes([0, 0, 8, dimensions]):
        raise BenchmarkError(
            f"{path} is not an idx file of {dimensions}-dimensional bytes: it begins with {content[:4]!r}"
        )
    if len(content) < header:
        raise BenchmarkError(f"{path} is truncated: its header has {len(content)} of {header} bytes")
    shape = np.frombuffer(content, ">u4", dimensions, offset=4).astype(int)
    size = header + int(shape.prod())
    if len(content) != size:
        problem = "is truncated" if len(content) < size else "is too long"
        raise BenchmarkError(f"{path} {problem}: unpacked, it must have {size} bytes, but it has {len(content)}")
    if verify:
        check(content, MNIST_SHA256[name], path)
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _unpacked(folder: Path, name: str) -> tuple[Path, bytes]:
    plain, packed = folder / name, folder / f"{name}.gz"
    path = packed if packed.exists() and not plain.exists() else plain
    try:
        content = path.read_bytes()
        return path, gzip.decompress(content) if path == packed else content
    except FileNotFoundError:
        raise BenchmarkError(f"neither {name} nor {name}.gz is in {folder}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise BenchmarkError(f"cannot read {path}: {error}") from error


# ---------------------------------------------------------------- CIFAR-10


def read_archive(path: Path) -> dict[str, bytes]:
    """Return the content of each of the six files in CIFAR-10's archive."""
    try:
        with tarfile.open(path, "r:gz") as archive:  # in the archive's order: going back would unpack it again
            files = {
                Path(member.name).name: archive.extractfile(member).read() for member in archive if member.isfile()
            }
        return {name: files[name] for name in CIFAR_SHA256}
    except KeyError as error:
        raise BenchmarkError(f"{path} does not contain {error.args[0]}") from None
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise BenchmarkError(f"cannot read {path}: {error}") from error


def read_binary(content: bytes, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the images (n, 3, 32, 32) and labels of one file of CIFAR-10's binary version."""
    if not content or len(content) % RECORD:
        raise BenchmarkError(f"{path} is truncated: it has {len(content)} bytes, not a multiple of {RECORD}")
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0]


def read_jpegs(path: Path, *, verify: bool = True) -> Jpegs:
    """Return the arrays of the npz file, with the JPEGs not yet decoded."""
    content = read_bytes(path)
    if verify:
        check(content, CIFAR_JPEG_SHA256, path)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            jpegs = Jpegs(*(arrays[name] for name in Jpegs._fields))
    except (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error, zipfile.BadZipFile) as error:
        raise BenchmarkError(f"cannot read {path}: {error}") from error
    jpeg, offsets, labels, is_test = jpegs
    counts = len(offsets) - 1, len(labels), len(is_test)
    if len(set(counts)) > 1 or [offsets[0], offsets[-1]] != [0, len(jpeg)] or (np.diff(offsets) <= 0).any():
        raise BenchmarkError(f"{path}: its offsets, labels and is_test do not match its {len(jpeg)} bytes of JPEG")
    return jpegs


def decode(jpeg: np.ndarray, offsets: Sequence[int], path: Path) -> np.ndarray:
    """Return the JPEGs between the offsets as bytes, (n, 3, 32, 32)."""
    images = np.empty((len(offsets) - 1, 32, 32, 3), np.uint8)
    try:
        for image, (start, end) in zip(images, pairwise(offsets), strict=True):
            with Image.open(io.BytesIO(jpeg[start:end].tobytes()), formats=["JPEG"]) as picture:
                image[:] = np.asarray(picture)
    except (OSError, SyntaxError, ValueError) as error:  # not a JPEG, cut short, or of another size
        raise BenchmarkError(f"{path}: no 32x32 colour JPEG at byte {start}: {error}") from error
    return images.transpose(0, 3, 1, 2)


# ---------------------------------------------------------------- any file


def read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise BenchmarkError(f"there is no {path.name} in {path.parent}") from None
    except OSError as error:
        raise BenchmarkError(f"cannot read {path}: {error}") from error


def check(content: bytes, sha256: str, path: Path) -> None:
    """Raise BenchmarkError unless the content has the checksum."""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise BenchmarkError(f"{path} is not the published file: unpacked, its sha256 is not {sha256}")


def download_mnist() -> Path:
    """Return the cache folder with the four packed files, downloading those that are missing."""
    for name, sha256 in MNIST_GZ_SHA256.items():
        folder = _fetch("mnist", name, sha256, MIRRORS)
    return folder


def download_cifar10() -> Path:
    """Return the cache folder with the archive of the binary version, downloading it if it is missing."""
    return _fetch("cifar10", CIFAR_ARCHIVE, CIFAR_ARCHIVE_SHA256, [CIFAR_URL])


def _fetch(dataset: str, name: str, sha256: str, mirrors: Sequence[str]) -> Path:
    """Return the dataset's cache folder, with the file in it."""
    import pooch

    folder = Path(pooch.os_cache("lrsched"), dataset)
    failures = []
    for mirror in mirrors:
        try:
            pooch.retrieve(mirror + name, sha256, fname=name, path=folder, progressbar=True)
            break
        except (OSError, ValueError) as error:  # no network, no space, or another checksum
            failures.append(f"  {mirror}{name}: {error}")
    else:
        reasons = "\n".join(failures)
        raise BenchmarkError(f"could not download {name}:\n{reasons}\nPass its folder with --data DIR instead.")
    return folder
