"""The time and memory of reading a photo into `Pixels`: 12 megapixels as from a phone, and 80.

The photos are JPEGs made of scikit-learn's "china", enlarged, with noise. Pillow's bare decoding takes turns with
`Pixels` in one process. Peak memory is measured in a new process.
"""

from __future__ import annotations

import pickle
import tempfile
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image
from sklearn.datasets import load_sample_image

from lrsched import Pixels

from .. import machine
from ..commands import add_out, add_samples, option_parser
from ..files import prepare, write_figures
from ..text_tables import show
from .sweep_cost import STATUS, high_water
from .timing import Ratio, bootstrap, in_turns, ratio_of_medians, span

STEPS = 5000
LIMIT = 0.5  # seconds for 12 megapixels
UPRIGHT, TURNED = 1, 6  # EXIF orientations


@dataclass(frozen=True)
class Photo:
    """A JPEG to make: its sides, its EXIF orientation, and the limit on the seconds to read it."""

    name: str
    width: int
    height: int
    orientation: int = UPRIGHT
    limit: float | None = None


PHOTOS = [
    Photo("12 megapixels", 4000, 3000, limit=LIMIT),
    Photo("12 megapixels, turned by EXIF", 4000, 3000, TURNED, limit=LIMIT),
    Photo("80 megapixels", 10000, 8000),
]


@dataclass(frozen=True)
class Cost:
    """A line of the result: median seconds with their 95 % interval, ratio to decoding, peak MiB, pickled bytes."""

    photo: str
    samples: int
    seconds: float
    low: float | None
    high: float | None
    limit: float | None
    decoding: float
    ratio: float
    mib: float | None
    pickled: int

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return ""
        return "met" if self.seconds <= self.limit else "MISSED"


def save(photo: Photo, path: Path) -> None:
    """Write the photo as a JPEG of quality 90."""
    image = Image.fromarray(load_sample_image("china.jpg")).resize(
        (photo.width, photo.height), Image.Resampling.BICUBIC
    )
    pixels = np.asarray(image).astype(np.int16)
    pixels += np.random.default_rng(0).integers(-4, 5, pixels.shape, dtype=np.int16)
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    exif = image.getexif()
    exif[ExifTags.Base.Orientation] = photo.orientation
    image.save(path, quality=90, exif=exif)


def decode(path: Path) -> None:
    with Image.open(path) as image:
        image.load()


def peak(path: Path) -> float:
    """Return by how many MiB reading a photo raises the peak memory of this process."""
    Pixels(np.zeros((1, 1)), 1)  # numpy's own memory
    before = high_water()
    Pixels(path, STEPS)
    return high_water() - before


def peak_in_a_new_process(path: Path) -> float | None:
    if not STATUS.exists():
        return None
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(peak, (path,))


def median(times: np.ndarray) -> Ratio:
    return bootstrap(partial(np.median, axis=-1), times)


def measure(photo: Photo, path: Path, samples: int) -> Cost:
    """Time `Pixels` and bare decoding in turns, and measure memory."""
    times = in_turns({"pixels": lambda: Pixels(path, STEPS), "decoding": lambda: decode(path)}, samples)
    seconds, decoding = median(times["pixels"]), median(times["decoding"])
    return Cost(
        photo.name,
        samples,
        seconds.value,
        seconds.low,
        seconds.high,
        photo.limit,
        decoding.value,
        ratio_of_medians(times["pixels"], times["decoding"]).value,
        peak_in_a_new_process(path),
        len(pickle.dumps(Pixels(path, STEPS))),
    )


def measure_all(photos: list[Photo], samples: int) -> list[Cost]:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for photo in photos:
            path = Path(folder) / "photo.jpg"
            save(photo, path)
            found.append(measure(photo, path, samples))
    return found


def cells(costs: list[Cost]) -> list[list[str]]:
    """Return the result as a table."""
    lines = [["photo", "n", "s", "95 %", "limit", "decoding s", "ratio", "peak MiB", "pickled bytes", ""]]
    for cost in costs:
        limit = "" if cost.limit is None else f"{cost.limit:.2f}"
        figures = [f"{cost.seconds:.3f}", span(cost.low, cost.high, 3), limit]
        figures += [f"{cost.decoding:.3f}", f"{cost.ratio:.2f}", "–" if cost.mib is None else f"{cost.mib:.0f}"]
        lines.append([cost.photo, str(cost.samples), *figures, str(cost.pickled), cost.verdict])
    return lines


def main(argv: list[str]) -> int:
    parser = option_parser("picture_cost", __doc__)
    add_samples(parser, 21)
    add_out(parser, "picture_cost.json")
    options = parser.parse_args(argv)
    if options.out:
        prepare(options.out)
    torch.set_num_threads(1)
    costs = measure_all(PHOTOS, options.samples)
    lines = cells(costs)
    show(lines, f"Pixels(photo, steps={STEPS})", right=lines[0][1:-1])
    judged = [cost.verdict == "met" for cost in costs if cost.limit is not None]
    print(f"Claim: a photo of 12 megapixels is read in at most {LIMIT} s (median).")
    print(f"Limits met: {sum(judged)} of {len(judged)}.")
    print(f"Hardware: {machine.hardware()}.")
    if options.out:
        records = [{**asdict(cost), "verdict": cost.verdict} for cost in costs]
        write_figures(options.out / "picture_cost.json", {"steps": STEPS, "costs": records})
    return 0
