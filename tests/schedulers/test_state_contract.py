"""State dicts of every scheduler: plain, complete, a copy; resuming at any step gives the same bits."""

import copy
import itertools
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.helpers import group_lrs
from tests.schedulers.states import (
    KINDS,
    LENGTH,
    NAMES,
    OTHER_METRICS,
    PLAIN,
    ROUTES,
    everything,
    held,
    make,
    momenta,
    optimizer_for,
    play,
    played,
    scheduler_on,
    types_in,
)

ROOT = Path(__file__).parents[2]
every_state = pytest.mark.parametrize("name", KINDS)


def scribble(value):
    """Overwrite everything inside a state, in place."""
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, entry in list(entries):
        if isinstance(entry, (dict, list)):
            scribble(entry)
        else:
            value[key] = "scribbled"
    if isinstance(value, list):
        value.append("scribbled")


# ---- what a state holds


@every_state
def test_a_state_is_plain_python_and_passes_json_and_weights_only(name):
    for calls in (0, 1, 40, LENGTH):
        _, scheduler = played(name, calls)
        state = scheduler.state_dict()
        assert types_in(state) <= PLAIN
        assert state["version"] == 2
        assert state["last_epoch"] == scheduler.last_epoch
        for route in ROUTES.values():
            assert route(state) == state
        assert pickle.loads(pickle.dumps(state)) == state


@every_state
def test_a_state_is_a_copy(name):
    _, scheduler = played(name)
    state = scheduler.state_dict()
    kept = copy.deepcopy(state)
    scribble(scheduler.state_dict())
    assert scheduler.state_dict() == kept
    play(scheduler, 0, LENGTH, OTHER_METRICS)
    assert scheduler.state_dict() != kept
    assert state == kept


@every_state
def test_loading_neither_changes_nor_keeps_the_state(name):
    _, scheduler = played(name)
    state, kept = scheduler.state_dict(), scheduler.state_dict()
    _, loader = make(name)
    loader.load_state_dict(state)
    play(loader, 0, LENGTH, OTHER_METRICS)
    assert state == kept
    _, loader = make(name)
    loader.load_state_dict(state)
    before = everything(loader)
    scribble(state)
    assert everything(loader) == before
    assert loader.state_dict() == kept


@every_state
def test_a_state_holds_the_rates_of_the_optimizer_and_those_last_written(name):
    optimizer, scheduler = played(name)
    written = [0.125 + i for i in range(len(optimizer.param_groups))]
    for group, lr in zip(optimizer.param_groups, written, strict=True):
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr
    other, loader = make(name)
    loader.load_state_dict(scheduler.state_dict())
    assert group_lrs(other) == written
    assert [float(lr) for lr in loader.get_last_lr()] == [float(lr) for lr in scheduler.get_last_lr()] != written
    assert play(loader, 40, LENGTH) == play(scheduler, 40, LENGTH)  # both have heard the same


@every_state
def test_a_rate_that_is_not_finite_passes_json(name):
    optimizer, scheduler = played(name)
    for value in (float("nan"), float("inf")):
        optimizer.param_groups[0]["lr"] = value
        state = ROUTES["json"](scheduler.state_dict())
        other, loader = make(name)
        loader.load_state_dict(state)
        assert repr(group_lrs(other)) == repr(group_lrs(optimizer))


# ---- loading


@every_state
@pytest.mark.parametrize("route", ROUTES)
def test_loading_gives_the_same_scheduler_and_writes_its_rates_in_place(name, route):
    saved, scheduler = played(name)
    optimizer, loader = make(name)
    tensors = [group["lr"] for group in optimizer.param_groups if isinstance(group["lr"], torch.Tensor)]
    loader.load_state_dict(ROUTES[route](scheduler.state_dict()))
    assert group_lrs(optimizer) == group_lrs(saved)
    assert momenta(optimizer) == momenta(saved)
    assert held(loader) == held(scheduler)
    assert [type(lr) for lr in loader.get_last_lr()] == [type(group["lr"]) for group in optimizer.param_groups]
    play(loader, 40, LENGTH)
    now = [group["lr"] for group in optimizer.param_groups if isinstance(group["lr"], torch.Tensor)]
    assert len(now) == len(tensors)
    assert all(after is before for after, before in zip(now, tensors, strict=True))


@every_state
@pytest.mark.parametrize(("first", "made"), [*itertools.product(["optimizer", "scheduler"], ["before", "between"])])
def test_the_order_of_loading_does_not_matter(name, first, made):
    saved, scheduler = played(name)
    state, optimizer_state = scheduler.state_dict(), copy.deepcopy(saved.state_dict())
    optimizer = optimizer_for(name, factor=9 if (first, made) == ("scheduler", "before") else 1)
    if made == "between":  # the scheduler is made on an optimizer that was loaded already
        optimizer.load_state_dict(optimizer_state)
    loader = scheduler_on(name, optimizer)
    loads = [lambda: optimizer.load_state_dict(optimizer_state), lambda: loader.load_state_dict(state)]
    for load in loads if first == "optimizer" else reversed(loads):
        load()
    assert group_lrs(optimizer) == group_lrs(saved)
    assert play(loader, 40, LENGTH) == play(scheduler, 40, LENGTH)  # with no warning about the order of calls


@every_state
def test_groups_without_an_initial_lr_can_be_loaded_into(name):
    _, scheduler = played(name)
    optimizer, loader = make(name)
    for group in optimizer.param_groups:
        del group["initial_lr"]
    loader.load_state_dict(scheduler.state_dict())
    assert play(loader, 40, LENGTH) == play(scheduler, 40, LENGTH)
    if not name.startswith(("CyclicLR", "ImageLR", "OneCycleLR")):  # these own their limits
        assert [group["initial_lr"] for group in optimizer.param_groups] == scheduler.base_lrs


@every_state
def test_base_rates_come_from_the_state(name):
    _, scheduler = played(name)
    optimizer, loader = make(name, factor=7)
    loader.load_state_dict(scheduler.state_dict())
    assert loader.base_lrs == scheduler.base_lrs
    if not name.startswith(("CyclicLR", "ImageLR", "OneCycleLR")):
        assert [group["initial_lr"] for group in optimizer.param_groups] == scheduler.base_lrs
    assert play(loader, 40, LENGTH) == play(scheduler, 40, LENGTH)


@pytest.mark.parametrize("name", ["SequenceLR", "GeometricLR floor", "PlateauSequence oscillation"])
@pytest.mark.parametrize("adopted", [True, False])
def test_a_group_that_was_added_is_in_the_state(name, adopted):
    """The group comes before the save, and the scheduler has made a step with it, or none yet."""

    def add_group(optimizer):
        optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "lr": 0.8})

    optimizer, scheduler = played(name)
    add_group(optimizer)
    if adopted:
        play(scheduler, 40, 45)
    other, loader = make(name)
    add_group(other)
    loader.load_state_dict(scheduler.state_dict())
    assert group_lrs(other) == group_lrs(optimizer)
    assert len(loader.base_lrs) == len(optimizer.param_groups) - (not adopted)
    assert play(loader, 45, LENGTH) == play(scheduler, 45, LENGTH)
    assert len(loader.base_lrs) == len(optimizer.param_groups)


@every_state
def test_the_order_of_the_entries_makes_no_difference(name):
    def backwards(value):
        return {key: backwards(entry) for key, entry in reversed(value.items())} if isinstance(value, dict) else value

    _, scheduler = played(name)
    _, loader = make(name)
    loader.load_state_dict(backwards(scheduler.state_dict()))
    assert held(loader) == held(scheduler)


# ---- interrupted and resumed

STOPS = range(51)


def resume(folder):
    """Load every saved state into new objects and write down what follows; this runs in a process of its own."""
    resumed = {}
    for name, states in json.loads((Path(folder) / "states.json").read_text()).items():
        for k, state in enumerate(states):
            _, scheduler = make(name)
            scheduler.load_state_dict(state)
            resumed[name, k, "json"] = play(scheduler, k, LENGTH)
    for (name, k), state in torch.load(Path(folder) / "states.pt", weights_only=True).items():
        optimizer, scheduler = make(name)
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        resumed[name, k, "torch"] = play(scheduler, k, LENGTH)
    (Path(folder) / "resumed").write_bytes(pickle.dumps(resumed))


def test_interrupted_at_any_step_equals_uninterrupted(tmp_path):
    states, with_optimizer, expected = {}, {}, {}
    for name in NAMES:
        _, whole = make(name)
        followed, end = play(whole, 0, LENGTH)
        assert len({str(rates) for rates, _ in followed}) > 1, name
        optimizer, scheduler = make(name)
        states[name] = []
        for k in STOPS:
            states[name].append(scheduler.state_dict())
            expected[name, k, "json"] = (followed[k:], end)
            if k % 4 == 0:
                with_optimizer[name, k] = {
                    "optimizer": copy.deepcopy(optimizer.state_dict()),
                    "scheduler": scheduler.state_dict(),
                }
                expected[name, k, "torch"] = (followed[k:], end)
            play(scheduler, k, k + 1)
    (tmp_path / "states.json").write_text(json.dumps(states, allow_nan=False))
    torch.save(with_optimizer, tmp_path / "states.pt")
    code = "import sys; from tests.schedulers.test_state_contract import resume; resume(sys.argv[1])"
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(tmp_path)], cwd=ROOT, check=True)
    resumed = pickle.loads((tmp_path / "resumed").read_bytes())
    assert resumed.keys() == expected.keys()
    assert [stop for stop in expected if resumed[stop] != expected[stop]] == []


@every_state
def test_interrupted_by_a_copy_equals_uninterrupted(name):
    for k in range(0, 51, 10):
        _, scheduler = played(name, k)
        copies = [copy.deepcopy(scheduler), pickle.loads(pickle.dumps(scheduler))]
        expected = play(scheduler, k, LENGTH)
        assert [play(twin, k, LENGTH) for twin in copies] == [expected] * 2
