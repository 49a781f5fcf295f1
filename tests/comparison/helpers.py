"""A tiny task that the tests of compare() share: 40 points, a linear model or one with a hidden layer."""

import torch
from torch import nn
from torch.optim import SGD, Adam

from lrsched import GeometricLR, Setting
from lrsched.comparison._batches import TensorBatches
from lrsched.comparison._task import Task

X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
DATA = X, X.sum(1, keepdim=True).sin()
OPTIONS = {"epochs": 2, "batch_size": 16, "seeds": 2}


def sgd(lr=0.1, **options):
    return lambda params: SGD(params, lr=lr, **options)


def adam(lr=0.01):
    return lambda params: Adam(params, lr=lr)


def linear():
    return nn.Linear(3, 1)


def hidden():
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))


def mse(model, batch):
    return nn.functional.mse_loss(model(batch[0]), batch[1])


def worst(model, batch):
    return {"worst": (model(batch[0]) - batch[1]).abs().max(), "mean": (model(batch[0]) - batch[1]).abs().mean()}


def task(**changes):
    """Return the task of a comparison on the CPU."""
    batches = TensorBatches(DATA, 16)
    values = {
        "model_fn": hidden,
        "loss_fn": mse,
        "metric_fn": None,
        "metric_average": "samples",
        "final_fn": None,
        "stop": None,
        "train": batches,
        "valid": batches,
        "batch_size": 16,
        "epochs": 2,
        "device": torch.device("cpu"),
        "note": "",
    }
    return Task(**{**values, **changes})


FIXED = {"fixed": Setting(sgd())}
TWO_SETTINGS = {"fixed": Setting(sgd()), "falls": Setting(sgd(), GeometricLR)}
CALL = TWO_SETTINGS, hidden, mse, DATA, DATA
ARGUMENTS = dict(zip(("settings", "model_fn", "loss_fn", "train", "valid"), CALL, strict=True))
