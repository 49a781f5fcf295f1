"""What tests of a race share: a small task, and the training that a race must be the beginning of."""

import copy
from functools import partial
from itertools import islice

import torch
from torch import nn

from lrsched import Linear, SequenceLR, Warmup

STEPS = 64
SEQUENCE = Warmup(3, start=0.25) * Linear(STEPS)
OPTIMIZERS = {
    "SGD with momentum": partial(torch.optim.SGD, lr=0.02, momentum=0.9),
    "Adam": partial(torch.optim.Adam, lr=1e-3),
    "AdamW": partial(torch.optim.AdamW, lr=1e-3),
}


def net(seed=0, dropout=0.25):
    """Return a network with dropout and batch norm in float64."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(4, 8, bias=False), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 1)
    ).double()


def loss_fn(model, batch):
    return ((model(batch[0]) - batch[1]) ** 2).mean()


def data(count, size=8, seed=1):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, size, 4, generator=generator, dtype=torch.float64)
    return [(x, x.sum(1, keepdim=True)) for x in inputs]


BATCHES = data(STEPS)
VALID = data(2, 16, seed=2)


def continued(start, model, batches, steps=STEPS, sequence=SEQUENCE, loss_fn=loss_fn):
    """Train on from a race, in the loop that the documentation gives."""
    scheduler = SequenceLR(start.optimizer, sequence, last_epoch=start.position - 1)
    loop(model, start.optimizer, scheduler, islice(batches, steps - start.position), loss_fn)
    return trained(model, start.optimizer)


def alone(model, make_optimizer, lr, batches, steps=STEPS, sequence=SEQUENCE, loss_fn=loss_fn):
    """Train the model in a plain loop with this rate from the start."""
    optimizer = make_optimizer(list(model.parameters()))
    first = optimizer.param_groups[0]["lr"]
    for group in optimizer.param_groups:
        group["lr"] = lr * (group["lr"] / first)
    loop(model, optimizer, SequenceLR(optimizer, sequence), islice(batches, steps), loss_fn)
    return trained(model, optimizer)


def loop(model, optimizer, scheduler, batches, loss_fn=loss_fn):
    for batch in batches:
        loss = loss_fn(model, batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()


def trained(model, optimizer):
    """Return copies of everything that a training leaves behind."""
    state = optimizer.state_dict()
    for group in state["param_groups"]:
        group.pop("lr"), group.pop("initial_lr")
    return copy.deepcopy((model.state_dict(), state, torch.get_rng_state()))


def identical(found, expected):
    """Return whether two nested structures hold the same bits."""
    if isinstance(expected, torch.Tensor):
        return torch.equal(found, expected)
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(identical(found[key], expected[key]) for key in expected)
    if isinstance(expected, (list, tuple)):
        return len(found) == len(expected) and all(map(identical, found, expected))
    return found == expected


def line():
    """Return a model with one weight w = 1, for a loss w²/2: SGD at rate r has w after n steps at (1 − r)ⁿ."""
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.ones_(model.weight)
    return model


def half_square(model, batch):
    return (model(batch) ** 2).mean() / 2


ONE = [torch.ones(1, 1, dtype=torch.float64)]
