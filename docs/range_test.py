"""Draw docs/range_test.png, the README's picture of a range test: a small network on scikit-learn's digits.

python docs/range_test.py
"""

from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import nn

from lrsched import Curve, plot, range_test


def measure() -> Curve:
    """Run the test five times from the same weights."""
    torch.manual_seed(0)
    images, labels = load_digits(return_X_y=True)
    data = torch.utils.data.TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels))
    loader = torch.utils.data.DataLoader(data, 64, shuffle=True)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return range_test(
        model,
        optimizer,
        lambda model, batch: nn.functional.cross_entropy(model(batch[0]), batch[1]),
        loader,
        start_lr=1e-5,
        repeats=5,
    )


def main() -> None:
    """Save the figure next to this file."""
    axes = measure().plot(plot.figure(8.5, 3.6).add_subplot())
    plot.save(axes, Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
