"""lr_sweep(): every rate ends where a run of its own would, side by side or not, and nothing stays behind."""

import copy
import json
import math
import random
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from lrsched import Sweep, lr_sweep
from tests.ensembles.helpers import expected, pairs, small, square
from tests.finder.helpers import Record

LRS = [0.03, 1e-4, 0.3]  # in no order
MARKS = (1, 2, 5)


def sgd(params):
    return torch.optim.SGD(params, lr=1.0, momentum=0.9)


def adam(params):
    return torch.optim.Adam(params)


def compare(model, make_optimizer, loss_fn, batches, *, rel=1e-5, lrs=LRS, steps=MARKS, eval_batches=None, **options):
    """Sweep, hold it against plain runs, and return it."""
    wanted = expected(model, make_optimizer, loss_fn, batches, lrs, steps, eval_batches)
    torch.manual_seed(7)
    sweep = lr_sweep(model, make_optimizer, loss_fn, batches, lrs, steps=steps, eval_batches=eval_batches, **options)
    np.testing.assert_allclose(sweep.losses, wanted, rtol=rel)
    assert sweep.lrs.tolist() == list(lrs)
    assert sweep.steps.tolist() == list(steps)
    assert bool(sweep.reason) == (sweep.method == "one after another")
    return sweep


# ---------------------------------------------------------------- optimizers

O = torch.optim  # noqa: E741
SAME_UPDATE = {
    "SGD": partial(O.SGD, lr=0.1),
    "SGD nesterov decay": partial(O.SGD, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "SGD dampening maximize": partial(O.SGD, lr=0.1, momentum=0.5, dampening=0.3, maximize=True),
    "SGD tensor lr": lambda params: O.SGD(params, lr=torch.tensor(0.1), momentum=0.9),
    "SGD fused": partial(O.SGD, lr=0.1, momentum=0.9, fused=True),
    "Adam": O.Adam,
    "Adam amsgrad decay": partial(O.Adam, amsgrad=True, weight_decay=0.1, betas=(0.5, 0.9)),
    "Adam foreach": partial(O.Adam, foreach=True),
    "Adam one by one": partial(O.Adam, foreach=False),
    "Adam fused": partial(O.Adam, fused=True, weight_decay=0.1),
    "Adam tensor lr": lambda params: O.Adam(params, lr=torch.tensor(0.1), foreach=False),
    "AdamW": partial(O.AdamW, weight_decay=0.5),
    "AdamW maximize": partial(O.AdamW, maximize=True, amsgrad=True),
    "NAdam": partial(O.NAdam, weight_decay=0.1),
    "NAdam decoupled": partial(O.NAdam, weight_decay=0.1, decoupled_weight_decay=True, foreach=True),
    "RAdam": partial(O.RAdam, weight_decay=0.1),
    "RAdam decoupled": partial(O.RAdam, betas=(0.5, 0.6), weight_decay=0.1, decoupled_weight_decay=True),
    "Adamax": partial(O.Adamax, weight_decay=0.1),
    "Adagrad": partial(O.Adagrad, lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.1),
    "Adagrad foreach": partial(O.Adagrad, foreach=True),
    "Adadelta": partial(O.Adadelta, weight_decay=0.1, rho=0.5),
    "RMSprop": partial(O.RMSprop, centered=True, momentum=0.9, weight_decay=0.1),
    "RMSprop foreach": partial(O.RMSprop, foreach=True, maximize=True),
}


@pytest.mark.parametrize("name", SAME_UPDATE)
def test_the_losses_are_those_of_plain_runs(name):
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
def test_param_groups_keep_their_options_and_the_ratio_of_their_rates(make_optimizer):
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
def test_the_function_network(vectorize):
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
def test_a_rate_that_diverges_is_nan_from_then_on_and_disturbs_no_other(make_optimizer, vectorize):
    lrs = [1e35, 0.01, 1e30, 0.1, 1e33]
    model, batches = small(), pairs()
    wanted = expected(model, make_optimizer, square, batches, [0.01, 0.1], (1, 2, 6))
    sweep = lr_sweep(model, make_optimizer, square, batches, lrs, steps=(1, 2, 6), vectorize=vectorize)
    np.testing.assert_allclose(sweep.losses[[1, 3]], wanted, rtol=1e-5)
    assert np.isfinite(sweep.losses[:, 0]).all()  # taken before the first step
    assert np.isnan(sweep.losses[[0, 2, 4], 1:]).all()
    assert sweep.suggestion in (0.01, 0.1)


def test_all_rates_may_diverge():
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
        (O.LBFGS, "LBFGS is not exactly"),
        (O.Adafactor, "Adafactor is not exactly"),
        (O.ASGD, "ASGD is not exactly"),
        (O.Rprop, "Rprop is not exactly"),
        (hooked, "has been replaced or has hooks"),
        (replaced, "has been replaced or has hooks"),
        (frozen_half, "a parameter has gradient hooks"),
    ],
)
def test_other_optimizers_go_one_after_another(make_optimizer, reason):
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
    """Buffers that matter: one counted in place, one replaced, one that is no number's, one that is not saved."""

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
    """What side by side could get wrong: what `kind` names."""

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
def test_models(name):
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


# ---------------------------------------------------------------- batches, marks, masks


def line(rate_of_descent=1.0):
    """Return a model with one weight w = 1 and a loss w²/2, so that SGD at rate r has w after n steps at (1 − r)ⁿ."""
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.ones_(model.weight)
    return model


def half_square(model, batch):
    return (model(batch) ** 2).mean() / 2


ONE = [torch.ones(1, 1, dtype=torch.float64)]


@pytest.mark.parametrize("vectorize", [True, False])
def test_marks_hold_the_mean_of_the_losses_so_far(vectorize):
    sweep = lr_sweep(line(), partial(O.SGD, lr=1.0), half_square, ONE, [0.5, 0.1], steps=(1, 3), vectorize=vectorize)
    # w² = 1, 1/4, 1/16 at 0.5 and 1, 0.81, 0.6561 at 0.1
    expected = [[0.5, (1 + 0.25 + 0.0625) / 6], [0.5, (1 + 0.81 + 0.6561) / 6]]
    assert sweep.losses == pytest.approx(np.array(expected), rel=1e-12)
    assert sweep.suggestion == 0.5


@pytest.mark.parametrize("vectorize", [True, False])
def test_eval_batches_are_looked_at_after_the_steps(vectorize):
    sweep = lr_sweep(
        line(), partial(O.SGD, lr=1.0), half_square, ONE, [0.5], steps=(1, 2), eval_batches=ONE, vectorize=vectorize
    )
    assert sweep.losses == pytest.approx(np.array([[0.125, 0.03125]]), rel=1e-12)


@pytest.mark.parametrize("vectorize", [True, False])
@pytest.mark.parametrize("eval_batches", [None, ONE])
def test_stop_above_masks_from_the_lowest_offending_rate_on(vectorize, eval_batches):
    rates = [2.2, 0.5, 1.9, 2.05, 1.0]  # |1 − r| = 1.2, 0.5, 0.9, 1.05, 0: the second factor grows with the steps
    sweep = lr_sweep(
        line(),
        partial(O.SGD, lr=1.0),
        half_square,
        ONE,
        rates,
        steps=(1, 2),
        stop_above=1.08,
        eval_batches=eval_batches,
        vectorize=vectorize,
    )
    if eval_batches is None:  # the mean of 1 and |1 − r|² after two steps: 1.22, 0.625, 0.905, 1.05125, 0.5
        masked = [[False, True], [False, False], [False, False], [False, False], [False, False]]
    else:  # after one and two steps 1.44, 2.0736; …; 1.1025, 1.2155; …
        masked = [[True, True], [False, False], [False, False], [True, True], [False, False]]
    assert np.isnan(sweep.losses).tolist() == masked


@pytest.mark.parametrize("chunk", [1, 2, 1000])
def test_chunks_change_nothing(chunk):
    rates = [0.3, 0.1, 0.2, 1e200, 0.5]
    arguments = small(torch.float64), partial(O.SGD, lr=1.0), square, pairs(dtype=torch.float64), rates
    whole = lr_sweep(*arguments, steps=(1, 4), vectorize=False)
    seen = []
    parts = lr_sweep(*arguments, steps=(1, 4), chunk=chunk, callback=lambda *call: seen.append(call))
    assert parts.method == "side by side"
    assert parts.losses == pytest.approx(whole.losses, rel=1e-9, nan_ok=True)
    assert [(k, lr) for k, lr, _ in seen] == [*enumerate(rates)]
    assert [loss for *_, loss in seen] == pytest.approx(whole.losses[:, -1], rel=1e-9, nan_ok=True)


def test_one_shot_batches_must_be_enough():
    arguments = small(), partial(O.SGD, lr=1.0), square
    assert lr_sweep(*arguments, iter(pairs(4)), [0.1], steps=(2, 4)).losses.shape == (1, 2)
    with pytest.raises(ValueError, match="batches ran out: 3 of the 4 that steps asks for"):
        lr_sweep(*arguments, iter(pairs(3)), [0.1], steps=(4,))
    with pytest.raises(ValueError, match="batches is empty"):
        lr_sweep(*arguments, [], [0.1], steps=(4,))
    with pytest.raises(ValueError, match="eval_batches is empty"):
        lr_sweep(*arguments, pairs(), [0.1], steps=(1,), eval_batches=[])


# ---------------------------------------------------------------- the entry state


def state_of(model, generator):
    gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    modes = [part.training for part in model.modules()]
    return (
        weights,
        gradients,
        modes,
        torch.get_rng_state(),
        np.random.get_state(),  # noqa: NPY002
        random.getstate(),
        generator.get_state(),
    )


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else np.array_equal(a, b)


@pytest.mark.parametrize("vectorize", [True, False])
@pytest.mark.parametrize("error", [None, KeyboardInterrupt, ZeroDivisionError])
def test_everything_is_put_back(vectorize, error):
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 1))
    model[2].eval()
    generator = torch.Generator().manual_seed(5)
    x, y = torch.randn(12, 3), torch.randn(12, 1)
    data = torch.utils.data.TensorDataset(x, y)
    loader = torch.utils.data.DataLoader(data, batch_size=4, shuffle=True, generator=generator)
    square(model, (x, y)).backward()
    before = state_of(model, generator)

    def callback(k, lr, loss):
        if error:
            raise error

    def run():
        lr_sweep(model, O.Adam, square, loader, [0.1, 1.0], steps=(1, 5), vectorize=vectorize, callback=callback)

    if error:
        with pytest.raises(error):
            run()
    else:
        run()
    assert same(state_of(model, generator), before)


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"model": 3}, TypeError, r"model must be a torch.nn.Module, got 3"),
        ({"make_optimizer": 3}, TypeError, "make_optimizer must be callable"),
        (
            {"make_optimizer": lambda params: None},
            TypeError,
            "make_optimizer must be a function that returns an Optimizer",
        ),
        ({"loss_fn": None}, TypeError, "loss_fn must be callable"),
        ({"batches": 3}, TypeError, "batches must be an iterable"),
        ({"eval_batches": 3}, TypeError, "eval_batches must be an iterable"),
        ({"lrs": []}, ValueError, "lrs is empty"),
        ({"lrs": 0.1}, TypeError, "lrs must be a list"),
        ({"lrs": [0.1, 0.0]}, ValueError, r"lrs\[1\] must be finite, > 0"),
        ({"lrs": [math.nan]}, ValueError, r"lrs\[0\] must be finite"),
        ({"steps": ()}, ValueError, "steps must be increasing"),
        ({"steps": (2, 2)}, ValueError, r"steps must be increasing integers >= 1, at least one, got \[2, 2\]"),
        ({"steps": (0,)}, ValueError, r"steps\[0\] must be an integer >= 1"),
        ({"steps": (1.5,)}, TypeError, r"steps\[0\] must be an integer"),
        ({"vectorize": "always"}, ValueError, "vectorize must be one of 'auto'"),
        ({"vectorize": 1}, TypeError, "vectorize"),
        ({"stop_above": 0}, ValueError, "stop_above must be finite, > 0"),
        ({"chunk": 0}, ValueError, "chunk must be an integer >= 1"),
        ({"extra": 3}, TypeError, "extra must be a list"),
        ({"callback": 3}, TypeError, "callback must be callable"),
        ({"loss_fn": lambda model, batch: 1.0}, TypeError, "loss_fn must return a scalar tensor"),
    ],
)
def test_wrong_arguments_are_named_and_nothing_has_changed(change, error, match):
    model = small()
    before = copy.deepcopy(model.state_dict())
    arguments = {"model": model, "make_optimizer": partial(O.SGD, lr=1.0), "loss_fn": square, "batches": pairs()}
    arguments |= {"lrs": [0.1, 0.2], "steps": (1, 2)} | change
    with pytest.raises(error, match=match):
        lr_sweep(**arguments)
    assert same(dict(model.state_dict()), dict(before))


def test_groups_need_a_first_rate_to_keep_their_ratio_to():
    def make_optimizer(params):
        return O.SGD([{"params": params[:1], "lr": 0.0}, {"params": params[1:], "lr": 0.1}])

    with pytest.raises(ValueError, match="the lr of the first param group is 0"):
        lr_sweep(small(), make_optimizer, square, pairs(), [0.1], steps=(1,))


# ---------------------------------------------------------------- the result


def test_json_and_back():
    sweep = Sweep([0.1, 1.0], [1, 2], [[0.5, 0.4], [0.6, math.nan]], "side by side")
    back = Sweep.from_json(sweep.to_json())
    assert json.loads(sweep.to_json())["losses"] == [[0.5, 0.4], [0.6, None]]
    assert np.array_equal(back.losses, sweep.losses, equal_nan=True)
    assert (back.lrs.tolist(), back.steps.tolist(), back.method, back.suggestion) == (
        [0.1, 1.0],
        [1, 2],
        "side by side",
        0.1,
    )
    with pytest.raises(ValueError, match="text must be JSON of a sweep"):
        Sweep.from_json("[]")
    with pytest.raises(ValueError, match="version must be <= 1, got 2"):
        Sweep.from_json('{"version": 2, "lrs": [1], "steps": [1], "losses": [[1]]}')
    with pytest.raises(ValueError, match=r"losses must have shape \(rates, marks\) = \(1, 1\), got \(2,\)"):
        Sweep([1.0], [1], [1.0, 2.0])


def test_a_picture_has_a_line_a_mark_and_the_suggestion():
    sweep = Sweep([0.1, 1.0, 10.0], [1, 2], [[0.5, 0.4], [0.6, 0.2], [9.0, math.nan]])
    ax = sweep.plot()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["1 step", "2 steps", "suggestion 1"]
    assert ax.lines[1].get_ydata()[:2].tolist() == [0.4, 0.2]
