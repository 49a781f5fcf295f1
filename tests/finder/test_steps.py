"""The training steps of a range test: accumulation, closures, gradient scalers, forms of batches, validation."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from lrsched import range_test
from tests.finder.helpers import Net, Record, data, loss_of


def small():
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def mse(model, batch):
    return nn.functional.mse_loss(model(batch[0]), batch[1])


def pairs(count=4, size=8):
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(size, 3, generator=generator), torch.randn(size, 1, generator=generator)) for _ in range(count)
    ]


class Counted:
    """An iterable that counts the batches taken from it."""

    def __init__(self, batches):
        self.batches, self.log = batches, []

    def __iter__(self):
        for batch in self.batches:
            self.log.append(1)
            yield batch


def by_hand(model, optimizer, batches, rates, window=1, per_lr=1):
    """Return the loss at each learning rate, trained in the plainest way."""
    losses, position = [], 0
    for lr in rates:
        total = 0.0
        for _ in range(per_lr):
            optimizer.zero_grad()
            for group in optimizer.param_groups:
                group["lr"] = lr
            parts = []
            for _ in range(window):
                loss = mse(model, batches[position % len(batches)])
                (loss / window).backward()
                parts.append(loss.item())
                position += 1
            optimizer.step()
            total += sum(parts) / window
        losses.append(total / per_lr)
    return losses


@pytest.mark.parametrize(("window", "per_lr"), [(1, 1), (4, 1), (1, 3), (2, 2)])
def test_losses_equal_those_of_a_loop_written_by_hand(window, per_lr):
    model, optimizer = small()
    source = Counted(pairs())
    curve = range_test(
        model, optimizer, mse, source, steps=20, end_lr=0.5, start_lr=1e-3, accumulate=window, batches_per_lr=per_lr
    )
    assert len(source.log) == 20 * window * per_lr
    expected = by_hand(model, optimizer, pairs(), curve.lrs.tolist(), window, per_lr)
    assert curve.losses.tolist() == pytest.approx(expected, rel=1e-5)


def test_an_incomplete_last_window_of_batches_is_dropped():
    model, optimizer = small()
    curve = range_test(model, optimizer, mse, iter(pairs(11)), steps=20, accumulate=4)
    assert len(curve) == 2
    assert curve.stop_reason == "data exhausted"


# ---------------------------------------------------------------- closures


def test_lbfgs_uses_the_learning_rates_and_shows_its_first_loss():
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3, history_size=3)
    batches = pairs()
    before = mse(model, batches[0]).item()
    for _ in range(3):
        optimizer.step(lambda: _backward(optimizer, mse(model, batches[0])))
    record = Record(model, optimizer)
    seen = []
    first = mse(model, batches[0]).item()
    optimizer.register_step_pre_hook(lambda o, *_: seen.append(o.param_groups[0]["lr"]))
    record = Record(model, optimizer)
    curve = range_test(model, optimizer, mse, batches, steps=12)
    record.verify()
    assert curve.losses[0] == first != before
    assert seen == curve.lrs.tolist()


def _backward(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    return loss


def test_no_step_is_taken_if_the_first_loss_of_a_closure_is_not_finite():
    model = nn.Linear(3, 1)
    optimizer = torch.optim.LBFGS(model.parameters())
    record = Record(model, optimizer)
    curve = range_test(model, optimizer, lambda m, b: m(b[0]).sum() * math.nan, pairs(), steps=5)
    assert (len(curve), curve.stop_reason, curve.reason) == (0, "non-finite", "non-finite at first step")
    record.verify()


def test_a_custom_optimizer_that_needs_a_closure_gets_one():
    class Greedy(torch.optim.SGD):
        def step(self, closure):
            loss = closure()
            super().step()
            return loss

    model, _ = small()
    optimizer = Greedy(model.parameters(), lr=0.1)
    curve = range_test(model, optimizer, mse, pairs(), steps=10, start_lr=1e-3, end_lr=0.1)
    assert curve.losses.tolist() == pytest.approx(
        by_hand(model, small_like(model), pairs(), curve.lrs.tolist()), rel=1e-5
    )


def small_like(model):
    return torch.optim.SGD(model.parameters(), lr=0.1)


# ---------------------------------------------------------------- train_step


def test_train_step_takes_the_whole_step():
    model, optimizer = small()

    def train_step(batch):
        return _stepped(optimizer, mse(model, batch))

    record = Record(model, optimizer)
    curve = range_test(model, optimizer, None, pairs(), train_step=train_step, steps=20, start_lr=1e-3, end_lr=0.5)
    record.verify()
    assert curve.losses.tolist() == pytest.approx(by_hand(model, optimizer, pairs(), curve.lrs.tolist()), rel=1e-5)


def _stepped(optimizer, loss):
    _backward(optimizer, loss)
    optimizer.step()
    return loss


def test_train_step_may_train_two_networks_with_two_optimizers():
    torch.manual_seed(0)
    generator, critic = nn.Linear(2, 3), nn.Linear(3, 1)
    first = torch.optim.Adam(generator.parameters())
    second = torch.optim.Adam(critic.parameters())

    def train_step(batch):
        _stepped(second, critic(batch[0]).mean() - critic(generator(torch.randn(8, 2))).mean())
        return _stepped(first, critic(generator(torch.randn(8, 2))).mean()).item()

    records = Record(generator, first), Record(critic, second)
    curve = range_test(generator, first, None, pairs(), train_step=train_step, steps=15, extra=[critic, second])
    assert len(curve) > 5
    for record in records:
        record.verify()


def test_a_non_finite_loss_from_train_step_gives_no_point():
    model, optimizer = small()
    losses = iter([1.0, 2.0, math.inf])
    curve = range_test(model, optimizer, None, pairs(), train_step=lambda batch: next(losses), steps=10)
    assert curve.losses.tolist() == [1.0, 2.0]
    assert curve.stop_reason == "non-finite"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "train_step must return the loss, got None: add `return loss`"),
        ("1", "the loss that train_step returns must be one real number"),
    ],
)
def test_train_step_must_return_a_loss(value, message):
    model, optimizer = small()
    with pytest.raises(TypeError, match=message):
        range_test(model, optimizer, None, pairs(), train_step=lambda batch: value)


def test_loss_fn_must_return_a_scalar_tensor():
    model, optimizer = small()
    record = Record(model, optimizer)
    with pytest.raises(TypeError, match=r"loss_fn must return a scalar tensor, got a tensor of shape \(8, 1\)"):
        range_test(model, optimizer, lambda m, b: m(b[0]), pairs())
    with pytest.raises(TypeError, match="loss_fn must return a scalar tensor, got float"):
        range_test(model, optimizer, lambda m, b: 1.0, pairs())
    record.verify()


# ---------------------------------------------------------------- forms of batches


@dataclasses.dataclass
class Output:
    x: torch.Tensor
    y: torch.Tensor


FORMS = {
    "tuple": (lambda x, y: (x, y), lambda m, b: mse(m, b)),
    "list": (lambda x, y: [x, y], lambda m, b: mse(m, b)),
    "dict": (lambda x, y: {"x": x, "y": y}, lambda m, b: mse(m, (b["x"], b["y"]))),
    "nested": (lambda x, y: {"in": [x, {"y": y}]}, lambda m, b: mse(m, (b["in"][0], b["in"][1]["y"]))),
    "dataclass": (lambda x, y: Output(x, y), lambda m, b: mse(m, (b.x, b.y))),
    "tensor": (lambda x, y: torch.cat([x, y], 1), lambda m, b: mse(m, (b[:, :3], b[:, 3:]))),
}


@pytest.mark.parametrize("form", FORMS)
def test_batches_may_have_any_form(form):
    wrap, loss_fn = FORMS[form]
    model, optimizer = small()
    curve = range_test(model, optimizer, loss_fn, [wrap(*pair) for pair in pairs()], steps=20)
    model, optimizer = small()
    assert curve.losses.tolist() == range_test(model, optimizer, mse, pairs(), steps=20).losses.tolist()


def test_a_model_may_have_several_inputs_and_no_labels():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 2), nn.Linear(1, 2)

        def forward(self, left, right):
            return self.a(left), self.b(right)

    model = Two()
    optimizer = torch.optim.Adam(model.parameters())
    batches = [{"left": x, "right": y} for x, y in pairs()]
    curve = range_test(model, optimizer, lambda m, b: nn.functional.mse_loss(*m(**b)), batches, steps=30)
    assert len(curve) > 5


# ---------------------------------------------------------------- gradient scalers


def test_steps_that_a_scaler_skips_give_no_point():
    model, optimizer = small()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=3)
    record = Record(model, optimizer)
    seen, source = [], Counted(pairs(1))
    hook = optimizer.register_step_post_hook(lambda o, *_: seen.append(o.param_groups[0]["lr"]))
    curve = range_test(model, optimizer, mse, source, steps=20, start_lr=1e-3, end_lr=0.5, scaler=scaler)
    hook.remove()
    record.verify()
    assert scaler._scale is None
    assert scaler.get_scale() == 2.0**127
    assert len(source.log) > 20  # the first steps overflowed
    assert seen == curve.lrs.tolist()
    assert curve.losses.tolist() == pytest.approx(by_hand(model, optimizer, pairs(1), seen), rel=1e-4)


def test_a_scaler_that_always_overflows_ends_the_test():
    model, optimizer = small()
    scaler = torch.amp.GradScaler("cpu", init_scale=65536.0)

    def loss_fn(model, batch):
        loss = mse(model, batch)
        return loss + (model.weight.sum() * 0).sqrt()  # finite, with a gradient that is not

    curve = range_test(model, optimizer, loss_fn, pairs(), scaler=scaler, steps=10)
    assert (len(curve), curve.stop_reason) == (0, "non-finite")


def test_bfloat16_autocast_needs_no_scaler():
    model, optimizer = small()

    def loss_fn(model, batch):
        with torch.autocast("cpu", torch.bfloat16):
            return nn.functional.mse_loss(model(batch[0]).float(), batch[1])

    assert len(range_test(model, optimizer, loss_fn, pairs(), steps=30)) > 10


# ---------------------------------------------------------------- validation loss


def test_the_validation_loss_is_measured_on_a_few_batches_in_eval_mode_without_gradients():
    model = Net()
    model.frozen_norm.eval()
    optimizer = torch.optim.Adam(model.parameters())
    loader = torch.utils.data.DataLoader(data(), 16, shuffle=True)
    modes, drawn = [], []

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            for item in data(64, seed=3):
                drawn.append(1)
                yield item

    def loss_fn(model, batch):
        modes.append((torch.is_grad_enabled(), model.training, model.frozen_norm.training))
        return loss_of(model, batch)

    record = Record(model, optimizer)
    valid = torch.utils.data.DataLoader(Stream(), 8)
    curve = range_test(model, optimizer, loss_fn, loader, steps=12, valid=valid, valid_batches=3)
    record.verify()
    assert modes == [(True, True, False), *[(False, False, False)] * 3] * 12
    assert len(drawn) == 12 * 3 * 8
    assert len(curve) == 12


def test_the_validation_loss_is_measured_after_the_step():
    model, optimizer = small()
    batches = pairs(1)
    curve = range_test(model, optimizer, mse, batches, steps=10, start_lr=1e-2, end_lr=0.1, valid=batches)
    by_hand_losses = by_hand(model, optimizer, batches, [*curve.lrs.tolist(), 0.1])
    assert curve.losses.tolist() == pytest.approx(by_hand_losses[1:], rel=1e-5)


def test_invalid_validation_batches_are_refused():
    model, optimizer = small()
    with pytest.raises(
        TypeError, match="valid must be iterable more than once, such as a list or a DataLoader, got list_iterator"
    ):
        range_test(model, optimizer, mse, pairs(), valid=iter(pairs()))
    with pytest.raises(TypeError, match="valid needs loss_fn: with train_step"):
        range_test(model, optimizer, None, pairs(), train_step=lambda b: 1.0, valid=pairs())
    with pytest.raises(ValueError, match="valid must have at least one batch, got none"):
        range_test(model, optimizer, mse, pairs(), valid=[])
