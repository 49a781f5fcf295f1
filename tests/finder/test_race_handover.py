"""After a race: the model and the winner's optimizer train on, and can go back to lower rates."""

import copy
from functools import partial

import numpy as np
import pytest
import torch

from lrsched import Race, SequenceLR, race

from .race_cases import BATCHES, OPTIMIZERS, SEQUENCE, STEPS, VALID, alone, continued, identical, loss_fn, net

SGD = OPTIMIZERS["SGD with momentum"]
start_race = partial(race, loss_fn=loss_fn, sequence=SEQUENCE, steps=STEPS, eval_batches=VALID)
by_optimizer = pytest.mark.parametrize("make_optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
by_method = pytest.mark.parametrize("vectorize", [False, True], ids=["one after another", "side by side"])


@by_method
@by_optimizer
def test_after_the_hand_over_model_and_optimizer_train_as_copies_of_them_would(make_optimizer, vectorize):
    model, copied = net(), net(seed=1)
    start = start_race(model, make_optimizer, batches=BATCHES, vectorize=vectorize)
    copied.load_state_dict(model.state_dict())
    optimizer = make_optimizer(list(copied.parameters()))
    optimizer.load_state_dict(copy.deepcopy(start.optimizer.state_dict()))
    again = Race(start.lrs, start.marks, start.losses, start.lr, start.position, optimizer=optimizer)
    rng = torch.get_rng_state()
    rest = BATCHES[start.position :]
    found = continued(start, model, rest)
    torch.set_rng_state(rng)
    assert identical(found, continued(again, copied, rest))


@pytest.mark.parametrize("scheduled", ["ours", "torch's", "by hand"])
@by_method
def test_the_rate_is_that_of_the_sequence_at_every_later_step(vectorize, scheduled):
    def make_optimizer(params):
        return torch.optim.SGD([{"params": params[:2], "lr": 0.1}, {"params": params[2:], "lr": 0.3}], momentum=0.9)

    model = net()
    start = start_race(model, make_optimizer, batches=BATCHES, lrs=[0.07, 0.01], vectorize=vectorize)
    optimizer, ratio = start.optimizer, 0.3 / 0.1
    k = start.position
    assert [group["lr"] for group in optimizer.param_groups] == [start.lr * SEQUENCE(k), start.lr * ratio * SEQUENCE(k)]
    if scheduled == "ours":
        scheduler = SequenceLR(optimizer, SEQUENCE, last_epoch=k - 1)
    elif scheduled == "torch's":
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, SEQUENCE, last_epoch=k - 1)
    for _ in range(k, STEPS):
        if scheduled == "by hand":
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * SEQUENCE(k)
        rates = [group["lr"] for group in optimizer.param_groups]
        assert rates == [start.lr * SEQUENCE(k), start.lr * ratio * SEQUENCE(k)]
        loss_fn(model, BATCHES[k]).backward()
        optimizer.step()
        if scheduled != "by hand":
            scheduler.step()
        k += 1


@by_method
def test_retreat_goes_back_to_each_lower_rate_where_it_left(vectorize):
    lrs = [0.01, 0.003, 0.1, 0.03, 0.3]
    model = net()
    torch.manual_seed(3)
    start = start_race(model, SGD, batches=BATCHES, lrs=lrs, vectorize=vectorize)
    optimizer, before = start.optimizer, start.lr
    lower = sorted((lr for lr in lrs if lr < before), reverse=True)
    assert lower
    for lr in lower:
        start.retreat()
        left = np.isfinite(start.losses[lrs.index(lr)]).nonzero()[0][-1]
        assert (start.lr, start.position, start.optimizer) == (lr, start.marks[left], optimizer)
        rng = torch.get_rng_state()
        plain = net()
        torch.manual_seed(3)
        expected, state, expected_rng = alone(plain, SGD, lr, BATCHES, steps=start.position)
        assert torch.equal(rng, expected_rng)
        own = optimizer.state_dict()
        for name, value in model.state_dict().items():
            assert torch.allclose(value, expected[name], rtol=1e-9, atol=1e-12)
        if not vectorize:
            assert identical(model.state_dict(), expected)
            assert identical(own["state"], state["state"])
        assert own["param_groups"][0]["lr"] == lr * SEQUENCE(start.position)
        assert own["param_groups"][0]["initial_lr"] == lr
        torch.set_rng_state(rng)
        continued(start, model, BATCHES[start.position :], steps=start.position + 3)  # what it stores stays as it was
    with pytest.raises(RuntimeError, match=r"no rate below 0.003 is left; race again with lower lrs"):
        start.retreat()
    assert start.reason.endswith("went back to 0.003 at step 2")
