"""Two processes share out the members of a race, and go on together with the winner."""

import functools

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from lrsched import race
from tests.finder.race_cases import (
    BATCHES,
    OPTIMIZERS,
    SEQUENCE,
    STEPS,
    VALID,
    alone,
    continued,
    identical,
    loss_fn,
    net,
)

from .processes import in_two_processes
from .test_distributed import join

LRS = [0.001, 0.01, 0.1, 0.03, 1e200]


def raced(model, name, lrs, **options):
    torch.manual_seed(3)
    return race(
        model,
        OPTIMIZERS[name],
        options.pop("loss_fn", loss_fn),
        BATCHES,
        SEQUENCE,
        lrs,
        steps=STEPS,
        eval_batches=VALID,
        **options,
    )


def plain(start, steps):
    """Return what a training without the other process leaves, with the winner's rate from the start."""
    model = net()
    torch.manual_seed(3)
    return alone(model, OPTIMIZERS["Adam"], start.lr, BATCHES, steps=steps)


def share_out(rank, lrs, vectorize):
    join()
    model = DistributedDataParallel(net())
    start = raced(model, "Adam", lrs, vectorize=vectorize)
    assert [group["params"] for group in start.optimizer.param_groups] == [list(model.parameters())]
    at_start = [tensor.clone() for tensor in model.module.state_dict().values()]
    rng = torch.get_rng_state()
    trained = continued(start, model, BATCHES[start.position :])[0]  # all ranks have the same batches and random state
    went_back = []
    while start._retreats:
        start.retreat()
        went_back.append((start.lr, start.position, [value.clone() for value in model.module.state_dict().values()]))
    dist.destroy_process_group()
    at_end = list(trained.values())
    return start.to_json(), start.lrs.tolist(), start.losses, at_start, rng, at_end, went_back, start.position


@pytest.mark.parametrize("vectorize", [False, True], ids=["one after another", "side by side"])
@pytest.mark.parametrize("lrs", [LRS, LRS[2:4], [0.01]], ids=["five members", "two", "one"])
def test_both_ranks_have_the_winner_and_train_on_with_ddp(tmp_path, lrs, vectorize):
    first, second = in_two_processes(share_out, tmp_path, lrs, vectorize)
    assert identical(first[3:7], second[3:7])
    assert first[1] == second[1]

    def single():
        model = net()
        return model, raced(model, "Adam", lrs, vectorize=False)

    model, start = single()
    for found in (first, second):
        assert found[2] == pytest.approx(start.losses, rel=1e-9, nan_ok=True)
    close = functools.partial(torch.allclose, rtol=1e-9, atol=1e-11) if vectorize else torch.equal
    assert all(map(close, first[3], model.state_dict().values()))
    assert torch.equal(first[4], torch.get_rng_state())
    expected = plain(start, STEPS)[0]
    assert all(torch.allclose(*pair, rtol=1e-6) for pair in zip(first[5], expected.values(), strict=True))
    for lr, position, tensors in first[6]:
        start.retreat()
        assert (lr, position) == (start.lr, start.position)
        assert all(map(close, tensors, model.state_dict().values()))
    assert not start._retreats


def fail_on_one_rank(rank, where):
    join()
    model = net()
    before = [value.clone() for value in model.state_dict().values()]

    def fail(*_):
        if rank == 1:
            raise KeyError("rank 1 has no such file")

    options = {"callback": fail} if where == "callback" else {"loss_fn": lambda *args: fail() or loss_fn(*args)}
    try:
        raced(model, "Adam", LRS[:3], **options)
    except Exception as error:
        unchanged = all(map(torch.equal, model.state_dict().values(), before))
        dist.destroy_process_group()
        return type(error).__name__, str(error), unchanged
    return "no error"


@pytest.mark.parametrize("where", ["callback", "loss_fn"])
def test_an_error_on_one_rank_is_an_error_on_both_and_both_restore(tmp_path, where):
    first, second = in_two_processes(fail_on_one_rank, tmp_path, where)
    assert first[0] == "RuntimeError"
    assert first[1].startswith("rank 1 failed: ")
    assert "rank 1 has no such file" in first[1]
    assert "rank 1 has no such file" in second[1]
    assert first[2] is second[2] is True
