"""Draw docs/run.png: a run on scikit-learn's digits whose learning rate follows the loss.

python docs/run.py
"""

from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

from lrsched import Cutoff, PlateauSequence, Sawtooth, plot

EPOCHS = 40


def main() -> None:
    """Train a small network and save the picture next to this file."""
    inputs, targets = load_digits(return_X_y=True)
    inputs, targets = torch.tensor(inputs, dtype=torch.float32) / 16, torch.tensor(targets)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = PlateauSequence(optimizer, Sawtooth(), on=Cutoff(relative=0.02, decay=0.7))
    losses, lrs = {"training": [], "validation": []}, []
    for _ in range(EPOCHS):
        lrs.append(optimizer.param_groups[0]["lr"])
        total = 0.0
        for batch in torch.randperm(1200).split(50):
            optimizer.zero_grad()
            loss = cross_entropy(model(inputs[batch]), targets[batch])
            loss.backward()
            optimizer.step()
            total += loss.item() / 24
        with torch.no_grad():
            losses["validation"].append(cross_entropy(model(inputs[1200:]), targets[1200:]).item())
        losses["training"].append(total)
        scheduler.step(losses["validation"][-1])
    title = f"Digits, Sawtooth() by Cutoff(relative=0.02, decay=0.7): {scheduler.position} advances in {EPOCHS} epochs"
    above, _ = plot.run(losses, lrs, scheduler.events, log=True, title=title)
    plot.save(above, Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
