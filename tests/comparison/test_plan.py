"""What a process is to train, by what is finished, what was under way, and what other processes hold."""

from types import SimpleNamespace

import pytest

from lrsched.comparison import _plan
from lrsched.comparison._plan import Plan, option_reason

PAIRS = [(name, seed) for seed in (0, 1) for name in ("sgd", "adam", "odd", "more")]
SGD, ADAM, OTHER = (1, "sgd"), (1, "adam"), (2, "sgd")
KINDS = {"sgd": SGD, "adam": ADAM, "odd": SGD, "more": OTHER}
REASONS = {"sgd": None, "adam": None, "odd": option_reason("momentum"), "more": None}


def units(finished=(), held=(), others=(), rank=0, monkeypatch=None):
    if monkeypatch:
        monkeypatch.setattr(_plan, "rank", lambda: rank)
        monkeypatch.setattr(_plan, "gathered", lambda value: [*others[:rank], value, *others[rank:]])
    plan = Plan(None, {}, PAIRS, KINDS, REASONS)
    return plan.units(
        SimpleNamespace(runs=dict.fromkeys(finished), configs={}), SimpleNamespace(pairs=lambda _: [*held])
    )


def test_runs_go_together_by_their_param_groups_and_next_to_each_other_by_their_optimizers():
    assert units() == [
        [("sgd", 0), ("sgd", 1), ("adam", 0), ("adam", 1)],
        [("odd", 0)],
        [("more", 0), ("more", 1)],
        [("odd", 1)],
    ]
    assert REASONS["odd"] == "its scheduler changes momentum besides lr"


def test_what_was_under_way_comes_first_and_what_is_finished_not_at_all():
    assert units(finished=PAIRS[:4], held=[("odd", 1)]) == [[("odd", 1)], [("sgd", 1), ("adam", 1)], [("more", 1)]]


@pytest.mark.parametrize("held", [[("sgd", 0)], [("gone", 0), ("more", 1)]])
def test_a_checkpoint_of_finished_or_unknown_runs_is_left_alone(held):
    assert units(finished=PAIRS[:7], held=held) == [[("more", 1)]]


def test_processes_share_out_what_no_other_holds(monkeypatch):
    mine = units(held=[("odd", 0)], others=[[("sgd", 0), ("adam", 0)]], rank=1, monkeypatch=monkeypatch)
    assert mine == [[("odd", 0)], [("sgd", 1)], [("odd", 1)]]  # of more 0, sgd 1, adam 1, odd 1, more 1 every second


def test_two_checkpoints_of_one_run_are_resumed_by_the_first_process_alone(monkeypatch):
    both = [("odd", 0)]
    assert units(held=both, others=[both], rank=0, monkeypatch=monkeypatch)[0] == both
    assert both not in units(held=both, others=[both], rank=1, monkeypatch=monkeypatch)


def test_what_a_process_gives_up_another_trains(monkeypatch):
    """A checkpoint of more runs than are taken elsewhere is left alone, and all its other runs are shared out."""
    stale, first = [("sgd", 0), ("more", 1)], [("sgd", 0), ("adam", 0)]
    shares = [
        units(held=held, others=[other], rank=rank, monkeypatch=monkeypatch)
        for rank, (held, other) in enumerate([(first, stale), (stale, first)])
    ]
    trained = [pair for share in shares for unit in share for pair in unit]
    assert sorted(trained) == sorted(PAIRS)
