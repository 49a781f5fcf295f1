from fractions import Fraction

import pytest
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

from lrsched import Cosine, CosineRestarts, SequenceLR
from tests.helpers import group_lrs, make_optimizer
from tests.sequences.helpers import INF, NAN, NOT_A_NUMBER, NOT_AN_INTEGER, by_hand, each, first

R2 = 2**0.5  # cos of 0°, 45°, 90°, 135° gives (1 + …)/2 = 1, (2 + √2)/4, 1/2, (2 − √2)/4
FOUR = [1, (2 + R2) / 4, Fraction(1, 2), (2 - R2) / 4]
TWO = [1, Fraction(1, 2)]
EIGHT = [1, 0.9619397662556434, FOUR[1], 0.6913417161825449, 0.5, 0.30865828381745512, FOUR[3], 0.03806023374435663]


@pytest.mark.parametrize(
    ("seq", "expected"),
    by_hand(
        [
            (CosineRestarts(4), (FOUR * 8)[:31]),
            (CosineRestarts(2, mult=2), (TWO + FOUR + EIGHT)[:14]),
            (CosineRestarts(2, mult=2, end=0.5), [(1 + float(value)) / 2 for value in TWO + FOUR]),
            (CosineRestarts(1, mult=4), [1, *FOUR]),
            (CosineRestarts(1), [1] * 31),
        ]
    ),
)
def test_hand_worked_values(seq, expected):
    assert first(seq, len(expected)) == pytest.approx(expected, rel=1e-13, abs=1e-16)


SETTINGS = [(1, 1, 0.0), (7, 1, 0.1), (1, 2, 0.0), (3, 2, 0.25), (5, 3, 0.0), (2, 10, 0.01), (100, 1, 1.0), (1, 7, 0.0)]


@pytest.mark.parametrize(("period", "mult", "end"), SETTINGS)
def test_equals_torch(period, mult, end):
    torch_one = CosineAnnealingWarmRestarts(make_optimizer([2.0]), T_0=period, T_mult=mult, eta_min=2 * end)
    ours = SequenceLR(make_optimizer([2.0]), CosineRestarts(period, mult, end))
    for _ in range(400):
        assert ours.get_last_lr() == pytest.approx(torch_one.get_last_lr(), rel=1e-10, abs=1e-12)
        for scheduler in (ours, torch_one):
            scheduler.optimizer.step()
            scheduler.step()


@pytest.mark.parametrize("mult", [1, 2])
def test_equals_torch_resumed_at_every_step(mult):
    torch_one = CosineAnnealingWarmRestarts(make_optimizer([2.0]), T_0=3, T_mult=mult, eta_min=0.2)
    ours = SequenceLR(make_optimizer([2.0]), CosineRestarts(3, mult, 0.1))
    for _ in range(40):
        resumed = SequenceLR(make_optimizer([2.0]), CosineRestarts(3, mult, 0.1))
        resumed.optimizer.load_state_dict(ours.optimizer.state_dict())
        resumed.load_state_dict(ours.state_dict())
        ours = resumed
        assert group_lrs(ours.optimizer) == pytest.approx(torch_one.get_last_lr(), rel=1e-10)
        for scheduler in (ours, torch_one):
            scheduler.optimizer.step()
            scheduler.step()


def test_a_constant_period_is_a_repeated_cosine():
    assert first(CosineRestarts(9, end=0.2), 60) == first(Cosine(9, 0.2).repeated(9), 60)


@pytest.mark.parametrize("period", [1, 3, 10, 10**6])
@pytest.mark.parametrize("mult", [1, 2, 3, 10, 10**9])
def test_restarts_exactly_however_far_out(period, mult):
    seq = CosineRestarts(period, mult, end=0.25)
    restart, length = 0, period
    for i in range(120 if mult < 10**9 else 30):
        assert seq(restart) == 1.0, i
        assert seq(restart + length - 1) < 1.0 or length == 1
        if length > 2 and length < 10**7:
            assert seq(restart + 1) < 1.0
            assert seq(restart + length - 1) < seq(restart + length - 2)
        restart, length = restart + length, length * mult


def test_a_position_far_out_by_hand():
    # period 1, mult 2: restart i is at 2ⁱ − 1; 10¹² is 10¹² − (2³⁹ − 1) after restart 39, whose period is 2³⁹
    share = Fraction(10**12 - (2**39 - 1), 2**39)
    assert CosineRestarts(1, 2)(10**12) == pytest.approx(Cosine(share.denominator)(share.numerator), rel=1e-12)
    assert CosineRestarts(1, 2)(10**12) == pytest.approx(0.0787, abs=1e-4)


BAD_TYPES = [
    (CosineRestarts, {}, "period", NOT_AN_INTEGER),
    (CosineRestarts, {"period": 5}, "mult", NOT_AN_INTEGER),
    (CosineRestarts, {"period": 5}, "end", NOT_A_NUMBER),
]
BAD_VALUES = [
    (CosineRestarts, {}, "period", [0, -1]),
    (CosineRestarts, {"period": 5}, "mult", [0, -1]),
    (CosineRestarts, {"period": 5}, "end", [NAN, INF, -INF, -0.1]),
]


@pytest.mark.parametrize(("call", "others", "name", "value"), each(BAD_TYPES))
def test_refuses_the_wrong_type_and_names_the_argument(call, others, name, value):
    with pytest.raises(TypeError, match=rf"^{name}\b.* must "):
        call(**others, **{name: value})


@pytest.mark.parametrize(("call", "others", "name", "value"), each(BAD_VALUES))
def test_refuses_the_wrong_value_and_names_the_argument(call, others, name, value):
    with pytest.raises(ValueError, match=rf"^{name}\b.* must "):
        call(**others, **{name: value})
