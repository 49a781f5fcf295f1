"""What a new user does: a loop of their own, PlateauSequence with a warm-up, a range test, compare().

`.ci/versions` runs this in an environment that has nothing but the package and what the package needs.
"""

import io
import platform
from functools import partial

import numpy as np
import PIL.Image
import torch
from torch.nn.functional import cross_entropy

from lrsched import (
    Cosine,
    ImageLR,
    Inverse,
    PlateauSequence,
    Sawtooth,
    SequenceLR,
    Setting,
    Warmup,
    compare,
    range_test,
)


def main():
    """Take the steps one after another; raises AssertionError if one goes wrong."""
    print(f"Python {platform.python_version()}, torch {torch.__version__}")
    print(f"numpy {np.__version__}, Pillow {PIL.__version__}")
    for take in (own_loop, resume, own_get_lr, picture, plateau_with_warmup, find_a_rate, compare_two):
        print(f"{take.__name__}: {take()}")


def problem():
    """Return a classifier, with inputs and targets: whether a point lies outside a ball."""
    torch.manual_seed(0)
    x = torch.randn(1000, 8)
    return network(), x, (x.square().sum(1) > 8).long()


def network():
    """Return an untrained classifier."""
    return torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))


def loss_fn(model, batch):
    """Return the loss of a batch."""
    inputs, targets = batch
    return cross_entropy(model(inputs), targets)


def train(model, optimizer, x, y, steps, scheduler=None):
    """Train, and return the learning rate of each step."""
    rates = []
    for _ in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        batch = torch.randint(600, (50,))
        optimizer.zero_grad()
        loss_fn(model, (x[batch], y[batch])).backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return rates


def warmup_and_cosine(optimizer):
    """Return a scheduler: four steps of warm-up, then half a cosine in 16 steps."""
    return SequenceLR(optimizer, Warmup(4).then(Cosine(16)))


def own_loop():
    """Follow a schedule in a loop, first with a float as the learning rate, then with a tensor."""
    expected = [0.1 * k / 4 for k in range(4)] + [0.05 * (1 + np.cos(np.pi * k / 16)) for k in range(16)]
    for lr in (0.1, torch.tensor(0.1, dtype=torch.float64)):
        model, x, y = problem()
        optimizer = torch.optim.AdamW(model.parameters(), lr=lr, foreach=False)
        rates = train(model, optimizer, x, y, 20, warmup_and_cosine(optimizer))
        np.testing.assert_allclose(rates, expected, atol=1e-15)
    return f"{rates[3]:.4f}, {rates[4]:.4f}, …, {rates[-1]:.4f}"


def resume():
    """Stop a run after ten steps and resume it from a file: its learning rates are the same."""
    model, x, y = problem()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = warmup_and_cosine(optimizer)
    train(model, optimizer, x, y, 10, scheduler)
    file = io.BytesIO()
    torch.save([optimizer.state_dict(), scheduler.state_dict()], file)
    file.seek(0)
    rest = train(model, optimizer, x, y, 10, scheduler)
    model, x, y = problem()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = warmup_and_cosine(optimizer)
    for object_, state in zip((optimizer, scheduler), torch.load(file, weights_only=True), strict=True):
        object_.load_state_dict(state)
    assert train(model, optimizer, x, y, 10, scheduler) == rest
    return f"continues at {rest[0]:.4f}"


class Halving(SequenceLR):
    """A user's own formula, as in torch: it halves the rate at each step."""

    def __init__(self, optimizer):
        super().__init__(optimizer, Inverse())

    def get_lr(self):
        """Return the next rates."""
        return [group["lr"] * (0.5 if self.last_epoch else 1) for group in self.optimizer.param_groups]


def own_get_lr():
    """Use a subclass that has its own `get_lr`."""
    model, x, y = problem()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.8)
    rates = train(model, optimizer, x, y, 4, Halving(optimizer))
    assert rates == [0.8, 0.4, 0.2, 0.1]
    return rates


def picture():
    """Follow the pixels of a picture file, from black to white."""
    model, x, y = problem()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    file = io.BytesIO()
    PIL.Image.fromarray(np.array([[0, 51], [102, 255]], dtype=np.uint8)).save(file, "png")
    file.seek(0)
    scheduler = ImageLR(optimizer, file, steps=4, base_lr=0.0, max_lr=1.0, channels="gray")
    rates = train(model, optimizer, x, y, 4, scheduler)
    np.testing.assert_allclose(rates, [0.0, 0.2, 0.4, 1.0], atol=1e-15)
    return [round(rate, 3) for rate in rates]


def plateau_with_warmup():
    """Warm up over 30 steps, then follow the validation loss."""
    model, x, y = problem()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = PlateauSequence(optimizer, Sawtooth(), warmup=30)
    rates = []
    for _ in range(30):
        rates += train(model, optimizer, x, y, 12)
        with torch.no_grad():
            loss = loss_fn(model, (x[600:], y[600:]))
        scheduler.step(loss)
    np.testing.assert_allclose(rates[:12], [0.1 * (1 + 29 * k / 30) / 30 for k in range(12)], rtol=1e-12)
    assert scheduler.position == len(scheduler.events) > 0
    assert loss < 0.69
    return f"validation loss {loss:.3f}, {scheduler}"


def find_a_rate():
    """Run a range test: it suggests a rate, and leaves everything as it was."""
    model, x, y = problem()
    before = [parameter.clone() for parameter in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=50, shuffle=True)
    curve = range_test(model, optimizer, loss_fn, loader, repeats=3)
    assert all(map(torch.equal, before, model.parameters()))
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert not optimizer.state
    assert 1e-3 < curve.suggestion < 10
    return f"suggests {curve.suggestion:.3g}"


def compare_two():
    """Compare two schedules, side by side and one after another: the runs are the same."""
    _, x, y = problem()
    sgd = partial(torch.optim.SGD, lr=0.1, momentum=0.9)
    settings = {"constant": Setting(sgd), "inverse": Setting(sgd, lambda optimizer: SequenceLR(optimizer, Inverse()))}
    split = (x[:600], y[:600]), (x[600:], y[600:])
    losses = []
    for vectorize in (True, False):
        report = compare(
            settings, network, loss_fn, *split, epochs=3, batch_size=50, seeds=3, metric_fn=loss_fn, vectorize=vectorize
        )
        losses.append([run.val_loss for run in report.runs])
    np.testing.assert_allclose(*losses, rtol=1e-3)
    return f"\n{report.table(baseline='constant')}"


if __name__ == "__main__":
    main()
