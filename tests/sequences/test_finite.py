from decimal import Decimal

import numpy as np
import pytest
from torch.optim import lr_scheduler

from lrsched import Cosine, Linear, Polynomial, Ramp
from tests.helpers import make_optimizer
from tests.sequences.helpers import (
    FAR_OUT,
    INF,
    NAN,
    NOT_A_FACTOR,
    NOT_A_NUMBER,
    NOT_AN_INTEGER,
    F,
    by_hand,
    each,
    exactly,
    first,
    over,
    torch_factors,
)

# ---------------------------------------------------------------- hand-worked values, k = 0 … 30

ROOT3 = Decimal(3).sqrt()
COSINE_6 = [1, (2 + ROOT3) / 4, F(3, 4), F(1, 2), F(1, 4), (2 - ROOT3) / 4, 0]  # cos of 0°, 30°, … 180°

FALLS = [
    (Linear(30), over(30, *range(30, -1, -1))),
    (Linear(10), over(10, *range(10, -1, -1)) + [0] * 20),
    (Linear(8, end=0.5), over(16, *range(16, 7, -1)) + [F(1, 2)] * 22),
    (Polynomial(30), over(900, *[j * j for j in range(30, -1, -1)])),
    (Polynomial(4, power=3, end=0.2), [1, F(1, 5) + F(4, 5) * F(27, 64), F(3, 10), F(1, 5) + F(4, 5) * F(1, 64)]
     + [F(1, 5)] * 27),
    (Polynomial(5, power=1), over(5, 5, 4, 3, 2, 1, 0) + [0] * 25),
    (Cosine(6), COSINE_6 + [0] * 24),
    (Cosine(6, end=0.5), [(1 + value) / 2 for value in COSINE_6] + [F(1, 2)] * 24),
    (Cosine(1), [1] + [0] * 30),
    (Cosine(12, cycles=2), COSINE_6[:-1] * 2 + [0] * 19),
    (Cosine(3, 0.5, cycles=2), [1, F(5, 8), F(7, 8)] + [F(1, 2)] * 28),  # cos of 0°, 120°, then 240° − 180°
    (Cosine(4, cycles=4), [1] * 4 + [0] * 27),
]  # fmt: skip


@pytest.mark.parametrize(("seq", "expected"), by_hand(FALLS))
def test_hand_worked_values(seq, expected):
    assert first(seq) == pytest.approx(expected, rel=1e-13, abs=0)


def test_ramp():
    assert first(Ramp(1e-3, 1, 4), 6) == exactly(0.001, 0.01, 0.1, 1, 1, 1)
    assert first(Ramp(1024, 1, 11)) == exactly(1024, 512, 256, 128, 64, 32, 16, 8, 4, 2, *[1] * 21)
    assert first(Ramp(1, 2**30, 31)) == exactly(*[2**k for k in range(31)])
    assert first(Ramp(0, 5, 11, scale="linear")) == exactly(0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, *[5] * 21)
    assert first(Ramp(3, 0, 31, scale="linear")) == pytest.approx([3 - k / 10 for k in range(31)], abs=1e-15)
    assert first(Ramp(2, 7, 2, scale="linear")) == exactly(2, *[7] * 30)


@pytest.mark.parametrize("scale", ["log", "linear"])
@pytest.mark.parametrize(("start", "end", "steps"), [(1e-7, 10, 100), (0.1, 0.3, 7), (3, 3, 5), (0.7, 0.1, 2)])
def test_ramp_meets_both_ends_exactly(start, end, steps, scale):
    seq = Ramp(start, end, steps, scale=scale)
    assert (seq(0), seq(steps - 1), seq(steps), seq(10**15)) == (start, end, end, end)
    space = np.geomspace if scale == "log" else np.linspace
    assert seq.values(steps) == pytest.approx(space(start, end, steps), rel=1e-12)


# ---------------------------------------------------------------- the same as torch


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 100, 1000])
@pytest.mark.parametrize("end", [0.0, 0.1, 1.0])
def test_cosine_equals_torch_up_to_its_end(steps, end):
    expected = torch_factors(lr_scheduler.CosineAnnealingLR, steps + 1, T_max=steps, eta_min=end)
    assert first(Cosine(steps, end), steps + 1) == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_warm_restarts_equal_torch():
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(make_optimizer([1.0]), T_0=100)
    seq = Cosine(100).repeated(100)
    for k in range(350):
        assert [seq(k)] == pytest.approx(scheduler.get_last_lr(), rel=1e-12)
        scheduler.optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 100, 1000])
@pytest.mark.parametrize("end", [0.0, 0.1, 1.0])
def test_linear_equals_torch(steps, end):
    expected = torch_factors(lr_scheduler.LinearLR, steps + 9, start_factor=1.0, end_factor=end, total_iters=steps)
    assert first(Linear(steps, end), steps + 9) == pytest.approx(expected, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 100, 1000])
@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 3.7])
def test_polynomial_equals_torch(steps, power):
    expected = torch_factors(lr_scheduler.PolynomialLR, steps + 9, total_iters=steps, power=power)
    assert first(Polynomial(steps, power), steps + 9) == pytest.approx(expected, rel=1e-12, abs=1e-15)


# ---------------------------------------------------------------- past the end

FINITE = [Cosine(20), Cosine(20, 0.3), Linear(20), Linear(20, 0.3), Polynomial(20), Polynomial(20, 0.5, 0.3)]


@pytest.mark.parametrize("seq", FINITE, ids=repr)
def test_is_between_0_and_1_however_far_out(seq):
    for k in FAR_OUT:
        assert 0.0 <= seq(k) <= 1.0, k


@pytest.mark.parametrize("seq", FINITE, ids=repr)
def test_a_fall_holds_its_last_value(seq):
    assert seq(20) == seq.end
    assert {seq(20 + j) for j in (1, 2, 3, 1000, 10**9, 10**15)} == {seq.end}
    assert seq(19) != seq.end


def test_a_ramp_holds_its_last_value():
    seq = Ramp(1, 0.01, 500)
    assert seq(498) != seq(499) == 0.01
    assert {seq(499 + j) for j in (1, 2, 1000, 10**6, 10**9, 10**15)} == {0.01}


@pytest.mark.parametrize("seq", FINITE, ids=repr)
def test_is_1_at_the_first_position(seq):
    assert seq(0) == 1.0


# ---------------------------------------------------------------- bad arguments

BAD_TYPES = [
    (Ramp, {"end": 1, "steps": 5}, "start", NOT_A_NUMBER),
    (Ramp, {"start": 1, "steps": 5}, "end", NOT_A_NUMBER),
    (Ramp, {"start": 1, "end": 2}, "steps", NOT_AN_INTEGER),
    (Ramp, {"start": 1, "end": 2, "steps": 5}, "scale", [None, 1]),
    *[(cls, {}, "steps", NOT_AN_INTEGER) for cls in (Cosine, Linear, Polynomial)],
    *[(cls, {"steps": 5}, "end", NOT_A_NUMBER) for cls in (Cosine, Linear, Polynomial)],
    (Polynomial, {"steps": 5}, "power", NOT_A_NUMBER),
    (Cosine, {"steps": 5}, "cycles", NOT_AN_INTEGER),
]
BAD_VALUES = [
    (Ramp, {"end": 1, "steps": 5, "scale": "linear"}, "start", NOT_A_FACTOR),
    (Ramp, {"start": 1, "steps": 5, "scale": "linear"}, "end", NOT_A_FACTOR),
    (Ramp, {"end": 1, "steps": 5}, "start", [*NOT_A_FACTOR, 0]),
    (Ramp, {"start": 1, "steps": 5}, "end", [*NOT_A_FACTOR, 0]),
    (Ramp, {"start": 1, "end": 2}, "steps", [1, 0, -1]),
    (Ramp, {"start": 1, "end": 2, "steps": 5}, "scale", ["", "cubic", "LOG"]),
    *[(cls, {}, "steps", [0, -1]) for cls in (Cosine, Linear, Polynomial)],
    *[(cls, {"steps": 5}, "end", [NAN, INF, -INF, -0.1]) for cls in (Cosine, Linear, Polynomial)],
    (Polynomial, {"steps": 5}, "power", [NAN, INF, -INF, 0, -1.0]),
    (Cosine, {"steps": 5}, "cycles", [0, -1]),
]


@pytest.mark.parametrize(("call", "others", "name", "value"), each(BAD_TYPES))
def test_refuses_the_wrong_type_and_names_the_argument(call, others, name, value):
    with pytest.raises(TypeError, match=rf"^{name}\b.* must "):
        call(**others, **{name: value})


@pytest.mark.parametrize(("call", "others", "name", "value"), each(BAD_VALUES))
def test_refuses_the_wrong_value_and_names_the_argument(call, others, name, value):
    with pytest.raises(ValueError, match=rf"^{name}\b.* must "):
        call(**others, **{name: value})
