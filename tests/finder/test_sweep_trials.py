"""Every learning rate of a sweep ends where a plain training run with it ends, side by side or not."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from lrsched import lr_sweep
from tests.ensembles.helpers import expected, pairs, small, square
from tests.finder.helpers import Record
from tests.versions import Adafactor, needs_adafactor

LRS = [0.03, 1e-4, 0.3]  # in no order
MARKS = (1, 2, 5)


def sgd(params):
    return torch.optim.SGD(params, lr=1.0, momentum=0.9)


def adam(params):
    return torch.optim.Adam(params)


def compare(model, make_optimizer, loss_fn, batches, *, rel=1e-5, lrs=LRS, steps=MARKS, eval_batches=None, **options):
    """Return a sweep after comparing it with plain training runs."""
    wanted = expected(model, make_optimizer, loss_fn, batches, lrs, steps, eval_batches)
    torch.manual_seed(7)
    sweep = lr_sweep(model, make_optimizer, loss_fn, batches, lrs, steps=steps, eval_batches=eval_batches, **options)
    np.testing.assert_allclose(sweep.losses, wanted, rtol=rel)
    assert sweep.lrs.tolist() == list(lrs)
    assert sweep.steps.tolist() == list(steps)
    assert bool(sweep.reason) == (sweep.method == "one after another")
    return sweep


# ---------------------------------------------------------------- optimizers

SAME_UPDATE = {
    "SGD": partial(torch.optim.SGD, lr=0.1),
    "SGD nesterov decay": partial(torch.optim.SGD, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "SGD dampening maximize": partial(torch.optim.SGD, lr=0.1, momentum=0.5, dampening=0.3, maximize=True),
    "SGD tensor lr": lambda params: torch.optim.SGD(params, lr=torch.tensor(0.1), momentum=0.9),
    "SGD fused": partial(torch.optim.SGD, lr=0.1, momentum=0.9, fused=True),
    "Adam": torch.optim.Adam,
    "Adam amsgrad decay": partial(torch.optim.Adam, amsgrad=True, weight_decay=0.1, betas=(0.5, 0.9)),
    "Adam foreach": partial(torch.optim.Adam, foreach=True),
    "Adam one by one": partial(torch.optim.Adam, foreach=False),
    "Adam fused": partial(torch.optim.Adam, fused=True, weight_decay=0.1),
    "Adam tensor lr": lambda params: torch.optim.Adam(params, lr=torch.tensor(0.1), foreach=False),
    "AdamW": partial(torch.optim.AdamW, weight_decay=0.5),
    "AdamW maximize": partial(torch.optim.AdamW, maximize=True, amsgrad=True),
    "NAdam": partial(torch.optim.NAdam, weight_decay=0.1),
    "NAdam decoupled": partial(torch.optim.NAdam, weight_decay=0.1, decoupled_weight_decay=True, foreach=True),
    "RAdam": partial(torch.optim.RAdam, weight_decay=0.1),
    "RAdam decoupled": partial(torch.optim.RAdam, betas=(0.5, 0.6), weight_decay=0.1, decoupled_weight_decay=True),
    "Adamax": partial(torch.optim.Adamax, weight_decay=0.1),
    "Adagrad": partial(torch.optim.Adagrad, lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.1),
    "Adagrad foreach": partial(torch.optim.Adagrad, foreach=True),
    "Adadelta": partial(torch.optim.Adadelta, weight_decay=0.1, rho=0.5),
    "RMSprop": partial(torch.optim.RMSprop, centered=True, momentum=0.9, weight_decay=0.1),
    "RMSprop foreach": partial(torch.optim.RMSprop, foreach=True, maximize=True),
}


@pytest.mark.parametrize("name", SAME_UPDATE)
def test_side_by_side_losses_equal_those_of_plain_runs(name):
    sweep = compare(small(torch.float64), SAME_UPDATE[name], square, pairs(dtype=torch.float64), rel=1e-6, steps=(1, 8))
    assert sweep.method == "side by side"


def by_ndim(params):
    matrices, rest = [p for p in params if p.ndim >= 2], [p for p in params if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.3}, {"params": rest, "lr": 0.4, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.1)


def with_tensor_lrs(params):
    groups = [{"params": params[:1]}, {"params": params[1:], "lr": torch.tensor(0.5, dtype=torch.float64)}]
    return torch.optim.SGD(groups, lr=torch.tensor(0.1, dtype=torch.float64), foreach=False)


@pytest.mark.parametrize("make_optimizer", [by_ndim, with_tensor_lrs])
def test_param_groups_keep_their_options_and_the_ratio_of_their_learning_rates(make_optimizer):
    sweep = compare(small(torch.float64), make_optimizer, square, pairs(dtype=torch.float64), rel=1e-6, steps=(1, 6))
    assert sweep.method == "side by side"


class FunctionNet(nn.Sequential):
    """1 → 10 → 10 → 10 → 1."""

    def __init__(self):
        layers = []
        for inputs in (1, 10, 10):
            layers += [nn.Linear(inputs, 10), nn.ReLU()]
        super().__init__(*layers, nn.Linear(10, 1))


@pytest.mark.parametrize("vectorize", ["auto", False])
def test_a_function_network_has_the_same_losses_by_both_methods(vectorize):
    x = torch.tensor([[-5 + i / 2501 * 10] for i in range(2501)])
    batches = [(part, torch.sin(part)) for part in x.split(1280)]
    assert [len(batch[0]) for batch in batches] == [1280, 1221]
    torch.manual_seed(0)
    model = FunctionNet()
    lrs, steps = [1e-6, 1e-3, 0.01, 0.05], (2, 4, 8, 16)
    sweep = compare(
        model, adam, square, batches, rel=1e-3, lrs=lrs, steps=steps, eval_batches=batches, vectorize=vectorize
    )
    assert sweep.method == ("side by side" if vectorize == "auto" else "one after another")


@pytest.mark.parametrize("vectorize", ["auto", False])
@pytest.mark.parametrize("make_optimizer", [sgd, adam])
def test_a_rate_that_diverges_is_nan_from_then_on_and_does_not_affect_others(make_optimizer, vectorize):
    lrs = [1e35, 0.01, 1e30, 0.1, 1e33]
    model, batches = small(), pairs()
    wanted = expected(model, make_optimizer, square, batches, [0.01, 0.1], (1, 2, 6))
    sweep = lr_sweep(model, make_optimizer, square, batches, lrs, steps=(1, 2, 6), vectorize=vectorize)
    np.testing.assert_allclose(sweep.losses[[1, 3]], wanted, rtol=1e-5)
    assert np.isfinite(sweep.losses[:, 0]).all()  # taken before the first step
    assert np.isnan(sweep.losses[[0, 2, 4], 1:]).all()
    assert sweep.suggestion in (0.01, 0.1)


def test_there_is_no_suggestion_if_all_rates_diverge():
    for vectorize in (True, False):
        sweep = lr_sweep(small(), sgd, square, pairs(), [1e36, 1e37], steps=(2, 9), vectorize=vectorize)
        assert np.isnan(sweep.losses).all()
        assert sweep.suggestion is None


class Mine(torch.optim.Adam):
    pass


def hooked(params):
    optimizer = torch.optim.SGD(params, lr=0.1)

    def doubled(optimizer, *_):
        optimizer.param_groups[0]["params"][0].grad.mul_(2)

    optimizer.register_step_pre_hook(doubled)
    return optimizer


def replaced(params):
    optimizer = torch.optim.SGD(params, lr=0.1)
    optimizer.step = partial(torch.optim.SGD.step, optimizer)
    return optimizer


def frozen_half(params):
    for parameter in params[2:]:
        parameter.register_hook(torch.zeros_like)
    return torch.optim.SGD(params, lr=0.1)


@pytest.mark.parametrize(
    ("make_optimizer", "reason"),
    [
        (Mine, "make_optimizer: Mine is not exactly one of SGD, Adam, AdamW"),
        (torch.optim.LBFGS, "LBFGS is not exactly"),
        pytest.param(Adafactor, "Adafactor is not exactly", id="Adafactor", marks=needs_adafactor),
        (torch.optim.ASGD, "ASGD is not exactly"),
        (torch.optim.Rprop, "Rprop is not exactly"),
        (hooked, "has been replaced or has hooks"),
        (replaced, "has been replaced or has hooks"),
        (frozen_half, "a parameter has gradient hooks"),
    ],
)
def test_optimizers_that_cannot_be_stacked_train_one_after_another(make_optimizer, reason):
    sweep = compare(small(torch.float64), make_optimizer, square, pairs(dtype=torch.float64), vectorize=True, rel=1e-6)
    assert sweep.method == "one after another"
    assert reason in sweep.reason


# ---------------------------------------------------------------- models


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)
        self.b.weight = self.a.weight
        self.scale, self.unused = nn.Parameter(torch.tensor(0.7)), nn.Parameter(torch.ones(2))
        self.frozen = nn.Parameter(torch.ones(3), requires_grad=False)

    def forward(self, x):
        return (self.b(torch.tanh(self.a(x))) * self.frozen).sum(1, keepdim=True) * self.scale


class Counting(nn.Module):
    """A model with buffers that affect its output: counted in place, replaced, boolean, and not persistent."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 1)
        self.register_buffer("calls", torch.tensor(0))
        self.register_buffer("mean", torch.zeros(1))
        self.register_buffer("odd", torch.tensor(False))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)

    def forward(self, x):
        out = self.linear(x)
        self.calls += 1
        self.scratch += 1
        self.mean = 0.5 * self.mean + 0.5 * out.detach().mean(0)
        self.odd.logical_not_()
        return (out - self.mean * self.odd) / self.calls + self.scratch[0]


class Mode(nn.Module):
    """A model with one trait, `kind`, that could make members of an ensemble differ from single models."""

    def __init__(self, kind):
        super().__init__()
        self.kind, self.linear, self.memory, self.calls = kind, nn.Linear(3, 1), torch.zeros(1), 0
        self.loose = [torch.ones(3, requires_grad=True)]

    def forward(self, x):
        out = self.linear(x)
        self.calls += 1
        if self.kind == "branch" and out.mean() > 0:
            return -out
        if self.kind == "late branch" and self.calls > 2 and out.mean() > 0:
            return -out
        if self.kind == "item":
            return out * out.mean().item()
        if self.kind == "memory":
            self.memory = 0.5 * self.memory + out.detach().mean(0)
            return out + self.memory
        if self.kind == "counter":
            return out / self.calls
        if self.kind == "clamp":
            self.linear.weight.data.clamp_(-0.1, 0.1)
        if self.kind == "loose":
            return out + (x * self.loose[0]).sum(1, keepdim=True)
        return out


class Recurrent(nn.Module):
    def __init__(self, kind=nn.GRU):
        super().__init__()
        self.inner, self.last = kind(1, 4, batch_first=True), nn.Linear(4, 1)

    def forward(self, x):
        return self.last(self.inner(x[..., None])[0][:, -1])


class Bag(nn.Module):
    def __init__(self, sparse=False):
        super().__init__()
        self.words, self.last = nn.Embedding(9, 4, sparse=sparse), nn.Linear(4, 1)

    def forward(self, x):
        return self.last(self.words((x.abs() * 3).long().clamp(max=8)).mean(1))


def convolutional():
    return nn.Sequential(
        nn.Unflatten(1, (1, 3)), nn.Conv1d(1, 4, 2), nn.BatchNorm1d(4), nn.ReLU(), nn.Flatten(), nn.Linear(8, 1)
    )


def dropping():
    return nn.Sequential(
        nn.Linear(3, 8),
        nn.BatchNorm1d(8),
        nn.Dropout(0.4),
        nn.ReLU(),
        nn.Linear(8, 4),
        nn.LayerNorm(4),
        nn.Linear(4, 1),
    )


def normed(wrap):
    return nn.Sequential(wrap(nn.Linear(3, 4)), nn.Tanh(), nn.Linear(4, 1))


MODELS = {
    "dropout, batch norm": (dropping, "side by side"),
    "tied, frozen, unused, 0-dim": (Tied, "side by side"),
    "buffers": (Counting, "side by side"),
    "plain counter": (partial(Mode, "counter"), "side by side"),
    "branch": (partial(Mode, "branch"), "one after another"),
    "branch after two steps": (partial(Mode, "late branch"), "one after another"),
    "item": (partial(Mode, "item"), "one after another"),
    "conv": (convolutional, "side by side"),
    "embedding": (Bag, "side by side"),
    "weight norm": (partial(normed, parametrizations.weight_norm), "one after another"),  # vmap has no rule for it
    "old weights are constants": (partial(Mode, "loose"), "side by side"),
    "plain memory": (partial(Mode, "memory"), None),
    "weights clamped in forward": (partial(Mode, "clamp"), None),
    "GRU": (Recurrent, None),
    "LSTM": (partial(Recurrent, nn.LSTM), None),
    "spectral norm": (partial(normed, parametrizations.spectral_norm), None),
}


@pytest.mark.parametrize("name", MODELS)
def test_losses_equal_those_of_plain_runs_for_every_kind_of_model(name):
    torch.manual_seed(0)
    make, method = MODELS[name]
    model = make().double()
    record = Record(model, adam(model.parameters()))
    make_optimizer = partial(torch.optim.AdamW, lr=0.1, weight_decay=0.5)
    batches, valid = pairs(dtype=torch.float64), pairs(2, 5, dtype=torch.float64, seed=1)
    sweep = compare(model, make_optimizer, square, batches, vectorize=True, rel=1e-6, eval_batches=valid)
    assert method in (None, sweep.method), sweep.reason
    assert isinstance(sweep.reason, str)
    torch.manual_seed(7)
    record.args[1].state.clear()
    torch.set_rng_state(next(value for path, value in record.items if path == "random.torch"))
    record.verify()
