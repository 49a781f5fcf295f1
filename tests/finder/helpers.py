"""Models, data and losses for the finder, and a record of everything that it must restore, made without its code."""

import copy
import random

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader


class Net(nn.Module):
    """A network with batch norm (one in eval mode), dropout, buffers of both kinds and plain attributes."""

    def __init__(self, inputs=6, outputs=3):
        super().__init__()
        self.first = nn.Linear(inputs, 8)
        self.norm = nn.BatchNorm1d(8)
        self.frozen_norm = nn.BatchNorm1d(8).eval()
        self.drop = nn.Dropout(0.4)
        self.last = nn.Linear(8, outputs)
        self.register_buffer("scratch", torch.zeros(2), persistent=False)
        self.calls, self.seen, self.plain = 0, [], torch.zeros(3)

    def forward(self, x):
        self.calls += 1
        self.seen.append(len(x))
        self.scratch += 1
        self.plain += x.mean()
        return self.last(self.drop(self.frozen_norm(torch.relu(self.norm(self.first(x))))))


def loss_of(model, batch):
    x, y = batch
    return nn.functional.cross_entropy(model(x), y)


def data(count=96, inputs=6, outputs=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, inputs, generator=generator)
    return torch.utils.data.TensorDataset(x, x[:, :outputs].argmax(1))


def train(model, optimizer, loader, steps, loss_fn=loss_of):
    """Train for some steps; return the exact losses."""
    losses, batches = [], iter(loader)
    for _ in range(steps):
        try:
            batch = next(batches)
        except StopIteration:
            batches = iter(loader)
            batch = next(batches)
        optimizer.zero_grad()
        loss = loss_fn(model, batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


class Record:
    """Records everything; `verify()` fails at the first value that is not the same object with the same bits."""

    def __init__(self, model, optimizer, generators=(), others=()):
        self.args = (model, optimizer, generators, others)
        self.items = list(self._walk())
        self.held = [copy.deepcopy(_plain(value)) for _, value in self.items]

    def verify(self):
        now = list(self._walk())
        assert [path for path, _ in now] == [path for path, _ in self.items]
        for (path, before), held, (_, after) in zip(self.items, self.held, now, strict=True):
            if isinstance(before, (torch.Tensor, dict, list)) and not path.startswith("random"):
                assert after is before, f"{path} is a different object"
            assert _equal(_plain(after), held), f"{path} was {held}, is {after}"

    def _walk(self):
        model, optimizer, generators, others = self.args
        for name, module in model.named_modules():
            yield f"{name}.training", module.training
            for kind in ("_parameters", "_buffers"):
                for key, tensor in getattr(module, kind).items():
                    yield f"{name}.{key}", tensor
                    if tensor is not None:
                        yield f"{name}.{key}.requires_grad", tensor.requires_grad
                        yield f"{name}.{key}.grad", tensor.grad
            yield f"{name}.vars", tuple(sorted(vars(module)))
            for key, value in vars(module).items():
                if not key.startswith("_"):
                    yield from _nested(f"{name}.{key}", value)
        for number, (parameter, state) in enumerate(optimizer.state.items()):
            yield f"state[{number}].key", parameter
            yield f"state[{number}].grad", getattr(parameter, "grad", None)
            yield from _nested(f"state[{number}]", state)
        yield from _nested("groups", optimizer.param_groups)
        for number, group in enumerate(optimizer.param_groups):
            for index, parameter in enumerate(group["params"]):
                yield f"groups[{number}].params[{index}].grad", parameter.grad
        yield "optimizer.vars", tuple(sorted(vars(optimizer)))
        yield from _nested("others", tuple(others))
        yield "random.torch", torch.get_rng_state()
        yield "random.numpy", np.random.get_state()  # noqa: NPY002
        yield "random.python", random.getstate()
        for number, generator in enumerate(generators):
            yield f"random.generators[{number}]", generator.get_state()


def _nested(path, value):
    yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _nested(f"{path}[{key!r}]" if isinstance(key, str) else f"{path}[?]", item)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _nested(f"{path}[{index}]", item)


def _plain(value):
    """Return a value's bits: of a container only its keys or length, because its items are recorded by themselves."""
    if isinstance(value, torch.Tensor):
        if value.is_sparse:
            value = value.detach().coalesce()
            return ("sparse", _plain(value.indices()), _plain(value.values()), tuple(value.shape))
        bits = value.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes() if value.numel() else b""
        return (str(value.dtype), tuple(value.shape), bits)
    if isinstance(value, dict):
        return ("dict", [key if isinstance(key, str) else id(key) for key in value])
    if isinstance(value, list) and value and isinstance(value[0], torch.Tensor):
        return ("list", len(value))
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, [_plain(item) for item in value])
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, (bool, int, float, str, bytes, type(None))):
        return value
    return id(value)


def _equal(a, b):
    return a == b or (a != a and b != b)


X = np.linspace(-7, 1, 100)
LRS = 10.0**X


def sigmoid(depth, rise=True):
    """Return losses over LRS that fall by `depth` around 10^-2.5 and, if `rise`, explode above 10^-0.5."""
    explosion = np.where(X > -0.5, np.minimum(50, np.exp(4 * (X + 0.5)) - 1), 0.0)
    return 2.3 - depth / (1 + np.exp(-(X + 2.5) / 0.35)) + rise * explosion


OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.01),
}
BATCHES = [torch.randn(8, 3, generator=torch.Generator().manual_seed(i)) for i in range(3)]


def setup(optimizer="Adam", own=True):
    """Return a Net, an optimizer and a loader that shuffles with its own generator, or else with the global one."""
    torch.manual_seed(0)
    model = Net()
    loader = DataLoader(data(), 16, shuffle=True, generator=torch.Generator().manual_seed(1) if own else None)
    return model, OPTIMIZERS[optimizer](model.parameters()), loader


def line(lr=0.1):
    """Return a small linear model and its optimizer."""
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    return model, torch.optim.SGD(model.parameters(), lr=lr)


def square(model, batch):
    return model(batch).square().mean()
