"""Members that share a model: what they hold, and that they train as they would alone."""

from functools import partial

import pytest
import torch
from torch import nn

from lrsched.finder._race_members import Members
from lrsched.finder._race_recipe import Places, Recipe

from .race_cases import BATCHES, VALID, identical, loss_fn, net

SGD = partial(torch.optim.SGD, lr=0.1, momentum=0.9)


def recipe(model):
    return Recipe(model, SGD, loss_fn, Places([model], SGD(list(model.parameters()))))


def step(members, count, batches):
    for batch in batches:
        losses = members.step(batch, torch.linspace(0.01, 0.1, count, dtype=torch.float64)[:, None].numpy())
    return losses


def test_a_buffer_that_forward_replaces_belongs_to_its_member():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 1).double()
            self.register_buffer("largest", torch.zeros((), dtype=torch.float64))

        def forward(self, inputs):
            outputs = self.linear(inputs)
            self.largest = torch.maximum(self.largest, outputs.abs().max())  # a new tensor, which knows its gradient
            return outputs

    torch.manual_seed(0)
    model = Counting()
    own = model.largest
    members = Members(recipe(model), 2, 0)
    step(members, 2, BATCHES[:3])
    first, second = (members.state(i).tensors[-1].item() for i in range(2))
    assert first != second
    assert own.item() == 0.0


@pytest.mark.parametrize("chunk", [0, 2, 3], ids=["one after another", "chunks of 2", "side by side"])
def test_members_end_where_they_would_alone(chunk):
    torch.manual_seed(1)
    members = Members(recipe(net()), 3, chunk)
    rng = torch.get_rng_state()
    losses = step(members, 3, BATCHES[:4])
    after = torch.get_rng_state()
    for i, rate in enumerate((0.01, 0.055, 0.1)):
        torch.set_rng_state(rng)
        plain = net()
        torch.set_rng_state(rng)
        optimizer = torch.optim.SGD(plain.parameters(), lr=rate, momentum=0.9)
        for batch in BATCHES[:4]:
            optimizer.zero_grad()
            loss = loss_fn(plain, batch)
            loss.backward()
            optimizer.step()
        assert torch.equal(after, torch.get_rng_state())
        assert losses[i].item() == pytest.approx(loss.item(), rel=1e-10)
        standing = members.state(i)
        expected = [*plain.parameters(), *plain.buffers()]
        assert all(
            torch.allclose(value, own, rtol=1e-10, atol=1e-13)
            for value, own in zip(standing.tensors, expected, strict=True)
        )
        momenta = [state["momentum_buffer"] for state in optimizer.state_dict()["state"].values()]
        found = [state["momentum_buffer"] for state in standing.optimizer["state"].values()]
        assert all(torch.allclose(*pair, rtol=1e-9, atol=1e-12) for pair in zip(found, momenta, strict=True))


@pytest.mark.parametrize("chunk", [0, 2], ids=["one after another", "chunks of 2"])
def test_members_are_dropped_by_a_mask_and_the_others_go_on(chunk):
    results = []
    for mask in (None, [True, False, False, True]):
        members = Members(recipe(net(dropout=0.0)), 4, chunk)
        step(members, 4, BATCHES[:2])
        if mask is not None:
            members.keep(mask)
            assert members.count == 2
        rates = torch.tensor([[0.02], [0.04]], dtype=torch.float64).numpy()
        losses = members.step(BATCHES[2], rates if mask is not None else rates[[0, 0, 0, 1]])
        results.append(losses[[0, -1]])
    assert torch.allclose(*results, rtol=1e-12)


def test_members_that_are_separated_go_on_as_they_were():
    results = []
    for separated in (False, True):
        members = Members(recipe(net(dropout=0.0)), 3, 3)
        step(members, 3, BATCHES[:3])
        if separated:
            members.separate()
        step(members, 3, BATCHES[3:6])
        results.append([members.state(i).tensors for i in range(3)])
    for one, other in zip(*results, strict=True):
        assert all(torch.allclose(*pair, rtol=1e-10, atol=1e-13) for pair in zip(one, other, strict=True))


@pytest.mark.parametrize("chunk", [0, 3], ids=["one after another", "side by side"])
def test_evaluation_changes_nothing_and_needs_batches(chunk):
    members = Members(recipe(net()), 3, chunk)
    step(members, 3, BATCHES[:1])
    members.start_average()
    step(members, 3, BATCHES[1:4])
    rng, before = torch.get_rng_state(), [members.state(i).tensors[0].clone() for i in range(3)]
    averaged = members.eval_losses(VALID, averaged=True)
    present = members.eval_losses(VALID, averaged=False)
    assert not torch.equal(averaged, present)
    assert torch.equal(members.eval_losses(VALID, averaged=True), averaged)
    assert torch.equal(rng, torch.get_rng_state())
    assert all(torch.equal(members.state(i).tensors[0], before[i]) for i in range(3))
    with pytest.raises(ValueError, match="eval_batches must have at least one batch, got none; pass judge='train'"):
        members.eval_losses([], averaged=False)


def test_the_last_member_alive_advances_the_random_state():
    members = Members(recipe(net()), 2, 0)
    rates = torch.tensor([[0.01], [1e200]], dtype=torch.float64).numpy()
    torch.manual_seed(2)
    for batch in BATCHES[:5]:
        losses = members.step(batch, rates)
    assert losses.isnan().tolist() == [False, True]
    after = torch.get_rng_state()
    torch.manual_seed(2)
    model = net()
    torch.manual_seed(2)
    for batch in BATCHES[:5]:
        model(batch[0])
    assert torch.equal(after, torch.get_rng_state())


def test_the_winners_optimizer_is_its_own():
    model = net()
    members = Members(recipe(model), 2, 0)
    step(members, 2, BATCHES[:2])
    standing = members.state(1)
    members.keep([False, True])
    assert identical(members.optimizer(0).state_dict(), standing.optimizer)
    assert members.optimizer(0) is members.optimizer(0)
    stacked = Members(recipe(model), 2, 2)
    step(stacked, 2, BATCHES[:2])
    assert identical(stacked.optimizer(1).state_dict()["state"], stacked.state(1).optimizer["state"])
    with pytest.raises(IndexError):
        stacked.state(2)
