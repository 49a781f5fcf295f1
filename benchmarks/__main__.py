"""`python -m benchmarks NAME [options]`: run one benchmark, or list what there is."""

from __future__ import annotations

import importlib
import sys

from .errors import BenchmarkError

BENCHMARKS = {
    "digits": "the 14 published settings on scikit-learn's 8x8 digits, in one to two minutes",
    "mnist": "the same on MNIST, with the published network and columns",
    "cifar10": "the same on CIFAR-10, with its own network and columns",
    "images": "pictures as schedules, beside others, on CIFAR-10 or MNIST",
    "rules": "which rule of PlateauSequence a steep sequence wants, with and without noise in the metric",
    "step_cost": "the time of one scheduler.step(), ours against torch's",
    "range_test_cost": "the time of a range test against the bare loop, ours and other libraries'",
    "range_test_quality": "how good the suggested learning rates are, on small tasks of many kinds",
    "functions": "which learning rates six simple functions want, before and after training (claims C1 to C5, C7)",
    "lr_scan": "which learning rate an image network wants, 1 to 128 batches ahead (claim C6)",
    "sweep_cost": "the time and memory of lr_sweep: side by side, one after another, and as published",
    "compare_cost": "the time of training side by side, all runs of a table at once, against the plain loop",
    "range_noise": "does the bump in a range-test curve go away with more data a rate? (claim E1)",
    "claims": "a verdict on every published claim, from the results that there are",
}


def main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(listing())
        return 0
    name, *rest = argv
    if name not in BENCHMARKS:
        print(f"no benchmark is called {name!r}\n\n{listing()}", file=sys.stderr)
        return 2
    try:
        return importlib.import_module(f".{name}", __package__).main(rest)
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
    lines = [f"  {name:<18} {what}" for name, what in BENCHMARKS.items()]
    return "\n".join(["usage: python -m benchmarks NAME [options]", "", *lines, "", "NAME --help tells its options."])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
