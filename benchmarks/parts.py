"""What results of record need, in the order of its value: each part is a command with a folder of its own."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from . import machine
from .replications import cifar10, datasets, images, lr_scan, mnist
from .replications.benchmark import Benchmark
from .replications.collected import records
from .replications.settings import ADDED, FOURTEEN

ROOT = Path(__file__).parents[1]
START = 10.0  # seconds until a command has loaded its data
FULL = {"mnist": 60_000, "cifar10": 50_000, "images": 50_000, "images-mnist": 60_000}
SECONDS = {  # estimates for a run's epoch, for a scan, and for a step of all methods on a task of race_quality
    "cuda": {"mnist": 0.067, "cifar10": 0.24, "images": 2.0, "images-mnist": 0.08, "lr_scan": 70.0, "race": 0.03},
    "cpu": {"mnist": 8.9, "cifar10": 38.0, "images": 560.0, "images-mnist": 30.0, "lr_scan": 4000.0, "race": 1.2},
}
RESNET = "plain loop, in bfloat16, CUDA graphs"  # in the figures of compare_cost: how `images` trains on a GPU
PREPARED, VALIDATED = 5e-4, 1.1  # seconds that a batch's preparation takes; epochs with validation are longer by this
COMPARE_COST, GPU_TESTS = 90.0, 60.0  # seconds on a GPU
TRIAL = ("baseline", "falling")  # the rows of `images` in a trial
SCAN_ON_CPU = (lr_scan.REDUCED["cifar10"][0], lr_scan.MARKS[:6])  # C6 needs more than 16 batches ahead
LEAST = 10.0  # seconds that must be left to start a part that loses little if it is stopped
DAY = 86_400.0  # unlimited time counts as this


@dataclass(frozen=True)
class Fit:
    """A length that is chosen when its part starts: what fits into a share of the time left.

    Until there is time for a quarter of the shortest length, the part does not start: later there may be time for more.
    """

    seconds: float  # that a length of 1 takes
    share: float
    shortest: int
    longest: int

    def length(self, left: float) -> int:
        fitting = int(self.share * min(left, DAY) / self.seconds)
        return max(self.shortest, min(self.longest, fitting))

    @property
    def needed(self) -> float:
        return self.shortest * self.seconds / 4


@dataclass(frozen=True)
class Part:
    """A command, and how much of its work is done.

    name, purpose: for the list.
    folder: of its results.
    words: what follows `python -m`.
    units, done: its runs or scans, and how many are finished. `seconds`: that a unit takes, estimated.
    loses: what is lost if it is stopped.
    fit, length: how to choose its length, and the one chosen; None if there is no choice, or no length yet.
    text: the file that takes what it prints, if that is its result.
    """

    name: str
    purpose: str
    folder: Path
    words: list[str]
    units: int
    done: int
    seconds: float
    loses: Literal["an epoch", "a unit", "all"] = "an epoch"
    fit: Fit | None = None
    length: int | None = None
    text: Path | None = None

    @property
    def left(self) -> int:
        return max(0, self.units - self.done)

    @property
    def estimate(self) -> float:
        """The seconds that the missing units take."""
        return START + self.left * self.seconds if self.left else 0.0

    @property
    def needed(self) -> float:
        """The seconds that must be left to start it."""
        if self.fit is not None:
            return self.fit.needed
        return {"an epoch": LEAST, "a unit": START + self.seconds, "all": self.estimate}[self.loses]


class Parts:
    """The parts for a device, its data and results; `lengths` holds the lengths chosen so far, by folder."""

    def __init__(self, options: argparse.Namespace, lengths: dict[str, int]) -> None:
        self.options, self.lengths = options, lengths
        self.device = options.device.partition(":")[0]
        self.on_gpu = self.device == "cuda"
        self.seconds = SECONDS[self.device]
        self.trial = options.limit is not None

    @property
    def makers(self) -> dict[str, Callable[[], Part]]:
        """What makes each part, in the order of their value."""
        only_on_gpu = {"compare_cost": self.compare_cost, "gpu_tests": self.gpu_tests} if self.on_gpu else {}
        return {
            "mnist": self.mnist,
            "mnist-either": self.mnist_by_either,
            "cifar10": self.cifar10,
            "lr_scan": self.lr_scan,
            **only_on_gpu,
            "images": self.images,
            "images-mnist": self.images_mnist,
            "race_quality": self.race,
        }

    def part(self, name: str) -> Part:
        return self.makers[name]()

    def mnist(self) -> Part:
        chosen = ["--settings", ",".join(FOURTEEN)]
        return self._table("mnist", "A1, A2, A6, A7 with 5 seeds", mnist.BENCHMARK, FOURTEEN, chosen)

    def mnist_by_either(self) -> Part:
        """Return the part that completes MNIST's table; its command has all settings, so that all are shown."""
        return self._table("mnist-either", "the default rule of PlateauSequence", mnist.BENCHMARK, ADDED)

    def cifar10(self) -> Part:
        settings = cifar10.BENCHMARK.settings
        return self._table("cifar10", "A3 to A7, and the default rule", cifar10.BENCHMARK, settings)

    def _table(
        self, name: str, purpose: str, table: Benchmark, settings: Collection[str], chosen: Iterable[str] = ()
    ) -> Part:
        epochs, seeds = self.options.epochs or table.epochs, 1 if self.trial else table.seeds
        cpu, gpu = ("cifar10-cpu", "cifar10") if table.name == "cifar10" else (table.name, f"{table.name}-gpu")
        folder = self._folder(gpu if self.on_gpu else cpu)
        found = self._runs(folder, table.name, settings, seeds, epochs)
        words = ["--seeds", seeds, "--epochs", epochs, *self._data(table.name), *chosen]
        return Part(
            name,
            purpose,
            folder,
            self._command(table.name, folder, words),
            units=len(settings) * seeds,
            done=len(found),
            seconds=epochs * self._per_epoch(table.name, found),
            loses="all" if self.on_gpu else "an epoch",  # a GPU trains all runs side by side
        )

    def lr_scan(self) -> Part:
        after, seeds = self.options.epochs or 64, 1 if self.trial else 3
        rates, marks = (lr_scan.RATES, lr_scan.MARKS) if self.on_gpu else SCAN_ON_CPU
        rates, marks = (4, lr_scan.MARKS[:3]) if self.trial else (rates, marks)
        folder = self._folder(self._named("lr_scan-cifar10"))
        scans = {(seed, epochs) for seed in range(seeds) for epochs in (0, after)}
        for record in self._records(folder):
            config = record["config"]
            if (config["rates"], config["marks"]) == (rates, list(marks)) and config["data"] == self._title("cifar10"):
                scans.discard((record["seed"], record["after_epochs"]))
        words = ["--after-epochs", after, "--seeds", seeds, "--rates", rates, "--marks", ",".join(map(str, marks))]
        words += ["--arithmetic", "tf32"] if self.on_gpu else []
        return Part(
            "lr_scan",
            "C6",
            folder,
            self._command("lr_scan", folder, [*words, *self._data("cifar10")]),
            units=2 * seeds,
            done=2 * seeds - len(scans),
            seconds=self._share("cifar10") * self.seconds["lr_scan"],
            loses="a unit",
        )

    def compare_cost(self) -> Part:
        folder = self._folder(self._named("compare_cost"))
        words = self._command("compare_cost", folder, ["--steps", 300, "--turns", 5])
        done = (folder / "compare_cost.json").exists()
        return Part("compare_cost", "recorded or not", folder, words, 1, int(done), COMPARE_COST, loses="all")

    def gpu_tests(self) -> Part:
        """Return the part that runs the tests that use a GPU, of the files that mention CUDA."""
        paths = sorted((ROOT / "tests").rglob("test_*.py"))
        tests = [str(path) for path in paths if "cuda" in path.read_text()]
        folder = self._folder("gpu_tests")
        text = folder / "pytest.txt"
        done = text.exists() and (machine.commit() or "unknown") in text.read_text().partition("\n")[0]
        chosen = "cuda or gpu or captured or recorded or side_by_side"
        words = ["pytest", "-q", "-rfE", "-p", "no:cacheprovider", "-k", chosen, *tests]
        return Part("gpu_tests", "tests on a GPU", folder, words, 1, int(done), GPU_TESTS, loses="all", text=text)

    def images(self) -> Part:
        words = ["--plain", "--arithmetic", "bfloat16"] if self.on_gpu else []  # alone, each recorded as CUDA graphs
        return self._images("images", "B1 to B3", images.BENCHMARK, [*words, *self._data("cifar10")], share=0.6)

    def images_mnist(self) -> Part:
        words = ["--dataset", "mnist", *self._data("mnist")]
        return self._images("images-mnist", "B4", images.MNIST, words, share=0.5)

    def _images(self, name: str, purpose: str, table: Benchmark, words: list[Any], share: float) -> Part:
        rows, seeds = list(TRIAL if self.trial else table.settings), 1 if self.trial else 3
        folder = self._folder(self._named("images-cifar10" if name == "images" else name))
        chosen = self.lengths.get(folder.name)
        epochs = self.options.epochs or chosen
        found = self._runs(folder, name, rows, seeds, epochs)
        units, seconds = len(rows) * seeds, self._per_epoch(name, found)
        few = ["--settings", ",".join(rows)] if self.trial else []
        words = ["--seeds", seeds, "--epochs", epochs or images.FULL, *words, *few]
        return Part(
            name,
            purpose,
            folder,
            self._command("images", folder, words),
            units=units,
            done=len(found),
            seconds=(epochs or images.FULL) * seconds,
            loses="an epoch" if "--plain" in words or not self.on_gpu else "all",
            fit=None if epochs else Fit(units * seconds, share, 10, images.FULL),
            length=chosen,
        )

    def race(self) -> Part:
        tasks = ["finetune-mnist"] if self.trial else ["cifar10", "finetune-mnist", *["text"] * self.on_gpu]
        seeds = 1 if self.trial else 3
        folder = self._folder(self._named("race_quality-large"))
        chosen = self.lengths.get(folder.name)
        steps = 64 if self.trial else chosen or (None if self.on_gpu else 500)
        seconds = self.seconds["race"] * seeds * len(tasks)
        words = ["--size", "large", "--tasks", ",".join(tasks), "--seeds", seeds, "--steps", steps or 2000]
        info = folder / "info.json"
        done = info.exists() and json.loads(info.read_text())["configuration"]["steps"] == steps
        return Part(
            "race_quality",
            "race on large tasks",
            folder,
            self._command("race_quality", folder, [*words, *self._data(None)]),
            units=1,
            done=int(done),
            seconds=(steps or 2000) * seconds,
            fit=None if steps else Fit(seconds, 1.0, 500, 2000),
            length=chosen,
        )

    # ------------------------------------------------------------ what they share

    def _named(self, folder: str) -> str:
        return f"{folder}-gpu" if self.on_gpu else folder

    def _folder(self, name: str) -> Path:
        return self.options.results / name

    def _command(self, name: str, folder: Path, words: Iterable[Any]) -> list[str]:
        return ["benchmarks", name, *map(str, words), "--device", self.options.device, "--out", str(folder)]

    def _data(self, dataset: str | None) -> list[Any]:
        """Return the options that name the data and limit them."""
        folder = self._data_folder(dataset)
        return [*([] if folder is None else ["--data", folder]), *self._limit(dataset)]

    def _data_folder(self, dataset: str | None) -> Path | None:
        data: Path | None = self.options.data
        if data is None:
            return None
        names = {"mnist": ["mnist"], "cifar10": ["cifar10-jpeg", "cifar10"], None: []}[dataset]
        return next((data / name for name in names if (data / name).is_dir()), data)

    def _limit(self, dataset: str | None) -> list[Any]:
        return ["--limit", self.options.limit] if self.trial and dataset else []

    def _share(self, name: str) -> float:
        """Return the share of a dataset's images that is used."""
        return min(1.0, (self.options.limit or FULL[name]) / FULL[name])

    def _title(self, dataset: str) -> str:
        """Return the title of a dataset in the records of the commands."""
        title = "MNIST" if dataset == "mnist" else datasets.cifar10_title(self._data_folder(dataset))
        return f"{title}, {self.options.limit} images" if self.trial else title

    def _records(self, folder: Path) -> list[dict[str, Any]]:
        path = folder / "runs.jsonl"
        return records(path) if path.exists() else []

    def _runs(
        self, folder: Path, name: str, settings: Collection[str], seeds: int, epochs: int | None
    ) -> list[dict[str, Any]]:
        """Return the finished runs of a table, one for each setting and seed."""
        found = {}
        title = self._title("mnist" if name in ("mnist", "images-mnist") else "cifar10")
        for run in self._records(folder):
            config = run["config"]
            same = (config["key"]["benchmark"], config["epochs"], config["device"]) == (name, epochs, self.device)
            if same and config["key"]["data"] == title and run["setting"] in settings and run["seed"] < seeds:
                found[run["setting"], run["seed"]] = run
        return list(found.values())

    def _per_epoch(self, name: str, found: list[dict[str, Any]]) -> float:
        """Return the seconds of a run's epoch: measured if there are finished runs, otherwise estimated."""
        if found:
            return fmean(run["seconds"] / len(run["train_loss"]) for run in found)
        measured = self._resnet_epoch() if name == "images" and self.on_gpu else None
        return measured or self.seconds[name] * self._share(name)

    def _resnet_epoch(self) -> float | None:
        """Return the seconds of an epoch of ResNet-32, from what `compare_cost` measured; None if it has not."""
        path = self._folder(self._named("compare_cost")) / "compare_cost.json"
        costs = json.loads(path.read_text())["costs"] if path.exists() else []
        steps = [cost["seconds"] for cost in costs if (cost["table"], cost["contestant"]) == ("images", RESNET)]
        return images.batches(FULL["images"], 1) * (steps[0] + PREPARED) * VALIDATED if steps else None
