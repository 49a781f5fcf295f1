"""Draw docs/compare.png, the README's picture of a comparison: a small network on scikit-learn's digits.

python docs/compare.py
"""

from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.optim import SGD

from lrsched import GeometricLR, PlateauSequence, Sawtooth, Setting, compare, plot


def main() -> None:
    """Train three schedules with 5 seeds each, and save the figure next to this file."""
    images, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
    report = compare(
        {
            "fixed": Setting(lambda params: SGD(params, lr=0.2)),
            "0.9^k": Setting(lambda params: SGD(params, lr=0.2), GeometricLR),
            "sawtooth": Setting(lambda params: SGD(params, lr=0.2), lambda opt: PlateauSequence(opt, Sawtooth())),
        },
        lambda: nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)),
        nn.CrossEntropyLoss(),
        (x[:1397], y[:1397]),
        (x[1397:], y[1397:]),
        epochs=20,
        batch_size=64,
    )
    print(report.table(baseline="fixed"))
    above, _ = report.plot(axes=tuple(plot.figure(8.5, 4.4).subplots(2, 1, sharex=True)))
    plot.save(above, Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
