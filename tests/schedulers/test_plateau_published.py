"""PlateauSequence against the published algorithms, which are written out here in plain Python.

Yang & Huang (2019): a validation loss before the first epoch counts as 0; "by cutoff" advances when the loss changed by
less than a cutoff, 0.01 of the first loss, which each advance multiplies by 0.2; "by oscillate" advances when it rose.
"""

import math
import random
from types import SimpleNamespace

import pytest

from lrsched import Cutoff, Geometric, Inverse, InverseSqrt, Oscillation, PlateauSequence, Sawtooth, preview
from tests.helpers import group_lrs, make_optimizer

R0 = 0.01

SEQUENCES = {
    "seq1": (Inverse(), lambda k: R0 / (k + 1)),
    "seq2": (InverseSqrt(), lambda k: R0 / math.sqrt(k + 1)),
    "seq3": (Geometric(0.9), lambda k: 0.9**k * R0),
    "seq4": (
        Sawtooth(10, aligned=True).delayed(1),
        lambda k: R0 if k == 0 else R0 * (1 - ((k - 1) % 10) / 10) / ((k - 1) // 10 + 1),
    ),
}
each_sequence = pytest.mark.parametrize(("sequence", "rate"), SEQUENCES.values(), ids=SEQUENCES.keys())


def published_cutoff(losses):
    """Return after each epoch the number of advances and the cutoff."""
    cutoff, before, k, out = 0.01 * losses[0], 0.0, 0, []
    for loss in losses:
        if abs(loss - before) < cutoff:
            k += 1
            cutoff *= 0.2
        before = loss
        out.append((k, cutoff))
    return out


def published_oscillate(losses):
    """Return after each epoch the number of advances."""
    before, k, out = 0.0, 0, []
    for loss in losses:
        if loss > before:
            k += 1
        before = loss
        out.append(k)
    return out


def training(seed, epochs=50):
    """Return validation losses like those of a training: a fall, a flat end, and noise that shrinks."""
    rng = random.Random(seed)
    start, end = rng.uniform(0.5, 2.4), rng.uniform(0.02, 0.4)
    speed, noise = rng.uniform(0.05, 0.5), 10 ** rng.uniform(-4.5, -1.5)
    drift = rng.choice([0.0, 0.0, 1e-3])  # overfitting
    return [
        end + (start - end) * math.exp(-speed * i) + drift * i + rng.gauss(0, noise) * math.exp(-0.05 * i)
        for i in range(epochs)
    ]


def replay(sequence, rule, losses):
    """Return what a PlateauSequence did after each loss."""
    optimizer = make_optimizer([R0])
    scheduler = PlateauSequence(optimizer, sequence, on=rule)
    lrs, positions, cutoffs = [], [], []
    for loss in losses:
        scheduler.step(loss)
        lrs += group_lrs(optimizer)
        positions.append(scheduler.position)
        cutoffs.append(getattr(scheduler.rule, "cutoff", None))
    return SimpleNamespace(lrs=lrs, positions=positions, cutoffs=cutoffs, events=scheduler.events)


def advances(positions):
    """Return the epochs, from 1, at which the position grew."""
    return [i + 1 for i, (old, new) in enumerate(zip([0, *positions], positions, strict=False)) if new > old]


@each_sequence
def test_by_cutoff(sequence, rate):
    total = 0
    for seed in range(60):
        losses = training(seed)
        expected = published_cutoff(losses)
        run = replay(sequence, Cutoff(relative=0.01, previous=0.0), losses)
        assert run.positions == [k for k, _ in expected], seed
        assert run.cutoffs == [cutoff for _, cutoff in expected], seed
        assert run.lrs == pytest.approx([rate(k) for k, _ in expected], rel=1e-12), seed
        assert [event.epoch for event in run.events] == advances(run.positions)
        total += run.positions[-1]
    assert 60 < total < 60 * 20  # a few per run, as published


@each_sequence
def test_by_oscillate(sequence, rate):
    total = 0
    for seed in range(60):
        losses = training(seed)
        expected = published_oscillate(losses)
        run = replay(sequence, Oscillation(previous=0.0), losses)
        assert run.positions == expected, seed
        assert run.lrs == pytest.approx([rate(k) for k in expected], rel=1e-12), seed
        assert [event.epoch for event in run.events] == advances(run.positions)
        total += run.positions[-1]
    assert total > 60 * 5


@pytest.mark.parametrize("seed", range(5))
def test_preview_gives_the_same_events(seed):
    losses = training(seed)
    for sequence, _ in SEQUENCES.values():
        for rule in (Cutoff(relative=0.01, previous=0.0), Oscillation(previous=0.0)):
            assert preview(sequence, rule, losses, base_lr=R0) == replay(sequence, rule, losses).events


def test_by_cutoff_worked_by_hand():
    #         c = 0.01          .005<c  .001<.002  equal   up .0005  .00005<.00008  .00001<.000016
    losses = [1.0, 0.5, 0.52, 0.515, 0.514, 0.514, 0.5145, 0.51455, 0.51456]
    run = replay(Inverse(), Cutoff(relative=0.01, previous=0.0), losses)
    assert run.positions == [0, 0, 0, 1, 2, 3, 3, 4, 5]
    assert run.lrs == pytest.approx([R0, R0, R0, R0 / 2, R0 / 3, R0 / 4, R0 / 4, R0 / 5, R0 / 6], rel=1e-12)
    assert run.cutoffs == pytest.approx([0.01, 0.01, 0.01, 0.002, 4e-4, 8e-5, 8e-5, 1.6e-5, 3.2e-6], rel=1e-12)
    assert [event.epoch for event in run.events] == [4, 5, 6, 8, 9]
    assert run.events[0].reason == "cutoff: abs(0.515 - 0.52) < 0.01"


def test_by_cutoff_is_strict():
    # every number is exact in binary; the cutoff is compared with a difference equal to it
    first = 1.0
    run = replay(Inverse(), Cutoff(relative=0.25, previous=0.0), [first, 0.75, 0.5, 0.5625])
    assert run.positions == [0, 0, 0, 1]


def test_by_cutoff_a_first_loss_is_compared_with_zero():
    assert replay(Inverse(), Cutoff(relative=0.01, previous=0.0), [0.7]).positions == [0]  # 0.7 is not < 0.007


def test_by_oscillate_worked_by_hand():
    losses = [0.9, 0.5, 0.4, 0.41, 0.41, 0.3, 0.35, 0.36]
    run = replay(Sawtooth(10, aligned=True).delayed(1), Oscillation(previous=0.0), losses)
    assert run.positions == [1, 1, 1, 2, 2, 2, 3, 4]  # the first loss is above 0
    assert run.lrs == pytest.approx([0.01, 0.01, 0.01, 0.009, 0.009, 0.009, 0.008, 0.007], rel=1e-12)


def test_seq4_uses_its_first_value_twice_and_drops_with_the_tooth():
    #           k = 0     1     2                       10      11      12                      20      21
    published = [0.01, 0.01, 0.009, 0.008, 0.007, 0.006, 0.005, 0.004, 0.003, 0.002, 0.001]
    published += [0.005, 0.0045, 0.004, 0.0035, 0.003, 0.0025, 0.002, 0.0015, 0.001, 0.0005, 0.01 / 3]
    run = replay(Sawtooth(10, aligned=True).delayed(1), Oscillation(), [float(i) for i in range(22)])
    assert run.lrs == pytest.approx(published, rel=1e-12)


@each_sequence
def test_the_position_has_no_upper_limit(sequence, rate):
    run = replay(sequence, Oscillation(previous=0.0), [float(i) for i in range(1, 301)])
    assert run.positions == list(range(1, 301))
    assert run.lrs == pytest.approx([rate(k) for k in range(1, 301)], rel=1e-12)


def test_a_larger_share_of_the_first_loss():
    """One published run used 0.1 of the first loss."""
    losses = [2.0, 1.7, 1.55, 1.52, 1.5, 1.49]
    run = replay(Inverse(), Cutoff(relative=0.1, previous=0.0), losses)
    assert run.positions == [0, 0, 1, 2, 2, 2]  # c: .2; .15 → .04; .03 → .008; .02; .01
