"""States that were saved once keep loading. The rates are compared with the formulas, never with the files."""

import copy

import pytest

from lrsched import Cutoff, Inverse, Oscillation, Patience, PlateauSequence, Smoothed, Warmup
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.cases import BASES, VARIANTS, started
from tests.schedulers.plateau import HALF
from tests.schedulers.saved import AT_9, FIXTURES, NEW_IN_2, SAVED, decaying, path_of, state_of

IN_1 = [name for name in VARIANTS if name not in NEW_IN_2]
VERSIONS = [(name, 1) for name in IN_1] + [(name, 2) for name in AT_9]


@pytest.mark.parametrize(("name", "version"), VERSIONS)
def test_a_state_saved_at_position_9_keeps_loading(name, version):
    case = VARIANTS[name]
    optimizer, scheduler = started(copy.deepcopy(case))
    scheduler.load_state_dict(state_of(name, version))
    assert group_lrs(optimizer) == pytest.approx(case.lrs(9), rel=1e-12)
    for k in range(10, 20):
        scheduler.step()
        assert group_lrs(optimizer) == pytest.approx(case.lrs(k), rel=1e-12)


@pytest.mark.parametrize("name", ["SequenceLR", "GeometricLR"])
def test_in_version_1_nobody_was_heard(name):
    """An edit that the state holds is the present rate, and the next rate is base · f(k)."""
    case = VARIANTS[name]
    optimizer, scheduler = started(copy.deepcopy(case))
    state = state_of(name, 1)
    scheduler.load_state_dict({**state, "lrs": [0.7, 0.9]})
    assert group_lrs(optimizer) == [0.7, 0.9]
    assert scheduler.state_dict()["scales"] == [1.0, 1.0]
    scheduler.step()
    assert group_lrs(optimizer) == pytest.approx(case.lrs(10), rel=1e-12)


def test_a_plateau_state_of_version_1_keeps_loading():
    """Saved after 1.0, 0.5, 0.45 with Cutoff(0.1): |0.45 − 0.5| < 0.1 was the first advance, and the cutoff is 0.02."""
    optimizer = make_optimizer([0.1])
    scheduler = PlateauSequence(optimizer, Inverse(), Cutoff(0.1))
    scheduler.load_state_dict(state_of("PlateauSequence", 1))
    assert (scheduler.position, scheduler.last_epoch, group_lrs(optimizer)) == (1, 3, [0.05])
    assert scheduler.rule.cutoff == pytest.approx(0.02)
    assert [event.epoch for event in scheduler.events] == [3]
    scheduler.step(0.42)
    assert scheduler.position == 1
    scheduler.step(0.41)
    assert (scheduler.position, group_lrs(optimizer)) == (2, [pytest.approx(0.1 / 3)])


def test_a_plateau_state_of_version_1_had_no_warm_up():
    scheduler = PlateauSequence(make_optimizer([0.1]), Inverse(), Cutoff(0.1), warmup=Warmup(4))
    with pytest.raises(ValueError, match=r"'warmup': 'None'.*'warmup': 'Warmup"):
        scheduler.load_state_dict(state_of("PlateauSequence", 1))


def test_what_was_heard_keeps_loading():
    """The first rate was set to 0.2 by hand at position 4."""
    optimizer, scheduler = started(VARIANTS["GeometricLR"])
    scheduler.load_state_dict(state_of("GeometricLR heard"))
    assert scheduler.base_lrs == list(BASES)
    for k in range(9, 20):
        assert group_lrs(optimizer) == pytest.approx([0.2 * 0.8 ** (k - 4), BASES[1] * 0.8**k], rel=1e-12)
        scheduler.step()


def test_a_scheduled_option_keeps_loading():
    """Saved at position 9 of a rise from 0.04 to 0.4 in 10 steps; the second group has no weight decay."""
    optimizer, scheduler = decaying()
    for _ in range(3):
        scheduler.step()
    scheduler.load_state_dict(state_of("ParamSchedule"))
    for value in (0.04 + 0.36 * 0.9, 0.4, 0.4):
        decays = [group["weight_decay"] for group in optimizer.param_groups]
        assert decays == [pytest.approx(value, rel=1e-12), 0.0]
        scheduler.step()


def test_a_warm_up_keeps_loading():
    """Saved after two of four steps and one advance."""
    optimizer = make_optimizer((0.4,))
    scheduler = PlateauSequence(optimizer, HALF, Patience(0), warmup=Warmup(4))
    scheduler.load_state_dict(state_of("PlateauSequence warming"))
    assert (scheduler.position, scheduler.last_epoch) == (1, 2)
    for share in (0.5, 0.75, 1.0, 1.0):
        assert group_lrs(optimizer) == pytest.approx([0.4 * share / 2], rel=1e-12)
        optimizer.step()


def test_a_smoothed_rule_keeps_loading():
    """The next averages are 0.845, which is better, and 0.873, which is worse."""
    optimizer = make_optimizer((0.1,))
    scheduler = PlateauSequence(optimizer, Inverse(), Smoothed(Oscillation(), weight=0.5))
    scheduler.load_state_dict(state_of("PlateauSequence smoothed"))
    assert [(event.epoch, event.position, event.new_lrs) for event in scheduler.events] == [(4, 1, [0.05])]
    for loss, lr in ((0.8, 0.05), (0.9, 0.1 / 3)):
        optimizer.step()
        scheduler.step(loss)
        assert group_lrs(optimizer) == pytest.approx([lr], rel=1e-12)


def test_every_committed_state_is_loaded():
    loaded = {path_of(name, 1) for name in [*IN_1, "PlateauSequence"]} | {path_of(name, 2) for name in SAVED}
    assert set(FIXTURES.iterdir()) == loaded
