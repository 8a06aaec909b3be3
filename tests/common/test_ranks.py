import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l0.common.ranks import LEAST_ENTRIES, ONE, Ranks, even_parts, lengths_of
from tests.thread_ranks import on_ranks


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 5))
def test_parts_follow_each_other_and_none_has_much_more_than_its_part(sizes, n_parts):
    parts = even_parts(np.array(sizes, dtype=np.int64), n_parts)
    assert len(parts) == n_parts
    ends = [0, *(part.stop for part in parts)]
    assert [part.start for part in parts] == ends[:-1]
    assert ends[-1] == len(sizes) == sum(lengths_of(parts))
    for part in parts:
        assert sum(sizes[part]) <= sum(sizes) / n_parts + max(sizes, default=0)


def test_a_single_process_shares_nothing():
    assert not ONE.shares(10 * LEAST_ENTRIES, 1)
    assert ONE.is_first
    part = np.ones(2)
    assert ONE.joined_array(part, [2]) is part
    assert ONE.of_first(lambda: b"content") == b"content"
    assert ONE.of_all("text") == ["text"]
    assert ONE.gathered(part) is part


def test_ranks_share_what_pays():
    ranks = Ranks()
    ranks.size = 2
    assert ranks.if_shared(LEAST_ENTRIES, 1) is ranks
    assert ranks.if_shared(LEAST_ENTRIES - 1, 1) is ONE
    assert ranks.if_shared(LEAST_ENTRIES, LEAST_ENTRIES) is ONE
    assert ONE.if_shared(10 * LEAST_ENTRIES, 1) is ONE


@pytest.mark.parametrize("size", [2, 3])
def test_threads_of_these_tests_join_their_parts(size):
    lengths = list(range(1, size + 1))
    found = on_ranks(
        size, lambda ranks: ranks.joined_array(np.full(lengths[ranks.rank], ranks.rank), lengths)
    )
    for each in found:
        assert each.tolist() == np.repeat(np.arange(size), lengths).tolist()


@pytest.mark.parametrize("size", [2, 3])
def test_parts_of_unknown_lengths_are_joined(size):
    found = on_ranks(size, lambda ranks: ranks.gathered(np.full(ranks.rank, ranks.rank)))
    for each in found:
        assert each.tolist() == np.repeat(np.arange(size), np.arange(size)).tolist()
