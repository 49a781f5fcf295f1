"""A tiny task that the tests of compare() share: 40 points, a linear model or one with a hidden layer."""

import torch
from torch import nn
from torch.optim import SGD, Adam

from lrsched import Setting

X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
DATA = X, X.sum(1, keepdim=True).sin()


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


FIXED = {"fixed": Setting(sgd())}
