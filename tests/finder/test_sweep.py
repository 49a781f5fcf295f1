"""What a sweep measures, that it restores everything, and which arguments it refuses."""

import copy
import math
import random
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from lrsched import lr_sweep
from tests.ensembles.helpers import pairs, small, square

# ---------------------------------------------------------------- batches, marks, masks


def line():
    """Return a model with one weight w = 1 and a loss w²/2, so that SGD at rate r has w after n steps at (1 − r)ⁿ."""
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.ones_(model.weight)
    return model


def half_square(model, batch):
    return (model(batch) ** 2).mean() / 2


ONE = [torch.ones(1, 1, dtype=torch.float64)]


@pytest.mark.parametrize("vectorize", [True, False])
def test_the_loss_at_a_mark_is_the_mean_of_the_losses_so_far(vectorize):
    sweep = lr_sweep(
        line(), partial(torch.optim.SGD, lr=1.0), half_square, ONE, [0.5, 0.1], steps=(1, 3), vectorize=vectorize
    )
    # w² = 1, 1/4, 1/16 at 0.5 and 1, 0.81, 0.6561 at 0.1
    expected = [[0.5, (1 + 0.25 + 0.0625) / 6], [0.5, (1 + 0.81 + 0.6561) / 6]]
    assert sweep.losses == pytest.approx(np.array(expected), rel=1e-12)
    assert sweep.suggestion == 0.5


@pytest.mark.parametrize("vectorize", [True, False])
def test_the_loss_on_eval_batches_is_measured_after_the_steps(vectorize):
    sweep = lr_sweep(
        line(),
        partial(torch.optim.SGD, lr=1.0),
        half_square,
        ONE,
        [0.5],
        steps=(1, 2),
        eval_batches=ONE,
        vectorize=vectorize,
    )
    assert sweep.losses == pytest.approx(np.array([[0.125, 0.03125]]), rel=1e-12)


@pytest.mark.parametrize("vectorize", [True, False])
@pytest.mark.parametrize("eval_batches", [None, ONE], ids=["training loss", "eval batches"])
def test_stop_above_masks_all_rates_from_the_lowest_one_above_the_limit(vectorize, eval_batches):
    rates = [2.2, 0.5, 1.9, 2.05, 1.0]  # |1 − r| = 1.2, 0.5, 0.9, 1.05, 0: the second factor grows with the steps
    calls = []
    sweep = lr_sweep(
        line(),
        partial(torch.optim.SGD, lr=1.0),
        half_square,
        ONE,
        rates,
        steps=(1, 2),
        stop_above=1.08,
        eval_batches=eval_batches,
        vectorize=vectorize,
        callback=lambda k, lr, loss: calls.append((k, lr)),
    )
    if eval_batches is None:  # the mean of 1 and |1 − r|² after two steps: 1.22, 0.625, 0.905, 1.05125, 0.5
        masked = [[False, True], [False, False], [False, False], [False, False], [False, False]]
    else:  # after one and two steps 1.44, 2.0736; …; 1.1025, 1.2155; …
        masked = [[True, True], [False, False], [False, False], [True, True], [False, False]]
    assert np.isnan(sweep.losses).tolist() == masked
    assert calls == [*enumerate(rates)]


@pytest.mark.parametrize("chunk", [1, 2, 1000])
def test_the_size_of_a_chunk_does_not_change_the_losses(chunk):
    rates = [0.3, 0.1, 0.2, 1e200, 0.5]
    arguments = small(torch.float64), partial(torch.optim.SGD, lr=1.0), square, pairs(dtype=torch.float64), rates
    whole = lr_sweep(*arguments, steps=(1, 4), vectorize=False)
    seen = []
    parts = lr_sweep(*arguments, steps=(1, 4), chunk=chunk, callback=lambda *call: seen.append(call))
    assert parts.method == "side by side"
    assert parts.losses == pytest.approx(whole.losses, rel=1e-9, nan_ok=True)
    assert [(k, lr) for k, lr, _ in seen] == [*enumerate(rates)]
    assert [loss for *_, loss in seen] == pytest.approx(whole.losses[:, -1], rel=1e-9, nan_ok=True)


def test_too_few_batches_are_refused():
    arguments = small(), partial(torch.optim.SGD, lr=1.0), square
    assert lr_sweep(*arguments, iter(pairs(4)), [0.1], steps=(2, 4)).losses.shape == (1, 2)
    with pytest.raises(ValueError, match="batches ran out: 3 of the 4 that steps asks for; lower steps"):
        lr_sweep(*arguments, iter(pairs(3)), [0.1], steps=(4,))
    with pytest.raises(ValueError, match="batches must have at least one batch, got none"):
        lr_sweep(*arguments, [], [0.1], steps=(4,))
    with pytest.raises(ValueError, match="eval_batches must have at least one batch, got none; pass None"):
        lr_sweep(*arguments, pairs(), [0.1], steps=(1,), eval_batches=[])


# ---------------------------------------------------------------- restoring


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
def test_everything_is_restored(vectorize, error):
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
        lr_sweep(
            model, torch.optim.Adam, square, loader, [0.1, 1.0], steps=(1, 5), vectorize=vectorize, callback=callback
        )

    if error:
        with pytest.raises(error):
            run()
    else:
        run()
    assert same(state_of(model, generator), before)


# ---------------------------------------------------------------- arguments


INVALID = [
    ({"model": 3}, TypeError, r"model must be a torch.nn.Module, got 3"),
    ({"make_optimizer": 3}, TypeError, "make_optimizer must be callable"),
    (
        {"make_optimizer": lambda params: None},
        TypeError,
        "make_optimizer must be a function that returns an Optimizer",
    ),
    ({"loss_fn": None}, TypeError, "loss_fn must be callable"),
    ({"model": nn.ReLU()}, ValueError, "model has no trainable parameters"),
    ({"extra": [3]}, TypeError, r"extra\[0\] must be a module"),
    ({"batches": []}, ValueError, "batches must have at least one batch, got none"),
    ({"eval_batches": []}, ValueError, "eval_batches must have at least one batch, got none"),
    ({"batches": 3}, TypeError, "batches must be an iterable"),
    ({"eval_batches": 3}, TypeError, "eval_batches must be an iterable"),
    ({"lrs": []}, ValueError, "lrs must have at least one learning rate, got none"),
    ({"lrs": 0.1}, TypeError, "lrs must be a list"),
    ({"lrs": [0.1, 0.0]}, ValueError, r"lrs\[1\] must be finite, > 0"),
    ({"lrs": [math.nan]}, ValueError, r"lrs\[0\] must be finite"),
    ({"steps": ()}, ValueError, "steps must be increasing"),
    ({"steps": (2, 2)}, ValueError, r"steps must be increasing integers >= 1, at least one, got \[2, 2\]"),
    ({"steps": (0,)}, ValueError, r"steps\[0\] must be an integer >= 1"),
    ({"steps": (1.5,)}, TypeError, r"steps\[0\] must be an integer"),
    ({"vectorize": "always"}, ValueError, "vectorize must be one of 'auto', True, False, got 'always'"),
    ({"vectorize": 1}, TypeError, "vectorize"),
    ({"stop_above": 0}, ValueError, "stop_above must be finite, > 0"),
    ({"chunk": 0}, ValueError, "chunk must be an integer >= 1"),
    ({"extra": 3}, TypeError, "extra must be a list"),
    ({"callback": 3}, TypeError, "callback must be callable"),
    ({"loss_fn": lambda model, batch: 1.0}, TypeError, "loss_fn must return a scalar tensor"),
]


@pytest.mark.parametrize(("change", "error", "match"), INVALID, ids=[message for *_, message in INVALID])
def test_invalid_arguments_are_refused_and_nothing_is_changed(change, error, match):
    model = small()
    before = copy.deepcopy(model.state_dict())
    arguments = {
        "model": model,
        "make_optimizer": partial(torch.optim.SGD, lr=1.0),
        "loss_fn": square,
        "batches": pairs(),
    }
    arguments |= {"lrs": [0.1, 0.2], "steps": (1, 2)} | change
    with pytest.raises(error, match=match):
        lr_sweep(**arguments)
    assert same(dict(model.state_dict()), dict(before))


def test_the_ratio_of_groups_needs_a_first_rate_above_zero():
    def make_optimizer(params):
        return torch.optim.SGD([{"params": params[:1], "lr": 0.0}, {"params": params[1:], "lr": 0.1}])

    with pytest.raises(
        ValueError,
        match="make_optimizer: the lr of the first param group is 0, so the other groups have no ratio to it; give",
    ):
        lr_sweep(small(), make_optimizer, square, pairs(), [0.1], steps=(1,))
