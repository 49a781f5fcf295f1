"""Draw docs/sweep.png, the README's picture of a sweep: a small network on scikit-learn's digits.

python docs/sweep.py
"""

from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from lrsched import lr_sweep, plot


def main() -> None:
    """Train at 60 rates side by side, each from the same weights, and save the figure next to this file."""
    torch.manual_seed(0)
    images, labels = load_digits(return_X_y=True)
    data = torch.utils.data.TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels))
    sweep = lr_sweep(
        nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)),
        lambda params: torch.optim.SGD(params, lr=0.1, momentum=0.9),
        lambda model, batch: nn.functional.cross_entropy(model(batch[0]), batch[1]),
        torch.utils.data.DataLoader(data, 64, shuffle=True),
        np.geomspace(1e-4, 10, 60),
        steps=(1, 4, 16, 64),
        stop_above=1.1,
    )
    axes = sweep.plot(plot.figure(8.5, 3.6).add_subplot())
    plot.save(axes, Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
