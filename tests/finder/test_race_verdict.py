"""What a race says about its winner."""

import numpy as np

from lrsched import Constant, Linear, Warmup
from lrsched.finder._race_verdict import verdict

NAN = np.nan
SEQUENCE = Warmup(5) * Linear(100)


def found(lrs, losses, winner, sequence=SEQUENCE, untrained=1.0, present=()):
    return verdict(lrs, np.array(losses), winner, sequence, [4, 8, 12], 100, untrained, dict(present))


def test_a_clear_winner_is_named_with_its_loss():
    losses = [[0.9, NAN, NAN], [0.8, 0.7, 0.5], [0.7, 0.6, 0.6], [0.9, 0.9, NAN]]
    assert found([0.01, 0.1, 1.0, 10.0], losses, 1) == "0.1 won with a loss of 0.5, before 1 with 0.6"


def test_a_narrow_lead_is_said():
    losses = [[0.9, NAN, NAN], [0.8, 0.7, 0.5], [0.7, 0.6, 0.504], [0.9, NAN, NAN]]
    assert found([0.01, 0.1, 1.0, 10.0], losses, 1).endswith("before 1 with 0.504, which is nearly equal")


def test_a_winner_without_the_lowest_loss_is_explained():
    losses = [[0.9, NAN, NAN], [0.8, 0.7, 0.5], [0.7, 0.6, 0.48], [0.9, NAN, NAN]]
    equal = "0.1 won with a loss of 0.5, although 1 has 0.48, which counts as equal, so the lower rate won"
    for present in ((), {1: 0.5, 2: 0.5}):
        assert found([0.01, 0.1, 1.0, 10.0], losses, 1, present=present) == equal
    swings = "0.1 won with a loss of 0.5, although 1 has 0.48, but {} with its last weights"
    for other, text in ((0.7, "0.7"), (NAN, "nan")):
        assert found([0.01, 0.1, 1.0, 10.0], losses, 1, present={1: 0.6, 2: other}) == swings.format(text)


def test_a_winner_at_the_end_of_the_rates_is_said():
    losses = [[0.6, 0.5, 0.4], [0.9, 0.8, 0.5]]
    expected = "0.1 won with a loss of 0.4, before 1 with 0.5; it is the {} of the rates, so the best may lie beyond: "
    assert found([0.1, 1.0], losses, 0).startswith(expected.format("lowest"))
    swapped = expected.replace("0.1 won", "1 won").replace("before 1 ", "before 0.1 ").format("highest")
    assert found([0.1, 1.0], losses[::-1], 1).startswith(swapped)


def test_a_winner_that_is_worse_than_no_training_is_said():
    losses = [[0.9, NAN, NAN], [1.5, 1.4, 1.3], [2.0, NAN, NAN]]
    text = found([0.01, 0.1, 1.0], losses, 1)
    assert text.endswith(
        "0.1 won: the others left before the last rung; its loss is above the untrained model's, 1: consider lower lrs"
    )


def test_a_sequence_that_still_rises_at_the_last_rung_is_said():
    losses = [[0.9, NAN, NAN], [0.8, 0.7, 0.5], [0.9, NAN, NAN]]
    late = "the sequence still rises after the last rung, so no member was tried at its highest rate"
    assert found([0.01, 0.1, 1.0], losses, 1, Warmup(30) * Linear(100)).endswith(late)
    for sequence in (SEQUENCE, Constant(), Linear(100)):
        assert late not in found([0.01, 0.1, 1.0], losses, 1, sequence)


def test_a_winner_whose_weights_swing_is_said():
    losses = [[0.9, NAN, NAN], [0.8, 0.7, 0.5], [0.7, 0.6, 0.6], [0.9, 0.9, NAN]]
    text = found([0.01, 0.1, 1.0, 10.0], losses, 1, present={1: 0.76, 2: 0.6})
    assert text.endswith("; its last weights have 0.76, far above their mean: its rate may be near the limit")
    assert "limit" not in found([0.01, 0.1, 1.0, 10.0], losses, 1, present={1: 0.74, 2: 9.0})
