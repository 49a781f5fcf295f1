"""Two processes that make a range test together: same curve, same stop, and a training that continues unchanged."""

import datetime
import math

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

from lrsched import range_test

from .processes import in_two_processes


def setup(rank):
    """Return a model, this rank's data, whose noise is 20 times that of the other's, and an optimizer."""
    torch.manual_seed(0)
    model = DistributedDataParallel(nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1)))
    generator = torch.Generator().manual_seed(rank)
    x = torch.randn(128, 8, generator=generator)
    y = x.sum(1, keepdim=True) + torch.randn(128, 1, generator=generator) * (2.0, 0.1)[rank]
    return model, (x, y), torch.optim.SGD(model.parameters(), lr=0.1)


def loss_fn(model, batch):
    return ((model(batch[0]) - batch[1]) ** 2).mean()


def loader_of(data, rank):
    """Return a loader that shuffles; rank 1 has one batch more in a pass."""
    generator = torch.Generator().manual_seed(10 + rank)
    return DataLoader(TensorDataset(*[part[: 120 + 8 * rank] for part in data]), 8, shuffle=True, generator=generator)


def first_gradient(rank, tested, **options):
    model, data, optimizer = setup(rank)
    points = None
    if tested:
        loader = DataLoader(TensorDataset(*data), batch_size=8)
        points = len(range_test(model, optimizer, loss_fn, loader, **options))
    optimizer.zero_grad()
    loss_fn(model, data).backward()
    return points, round(model.module[2].bias.grad.item(), 4)


def training(rank, tested):
    """Return the losses of a training, in eval mode before the test, and the test's curve."""
    model, data, optimizer = setup(rank)
    loader, losses, curve = loader_of(data, rank), [], None
    for epoch in range(3):
        if tested and epoch == 1:
            model.eval()
            curve = range_test(model, optimizer, loss_fn, loader).to_json()
            model.train()
        for _, batch in zip(range(15), loader, strict=False):
            optimizer.zero_grad()
            loss = loss_fn(model, batch)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses, curve


def on_a_rank(rank):
    dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=120))
    alone = range_test_of_a_plain_model(rank)
    return {
        "gradient": first_gradient(rank, False),
        "tested": first_gradient(rank, True),
        "group": first_gradient(rank, True, process_group=dist.group.WORLD),
        "training": training(rank, False),
        "interrupted training": training(rank, True),
        "alone": alone,
    }


def range_test_of_a_plain_model(rank):
    """Return how many points a test has that only one rank makes: a plain model needs nobody to agree with."""
    if rank == 1:
        return None
    model = nn.Linear(8, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = [(torch.ones(4, 8), torch.zeros(4, 1))]
    return len(range_test(model, optimizer, loss_fn, batches, steps=10, end_lr=1e-3))


def test_a_test_of_a_distributed_model_agrees_by_itself_and_leaves_no_trace(tmp_path):
    first, second = in_two_processes(on_a_rank, tmp_path)
    for rank in (first, second):
        assert rank["gradient"] == (None, -0.2857)
        assert rank["tested"][1] == rank["group"][1] == -0.2857
        losses, _ = rank["training"]
        assert rank["interrupted training"][0] == losses
        assert all(map(math.isfinite, losses))
    assert first["tested"] == second["tested"]
    assert first["tested"][0] > 30
    assert first["interrupted training"][1] == second["interrupted training"][1]
    assert first["training"][0] != second["training"][0]
    assert first["alone"] == 10
