import numpy as np
import pytest
from torch.optim import lr_scheduler

from lrsched import Sawtooth, Triangular
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

RISE_AND_FALL = over(5, 0, 1, 2, 3, 4, 5, 4, 3, 2, 1)  # one cycle of Triangular(5)
TOOTH = over(10, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1)

SAWTEETH = [  # k = 0 … 30
    # ⌊n/p⌋ changes at n = 10, one position before the tooth does
    (Sawtooth(), over(10, 10, 9, 8, 7, 6, 5, 4, 3, 2) + over(20, 1, 10, 9, 8, 7, 6, 5, 4, 3, 2)
     + over(30, 1, 10, 9, 8, 7, 6, 5, 4, 3, 2) + over(40, 1, 10)),
    (Sawtooth(aligned=True), TOOTH + [t / 2 for t in TOOTH] + [t / 3 for t in TOOTH] + [F(1, 4)]),
    (Sawtooth(1), [F(1, n + 1) for n in range(1, 32)]),
    (Sawtooth(1, aligned=True), [F(1, n) for n in range(1, 32)]),
    (Sawtooth(4), over(4, 4, 3, 2) + over(8, 1, 4, 3, 2) + over(12, 1, 4, 3, 2) + over(16, 1, 4, 3, 2)
     + over(20, 1, 4, 3, 2) + over(24, 1, 4, 3, 2) + over(28, 1, 4, 3, 2) + over(32, 1, 4, 3, 2)[:4]),
]  # fmt: skip
TRIANGLES = [
    (Triangular(5), RISE_AND_FALL * 3 + [0]),
    (Triangular(2, 4), over(4, 0, 2, 4, 3, 2, 1) * 5 + [0]),
    (Triangular(4, 0), over(4, 0, 1, 2, 3) * 7 + over(4, 0, 1, 2)),
    (Triangular(2.5, 5), over(10, 0, 4, 8, 9, 7, 5, 3, 1, 2, 6, 10, 8, 6, 4, 2) * 2 + [0]),
    (Triangular(5, mode="triangular2"), RISE_AND_FALL + [v / 2 for v in RISE_AND_FALL]
     + [v / 4 for v in RISE_AND_FALL] + [0]),
    (Triangular(5, mode="exp_range", gamma=0.5), [v / 2**k for k, v in enumerate(RISE_AND_FALL * 3 + [F(0)])]),
]  # fmt: skip


@pytest.mark.parametrize(("seq", "expected"), by_hand(SAWTEETH))
def test_hand_worked_values_of_sawtooth(seq, expected):
    assert first(seq) == pytest.approx(expected, rel=1e-13, abs=0)


@pytest.mark.parametrize(("seq", "expected"), by_hand(TRIANGLES))
def test_hand_worked_values_of_triangular(seq, expected):
    assert first(seq) == pytest.approx(expected, rel=0, abs=1e-14)


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


@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
@pytest.mark.parametrize(
    ("up", "down"), [(1, None), (4, None), (4, 0), (3, 7), (7, 3), (2.5, 5), (0.3, 0.9), (1000, 1)]
)
def test_triangular_equals_torch(mode, up, down):
    arguments = {"step_size_up": up, "step_size_down": down, "mode": mode, "gamma": 0.99, "cycle_momentum": False}
    expected = torch_factors(lr_scheduler.CyclicLR, 1000, base_lr=0.0, max_lr=1.0, **arguments)
    assert first(Triangular(up, down, mode=mode, gamma=0.99), 1000) == pytest.approx(expected, rel=0, abs=1e-12)


# ---------------------------------------------------------------- far out

FALLING = [Sawtooth(), Sawtooth(1, aligned=True)]
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


@pytest.mark.parametrize("seq", FALLING + WAVES, ids=repr)
def test_is_between_0_and_1_however_far_out(seq):
    for k in FAR_OUT:
        assert 0.0 <= seq(k) <= 1.0, k


@pytest.mark.parametrize("seq", FALLING, ids=repr)
def test_sawtooth_goes_to_zero(seq):
    assert 0.0 <= seq(10**15) < 1e-6


def test_far_values_by_hand():
    assert Sawtooth(10)(10**9) == pytest.approx(1 / (10**8 + 1), rel=1e-14)
    assert Triangular(2)(10**15) == 0.0  # 10¹⁵ is a multiple of 4
    assert Triangular(2)(10**15 + 1) == 0.5


# ---------------------------------------------------------------- bad arguments

BAD_TYPES = [
    (Sawtooth, {}, "period", NOT_AN_INTEGER),
    (Sawtooth, {}, "aligned", [None, "no", 2, 0.5, np.array([True, False])]),
    (Triangular, {}, "up", NOT_A_NUMBER),
    (Triangular, {}, "down", NOT_A_NUMBER[1:]),
    (Triangular, {}, "mode", [None, 1, b"triangular"]),
    (Triangular, {"mode": "exp_range"}, "gamma", NOT_A_NUMBER),
]
BAD_VALUES = [
    (Sawtooth, {}, "period", [0, -1]),
    (Triangular, {}, "up", [NAN, INF, -INF, 0, -1]),
    (Triangular, {}, "down", [NAN, INF, -INF, -1]),
    (Triangular, {}, "mode", ["", "sawtooth", "Triangular"]),
    (Triangular, {"mode": "exp_range"}, "gamma", [NAN, INF, -INF, -0.5]),
]


@pytest.mark.parametrize(("call", "others", "name", "value"), each(BAD_TYPES))
def test_refuses_the_wrong_type_and_names_the_argument(call, others, name, value):
    with pytest.raises(TypeError, match=rf"^{name}\b.* must "):
        call(**others, **{name: value})


@pytest.mark.parametrize(("call", "others", "name", "value"), each(BAD_VALUES))
def test_refuses_the_wrong_value_and_names_the_argument(call, others, name, value):
    with pytest.raises(ValueError, match=rf"^{name}\b.* must "):
        call(**others, **{name: value})
