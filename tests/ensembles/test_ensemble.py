import copy
from functools import partial

import pytest
import torch
from torch import nn

from lrsched import Ensemble
from tests.ensembles.helpers import pairs, small, square, train_alone

SGD = partial(torch.optim.SGD, lr=1.0, momentum=0.9)
ADAM = torch.optim.Adam


def normed():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1)).double()


@pytest.mark.parametrize(
    ("make", "make_optimizer"),
    [
        pytest.param(normed, SGD, id="batch norm, momentum"),
        pytest.param(partial(small, torch.float64), ADAM, id="Adam"),
    ],
)
def test_members_end_where_single_models_do(make, make_optimizer):
    model, batches, lrs = make(), pairs(dtype=torch.float64), [0.1, 0.0, 0.01]
    ensemble = Ensemble(model, make_optimizer, 3)
    losses = [ensemble.step(square, batches[i % 3], lrs) for i in range(5)]
    for i, lr in enumerate(lrs):
        alone, expected, _ = train_alone(model, make_optimizer, square, batches, lr, 5)
        assert [float(loss[i]) for loss in losses] == pytest.approx(expected, rel=1e-9)
        state = ensemble.state(i)
        assert state.keys() == alone.state_dict().keys()
        for key, value in alone.state_dict().items():
            assert torch.allclose(state[key], value, rtol=1e-9, atol=1e-12), key


def test_members_may_have_their_own_models_and_batches():
    models, batches = [small(torch.float64, seed) for seed in (1, 2)], pairs(2, dtype=torch.float64)
    x, y = (torch.stack(part) for part in zip(*batches, strict=True))
    ensemble = Ensemble(models, ADAM, 2)
    for _ in range(3):
        losses = ensemble.step(square, (x, y), [0.1, 0.01], batch_dim=0)
    for i, lr in enumerate([0.1, 0.01]):
        _, expected, _ = train_alone(models[i], ADAM, square, [batches[i]], lr, 3)
        assert float(losses[i]) == pytest.approx(expected[-1], rel=1e-9)


def test_dropped_members_do_not_disturb_the_others():
    model, batches, lrs = small(torch.float64), pairs(dtype=torch.float64), [0.1, 0.2, 0.3]
    ensemble = Ensemble(model, ADAM, 3)
    ensemble.step(square, batches[0], lrs)
    ensemble.keep([True, False, True])
    for i in (1, 2):
        losses = ensemble.step(square, batches[i], [0.1, 0.3])
    assert ensemble.members == 2
    for i, lr in enumerate([0.1, 0.3]):
        _, expected, _ = train_alone(model, ADAM, square, batches, lr, 3)
        assert float(losses[i]) == pytest.approx(expected[-1], rel=1e-9)


def test_param_groups_may_have_their_own_rates():
    model = nn.Linear(1, 1).double()
    ensemble = Ensemble(model, lambda params: torch.optim.SGD([{"params": [p]} for p in params], lr=1.0), 2)
    batch = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    out = model(batch[0]).item()
    ensemble.step(square, batch, [[0.5, 0.0], [0.0, 0.25]])  # both gradients are 2·out
    weights = [float(ensemble.state(i)["weight"]) for i in range(2)]
    biases = [float(ensemble.state(i)["bias"]) for i in range(2)]
    assert weights == pytest.approx([model.weight.item() - out, model.weight.item()])
    assert biases == pytest.approx([model.bias.item(), model.bias.item() - 0.5 * out])


def test_evaluate_leaves_no_gradients_and_trains_nothing():
    model, (batch,) = small(), pairs(1)
    ensemble = Ensemble(model, SGD, 2)
    found = ensemble.evaluate(lambda model, batch: {"loss": square(model, batch), "out": model(batch[0])}, batch)
    assert found["out"].shape == (2, 8, 1)
    assert not found["loss"].requires_grad
    assert found["loss"].tolist() == pytest.approx([square(model, batch).item()] * 2)


@pytest.mark.parametrize("randomness", ["same", "different"])
def test_members_draw_the_same_or_different_random_numbers(randomness):
    model = nn.Sequential(nn.Linear(3, 50), nn.Dropout(), nn.Linear(50, 1))
    ensemble = Ensemble(model, SGD, 2, randomness=randomness)
    outputs = ensemble.evaluate(lambda model, batch: model(batch), torch.ones(4, 3))
    assert torch.equal(outputs[0], outputs[1]) == (randomness == "same")


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        pytest.param((small(), SGD, 0), ValueError, "members must be an integer >= 1", id="no members"),
        pytest.param((3, SGD, 1), TypeError, "model must be a list", id="a number as model"),
        pytest.param(
            ([small()], SGD, 2),
            ValueError,
            "model must be one module or a list of 2, one per member, got a list of 1",
            id="too few models",
        ),
        pytest.param(
            ([small(), nn.Linear(2, 1)], SGD, 2), ValueError, "must have the same architecture", id="other models"
        ),
        pytest.param(
            (nn.LazyLinear(1), SGD, 2), ValueError, "model is not initialised yet .* pass one batch", id="lazy model"
        ),
        pytest.param(
            (small(), torch.optim.LBFGS, 2),
            ValueError,
            "make_optimizer: LBFGS is not exactly one of SGD",
            id="another optimizer",
        ),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, match):
    with pytest.raises(error, match=match):
        Ensemble(*arguments)


def test_wrong_arguments_of_methods_are_refused():
    ensemble, (batch,) = Ensemble(small(), SGD, 2), pairs(1)
    with pytest.raises(ValueError, match=r"lrs must have shape \(2,\) or \(2, 1\), got \(3,\)"):
        ensemble.step(square, batch, [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="lrs must be finite and >= 0, got -1"):
        ensemble.step(square, batch, [0.1, -1.0])
    with pytest.raises(TypeError, match=r"loss_fn must return a scalar tensor, got a tensor of shape \(8, 1\)"):
        ensemble.step(lambda model, batch: model(batch[0]), batch, [0.1, 0.2])
    with pytest.raises(ValueError, match="mask must be 2 booleans with at least one True, got"):
        ensemble.keep([False, False])


def test_neighbours_of_one_kind_share_an_optimizer():
    """Members with SGD and Adam end where single models do, even if other members are dropped in between."""
    model, batches, lrs = small(torch.float64), pairs(dtype=torch.float64), [0.1, 0.2, 0.01, 0.3, 0.02]
    makers = [SGD, SGD, ADAM, partial(SGD, weight_decay=0.1), ADAM]
    ensemble = Ensemble(model, makers, 5)
    assert [type(each).__name__ for each in ensemble.optimizers] == ["SGD", "Adam", "SGD", "Adam"]
    for i in range(2):
        ensemble.step(square, batches[i], lrs)
    kept = [False, True, False, True, True]
    ensemble.keep(kept)
    assert [type(each).__name__ for each in ensemble.optimizers] == ["SGD", "SGD", "Adam"]
    losses = [ensemble.step(square, batches[i % 3], [0.2, 0.3, 0.02]) for i in range(2, 6)]
    for place, i in enumerate(j for j in range(5) if kept[j]):
        alone, expected, _ = train_alone(model, makers[i], square, batches, lrs[i], 6)
        assert [float(loss[place]) for loss in losses] == pytest.approx(expected[2:], rel=1e-9)
        for key, value in alone.state_dict().items():
            assert torch.allclose(ensemble.state(place)[key], value, rtol=1e-9, atol=1e-12), key


def test_makers_must_fit_the_members_and_each_other():
    def two_groups(params):
        first, *others = params
        return torch.optim.SGD([{"params": [first]}, {"params": others}], lr=0.1)

    with pytest.raises(
        ValueError, match="make_optimizer must be one function or a list of 3, one per member, got a list of 2"
    ):
        Ensemble(small(), [SGD, ADAM], 3)
    with pytest.raises(ValueError, match=r"the same number of param groups, got \[1, 2\]"):
        Ensemble(small(), [SGD, two_groups], 2)
    with pytest.raises(ValueError, match="make_optimizer: LBFGS is not exactly one of SGD"):
        Ensemble(small(), [SGD, torch.optim.LBFGS], 2)
    for wrong in (3, [SGD, None]):
        with pytest.raises(TypeError, match="make_optimizer must be a function, or a list of functions"):
            Ensemble(small(), wrong, 2)


def test_optimizers_in_different_states_are_not_shared():
    model, batches = small(torch.float64), pairs(dtype=torch.float64)
    saved, singles = [], []
    for lr in (0.1, 0.01):
        alone = copy.deepcopy(model)
        optimizer = ADAM(alone.parameters(), lr=lr)
        for i in range(5):
            optimizer.zero_grad()
            square(alone, batches[i % 3]).backward()
            optimizer.step()
            if i == 2:
                saved.append((copy.deepcopy(alone), copy.deepcopy(optimizer.state_dict())))
        singles.append(alone)

    def resumed(state):
        def make(params):
            optimizer = ADAM(params, lr=1.0)
            optimizer.load_state_dict(state)
            return optimizer

        return make

    ensemble = Ensemble([alone for alone, _ in saved], [resumed(state) for _, state in saved], 2)
    assert len(ensemble.optimizers) == 2
    for i in (3, 4):
        ensemble.step(square, batches[i % 3], [0.1, 0.01])
    for i, alone in enumerate(singles):
        for key, value in alone.state_dict().items():
            assert torch.allclose(ensemble.state(i)[key], value, rtol=1e-9, atol=1e-12), key


def test_groups_that_share_a_tensor_as_lr_get_separate_rates():
    model = nn.Linear(1, 1).double()

    def make(params):
        return torch.optim.SGD([{"params": [p]} for p in params], lr=torch.tensor(0.1))

    ensemble = Ensemble(model, make, 2)
    batch = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    out = model(batch[0]).item()
    ensemble.step(square, batch, [[0.5, 0.125], [0.25, 0.0]])  # both gradients are 2·out
    weights = [float(ensemble.state(i)["weight"]) for i in range(2)]
    biases = [float(ensemble.state(i)["bias"]) for i in range(2)]
    assert weights == pytest.approx([model.weight.item() - out, model.weight.item() - 0.5 * out])
    assert biases == pytest.approx([model.bias.item() - 0.25 * out, model.bias.item()])


def test_gradients_change_nothing():
    model, (batch,) = normed(), pairs(1, dtype=torch.float64)
    ensemble = Ensemble(model, SGD, 2)
    before = ensemble.state(1)
    losses, found, buffers = ensemble.gradients(square, batch)
    alone = copy.deepcopy(model)
    square(alone, batch).backward()
    assert losses.tolist() == pytest.approx([square(model, batch).item()] * 2)
    for name, parameter in alone.named_parameters():
        assert torch.allclose(found[name][1], parameter.grad), name
    for name, buffer in alone.named_buffers():
        assert torch.allclose(buffers[name][1], buffer), name
    assert all(torch.equal(ensemble.state(1)[name], value) for name, value in before.items())


# ---------------------------------------------------------------- a member's optimizer state, and the mean of weights


STATEFUL = {
    "SGD with momentum": SGD,
    "SGD without": partial(torch.optim.SGD, lr=1.0),
    "Adam": ADAM,
    "AdamW, amsgrad": partial(torch.optim.AdamW, amsgrad=True),
    "RMSprop": partial(torch.optim.RMSprop, momentum=0.5),
    "Adagrad": torch.optim.Adagrad,
    "NAdam": torch.optim.NAdam,
}


@pytest.mark.parametrize("shared", [True, False], ids=["one optimizer", "an optimizer each"])
@pytest.mark.parametrize("make_optimizer", STATEFUL.values(), ids=STATEFUL.keys())
def test_a_member_trains_on_alone_from_its_tensors_and_optimizer_state(make_optimizer, shared):
    model, batches, lrs = small(torch.float64), pairs(dtype=torch.float64), [0.1, 0.003, 0.01]
    makers = make_optimizer if shared else [make_optimizer, partial(torch.optim.SGD, lr=1.0), make_optimizer]
    ensemble = Ensemble(model, makers, 3)
    for batch in batches:
        ensemble.step(square, batch, lrs)
    ensemble.keep([False, True, True])
    if not shared:
        assert ensemble.optimizer_state(0)["state"] == torch.optim.SGD(model.parameters(), lr=1.0).state_dict()["state"]
    alone = small(torch.float64)
    alone.load_state_dict(ensemble.state(1))
    optimizer = make_optimizer(list(alone.parameters()))
    optimizer.load_state_dict(ensemble.optimizer_state(-1))
    assert optimizer.param_groups[0]["lr"] == 0.01
    for batch in batches:
        ensemble.step(square, batch, lrs[1:])
        optimizer.zero_grad()
        square(alone, batch).backward()
        optimizer.step()
    tensors = ensemble.tensors(1)
    for name, value in [*alone.named_parameters(), *alone.named_buffers()]:
        assert torch.allclose(tensors[name], value, rtol=1e-9, atol=1e-12), name


def test_what_is_read_of_a_member_is_a_copy():
    ensemble = Ensemble(normed(), SGD, 2)
    for batch in pairs(dtype=torch.float64):
        ensemble.step(square, batch, [0.1, 0.01])
    read = lambda: (ensemble.tensors(0), ensemble.optimizer_state(0))  # noqa: E731
    tensors, state = read()
    before = copy.deepcopy((tensors, state))
    ensemble.step(square, pairs(dtype=torch.float64)[0], [0.1, 0.01])
    for name, value in before[0].items():
        assert torch.equal(value, tensors[name])
    for i, values in before[1]["state"].items():
        assert torch.equal(values["momentum_buffer"], state["state"][i]["momentum_buffer"])
    state["param_groups"][0]["momentum"] = 7
    assert read()[1]["param_groups"][0]["momentum"] == 0.9
    with pytest.raises(IndexError):
        ensemble.optimizer_state(2)


def test_a_member_without_steps_has_the_state_of_a_new_optimizer():
    model = normed()
    state = Ensemble(model, SGD, 2).optimizer_state(1)
    assert state == SGD(list(model.parameters())).state_dict()


def test_a_learning_rate_that_is_a_tensor_stays_one_in_a_members_state():
    ensemble = Ensemble(normed(), lambda params: torch.optim.Adam(params, lr=torch.tensor(0.5)), 2)
    ensemble.step(square, pairs(dtype=torch.float64)[0], [0.5, 0.25])
    assert [ensemble.optimizer_state(i)["param_groups"][0]["lr"] for i in range(2)] == [torch.tensor(0.5), 0.25]


def test_members_are_evaluated_with_the_mean_of_their_weights():
    batches = pairs(dtype=torch.float64)
    ensemble = Ensemble(normed(), SGD, 3)
    ensemble.step(square, batches[0], [0.1, 0.02, 0.05])
    ensemble.start_average()
    seen = []
    for i, batch in enumerate(batches):
        if i == 1:
            ensemble.keep([True, False, True])
        ensemble.step(square, batch, [0.1, 0.02, 0.05] if i == 0 else [0.1, 0.05])
        seen.append([ensemble.tensors(row) for row in ((0, 2) if i == 0 else (0, 1))])
    ensemble.model.eval()
    present = ensemble.evaluate(square, batches[0])
    with ensemble.averaged():
        found = ensemble.evaluate(square, batches[0])
        with pytest.raises(ZeroDivisionError), ensemble.averaged():
            1 // 0  # noqa: B018
    for row, loss in enumerate(found):
        model = normed().eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(torch.stack([step[row][name] for step in seen]).mean(0))
            for name, buffer in model.named_buffers():
                buffer.copy_(seen[-1][row][name])
        assert loss.item() == pytest.approx(square(model, batches[0]).item(), rel=1e-12)
    assert torch.equal(ensemble.evaluate(square, batches[0]), present)


def test_an_average_starts_anew_and_needs_a_step():
    batch = pairs(dtype=torch.float64)[0]
    ensemble = Ensemble(normed(), SGD, 2)
    message = r"averaged\(\) needs a step after start_average\(\), got none: call start_average\(\) first"
    with pytest.raises(RuntimeError, match=message), ensemble.averaged():
        pass
    ensemble.start_average()
    with pytest.raises(RuntimeError, match=message), ensemble.averaged():
        pass
    for _ in range(3):
        ensemble.step(square, batch, [0.1, 0.2])
    ensemble.start_average()
    ensemble.step(square, batch, [0.1, 0.2])
    present = ensemble.evaluate(square, batch)
    with ensemble.averaged():
        assert torch.equal(ensemble.evaluate(square, batch), present)
