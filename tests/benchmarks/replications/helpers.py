"""Folders of results made by hand."""

import json
from dataclasses import asdict

from benchmarks.replications import claims
from benchmarks.replications.collected import BENCHMARKS, collect
from benchmarks.replications.settings import ADDED
from lrsched import Run

DATA = {
    "mnist": "MNIST",
    "cifar10": "CIFAR-10 (JPEG)",
    "digits": "Digits (8x8)",
    "images": "CIFAR-10",
    "images-mnist": "MNIST, 10000 images",
}


LEVEL = (-0.001, 0.0, 0.001)  # what each of three seeds adds to an accuracy


def series(final, settled):
    """Return 50 accuracies that reach `final` at epoch `settled` + 1, so that MNIST's convergence is `settled`."""
    return [final - 0.1] * (settled + 1) + [final] * (49 - settled)


def put(results, benchmark, accuracies, epochs=50, limit="", note="an abacus"):
    """Write a table's results: for each setting and seed, the accuracies by epoch."""
    data = DATA[benchmark.removesuffix("-as-written")] + limit
    config = {"epochs": epochs, "key": {"benchmark": benchmark, "data": data}}
    runs = [
        Run(name, seed, metrics={"accuracy": values}, final={"unlearned": 0}, note=note, finished=True)
        for name, seeds in accuracies.items()
        for seed, values in enumerate(seeds)
    ]
    lines = [json.dumps({**asdict(run), "config": {**config, "optimizer": run.setting}}) + "\n" for run in runs]
    folder = results / f"{benchmark}-{epochs}"
    folder.mkdir(parents=True)
    (folder / "runs.jsonl").write_text("".join(lines))


def levels(benchmark="mnist", seeds=LEVEL, **others):
    """Return the series of all settings, at 0.9 except for those given; `seeds` is what each seed adds."""
    names = [name for name in BENCHMARKS[benchmark].settings if name not in ADDED]
    final = dict.fromkeys(names, 0.9) | {name.replace("_", "-"): value for name, value in others.items()}
    return {name: [series(value + seed, 20) for seed in seeds] for name, value in final.items()}


def judge(name, results):
    """Return the data, statistic and verdict of each line of a claim."""
    return [(line[0], line[1], line[-1]) for line in claims.judged(name, collect(results))]
