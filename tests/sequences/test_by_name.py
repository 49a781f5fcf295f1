"""by_name() against transformers' get_scheduler, at every step."""

import inspect
import itertools

import pytest
import torch

import lrsched
from lrsched import (
    Constant,
    Cosine,
    InverseSqrt,
    Linear,
    Polynomial,
    SequenceLR,
    Warmup,
    WarmupStableDecay,
    by_name,
    parse,
)
from tests.helpers import group_lrs, make_optimizer
from tests.sequences.helpers import NAN, NOT_AN_INTEGER, first

library = pytest.importorskip("transformers.optimization", reason="transformers is not installed")
get_scheduler = library.get_scheduler
LR = 0.5
SHAPES = {"linear": "linear", "cosine": "cosine", "sqrt": "1-sqrt"}
OPTIONS = {  # ours, and transformers' words for the same
    "linear": [({}, {})],
    "cosine": [({}, {})],
    "cosine_with_restarts": [({}, {}), *[({"cycles": n}, {"num_cycles": n}) for n in (1, 2, 3, 7)]],
    "cosine_with_min_lr": [({"end": end}, {"min_lr_rate": end}) for end in (0.0, 0.1, 1.0)],
    "cosine_warmup_with_min_lr": [
        ({"end": 0.1}, {"min_lr_rate": 0.1}),
        ({"end": 0.1, "start": 0.25}, {"min_lr_rate": 0.1, "warmup_lr_rate": 0.25}),
        ({"end": 0.0, "start": 0.0}, {"min_lr_rate": 0.0, "warmup_lr_rate": 0.0}),
    ],
    "polynomial": [
        ({"end": 0.0}, {"lr_end": 0.0}),
        ({"end": 0.1, "power": 0.5}, {"lr_end": 0.1 * LR, "power": 0.5}),
        ({"power": 3}, {"lr_end": 1e-7 * LR, "power": 3}),
    ],
    "constant": [({}, {})],
    "constant_with_warmup": [({}, {})],
    "inverse_sqrt": [({}, {}), ({"timescale": 7}, {"timescale": 7}), ({"timescale": 500}, {"timescale": 500})],
    "warmup_stable_decay": [
        ({"decay": 5}, {"num_decay_steps": 5, "decay_type": "linear"}),
        ({"decay": 1, "end": 0.2}, {"num_decay_steps": 1, "decay_type": "linear", "min_lr_ratio": 0.2}),
        *[
            (
                {"decay": 9, "shape": ours, "end": 0.1},
                {"num_decay_steps": 9, "decay_type": theirs, "min_lr_ratio": 0.1},
            )
            for ours, theirs in SHAPES.items()
        ],
    ],
}


def sgd(groups, lr):
    """Return SGD with a default rate, to which transformers relates some options."""
    return torch.optim.SGD(groups, lr=LR)


CASES = [
    pytest.param(name, steps, warmup, ours, theirs, id=f"{name}-{steps}-{warmup}-{ours}")
    for name, options in OPTIONS.items()
    for (steps, warmup), (ours, theirs) in itertools.product([(30, 0), (30, 1), (30, 2), (31, 10), (97, 13)], options)
]


@pytest.mark.parametrize(("name", "steps", "warmup", "ours", "theirs"), CASES)
def test_equals_transformers_at_every_step(name, steps, warmup, ours, theirs):
    scheduler = get_scheduler(name, make_optimizer([LR], optimizer=sgd), warmup, steps, theirs)
    sequence = by_name(name, steps, warmup, **ours)
    for k in range(steps + 1):
        assert [LR * sequence(k)] == pytest.approx(scheduler.get_last_lr(), rel=1e-9, abs=1e-9 * LR)
        scheduler.optimizer.step()
        scheduler.step()


@pytest.mark.parametrize(("name", "steps", "warmup", "ours", "theirs"), CASES)
def test_prints_as_a_call_of_public_names(name, steps, warmup, ours, theirs):
    sequence = by_name(name, steps, warmup, **ours)
    assert parse(repr(sequence)) == sequence
    assert eval(repr(sequence), dict(vars(lrsched))) == sequence


def test_knows_every_schedule_of_transformers_that_is_a_function_of_the_step():
    of_a_metric = {"reduce_lr_on_plateau", "greedy"}
    assert set(OPTIONS) == {kind.value for kind in library.TYPE_TO_SCHEDULER_FUNCTION} - of_a_metric
    for name in of_a_metric & {kind.value for kind in library.TYPE_TO_SCHEDULER_FUNCTION}:
        with pytest.raises(ValueError, match=rf"^name must be a schedule by step, but '{name}' watches a metric"):
            by_name(name, 100)


def test_takes_the_names_as_transformers_has_them():
    assert by_name(library.SchedulerType.COSINE, 30, 5) == by_name("cosine", steps=30, warmup=5)


@pytest.mark.parametrize("name", sorted(set(OPTIONS) - {"polynomial", "warmup_stable_decay"}))
def test_a_warmup_of_all_steps_equals_transformers(name):
    ours, theirs = OPTIONS[name][-1]
    scheduler = get_scheduler(name, make_optimizer([LR]), 10, 10, theirs)
    assert first(by_name(name, 10, 10, **ours), 11) == pytest.approx([scheduler.lr_lambdas[0](k) for k in range(11)])


def test_by_hand():
    assert by_name("linear", 30, 5) == Warmup(5).then(Linear(25))
    assert by_name("linear", 30) == Linear(30)
    assert by_name("cosine", 30, 5) == by_name("cosine_with_min_lr", 30, 5, end=0.0) == Warmup(5).then(Cosine(25))
    assert by_name("cosine_with_restarts", 30, 5, cycles=5) == Warmup(5).then(Cosine(25, cycles=5))
    assert by_name("polynomial", 30, 5, power=2, end=0.1) == Warmup(5).then(Polynomial(25, 2, 0.1))
    assert by_name("constant", 30, 5) == by_name("constant_with_warmup", 30) == Constant()
    assert by_name("constant_with_warmup", 30, 5) == Warmup(5).then(Constant())
    assert by_name("inverse_sqrt", 30, 5) == Warmup(5).then(InverseSqrt(5))
    assert by_name("inverse_sqrt", 30) == InverseSqrt(10_000)
    assert by_name("warmup_stable_decay", 30, 5, decay=10, end=0.1) == WarmupStableDecay(5, 15, 10, end=0.1, start=0.1)
    assert first(by_name("cosine_warmup_with_min_lr", 4, 2, end=0.0), 5) == pytest.approx([0.5, 1, 0.5, 0, 0.5])


def test_schedules_as_transformers_does():
    theirs = get_scheduler("cosine", make_optimizer([0.1]), 3, 20)
    ours = SequenceLR(make_optimizer([0.1]), by_name("cosine", steps=20, warmup=3))
    for _ in range(20):
        for scheduler in (ours, theirs):
            scheduler.optimizer.step()
            scheduler.step()
        assert group_lrs(ours.optimizer) == pytest.approx(theirs.get_last_lr(), rel=1e-9, abs=1e-12)


def test_the_default_shape_of_the_decay_is_a_straight_line():
    assert inspect.signature(library.get_wsd_schedule).parameters["decay_type"].default == "cosine"
    assert by_name("warmup_stable_decay", 30, decay=10) == WarmupStableDecay(0, 20, 10, "linear")


# ---------------------------------------------------------------- bad arguments


@pytest.mark.parametrize("name", ["", "cosin", "LINEAR", "cosine-with-restarts"])
def test_an_unknown_name_lists_the_names(name):
    with pytest.raises(
        ValueError, match=rf"^name must be one of 'linear', 'cosine', .*'warmup_stable_decay', got '{name}'"
    ):
        by_name(name, 100)


@pytest.mark.parametrize("name", [None, 3, Cosine(9)], ids=repr)
def test_refuses_a_name_that_is_not_text(name):
    with pytest.raises(TypeError, match=r"^name must be one of 'linear', "):
        by_name(name, 100)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("linear", {"end": 0.1}, "got an unexpected keyword argument 'end'; linear takes steps, warmup$"),
        ("cosine", {"num_cycles": 2}, "got an unexpected keyword argument 'num_cycles'; cosine takes steps, warmup$"),
        (
            "cosine_with_restarts",
            {"num_cycles": 2},
            "got an unexpected keyword argument 'num_cycles'; cosine_with_restarts takes steps, warmup, cycles=1$",
        ),
        (
            "cosine_with_min_lr",
            {},
            "missing a required argument: 'end'; cosine_with_min_lr takes steps, warmup, end$",
        ),
        (
            "warmup_stable_decay",
            {},
            "'decay'; warmup_stable_decay takes steps, warmup, decay, shape='linear', end=0.0$",
        ),
    ],
)
def test_unknown_and_missing_options_list_what_there_is(name, options, message):
    with pytest.raises(TypeError, match=message):
        by_name(name, 100, 10, **options)


@pytest.mark.parametrize("value", NOT_AN_INTEGER)
def test_refuses_steps_and_warmup_that_are_not_integers(value):
    with pytest.raises(TypeError, match=r"^steps must be an integer, got "):
        by_name("cosine", value)
    with pytest.raises(TypeError, match=r"^warmup must be an integer, got "):
        by_name("cosine", 100, value)
    with pytest.raises(TypeError, match=r"^decay must be an integer, got "):
        by_name("warmup_stable_decay", 100, decay=value)


@pytest.mark.parametrize(
    ("name", "steps", "options", "message"),
    [
        ("cosine", 0, {}, "^steps must be an integer >= 1, got 0"),
        ("cosine", 9, {"warmup": -1}, "^warmup must be an integer >= 0, got -1"),
        ("constant", 9, {"warmup": 10}, "^warmup must be <= steps, got warmup=10 with steps=9$"),
        ("cosine_with_restarts", 9, {"cycles": 0}, "^cycles must be an integer >= 1, got 0"),
        ("cosine_with_min_lr", 9, {"end": -0.1}, "^end must be finite, >= 0, got -0.1"),
        ("polynomial", 9, {"power": 0}, "^power must be finite, > 0, got 0"),
        ("inverse_sqrt", 9, {"timescale": 0}, "^timescale must be finite, > 0, got 0"),
        ("inverse_sqrt", 9, {"timescale": NAN}, "^timescale must be finite"),
        ("warmup_stable_decay", 9, {"decay": 0}, "^decay must be an integer >= 1, got 0"),
        (
            "warmup_stable_decay",
            9,
            {"warmup": 4, "decay": 6},
            "^decay must be <= steps - warmup, got decay=6 with steps=9, warmup=4$",
        ),
        ("warmup_stable_decay", 9, {"decay": 3, "shape": "1-sqrt"}, "^shape must be one of 'linear', 'cosine', 'sqrt'"),
    ],
)
def test_refuses_values_out_of_range(name, steps, options, message):
    with pytest.raises(ValueError, match=message):
        by_name(name, steps, **options)
