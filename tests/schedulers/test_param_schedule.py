"""ParamSchedule: an option follows a sequence; the learning rate is left to others; states, groups, bad input."""

import copy
import itertools
import json
import math
import pickle

import pytest
import torch
from torch.optim.lr_scheduler import ChainedScheduler, LinearLR, LRScheduler, SequentialLR

from lrsched import Constant, Cosine, GeometricLR, Inverse, Linear, ParamSchedule, PlateauSequence, Values, Warmup
from tests.helpers import group_lrs, make_optimizer
from tests.schedulers.cases import quietly
from tests.schedulers.states import PLAIN, through_torch, types_in
from tests.versions import ignore_step_of_sequential


def decaying(decays=(0.4,), optimizer=torch.optim.AdamW, **options):
    """Return an optimizer with one param group for each weight decay."""
    groups = [{"params": [torch.nn.Parameter(torch.ones(1))], "weight_decay": decay} for decay in decays]
    return optimizer(groups, lr=0.1, **options)


def values(optimizer, name="weight_decay"):
    return [float(group[name]) for group in optimizer.param_groups]


def follow(optimizer, scheduler, n, name="weight_decay"):
    """Return the values at positions 0 to n − 1."""
    seen = [values(optimizer, name)]
    optimizer.step()
    for _ in range(n - 1):
        scheduler.step()
        seen.append(values(optimizer, name))
    return seen


# ---- values


def test_weight_decay_rises_by_a_cosine_as_in_self_supervised_training():
    """DINO: wd(k) = 0.4 + (0.04 − 0.4)·(1 + cos(π·k/n))/2. Groups without weight decay stay without."""
    n = 10
    optimizer = decaying((0.4, 0.0))
    scheduler = ParamSchedule(optimizer, "weight_decay", Warmup(n, shape="cosine"), low=0.04)
    seen = follow(optimizer, scheduler, n + 3)
    expected = [0.4 + 0.5 * (0.04 - 0.4) * (1 + math.cos(math.pi * min(k, n) / n)) for k in range(n + 3)]
    assert [value for value, _ in seen] == pytest.approx(expected, rel=1e-12)
    assert [value for value, _ in (seen[0], seen[5], seen[10])] == pytest.approx([0.04, 0.22, 0.4], rel=1e-12)
    assert [value for _, value in seen] == [0.0] * (n + 3)


def test_a_decaying_sequence_leads_from_the_base_up_to_a_larger_low():
    optimizer = decaying((0.04, 0.0))
    seen = follow(optimizer, ParamSchedule(optimizer, "weight_decay", Cosine(10), low=0.4), 12)
    expected = [0.4 + (0.04 - 0.4) * (1 + math.cos(math.pi * min(k, 10) / 10)) / 2 for k in range(12)]
    assert [value for value, _ in seen] == pytest.approx(expected, rel=1e-12)
    assert [value for _, value in seen] == [0.0] * 12  # biases without weight decay stay without


def test_an_option_that_is_0_in_every_group_rises_to_low():
    optimizer = decaying((0.0, 0.0))
    seen = follow(optimizer, ParamSchedule(optimizer, "weight_decay", Linear(2), low=0.5), 3)
    assert seen == [[0.0, 0.0], [0.25, 0.25], [0.5, 0.5]]


def test_a_list_says_what_becomes_of_a_group_at_0():
    optimizer = decaying((0.5, 0.0))
    seen = follow(optimizer, ParamSchedule(optimizer, "weight_decay", Linear(2), low=[0.5, 0.25]), 3)
    assert seen == [[0.5, 0.0], [0.5, 0.125], [0.5, 0.25]]


def test_a_decay_leads_from_the_base_to_low():
    optimizer = decaying((0.5,))
    seen = follow(optimizer, ParamSchedule(optimizer, "weight_decay", Linear(4), low=0.1), 6)
    assert seen == [[pytest.approx(value)] for value in (0.5, 0.4, 0.3, 0.2, 0.1, 0.1)]


def test_without_low_the_value_is_the_base_times_the_factor():
    optimizer = decaying((0.5, 0.3))
    seen = follow(optimizer, ParamSchedule(optimizer, "weight_decay", Inverse()), 4)
    assert seen == [[0.5 / k, 0.3 / k] for k in (1, 2, 3, 4)]


def test_low_and_sequence_may_be_lists():
    optimizer = decaying((0.5, 0.5))
    scheduler = ParamSchedule(optimizer, "weight_decay", [Values([1.0, 0.5, 0.0]), Constant()], low=[0.25, 0.0])
    assert follow(optimizer, scheduler, 3) == [[0.5, 0.5], [0.375, 0.5], [0.25, 0.5]]
    assert (scheduler.low, scheduler.sequence[1]) == ([0.25, 0.0], Constant())


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.RMSprop])
def test_momentum_is_the_option_momentum(optimizer):
    optimizer = make_optimizer((0.1,), optimizer=optimizer, momentum=0.5)
    assert follow(optimizer, ParamSchedule(optimizer, "momentum", Inverse()), 2, "momentum") == [[0.5], [0.25]]


@pytest.mark.parametrize("options", [{}, {"fused": True}, {"foreach": True}], ids=str)
def test_momentum_is_the_first_beta_where_there_are_betas(options):
    optimizer = decaying(betas=(0.8, 0.99), **options)
    scheduler = ParamSchedule(optimizer, "momentum", Inverse())
    optimizer.param_groups[0]["params"][0].grad = torch.ones(1)
    for k in (1, 2, 3):
        assert optimizer.param_groups[0]["betas"] == (0.8 / k, 0.99)
        assert type(optimizer.param_groups[0]["betas"]) is tuple
        assert optimizer.param_groups[0]["initial_momentum"] == 0.8
        optimizer.step()
        scheduler.step()


def test_any_number_of_the_groups_can_be_scheduled_and_becomes_a_float():
    optimizer = make_optimizer((0.1,))
    optimizer.param_groups[0]["temperature"] = 4
    seen = follow(optimizer, ParamSchedule(optimizer, "temperature", Inverse(), low=2), 2, "temperature")
    assert seen == [[4.0], [3.0]]
    assert type(optimizer.param_groups[0]["temperature"]) is float


def test_a_tensor_stays_the_same_tensor():
    optimizer, decay = decaying((0.5,)), torch.tensor(0.5)
    optimizer.param_groups[0]["weight_decay"] = decay
    scheduler = ParamSchedule(optimizer, "weight_decay", Inverse())
    optimizer.step()
    scheduler.step()
    scheduler.load_state_dict(scheduler.state_dict())
    assert optimizer.param_groups[0]["weight_decay"] is decay
    assert float(decay) == 0.25
    assert optimizer.param_groups[0]["initial_weight_decay"] == 0.5


def test_the_values_are_absolute_and_the_last_ones_can_be_read():
    optimizer = decaying((0.5,))
    scheduler = ParamSchedule(optimizer, "weight_decay", Inverse())
    optimizer.param_groups[0]["weight_decay"] = 7.0
    assert scheduler.get_last_value() == [0.5]
    optimizer.step()
    scheduler.step()
    assert values(optimizer) == scheduler.get_last_value() == [0.25]
    quietly(lambda: scheduler.step(4))
    assert values(optimizer) == [0.1]


# ---- the learning rate is left to others


def test_it_is_a_scheduler_that_never_writes_the_learning_rate():
    lr = torch.tensor(0.3)
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))], lr=lr)
    scheduler = ParamSchedule(optimizer, "weight_decay", Inverse())
    assert isinstance(scheduler, LRScheduler)
    assert not hasattr(scheduler, "total_steps")
    version = lr._version
    optimizer.step()
    scheduler.step()
    scheduler.load_state_dict(scheduler.state_dict())
    assert optimizer.param_groups[0]["lr"] is lr
    assert lr._version == version
    (last,) = scheduler.get_last_lr()
    assert last is not lr
    assert (float(last), float(scheduler.get_lr()[0])) == (float(lr), float(lr))
    assert [float(base) for base in scheduler.base_lrs] == [float(lr)]


@pytest.mark.parametrize("first", ["lr", "option"])
def test_beside_an_lr_scheduler_both_follow_their_own_sequence_and_resume(first):
    def new():
        optimizer = decaying((0.4,))
        makers = {
            "lr": lambda: GeometricLR(optimizer, 0.5),
            "option": lambda: ParamSchedule(optimizer, "weight_decay", Linear(8), low=0.1),
        }
        order = sorted(makers, key=lambda name: name != first)
        return optimizer, {name: makers[name]() for name in order}

    expected = [(0.1 * 0.5**k, 0.1 + 0.3 * (1 - k / 8)) for k in range(8)]
    for stop in range(8):
        optimizer, schedulers = new()
        optimizer.step()
        for k in range(stop):
            assert (group_lrs(optimizer)[0], *values(optimizer)) == pytest.approx(expected[k], rel=1e-12)
            for scheduler in schedulers.values():
                scheduler.step()
            assert schedulers["option"].get_last_lr() == schedulers["lr"].get_last_lr()
        resumed, loaders = new()
        loads = [
            lambda optimizer=optimizer, resumed=resumed: resumed.load_state_dict(copy.deepcopy(optimizer.state_dict())),
            *(
                lambda name=name, pair=(schedulers, loaders): pair[1][name].load_state_dict(pair[0][name].state_dict())
                for name in loaders
            ),
        ]
        for load in loads if stop % 2 else reversed(loads):
            load()
        resumed.step()
        for k in range(stop, 8):
            assert (group_lrs(resumed)[0], *values(resumed)) == pytest.approx(expected[k], rel=1e-12)
            for scheduler in reversed(loaders.values()):
                scheduler.step()


def test_beside_a_plateau_sequence():
    optimizer = decaying((0.4,))
    plateau, option = (
        PlateauSequence(optimizer, Inverse(), "oscillate"),
        ParamSchedule(optimizer, "momentum", Linear(4)),
    )
    for metric in (1.0, 2.0, 1.0, 2.0):
        optimizer.step()
        plateau.step(metric)
        option.step()
    assert (group_lrs(optimizer), optimizer.param_groups[0]["betas"][0]) == ([pytest.approx(0.1 / 3)], 0.0)


# ---- torch's containers


@ignore_step_of_sequential
def test_in_sequence_the_second_starts_at_its_own_zero_from_the_same_base():
    optimizer = decaying((0.4,))
    children = [
        ParamSchedule(optimizer, "weight_decay", Warmup(3)),
        ParamSchedule(optimizer, "weight_decay", Linear(4), low=0.2),
    ]
    scheduler = SequentialLR(optimizer, children, [3])
    seen = follow(optimizer, scheduler, 8)
    assert [value for (value,) in seen] == pytest.approx([0.0, 0.4 / 3, 0.8 / 3, 0.4, 0.35, 0.3, 0.25, 0.2])
    assert group_lrs(optimizer) == [0.1]
    assert scheduler.get_last_lr() == [0.1]


@pytest.mark.parametrize("last", ["lr", "option"])
def test_in_a_chain_with_an_lr_scheduler(last):
    optimizer = decaying((0.4,))
    children = [LinearLR(optimizer, 0.5, total_iters=4), ParamSchedule(optimizer, "weight_decay", Linear(4))]
    chain = ChainedScheduler(children if last == "option" else children[::-1])
    assert [value for (value,) in follow(optimizer, chain, 5)] == pytest.approx([0.4, 0.3, 0.2, 0.1, 0.0])
    assert chain.get_last_lr() == group_lrs(optimizer) == [pytest.approx(0.1)]


# ---- states


@pytest.mark.parametrize("name", ["weight_decay", "momentum", "eps"])
def test_interrupted_at_any_step_equals_uninterrupted(name):
    def new(factor=1.0):
        optimizer = decaying((0.4 * factor, 0.2), betas=(0.9 * factor, 0.99), eps=1e-3 * factor)
        return optimizer, ParamSchedule(optimizer, name, Cosine(10), low=1e-4)

    def played(optimizer, scheduler, n):
        seen = []
        for _ in range(n):
            optimizer.step()
            scheduler.step()
            kept = [{key: group[key] for key in ("betas", "eps", "weight_decay")} for group in optimizer.param_groups]
            seen.append((kept, scheduler.get_last_value(), repr(scheduler)))
        return seen

    whole = played(*new(), 14)
    assert len({str(entry) for entry in whole}) > 9
    for stop in range(14):
        optimizer, scheduler = new()
        played(optimizer, scheduler, stop)
        state = scheduler.state_dict()
        assert types_in(state) <= PLAIN
        for route in (lambda state: json.loads(json.dumps(state, allow_nan=False)), through_torch):
            for order in itertools.permutations([0, 1]):
                other, loader = new(factor=0.5)
                kept = copy.deepcopy(optimizer.state_dict())
                loads = [
                    lambda other=other, kept=kept: other.load_state_dict(kept),
                    lambda loader=loader, route=route, state=state: loader.load_state_dict(route(state)),
                ]
                for i in order:
                    loads[i]()
                assert loader.state_dict() == state
                assert played(other, loader, 14 - stop) == whole[stop:]
        twins = [copy.deepcopy(scheduler), pickle.loads(pickle.dumps(scheduler))]
        assert [played(twin.optimizer, twin, 14 - stop) for twin in twins] == [whole[stop:]] * 2
        if stop:
            other, _ = new()
            other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
            rebuilt = ParamSchedule(other, name, Cosine(10), low=1e-4, last_epoch=stop - 1)
            assert played(other, rebuilt, 14 - stop) == whole[stop:]


def test_last_epoch_needs_the_base_in_every_group():
    optimizer = decaying((0.4, 0.2))
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(KeyError, match=r"param 'initial_weight_decay' is not specified in param_groups\[0\]"):
        ParamSchedule(optimizer, "weight_decay", Inverse(), last_epoch=3)
    assert optimizer.state_dict() == before
    ParamSchedule(optimizer, "weight_decay", Inverse())
    ParamSchedule(optimizer, "weight_decay", Inverse(), last_epoch=2)
    assert values(optimizer) == [0.1, 0.05]


OTHERS = {
    "sequence": (lambda o: ParamSchedule(o, "weight_decay", Cosine(9), low=0.1), r"Cosine\(steps=9"),
    "low": (lambda o: ParamSchedule(o, "weight_decay", Cosine(8), low=0.2), r"0\.2"),
    "class": (lambda o: GeometricLR(o), "GeometricLR"),
    "option": (lambda o: ParamSchedule(o, "eps", Cosine(8), low=0.1), "'eps'"),
}


@pytest.mark.parametrize(("make", "shown"), OTHERS.values(), ids=OTHERS)
def test_a_state_of_other_settings_is_refused_and_both_are_shown(make, shown):
    optimizer = decaying()
    scheduler = ParamSchedule(optimizer, "weight_decay", Cosine(8), low=0.1)
    before = copy.deepcopy((optimizer.state_dict(), scheduler.state_dict()))
    with pytest.raises(ValueError, match=rf"(?s){shown}.*'weight_decay', 'sequence': 'Cosine\(steps=8"):
        scheduler.load_state_dict(make(decaying()).state_dict())
    assert (optimizer.state_dict(), scheduler.state_dict()) == before


@pytest.mark.parametrize("when", ["made", "loaded"])
def test_not_strict_takes_the_position_and_the_bases(when):
    saved, optimizer = decaying((0.4,)), decaying((7.0,))
    source = ParamSchedule(saved, "weight_decay", Linear(4))
    follow(saved, source, 3)
    target = ParamSchedule(optimizer, "weight_decay", Linear(8), strict=when == "loaded")
    target.load_state_dict(source.state_dict(), **({"strict": False} if when == "loaded" else {}))
    assert (target.last_epoch, target.base_values, values(optimizer)) == (2, [0.4], [pytest.approx(0.4 * 6 / 8)])


def test_not_strict_refuses_another_option_and_another_class():
    optimizer = decaying()
    scheduler = ParamSchedule(optimizer, "weight_decay", Cosine(8))
    for other in (ParamSchedule(decaying(), "eps", Cosine(8)), GeometricLR(decaying())):
        before = copy.deepcopy((optimizer.state_dict(), scheduler.state_dict()))
        with pytest.raises(ValueError, match=r"^state must be "):
            scheduler.load_state_dict(other.state_dict(), strict=False)
        assert (optimizer.state_dict(), scheduler.state_dict()) == before


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("version", 99),
        ("last_epoch", -2),
        ("_step_count", 1.5),
        ("bases", [0.4, 0.4]),
        ("bases", [-1.0]),
        ("bases", "x"),
        ("values", []),
        ("values", [None]),
    ],
)
def test_a_damaged_state_is_refused_and_nothing_changes(entry, value):
    optimizer = decaying()
    scheduler = ParamSchedule(optimizer, "weight_decay", Cosine(8))
    state = scheduler.state_dict()
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises((TypeError, ValueError), match=f"^state: {entry} must "):
        scheduler.load_state_dict({**state, entry: value})
    assert (optimizer.state_dict(), scheduler.state_dict()) == (before, state)


# ---- groups that are added


def test_a_new_group_has_its_own_value_as_its_base():
    optimizer = decaying((0.4,))
    scheduler = ParamSchedule(optimizer, "weight_decay", Inverse(), low=0.1)
    optimizer.step()
    for decay in (0.8, 0.0):
        optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "weight_decay": decay})
    state = scheduler.state_dict()
    scheduler.step()
    assert values(optimizer) == pytest.approx([0.25, 0.45, 0.0])
    assert [group["initial_weight_decay"] for group in optimizer.param_groups] == [0.4, 0.8, 0.0]
    scheduler.load_state_dict(state)  # saved before they were adopted
    assert values(optimizer) == [0.4, 0.8, 0.0]
    scheduler.step()
    assert values(optimizer) == pytest.approx([0.25, 0.45, 0.0])


def test_a_new_group_that_does_not_fit_is_refused_and_nothing_changes():
    optimizer = decaying((0.4,))
    scheduler = ParamSchedule(optimizer, "weight_decay", [Inverse()], low=[0.1])
    own = ParamSchedule(optimizer, "momentum", Inverse())
    optimizer.step()
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))]})
    with pytest.raises(ValueError, match="sequence must have one entry per param group: 1 entries for 2"):
        scheduler.step()
    optimizer.param_groups[1]["betas"] = None
    with pytest.raises(ValueError, match="got 'momentum': param group 1 does not have it"):
        own.step()
    assert (scheduler.last_epoch, own.last_epoch, values(optimizer)) == (0, 0, [0.4, 0.01])


def test_a_missing_group_is_refused():
    optimizer = decaying((0.4, 0.2))
    scheduler = ParamSchedule(optimizer, "weight_decay", Inverse())
    optimizer.step()
    optimizer.param_groups.pop()
    with pytest.raises(ValueError, match=r"^the optimizer has 1 param groups, fewer than the 2 scheduled$"):
        scheduler.step()


# ---- bad input


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("lr", Inverse()), ValueError, "^name must be an option other than the learning rate, got 'lr'"),
        (("nesterov", Inverse()), ValueError, "^name must be a numeric option of every param group, got 'nesterov'"),
        ((3, Inverse()), TypeError, "^name must be the name of an option"),
        (("eps", "x"), TypeError, "^sequence must be a Sequence, or a list"),
        (("eps", Inverse), TypeError, "^sequence must be a Sequence, got the class Inverse"),
        (("eps", []), ValueError, "^sequence must have one entry per param group: 0 entries for 1 param groups$"),
        (("eps", Inverse(), {"low": -1.0}), ValueError, "^low must be finite, >= 0, got -1"),
        (("eps", Inverse(), {"low": math.nan}), ValueError, "^low must be finite, >= 0, got nan"),
        (("eps", Inverse(), {"low": math.inf}), ValueError, "^low must be finite, >= 0, got inf"),
        (("eps", Inverse(), {"low": True}), TypeError, "^low must be one real number, got True"),
        (("eps", Inverse(), {"low": "x"}), TypeError, "^low must be one real number, got 'x'"),
        (("eps", Inverse(), {"low": []}), ValueError, "^low must have one entry per param group: 0 entries for 1"),
        (("eps", Inverse(), {"low": [0.1, 0.2]}), ValueError, "^low must have one entry per param group: 2 entries"),
        (("eps", Inverse(), {"low": [None]}), TypeError, r"^low\[0\] must be one real number, got None"),
        (("eps", Inverse(), {"last_epoch": -2}), ValueError, "^last_epoch must be an integer >= -1, got -2$"),
        (("eps", Inverse(), {"last_epoch": 1.5}), TypeError, r"^last_epoch must be an integer, got 1\.5"),
        (("eps", Inverse(), {"strict": 1}), TypeError, "^strict must be True or False, got 1"),
    ],
)
def test_bad_arguments_are_named_and_the_optimizer_stays_as_it_was(arguments, error, message):
    optimizer = decaying()
    before = copy.deepcopy(optimizer.state_dict())
    name, sequence, options = (*arguments, {})[:3]
    with pytest.raises(error, match=message):
        ParamSchedule(optimizer, name, sequence, **options)
    assert optimizer.state_dict() == before
    assert "step" not in vars(optimizer)


@pytest.mark.parametrize("value", [-0.5, math.nan, math.inf])
def test_an_option_that_is_negative_or_not_finite_is_refused(value):
    optimizer = decaying()
    optimizer.param_groups[0]["mine"] = value
    with pytest.raises(ValueError, match=f"^mine of param group 0 must be finite, >= 0, got {value}"):
        ParamSchedule(optimizer, "mine", Inverse())


def test_anything_but_an_optimizer_is_refused():
    with pytest.raises(TypeError, match=r"^optimizer must be an Optimizer, got 3"):
        ParamSchedule(3, "eps", Inverse())


def test_it_prints_what_it_schedules():
    scheduler = ParamSchedule(decaying((0.5,)), "weight_decay", Inverse())
    assert repr(scheduler) == "ParamSchedule('weight_decay', sequence=Inverse(), position=0, values=[0.5])"
