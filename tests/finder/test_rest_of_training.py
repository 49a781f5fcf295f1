"""A training that a range test interrupts continues bit for bit as one that had none, however it is set up."""

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset

from lrsched import lr_sweep, range_test, supervised
from tests.finder.helpers import Net, data, loss_of
from tests.finder.test_optimizers import Sam


class Noise:
    """A transform that adds noise from its own generators of every kind, and from the global ones."""

    def __init__(self):
        self.torch = torch.Generator().manual_seed(4)
        self.numpy = {"new": np.random.default_rng(5), "old": np.random.RandomState(6)}
        self.python = random.Random(7)

    def __call__(self, x):
        shift = self.numpy["new"].normal() + self.numpy["old"].normal() + self.python.gauss(0, 1)
        shift += np.random.normal() + random.gauss(0, 1)  # noqa: NPY002
        return x + 0.1 * shift + 0.1 * torch.randn(x.shape, generator=self.torch)


class Transformed(Dataset):
    def __init__(self, source, *transforms):
        self.source, self.transforms = source, transforms

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        x, y = self.source[index]
        for transform in self.transforms:
            x = transform(x)
        return x, y


class NoisyNet(Net):
    """A network that draws noise from a generator of its own."""

    def __init__(self):
        super().__init__()
        self.generator = torch.Generator().manual_seed(8)

    def forward(self, x):
        return super().forward(x + 0.1 * torch.randn(x.shape, generator=self.generator))


def own_modes(model):
    model.train()
    model.frozen_norm.eval()


class Case:
    """A training: a model, its optimizers, a loader; and what is passed to the range test."""

    def __init__(self, model=Net, optimizers=None, dataset=data, workers=0, prepare=None, **options):
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        self.model = model()
        if prepare is not None:
            prepare(self.model)
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizers = optimizers(self.model) if optimizers else [torch.optim.Adam(trained, lr=0.01)]
        start = "fork" if workers else None  # Python 3.14 would pickle the dataset
        self.loader = DataLoader(dataset(), 16, shuffle=True, num_workers=workers, multiprocessing_context=start)
        self.options = {"loss_fn": loss_of, **options}

    def train(self, epochs):
        losses = []
        own_modes(self.model)
        for _ in range(epochs):
            losses += [self.step(batch) for batch in self.loader]
        return losses

    def step(self, batch):
        def closure():
            for optimizer in self.optimizers:
                optimizer.zero_grad()
            loss = loss_of(self.model, batch)
            loss.backward()
            return loss.detach()  # LBFGS of torch 2.8 warns of a float with a gradient

        loss = closure().item()
        for optimizer in self.optimizers:
            optimizer.step(*[closure] * isinstance(optimizer, (Sam, torch.optim.LBFGS)))
        return loss

    def test(self):
        self.model.train(self.options.pop("mode", True))
        curve = range_test(self.model, self.optimizers, batches=self.loader, steps=20, **self.options)
        assert len(curve) > 10


def halves(model):
    return [
        torch.optim.SGD([*model.first.parameters(), *model.norm.parameters()], lr=0.05, momentum=0.9),
        torch.optim.Adam(model.last.parameters(), lr=0.01),
    ]


def half_frozen(model):
    model.first.requires_grad_(False)


CASES = {
    "plain": {},
    "root in eval mode": {"mode": False},
    "a criterion": {"loss_fn": nn.CrossEntropyLoss()},
    "supervised": {"loss_fn": supervised(nn.functional.cross_entropy)},
    "several optimizers": {"optimizers": halves},
    "LBFGS": {"optimizers": lambda model: [torch.optim.LBFGS(model.parameters(), lr=0.01, max_iter=2)], "end_lr": 0.1},
    "SAM": {"optimizers": lambda model: [Sam(model.parameters(), lr=0.05, momentum=0.9)]},
    "generators of transforms": {"dataset": lambda: Transformed(Subset(data(), range(64)), Noise(), Noise())},
    "generators of modules": {"model": NoisyNet},
    "workers": {"workers": 2, "dataset": lambda: Transformed(data(48), Noise())},
    "frozen weights": {"prepare": half_frozen},
    "repeats and validation": {"repeats": 2, "valid": [next(iter(DataLoader(data(16, seed=1), 8)))]},
    "accumulation": {"accumulate": 2, "batches_per_lr": 2},
}


@pytest.mark.parametrize("name", CASES)
def test_the_rest_of_the_training_is_bit_identical(name):
    def losses(tested):
        case = Case(**CASES[name])
        first = case.train(1)
        if tested:
            case.test()
        return first + case.train(2)

    assert losses(True) == losses(False)


@pytest.mark.parametrize("vectorize", [True, False])
def test_the_rest_of_the_training_after_a_sweep_is_bit_identical(vectorize):
    def losses(swept):
        case = Case(dataset=lambda: Transformed(data(), Noise()))
        first = case.train(1)
        if swept:
            case.model.eval()
            options = {"steps": (1, 8), "vectorize": vectorize, "eval_batches": case.loader}
            lr_sweep(case.model, torch.optim.Adam, nn.CrossEntropyLoss(), case.loader, [1e-3, 1e-2], **options)
        return first + case.train(2)

    assert losses(True) == losses(False)
