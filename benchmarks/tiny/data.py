"""The data of the tiny tasks: scikit-learn's small sets, a text, and made data, with inputs of unit scale."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

Data = tuple[Tensor, Tensor]  # inputs and targets
CONTEXT = 8  # characters that a text model reads
ALPHABET = 40  # characters that it knows; the rest share the last place


@cache
def split(make: Callable[[], Data]) -> tuple[Data, Data]:
    """Return training and validation data: four fifths and one fifth, in a fixed random order."""
    x, y = make()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    cut = len(x) * 4 // 5
    train, valid = order[:cut], order[cut:][:400]
    return (x[train], y[train]), (x[valid], y[valid])


def digits() -> Data:
    return _labelled("load_digits", scale=16.0)


def half_digits() -> Data:
    """Return the digits averaged to 4×4 pixels."""
    x, y = digits()
    return x.view(-1, 4, 2, 4, 2).mean((2, 4)).flatten(1), y


def noisy_digits() -> Data:
    """Return the digits with a third of the labels replaced by random ones."""
    x, y = half_digits()
    wrong = _numbers(1).random(len(y)) < 1 / 3
    return x, torch.where(torch.tensor(wrong), torch.tensor(_numbers(2).integers(0, 10, len(y))), y)


def pixels() -> Data:
    """Return digits of 4×4 pixels as inputs and targets of an autoencoder."""
    x, _ = half_digits()
    return x, x


def turned_digits() -> Data:
    """Return the digits turned by a right angle, to fine-tune a network that knows them upright."""
    x, y = digits()
    return x.view(-1, 8, 8).rot90(1, (1, 2)).flatten(1).contiguous(), y


def wine() -> Data:
    return _labelled("load_wine")


def iris() -> Data:
    return _labelled("load_iris")


def cancer() -> Data:
    return _labelled("load_breast_cancer")


def diabetes() -> Data:
    from sklearn.datasets import load_diabetes

    return _regression(*load_diabetes(return_X_y=True))


def friedman1() -> Data:
    from sklearn.datasets import make_friedman1

    return _regression(*make_friedman1(1500, noise=1.0, random_state=0))


def friedman2() -> Data:
    from sklearn.datasets import make_friedman2

    return _regression(*make_friedman2(1500, noise=20.0, random_state=0))


def friedman3() -> Data:
    from sklearn.datasets import make_friedman3

    return _regression(*make_friedman3(1500, noise=0.05, random_state=0))


def waves() -> Data:
    """Return a sum of sines of one input, without noise: the loss ends near zero."""
    x = _numbers(0).uniform(-1, 1, (1500, 1))
    return _tensors(x, np.sin(3 * x) + 0.3 * np.sin(9 * x))


def plane() -> Data:
    """Return a linear function of 20 inputs whose scales span a factor of 30, with a little noise."""
    random = _numbers(0)
    x = random.standard_normal((1500, 20)) * np.geomspace(0.1, 3.0, 20)
    return _tensors(x, x @ random.standard_normal((20, 1)) + 0.1 * random.standard_normal((1500, 1)))


def scaled_classes() -> Data:
    """Return two classes divided by a plane, with inputs whose scales span a factor of 30."""
    x, y = plane()
    return x, (y[:, 0] > 0).long()


def parity() -> Data:
    """Return the parity of 4 of 12 bits, which shows no descent before it is found."""
    x = _numbers(0).integers(0, 2, (3000, 12)) * 2.0 - 1.0
    return torch.tensor(x, dtype=torch.float32), torch.tensor((x[:, :4].prod(1) > 0).astype(int))


def spirals() -> Data:
    random = _numbers(0)
    t, y = random.uniform(0.3, 1.0, 1500), random.integers(0, 2, 1500)
    angle = 7 * t + np.pi * y
    x = np.stack([t * np.cos(angle), t * np.sin(angle)], 1) * 2 + 0.05 * random.standard_normal((1500, 2))
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


def teacher() -> Data:
    """Return a random two-layer network's answers, without noise."""
    random = _numbers(0)
    x = random.standard_normal((3000, 10))
    return _tensors(x, np.tanh(x @ random.standard_normal((10, 8)) / 2) @ random.standard_normal((8, 2)))


def ratings() -> Data:
    """Return pairs (row, column) of a 40×30 matrix of rank 3 and their values, with noise."""
    return _matrix(noise=0.3)


def clean_ratings() -> Data:
    """Return the same without noise: the loss ends near zero."""
    return _matrix(noise=0.0)


def signals() -> Data:
    """Return 16 samples of a noisy wave, in one of 4 shapes and at a random phase."""
    random = _numbers(0)
    y, phase = random.integers(0, 4, 1500), random.uniform(0, 2 * np.pi, 1500)
    t = np.arange(16) * 2 * np.pi / 8 + phase[:, None]
    shapes = np.stack([np.sin(t), np.sign(np.sin(t)), np.sin(2 * t), np.abs(np.sin(t)) * 2 - 1])
    x = shapes[y, np.arange(1500)] + 0.4 * random.standard_normal((1500, 16))
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


def series() -> Data:
    """Return 8 values of the logistic map with noise, and the next."""
    value, rows = 0.3 + 0.4 * _numbers(0).random(1500), []
    for _ in range(9):
        value = 3.8 * value * (1 - value)
        rows.append(value)
    x = np.stack(rows, 1) * 4 - 2 + 0.05 * _numbers(1).standard_normal((1500, 9))
    return torch.tensor(x[:, :8], dtype=torch.float32), torch.tensor(x[:, 8:], dtype=torch.float32)


def sums() -> Data:
    """Return 8 pairs (value, mark), flattened, and the sum of the two marked values: the adding problem."""
    random = _numbers(0)
    values, marks = random.uniform(-1, 1, (1500, 8)), np.zeros((1500, 8))
    for row in marks:
        row[random.choice(8, 2, replace=False)] = 1.0
    return _tensors(np.stack([values, marks], 2).reshape(1500, 16), (values * marks).sum(1, keepdims=True))


def recall() -> Data:
    """Return 8 symbols, of which the first tells the place of the answer."""
    random = _numbers(0)
    x = random.integers(0, 8, (3000, CONTEXT))
    x[:, 0] = random.integers(1, CONTEXT, 3000)
    return torch.tensor(x), torch.tensor(x[np.arange(3000), x[:, 0]])


def text() -> Data:
    """Return runs of characters of a Python source file, and the character after each."""
    import argparse
    from pathlib import Path

    letters = Path(argparse.__file__).read_text()[:40_000]
    known = {
        letter: i for i, letter in enumerate(sorted(set(letters), key=letters.count, reverse=True)[: ALPHABET - 1])
    }
    codes = torch.tensor([known.get(letter, ALPHABET - 1) for letter in letters])
    runs = codes.unfold(0, CONTEXT + 1, 9)
    return runs[:, :CONTEXT].contiguous(), runs[:, CONTEXT].contiguous()


def _numbers(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def _tensors(x: np.ndarray, y: np.ndarray) -> Data:
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)


def _labelled(loader: str, scale: float | None = None) -> Data:
    """Return one of scikit-learn's sets, standardised or divided by a scale."""
    from sklearn import datasets

    x, y = getattr(datasets, loader)(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0) if scale is None else x / scale
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


def _regression(x: np.ndarray, y: np.ndarray) -> Data:
    """Return standardised inputs and targets."""
    return _tensors((x - x.mean(0)) / x.std(0), ((y - y.mean()) / y.std())[:, None])


def _matrix(noise: float) -> Data:
    random = _numbers(0)
    values = random.standard_normal((40, 3)) @ random.standard_normal((3, 30)) + noise * random.standard_normal(
        (40, 30)
    )
    rows, columns = np.divmod(random.permutation(1200), 30)
    return torch.tensor(np.stack([rows, columns], 1)), torch.tensor(values[rows, columns], dtype=torch.float32)
