"""`python -m benchmarks NAME [options]` runs one benchmark; without a name it lists them."""

from __future__ import annotations

import importlib
import sys

from .commands import BenchmarkError

REPLICATIONS = {
    "digits": "the 14 published settings and 4 more on scikit-learn's 8x8 digits; one to two minutes",
    "mnist": "the same on MNIST, with the published network and columns",
    "cifar10": "the same on CIFAR-10, with its own network and columns",
    "images": "pictures as schedules, compared with others, on CIFAR-10 or MNIST",
    "functions": "the best learning rates for six simple functions, before and after training (claims C1 to C5, C7)",
    "lr_scan": "the best learning rates for an image network, 1 to 128 batches ahead (claim C6)",
    "range_noise": "does the bump in a range-test curve vanish with more data per rate? (claim E1)",
    "rules": "which rule of PlateauSequence suits a steep sequence, with and without noise in the metric",
    "claims": "a verdict on every published claim, from the results so far",
}
COSTS = {
    "step_cost": "the time of one scheduler.step(), compared with torch's schedulers",
    "range_test_cost": "the time of a range test, compared with the bare loop and with other libraries",
    "range_test_quality": "how good the suggested learning rates are, on small tasks of many kinds",
    "race_quality": "how good the runs are that race starts, compared with tuned schedules and with recipes",
    "sweep_cost": "the time and memory of lr_sweep: side by side, one after another, and as published",
    "picture_cost": "the time and memory of reading a photo into a schedule",
    "compare_cost": "the time of training all runs of a table side by side, compared with the plain loop",
}
TOGETHER = {"all": "what the results still lack of these, in the order of its value, within --minutes; --list shows it"}
MODULES = {
    **{name: f".replications.{name}" for name in REPLICATIONS},
    **{name: f".costs.{name}" for name in COSTS},
    "all": ".everything",
}


def main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(listing())
        return 0
    name, *rest = argv
    if name not in MODULES:
        print(f"unknown benchmark {name!r}\n\n{listing()}", file=sys.stderr)
        return 2
    try:
        return importlib.import_module(MODULES[name], __package__).main(rest)
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"error: {error}; install what the benchmarks need: pip install '.[bench]'", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def listing() -> str:
    lines = ["usage: python -m benchmarks NAME [options]"]
    for heading, names in (
        ("Replications of publications:", REPLICATIONS),
        ("Costs of this package:", COSTS),
        ("Several of them:", TOGETHER),
    ):
        lines += ["", heading, *(f"  {name:<18} {what}" for name, what in names.items())]
    return "\n".join([*lines, "", "NAME --help shows its options."])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
