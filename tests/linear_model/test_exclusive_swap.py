import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l0.linear_model.exclusive_swap import Exclusive, ExclusiveSwap
from tests.linear_model.problems import stated, swapped

SETS = st.lists(st.lists(st.integers(0, 7), min_size=2, max_size=4, unique=True), max_size=4)


def keeps(exclusive, chosen):
    """Whether a choice has at most one unit of each set."""
    return all(len(set(chosen) & set(members.tolist())) <= 1 for members in exclusive.sets)


@given(SETS, st.lists(st.integers(0, 7), max_size=4, unique=True))
def test_rivals_are_units_that_share_a_set(sets, chosen):
    exclusive = Exclusive(8, [np.array(members) for members in sets])
    rivals = exclusive.rivals(np.array(chosen, np.int64))
    for place, unit in enumerate(chosen):
        for other in range(8):
            assert rivals[place, other] == (other != unit and not keeps(exclusive, [unit, other]))


@given(SETS, st.lists(st.integers(0, 7), min_size=1, unique=True))
def test_a_restriction_keeps_the_same_units_apart(sets, units):
    exclusive = Exclusive(8, [np.array(members) for members in sets])
    part = exclusive.restricted(np.array(units))
    whole = exclusive.rivals(np.arange(8))
    np.testing.assert_array_equal(part.rivals(np.arange(len(units))), whole[np.ix_(units, units)])


@pytest.mark.parametrize("kind", ["columns", "groups"])
def test_moves_that_a_set_does_not_allow_are_left_out(kind):
    problem, _, _ = stated(3, kind)
    exclusive = Exclusive(problem.n_units, [np.array([0, 1, 3]), np.array([2, 4])])
    chosen = np.array([0, 4])
    free = problem.swap_from(chosen)
    swap = ExclusiveSwap(free, exclusive)
    assert swap.value == free.value and (swap.drops() == free.drops()).all()
    gains = {}
    for new in range(problem.n_units):
        allowed = keeps(exclusive, [*chosen, new]) and new not in chosen
        assert swap.adds()[new] == (free.adds()[new] if allowed else -np.inf)
        for out in range(2):
            after = swapped(chosen.tolist(), out, new)
            allowed = keeps(exclusive, after) and new not in chosen
            assert swap.swaps()[out, new] == (free.swaps()[out, new] if allowed else -np.inf)
            if allowed:
                gains[out, new] = free.swaps()[out, new]
    assert swap.best_swap()[1:] == max(gains, key=gains.get)
