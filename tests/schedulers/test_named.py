"""The named classes: each follows its sequence, with the keywords of SequenceLR."""

import inspect

import pytest

import lrsched
from lrsched import SequenceLR
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.cases import PICTURE

NAMED = [
    (lrsched.InverseLR, {}, lrsched.Inverse()),
    (lrsched.InverseSqrtLR, {}, lrsched.InverseSqrt()),
    (lrsched.GeometricLR, {"gamma": 0.8}, lrsched.Geometric(0.8)),
    (lrsched.SawtoothLR, {"period": 4, "aligned": True}, lrsched.Sawtooth(4, aligned=True)),
    (lrsched.ExponentialDecayLR, {"decay": 0.1}, lrsched.Exponential(0.1)),
    (lrsched.StepDecayLR, {"drop": 0.5, "interval": 3}, lrsched.StepDecay(0.5, 3)),
    (lrsched.TimeDecayLR, {"decay": 0.1}, lrsched.TimeDecay(0.1)),
]
every_name = pytest.mark.parametrize(("cls", "options", "sequence"), NAMED, ids=[cls.__name__ for cls, *_ in NAMED])


@every_name
def test_a_named_class_follows_its_sequence(cls, options, sequence):
    named, plain = make_optimizer((0.1, 0.5)), make_optimizer((0.1, 0.5))
    scheduler, reference = cls(named, **options, min_lr=0.02), SequenceLR(plain, sequence, min_lr=0.02)
    assert scheduler.sequence == sequence
    for _ in range(20):
        assert group_lrs(named) == group_lrs(plain)
        for each in (named, scheduler, plain, reference):
            each.step()


@every_name
def test_a_named_class_starts_at_a_position(cls, options, sequence):
    optimizer = make_optimizer((0.1,))
    optimizer.param_groups[0]["initial_lr"] = 0.1
    cls(optimizer, **options, last_epoch=6)
    assert group_lrs(optimizer) == [0.1 * sequence(7)]


@every_name
def test_help_shows_each_argument(cls, options, sequence):
    parameters = inspect.signature(cls).parameters
    assert list(parameters) == ["optimizer", *options, "min_lr", "last_epoch", "strict"]
    assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in ("min_lr", "last_epoch", "strict"))
    assert parameters["strict"].default is True


def test_a_picture_is_read_between_its_limits_whatever_the_groups_rates_are():
    optimizer = make_optimizer((0.3, 7.0))
    scheduler = lrsched.ImageLR(optimizer, PICTURE, 60, base_lr=0.1, max_lr=[0.2, 0.3])
    assert scheduler.sequence == lrsched.Pixels(PICTURE, 60)
    assert scheduler.base_lrs == [0.1, 0.1]
    for pixel in PICTURE.ravel():
        assert group_lrs(optimizer) == pytest.approx([0.1 + 0.1 * pixel / 255, 0.1 + 0.2 * pixel / 255])
        optimizer.step()
        scheduler.step()
