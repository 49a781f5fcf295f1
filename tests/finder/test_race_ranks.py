"""How ranks share out members; two processes race in tests/integration/test_race_distributed.py."""

import pytest

from lrsched.finder._race_ranks import Ranks


def test_every_member_has_one_owner_and_every_rank_a_member():
    for size in (1, 2, 3, 7):
        shares = [Ranks(rank, size).share(5) for rank in range(size)]
        assert all(shares)
        for member in range(5):
            assert member in shares[Ranks(0, size).owner(member)]
    assert [Ranks(rank, 2).share(5) for rank in range(2)] == [[0, 2, 4], [1, 3]]
    assert [Ranks(rank, 7).share(5) for rank in (4, 5, 6)] == [[4], [0], [1]]  # the last two train others' members


def test_a_process_alone_is_rank_0_of_1():
    ranks = Ranks()
    assert (ranks.rank, ranks.size) == (0, 1)
    assert ranks.each(lambda: 3) == [3]
    assert ranks.from_owner(4, lambda: "state") == "state"
    with pytest.raises(ZeroDivisionError):
        ranks.each(lambda: 1 // 0)
