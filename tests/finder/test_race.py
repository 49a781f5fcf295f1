"""A race is the beginning of a training, bit for bit, and everything is restored if it fails."""

import math
import random
from functools import partial
from itertools import islice

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lrsched import Constant, race

from .race_cases import (
    BATCHES,
    ONE,
    OPTIMIZERS,
    SEQUENCE,
    STEPS,
    VALID,
    alone,
    continued,
    half_square,
    identical,
    line,
    loss_fn,
    net,
)

SGD = OPTIMIZERS["SGD with momentum"]
start_race = partial(race, loss_fn=loss_fn, sequence=SEQUENCE, steps=STEPS, eval_batches=VALID)
by_optimizer = pytest.mark.parametrize("make_optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
by_method = pytest.mark.parametrize("vectorize", [False, True], ids=["one after another", "side by side"])


# ---------------------------------------------------------------- the beginning of a training


@by_optimizer
@pytest.mark.parametrize("judge", ["average", "valid", "train"])
def test_the_training_is_bit_for_bit_one_with_the_winners_rate_from_the_start(make_optimizer, judge):
    model = net()
    torch.manual_seed(3)
    start = start_race(model, make_optimizer, batches=BATCHES, judge=judge)
    assert (start.position, start.method) == (8, "one after another")
    found = continued(start, model, start.batches)
    plain = net()
    torch.manual_seed(3)
    assert identical(found, alone(plain, make_optimizer, start.lr, BATCHES))


@by_optimizer
def test_side_by_side_it_is_that_but_for_rounding(make_optimizer):
    model, plain = net(), net()
    torch.manual_seed(3)
    start = start_race(model, make_optimizer, batches=BATCHES, vectorize=True)
    assert start.method == "side by side"
    after = torch.get_rng_state()
    torch.manual_seed(3)
    expected, optimizer_state, rng = alone(plain, make_optimizer, start.lr, BATCHES, steps=start.position)
    assert torch.equal(after, rng)
    for name, value in model.state_dict().items():
        assert torch.allclose(value, expected[name], rtol=1e-9, atol=1e-11)
    for state, own in zip(
        start.optimizer.state_dict()["state"].values(), optimizer_state["state"].values(), strict=True
    ):
        assert state.keys() == own.keys()
        for name, value in own.items():
            assert torch.allclose(state[name], value, rtol=1e-9, atol=1e-11)


def test_the_position_in_a_shuffled_loader_is_handed_over():
    inputs, targets = (torch.cat(tensors) for tensors in zip(*BATCHES[:5], strict=True))
    found, expected = [], []
    for seen, first_run in ((found, True), (expected, False)):
        model = net()
        torch.manual_seed(4)
        loader = DataLoader(TensorDataset(inputs, targets), 8, shuffle=True)  # 5 batches: the race ends in pass 2

        def batches(passes, loader=loader):
            yield from passes
            while True:
                yield from loader

        if first_run:
            start = start_race(model, SGD, batches=loader)
            rate = start.lr
            seen += continued(start, model, batches(start.batches))
        else:
            seen += alone(model, SGD, rate, batches([]))
    assert identical(found, expected)


def test_no_batch_is_drawn_ahead_from_an_iterator():
    batches = iter(BATCHES)
    start = start_race(net(), SGD, batches=batches)
    assert start.batches is batches
    assert next(batches) is BATCHES[start.position]


@by_method
def test_generators_in_extra_advance_as_in_one_training(vectorize):
    generator = torch.Generator()

    def noisy(model, batch):
        return loss_fn(model, (batch[0] + 0.1 * torch.randn(8, 4, generator=generator, dtype=torch.float64), batch[1]))

    def judged(model, batch):  # does not draw
        return (noisy if model.training else loss_fn)(model, batch)

    generator.manual_seed(5)
    start = race(
        net(dropout=0.0),
        SGD,
        judged,
        BATCHES,
        SEQUENCE,
        steps=STEPS,
        eval_batches=VALID,
        vectorize=False,
        extra=[generator],
    )
    drawn = generator.get_state()
    generator.manual_seed(5)
    for _ in range(start.position):
        torch.randn(8, 4, generator=generator, dtype=torch.float64)
    assert torch.equal(drawn, generator.get_state())


def test_a_generator_that_a_module_owns_advances_as_in_one_training():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.generator = net(dropout=0.0), torch.Generator().manual_seed(5)

        def forward(self, inputs):
            noise = torch.randn(inputs.shape, generator=self.generator, dtype=inputs.dtype) if self.training else 0.0
            return self.inner(inputs + 0.1 * noise)

    model, plain = Noisy(), Noisy()
    start = start_race(model, SGD, batches=BATCHES, vectorize=False)
    expected = alone(plain, SGD, start.lr, BATCHES, steps=start.position)[0]
    assert identical(model.state_dict(), expected)
    assert torch.equal(model.generator.get_state(), plain.generator.get_state())


def test_frozen_parameters_that_a_model_changes_are_an_error():
    model, teacher = net(), net()
    model.teacher = teacher.requires_grad_(False)

    def with_teacher(both, batch):
        with torch.no_grad():
            both.teacher[4].weight.lerp_(both[4].weight, 0.1)
        return loss_fn(both[:5], batch)

    before = [value.clone() for value in model[:5].state_dict().values()]
    with pytest.raises(RuntimeError, match="frozen"):
        race(model, lambda params: SGD(params[:5]), with_teacher, BATCHES, SEQUENCE, steps=STEPS, judge="train")
    assert all(map(torch.equal, model[:5].state_dict().values(), before))


@by_method
def test_a_model_in_eval_mode_is_trained_in_train_mode_and_put_back(vectorize):
    evaluated, trained = net().eval(), net()
    first, second = (
        [torch.manual_seed(0), start_race(model, SGD, batches=BATCHES, vectorize=vectorize)][1]
        for model in (evaluated, trained)
    )
    assert not any(module.training for module in evaluated.modules())
    assert all(module.training for module in trained.modules())
    assert identical(evaluated.state_dict(), trained.state_dict())
    assert first.lr == second.lr


def test_gradients_are_cleared_and_the_model_keeps_its_memory():
    model = net()
    tensors = [*model.parameters(), *model.buffers()]
    places = [tensor.data_ptr() for tensor in tensors]
    start_race(model, SGD, batches=BATCHES)
    assert [*model.parameters(), *model.buffers()] == tensors or all(
        one is other for one, other in zip([*model.parameters(), *model.buffers()], tensors, strict=True)
    )
    assert [tensor.data_ptr() for tensor in tensors] == places
    assert all(parameter.grad is None for parameter in model.parameters())


def test_functions_may_refer_to_the_model_itself():
    model, plain = net(), net()
    start = race(
        model,
        lambda params: torch.optim.SGD([{"params": model[0].parameters()}, {"params": model[4].parameters()}], lr=0.1),
        lambda _, batch: loss_fn(model, batch) + 1e-3 * model[0].weight.square().sum(),
        BATCHES,
        SEQUENCE,
        [0.1, 0.01],
        steps=STEPS,
        judge="train",
        keep=(2, 1),
        rungs=(1 / 16, 1 / 8),
    )
    torch.manual_seed(0)
    net()  # leaves the random state as it was before the race
    expected = alone(
        plain,
        lambda params: torch.optim.SGD([{"params": plain[0].parameters()}, {"params": plain[4].parameters()}], lr=0.1),
        start.lr,
        BATCHES,
        steps=8,
        loss_fn=lambda _, batch: loss_fn(plain, batch) + 1e-3 * plain[0].weight.square().sum(),
    )
    assert identical(model.state_dict(), expected[0])


def test_an_optimizer_that_needs_a_closure_can_race():
    model, plain = net(dropout=0.0), net(dropout=0.0)
    make_optimizer = partial(torch.optim.LBFGS, lr=0.1, max_iter=3)
    start = start_race(model, make_optimizer, batches=BATCHES, vectorize=False)
    optimizer = make_optimizer(list(plain.parameters()))
    for k, batch in enumerate(BATCHES[: start.position]):
        optimizer.param_groups[0]["lr"] = start.lr * SEQUENCE(k)

        def closure(batch=batch):
            optimizer.zero_grad()
            loss = loss_fn(plain, batch)
            loss.backward()
            return loss.detach()  # LBFGS of torch 2.8 warns of a float with a gradient

        optimizer.step(closure)
    assert identical(model.state_dict(), plain.state_dict())


def test_parameters_and_buffers_of_a_loss_module_are_raced_too():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))
            self.register_buffer("calls", torch.zeros(()), persistent=False)

        def forward(self, model, batch):
            self.calls += 1
            return ((self.scale * model(batch[0]) - batch[1]) ** 2).mean()

    results = []
    for rate in (None, 0.02):
        model, scaled = net(), Scaled()
        make_optimizer = partial(lambda scaled, params: torch.optim.SGD([*params, scaled.scale], lr=0.02), scaled)
        torch.manual_seed(6)
        if rate is None:
            race(model, make_optimizer, scaled, BATCHES, SEQUENCE, [0.02, 1e-4], steps=STEPS, judge="train")
        else:
            alone(model, make_optimizer, rate, BATCHES, steps=8, loss_fn=scaled)
        results.append((model.state_dict(), scaled.scale.data, scaled.calls))
    assert identical(*results)
    assert results[0][2] == 8


def test_a_criterion_counts_as_supervised():
    start = race(net(), SGD, nn.MSELoss(), BATCHES, SEQUENCE, steps=STEPS, eval_batches=VALID)
    assert start.losses == pytest.approx(start_race(net(), SGD, batches=BATCHES).losses, nan_ok=True, rel=1e-12)


# ---------------------------------------------------------------- who stays


def powers(lr, *steps):
    """Return the losses of the weights (1 − lr)ⁿ after n steps each, and of their mean."""
    weights = [(1 - lr) ** n for n in steps]
    return [w * w / 2 for w in weights], (sum(weights) / len(weights)) ** 2 / 2


@by_method
@pytest.mark.parametrize("judge", ["average", "valid", "train"])
def test_losses_are_what_the_judge_says(judge, vectorize):
    start = race(
        line(),
        partial(torch.optim.SGD, lr=1.0),
        half_square,
        ONE,
        Constant(),
        [1.6, 0.25, 0.5],
        steps=16,
        rungs=(0.25, 0.5),
        keep=(2, 1),
        judge=judge,
        eval_batches=ONE,
        vectorize=vectorize,
    )
    assert start.marks.tolist() == [4, 8]
    for lr, row in zip(start.lrs, start.losses, strict=True):
        for mark, loss in zip((4, 8), row, strict=True):
            if math.isnan(loss):
                continue
            expected = {
                "average": powers(lr, mark - 1, mark)[1],  # after the two steps of the second half
                "valid": powers(lr, mark)[0][0],
                "train": sum(powers(lr, mark - 2, mark - 1)[0]) / 2,  # before them
            }
            assert loss == pytest.approx(expected[judge], rel=1e-9)
    kept = {"average": [0, 2], "valid": [0, 2], "train": [0, 2]}[judge]  # 1.6 swings about 0, so its mean is small
    assert np.isfinite(start.losses[:, 1]).nonzero()[0].tolist() == kept
    assert start.lr == (1.6 if judge == "average" else 0.5)


def test_of_equal_members_the_lower_rate_stays():
    start = race(
        line(),
        partial(torch.optim.SGD, lr=1.0),
        half_square,
        ONE,
        Constant(),
        [1.5, 0.5],
        steps=4,
        rungs=[0.5],
        keep=[1],
        judge="train",
    )
    assert start.lr == 0.5


@by_method
def test_a_member_whose_loss_is_not_finite_is_out(vectorize):
    start = race(
        net(dropout=0.0),
        SGD,
        loss_fn,
        BATCHES,
        SEQUENCE,
        [1e200, 0.05, 1e250, 0.01],
        steps=STEPS,
        eval_batches=VALID,
        vectorize=vectorize,
    )
    assert np.isnan(start.losses).tolist() == [[True] * 3, [False] * 3, [True] * 3, [False, False, False]]
    assert start.lr in (0.05, 0.01)


def test_a_race_of_one_trains():
    model, plain = net(), net()
    torch.manual_seed(3)
    start = start_race(model, SGD, batches=BATCHES, lrs=[0.05])
    torch.manual_seed(3)
    expected = alone(plain, SGD, 0.05, BATCHES, steps=8)[0]
    assert identical(model.state_dict(), expected)
    assert start.reason == "0.05 won: the others left before the last rung; one after another: there is only one"


def test_the_callback_gets_every_member_of_every_rung():
    calls = []
    start = start_race(net(), SGD, batches=BATCHES, callback=lambda k, lr, loss: calls.append((k, lr, loss)))
    expected = [
        (mark, lr, loss)
        for mark, column in zip(start.marks, start.losses.T, strict=True)
        for lr, loss in zip(start.lrs, column, strict=True)
        if not math.isnan(loss)
    ]
    assert calls == expected
    assert [sum(k == mark for k, *_ in calls) for mark in start.marks] == [len(start.lrs), 3, 2]


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_chunks_side_by_side_give_the_same_race(chunk):
    lrs = [0.1, 0.05, 0.01, 0.001]
    results = []
    for options in ({}, {"chunk": chunk}):
        torch.manual_seed(8)
        model = net()
        start = start_race(model, SGD, batches=BATCHES, lrs=lrs, vectorize=True, **options)
        results.append((start.losses, start.lr, model.state_dict(), torch.get_rng_state()))
    (losses, lr, state, rng), (other_losses, other_lr, other_state, other_rng) = results
    assert losses == pytest.approx(other_losses, rel=1e-9, nan_ok=True)
    assert lr == other_lr
    assert torch.equal(rng, other_rng)
    for name, value in state.items():
        assert torch.allclose(value, other_state[name], rtol=1e-9, atol=1e-11)


def test_many_members_on_a_cpu_start_side_by_side_and_end_one_after_another():
    lrs = np.geomspace(1e-3, 0.3, 9)
    results = []
    for vectorize in ("auto", False):
        torch.manual_seed(8)
        model = net()
        start = start_race(model, SGD, batches=BATCHES, lrs=lrs, vectorize=vectorize)
        results.append((start.losses, start.method, model.state_dict(), torch.get_rng_state()))
    (losses, method, state, rng), (expected, _, expected_state, expected_rng) = results
    assert method == "side by side"
    assert losses == pytest.approx(expected, rel=1e-9, nan_ok=True)
    assert torch.equal(rng, expected_rng)
    for name, value in state.items():
        assert torch.allclose(value, expected_state[name], rtol=1e-9, atol=1e-11)


def test_a_model_that_cannot_be_stacked_is_raced_one_after_another():
    def loss_with_item(model, batch):
        loss = loss_fn(model, batch)
        return loss if loss.item() >= 0 else -loss

    model, plain = net(), net()
    torch.manual_seed(3)
    start = race(model, SGD, loss_with_item, BATCHES, SEQUENCE, steps=STEPS, eval_batches=VALID, vectorize=True)
    assert start.method == "one after another"
    assert "the model cannot be stacked" in start.reason
    torch.manual_seed(3)
    assert identical(model.state_dict(), alone(plain, SGD, start.lr, BATCHES, steps=8)[0])


# ---------------------------------------------------------------- restored at an exception


class FailedError(Exception):
    pass


def fails_at(call, error):
    calls = []

    def fail(*args):
        calls.append(args)
        if len(calls) == call:
            raise error

    return fail


def failing(name):
    """Return the options of a race that fails, and the error."""
    if name == "callback":
        return {"callback": fails_at(8, FailedError())}, FailedError
    if name == "Ctrl-C":
        return {"callback": fails_at(8, KeyboardInterrupt())}, KeyboardInterrupt
    if name == "batches ran out":
        return {"batches": iter(BATCHES[:5])}, ValueError
    if name == "all diverged":
        return {"lrs": [1e100, 1e150]}, ValueError
    fail = fails_at(30, FailedError())
    return {"loss_fn": lambda model, batch: [fail(), loss_fn(model, batch)][1]}, FailedError


@by_method
@pytest.mark.parametrize("name", ["callback", "Ctrl-C", "batches ran out", "all diverged", "loss_fn"])
def test_everything_is_restored_at_an_exception(name, vectorize):
    options, error = failing(name)
    model = net()
    model[3].eval()
    generator = torch.Generator()
    loader = DataLoader([*BATCHES], 1, shuffle=True, generator=generator, collate_fn=lambda items: items[0])
    options = {"batches": loader, "lrs": [0.1, 0.01, 0.001], **options, "extra": [generator], "vectorize": vectorize}
    if name == "loss_fn" and vectorize:
        pytest.skip("members side by side call loss_fn once a step")
    before = [value.clone() for value in model.state_dict().values()]
    tensors = [*model.parameters(), *model.buffers()]
    places = [tensor.data_ptr() for tensor in tensors]
    states = torch.get_rng_state(), generator.get_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    with pytest.raises(error):
        start_race(model, SGD, **options)
    assert all(map(torch.equal, model.state_dict().values(), before))
    assert [tensor.data_ptr() for tensor in [*model.parameters(), *model.buffers()]] == places
    assert [module.training for module in model.modules()] == [True, True, True, True, False, True]
    assert all(parameter.grad is None for parameter in model.parameters())
    now = torch.get_rng_state(), generator.get_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    assert all(map(torch.equal, now[:2], states[:2]))
    assert now[2:] == states[2:]


def test_batches_that_run_out_are_an_error():
    with pytest.raises(
        ValueError, match="batches ran out: 5 of the 8 that the rungs need; pass a list or a DataLoader"
    ):
        start_race(net(), SGD, batches=iter(BATCHES[:5]))
    with pytest.raises(ValueError, match="batches must have at least one batch, got none"):
        start_race(net(), SGD, batches=iter([]))


@pytest.mark.parametrize("lrs", [[1e100, 1e150], [20.0, 40.0]], ids=["not finite", "finite"])
def test_if_all_rates_diverge_it_is_an_error(lrs):
    message = r"lrs: training diverged at every learning rate by step \d \(.*\): pass lower lrs"
    with pytest.raises(ValueError, match=message):
        race(
            line(),
            partial(torch.optim.SGD, lr=1.0),
            half_square,
            ONE,
            Constant(),
            lrs,
            steps=16,
            rungs=[0.25, 0.5],
            keep=[2, 1],
            eval_batches=ONE,
        )


def test_a_loss_that_is_not_finite_at_first_is_an_error():
    with pytest.raises(ValueError, match="loss_fn must be finite for the untrained model, got nan"):
        start_race(net(), SGD, batches=[(torch.full((8, 4), torch.nan, dtype=torch.float64), BATCHES[0][1])])


def test_two_races_from_the_same_state_are_the_same():
    results = []
    for _ in range(2):
        model = net()
        torch.manual_seed(3)
        start = start_race(model, SGD, batches=iter(BATCHES))
        results.append((start.to_json(), model.state_dict(), [*islice(start.batches, 1)]))
    assert identical(*results)
