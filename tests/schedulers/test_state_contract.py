"""State dicts: what stands in them, what loading takes and refuses, and that resuming gives the same bits."""

import copy
import functools
import io
import json
import math
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from lrsched import (
    Cosine,
    CyclicLR,
    Geometric,
    GeometricLR,
    ImageLR,
    Inverse,
    InverseLR,
    SawtoothLR,
    SequenceLR,
    StepDecayLR,
    Values,
)
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.cases import BASES, CASES, PICTURE, VARIANTS, Halve, mixed, started

every_class = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
every_variant = pytest.mark.parametrize("case", VARIANTS.values(), ids=VARIANTS)

FIXTURES = Path(__file__).parent / "fixtures"


def advanced(case, steps, optimizer=None):
    optimizer, scheduler = started(case, optimizer)
    for _ in range(steps):
        scheduler.step()
    return optimizer, scheduler


def through_json(state):
    return json.loads(json.dumps(state, allow_nan=False))


def through_torch(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


ROUTES = {"json": through_json, "torch": through_torch}


def kinds(value):
    """Return the types that a nested value is made of."""
    if type(value) is dict:
        return {dict}.union(*map(kinds, value), *map(kinds, value.values()))
    if type(value) is list:
        return {list}.union(*map(kinds, value))
    return {type(value)}


def snapshot(optimizer, scheduler):
    return copy.deepcopy((optimizer.state_dict(), scheduler.state_dict(), scheduler.get_last_lr()))


# ---- what stands in it


@every_variant
def test_case_16_a_state_is_plain_python_and_passes_json_and_weights_only(case):
    _, scheduler = advanced(case, 7)
    state = scheduler.state_dict()
    assert kinds(state) <= {dict, list, str, int, float, bool, type(None)}
    assert state["version"] == 1
    assert state["last_epoch"] == 7
    for route in ROUTES.values():
        assert route(state) == state
    assert pickle.loads(pickle.dumps(state)) == state


@pytest.mark.parametrize(
    "make",
    [
        lambda opt: GeometricLR(opt, np.float64(0.9), min_lr=np.float32(0.25)),
        lambda opt: GeometricLR(opt, torch.tensor(0.9), min_lr=[torch.tensor(0.25), np.float64(0)]),
        lambda opt: StepDecayLR(opt, torch.tensor(0.5), np.int64(3)),
        lambda opt: SawtoothLR(opt, torch.tensor(4), np.bool_(True)),
        lambda opt: SequenceLR(opt, Values(np.array([1.0, 0.5])) * Cosine(np.int32(5)), last_epoch=np.int64(-1)),
        lambda opt: ImageLR(opt, PICTURE, np.int64(60), np.float64(0.1), torch.tensor(0.3)),
        lambda opt: CyclicLR(
            opt, np.float64(0.1), torch.tensor(0.3), np.int64(3), gamma=np.float32(1), max_momentum=np.float64(0.9)
        ),
        lambda opt: CyclicLR(opt, (0.1, 0.2), np.array([0.3, 0.4]).tolist(), 3),
    ],
)
@pytest.mark.parametrize("kind", ["numpy", "tensor", "float32", "int"])
def test_case_16_arguments_and_rates_of_numpy_and_torch_leave_no_trace(make, kind):
    optimizer = make_optimizer((1, 2), kind, momentum=0.9)
    scheduler = make(optimizer)
    optimizer.step()
    scheduler.step()
    state = scheduler.state_dict()
    assert kinds(state) <= {dict, list, str, int, float, bool, type(None)}
    for route in ROUTES.values():
        other = make_optimizer((1, 2), kind, momentum=0.9)
        loader = make(other)
        loader.load_state_dict(route(state))
        assert group_lrs(other) == group_lrs(optimizer)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_case_16_a_rate_that_is_not_finite_does_not_break_json(value):
    optimizer, scheduler = advanced(CASES["InverseLR"], 3)
    optimizer.param_groups[0]["lr"] = value
    optimizer.param_groups[1]["lr"].fill_(value)
    state = through_json(scheduler.state_dict())
    other, loader = started(CASES["InverseLR"])
    loader.load_state_dict(state)
    loader.step()
    assert group_lrs(other) == pytest.approx(CASES["InverseLR"].lrs(4))


@every_variant
def test_case_17_a_state_is_a_copy_and_loading_neither_edits_nor_keeps_it(case):
    optimizer, scheduler = advanced(case, 3)
    state = scheduler.state_dict()
    kept = copy.deepcopy(state)
    for _ in range(10):
        scheduler.step()
    assert state == kept
    scheduler.load_state_dict(state)
    for _ in range(10):
        scheduler.step()
    assert state == kept

    def spoil(value):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            if isinstance(value[key], (dict, list)):
                spoil(value[key])
            else:
                value[key] = "spoilt"

    before = snapshot(optimizer, scheduler)
    scheduler.load_state_dict(state)
    loaded = snapshot(optimizer, scheduler)
    spoil(state)
    assert snapshot(optimizer, scheduler) == loaded
    spoil(scheduler.state_dict())
    assert snapshot(optimizer, scheduler) == loaded
    assert before != loaded
    scheduler.step()
    assert group_lrs(optimizer) == pytest.approx(case.lrs(4), rel=1e-12)


# ---- loading


@every_variant
@pytest.mark.parametrize("route", ROUTES)
def test_case_18_loading_writes_the_rates_in_place_at_once(case, route):
    saved, scheduler = advanced(case, 9)
    state = ROUTES[route](scheduler.state_dict())
    optimizer, loader = started(case)
    tensor = optimizer.param_groups[1]["lr"]
    loader.load_state_dict(state)
    assert optimizer.param_groups[1]["lr"] is tensor
    assert group_lrs(optimizer) == pytest.approx(case.lrs(9), rel=1e-12)
    assert optimizer.param_groups[0]["momentum"] == saved.param_groups[0]["momentum"]
    assert [float(lr) for lr in loader.get_last_lr()] == group_lrs(optimizer)
    assert [type(lr) for lr in loader.get_last_lr()] == [float, torch.Tensor]
    assert loader.last_epoch == 9
    assert loader.state_dict() == state
    loader.step()
    assert group_lrs(optimizer) == pytest.approx(case.lrs(10), rel=1e-12)
    assert optimizer.param_groups[1]["lr"] is tensor


@every_variant
@pytest.mark.parametrize("first", ["optimizer", "scheduler"])
@pytest.mark.parametrize("built", ["before", "between"])
def test_case_18_the_order_of_loading_does_not_matter(case, first, built):
    saved, scheduler = advanced(case, 7)
    state, optimizer_state = scheduler.state_dict(), copy.deepcopy(saved.state_dict())
    optimizer = mixed()
    if built == "between":  # the scheduler is made on an optimizer that was loaded already
        optimizer.load_state_dict(optimizer_state)
    loader = case.make(optimizer)
    loads = [lambda: optimizer.load_state_dict(optimizer_state), lambda: loader.load_state_dict(state)]
    for load in loads if first == "optimizer" else reversed(loads):
        load()
    assert group_lrs(optimizer) == group_lrs(saved)
    optimizer.step()
    for _ in range(5):
        loader.step()
        scheduler.step()
        assert group_lrs(optimizer) == group_lrs(saved)
        assert optimizer.param_groups[0]["momentum"] == saved.param_groups[0]["momentum"]


@every_class
def test_case_18_groups_without_an_initial_lr_can_be_loaded_into(case):
    _, scheduler = advanced(case, 4)
    optimizer, loader = started(case)
    for group in optimizer.param_groups:
        del group["initial_lr"]
    loader.load_state_dict(scheduler.state_dict())
    assert group_lrs(optimizer) == pytest.approx(case.lrs(4), rel=1e-12)
    loader.step()
    assert group_lrs(optimizer) == pytest.approx(case.lrs(5), rel=1e-12)


@every_class
def test_base_rates_come_from_the_state(case):
    _, scheduler = advanced(case, 4)
    other = make_optimizer((7.0, torch.tensor(9.0, dtype=torch.float64)), "asis", momentum=0.9)
    loader = case.make(other)
    loader.load_state_dict(scheduler.state_dict())
    assert loader.base_lrs == scheduler.base_lrs
    if case.cls not in (CyclicLR, ImageLR):
        assert [group["initial_lr"] for group in other.param_groups] == [*BASES]
    other.step()
    for k in range(5, 9):
        loader.step()
        assert group_lrs(other) == pytest.approx(case.lrs(k), rel=1e-12)


@every_class
def test_the_state_holds_the_optimizers_rates_whoever_wrote_them(case):
    optimizer, scheduler = advanced(case, 3)
    optimizer.param_groups[0]["lr"] = 0.123
    optimizer.param_groups[1]["lr"].fill_(0.456)
    other, loader = started(case)
    loader.load_state_dict(scheduler.state_dict())
    assert group_lrs(other) == [0.123, 0.456]
    assert [float(lr) for lr in loader.get_last_lr()] == [0.123, 0.456]
    loader.step()
    assert group_lrs(other) == pytest.approx(case.lrs(4), rel=1e-12)


@every_class
def test_a_loaded_scheduler_does_not_warn_of_the_order_again(case):
    _, scheduler = advanced(case, 3)
    optimizer = mixed()
    loader = case.make(optimizer)
    loader.load_state_dict(scheduler.state_dict())
    loader.step()
    assert group_lrs(optimizer) == pytest.approx(case.lrs(4), rel=1e-12)


def test_a_group_adopted_before_the_save_is_in_the_state():
    optimizer, scheduler = advanced(CASES["InverseLR"], 3)
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "lr": 0.3})
    scheduler.step()
    other = make_optimizer((1.0, 1.0, 1.0))
    loader = InverseLR(other)
    loader.load_state_dict(scheduler.state_dict())
    assert group_lrs(other) == group_lrs(optimizer) == pytest.approx([0.01, 0.1, 0.06])


def test_a_group_added_but_not_yet_stepped_survives_a_save():
    optimizer, scheduler = advanced(CASES["InverseLR"], 3)
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "lr": 0.3})
    other = make_optimizer((1.0, 1.0, 1.0))
    loader = InverseLR(other)
    loader.load_state_dict(scheduler.state_dict())
    other.step()
    loader.step()
    scheduler.step()
    assert group_lrs(other) == group_lrs(optimizer) == pytest.approx([0.01, 0.1, 0.06])


def test_a_function_is_null_and_an_object_its_dict():
    def cyclic(scale_fn):
        optimizer = mixed()
        scheduler = CyclicLR(optimizer, 0.05, 0.4, 3, 4, scale_fn=scale_fn)
        optimizer.step()
        scheduler.step()
        return optimizer, scheduler

    def halve(x):
        return 0.5

    state = cyclic(halve)[1].state_dict()
    assert kinds(state) <= {dict, list, str, int, float, bool, type(None)}
    optimizer, loader = cyclic(lambda x: 0.25)
    loader.load_state_dict(state)
    loader.step()
    assert group_lrs(optimizer)[0] == pytest.approx(0.05 + 0.35 * (2 / 3) * 0.25)  # its own function stays
    saved = Halve(0.75)
    state = cyclic(saved)[1].state_dict()
    assert {"factor": 0.75} in state.values()
    mine = Halve(0.125)
    optimizer, loader = cyclic(mine)
    loader.load_state_dict(state)
    assert mine.factor == 0.75
    loader.step()
    assert group_lrs(optimizer)[0] == pytest.approx(0.05 + 0.35 * (2 / 3) * 0.75)
    saved.factor = 0.5
    assert {"factor": 0.75} in state.values()


class Scaler:
    def scale(self, x):
        return 0.5


@pytest.mark.parametrize(
    "scale_fn",
    [functools.partial(pow, 0.5), math.exp, Scaler().scale],
    ids=["partial", "builtin", "method"],
)
def test_any_callable_can_be_a_scale_fn_in_a_state(scale_fn):
    optimizer = mixed()
    scheduler = CyclicLR(optimizer, 0.05, 0.4, 3, 4, scale_fn=scale_fn)
    optimizer.step()
    scheduler.step()
    other = mixed()
    loader = CyclicLR(other, 0.05, 0.4, 3, 4, scale_fn=scale_fn)
    loader.load_state_dict(scheduler.state_dict())
    assert group_lrs(other) == group_lrs(optimizer)


# ---- refusals

OTHERS = {
    "another class": (lambda opt: GeometricLR(opt, 0.8), lambda opt: InverseLR(opt), r"GeometricLR.*InverseLR"),
    "a named class and SequenceLR": (
        lambda opt: InverseLR(opt),
        lambda opt: SequenceLR(opt, Inverse()),
        r"InverseLR.*SequenceLR",
    ),
    "another gamma": (lambda opt: GeometricLR(opt, 0.8), lambda opt: GeometricLR(opt, 0.75), r"0\.8.*0\.75"),
    "another sequence": (
        lambda opt: SequenceLR(opt, Geometric(0.8)),
        lambda opt: SequenceLR(opt, Inverse()),
        r"Geometric\(gamma=0\.8\).*Inverse\(\)",
    ),
    "another order of sequences": (
        lambda opt: SequenceLR(opt, [Geometric(0.8), Inverse()]),
        lambda opt: SequenceLR(opt, [Inverse(), Geometric(0.8)]),
        r"Geometric\(gamma=0\.8\).*Inverse\(\).*Inverse\(\).*Geometric\(gamma=0\.8\)",
    ),
    "a list and one": (
        lambda opt: SequenceLR(opt, [Inverse(), Inverse()]),
        lambda opt: SequenceLR(opt, Inverse()),
        r"Inverse\(\).*Inverse\(\).*Inverse\(\)",
    ),
    "another min_lr": (
        lambda opt: InverseLR(opt, min_lr=0.25),
        lambda opt: InverseLR(opt, min_lr=0.125),
        r"0\.25.*0\.125",
    ),
    "another min_lr of one group": (
        lambda opt: InverseLR(opt, min_lr=[0.25, 0.5]),
        lambda opt: InverseLR(opt, min_lr=[0.25, 0.125]),
        r"0\.25, 0\.5.*0\.25, 0\.125",
    ),
    "another picture": (
        lambda opt: ImageLR(opt, PICTURE, 60),
        lambda opt: ImageLR(opt, 255 - PICTURE, 60),
        r"sha256.*sha256",
    ),
    "another steps": (
        lambda opt: ImageLR(opt, PICTURE, 60),
        lambda opt: ImageLR(opt, PICTURE, 61),
        r"60.*61",
    ),
    "another max_lr": (
        lambda opt: ImageLR(opt, PICTURE, 60, max_lr=0.25),
        lambda opt: ImageLR(opt, PICTURE, 60, max_lr=0.125),
        r"0\.25.*0\.125",
    ),
    "another base_lr": (
        lambda opt: CyclicLR(opt, 0.0625, 0.5, 3),
        lambda opt: CyclicLR(opt, 0.03125, 0.5, 3),
        r"0\.0625.*0\.03125",
    ),
    "another step size": (lambda opt: CyclicLR(opt, 0.1, 0.5, 3), lambda opt: CyclicLR(opt, 0.1, 0.5, 7), r"3.*7"),
    "another mode": (
        lambda opt: CyclicLR(opt, 0.1, 0.5, 3, mode="triangular2"),
        lambda opt: CyclicLR(opt, 0.1, 0.5, 3, mode="exp_range"),
        r"triangular2.*exp_range",
    ),
    "another momentum": (
        lambda opt: CyclicLR(opt, 0.1, 0.5, 3, max_momentum=0.9375),
        lambda opt: CyclicLR(opt, 0.1, 0.5, 3, max_momentum=0.875),
        r"0\.9375.*0\.875",
    ),
    "a cycled and an uncycled momentum": (
        lambda opt: CyclicLR(opt, 0.1, 0.5, 3),
        lambda opt: CyclicLR(opt, 0.1, 0.5, 3, cycle_momentum=False),
        r"True.*False",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_scheduler_is_refused_both_are_shown_and_nothing_has_changed(name):
    one, other, shown = OTHERS[name]
    for source, target, pattern in ((one, other, rf"(?s){shown}"), (other, one, "state")):
        saved, optimizer = mixed(), mixed()
        state, loader = source(saved).state_dict(), target(optimizer)
        optimizer.step()
        loader.step()
        before = snapshot(optimizer, loader)
        with pytest.raises(ValueError, match=pattern):
            loader.load_state_dict(state)
        assert snapshot(optimizer, loader) == before


def test_not_strictly_the_constructors_settings_stay():
    saved, scheduler = advanced(CASES["GeometricLR"], 5, make_optimizer((0.5,)))
    optimizer = make_optimizer((2.0,))
    loader = GeometricLR(optimizer, gamma=0.5, min_lr=0.001)
    loader.load_state_dict(scheduler.state_dict(), strict=False)
    assert group_lrs(optimizer) == group_lrs(saved) == pytest.approx([0.5 * 0.8**5])
    assert loader.base_lrs == [0.5]
    assert (loader.sequence, loader.min_lr) == (Geometric(0.5), 0.001)
    optimizer.step()
    loader.step()
    assert group_lrs(optimizer) == [0.5 * 0.5**6]
    with pytest.raises(ValueError, match=r"0\.8"):
        loader.load_state_dict(scheduler.state_dict())


def test_not_strictly_a_longer_cosine_goes_on():
    optimizer = make_optimizer((0.5,))
    scheduler = SequenceLR(optimizer, Cosine(10))
    optimizer.step()
    for _ in range(10):
        scheduler.step()
    other = make_optimizer((0.5,))
    longer = SequenceLR(other, Cosine(20))
    longer.load_state_dict(scheduler.state_dict(), strict=False)
    assert group_lrs(other) == [0.0]
    other.step()
    longer.step()
    assert group_lrs(other) == pytest.approx([0.25 * (1 + math.cos(math.pi * 11 / 20))])


@every_class
@pytest.mark.parametrize("strict", [True, False])
def test_what_is_no_state_of_ours_is_refused_and_nothing_has_changed(case, strict):
    optimizer, scheduler = advanced(case, 3)
    good = scheduler.state_dict()
    theirs = lr_scheduler.ExponentialLR(mixed(), 0.9).state_dict()
    cyclic = lr_scheduler.CyclicLR(mixed(), 0.05, 0.4, 3, 4).state_dict()
    plateau = lr_scheduler.ReduceLROnPlateau(mixed()).state_dict()
    newer = {**good, "version": 2}
    wrong_versions = [{**good, "version": version} for version in (None, "1", 1.5, 0, -1)]
    missing = [{name: value for name, value in good.items() if name != left_out} for left_out in good]
    before = snapshot(optimizer, scheduler)
    for state in (theirs, cyclic, plateau, {}, None, 3, [good], newer, *wrong_versions, *missing):
        with pytest.raises((TypeError, ValueError), match="state"):
            scheduler.load_state_dict(state, strict=strict)
        assert snapshot(optimizer, scheduler) == before


@every_class
def test_the_order_of_the_entries_makes_no_difference(case):
    _, scheduler = advanced(case, 3)
    state = scheduler.state_dict()
    optimizer, other = started(case)
    other.load_state_dict(dict(reversed(state.items())))
    assert other.state_dict() == state
    assert group_lrs(optimizer) == pytest.approx(case.lrs(3), rel=1e-12)


def test_a_newer_version_is_told():
    _, scheduler = started(CASES["InverseLR"])
    with pytest.raises(ValueError, match=r"version.*99"):
        scheduler.load_state_dict({**scheduler.state_dict(), "version": 99})


def test_a_missing_entry_is_told():
    _, scheduler = started(CASES["InverseLR"])
    state = scheduler.state_dict()
    del state["last_epoch"]
    with pytest.raises(ValueError, match="last_epoch"):
        scheduler.load_state_dict(state)


@every_variant
def test_damaged_entries_are_refused_and_nothing_has_changed(case):
    optimizer, scheduler = advanced(case, 3)
    good = scheduler.state_dict()
    before = snapshot(optimizer, scheduler)
    for name in good:
        for value in ("x", {"a": 1}, [1, 2, 3], ["x", "y"], 1.5, -7):
            if name == "scale_fn" and isinstance(value, dict):
                continue
            with pytest.raises((TypeError, ValueError), match=f"state|{name}"):
                scheduler.load_state_dict({**good, name: value})
            assert snapshot(optimizer, scheduler) == before, (name, value)


@every_class
@pytest.mark.parametrize("strict", [True, False])
def test_case_06_a_state_of_three_groups_does_not_fit_two(case, strict):
    bigger = make_optimizer((0.05, 0.5, 0.2), momentum=0.9)
    state = case.make(bigger).state_dict()
    optimizer, scheduler = advanced(case, 3)
    before = snapshot(optimizer, scheduler)
    with pytest.raises(ValueError, match=r"3\D+2\b|2\D+3\b"):
        scheduler.load_state_dict(state, strict=strict)
    assert snapshot(optimizer, scheduler) == before
    smaller = scheduler.state_dict()
    scheduler = case.make(bigger)
    before = snapshot(bigger, scheduler)
    with pytest.raises(ValueError, match=r"3\D+2\b|2\D+3\b"):
        scheduler.load_state_dict(smaller, strict=strict)
    assert snapshot(bigger, scheduler) == before


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda opt, pair: SequenceLR(opt, [Inverse()] * 2 if pair else Inverse()), "sequence"),
        (lambda opt, pair: InverseLR(opt, min_lr=[0.1, 0.2] if pair else 0.0), "min_lr"),
        (lambda opt, pair: CyclicLR(opt, 0.1, [0.3, 0.4] if pair else 0.3, 3), "max_lr"),
        (lambda opt, pair: CyclicLR(opt, 0.1, 0.3, 3, base_momentum=[0.7, 0.8] if pair else 0.8), "base_momentum"),
    ],
)
def test_lists_that_do_not_cover_the_groups_of_a_state_are_refused_and_nothing_has_changed(make, argument):
    state = make(make_optimizer((0.1, 0.1, 0.1), momentum=0.9), False).state_dict()
    optimizer = mixed()
    scheduler = make(optimizer, True)
    optimizer.step()
    scheduler.step()
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "lr": 0.3})
    before = snapshot(optimizer, scheduler)
    with pytest.raises(ValueError, match=rf"(?s)(?=.*{argument})(?=.*\b2\b)(?=.*\b3\b)"):
        scheduler.load_state_dict(state, strict=False)
    assert snapshot(optimizer, scheduler) == before
    scheduler.load_state_dict(scheduler.state_dict())  # its own state, the new group not adopted yet
    assert snapshot(optimizer, scheduler) == before


def test_the_dict_of_an_object_is_dropped_where_there_is_no_object_to_take_it():
    state = started(VARIANTS["CyclicLR object"])[1].state_dict()
    optimizer = mixed()
    scheduler = CyclicLR(optimizer, 0.05, 0.4, 3, 4)
    scheduler.load_state_dict(state, strict=False)
    optimizer.step()
    scheduler.step()
    assert group_lrs(optimizer) == pytest.approx(CASES["CyclicLR"].lrs(1), rel=1e-12)
    scheduler = CyclicLR(optimizer, 0.05, 0.4, 3, 4, scale_fn=math.exp)
    scheduler.load_state_dict(state)
    assert group_lrs(optimizer) == pytest.approx(CASES["CyclicLR"].lrs(0), rel=1e-12)


# ---- interrupted and resumed

LAST = 55


def fresh(name):
    """Return what a training script makes anew when it starts: an optimizer and the case's scheduler."""
    optimizer = make_optimizer((BASES[0], torch.tensor(BASES[1])), "asis", momentum=0.9)
    scheduler = VARIANTS[name].make(optimizer)
    optimizer.step()
    return optimizer, scheduler


def rest(optimizer, scheduler, k):
    """Return the learning rates at positions k … LAST."""
    lrs = [group_lrs(optimizer)]
    for _ in range(k, LAST):
        scheduler.step()
        lrs.append(group_lrs(optimizer))
    return lrs


def resume_all(folder):
    """Load every saved state into new objects and write down what follows; runs in a process of its own."""
    for name, states in torch.load(Path(folder) / "states.pt", weights_only=True).items():
        found = {"torch": [], "json": []}
        as_json = json.loads((Path(folder) / f"{name}.json").read_text())
        for k, (state, plain) in enumerate(zip(states, as_json, strict=True)):
            for route, loaded in (("torch", state), ("json", plain)):
                optimizer, scheduler = fresh(name)
                scheduler.load_state_dict(loaded)
                found[route].append(rest(optimizer, scheduler, k))
        (Path(folder) / f"{name}.out").write_text(json.dumps(found))


def test_case_19_interrupted_at_any_step_equals_uninterrupted(tmp_path):
    states, expected = {}, {}
    for name in VARIANTS:
        optimizer, scheduler = fresh(name)
        expected[name], states[name] = [group_lrs(optimizer)], [scheduler.state_dict()]
        for _ in range(LAST):
            scheduler.step()
            expected[name].append(group_lrs(optimizer))
            states[name].append(scheduler.state_dict())
        states[name] = states[name][:51]
        (tmp_path / f"{name}.json").write_text(json.dumps(states[name], allow_nan=False))
    torch.save(states, tmp_path / "states.pt")
    code = f"from tests.schedulers.test_state_contract import resume_all; resume_all({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=Path(__file__).parents[2], check=True)
    for name in VARIANTS:
        found = json.loads((tmp_path / f"{name}.out").read_text())
        for k in range(51):
            assert found["torch"][k] == expected[name][k:], (name, k)
            assert found["json"][k] == expected[name][k:], (name, k)


# ---- old states


@every_variant
def test_case_16_a_state_of_version_1_keeps_loading(case):
    """The fixtures were saved at k = 9; the rates are held against the formulas, never against the fixture."""
    name = next(name for name, other in VARIANTS.items() if other is case)
    state = json.loads((FIXTURES / f"state_v1_{name.replace(' ', '_')}.json").read_text())
    assert state["version"] == 1
    optimizer, scheduler = started(case)
    scheduler.load_state_dict(state)
    assert group_lrs(optimizer) == pytest.approx(case.lrs(9), rel=1e-12)
    for k in range(10, 20):
        scheduler.step()
        assert group_lrs(optimizer) == pytest.approx(case.lrs(k), rel=1e-12)
