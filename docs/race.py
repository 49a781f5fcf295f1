"""Draw docs/race.png, the picture of a race: a small network on scikit-learn's digits.

python docs/race.py
"""

from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import nn

from lrsched import Linear, Warmup, plot, race


def main() -> None:
    """Race the rates around 0.01 for a training of 1,600 steps, and save the figure next to this file."""
    torch.manual_seed(0)
    images, labels = load_digits(return_X_y=True)
    data = torch.utils.data.TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels))
    train, valid = torch.utils.data.random_split(data, [1397, 400])
    start = race(
        nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)),
        lambda params: torch.optim.SGD(params, lr=0.01, momentum=0.9),
        nn.CrossEntropyLoss(),
        torch.utils.data.DataLoader(train, 32, shuffle=True),
        Warmup(80) * Linear(1600),
        steps=1600,
        eval_batches=[valid[:]],
    )
    print(start, start.reason)
    axes = start.plot(plot.figure(8.5, 3.6).add_subplot())
    plot.save(axes, Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
