"""The learning rates that a race tries by default."""

from functools import partial

import pytest
import torch

from lrsched import race
from lrsched.finder._race_spread import ADAM_SPREAD, MOMENTUM_SPREAD, SGD_SPREAD, spread

from .race_cases import BATCHES, SEQUENCE, STEPS, VALID, loss_fn, net


@pytest.mark.parametrize("factors", [ADAM_SPREAD, MOMENTUM_SPREAD, SGD_SPREAD], ids=["Adam", "momentum", "SGD"])
def test_the_spread_rises_and_costs_no_more_than_1_point_3_trainings(factors):
    assert list(factors) == sorted(set(factors))
    assert 1.0 in factors
    rungs, stay = (1 / 32, 1 / 16, 1 / 8), (3, 2, 1)
    cost, members, begin = 1.0, len(factors), 0.0
    for rung, count in zip(rungs, stay, strict=True):
        cost += (members - 1) * (rung - begin)
        members, begin = count, rung
    assert cost <= 1.3


@pytest.mark.parametrize(
    ("make_optimizer", "factors"),
    [
        (partial(torch.optim.SGD, lr=0.5), SGD_SPREAD),
        (partial(torch.optim.SGD, lr=0.5, momentum=0.9), MOMENTUM_SPREAD),
        (partial(torch.optim.Adam, lr=0.5), ADAM_SPREAD),
        (partial(torch.optim.AdamW, lr=0.5), ADAM_SPREAD),
        (partial(torch.optim.RMSprop, lr=0.5), ADAM_SPREAD),
    ],
    ids=["SGD", "momentum", "Adam", "AdamW", "RMSprop"],
)
def test_the_spread_depends_on_the_optimizers_kind(make_optimizer, factors):
    optimizer = make_optimizer([torch.nn.Parameter(torch.ones(1))])
    assert spread(optimizer, 0.5) == [0.5 * factor for factor in factors]


def test_a_race_takes_the_spread_around_the_optimizers_own_rate():
    start = race(
        net(), partial(torch.optim.Adam, lr=0.002), loss_fn, BATCHES, SEQUENCE, steps=STEPS, eval_batches=VALID
    )
    assert start.lrs == pytest.approx([0.002 * factor for factor in ADAM_SPREAD], rel=1e-12)
