"""The networks of the tiny tasks. All can be stacked, so that a grid of learning rates trains side by side."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from . import data


def mlp(inputs: int, outputs: int, hidden: int = 32, layers: int = 2, act: type[nn.Module] = nn.ReLU) -> nn.Module:
    """Return a network with this many hidden layers."""
    widths = [inputs, *[hidden] * layers]
    parts = [part for i in range(layers) for part in (nn.Linear(widths[i], widths[i + 1]), act())]
    return nn.Sequential(*parts, nn.Linear(widths[-1], outputs))


def normed(inputs: int, outputs: int) -> nn.Module:
    """Return a network with batch norm."""
    return nn.Sequential(nn.Linear(inputs, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, outputs))


def dropped(inputs: int, outputs: int) -> nn.Module:
    """Return a network with dropout."""
    return nn.Sequential(nn.Linear(inputs, 48), nn.ReLU(), nn.Dropout(0.3), nn.Linear(48, outputs))


class Residual(nn.Module):
    """Blocks with layer norm, each added to its input."""

    def __init__(self, inputs: int, outputs: int, width: int = 24, blocks: int = 3) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(inputs, width), nn.Linear(width, outputs)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
            for _ in range(blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        return self.last(x)


def convolution(size: int = 8, channels: int = 4, norm: bool = False) -> nn.Module:
    """Return a convolution of pictures of size×size pixels, by 3×3 with stride 2, and two layers behind it."""
    side = size // 2
    scaled = [nn.BatchNorm2d(channels)] if norm else []
    first = nn.Unflatten(1, (1, size, size)), nn.Conv2d(1, channels, 3, stride=2, padding=1), *scaled, nn.ReLU()
    return nn.Sequential(*first, nn.Flatten(), nn.Linear(channels * side * side, 24), nn.ReLU(), nn.Linear(24, 10))


def signal_convolution() -> nn.Module:
    """Return two convolutions of 16 samples in a row."""
    return nn.Sequential(
        *(nn.Unflatten(1, (1, 16)), nn.Conv1d(1, 6, 5, stride=2, padding=2), nn.ReLU()),
        *(nn.Conv1d(6, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(32, 4)),
    )


class Attention(nn.Module):
    """One block of a transformer that reads rows of a picture, or symbols, and answers from the mean or the last."""

    def __init__(self, outputs: int, width: int = 12, symbols: int | None = None, row: int = 8) -> None:
        super().__init__()
        self.row = row
        self.embed = nn.Linear(row, width) if symbols is None else nn.Embedding(symbols, width)
        self.position = nn.Parameter(0.1 * torch.randn(data.CONTEXT, width))
        self.norm, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.keys, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.inner = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        pictures = x.is_floating_point()
        x = self.embed(x.unflatten(-1, (-1, self.row)) if pictures else x) + self.position
        q, k, v = self.keys(self.norm(x)).chunk(3, -1)
        weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
        x = x + self.out(weights @ v)
        x = x + self.inner(self.norm2(x))
        return self.head(x.mean(-2) if pictures else x[..., -1, :])


class Recurrent(nn.Module):
    """A gated recurrent unit that reads a sequence, and answers from its last state."""

    def __init__(self, outputs: int, inputs: int = 1, width: int = 16, symbols: int | None = None) -> None:
        super().__init__()
        self.inputs = inputs
        self.embed = None if symbols is None else nn.Embedding(symbols, inputs)
        self.read, self.recall = nn.Linear(inputs, 3 * width), nn.Linear(width, 3 * width)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.read(x.unflatten(-1, (-1, self.inputs)) if self.embed is None else self.embed(x))
        state = x.new_zeros(x.shape[0], self.recall.in_features)
        for seen in x.unbind(-2):
            (a, b, c), (d, e, f) = seen.chunk(3, -1), self.recall(state).chunk(3, -1)
            gate = torch.sigmoid(a + d)
            state = gate * state + (1 - gate) * torch.tanh(c + torch.sigmoid(b + e) * f)
        return self.head(state)


class Factors(nn.Module):
    """A matrix as the product of two thin ones."""

    def __init__(self, rank: int = 4, scale: float = 0.3) -> None:
        super().__init__()
        self.rows = nn.Parameter(scale * torch.randn(40, rank))
        self.columns = nn.Parameter(scale * torch.randn(30, rank))

    def forward(self, x: Tensor) -> Tensor:
        return (self.rows[x[:, 0]] * self.columns[x[:, 1]]).sum(-1)


class Letters(nn.Module):
    """A network of one hidden layer that reads the characters before the next."""

    def __init__(self, hidden: int = 48) -> None:
        super().__init__()
        self.embed = nn.Embedding(data.ALPHABET, 8)
        self.layers = mlp(8 * data.CONTEXT, data.ALPHABET, hidden, layers=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(self.embed(x).flatten(-2))


def trained() -> nn.Module:
    """Return a network that knows the digits upright, to be fine-tuned."""
    model = mlp(64, 10)
    (x, y), _ = data.split(data.digits)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(200):
        rows = torch.arange(64) + 64 * step
        loss = nn.functional.cross_entropy(model(x[rows % len(x)]), y[rows % len(x)])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model
