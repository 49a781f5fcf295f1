"""Several optimizers in one range test, and optimizers that need closures."""

import math

import pytest
import torch
from torch import nn

from lrsched import range_test, snapshot
from tests.finder.helpers import BATCHES, Record, line, square


def parts(first=0.1, second=0.4):
    """Return a model of two layers and an optimizer for each."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    return model, [torch.optim.SGD(model[0].parameters(), lr=first), torch.optim.Adam(model[1].parameters(), lr=second)]


def test_all_optimizers_are_stepped_and_keep_the_ratio_of_their_rates():
    model, optimizers = parts()
    seen = []
    for optimizer in optimizers:
        optimizer.register_step_pre_hook(lambda o, *_: seen.append(o.param_groups[0]["lr"]))
    records = [Record(model, optimizer) for optimizer in optimizers]
    curve = range_test(model, optimizers, square, BATCHES, steps=10, start_lr=1e-4, end_lr=1e-2)
    for record in records:
        record.verify()
    assert curve.group_lrs.shape == (10, 2)
    assert curve.group_lrs[:, 1].tolist() == pytest.approx((4 * curve.lrs).tolist())
    assert seen == curve.group_lrs.ravel().tolist()


def test_two_optimizers_train_as_one_with_two_groups_does():
    def losses(split):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
        groups = [{"params": [*layer.parameters()], "lr": lr} for layer, lr in zip(model, (0.1, 0.3), strict=True)]
        optimizer = [torch.optim.SGD([group]) for group in groups] if split else torch.optim.SGD(groups)
        return range_test(model, optimizer, square, BATCHES, steps=20, start_lr=1e-3, end_lr=0.1).losses.tolist()

    assert losses(True) == losses(False)


def test_a_list_of_one_optimizer_is_that_optimizer():
    model, optimizer = line()
    alone = range_test(model, optimizer, square, BATCHES, steps=10)
    assert range_test(model, [optimizer], square, BATCHES, steps=10).to_json() == alone.to_json()


def test_a_scaler_steps_all_optimizers():
    model, optimizers = parts()
    steps = []
    for optimizer in optimizers:
        optimizer.register_step_post_hook(lambda *_: steps.append(1))
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    range_test(model, optimizers, square, BATCHES, steps=5, end_lr=1e-2, scaler=scaler)
    assert len(steps) == 10


def own_class(model, calls):
    class Counting(torch.optim.SGD):
        def zero_grad(self, set_to_none=True):
            calls.append(1)
            super().zero_grad(set_to_none)

    return Counting(model.parameters(), lr=0.1)


def own_attribute(model, calls):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    original = optimizer.zero_grad
    optimizer.zero_grad = lambda: (calls.append(1), original())
    return optimizer


@pytest.mark.parametrize("make", [own_class, own_attribute])
def test_a_zero_grad_that_is_not_torchs_is_called_before_each_step(make):
    model, calls = nn.Linear(3, 1), []
    range_test(model, make(model, calls), square, BATCHES, steps=5, end_lr=1e-2)
    assert len(calls) == 5


@pytest.mark.parametrize("count", [1, 2])
def test_gradients_are_cleared_before_each_step_even_if_the_loss_does_not_reach_them(count):
    model, used = nn.ModuleList([nn.Linear(3, 1), nn.Linear(3, 1)]), []
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.1)]
    if count == 2:
        optimizers = [torch.optim.SGD(layer.parameters(), lr=0.1) for layer in model]

    def loss_fn(model, batch):  # trains the layers in turn
        assert all(p.grad is None for p in model.parameters())
        used.append(model[len(used) % 2])
        return square(used[-1], batch)

    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    records = [Record(model, optimizer) for optimizer in optimizers]
    range_test(model, optimizers, loss_fn, BATCHES, steps=4, end_lr=1e-2)
    assert len(used) == 4
    for record in records:
        record.verify()


def test_a_snapshot_restores_several_optimizers():
    model, optimizers = parts()
    records = [Record(model, optimizer) for optimizer in optimizers]
    with snapshot(model, optimizers):
        for optimizer in optimizers:
            square(model, BATCHES[0]).backward()
            optimizer.step()
    for record in records:
        record.verify()


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ([], ValueError, "optimizer must be an optimizer or a list of at least one, got an empty list"),
        ("twice", ValueError, "optimizer must be a list of different optimizers, got one of them twice"),
        ([3], TypeError, r"optimizer\[0\] must be a torch.optim.Optimizer, got int"),
        ("none", TypeError, "optimizer must be a torch.optim.Optimizer, got NoneType"),
    ],
    ids=["empty", "twice", "int", "None"],
)
def test_invalid_optimizers_are_refused(wrong, error, message):
    model, optimizer = line()
    wrong = {"twice": [optimizer, optimizer], "none": None}.get(wrong, wrong) if isinstance(wrong, str) else wrong
    with pytest.raises(error, match=message):
        range_test(model, wrong, square, BATCHES)


# ---------------------------------------------------------------- closures


class Sam(torch.optim.SGD):
    """Sharpness-aware minimization: climbs, calls the closure there, and steps from where it was.

    Like a common implementation, it takes the gradients at the start from before the call.
    """

    calls = 0

    @torch.no_grad()
    def step(self, closure=None):
        assert closure is not None, "SAM requires closure, but it was not provided"
        weights = [p for group in self.param_groups for p in group["params"]]
        held = [p.clone() for p in weights]
        for p in weights:
            p.add_(0.05 * p.grad)
        with torch.enable_grad():
            closure()
        type(self).calls += 1
        for p, before in zip(weights, held, strict=True):
            p.copy_(before)
        super().step()


class Twice(torch.optim.SGD):
    """Calls the closure twice, first for the gradients at the start, and asks for it by its signature."""

    @torch.no_grad()
    def step(self, closure):
        closure()
        held = [p.clone() for p in self.param_groups[0]["params"]]
        for p in self.param_groups[0]["params"]:
            p.add_(0.05 * p.grad)
        closure()
        for p, before in zip(self.param_groups[0]["params"], held, strict=True):
            p.copy_(before)
        super().step()


def sam_by_hand(model, rates):
    losses = []
    for k, lr in enumerate(rates):
        weights, batch = [*model.parameters()], BATCHES[k % 3]
        model.zero_grad()
        loss = square(model, batch)
        loss.backward()
        losses.append(loss.item())
        held = [p.detach().clone() for p in weights]
        with torch.no_grad():
            for p in weights:
                p.add_(0.05 * p.grad)
        model.zero_grad()
        square(model, batch).backward()
        with torch.no_grad():
            for p, before in zip(weights, held, strict=True):
                p.copy_(before - lr * p.grad)
    return losses


@pytest.mark.parametrize("kind", [Sam, Twice])
def test_optimizers_that_look_at_other_weights_get_a_closure(kind):
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    optimizer = kind(model.parameters(), lr=0.1)
    record = Record(model, optimizer)
    curve = range_test(model, optimizer, square, BATCHES, steps=10, start_lr=1e-3, end_lr=0.3)
    record.verify()
    assert curve.losses.tolist() == pytest.approx(sam_by_hand(model, curve.lrs.tolist()), rel=1e-5)


def test_a_closure_goes_only_to_the_optimizer_that_needs_one():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    plain = torch.optim.SGD(model[0].parameters(), lr=0.1)
    for other in (Sam(model[1].parameters(), lr=0.1), torch.optim.LBFGS(model[1].parameters(), lr=0.1, max_iter=2)):
        records = [Record(model, each) for each in (plain, other)]
        curve = range_test(model, [plain, other], square, BATCHES, steps=6, start_lr=1e-4, end_lr=1e-2)
        assert len(curve) == 6
        for record in records:
            record.verify()


def test_no_step_is_taken_at_a_loss_that_is_not_finite():
    model = nn.Linear(3, 1)
    optimizer = Sam(model.parameters(), lr=0.1)
    before = Sam.calls
    curve = range_test(model, optimizer, lambda m, b: m(b).sum() * math.nan, BATCHES, steps=5)
    assert (len(curve), Sam.calls) == (0, before)


def test_other_errors_of_a_step_are_passed_on():
    class Broken(torch.optim.SGD):
        def step(self, closure=None):
            raise RuntimeError("out of order")

    model = nn.Linear(3, 1)
    with pytest.raises(RuntimeError, match="out of order"):
        range_test(model, Broken(model.parameters(), lr=0.1), square, BATCHES)


def test_a_scaler_is_refused_with_an_optimizer_that_needs_a_closure():
    model = nn.Linear(3, 1)
    optimizer = torch.optim.LBFGS(model.parameters())
    with pytest.raises(ValueError, match="scaler must be None for an optimizer that needs a closure"):
        range_test(model, optimizer, square, BATCHES, scaler=torch.amp.GradScaler("cpu"))
