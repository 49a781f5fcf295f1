import math
from decimal import Decimal
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from lrsched import Exponential, Geometric, Inverse, InverseSqrt, InverseTime, StepDecay, TimeDecay
from tests.sequences.helpers import (
    FAR_OUT,
    INF,
    NAN,
    NOT_A_NUMBER,
    NOT_AN_INTEGER,
    F,
    by_hand,
    each,
    first,
    over,
    torch_factors,
)

HAND_WORKED = [  # k = 0 … 30
    (Inverse(), [F(1, n) for n in range(1, 32)]),
    (InverseSqrt(), [1 / Decimal(n).sqrt() for n in range(1, 32)]),
    (Geometric(), [F(9, 10) ** k for k in range(31)]),
    (Geometric(0.5), [F(1, 2**k) for k in range(31)]),
    (Geometric(1.0), [1] * 31),
    (Exponential(0.1), [(Decimal(-k) / 10).exp() for k in range(31)]),
    (Exponential(0.0), [1] * 31),
    (StepDecay(0.5, 10), [1] * 9 + over(2, *[1] * 10) + over(4, *[1] * 10) + over(8, 1, 1)),
    (StepDecay(0.5, 1), [F(1, 2 ** (k + 1)) for k in range(31)]),
    (StepDecay(0.1, 7), [1] * 6 + over(10, *[1] * 7) + over(100, *[1] * 7) + over(1000, *[1] * 7)
     + over(10000, *[1] * 4)),
]  # fmt: skip
TIME_DECAYS = [
    (InverseSqrt(1.0), [1 / Decimal(n).sqrt() for n in range(1, 32)]),
    (InverseSqrt(4), [2 / Decimal(4 + k).sqrt() for k in range(31)]),
    (InverseSqrt(0.5), [1 / Decimal(1 + 2 * k).sqrt() for k in range(31)]),
    (InverseTime(1.0), [F(1, n) for n in range(1, 32)]),
    (InverseTime(0.5), [F(2, 2 + k) for k in range(31)]),
    (InverseTime(0.01), [F(100, 100 + k) for k in range(31)]),
    (InverseTime(0.0), [1] * 31),
    (TimeDecay(0.0), [1] * 31),
    (TimeDecay(1.0), [F(1, math.factorial(k)) for k in range(31)]),  # 1 · 1/1 · 1/2 · 1/3 …
    (TimeDecay(0.5), [F(2**k, math.factorial(k + 1)) for k in range(31)]),  # 2/2 · 2/3 · 2/4 …
    (TimeDecay(0.1), accumulate(range(30), lambda eta, n: eta / (1 + F(n, 10)), initial=F(1))),
]


@pytest.mark.parametrize(("seq", "expected"), by_hand(HAND_WORKED))
def test_hand_worked_values(seq, expected):
    assert first(seq) == pytest.approx(expected, rel=1e-13, abs=0)


@pytest.mark.parametrize(("seq", "expected"), by_hand(TIME_DECAYS))
def test_hand_worked_values_of_time_decay(seq, expected):
    assert first(seq) == pytest.approx(expected, rel=1e-8, abs=0)


@pytest.mark.parametrize("gamma", [0.1, 0.9, 0.999, 1.0])
def test_geometric_equals_torch(gamma):
    expected = torch_factors(lr_scheduler.ExponentialLR, 500, gamma=gamma)
    assert first(Geometric(gamma), 500) == pytest.approx(expected, rel=1e-12, abs=0)


@pytest.mark.parametrize(("drop", "interval"), [(0.5, 10), (0.1, 3), (0.9, 1)])
def test_step_decay_is_one_position_ahead_of_torch(drop, interval):
    expected = torch_factors(lr_scheduler.StepLR, 201, step_size=interval, gamma=drop)
    assert first(StepDecay(drop, interval), 200) == pytest.approx(expected[1:], rel=1e-12, abs=0)


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


# ---------------------------------------------------------------- far out

FALLING = [Inverse(), InverseSqrt(), InverseSqrt(100), InverseTime(1e-3), Geometric(), Geometric(1e-300)]
FALLING += [Exponential(0.1), Exponential(1e300), StepDecay(0.5, 10), StepDecay(1e-300, 1)]
FALLING += [TimeDecay(decay) for decay in (0.1, *RATES[3:], LARGEST)]


@pytest.mark.parametrize("seq", FALLING, ids=repr)
def test_is_between_0_and_1_however_far_out(seq):
    for k in FAR_OUT:
        assert 0.0 <= seq(k) <= 1.0, k


@pytest.mark.parametrize("seq", FALLING, ids=repr)
def test_goes_to_zero(seq):
    assert 0.0 <= seq(10**15) < 1e-6


def test_far_values_by_hand():
    assert Inverse()(10**15 - 1) == pytest.approx(1e-15, rel=1e-14)
    assert InverseSqrt()(10**14 - 1) == pytest.approx(1e-7, rel=1e-14)
    assert Geometric(0.9)(10**15) == 0.0


@pytest.mark.parametrize("seq", [seq for seq in FALLING if not isinstance(seq, StepDecay)], ids=repr)
def test_is_1_at_the_first_position(seq):
    assert seq(0) == 1.0


# ---------------------------------------------------------------- bad arguments

BAD_TYPES = [
    (Geometric, {}, "gamma", NOT_A_NUMBER),
    (Exponential, {}, "decay", NOT_A_NUMBER),
    (StepDecay, {"interval": 5}, "drop", NOT_A_NUMBER),
    (StepDecay, {"drop": 0.5}, "interval", NOT_AN_INTEGER),
    (TimeDecay, {}, "decay", NOT_A_NUMBER),
    (InverseTime, {}, "decay", NOT_A_NUMBER),
    (InverseSqrt, {}, "timescale", NOT_A_NUMBER),
]
BAD_VALUES = [
    (Geometric, {}, "gamma", [NAN, INF, -INF, 0.0, -0.5, 1.1]),
    (Exponential, {}, "decay", [NAN, INF, -INF, -0.1]),
    (StepDecay, {"interval": 5}, "drop", [NAN, INF, -INF, 0.0, -0.5, 1.1]),
    (StepDecay, {"drop": 0.5}, "interval", [0, -1]),
    (TimeDecay, {}, "decay", [NAN, INF, -INF, -0.1]),
    (InverseTime, {}, "decay", [NAN, INF, -INF, -0.1]),
    (InverseSqrt, {}, "timescale", [NAN, INF, -INF, 0, -0.1]),
]


@pytest.mark.parametrize(("call", "others", "name", "value"), each(BAD_TYPES))
def test_refuses_the_wrong_type_and_names_the_argument(call, others, name, value):
    with pytest.raises(TypeError, match=rf"^{name}\b.* must "):
        call(**others, **{name: value})


@pytest.mark.parametrize(("call", "others", "name", "value"), each(BAD_VALUES))
def test_refuses_the_wrong_value_and_names_the_argument(call, others, name, value):
    with pytest.raises(ValueError, match=rf"^{name}\b.* must "):
        call(**others, **{name: value})
