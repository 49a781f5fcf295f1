import math
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from lrsched import (
    Cosine,
    Exponential,
    Geometric,
    Inverse,
    InverseSqrt,
    Linear,
    Polynomial,
    Sawtooth,
    StepDecay,
    TimeDecay,
    Triangular,
)
from tests.helpers import make_optimizer

NAN, INF = math.nan, math.inf


def F(numerator, denominator=1):  # short, so that lists of 31 fractions stay readable
    return Fraction(numerator, denominator)


def over(denominator, *numerators):
    return [F(numerator, denominator) for numerator in numerators]


def first(seq, n=31):
    return [seq(k) for k in range(n)]


# ---------------------------------------------------------------- hand-worked values, k = 0 … 30

RISE_AND_FALL = over(5, 0, 1, 2, 3, 4, 5, 4, 3, 2, 1)  # one cycle of Triangular(5)
TOOTH = over(10, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1)
ROOT3 = Decimal(3).sqrt()
COSINE_6 = [1, (2 + ROOT3) / 4, F(3, 4), F(1, 2), F(1, 4), (2 - ROOT3) / 4, 0]  # cos of 0°, 30°, … 180°

HAND_WORKED = [
    (Inverse(), [F(1, n) for n in range(1, 32)]),
    (InverseSqrt(), [1 / Decimal(n).sqrt() for n in range(1, 32)]),
    (Geometric(), [F(9, 10) ** k for k in range(31)]),
    (Geometric(0.5), [F(1, 2**k) for k in range(31)]),
    (Geometric(1.0), [1] * 31),
    # ⌊n/p⌋ changes at n = 10, one position before the tooth does
    (Sawtooth(), over(10, 10, 9, 8, 7, 6, 5, 4, 3, 2) + over(20, 1, 10, 9, 8, 7, 6, 5, 4, 3, 2)
     + over(30, 1, 10, 9, 8, 7, 6, 5, 4, 3, 2) + over(40, 1, 10)),
    (Sawtooth(aligned=True), TOOTH + [t / 2 for t in TOOTH] + [t / 3 for t in TOOTH] + [F(1, 4)]),
    (Sawtooth(1), [F(1, n + 1) for n in range(1, 32)]),
    (Sawtooth(1, aligned=True), [F(1, n) for n in range(1, 32)]),
    (Sawtooth(4), over(4, 4, 3, 2) + over(8, 1, 4, 3, 2) + over(12, 1, 4, 3, 2) + over(16, 1, 4, 3, 2)
     + over(20, 1, 4, 3, 2) + over(24, 1, 4, 3, 2) + over(28, 1, 4, 3, 2) + over(32, 1, 4, 3, 2)[:4]),
    (Exponential(0.1), [(Decimal(-k) / 10).exp() for k in range(31)]),
    (Exponential(0.0), [1] * 31),
    (StepDecay(0.5, 10), [1] * 9 + over(2, *[1] * 10) + over(4, *[1] * 10) + over(8, 1, 1)),
    (StepDecay(0.5, 1), [F(1, 2 ** (k + 1)) for k in range(31)]),
    (StepDecay(0.1, 7), [1] * 6 + over(10, *[1] * 7) + over(100, *[1] * 7) + over(1000, *[1] * 7)
     + over(10000, *[1] * 4)),
    (TimeDecay(0.0), [1] * 31),
    (TimeDecay(1.0), [F(1, math.factorial(k)) for k in range(31)]),  # 1 · 1/1 · 1/2 · 1/3 …
    (TimeDecay(0.5), [F(2**k, math.factorial(k + 1)) for k in range(31)]),  # 2/2 · 2/3 · 2/4 …
    (TimeDecay(0.1), accumulate(range(30), lambda eta, n: eta / (1 + F(n, 10)), initial=F(1))),
    (Triangular(5), RISE_AND_FALL * 3 + [0]),
    (Triangular(2, 4), over(4, 0, 2, 4, 3, 2, 1) * 5 + [0]),
    (Triangular(4, 0), over(4, 0, 1, 2, 3) * 7 + over(4, 0, 1, 2)),
    (Triangular(2.5, 5), over(10, 0, 4, 8, 9, 7, 5, 3, 1, 2, 6, 10, 8, 6, 4, 2) * 2 + [0]),
    (Triangular(5, mode="triangular2"), RISE_AND_FALL + [v / 2 for v in RISE_AND_FALL]
     + [v / 4 for v in RISE_AND_FALL] + [0]),
    (Triangular(5, mode="exp_range", gamma=0.5), [v / 2**k for k, v in enumerate(RISE_AND_FALL * 3 + [F(0)])]),
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
]  # fmt: skip


@pytest.mark.parametrize(("seq", "expected"), HAND_WORKED, ids=lambda value: repr(value) if callable(value) else "")
def test_hand_worked_values(seq, expected):
    expected = [float(value) for value in expected]
    assert len(expected) == 31
    rounding = {Triangular: {"rel": 0, "abs": 1e-14}, TimeDecay: {"rel": 1e-8, "abs": 0}}  # else to the last digits
    assert first(seq) == pytest.approx(expected, **rounding.get(type(seq), {"rel": 1e-13, "abs": 0}))


@pytest.mark.parametrize("period", [1, 2, 3, 7, 10, 31])
def test_sawtooth_follows_its_formula_in_whole_numbers(period):
    for n in range(1, 1001):
        tooth = period - (n - 1) % period
        assert Sawtooth(period)(n - 1) == pytest.approx(tooth / (period * (n // period + 1)), rel=1e-15)
        aligned = Sawtooth(period, aligned=True)
        assert aligned(n - 1) == pytest.approx(tooth / (period * ((n - 1) // period + 1)), rel=1e-15)


def test_aligned_sawtooth_falls_within_a_tooth_and_rises_only_between_teeth():
    values = first(Sawtooth(10, aligned=True), 100)
    assert [k for k in range(1, 100) if values[k] > values[k - 1]] == list(range(10, 100, 10))


# ---------------------------------------------------------------- the same as torch


def torch_factors(cls, n, **arguments):
    """Return the first n learning rates of a scheduler of torch's, the base being 1."""
    scheduler = cls(make_optimizer([1.0]), **arguments)
    factors = []
    for k in range(n):
        if hasattr(scheduler, "_get_closed_form_lr"):
            scheduler.last_epoch = k
            factors += scheduler._get_closed_form_lr()
        else:
            factors += scheduler.get_last_lr()
            scheduler.optimizer.step()
            scheduler.step()
    return factors


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 100, 1000])
@pytest.mark.parametrize("end", [0.0, 0.1, 1.0])
def test_cosine_equals_torch_up_to_its_end(steps, end):
    expected = torch_factors(lr_scheduler.CosineAnnealingLR, steps + 1, T_max=steps, eta_min=end)
    assert first(Cosine(steps, end), steps + 1) == pytest.approx(expected, rel=1e-12, abs=1e-15)


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


@pytest.mark.parametrize("gamma", [0.1, 0.9, 0.999, 1.0])
def test_geometric_equals_torch(gamma):
    expected = torch_factors(lr_scheduler.ExponentialLR, 500, gamma=gamma)
    assert first(Geometric(gamma), 500) == pytest.approx(expected, rel=1e-12, abs=0)


@pytest.mark.parametrize(("drop", "interval"), [(0.5, 10), (0.1, 3), (0.9, 1)])
def test_step_decay_is_one_position_ahead_of_torch(drop, interval):
    expected = torch_factors(lr_scheduler.StepLR, 201, step_size=interval, gamma=drop)
    assert first(StepDecay(drop, interval), 200) == pytest.approx(expected[1:], rel=1e-12, abs=0)


@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
@pytest.mark.parametrize(
    ("up", "down"), [(1, None), (4, None), (4, 0), (3, 7), (7, 3), (2.5, 5), (0.3, 0.9), (1000, 1)]
)
def test_triangular_equals_torch(mode, up, down):
    arguments = {"step_size_up": up, "step_size_down": down, "mode": mode, "gamma": 0.99, "cycle_momentum": False}
    expected = torch_factors(lr_scheduler.CyclicLR, 1000, base_lr=0.0, max_lr=1.0, **arguments)
    assert first(Triangular(up, down, mode=mode, gamma=0.99), 1000) == pytest.approx(expected, rel=0, abs=1e-12)


# ---------------------------------------------------------------- TimeDecay against its recursion

RATES = [
    0.0,
    5e-324,
    1e-300,
    1e-16,
    1e-12,
    1e-9,
    1e-7,
    1e-6,
    1e-5,
    1e-4,
    1e-3,
    0.01,
    0.1,
    0.7,
    1.0,
    3.0,
    1e3,
    1e8,
    1e200,
]
LARGEST = 1.7e308


def time_decay(decay):
    """Yield η₀ = 1, η₁, … by η_{n+1} = η_n / (1 + decay·n)."""
    return accumulate(range(100_000), lambda eta, n: eta / (1.0 + decay * n), initial=1.0)


@pytest.mark.parametrize("decay", [*RATES, LARGEST])
def test_time_decay_equals_its_recursion(decay):
    seq = TimeDecay(decay)
    for k, eta in enumerate(time_decay(decay)):
        if k < 1000 or k % 997 == 0 or k == 100_000:
            assert math.isclose(seq(k), eta, rel_tol=1e-8, abs_tol=1e-300), k


@settings(deadline=None)
@given(decay=st.floats(1e-12, 1e3), k=st.integers(0, 3000))
def test_time_decay_equals_its_recursion_anywhere(decay, k):
    expected = math.exp(-math.fsum(math.log1p(decay * n) for n in range(1, k)))
    assert TimeDecay(decay)(k) == pytest.approx(expected, rel=1e-8, abs=1e-300)


@pytest.mark.parametrize(("decay", "k"), [(1e-18, 10**9), (1e-30, 10**15), (2e-16, 10**8)])
def test_time_decay_with_tiny_rates_far_out(decay, k):
    # Σ log(1 + d·n) = d·k(k−1)/2 − d²·k³/6 + …, the second term being at most 1e-8
    assert TimeDecay(decay)(k) == pytest.approx(math.exp(-decay * k * (k - 1) / 2 + decay**2 * k**3 / 6), rel=1e-8)


# ---------------------------------------------------------------- far out and past the end

FALLING = [Inverse(), InverseSqrt(), Geometric(), Geometric(1e-300), Sawtooth(), Sawtooth(1, aligned=True)]
FALLING += [Exponential(0.1), Exponential(1e300), StepDecay(0.5, 10), StepDecay(1e-300, 1)]
FALLING += [TimeDecay(decay) for decay in (0.1, *RATES[3:], LARGEST)]
FINITE = [Cosine(20), Cosine(20, 0.3), Linear(20), Linear(20, 0.3), Polynomial(20), Polynomial(20, 0.5, 0.3)]
WAVES = [
    Triangular(),
    Triangular(1),
    Triangular(2.5, 0),
    Triangular(7, 3, "triangular2"),
    Triangular(1, 0, "triangular2"),
]
WAVES += [
    Triangular(1, 1, "exp_range", 0.5),
    Triangular(1e-300, mode="triangular2"),
    Triangular(up=1e-300),
    Triangular(up=1e300),
]


@pytest.mark.parametrize("seq", FALLING + FINITE + WAVES, ids=repr)
def test_is_between_0_and_1_however_far_out(seq):
    for k in (10**6, 10**6 + 1, 10**9, 10**9 + 7, 10**15, 10**15 + 1):
        assert 0.0 <= seq(k) <= 1.0, k


@pytest.mark.parametrize("seq", FALLING, ids=repr)
def test_goes_to_zero(seq):
    assert 0.0 <= seq(10**15) < 1e-6


def test_far_values_by_hand():
    assert Inverse()(10**15 - 1) == pytest.approx(1e-15, rel=1e-14)
    assert InverseSqrt()(10**14 - 1) == pytest.approx(1e-7, rel=1e-14)
    assert Sawtooth(10)(10**9) == pytest.approx(1 / (10**8 + 1), rel=1e-14)
    assert Geometric(0.9)(10**15) == 0.0
    assert Triangular(2)(10**15) == 0.0  # 10¹⁵ is a multiple of 4
    assert Triangular(2)(10**15 + 1) == 0.5


@pytest.mark.parametrize("seq", FINITE, ids=repr)
def test_holds_its_last_value(seq):
    assert seq(20) == seq.end
    assert {seq(20 + j) for j in (1, 2, 3, 1000, 10**9, 10**15)} == {seq.end}
    assert seq(19) != seq.end


@pytest.mark.parametrize("seq", [s for s in FALLING + FINITE if not isinstance(s, (Sawtooth, StepDecay))], ids=repr)
def test_is_1_at_the_first_position(seq):
    assert seq(0) == 1.0


# ---------------------------------------------------------------- bad arguments

NO_NUMBER = [None, "0.5", [0.5], True, 1j, np.array([0.5, 0.5]), torch.tensor([0.5, 0.5])]
NOT_FINITE = [NAN, INF, -INF]
NO_COUNT = [None, "5", [5], True, 2.5, 5.0, NAN, INF]

BAD_KINDS = [
    (Geometric, {}, "gamma", NO_NUMBER),
    (Sawtooth, {}, "period", NO_COUNT),
    (Sawtooth, {}, "aligned", [None, "no", 2, 0.5, np.array([True, False])]),
    (Exponential, {}, "decay", NO_NUMBER),
    (StepDecay, {"interval": 5}, "drop", NO_NUMBER),
    (StepDecay, {"drop": 0.5}, "interval", NO_COUNT),
    (TimeDecay, {}, "decay", NO_NUMBER),
    (Triangular, {}, "up", NO_NUMBER),
    (Triangular, {}, "down", NO_NUMBER[1:]),
    (Triangular, {}, "mode", [None, 1, b"triangular"]),
    (Triangular, {"mode": "exp_range"}, "gamma", NO_NUMBER),
    *[(cls, {}, "steps", NO_COUNT) for cls in (Cosine, Linear, Polynomial)],
    *[(cls, {"steps": 5}, "end", NO_NUMBER) for cls in (Cosine, Linear, Polynomial)],
    (Polynomial, {"steps": 5}, "power", NO_NUMBER),
]
BAD_VALUES = [
    (Geometric, {}, "gamma", [*NOT_FINITE, 0.0, -0.5, 1.1]),
    (Sawtooth, {}, "period", [0, -1]),
    (Exponential, {}, "decay", [*NOT_FINITE, -0.1]),
    (StepDecay, {"interval": 5}, "drop", [*NOT_FINITE, -0.5, 1.1]),
    (StepDecay, {"drop": 0.5}, "interval", [0, -1]),
    (TimeDecay, {}, "decay", [*NOT_FINITE, -0.1]),
    (Triangular, {}, "up", [*NOT_FINITE, 0, -1]),
    (Triangular, {}, "down", [*NOT_FINITE, -1]),
    (Triangular, {}, "mode", ["", "sawtooth", "Triangular"]),
    (Triangular, {"mode": "exp_range"}, "gamma", [*NOT_FINITE, -0.5]),
    *[(cls, {}, "steps", [0, -1]) for cls in (Cosine, Linear, Polynomial)],
    *[(cls, {"steps": 5}, "end", [*NOT_FINITE, -0.1]) for cls in (Cosine, Linear, Polynomial)],
    (Polynomial, {"steps": 5}, "power", [*NOT_FINITE, -1.0]),
]


def each(table):
    """Turn (class, other arguments, name, values) into one parameter set a value."""
    return [
        pytest.param(cls, others, name, value, id=f"{cls.__name__}-{name}-{value!r}")
        for cls, others, name, values in table
        for value in values
    ]


@pytest.mark.parametrize(("cls", "others", "name", "value"), each(BAD_KINDS))
def test_refuses_the_wrong_kind_and_names_the_argument(cls, others, name, value):
    with pytest.raises(TypeError, match=rf"^{name} must "):
        cls(**others, **{name: value})


@pytest.mark.parametrize(("cls", "others", "name", "value"), each(BAD_VALUES))
def test_refuses_the_wrong_value_and_names_the_argument(cls, others, name, value):
    with pytest.raises(ValueError, match=rf"^{name} must "):
        cls(**others, **{name: value})
