"""Which members of a race stay after a rung."""

import math

import pytest

from lrsched.finder._race_choice import best, careful

LRS = [0.1, 0.2, 0.4, 0.8, 1.6]
UNTRAINED = 2.0


def numbered(*losses):
    """Return the losses by member, without those that are None."""
    return {member: loss for member, loss in enumerate(losses) if loss is not None}


def stay(*losses, count=2, untrained=UNTRAINED, rising=False, last=False):
    return careful(numbered(*losses), LRS, count, untrained, rising=rising, last=last)


def test_the_members_with_the_lowest_losses_stay():
    assert best(numbered(0.5, 0.3, None, 0.1), LRS, 2) == [3, 1]


def test_of_equal_losses_the_lower_rate_stays():
    assert best(numbered(0.5, 0.3, 0.3), [0.1, 0.4, 0.2], 1) == [2]


def test_the_best_stays_first_and_then_the_lowest_losses():
    assert stay(1.0, 0.5, 0.2, 0.4, count=3) == [2, 3, 1]


@pytest.mark.parametrize(("loss", "first"), [(1.049, 0), (1.051, 2)], ids=["equal", "higher"])
def test_a_lower_rate_within_5_percent_of_the_gain_counts_as_equal(loss, first):  # the gain is 2 - 1
    assert stay(loss, None, 1.0, 1.3, count=1, last=True) == [first]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_while_the_sequence_rises_the_best_stays_with_the_next_lower_rates(count):
    assert stay(0.9, 0.8, 0.7, 0.2, 0.3, count=count, rising=True) == [1, 2, 3][3 - count :]


def test_while_the_sequence_rises_places_below_the_lowest_rate_go_to_higher_ones():
    assert stay(0.1, 0.8, 0.7, 0.6, 0.5, count=3, rising=True) == [0, 1, 2]
    assert stay(0.5, 0.2, count=3, rising=True) == [0, 1]


@pytest.mark.parametrize("rising", [False, True])
def test_while_nothing_is_gained_the_highest_rates_stay(rising):
    assert stay(1.990, 1.985, 1.999, 2.0, 2.01, count=3, rising=rising) == [4, 3, 2]
    assert stay(1.990, 1.975, 1.999, 2.0, 2.01, count=3)[0] == 1


def test_a_rate_that_has_lost_something_stays_only_if_others_do_not_suffice():
    assert stay(1.99, 1.99, 2.0, 2.5, 2.1, count=2) == [2, 1]
    assert stay(1.99, None, None, 2.5, 2.1, count=2) == [0, 4]


def test_at_the_last_rung_the_lowest_loss_wins_even_if_nothing_is_gained():
    assert stay(1.995, 1.991, 1.999, 2.0, count=1, last=True) == [1]


def test_a_negative_loss_is_compared_by_its_size():
    assert stay(-2.01, -2.015, -2.0, count=1, untrained=-2.0) == [2]
    assert stay(-2.5, -3.0, -2.0, count=1, untrained=-2.0) == [1]


@pytest.mark.parametrize("untrained", [math.inf, math.nan])
def test_without_a_finite_untrained_loss_the_lowest_losses_stay(untrained):
    assert stay(1.0, 0.99, 0.5, untrained=untrained, rising=True) == [2, 1]
