"""PlateauSequence calls a user's function after each advance."""

import copy
import json

import pytest

from lrsched import PlateauSequence
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.plateau import HALF, feed, make


def test_it_is_called_once_after_each_advance_with_the_event():
    told = []
    optimizer, scheduler = make(on="oscillate", on_advance=lambda event: told.append((event, group_lrs(optimizer))))
    feed(scheduler, [1.0, 1.5])
    (event, lrs) = told[0]
    assert event is scheduler.events[0]
    assert lrs == event.new_lrs == [0.05]  # the new rates are there already
    feed(scheduler, [1.0, 1.5, 2.0])
    assert [event.position for event, _ in told] == [1, 2, 3]


def test_without_an_advance_it_is_not_called():
    told = []
    feed(make(on="oscillate", on_advance=told.append)[1], [3.0, 2.0, 1.0])
    assert told == []


def test_it_is_called_if_no_events_are_kept():
    told = []
    feed(make(on="oscillate", on_advance=told.append, history=0)[1], [1.0, 2.0])
    assert [event.position for event in told] == [1]


def test_it_may_write_a_rate_which_is_respected():
    optimizer, scheduler = make(on="oscillate", on_advance=lambda event: optimizer.param_groups[0].update(lr=0.04))
    feed(scheduler, [1.0, 2.0])
    assert group_lrs(optimizer) == [0.04]
    scheduler.on_advance = None
    feed(scheduler, [3.0])
    assert group_lrs(optimizer) == pytest.approx([0.02], rel=1e-12)


def test_its_error_reaches_the_user_after_the_advance():
    def fails(event):
        raise RuntimeError(f"at position {event.position}")

    optimizer, scheduler = make(on="oscillate", on_advance=fails)
    scheduler.step(1.0)
    with pytest.raises(RuntimeError, match=r"^at position 1$"):
        scheduler.step(2.0)
    assert (scheduler.position, scheduler.last_epoch, len(scheduler.events)) == (1, 2, 1)
    assert group_lrs(optimizer) == [0.05]


def test_it_is_not_in_the_state():
    _, scheduler = make(on="oscillate", on_advance=print)
    state = scheduler.state_dict()
    assert "on_advance" not in json.dumps(state)
    other = PlateauSequence(make_optimizer(), HALF, "oscillate")
    other.load_state_dict(state)
    assert other.on_advance is None


def test_a_copy_keeps_it():
    told = []
    twin = copy.deepcopy(make(on="oscillate", on_advance=print)[1])
    assert twin.on_advance is print
    assert told == []
