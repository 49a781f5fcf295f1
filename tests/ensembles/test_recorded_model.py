"""Passes of a single model, recorded: they give what the plain loop gives."""

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD

from lrsched._functions import backward
from lrsched.ensembles import _cuda_graphs
from lrsched.ensembles._cuda_graphs import WARM_UP
from lrsched.ensembles._recorded_model import RecordedModel
from tests.ensembles.test_cuda_graphs import batches, loss_fn, network, score
from tests.tape import launches


def plain(model, batches, loss_fn=loss_fn, after=lambda i, model: None):
    """Train and evaluate in turn with a plain loop; return the losses and the scores."""

    def step(batch):
        return backward(model, loss_fn, batch)

    return _loop(model, batches, after, step, lambda batch: score(model, batch))


def recorded(model, batches, loss_fn=loss_fn, after=lambda i, model: None):
    """Do the same with recorded passes; return why they were not recorded, too."""
    passes = RecordedModel(model)
    found = _loop(
        model,
        batches,
        after,
        lambda batch: passes.backward(loss_fn, batch),
        lambda batch: passes.evaluate(score, batch),
    )
    return found, passes.unrecorded


def _loop(model, batches, after, backward, evaluate):
    optimizer, found = None, []
    torch.manual_seed(5)
    for i, batch in enumerate(batches):
        model.train()
        if optimizer is not None:
            optimizer.zero_grad()
        loss = backward(batch)
        optimizer = optimizer or SGD(model.parameters(), lr=0.1, momentum=0.9)
        optimizer.step()
        model.eval()
        with torch.no_grad():
            found.append((loss.item(), *(value.item() for value in evaluate(batch).values())))
        after(i, model)
    return found


def assert_equal(found, expected, model, other):
    for one, two in zip(found, expected, strict=True):
        assert one == pytest.approx(two, rel=1e-4, abs=1e-6)
    for name, value in other.state_dict().items():
        assert torch.allclose(model.state_dict()[name].double(), value.double(), rtol=1e-3, atol=1e-5), name


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_replays_give_the_results_of_the_plain_loop(device, dropout):
    data = batches(device) + batches(device)
    model, other = (network(dropout).to(device) for _ in range(2))
    expected = plain(other, data)
    found, unrecorded = recorded(model, data)
    assert unrecorded is None
    assert len(launches) == 2 * (24 - WARM_UP)  # training and evaluation
    assert_equal(found, expected, model, other)


def test_a_smaller_last_batch_is_called_as_it_is_until_it_has_a_recording(device):
    data = []
    for _ in range(6):
        data += [*batches(device, 3), *batches(device, 1, size=4)]
    model, other = (network().to(device) for _ in range(2))
    expected = plain(other, data)
    found, unrecorded = recorded(model, data)
    assert unrecorded is None
    assert len(launches) == 2 * (18 - WARM_UP) + 2 * (6 - WARM_UP)
    assert_equal(found, expected, model, other)


def test_parameters_that_move_in_memory_are_recorded_anew(device):
    def move(i, model):
        if i == 6:
            for parameter in model.parameters():
                parameter.data = parameter.data.clone()

    data = batches(device) + batches(device)
    model, other = (network().to(device) for _ in range(2))
    expected = plain(other, data, after=move)
    found, unrecorded = recorded(model, data, after=move)
    assert unrecorded is None
    assert len(launches) == 2 * (24 - 2 * WARM_UP)
    assert_equal(found, expected, model, other)


def test_parameters_without_a_gradient_have_none(device):
    model = nn.Sequential(network(), nn.Linear(4, 4), nn.Linear(4, 4)).to(device)
    model[1].requires_grad_(False)
    passes = RecordedModel(model)
    for batch in batches(device):
        passes.backward(lambda model, batch: loss_fn(model[:2], batch), batch)
        assert passes.unrecorded  # the lambda is new at each call

    def fixed(model, batch):
        return loss_fn(model[:2], batch)

    for batch in batches(device):
        passes.backward(fixed, batch)
    assert passes.unrecorded is None
    assert [parameter.grad is None for parameter in model[0].parameters()] == [False] * 6
    assert [parameter.grad is None for parameter in model[1:].parameters()] == [True] * 4


def test_a_lazy_model_is_recorded_once_it_is_initialised(device):
    def lazy():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(4)).to(device)

    model, other = lazy(), lazy()
    expected = plain(other, batches(device))
    found, unrecorded = recorded(model, batches(device))
    assert unrecorded is None
    assert_equal(found, expected, model, other)


# ---------------------------------------------------------------- what cannot be recorded


class Counting(nn.Module):
    """Scales its outputs by a number that Python code changes at each training pass."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.count = inner, 0

    def forward(self, x):
        self.count += self.training
        return self.inner(x) * self.count


class Replaced(nn.Module):
    """Replaces its buffer at each training pass, so that a recording would write into memory that nobody reads."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.register_buffer("scale", torch.ones(()))

    def forward(self, x):
        if self.training:
            self.scale = self.scale * 1.1
        return self.inner(x) * self.scale


class Sparse(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner, self.shift = inner, nn.Embedding(4, 4, sparse=True)

    def forward(self, x):
        return self.inner(x) + self.shift(torch.arange(4, device=x.device)).sum(0)


def drawn_by_python(model, batch):
    return loss_fn(model, batch) * random.uniform(0.9, 1.1)


def drawn_by_numpy(model, batch):
    return loss_fn(model, batch) * np.random.uniform(0.9, 1.1)  # noqa: NPY002


@pytest.mark.parametrize(
    ("wrapped", "loss_fn", "why"),
    [
        (Counting, loss_fn, "a replay gives different results"),
        (Replaced, loss_fn, "the model replaces a parameter or buffer"),
        (Sparse, loss_fn, ""),
        (nn.Sequential, drawn_by_python, "the model or loss_fn draws random numbers on the CPU"),
        (nn.Sequential, drawn_by_numpy, "the model or loss_fn draws random numbers on the CPU"),
    ],
    ids=["Python state", "replaced buffer", "sparse gradients", "random", "numpy"],
)
def test_what_cannot_be_recorded_is_trained_as_in_the_plain_loop(device, wrapped, loss_fn, why):
    model, other = (wrapped(network()).to(device) for _ in range(2))
    draws = random.getstate(), np.random.get_state()  # noqa: NPY002
    expected = plain(other, batches(device), loss_fn)
    random.setstate(draws[0])
    np.random.set_state(draws[1])  # noqa: NPY002
    found, unrecorded = recorded(model, batches(device), loss_fn)
    assert unrecorded.startswith(f"not recorded as a CUDA graph: {why}")
    assert_equal(found, expected, model, other)


def test_once_recording_has_ended_passes_are_plain(device, monkeypatch):
    passes = RecordedModel(network().to(device))
    passes._training.give_up("a test")
    monkeypatch.setattr(passes, "_pass", None)
    assert passes.backward(loss_fn, batches(device)[0]).isfinite()
    assert passes.unrecorded == "not recorded as a CUDA graph: a test"


def test_gradient_hooks_are_not_bypassed(device):
    def hooked():
        model = network().to(device)
        model[0].weight.register_hook(lambda gradient: 2 * gradient)
        return model

    model, other = hooked(), hooked()
    expected = plain(other, batches(device))
    found, unrecorded = recorded(model, batches(device))
    assert unrecorded == "not recorded as a CUDA graph: a parameter has gradient hooks"
    assert_equal(found, expected, model, other)


def test_a_loss_that_is_not_a_scalar_is_refused(device):
    with pytest.raises(TypeError, match="loss_fn must return a scalar tensor, got a tensor of shape"):
        RecordedModel(network().to(device)).backward(lambda model, batch: model(batch[0]), batches(device)[0])


def test_a_change_that_python_makes_later_is_found_by_the_regular_check(device, monkeypatch):
    monkeypatch.setattr(_cuda_graphs, "CHECK", 5)
    factor, passes = [1.0], RecordedModel(network().to(device))

    def scaled(model, batch):
        return factor[0] * loss_fn(model, batch)

    for batch in batches(device)[: WARM_UP + 5]:
        passes.backward(scaled, batch)
    factor[0] = 2.0
    with pytest.raises(RuntimeError, match=r"has changed; pass record=False$"):
        passes.backward(scaled, batches(device)[-1])
