from fractions import Fraction

import pytest
from torch.optim import lr_scheduler

from lrsched import Cosine, Linear, Warmup, WarmupStableDecay
from tests.helpers import make_optimizer
from tests.sequences.helpers import (
    NOT_A_FACTOR,
    NOT_A_NUMBER,
    NOT_AN_INTEGER,
    F,
    by_hand,
    each,
    exactly,
    first,
    over,
)

# ---------------------------------------------------------------- Warmup


def test_warmup():
    assert first(Warmup(5)) == exactly(0, 0.2, 0.4, 0.6, 0.8, *[1] * 26)
    assert first(Warmup(4, start=0.2)) == exactly(0.2, 0.4, 0.6, 0.8, *[1] * 27)
    assert first(Warmup(1)) == exactly(0, *[1] * 30)
    assert first(Warmup(30)) == exactly(*[Fraction(k, 30) for k in range(31)])


@pytest.mark.parametrize(
    ("seq", "expected"),
    by_hand(
        [
            (Warmup(4, shape="cosine"), [0, (2 - 2**0.5) / 4, 0.5, (2 + 2**0.5) / 4, 1, 1]),
            (Warmup(3, 0.2, "cosine"), [0.2, 0.2 + 0.8 / 4, 0.2 + 0.8 * 3 / 4, 1]),
            (Warmup(4, 1 / 16, "exponential"), [F(1, 16), F(1, 8), F(1, 4), F(1, 2), 1, 1]),
            (Warmup(2, 1e-6, "exponential"), [1e-6, 1e-3, 1]),
            (Warmup(3, 1.0, "exponential"), [1, 1, 1, 1]),
        ]
    ),
)
def test_the_shapes_of_a_warmup(seq, expected):
    assert first(seq, len(expected)) == pytest.approx(expected, rel=1e-13, abs=1e-16)


@pytest.mark.parametrize("shape", ["linear", "cosine", "exponential"])
def test_a_warmup_rises_and_holds_1(shape):
    seq = Warmup(500, 0.01, shape)
    assert seq(0) == 0.01
    assert first(seq, 600) == sorted(first(seq, 600))
    assert seq(499) != seq(500) == 1.0
    assert {seq(500 + j) for j in (1, 2, 1000, 10**6, 10**9, 10**15)} == {1.0}


@pytest.mark.parametrize(("steps", "start"), [(3, 0.25), (100, 0.1), (7, 1 / 3)])
def test_warmup_equals_torch(steps, start):
    scheduler = lr_scheduler.LinearLR(make_optimizer([1.0]), start_factor=start, total_iters=steps)
    for k in range(2 * steps):
        scheduler.last_epoch = k
        assert [Warmup(steps, start)(k)] == pytest.approx(scheduler._get_closed_form_lr(), rel=1e-12)


def test_an_exponential_warmup_needs_a_start():
    with pytest.raises(ValueError, match=r"^start must be > 0 for the shape 'exponential', got 0.0: try start=0.01$"):
        Warmup(5, shape="exponential")


# ---------------------------------------------------------------- WarmupStableDecay

R = 2**0.5
WSD = [
    (WarmupStableDecay(2, 3, 4), [0, 0.5, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0, 0]),
    (WarmupStableDecay(2, 1, 2, start=0.5, end=0.2), [0.5, 0.75, 1, 1, 0.6, 0.2, 0.2]),
    (WarmupStableDecay(0, 2, 4, "cosine"), [1, 1, 1, (2 + R) / 4, 0.5, (2 - R) / 4, 0, 0]),
    (WarmupStableDecay(0, 0, 9, "sqrt", end=0.1), [1, 0.1 + 0.9 * 2 / 3, 0.1 + 0.9 * (1 - R / 3)]),
    (WarmupStableDecay(0, 0, 9, "sqrt"), [*[1 - Fraction(n**0.5) / 3 for n in range(9)], 0, 0]),
    (WarmupStableDecay(3, 0, 1, "sqrt"), [*over(3, 0, 1, 2), 1, 0, 0]),
]


@pytest.mark.parametrize(("seq", "expected"), by_hand(WSD))
def test_warmup_stable_decay_by_hand(seq, expected):
    assert first(seq, len(expected)) == pytest.approx(expected, rel=1e-13, abs=1e-16)


def test_warmup_stable_decay_is_a_chain_of_its_parts():
    assert first(WarmupStableDecay(5, 7, 9), 30) == first(Warmup(5).then(Linear(9), at=12), 30)
    assert first(WarmupStableDecay(5, 0, 9, "cosine", 0.2, 0.1), 30) == first(Warmup(5, 0.2).then(Cosine(9, 0.1)), 30)


def transformers_wsd(*args, **options):
    """Return the factor of transformers' schedule as a function of the step."""
    library = pytest.importorskip("transformers.optimization", reason="transformers is not installed")
    return library.get_wsd_schedule(make_optimizer([1.0]), *args, **options).lr_lambdas[0]


TRANSFORMERS_SHAPES = {"linear": "linear", "cosine": "cosine", "sqrt": "1-sqrt"}


@pytest.mark.parametrize("shape", TRANSFORMERS_SHAPES)
@pytest.mark.parametrize("end", [0.0, 0.1, 1.0])
@pytest.mark.parametrize(("warmup", "stable", "decay"), [(0, 0, 1), (0, 7, 5), (4, 0, 9), (1, 1, 1), (10, 80, 10)])
def test_warmup_stable_decay_equals_transformers(warmup, stable, decay, end, shape):
    factor = transformers_wsd(
        num_warmup_steps=warmup,
        num_stable_steps=stable,
        num_decay_steps=decay,
        decay_type=TRANSFORMERS_SHAPES[shape],
        min_lr_ratio=end,
    )
    seq = WarmupStableDecay(warmup, stable, decay, shape, start=end, end=end)
    length = warmup + stable + decay
    assert seq.length == length
    assert first(seq, length + 5) == pytest.approx([factor(k) for k in range(length + 5)], rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("shape", TRANSFORMERS_SHAPES)
def test_a_cosine_warmup_before_a_decay_equals_transformers(shape):
    options = {"warmup_type": "cosine", "decay_type": TRANSFORMERS_SHAPES[shape], "min_lr_ratio": 0.1}
    factor = transformers_wsd(8, 6, num_stable_steps=9, **options)
    seq = Warmup(8, 0.1, "cosine").then(WarmupStableDecay(0, 9, 6, shape, end=0.1))
    assert first(seq, 30) == pytest.approx([factor(k) for k in range(30)], rel=1e-12, abs=1e-15)


# ---------------------------------------------------------------- bad arguments

COUNTS = {"warmup": 5, "stable": 5, "decay": 5}
BAD_TYPES = [
    (Warmup, {}, "steps", NOT_AN_INTEGER),
    (Warmup, {"steps": 5}, "start", NOT_A_NUMBER),
    (Warmup, {"steps": 5}, "shape", [None, 1]),
    *[(WarmupStableDecay, COUNTS, name, NOT_AN_INTEGER) for name in COUNTS],
    *[(WarmupStableDecay, COUNTS, name, NOT_A_NUMBER) for name in ("start", "end")],
    (WarmupStableDecay, COUNTS, "shape", [None, 1]),
]
BAD_VALUES = [
    (Warmup, {}, "steps", [0, -1]),
    (Warmup, {"steps": 5}, "start", [*NOT_A_FACTOR, 1.1]),
    (Warmup, {"steps": 5}, "shape", ["", "log", "LINEAR"]),
    *[(WarmupStableDecay, COUNTS, name, [-1]) for name in ("warmup", "stable")],
    (WarmupStableDecay, COUNTS, "decay", [0, -1]),
    (WarmupStableDecay, COUNTS, "start", [*NOT_A_FACTOR, 1.1]),
    (WarmupStableDecay, COUNTS, "end", NOT_A_FACTOR),
    (WarmupStableDecay, COUNTS, "shape", ["", "1-sqrt", "exponential"]),
]


@pytest.mark.parametrize(("call", "others", "name", "value"), each(BAD_TYPES))
def test_refuses_the_wrong_type_and_names_the_argument(call, others, name, value):
    with pytest.raises(TypeError, match=rf"^{name}\b.* must "):
        call(**{**others, name: value})


@pytest.mark.parametrize(("call", "others", "name", "value"), each(BAD_VALUES))
def test_refuses_the_wrong_value_and_names_the_argument(call, others, name, value):
    with pytest.raises(ValueError, match=rf"^{name}\b.* must "):
        call(**{**others, name: value})
