"""Pictures as learning-rate schedules, after Jang et al., "Aesthetically Pleasing Learning Rates" (2018).

ResNet-32 on CIFAR-10, batches of 128, momentum 0.9, weight decay 2e-4. The learning rate changes with every batch. The
authors' seven pictures are not available, so other pictures are used. `--dataset mnist` uses the network and loss of
the MNIST table as run, which apply softmax twice. On a GPU, all rows are trained side by side; the shifted and flipped
images of a seed are made once for all rows.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import Parameter
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lrsched import Constant, CyclicLR, ImageLR, Piecewise, Pixels, SequenceLR
from lrsched.plot import COLOURS, INK, figure, frame, picture

from ..commands import BenchmarkError
from . import datasets, metrics, mnist, resnet, table
from .benchmark import Benchmark
from .table_rows import Row

FULL = 250
IMAGES = datasets.TRAINING_IMAGES["CIFAR-10"]
BATCH = 128
DECAY = 2e-4
ADDED = "Picture"  # the method of all pictures, built-in or the user's
LOW, HIGH = 1e-5, 1e-2  # the limits of the pictures and the cycle


@dataclass(frozen=True)
class Schedule:
    """One row: an optimizer, and a scheduler that steps after each of `steps` batches."""

    method: str
    row: str
    steps: int
    start: Callable[[Optimizer], LRScheduler]
    lr: float = HIGH
    adam: bool = False
    image: Callable[[], np.ndarray] | None = None
    per: ClassVar[str] = "batch"

    def optimizer(self, parameters: Iterable[Parameter]) -> Optimizer:
        if self.adam:
            return Adam(parameters, lr=self.lr, weight_decay=DECAY)
        return SGD(parameters, lr=self.lr, momentum=0.9, weight_decay=DECAY)

    def scheduler(self, optimizer: Optimizer) -> LRScheduler:
        return self.start(optimizer)

    def rates(self) -> list[float]:
        """Return the learning rate of every batch."""
        optimizer = self.optimizer([Parameter(torch.zeros(1))])
        scheduler = self.scheduler(optimizer)
        rates = []
        for _ in range(self.steps):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        return rates


def batches(images: int, epochs: int) -> int:
    """Return the number of batches in a run; the last batch of an epoch may be smaller."""
    return epochs * -(-images // BATCH)


def horizon(images: int, epochs: int) -> int:
    """Return the number of steps of a picture, as published: images·epochs/128, fewer than the batches of a run."""
    return max(1, images * epochs // BATCH)


def schedules(images: int, epochs: int, pictures: Mapping[str, Callable[[], np.ndarray]]) -> dict[str, Schedule]:
    """Return the rows for runs on a number of training images.

    The baseline's rate falls at 0.4, 0.6 and 0.8 of the batches, like the published one after 100, 150 and 200 of 250
    epochs. The cycle keeps its published half period of 1000 batches, however short the run.
    """
    steps = batches(images, epochs)
    falls = [max(fall, steps * (fall + 1) // 5) for fall in (1, 2, 3)]
    baseline = partial(SequenceLR, sequence=Piecewise(falls, [1, 0.1, 0.01, 0.001]))
    fixed = partial(SequenceLR, sequence=Constant())
    cycle = partial(CyclicLR, base_lr=LOW, max_lr=HIGH, step_size_up=1000, cycle_momentum=False)
    rows = {
        "baseline": Schedule("Schedule", "baseline", steps, baseline, lr=0.1),
        "fixed": Schedule("Schedule", "fixed", steps, fixed, lr=3e-4),
        "andrej": Schedule("Schedule", "andrej", steps, fixed, lr=3e-4, adam=True),
        "cyclic": Schedule("Schedule", "cyclic", steps, cycle),
    }
    for name, image in pictures.items():
        start = partial(follow, image=image, steps=horizon(images, epochs))
        rows[name] = Schedule(ADDED, name, steps, start, image=image)
    return rows


def follow(optimizer: Optimizer, image: Callable[[], np.ndarray], steps: int) -> ImageLR:
    return ImageLR(optimizer, image(), steps, LOW, HIGH)


def photograph(name: str) -> np.ndarray:
    from sklearn.datasets import load_sample_image

    return load_sample_image(f"{name}.jpg")


def digit() -> np.ndarray:
    """Return the first of scikit-learn's digits, a 0, with each pixel enlarged to 16x16."""
    from sklearn.datasets import load_digits

    return np.kron(np.round(load_digits().images[0] * 255 / 16), np.ones((16, 16))).astype(np.uint8)


def gradient(first: int, last: int) -> np.ndarray:
    """Return a picture whose grey level changes evenly from top to bottom."""
    return np.tile(np.linspace(first, last, 256).round().astype(np.uint8)[:, None], (1, 256))


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)


def opened(path: Path) -> np.ndarray:
    """Return a file's picture in RGB as `Pixels` reads it; a 16-bit picture as floats in [0, 1]."""
    source = Pixels(path, steps=10**15).source  # so many steps that it keeps every pixel
    colours = np.broadcast_to(source, (*source.shape[:2], 3))
    return colours if source.dtype == np.uint8 else colours / 65535


PICTURES: dict[str, Callable[[], np.ndarray]] = {
    "china": partial(photograph, "china"),
    "flower": partial(photograph, "flower"),
    "digit": digit,
    "falling": partial(gradient, 255, 0),
    "rising": partial(gradient, 0, 255),
    "noise": noise,
}


def with_pictures(paths: Iterable[Path]) -> dict[str, Callable[[], np.ndarray]]:
    """Return the built-in pictures and those of the files, named after their files."""
    pictures = dict(PICTURES)
    for path in paths:
        try:
            Pixels(path, steps=1)
        except ValueError as error:
            raise BenchmarkError(f"--image {path}: {error}") from error
        if path.stem in {*BENCHMARK.settings, *pictures} or "," in path.stem:
            raise BenchmarkError(f"--image {path}: the name {path.stem!r} is taken or has a comma; rename the file")
        pictures[path.stem] = partial(opened, path)
    return pictures


def cifar10(folder: Path | None) -> datasets.Dataset:
    """Return CIFAR-10 with training images as bytes, for `resnet.batches`, and standardised validation images."""
    train, (images, labels), title = datasets.cifar10(folder)
    return datasets.Dataset(train, datasets.Split(resnet.standardised(images), labels), title)


def network(steps: int) -> nn.Module:
    """Return ResNet-32 for runs of `steps` batches; in short runs, its averages for evaluation forget the start faster.

    In runs of 3,324 batches or more they take 0.003 of each batch, as in the repository.
    """
    return resnet.resnet32(momentum=max(0.003, 10 / (10 + steps))).to(memory_format=torch.channels_last)


def drawing(rows: list[Row], title: str) -> bytes:
    """Return a PNG: for each row the picture, the learning rate of every batch, and the accuracies of every seed."""
    sheet = figure(12, 0.8 + 1.5 * len(rows))
    panels = sheet.subplots(len(rows), 3, width_ratios=(1.2, 3, 2), squeeze=False)
    best = max(row.accuracy.mean for row in rows)
    lowest = min(min(run.metrics["accuracy"]) for row in rows for run in row.runs)
    for (left, middle, right), row in zip(panels, rows, strict=True):
        image = np.ones((1, 1)) if row.setting.image is None else row.setting.image()
        picture(image, row.setting.rates(), axes=(left, middle), xlabel="batch")
        left.set_title(row.setting.row, loc="left", color=INK, fontsize=10)
        middle.set_ylim(bottom=0)
        frame(right, title=f"accuracy {row.accuracy.text(4)}", xlabel="epoch")
        right.axhline(best, color=COLOURS[1], linewidth=0.7)
        for run in row.runs:
            accuracies = run.metrics["accuracy"]
            right.plot(range(1, len(accuracies) + 1), accuracies, color=COLOURS[0], linewidth=0.9, marker=".")
        right.xaxis.get_major_locator().set_params(integer=True)
        right.set_ylim(lowest - 0.02, best + 0.02)
    sheet.suptitle(f"{title}; every seed, the best mean as a line", x=0.01, ha="left", color=INK, fontsize=11)
    content = io.BytesIO()
    sheet.savefig(content, format="png")
    return content.getvalue()


BENCHMARK = Benchmark(
    name="images",
    title="pictures as schedules",
    claim=(
        "the repository's own schedule beats all alternatives (B1), some pictures beat cyclic and Adam at 3e-4 (B2), "
        "and momentum with a fixed 3e-4 is the worst (B3); published as a bar chart without numbers, of other pictures."
    ),
    settings=schedules(IMAGES, FULL, PICTURES),
    data=cifar10,
    network=partial(network, batches(IMAGES, FULL)),
    loss=nn.functional.cross_entropy,
    columns=metrics.CIFAR,
    epochs=5,
    full_epochs=FULL,
    added=ADDED,
    shorter_remark=(
        "Batch norm's averages for evaluation take max(0.003, 10/(10 + batches of the run)) of each batch, so that "
        "they forget the start of a short run; the repository's take 0.003."
    ),
    seeds=3,
    batch_size=BATCH,
    takes_data=True,
    drawings={"pictures.png": drawing},
    batches=resnet.batches,
    stop=None,
)
MNIST = replace(
    BENCHMARK,
    name="images-mnist",
    command="images --dataset mnist",
    shorter_remark="",
    claim="all schedules do about equally well (B4); published without numbers, of other pictures.",
    data=datasets.mnist,
    network=mnist.network,
    loss=mnist.AS_RUN.loss,
    batches=None,
)


def main(argv: list[str]) -> int:
    options = image_parser().parse_args(argv)
    options.epochs = FULL if options.full else options.epochs
    benchmark = MNIST if options.dataset == "mnist" else BENCHMARK
    pictures = with_pictures(options.image)
    data = benchmark.data(options.data).few(options.limit)
    options.limit = None  # applied already
    length = len(data.train.labels), options.epochs
    benchmark = replace(benchmark, settings=schedules(*length, pictures), data=lambda folder: data)
    if options.dataset == "cifar10":
        benchmark = replace(benchmark, network=partial(network, batches(*length)))
    return table.execute(benchmark, options, argv)


def image_parser() -> argparse.ArgumentParser:
    parser = table.table_parser(BENCHMARK)
    parser.add_argument("--dataset", choices=("cifar10", "mnist"), default="cifar10", help="default: %(default)s")
    parser.add_argument("--full", action="store_true", help=f"the published length, {FULL} epochs")
    parser.add_argument(
        "--image", type=Path, action="append", default=[], metavar="PATH", help="another picture; may be repeated"
    )
    return parser
