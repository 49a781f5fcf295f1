"""What many test modules share."""

import numpy as np
import torch
from torch import nn

KINDS = {
    "float": float,
    "int": int,
    "numpy": np.float64,
    "tensor": lambda lr: torch.tensor(lr, dtype=torch.float64),
    "float32": lambda lr: torch.tensor(lr, dtype=torch.float32),
    "asis": lambda lr: lr,
}


def make_optimizer(lrs=(0.1,), kind="float", optimizer=torch.optim.SGD, **options):
    """Return an optimizer with one param group for each learning rate; the rates are stored as `kind`."""
    groups = [{"params": [nn.Parameter(torch.ones(1))], "lr": KINDS[kind](lr)} for lr in lrs]
    return optimizer(groups, lr=0.0, **options)


def group_lrs(optimizer):
    """Return the optimizer's learning rates as Python floats."""
    return [float(group["lr"]) for group in optimizer.param_groups]
