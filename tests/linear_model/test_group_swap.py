import numpy as np
import pytest

from l0.linear_model.group_swap import Groups, GroupSwap
from tests.linear_model.problems import GROUPS, explained, stated, swapped

CHOSEN = [0, 3]


@pytest.fixture(params=[(seed, l2, q) for seed in range(3) for l2 in (0.0, 0.3) for q in (1, 2)])
def case(request):
    """A regression on two of the groups, and what a fit on any groups explains."""
    seed, l2, n_outcomes = request.param
    problem, z, outcome = stated(seed, "groups", l2, n_outcomes=n_outcomes)

    def fit(groups):
        return explained(z, outcome, [column for g in groups for column in GROUPS[g]], l2)

    return problem.swap_from(np.array(CHOSEN)), fit


def test_moves_gain_the_difference_of_two_fits(case):
    now, fit = case
    here = fit(CHOSEN)
    assert now.value == pytest.approx(here)
    for new in (1, 2, 4):
        assert now.adds()[new] == pytest.approx(fit([*CHOSEN, new]) - here, abs=1e-9)
    assert now.drops() == pytest.approx([here - fit([3]), here - fit([0])], abs=1e-9)


def test_the_best_swap_is_that_of_brute_force(case):
    now, fit = case
    every = {
        (out, new): fit(swapped(CHOSEN, out, new)) - fit(CHOSEN)
        for out in (0, 1)
        for new in (1, 2, 4)
    }
    for place, gain in every.items():
        assert now.swaps()[place] == pytest.approx(gain, abs=1e-9)
    gain, out, new = now.best_swap()
    assert gain == pytest.approx(max(every.values()), abs=1e-9)
    assert gain == pytest.approx(every[out, new], abs=1e-9)


def test_groups_of_one_column_are_columns():
    columns, _, _ = stated(1)
    single = Groups.of([np.array([j]) for j in range(9)], columns.statistics)
    one = type(columns)(columns.statistics, single).swap_from(np.array([4, 7, 8]))
    other = columns.swap_from(np.array([4, 7, 8]))
    np.testing.assert_allclose(one.swaps(), other.swaps(), atol=1e-9)
    np.testing.assert_allclose(one.adds(), other.adds(), atol=1e-9)
    np.testing.assert_allclose(one.drops(), other.drops(), atol=1e-9)


def test_groups_keep_their_blocks_when_some_are_taken():
    problem, z, _ = stated(0, "groups", l2=0.2)
    groups = problem.groups
    assert groups.columns(np.array([3, 0])).tolist() == [4, 5, 6, 0]
    assert groups.columns(np.empty(0, np.int64)).size == 0
    part = groups.restricted(np.array([3, 0]))
    assert [members.tolist() for members in part.members] == [[0, 1, 2], [3]]
    np.testing.assert_allclose(part.blocks[0], z[:, 4:7].T @ z[:, 4:7] + 0.2 * np.eye(3))
    sizes = [(which.tolist(), blocks.shape) for which, _, blocks in groups.by_size()]
    assert sizes == [([0, 2], (2, 1, 1)), ([1, 4], (2, 2, 2)), ([3], (1, 3, 3))]


def test_adds_without_a_chosen_group_are_those_of_a_regression_without_it(case):
    now, _ = case
    for out, other in ((0, 3), (1, 0)):
        without = GroupSwap(now.statistics, now.groups, np.array([other]))
        gains = now.adds_without(out, without.slopes)
        np.testing.assert_allclose(gains[[1, 2, 4]], without.adds()[[1, 2, 4]])
        assert gains[CHOSEN].tolist() == [-np.inf, -np.inf]
