"""A state that is foreign, damaged or too new is refused, and nothing changes."""

import copy
import math
import re

import pytest
import torch
from torch.optim import lr_scheduler

from lrsched import CyclicLR, Inverse, InverseLR, PlateauSequence, SequenceLR
from tests.helpers import make_optimizer
from tests.schedulers.cases import KINDS as CASES
from tests.schedulers.cases import every_kind, mixed, step
from tests.schedulers.states import KINDS, OTHER_METRICS, everything, play, played

every_state = pytest.mark.parametrize("name", KINDS)
both_ways = pytest.mark.parametrize("strict", [True, False])


def refuses(scheduler, state, match="state", **options):
    """Assert that a state is refused and that nothing has changed."""
    before = everything(scheduler)
    with pytest.raises((TypeError, ValueError), match=match):
        scheduler.load_state_dict(state, **options)
    assert everything(scheduler) == before


def target_of(name):
    """Return a scheduler of the same settings that is somewhere else."""
    return played(name, 20, OTHER_METRICS)[1]


def torchs_states():
    optimizer = mixed()
    return [
        lr_scheduler.ExponentialLR(optimizer, 0.9).state_dict(),
        lr_scheduler.CyclicLR(optimizer, 0.05, 0.4, 3, 4).state_dict(),
        lr_scheduler.ReduceLROnPlateau(optimizer).state_dict(),
    ]


@every_state
def test_anything_but_a_state_of_this_package_is_refused(name):
    target = target_of(name)
    state = target.state_dict()
    for other in (*torchs_states(), None, {}, [], 3, "state", b"state", [state], SequenceLR):
        refuses(target, other)
        refuses(target, other, strict=False)
    assert not hasattr(target, "best")


@every_state
def test_a_newer_or_wrong_version_is_refused(name):
    target = target_of(name)
    state = target.state_dict()
    for strict in (True, False):
        refuses(target, {**state, "version": 3}, r"version.*3", strict=strict)
        refuses(target, {**state, "version": 99, "more": 1}, r"version.*99", strict=strict)
        for wrong in (0, -1, "1", None, 1.0, True):
            refuses(target, {**state, "version": wrong}, "version", strict=strict)


# ---- damaged states


def paths(value, path=()):
    """Return the path of every entry in a state, the inner ones too."""
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    else:
        return []
    return [p for key, entry in items for p in [(*path, key), *paths(entry, (*path, key))]]


def entry_at(state, path):
    for key in path:
        state = state[key]
    return state


def without(state, path):
    """Return a copy of a state that lacks one entry."""
    state = copy.deepcopy(state)
    del entry_at(state, path[:-1])[path[-1]]
    return state


def replaced(state, path, wrong):
    """Return a copy of a state with another entry in one place."""
    state = copy.deepcopy(state)
    entry_at(state, path[:-1])[path[-1]] = wrong
    return state


def is_free(name, path, strict):
    """Say whether an entry may be anything: settings if not strict, and what belongs to a user's rule or scale_fn."""
    users = path[0] == "scale_fn" or (path[0] == "rule" and name.endswith("a user's rule"))
    return (path[0] == "settings" and not strict) or users


@every_state
@both_ways
def test_a_state_without_one_of_its_entries_is_refused(name, strict):
    _, scheduler = played(name, 25)
    state, target = scheduler.state_dict(), target_of(name)
    for path in paths(state):
        shorter = path[0] in ("events", "base_lrs") and isinstance(path[-1], int)  # a new group is not adopted yet
        if shorter or (len(path) > 1 and is_free(name, path, strict)):
            continue
        match = f"{re.escape(path[-1])}|state must be" if isinstance(path[-1], str) else "state"
        refuses(target, without(state, path), match, strict=strict)
    for key in state:
        refuses(target, {key: state[key]}, strict=strict)
    target.load_state_dict(state, strict=strict)
    assert target.state_dict() == state


@every_state
@both_ways
def test_an_entry_of_another_type_is_refused(name, strict):
    _, scheduler = played(name, 25)
    state, target = scheduler.state_dict(), target_of(name)
    for path in paths(state):
        if path != ("rule",) and is_free(name, path, strict):
            continue
        value = entry_at(state, path)
        is_text = isinstance(value, str) and value not in ("nan", "inf")
        for wrong in (3 if is_text else "wrong", object(), {1: 2}, [object()]):
            refuses(target, replaced(state, path, wrong), ".", strict=strict)
    target.load_state_dict(state, strict=strict)


WRONG_VALUES = {
    "_step_count": ["x", 1.5, -7, None],
    "last_epoch": ["x", 1.5, -7, None],
    "base_lrs": [[-0.1, 0.7], [math.nan, 0.7], ["nan", 0.7], [0.1, 0.7, 0.2], (0.1, 0.7), {}, []],
    "lrs": [[0.1], [0.1, 0.2, 0.3], ["x", "y"], {}, None],
    "scales": [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, math.nan], ["inf", 1.0], ["x", "y"], {}, None, 1.0],
    "written_lrs": [[0.1], [0.1, 0.2, 0.3], ["x", "y"], {}, None],
    "momenta": [[0.1], [0.1, 0.2, 0.3], ["x", "y"], {}, 0.9],
    "position": [-1, 1.0, True],
    "events": [{}, [{}], [[1, 0.5]], None],
    "rule": [{}, None, []],
    "steps": [
        {},
        None,
        {"ever": True},
        {"ever": True, "since_metric": True},
        {"ever": True, "since_metric": True, "warm": -1},
        {"ever": True, "since_metric": True, "warm": 0.5},
    ],
    "scale_fn": ["x", 3, [1]],
}


@pytest.mark.parametrize("name", ["SequenceLR", "CyclicLR", "CyclicLR object", "PlateauSequence either"])
def test_a_wrong_value_is_refused(name):
    _, scheduler = played(name)
    state, target = scheduler.state_dict(), target_of(name)
    for key in WRONG_VALUES.keys() & state.keys():
        for wrong in WRONG_VALUES[key]:
            refuses(target, {**state, key: wrong}, f"state|{key.rstrip('s')}")


# ---- other numbers of groups


@every_kind
@both_ways
def test_a_state_of_another_number_of_groups_is_refused(case, strict):
    bigger = case.make(make_optimizer((0.05, 0.5, 0.2), momentum=0.9))
    optimizer = mixed()
    smaller = case.make(optimizer)
    optimizer.step()
    step(smaller)
    refuses(smaller, bigger.state_dict(), r"3\D+2\b|2\D+3\b", strict=strict)
    refuses(bigger, smaller.state_dict(), r"3\D+2\b|2\D+3\b", strict=strict)


LISTS = {
    "sequence": lambda opt, pair: SequenceLR(opt, [Inverse()] * 2 if pair else Inverse()),
    "min_lr": lambda opt, pair: InverseLR(opt, min_lr=[0.1, 0.2] if pair else 0.0),
    "max_lr": lambda opt, pair: CyclicLR(opt, 0.1, [0.3, 0.4] if pair else 0.3, 3),
    "base_momentum": lambda opt, pair: CyclicLR(opt, 0.1, 0.3, 3, base_momentum=[0.7, 0.8] if pair else 0.8),
}


@pytest.mark.parametrize("argument", LISTS)
def test_lists_that_do_not_cover_the_groups_of_a_state_are_refused(argument):
    make = LISTS[argument]
    state = make(make_optimizer((0.1, 0.1, 0.1), momentum=0.9), False).state_dict()
    optimizer = mixed()
    scheduler = make(optimizer, True)
    optimizer.step()
    scheduler.step()
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "lr": 0.3})
    refuses(scheduler, state, rf"(?s)(?=.*{argument})(?=.*\b2\b)(?=.*\b3\b)", strict=False)
    before = scheduler.state_dict()
    scheduler.load_state_dict(before)  # its own state; the new group is not adopted yet
    assert scheduler.state_dict() == before


# ---- other classes


def test_the_state_of_another_kind_is_refused():
    for name, case in CASES.items():
        for other, source in CASES.items():
            if name != other:
                refuses(case.make(mixed()), source.make(mixed()).state_dict(), r"(?i)state")


def test_the_state_of_a_subclass_is_refused():
    class Mine(PlateauSequence):
        """A user's subclass."""

    class Own(InverseLR):
        """A user's subclass."""

    for mine, cls, arguments in ((Mine, PlateauSequence, (Inverse(),)), (Own, InverseLR, ())):
        state = mine(mixed(), *arguments).state_dict()
        refuses(cls(mixed(), *arguments), state, rf"(?s){mine.__name__}.*{cls.__name__}")


def test_a_refusal_leaves_no_trace_in_what_follows():
    for name in KINDS:
        _, scheduler = played(name)
        _, other = played(name)
        refuses(other, {**other.state_dict(), "lrs": None})
        assert play(other, 40, 60) == play(scheduler, 40, 60)
