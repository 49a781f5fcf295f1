"""Which runs a process trains, given what is finished, what was in training, and what other processes hold."""

from types import SimpleNamespace

import pytest

from lrsched import Setting
from lrsched.comparison import _plan
from lrsched.comparison._one_by_one import OneByOne
from lrsched.comparison._plan import Plan
from lrsched.comparison._profile import Profile, examine
from lrsched.comparison._side_by_side import SideBySide
from tests.comparison.helpers import adam, hidden, sgd, task

PAIRS = [(name, seed) for seed in (0, 1) for name in ("sgd", "adam", "odd", "more")]


def profile(signature, groups=1, starting_option=None):
    return Profile(None, signature, (), [{}] * groups, {}, None, starting_option, None, [])


PROFILES = {
    "sgd": profile("sgd"),
    "adam": profile("adam"),
    "odd": profile("sgd", starting_option="momentum"),
    "more": profile("sgd of 2 groups", groups=2),
}


def groups(finished=(), held=(), others=(), rank=0, monkeypatch=None):
    if monkeypatch:
        monkeypatch.setattr(_plan, "rank", lambda: rank)
        monkeypatch.setattr(_plan, "gathered", lambda value: [*others[:rank], value, *others[rank:]])
    file = SimpleNamespace(runs=dict.fromkeys(finished), configs={})
    return Plan(None, PROFILES, PAIRS).groups(file, SimpleNamespace(pairs=lambda configs: [*held]))


def test_runs_are_grouped_by_their_param_groups_and_sorted_by_their_optimizers():
    assert groups() == [
        [("sgd", 0), ("sgd", 1), ("adam", 0), ("adam", 1)],
        [("odd", 0)],
        [("more", 0), ("more", 1)],
        [("odd", 1)],
    ]


def test_runs_in_training_come_first_and_finished_ones_are_left_out():
    assert groups(finished=PAIRS[:4], held=[("odd", 1)]) == [[("odd", 1)], [("sgd", 1), ("adam", 1)], [("more", 1)]]


@pytest.mark.parametrize("held", [[("sgd", 0)], [("gone", 0), ("more", 1)]], ids=["finished", "unknown"])
def test_a_checkpoint_of_finished_or_unknown_runs_is_ignored(held):
    assert groups(finished=PAIRS[:7], held=held) == [[("more", 1)]]


def test_processes_divide_the_runs_that_no_checkpoint_holds(monkeypatch):
    mine = groups(held=[("odd", 0)], others=[[("sgd", 0), ("adam", 0)]], rank=1, monkeypatch=monkeypatch)
    assert mine == [[("odd", 0)], [("sgd", 1)], [("odd", 1)]]  # every second of: more 0, sgd 1, adam 1, odd 1, more 1


def test_of_two_checkpoints_of_one_run_only_the_first_is_resumed(monkeypatch):
    both = [("odd", 0)]
    assert groups(held=both, others=[both], rank=0, monkeypatch=monkeypatch)[0] == both
    assert both not in groups(held=both, others=[both], rank=1, monkeypatch=monkeypatch)


def test_runs_of_an_ignored_checkpoint_are_trained_by_some_process(monkeypatch):
    stale, first = [("sgd", 0), ("more", 1)], [("sgd", 0), ("adam", 0)]
    shares = [
        groups(held=held, others=[other], rank=rank, monkeypatch=monkeypatch)
        for rank, (held, other) in enumerate([(first, stale), (stale, first)])
    ]
    trained = [pair for share in shares for group in share for pair in group]
    assert sorted(trained) == sorted(PAIRS)


def test_a_setting_found_to_change_another_option_is_planned_alone_from_then_on():
    plan = Plan(None, PROFILES, PAIRS)
    first = [("sgd", 0), ("sgd", 1), ("adam", 0), ("adam", 1)]
    assert plan.replan(first, "sgd", "its scheduler changes momentum") == [
        [("sgd", 0)],
        [("sgd", 1)],
        [("adam", 0), ("adam", 1)],
    ]
    assert plan.split([("adam", 0), ("sgd", 0)]) == [[("adam", 0)], [("sgd", 0)]]


SETTINGS = {
    "a": Setting(sgd(0.1)),
    "b": Setting(sgd(0.2)),
    "c": Setting(adam()),
    "d": Setting(sgd(0.1, momentum=0.9)),
}


@pytest.mark.parametrize(
    ("pairs", "kind", "reason"),
    [
        ([("a", 0), ("b", 0)], SideBySide, "2 runs sharing one optimizer, differing only in lr"),
        ([("a", 0), ("c", 0), ("d", 1)], SideBySide, "3 runs sharing 3 optimizers, differing only in lr"),
        ([("a", 0)], OneByOne, "no other run can share its ensemble"),
    ],
    ids=["one optimizer", "three optimizers", "one run"],
)
def test_a_group_is_trained_side_by_side_if_it_has_several_runs(pairs, kind, reason):
    one = task()
    cohort = Plan(one, examine(SETTINGS, one, hidden(), "auto"), pairs).cohort(pairs)
    assert type(cohort) is kind
    assert {member.run.reason for member in cohort.members} == {reason}


def test_a_setting_with_an_obstacle_is_trained_alone_for_that_reason():
    one = task()
    plan = Plan(one, examine(SETTINGS, one, hidden(), False), [("a", 0)])
    (member,) = plan.cohort([("a", 0)]).members
    assert (member.run.method, member.run.reason) == ("one after another", "vectorize=False")
