"""Chains of `.then()`: flat, so that thousands of parts work, whichever way they were nested."""

import copy
import functools
import pickle

import numpy as np
import pytest

import lrsched
from lrsched import Constant, Cosine, Geometric, Inverse, PlateauSequence, SequenceLR, Values, Warmup
from tests.helpers import group_lrs, make_optimizer

MANY = 5000


def left_nested(parts, step):
    """((a.then(b, at=step)).then(c, at=2·step)) …"""
    return functools.reduce(lambda chain, i: chain.then(parts[i], at=i * step), range(1, len(parts)), parts[0])


def right_nested(parts, step):
    """a.then(b.then(c.then(…, at=step), at=step), at=step)."""
    return functools.reduce(lambda rest, part: part.then(rest, at=step), reversed(parts[:-1]), parts[-1])


def backwards(parts, step):
    """Each part starts before the last one, and so cuts it off: only the first and the last count."""
    count = len(parts)
    return functools.reduce(lambda chain, i: chain.then(parts[i], at=(count - i) * step), range(1, count), parts[0])


PARTS = [Values([i / MANY, (i + 0.5) / MANY]) for i in range(MANY)]
CHAINS = {
    "left": (left_nested, [PARTS[k // 2](k % 2) for k in range(2 * MANY)]),
    "right": (right_nested, [PARTS[k // 2](k % 2) for k in range(2 * MANY)]),
    "backwards": (backwards, [PARTS[0](0), PARTS[0](1), PARTS[-1](0)] + [PARTS[-1](1)] * 7),
}


@pytest.fixture(scope="module", params=CHAINS)
def chain(request):
    nest, expected = CHAINS[request.param]
    return nest, nest(PARTS, 2), expected


def test_thousands_of_parts_give_their_values(chain):
    _, seq, expected = chain
    np.testing.assert_array_equal(seq.values(len(expected)), expected)
    assert seq(len(expected) // 2) == expected[len(expected) // 2]
    assert seq(10**9) == PARTS[-1](1)


def test_thousands_of_parts_print_compare_hash_and_copy(chain):
    nest, seq, _ = chain
    again = nest(PARTS, 2)
    assert seq == again
    assert hash(seq) == hash(again)
    assert repr(seq) == repr(again)
    assert repr(seq).count(".then(") == MANY - 1
    assert seq != nest([*PARTS[:-1], Constant()], 2)
    for twin in (pickle.loads(pickle.dumps(seq)), copy.deepcopy(seq), copy.copy(seq)):
        assert twin == seq
        assert twin(7) == seq(7)


def test_thousands_of_parts_are_scheduled_saved_and_loaded(chain):
    _, seq, expected = chain
    optimizer, other = make_optimizer((2.0,)), make_optimizer((2.0,))
    scheduler, loader = SequenceLR(optimizer, seq), SequenceLR(other, seq)
    optimizer.step()
    for _ in range(5):
        scheduler.step()
    loader.load_state_dict(scheduler.state_dict())
    assert group_lrs(other) == group_lrs(optimizer) == [2.0 * expected[5]]
    plateau = PlateauSequence(make_optimizer(), seq)
    plateau.load_state_dict(plateau.state_dict())


def test_a_chain_of_thousands_knows_where_each_part_begins():
    seq = functools.reduce(lambda chain, part: chain.then(part), PARTS)
    assert seq == left_nested(PARTS, 2)
    assert seq.length == 2 * MANY


def test_both_ways_to_nest_are_the_same_sequence():
    parts = [Warmup(3), Cosine(4), Inverse(), Geometric(0.5)]
    left, right = left_nested(parts, 4), right_nested(parts, 4)
    assert left == right
    assert left.values(30).tolist() == [parts[min(k // 4, 3)](k - 4 * min(k // 4, 3)) for k in range(30)]


@pytest.mark.parametrize("nest", [left_nested, right_nested, backwards])
@pytest.mark.parametrize("count", [2, 3, 40])
def test_a_chain_prints_as_the_calls_that_make_it(nest, count):
    parts = [Warmup(3) * Inverse(), Cosine(4, 0.5), 2 * Inverse(), Values([1, 2]).then(Inverse(), at=1)] * 10
    seq = nest(parts[:count], 3)
    assert eval(repr(seq), dict(vars(lrsched))) == seq


def test_a_part_that_starts_before_an_earlier_one_cuts_it_off():
    seq = Values([9]).then(Values([5]), at=4).then(Values([3]), at=6).then(Values([7, 8]), at=2)
    assert seq.values(9).tolist() == [9, 9, 7, 8, 8, 8, 8, 8, 8]
    assert seq.length == 4
    assert seq.then(Values([1]), at=3).values(6).tolist() == [9, 9, 7, 1, 1, 1]
    assert seq.then(Values([1]), at=5).values(8).tolist() == [9, 9, 7, 8, 8, 1, 1, 1]


def test_a_part_that_starts_with_the_one_before_takes_its_place():
    assert Values([9]).then(Values([5]), at=2).then(Values([3]), at=2).values(4).tolist() == [9, 9, 3, 3]
    assert Values([9]).then(Values([5]), at=0).values(3).tolist() == [5, 5, 5]


def test_a_chain_inside_a_chain_starts_at_its_own_zero():
    inner = Values([1, 2]).then(Values([3]), at=5).then(Values([4]), at=3)
    assert Values([9]).then(inner, at=2).values(8).tolist() == [9, 9, 1, 2, 2, 4, 4, 4]
    assert Values([9]).then(inner, at=2) == Values([9]).then(Values([1, 2]), at=2).then(Values([3]), at=7).then(
        Values([4]), at=5
    )
