"""The tasks of `race_quality --size large`: networks and data of a size that people have."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention
from torch.optim import SGD, Adam, AdamW

from ..replications import cifar10, datasets
from ..replications.datasets import Split
from ..replications.resnet import standardised
from .race_problems import Problem

Batch = tuple[Tensor, Tensor]
STEPS = {"cifar10": 14_000, "text": 10_000, "finetune-mnist": 2_000}  # 20 epochs; 20 million characters; 13 epochs
CONTEXT, WINDOWS, SYMBOLS = 128, 16, 100  # of the text: characters in a window, windows in a batch, known characters
WIDTH, HEADS, BLOCKS = 128, 4, 6  # of the transformer


@dataclass(frozen=True)
class Place:
    """Where the data are, and the device to train on."""

    data: Path | None
    device: torch.device

    def folder(self, *names: str) -> Path | None:
        """Return the first of these subfolders that exists; otherwise the folder itself."""
        found = [self.data / name for name in names if self.data and (self.data / name).is_dir()]
        return found[0] if found else self.data


# ---------------------------------------------------------------- pictures


def cifar10_problem(place: Place) -> Problem:
    """Return the network of the CIFAR-10 table, trained by SGD with momentum on batches of 64."""
    data = datasets.cifar10(place.folder("cifar10-jpeg", "cifar10"))
    train, valid = _parts(data.train, 5_000, standardised, place.device)
    test = Split(standardised(data.valid.images), data.valid.labels).to(place.device)

    def model(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return nn.Sequential(*cifar10.layers()).to(place.device)

    optimizer = partial(SGD, lr=0.01, momentum=0.9)
    return _pictures("cifar10", model, optimizer, train, valid, test)


def finetune_problem(place: Place) -> Problem:
    """Return a network that knows MNIST upright, fine-tuned on 10,000 images turned by a right angle."""
    data = datasets.mnist(place.folder("mnist"))
    known = data.train.to(place.device)
    train, valid = _parts(data.train.few(12_000), 2_000, _turned, place.device)
    test = Split(_turned(data.valid.images), data.valid.labels).to(place.device)

    @cache
    def weights(seed: int) -> dict[str, Tensor]:
        torch.manual_seed(seed)
        model = _digit_network().to(place.device)
        optimizer = Adam(model.parameters(), lr=1e-3)
        for rows in torch.randperm(len(known.labels))[:25_600].split(64):
            optimizer.zero_grad()
            cross_entropy(model(known.images[rows]), known.labels[rows]).backward()
            optimizer.step()
        return model.state_dict()

    def model(seed: int) -> nn.Module:
        network = _digit_network().to(place.device)
        network.load_state_dict(weights(seed))
        return network

    return _pictures("finetune-mnist", model, partial(Adam, lr=1e-3), train, valid, test)


def _digit_network() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(32 * 49, 64), nn.ReLU(), nn.Linear(64, 10)),
    )


def _turned(images: Tensor) -> Tensor:
    return images.rot90(1, (2, 3)).contiguous()


def _parts(split: Split, valid: int, prepare: Callable[[Tensor], Tensor], device: torch.device) -> tuple[Split, Split]:
    """Return the images for training, and `valid` of them for validation, spread evenly: a file may be sorted."""
    images, labels = prepare(split.images), split.labels
    held = torch.zeros(len(labels), dtype=torch.bool)
    held[torch.arange(valid) * len(labels) // valid] = True
    return Split(images[~held], labels[~held]).to(device), Split(images[held], labels[held]).to(device)


def _pictures(
    name: str,
    model: Callable[[int], nn.Module],
    make_optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
    train: Split,
    valid: Split,
    test: Split,
) -> Problem:
    def batches(seed: int) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(seed)
        while True:
            for rows in torch.randperm(len(train.labels), generator=generator).split(64):
                if len(rows) == 64:
                    yield train.images[rows], train.labels[rows]

    shown = [_in_batches(part.few(2_000)) for part in (valid, test)]
    return Problem(name, model, make_optimizer, _loss, batches, *shown, STEPS[name], {}, held_out=True)


def _in_batches(split: Split) -> list[Batch]:
    return [*zip(split.images.split(500), split.labels.split(500), strict=True)]


def _loss(model: nn.Module, batch: Batch) -> Tensor:
    return cross_entropy(model(batch[0]), batch[1])


# ---------------------------------------------------------------- text


def text_problem(place: Place) -> Problem:
    """Return a transformer of 1.2 million parameters that reads the standard library, trained by AdamW."""
    codes = _sources().to(place.device)
    cuts = len(codes) * 8 // 10, len(codes) * 9 // 10

    def model(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return Transformer().to(place.device)

    def batches(seed: int) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(seed)
        while True:
            yield _windows(codes, torch.randint(cuts[0] - CONTEXT - 1, (WINDOWS,), generator=generator))

    def spread(start: int, end: int) -> list[Batch]:
        places = torch.linspace(start, end - CONTEXT - 2, 8 * WINDOWS).long()
        return [_windows(codes, part) for part in places.split(WINDOWS)]

    valid, test = spread(*cuts), spread(cuts[1], len(codes))
    return Problem("text", model, partial(AdamW, lr=1e-3), _next_loss, batches, valid, test, STEPS["text"], {}, True)


def _sources() -> Tensor:
    """Return the characters of Python's standard library (the modules at its top), in the order of their names."""
    text = "".join(path.read_text(errors="replace") for path in sorted(Path(argparse.__file__).parent.glob("*.py")))
    common = sorted(set(text), key=lambda letter: (-text.count(letter), letter))[: SYMBOLS - 1]
    known = {letter: i for i, letter in enumerate(common)}
    return torch.tensor([known.get(letter, SYMBOLS - 1) for letter in text])


def _windows(codes: Tensor, starts: Tensor) -> Batch:
    """Return windows of characters, and the character after each."""
    places = starts[:, None] + torch.arange(CONTEXT + 1)
    found = codes[places.to(codes.device)]
    return found[:, :-1], found[:, 1:]


def _next_loss(model: nn.Module, batch: Batch) -> Tensor:
    return cross_entropy(model(batch[0]).flatten(0, 1), batch[1].flatten())


class Block(nn.Module):
    """Causal attention and two layers, each behind a layer norm and added to its input."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.keys, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.inner = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        parts = self.keys(self.norm(x)).unflatten(-1, (3, HEADS, -1)).unbind(-3)
        q, k, v = (part.transpose(-2, -3) for part in parts)
        seen = scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(-2, -3).flatten(-2))
        return x + self.inner(self.norm2(x))


class Transformer(nn.Module):
    """Reads a window of characters and gives, at each, the scores of the next."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(SYMBOLS, WIDTH)
        self.position = nn.Parameter(0.02 * torch.randn(CONTEXT, WIDTH))
        nn.init.normal_(self.embed.weight, std=0.02)
        self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))
        self.head = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, SYMBOLS))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.embed(x) + self.position))


LARGE: dict[str, Callable[[Place], Problem]] = {
    "cifar10": cifar10_problem,
    "text": text_problem,
    "finetune-mnist": finetune_problem,
}
