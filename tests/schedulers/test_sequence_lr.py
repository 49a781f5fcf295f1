"""Learning rates of the classes that count steps, against hand formulas and torch's schedulers."""

import math
from dataclasses import dataclass
from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

import lrsched
from lrsched import (
    Cosine,
    Geometric,
    GeometricLR,
    ImageLR,
    Inverse,
    InverseLR,
    Linear,
    Polynomial,
    SawtoothLR,
    Sequence,
    SequenceLR,
    StepDecayLR,
    Values,
    Warmup,
)
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.cases import CASES, PICTURE, VARIANTS, every_stepwise_kind, follow, mixed, quietly, started


@pytest.mark.parametrize("case", VARIANTS.values(), ids=VARIANTS)
def test_learning_rates_equal_the_formula_written_out_by_hand(case):
    optimizer = mixed()
    lrs = follow(case.make(optimizer), optimizer, 101)
    expected = [case.lrs(k) for k in range(101)]
    np.testing.assert_allclose(lrs, expected, rtol=1e-12, atol=0)


@every_stepwise_kind
def test_every_way_to_a_position_gives_the_same_bits(case):
    optimizer, scheduler = started(case)
    for k in range(61):
        here = group_lrs(optimizer)
        jumped, jumper = started(case)
        quietly(lambda jumper=jumper, k=k: jumper.step(k))
        assert group_lrs(jumped) == here
        loaded, loader = started(case)
        loader.load_state_dict(scheduler.state_dict())
        assert group_lrs(loaded) == here
        resumed = mixed()
        case.make(resumed)
        if k > 0:  # with last_epoch=-1 it would start from the present rate
            case.make(resumed, last_epoch=k - 1)
        assert group_lrs(resumed) == here
        if not case.names_limits:
            assert here == [base * scheduler.sequence(k) for base in scheduler.base_lrs]
        scheduler.step()


@pytest.mark.parametrize("gamma", [0.9, 0.999, 0.5, 1.0])
def test_geometric_equals_torchs_exponential(gamma):
    ours, theirs = make_optimizer((0.1, 3.0)), make_optimizer((0.1, 3.0))
    lrs = follow(GeometricLR(ours, gamma=gamma), ours, 1000)
    expected = follow(lr_scheduler.ExponentialLR(theirs, gamma), theirs, 1000)
    np.testing.assert_allclose(lrs, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("sequence", "reference"),
    [
        (Cosine(40), lambda opt: lr_scheduler.CosineAnnealingLR(opt, 40)),
        (Cosine(40, end=0.1), lambda opt: lr_scheduler.CosineAnnealingLR(opt, 40, eta_min=0.02)),
        (Linear(40, end=0.25), lambda opt: lr_scheduler.LinearLR(opt, 1.0, 0.25, total_iters=40)),
        (Linear(40), lambda opt: lr_scheduler.LinearLR(opt, 1.0, 0.0, total_iters=40)),
        (Polynomial(40), lambda opt: lr_scheduler.PolynomialLR(opt, 40, power=2.0)),
        (Polynomial(40, power=0.5), lambda opt: lr_scheduler.PolynomialLR(opt, 40, power=0.5)),
        (Warmup(7, start=0.25), lambda opt: lr_scheduler.LinearLR(opt, 0.25, 1.0, total_iters=7)),
        (Geometric(0.5).every(6), lambda opt: lr_scheduler.StepLR(opt, 6, gamma=0.5)),
        (Cosine(9).repeated(9), lambda opt: lr_scheduler.CosineAnnealingWarmRestarts(opt, 9)),
        (Inverse(), lambda opt: lr_scheduler.LambdaLR(opt, lambda k: 1 / (k + 1))),
    ],
    ids=lambda value: repr(value) if isinstance(value, Sequence) else "",
)
def test_sequences_equal_torchs_schedulers_to_their_end(sequence, reference):
    ours, theirs = make_optimizer((0.2,)), make_optimizer((0.2,))
    lrs = follow(SequenceLR(ours, sequence), ours, 41)
    expected = follow(reference(theirs), theirs, 41)
    np.testing.assert_allclose(lrs, expected, rtol=1e-11, atol=1e-15)


def test_step_decay_comes_one_position_before_torchs():
    ours, theirs = make_optimizer((1.0,)), make_optimizer((1.0,))
    lrs = follow(StepDecayLR(ours, 0.5, 3), ours, 20)
    expected = follow(lr_scheduler.StepLR(theirs, 3, 0.5), theirs, 21)
    np.testing.assert_allclose(lrs, expected[1:], rtol=1e-12)


def test_sawtooth_by_hand():
    ours = make_optimizer((1.0,))
    lrs = follow(SawtoothLR(ours, period=4), ours, 9)[:, 0]
    np.testing.assert_allclose(lrs, [1, 0.75, 0.5, 0.125, 0.5, 0.375, 0.25, 0.25 / 3, 1 / 3], rtol=1e-12)
    ours = make_optimizer((1.0,))
    lrs = follow(SawtoothLR(ours, 4, True), ours, 9)[:, 0]
    np.testing.assert_allclose(lrs, [1, 0.75, 0.5, 0.25, 0.5, 0.375, 0.25, 0.125, 1 / 3], rtol=1e-12)


def test_defaults_are_the_published_ones():
    for make, expected in (
        (GeometricLR, [0.9**k for k in range(12)]),
        (SawtoothLR, [(1 - (k % 10) / 10) / ((k + 1) // 10 + 1) for k in range(12)]),
    ):
        optimizer = make_optimizer((1.0,))
        np.testing.assert_allclose(follow(make(optimizer), optimizer, 12)[:, 0], expected, rtol=1e-12)


def test_a_users_own_sequence():
    @dataclass(frozen=True)
    class Halves(Sequence):
        def _at(self, k):
            return 0.5**k

    optimizer = make_optimizer((8.0,))
    assert follow(SequenceLR(optimizer, Halves()), optimizer, 4)[:, 0].tolist() == [8.0, 4.0, 2.0, 1.0]


def test_many_geometric_steps_do_not_drift():
    gamma, floor = 0.9999, 1e-5
    optimizer = make_optimizer((0.3, torch.tensor(0.3)), "asis")
    scheduler = GeometricLR(optimizer, gamma=gamma, min_lr=floor)
    optimizer.step()
    for k in range(100_001):
        if k % 10_000 == 0:
            with localcontext() as context:
                context.prec = 40
                exact = [max(Decimal(base) * Decimal(gamma) ** k, Decimal(floor)) for base in scheduler.base_lrs]
            plain, tensor = optimizer.param_groups[0]["lr"], optimizer.param_groups[1]["lr"]
            assert plain == pytest.approx(float(exact[0]), rel=1e-12)
            assert abs(tensor.item() - float(exact[1])) <= float(np.spacing(np.float32(exact[1])))
        scheduler.step()
    assert group_lrs(optimizer)[0] == pytest.approx(0.3 * math.exp(100_001 * math.log(gamma)), rel=1e-9)
    quietly(lambda: scheduler.step(10**7))
    assert group_lrs(optimizer) == [floor, np.float32(floor)]


def test_past_its_end_a_sequence_holds_its_last_value():
    optimizer = make_optimizer((2.0,))
    lrs = follow(SequenceLR(optimizer, Values([1.0, 0.5, 0.1])), optimizer, 6)[:, 0]
    assert lrs.tolist() == [2.0, 1.0, 0.2, 0.2, 0.2, 0.2]
    optimizer = make_optimizer((2.0,))
    lrs = follow(ImageLR(optimizer, PICTURE, 60, 0.0, 1.0), optimizer, 70)[:, 0]
    assert lrs[59:].tolist() == [int(PICTURE.ravel()[59]) / 255] * 11


def test_a_product_of_sequences_by_hand():
    optimizer = make_optimizer((0.1,))
    lrs = follow(SequenceLR(optimizer, Warmup(3, start=0.25) * Inverse()), optimizer, 6)[:, 0]
    np.testing.assert_allclose(lrs, [0.025, 0.025, 0.025, 0.025, 0.02, 0.1 / 6], rtol=1e-12)


def test_every_class_is_public_and_an_lr_scheduler():
    for name in CASES:
        assert name in lrsched.__all__
        assert issubclass(getattr(lrsched, name), lr_scheduler.LRScheduler)


def test_repr_shows_sequence_position_and_rates():
    optimizer = make_optimizer((0.5, torch.tensor(0.25)), "asis")
    scheduler = SequenceLR(optimizer, Warmup(4, start=0.5) * Inverse())
    assert (
        repr(scheduler) == "SequenceLR(sequence=Warmup(steps=4, start=0.5) * Inverse(), position=0, lrs=[0.25, 0.125])"
    )
    assert repr(InverseLR(make_optimizer((0.5,)))) == "InverseLR(sequence=Inverse(), position=0, lrs=[0.5])"
    assert str(scheduler) == f"{scheduler}" == repr(scheduler)
