"""The pairs of schedulers that torch's own tests combine, with one or both replaced by the package's.

The rates are those that torch's tests expect: the products of both factors. One group's rate is a float, the other's a
tensor.
"""

import math
from functools import partial

import pytest
import torch
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    ReduceLROnPlateau,
    StepLR,
)

from lrsched import Cosine, Geometric, Patience, Piecewise, PlateauSequence, Polynomial, SequenceLR, Warmup
from tests.helpers import group_lrs
from tests.schedulers.cases import quietly

BASES = (0.05, 0.5)
EPOCHS = 10

# name -> (torch's scheduler, the package's sequence, the factor at k worked out by hand)
KINDS = {
    "step": (lambda opt: StepLR(opt, 3, 0.1), Geometric(0.1).every(3), lambda k: 0.1 ** (k // 3)),
    "multistep": (
        lambda opt: MultiStepLR(opt, [2, 5, 9], 0.1),
        Piecewise([2, 5, 9], [1, 0.1, 0.01, 0.001]),
        lambda k: 0.1 ** sum(k >= milestone for milestone in (2, 5, 9)),
    ),
    "exponential": (lambda opt: ExponentialLR(opt, 0.9), Geometric(0.9), lambda k: 0.9**k),
    "steep": (lambda opt: ExponentialLR(opt, 0.1), Geometric(0.1), lambda k: 0.1**k),
    "linear": (lambda opt: LinearLR(opt, 0.4, 1.0, 4), Warmup(4, start=0.4), lambda k: min(1.0, 0.4 + 0.15 * k)),
    "constant": (lambda opt: ConstantLR(opt, 0.4, 4), Piecewise([4], [0.4, 1]), lambda k: 0.4 if k < 4 else 1.0),
    "cosine": (
        lambda opt: CosineAnnealingLR(opt, EPOCHS),
        Cosine(EPOCHS),
        lambda k: (1 + math.cos(math.pi * k / EPOCHS)) / 2,
    ),
    "polynomial": (
        lambda opt: PolynomialLR(opt, 5, 0.9),
        Polynomial(5, 0.9),
        lambda k: max(0.0, 1 - k / 5) ** 0.9,
    ),
}
PAIRS = [
    ("step", "multistep"),
    ("step", "exponential"),
    ("multistep", "exponential"),
    ("linear", "exponential"),
    ("step", "constant"),
    ("multistep", "linear"),
    ("cosine", "step"),
    ("cosine", "multistep"),
    ("linear", "cosine"),
    ("cosine", "steep"),
    ("polynomial", "constant"),
]


def optimizer_of_torchs_tests():
    groups = [[torch.zeros(1, requires_grad=True)] for _ in BASES]
    lrs = BASES[0], torch.tensor(BASES[1])
    return torch.optim.SGD([{"params": params, "lr": lr} for params, lr in zip(groups, lrs, strict=True)])


def made(optimizer, kind, ours):
    theirs, sequence, _ = KINDS[kind]
    return SequenceLR(optimizer, sequence) if ours else theirs(optimizer)


def expected(kinds, k):
    factor = math.prod(KINDS[kind][2](k) for kind in kinds)
    return [base * factor for base in BASES]


@pytest.mark.parametrize("chained", [False, True], ids=["one by one", "in a ChainedScheduler"])
@pytest.mark.parametrize("ours", [(True, False), (False, True), (True, True)], ids=["first", "second", "both"])
@pytest.mark.parametrize("kinds", PAIRS, ids="-".join)
def test_a_pair_gives_the_product(kinds, ours, chained):
    optimizer = optimizer_of_torchs_tests()
    schedulers = [made(optimizer, kind, mine) for kind, mine in zip(kinds, ours, strict=True)]
    stepped = [ChainedScheduler(schedulers)] if chained else schedulers
    nonzero = next((k for k in range(EPOCHS) if 0.0 in expected(kinds, k)), EPOCHS)  # a rate of 0 cannot be scaled
    for k in range(nonzero):
        assert group_lrs(optimizer) == pytest.approx(expected(kinds, k), rel=1e-5, abs=1e-12)
        assert [float(lr) for lr in stepped[-1].get_last_lr()] == pytest.approx(group_lrs(optimizer))
        optimizer.step()
        for scheduler in stepped:
            scheduler.step()


@pytest.mark.parametrize("kind", KINDS)
def test_steps_and_jumps_to_an_epoch_agree(kind):
    stepping, jumping = optimizer_of_torchs_tests(), optimizer_of_torchs_tests()
    by_steps, by_epochs = made(stepping, kind, ours=True), made(jumping, kind, ours=True)
    for k in range(1, EPOCHS):
        stepping.step()
        jumping.step()
        by_steps.step()
        quietly(partial(by_epochs.step, k))
        assert group_lrs(stepping) == group_lrs(jumping)
        assert group_lrs(jumping) == pytest.approx(expected([kind], k), rel=1e-6, abs=1e-12)


FALLING = [10 - i * 0.0165 for i in range(22)]
PLATEAUS = {
    "with a step": ({"threshold": 0.01, "patience": 5, "cooldown": 5}, "step", [10 - i * 0.0167 for i in range(20)]),
    "with milestones": ({"threshold": 0.1, "patience": 5, "cooldown": 0}, "multistep", FALLING),
    "with a warm-up": ({"threshold": 0.1, "patience": 5, "cooldown": 0}, "linear", FALLING),
}


@pytest.mark.parametrize("ours", [(True, False), (False, True), (True, True)], ids=["plateau", "other", "both"])
@pytest.mark.parametrize("name", PLATEAUS)
def test_a_plateau_beside_a_schedule_reduces_when_torchs_does(name, ours):
    options, kind, metrics = PLATEAUS[name]

    def rates(plateau_ours, kind_ours):
        optimizer = optimizer_of_torchs_tests()
        if plateau_ours:
            plateau = PlateauSequence(optimizer, Geometric(0.1), Patience(**options, threshold_mode="abs"))
        else:
            plateau = ReduceLROnPlateau(optimizer, threshold_mode="abs", eps=0, **options)
        other = made(optimizer, kind, kind_ours)
        lrs = []
        for metric in metrics:
            optimizer.step()
            plateau.step(metric)
            other.step()
            lrs.append(group_lrs(optimizer))
        return lrs

    for got, wanted in zip(rates(*ours), rates(False, False), strict=True):
        assert got == pytest.approx(wanted, rel=1e-5)
