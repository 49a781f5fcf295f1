"""The state of a PlateauSequence: plain, a copy, complete, and never half loaded."""

import copy
import io
import json
import math
import pickle
import random
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import ExponentialLR, ReduceLROnPlateau

from lrsched import (
    Cosine,
    Cutoff,
    Geometric,
    Inverse,
    InverseLR,
    Oscillation,
    Patience,
    PlateauSequence,
    Rule,
    Sawtooth,
    Values,
    Warmup,
)
from tests.helpers import group_lrs, make_optimizer

HALF = Geometric(0.5)


class EveryThird(Rule):
    """A user's rule with state, and no more than a rule needs."""

    state_fields = ("seen", "window")

    def __init__(self):
        self.seen = 0
        self.window = []

    def update(self, metric, mode):
        self.seen += 1
        self.window = [*self.window[-2:], metric]
        return f"third: {self.window}" if self.seen % 3 == 0 else None


# name: sequence, rule, learning rates, other options
SETTINGS = {
    "cutoff": (Inverse(), Cutoff(), [0.1], {}),
    "cutoff in full": (HALF, Cutoff(0.3, decay=0.7, min_cutoff=0.02, previous=0.0), [0.1, 0.5], {"mode": "max"}),
    "oscillation": (Sawtooth(5), Oscillation(), [0.1], {"min_lr": 0.01}),
    "oscillation, advance": (Warmup(3) * Inverse(), Oscillation(previous=0.0), [0.3], {"nonfinite": "advance"}),
    "patience": (HALF, Patience(2, cooldown=2), [0.1, 0.2], {"min_lr": [0.0, 0.05]}),
    "patience abs": (HALF, Patience(0, threshold=0.01, threshold_mode="abs"), [0.1], {"mode": "max"}),
    "either": ([Inverse(), HALF], Cutoff(0.1) | Oscillation() | Patience(3), [0.1, 0.7], {}),
    "a user's rule": (Values([1.0, 0.4, 0.2, 0.3]), EveryThird(), [0.1], {"history": 4}),
    "count": (HALF, Cutoff(0.1), [0.1], {"repeats": "count", "nonfinite": "advance"}),
}
each_setting = pytest.mark.parametrize("setting", SETTINGS)


def make(setting="either"):
    sequence, rule, lrs, options = SETTINGS[setting]
    optimizer = make_optimizer(lrs)
    return optimizer, PlateauSequence(optimizer, sequence, rule, **options)


def script(seed=1, length=80):
    """Return metrics, with None for a step of the optimizer: repeats with and without one, NaN and inf among them."""
    rng = random.Random(seed)
    level, calls = 2.0, [1.5, 1.5]  # the first two before any step
    while len(calls) < length:
        level *= rng.choice([0.9, 1.0])
        metric = rng.choice([level + rng.gauss(0, 0.05), level, calls[-1] or level, math.nan, math.inf])
        calls += [None] * rng.choice([0, 1, 1, 2]) + [metric] * rng.choice([1, 1, 2])
    return calls[:length]


def play(scheduler, calls):
    """Make the calls; return the learning rates after each and what stands at the end, all exact to the bit."""
    lrs = []
    for metric in calls:
        if metric is None:
            scheduler.optimizer.step()
        else:
            scheduler.step(metric)
        lrs.append(group_lrs(scheduler.optimizer))
    return lrs, repr((scheduler.events, scheduler.state_dict(), scheduler.get_last_lr()))


def played(setting="either", calls=script()[:40]):  # noqa: B008
    optimizer, scheduler = make(setting)
    play(scheduler, calls)
    return optimizer, scheduler


def everything(optimizer, scheduler):
    """Return all that a refused state must leave as it was."""
    groups = [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]
    return copy.deepcopy((scheduler.state_dict(), groups, scheduler.events, scheduler.get_last_lr()))


def refuses(scheduler, state, match=None, **options):
    """Assert that the state is refused and nothing has changed."""
    before = everything(scheduler.optimizer, scheduler)
    with pytest.raises((TypeError, ValueError), match=match):
        scheduler.load_state_dict(state, **options)
    assert repr(everything(scheduler.optimizer, scheduler)) == repr(before)


# --- plain, and a copy


@each_setting
def test_it_is_plain(setting):
    for length in (0, 1, 40, 80):
        _, scheduler = played(setting, script()[:length])
        state = scheduler.state_dict()
        assert json.loads(json.dumps(state, allow_nan=False)) == state
        file = io.BytesIO()
        torch.save(state, file)
        file.seek(0)
        assert torch.load(file, weights_only=True) == state


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf], ids=str)
def test_it_is_plain_with_nonfinite_metrics(bad):
    optimizer = make_optimizer()
    scheduler = PlateauSequence(optimizer, HALF, nonfinite="advance")
    scheduler.step(bad)
    state = json.loads(json.dumps(scheduler.state_dict(), allow_nan=False))
    again = PlateauSequence(make_optimizer(), HALF, nonfinite="advance")
    again.load_state_dict(state)
    assert repr(again.events) == repr(scheduler.events)
    assert repr(again.events[0].metric) == repr(bad)
    assert again.state_dict() == scheduler.state_dict()


@pytest.mark.parametrize("kind", ["tensor", "float32", "numpy", "int"])
def test_it_is_plain_whatever_the_learning_rates_are(kind):
    optimizer = make_optimizer([1.0, 2.0], kind)
    scheduler = PlateauSequence(optimizer, HALF, Oscillation(torch.tensor(0.0)), min_lr=torch.tensor(0.25))
    for metric in (torch.tensor(1.0), torch.tensor(2.0, dtype=torch.bfloat16)):
        scheduler.step(metric)
    state = scheduler.state_dict()
    assert json.loads(json.dumps(state, allow_nan=False)) == state
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    assert torch.load(file, weights_only=True) == state


def plain(value):
    if type(value) is dict:
        return all(type(key) is str and plain(entry) for key, entry in value.items())
    if type(value) is list:
        return all(map(plain, value))
    return value is None or type(value) in (int, float, str, bool)


@each_setting
def test_it_holds_no_subclass_of_plain_types(setting):
    _, scheduler = played(setting)
    assert plain(scheduler.state_dict())


@each_setting
def test_it_is_a_copy(setting):
    _, scheduler = played(setting)
    state = scheduler.state_dict()
    kept = copy.deepcopy(state)
    play(scheduler, script(2))
    assert state == kept


def scribble(value):
    """Change everything inside a state, in place."""
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, entry in list(entries):
        if isinstance(entry, (dict, list)):
            scribble(entry)
        else:
            value[key] = "scribbled"
    if isinstance(value, list):
        value.append("scribbled")


@each_setting
def test_changing_it_does_not_change_the_scheduler(setting):
    _, scheduler = played(setting)
    kept = copy.deepcopy(scheduler.state_dict())
    scribble(scheduler.state_dict())
    assert scheduler.state_dict() == kept


@each_setting
def test_loading_neither_changes_nor_keeps_the_argument(setting):
    _, scheduler = played(setting)
    state, kept = scheduler.state_dict(), scheduler.state_dict()
    optimizer, again = make(setting)
    again.load_state_dict(state)
    play(again, script(2))
    assert state == kept
    optimizer, again = make(setting)
    again.load_state_dict(state)
    lrs = group_lrs(optimizer)
    scribble(state)
    assert again.state_dict() == kept
    assert group_lrs(optimizer) == lrs
    assert repr(again.events) == repr(scheduler.events)


def test_the_process_group_stays_out():
    scheduler = PlateauSequence(make_optimizer(), HALF, process_group=object())
    assert "process_group" not in json.dumps(scheduler.state_dict())
    assert copy.deepcopy(scheduler).process_group is None
    assert pickle.loads(pickle.dumps(scheduler)).process_group is None
    assert scheduler.process_group is not None


# --- loading


@each_setting
def test_save_and_load(setting):
    optimizer, scheduler = played(setting)
    other, again = make(setting)
    again.load_state_dict(scheduler.state_dict())
    assert again.state_dict() == scheduler.state_dict()
    assert group_lrs(other) == group_lrs(optimizer)
    assert again.get_last_lr() == scheduler.get_last_lr()
    assert again.get_lr() == scheduler.get_lr()
    assert repr(again.events) == repr(scheduler.events)
    assert (again.position, again.last_epoch) == (scheduler.position, scheduler.last_epoch)
    assert again.rule.state_dict() == scheduler.rule.state_dict()
    assert again.base_lrs == scheduler.base_lrs


@each_setting
@pytest.mark.parametrize("order", ["optimizer first", "scheduler first", "made after the optimizer was loaded"])
@pytest.mark.parametrize("kind", ["float", "tensor"])
def test_either_order_of_loading(setting, order, kind):
    sequence, rule, lrs, options = SETTINGS[setting]

    def fresh():
        return make_optimizer([9 * lr for lr in lrs] if order == "scheduler first" else lrs, kind)

    optimizer = make_optimizer(lrs, kind)
    scheduler = PlateauSequence(optimizer, sequence, rule, **options)
    play(scheduler, script()[:40])
    saved = copy.deepcopy((optimizer.state_dict(), scheduler.state_dict()))
    expected = group_lrs(optimizer)
    rest = play(scheduler, script()[40:])
    other = fresh()
    if order == "made after the optimizer was loaded":
        other.load_state_dict(saved[0])
        again = PlateauSequence(other, sequence, rule, **options)
        again.load_state_dict(saved[1])
    else:
        again = PlateauSequence(other, sequence, rule, **options)
        if order == "optimizer first":
            other.load_state_dict(saved[0])
            again.load_state_dict(saved[1])
        else:
            again.load_state_dict(saved[1])
            assert group_lrs(other) == expected
            other.load_state_dict(saved[0])
    assert group_lrs(other) == expected
    assert [float(lr) for lr in again.get_last_lr()] == [float(lr) for lr in scheduler_lrs(saved[1])]
    assert play(again, script()[40:]) == rest


def scheduler_lrs(state):
    """Return the learning rates in a state: the only list of floats in it that is not the base rates."""
    (key,) = [
        key
        for key, value in state.items()
        if isinstance(value, list) and value and all(type(v) is float for v in value) and "base" not in key
    ]
    return state[key]


@pytest.mark.parametrize("kind", ["tensor", "float32"])
def test_tensors_are_filled_in_place(kind):
    optimizer = make_optimizer([0.1, 0.5], kind)
    scheduler = PlateauSequence(optimizer, HALF, "oscillate")
    play(scheduler, [1.0, 2.0, 3.0])
    other = make_optimizer([0.1, 0.5], kind)
    again = PlateauSequence(other, HALF, "oscillate")
    tensors = [group["lr"] for group in other.param_groups]
    again.load_state_dict(scheduler.state_dict())
    assert all(group["lr"] is lr for group, lr in zip(other.param_groups, tensors, strict=True))
    assert group_lrs(other) == group_lrs(optimizer) == pytest.approx([0.025, 0.125])


def test_the_learning_rates_are_those_of_the_optimizer_not_recomputed():
    optimizer = make_optimizer([0.1, 0.5])
    scheduler = PlateauSequence(optimizer, HALF, "oscillate")
    play(scheduler, [1.0, 2.0])
    optimizer.param_groups[0]["lr"] = 0.007
    other = make_optimizer([0.1, 0.5])
    PlateauSequence(other, HALF, "oscillate").load_state_dict(scheduler.state_dict())
    assert group_lrs(other) == [0.007, 0.25]


def test_beside_a_second_scheduler():
    def build():
        optimizer = make_optimizer([0.4])
        first = PlateauSequence(optimizer, HALF, "oscillate")
        return optimizer, first, ExponentialLR(optimizer, 0.5)

    optimizer, first, second = build()
    optimizer.step()
    first.step(1.0)
    second.step()
    other, again, _ = build()
    again.load_state_dict(first.state_dict())
    assert group_lrs(other) == group_lrs(optimizer) == [0.2]


def test_groups_may_have_lost_their_initial_lr():
    optimizer, scheduler = played()
    other, again = make()
    for group in other.param_groups:
        del group["initial_lr"]
    again.load_state_dict(scheduler.state_dict())
    assert group_lrs(other) == group_lrs(optimizer)
    assert [group["initial_lr"] for group in other.param_groups] == scheduler.base_lrs


def test_the_state_brings_its_base_rates():
    optimizer = make_optimizer([0.1])
    scheduler = PlateauSequence(optimizer, HALF, "oscillate")
    play(scheduler, [1.0, 2.0])
    other = make_optimizer([0.7])
    again = PlateauSequence(other, HALF, "oscillate")
    again.load_state_dict(scheduler.state_dict())
    again.step(3.0)
    assert again.base_lrs == [0.1]
    assert group_lrs(other) == [0.025]


def test_a_group_adopted_before_saving():
    optimizer = make_optimizer([0.1])
    scheduler = PlateauSequence(optimizer, HALF, "oscillate")
    play(scheduler, [1.0, 2.0])
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))], "lr": 0.8})
    scheduler.step(0.5)
    other = make_optimizer([0.1, 0.3])
    again = PlateauSequence(other, HALF, "oscillate")
    again.load_state_dict(scheduler.state_dict())
    assert group_lrs(other) == [0.05, 0.4]
    assert play(again, [2.0, 3.0]) == play(scheduler, [2.0, 3.0])


def test_a_group_added_but_not_yet_adopted_is_saved():
    """Between add_param_group and the next metric the state must still be one that loads."""
    optimizer = make_optimizer([0.1])
    scheduler = PlateauSequence(optimizer, HALF, "oscillate")
    play(scheduler, [1.0, 2.0])
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))], "lr": 0.8})
    state = scheduler.state_dict()
    other = make_optimizer([0.1])
    again = PlateauSequence(other, HALF, "oscillate")
    other.add_param_group({"params": [nn.Parameter(torch.ones(1))], "lr": 0.8})
    again.load_state_dict(state)
    assert play(again, [2.0, 3.0]) == play(scheduler, [2.0, 3.0])


def test_history_of_another_length():
    long = PlateauSequence(make_optimizer(), HALF, "oscillate", history=10)
    play(long, [float(i) for i in range(8)])
    short = PlateauSequence(make_optimizer(), HALF, "oscillate", history=3)
    short.load_state_dict(long.state_dict())
    assert short.events == long.events[-3:]
    short.step(9.0)
    assert [e.position for e in short.events] == [6, 7, 8]


@pytest.mark.parametrize(("history", "kept"), [(0, 0), (3, 3), (1000, 1000)])
def test_the_state_does_not_grow_without_end(history, kept):
    scheduler = PlateauSequence(make_optimizer(), HALF, "oscillate", history=history)
    play(scheduler, [float(i) for i in range(1100)])
    assert len(json.dumps(scheduler.state_dict())) < 400 * kept + 2000


# --- interrupted and uninterrupted


def resume(folder):
    """Continue every saved run, in a process that knows nothing else, and write down what it did."""
    as_json = json.loads((Path(folder) / "states.json").read_text())
    as_torch = torch.load(Path(folder) / "states.pt", weights_only=True)
    out = {}
    for name, state in as_json.items():
        setting, k = name.split(":")
        _, scheduler = make(setting)
        scheduler.load_state_dict(state)
        optimizer, second = make(setting)
        optimizer.load_state_dict(as_torch[name]["optimizer"])
        second.load_state_dict(as_torch[name]["scheduler"])
        out[name] = [play(scheduler, script()[int(k) :]), play(second, script()[int(k) :])]
    (Path(folder) / "resumed").write_bytes(pickle.dumps(out))


def test_interrupted_equals_uninterrupted(tmp_path):
    calls, expected, states, both = script(), {}, {}, {}
    assert {None, math.inf} < set(calls[:50])
    assert any(calls[i] == calls[i + 1] is not None for i in range(50))
    for setting in SETTINGS:
        _, whole = make(setting)
        lrs, end = play(whole, calls)
        assert whole.position > 0
        optimizer, scheduler = make(setting)
        for k in range(51):
            name = f"{setting}:{k}"
            expected[name] = [(lrs[k:], end)] * 2
            states[name] = scheduler.state_dict()
            both[name] = copy.deepcopy({"optimizer": optimizer.state_dict(), "scheduler": states[name]})
            play(scheduler, calls[k : k + 1])
    (tmp_path / "states.json").write_text(json.dumps(states, allow_nan=False))
    torch.save(both, tmp_path / "states.pt")
    code = "import sys; from tests.schedulers.test_plateau_state import resume; resume(sys.argv[1])"
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(tmp_path)], cwd=root, check=True, timeout=120)
    resumed = pickle.loads((tmp_path / "resumed").read_bytes())
    assert resumed.keys() == expected.keys()
    assert [name for name in expected if resumed[name] != expected[name]] == []


@each_setting
@pytest.mark.parametrize("clone", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))], ids=["deepcopy", "pickle"])
def test_interrupted_by_a_copy(setting, clone):
    calls = script()
    _, whole = make(setting)
    for k in range(0, 51, 5):
        _, scheduler = played(setting, calls[:k])
        _, whole = played(setting, calls[:k])
        assert play(clone(scheduler), calls[k:]) == play(whole, calls[k:])


def test_the_guard_is_saved():
    """The second of two equal calls comes after the restart, with no step of the optimizer in between."""
    optimizer = make_optimizer()
    scheduler = PlateauSequence(optimizer, HALF, Cutoff(0.5))
    optimizer.step()
    scheduler.step(1.0)
    state = json.loads(json.dumps(scheduler.state_dict()))
    other = make_optimizer()
    again = PlateauSequence(other, HALF, Cutoff(0.5))
    again.load_state_dict(state)
    again.step(1.0)
    assert (again.last_epoch, again.position) == (1, 0)
    other.step()
    again.step(1.0)
    assert (again.last_epoch, again.position) == (2, 1)


def test_a_step_between_the_metric_and_the_save_is_saved():
    optimizer = make_optimizer()
    scheduler = PlateauSequence(optimizer, HALF, Cutoff(0.5))
    optimizer.step()
    scheduler.step(1.0)
    optimizer.step()
    again = PlateauSequence(make_optimizer(), HALF, Cutoff(0.5))
    again.load_state_dict(scheduler.state_dict())
    again.step(1.0)
    assert (again.last_epoch, again.position) == (2, 1)


# --- refused


def built(sequence=HALF, on="cutoff", lrs=(0.1,), **options):
    return PlateauSequence(make_optimizer(lrs), sequence, on, **options)


@pytest.mark.parametrize(
    ("saved", "present", "one", "other"),
    [
        (built, lambda: built(Inverse()), r"Geometric\(gamma=0.5\)", r"Inverse\(\)"),
        (built, lambda: built(Geometric(0.25)), r"gamma=0.5\b", r"gamma=0.25"),
        (built, lambda: built([HALF]), r"Geometric", r"\[.*Geometric"),
        (lambda: built(Values([0.5] * 40)), lambda: built(Values([0.5] * 41)), "40", "41"),
        (built, lambda: built(on="oscillate"), "Cutoff", "Oscillation"),
        (built, lambda: built(on=Cutoff(0.25)), "cutoff=None", "cutoff=0.25"),
        (built, lambda: built(on=Cutoff(decay=0.75)), "decay=0.2", "decay=0.75"),
        (built, lambda: built(on=Cutoff() | Oscillation()), r"Cutoff\([^|]*$|Cutoff\([^|]*\)[^|]", r"\| Oscillation"),
        (lambda: built(on=Patience(2)), lambda: built(on=Patience(3)), "2", "3"),
        (built, lambda: built(on=EveryThird()), "Cutoff", "EveryThird"),
        (built, lambda: built(mode="max"), "min", "max"),
        (built, lambda: built(min_lr=0.125), r"\b0\.0\b", r"0\.125"),
        (lambda: built(min_lr=[0.25]), lambda: built(min_lr=[0.125]), r"0\.25", r"0\.125"),
    ],
)
def test_other_settings(saved, present, one, other):
    source, target = saved(), present()
    play(source, [2.0, 1.5, 1.0])
    play(target, [1.0, 2.0])
    refuses(target, source.state_dict(), rf"(?s){one}.*{other}|{other}.*{one}")
    refuses(source, target.state_dict(), rf"(?s){one}.*{other}|{other}.*{one}")


def test_a_rule_is_known_by_its_settings_not_by_its_present_state():
    source, target = built(on=Cutoff(0.5)), built(on=Cutoff(0.5))
    play(source, [1.0] * 5)
    play(target, [1.0] * 2)
    target.load_state_dict(source.state_dict())
    assert target.rule.cutoff == source.rule.cutoff < 0.5


def test_the_state_of_another_class():
    other = InverseLR(make_optimizer())
    target = built(Inverse())
    play(target, [1.0, 1.0])
    refuses(target, other.state_dict(), r"(?s)InverseLR.*PlateauSequence|PlateauSequence.*InverseLR|state")
    before = other.state_dict()
    with pytest.raises((TypeError, ValueError), match=r"state"):
        other.load_state_dict(target.state_dict())
    assert other.state_dict() == before


def test_the_state_of_a_subclass_is_of_another_class():
    class Mine(PlateauSequence):
        """A user's own."""

    source = Mine(make_optimizer(), HALF)
    target = built()
    play(target, [1.0, 1.0])
    refuses(target, source.state_dict(), r"(?s)Mine.*PlateauSequence|PlateauSequence.*Mine")


@pytest.mark.parametrize("strict", [True, False])
def test_the_state_of_reduce_lr_on_plateau(strict):
    optimizer = make_optimizer()
    reference = ReduceLROnPlateau(optimizer)
    reference.step(1.0)
    target = built(on=Patience())
    play(target, [1.0, 1.0])
    refuses(target, reference.state_dict(), r"state must be .*state_dict\(\) of a", strict=strict)
    assert not hasattr(target, "best")


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("state", [None, {}, [], 3, "state", b"state", ExponentialLR], ids=str)
def test_no_state_at_all(state, strict):
    target = built()
    play(target, [1.0, 1.0])
    refuses(target, state, "state", strict=strict)


@each_setting
def test_the_order_of_the_entries_makes_no_difference(setting):
    def backwards(value):
        return {key: backwards(entry) for key, entry in reversed(value.items())} if isinstance(value, dict) else value

    _, scheduler = played(setting)
    state = scheduler.state_dict()
    optimizer, other = make(setting)
    other.load_state_dict(backwards(state))
    assert other.state_dict() == state
    assert group_lrs(optimizer) == state["lrs"]


def version_key(state):
    (key,) = [key for key in state if "version" in key]
    return key


@pytest.mark.parametrize("strict", [True, False])
def test_a_newer_version(strict):
    _, scheduler = played()
    state = scheduler.state_dict()
    key = version_key(state)
    _, target = make()
    newer = {**state, key: state[key] + 1}
    refuses(target, newer, rf"version.*{state[key] + 1}", strict=strict)
    refuses(target, {**newer, "more": 1}, rf"version.*{state[key] + 1}", strict=strict)
    for wrong in (0, -1, "1", None, 1.0, True):
        refuses(target, {**state, key: wrong}, "version", strict=strict)


def paths(value, path=()):
    """Return the path of every entry in a state, the inner ones too."""
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    else:
        return []
    return [p for key, entry in items for p in [(*path, key), *paths(entry, (*path, key))]]


def replace(place, key, wrong):
    place[key] = wrong


def edited(state, path, edit):
    """Return a copy of a state with one inner entry edited."""
    state = copy.deepcopy(state)
    place = state
    for key in path[:-1]:
        place = place[key]
    edit(place, path[-1])
    return state


@each_setting
@pytest.mark.parametrize("strict", [True, False])
def test_a_truncated_state(setting, strict):
    _, scheduler = played(setting)
    state = scheduler.state_dict()
    _, target = played(setting, script(2)[:20])
    count = 0
    for path in paths(state):
        free = path[0] == "settings" and len(path) > 1 and not strict  # what they say is then of no account
        users = setting == "a user's rule" and "window" in path[:-1]  # the rule's own business
        fewer = path[0] in ("events", "base_lrs") and isinstance(path[-1], int)  # as before a group was adopted
        if free or users or fewer:
            continue
        match = f"{re.escape(path[-1])}|state must be" if isinstance(path[-1], str) else None
        refuses(target, edited(state, path, lambda place, key: place.pop(key)), match, strict=strict)
        count += 1
    assert count > 10
    for key in state:
        refuses(target, {key: state[key]}, "state", strict=strict)
    target.load_state_dict(state, strict=strict)
    assert target.state_dict() == state


@each_setting
@pytest.mark.parametrize("strict", [True, False])
def test_wrong_types_in_a_state(setting, strict):
    _, scheduler = played(setting)
    state = scheduler.state_dict()
    _, target = played(setting, script(2)[:20])
    for path in paths(state):
        free = path[0] == "settings" and not strict
        users = setting == "a user's rule" and path[0] == "rule" and len(path) > 1  # the rule's own business
        if free or users:
            continue
        value = state
        for key in path:
            value = value[key]
        first = 3 if isinstance(value, str) and value not in ("nan", "inf") else "wrong"
        for wrong in (first, object(), {1: 2}, [object()]):
            refuses(target, edited(state, path, partial(replace, wrong=wrong)), strict=strict)
    target.load_state_dict(state, strict=strict)


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("position", -1),
        ("position", 1.0),
        ("position", True),
        ("last_epoch", -1),
        ("last_epoch", 1.5),
        ("base_lrs", [-0.1, 0.7]),
        ("base_lrs", [math.nan, 0.7]),
        ("base_lrs", ["nan", 0.7]),
        ("base_lrs", [0.1, 0.7, 0.2]),
        ("base_lrs", (0.1, 0.7)),
        ("events", {}),
        ("events", [{}]),
    ],
)
def test_wrong_values_in_a_state(key, wrong):
    _, scheduler = played()
    _, target = played(calls=script(2)[:20])
    state = scheduler.state_dict()
    assert key in state
    refuses(target, {**state, key: wrong}, key.rstrip("s"))


@pytest.mark.parametrize("strict", [True, False])
def test_another_number_of_groups(strict):
    three = built("oscillate" and HALF, "oscillate", [0.1, 0.2, 0.3])
    two = built(HALF, "oscillate", [0.1, 0.2])
    play(three, [1.0, 2.0])
    play(two, [1.0, 2.0, 3.0])
    refuses(two, three.state_dict(), r"\b3\b.*\b2\b", strict=strict)
    refuses(three, two.state_dict(), r"\b2\b.*\b3\b", strict=strict)


# --- strict=False


def test_not_strict_keeps_the_settings_of_the_constructor():
    source = built(Cosine(10), "oscillate", mode="max", min_lr=0.001)
    play(source, [5.0, 4.0, 3.0])
    assert source.position == 2
    other = make_optimizer([0.7])
    target = PlateauSequence(other, Cosine(100), "oscillate", min_lr=0.002, history=5)
    target.load_state_dict(source.state_dict(), strict=False)
    assert target.sequence == Cosine(100)
    assert target.mode == "min"
    assert target.min_lr == 0.002
    assert (target.position, target.last_epoch, target.base_lrs) == (2, 3, [0.1])
    assert group_lrs(other) == source.get_last_lr()  # taken, not recomputed
    assert target.events == source.events
    target.step(4.0)  # rises: an event in mode "min"
    assert group_lrs(other) == pytest.approx([0.1 * (1 + math.cos(math.pi * 3 / 100)) / 2], rel=1e-12)


def test_not_strict_takes_the_state_of_the_rule():
    source, target = built(on=Cutoff(0.5)), built(on=Cutoff(8.0, decay=0.5))
    play(source, [1.0, 1.0])
    target.load_state_dict(source.state_dict(), strict=False)
    assert target.rule.cutoff == 0.1
    target.step(1.0625)
    assert target.rule.cutoff == 0.05
    assert target.position == 2


def test_not_strict_does_not_mix_two_kinds_of_rules():
    source, target = built(on=Cutoff(0.5) | Oscillation()), built(on=Patience(2))
    play(source, [1.0, 1.0])
    play(target, [3.0])
    refuses(target, source.state_dict(), "state|rule", strict=False)


def test_strict_is_the_default_and_a_keyword():
    source, target = built(Cosine(10)), built(Cosine(100))
    refuses(target, source.state_dict(), "strict=False", strict=True)
    target.load_state_dict(source.state_dict(), strict=False)


# --- version 1


def test_a_state_of_version_1_keeps_loading():
    """Saved after 1.0, 0.5, 0.45 with Cutoff(0.1): |0.45 − 0.5| < 0.1 was the first advance, and the cutoff is 0.02."""
    text = (Path(__file__).parent / "fixtures" / "state_v1_PlateauSequence.json").read_text()
    optimizer = make_optimizer([0.1])
    scheduler = PlateauSequence(optimizer, Inverse(), Cutoff(0.1))
    scheduler.load_state_dict(json.loads(text))
    assert (scheduler.position, scheduler.last_epoch, group_lrs(optimizer)) == (1, 3, [0.05])
    assert scheduler.rule.cutoff == pytest.approx(0.02)
    assert [event.epoch for event in scheduler.events] == [3]
    scheduler.step(0.42)
    assert scheduler.position == 1
    scheduler.step(0.41)
    assert (scheduler.position, group_lrs(optimizer)) == (2, [pytest.approx(0.1 / 3)])
