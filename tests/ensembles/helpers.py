"""What each member of an Ensemble and each rate of a sweep must do, in plain torch loops without the package."""

import copy
import math
from itertools import cycle, islice

import torch
from torch import nn


def square(model, batch):
    return ((model(batch[0]) - batch[1]) ** 2).mean()


def cross_entropy(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def pairs(count=3, size=8, inputs=3, outputs=1, dtype=torch.float32, seed=0):
    """Return batches (x, y) of a learnable task."""
    generator = torch.Generator().manual_seed(seed)
    xs = [torch.randn(size, inputs, generator=generator, dtype=dtype) for _ in range(count)]
    return [(x, torch.sin(x.sum(1, keepdim=True)).expand(size, outputs).clone()) for x in xs]


def small(dtype=torch.float32, seed=0, inputs=3):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(inputs, 4), nn.Tanh(), nn.Linear(4, 1)).to(dtype)


def set_lr(optimizer, lr):
    """Set the first param group's learning rate; the others keep their ratio to it."""
    first = float(optimizer.param_groups[0]["lr"])
    rates = [lr * (float(group["lr"]) / first) for group in optimizer.param_groups]
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        if isinstance(group["lr"], torch.Tensor):
            group["lr"] = torch.full_like(group["lr"], rate)
        else:
            group["lr"] = rate


def train_alone(model, make_optimizer, loss_fn, batches, lr, steps, marks=(), eval_batches=None, seed=7):
    """Train a copy of the model; return it, the loss before each step, and the loss on eval_batches at the marks."""
    model, loss_fn = copy.deepcopy((model, loss_fn))
    torch.manual_seed(seed)
    optimizer = make_optimizer(list(model.parameters()))
    set_lr(optimizer, lr)
    losses, shown = [], []
    for step, batch in enumerate(islice(cycle(batches), steps), start=1):

        def closure(batch=batch):
            optimizer.zero_grad()
            loss = loss_fn(model, copy.copy(batch))
            loss.backward()
            return loss

        if isinstance(optimizer, torch.optim.LBFGS):
            losses.append(optimizer.step(closure).item())
        else:
            losses.append(closure().item())
            optimizer.step()
        if eval_batches is not None and step in marks:
            modes = [part.training for part in model.modules()]
            model.eval()
            with torch.no_grad():
                shown.append(sum(float(loss_fn(model, batch)) for batch in eval_batches) / len(eval_batches))
            for part, mode in zip(model.modules(), modes, strict=True):
                part.training = mode
    return model, losses, shown


def expected(model, make_optimizer, loss_fn, batches, lrs, marks, eval_batches=None, seed=7):
    """Return the losses of a sweep, one row per rate, with NaN from the first loss that is not finite."""
    rows = []
    for lr in lrs:
        arguments = make_optimizer, loss_fn, batches, lr, marks[-1], marks, eval_batches, seed
        _, losses, shown = train_alone(model, *arguments)
        row, total, done = [], 0.0, 0
        for index, mark in enumerate(marks):
            total += sum(losses[done:mark])
            done = mark
            value = total / mark if eval_batches is None else shown[index]
            row.append(value if math.isfinite(total + value) and not any(map(math.isnan, row)) else math.nan)
        rows.append(row)
    return rows
