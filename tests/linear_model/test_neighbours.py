"""The subsets near a choice, beside all subsets of that size."""

from itertools import combinations

import numpy as np
import pytest

from l0.linear_model.choice import Question, state
from l0.linear_model.losses import SquaredLoss
from l0.linear_model.neighbours import neighbours
from l0.linear_model.rows import Rows
from l0.linear_model.search import Search
from tests.linear_model.problems import LOSSES, outcomes, stated


def values(problem, k):
    """What all subsets of k units with the kept ones explain, the best first."""
    units = range(problem.n_units)
    kept = set(problem.kept.tolist())
    every = [np.array(units) for units in combinations(units, k) if kept <= set(units)]
    return sorted((problem.swap_from(units).value for units in every), reverse=True)


@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize(
    ("kind", "n_outcomes"),
    [("columns", 1), ("columns", 2), ("groups", 1), ("groups", 2), ("nonnegative", 1)],
)
@pytest.mark.parametrize("kept", [(), (1,)])
def test_the_best_subsets_are_those_of_all_subsets(kind, n_outcomes, kept, l2):
    for seed in range(4):
        problem, *_ = stated(seed, kind, l2=l2, n_outcomes=n_outcomes, kept=kept)
        search = Search(problem, [3])
        search.harder(3)
        chosen = search.units[search.chosen[3]]
        near = neighbours(problem, chosen, 5)
        np.testing.assert_allclose(near.values, values(problem, 3)[1:6], rtol=1e-8)
        exact = [problem.swap_from(units).value for units in near.subsets]
        np.testing.assert_allclose(near.values, exact, rtol=1e-8)
        assert near.closed and near.exact == (kind != "nonnegative")
        assert all(units[: len(kept)].tolist() == list(kept) for units in near.subsets)


@pytest.mark.parametrize("kind", LOSSES)
def test_the_best_subsets_under_other_losses(kind):
    for seed in range(2):
        x, y, loss_of = outcomes(seed, kind, p=8)
        none = np.empty(0, np.int64)
        question = Question(loss_of, [3], None, none, None, patient=False, centre=True, l2=1e-3)
        problem = state(Rows(x, y, np.ones(len(x))), question).problem
        search = Search(problem, [3])
        near = neighbours(problem, search.finish(3), 4)
        np.testing.assert_allclose(near.values, values(problem, 3)[1:5], rtol=1e-6)
        assert not near.exact and not near.pairs


def test_a_pair_in_exchange_for_two_chosen_columns_is_found():
    """Columns 0 and 1 matter by their difference, and 2 and 3 are noisy copies of it."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 20))
    x[:, 1] = x[:, 0] + 0.1 * x[:, 1]
    x[:, 3] = x[:, 2] + 0.1 * x[:, 3]
    y = 10 * (x[:, 0] - x[:, 1]) + 9 * (x[:, 2] - x[:, 3]) + generator.normal(size=200)
    none = np.empty(0, np.int64)
    question = Question(SquaredLoss, [2], None, none, None, patient=False, centre=True, l2=0.0)
    problem = state(Rows(x, y, np.ones(200)), question).problem
    near = neighbours(problem, np.array([0, 1]), 3)
    assert {2, 3} in [set(units.tolist()) for units in near.subsets]
    assert near.pairs == 1


def test_there_may_be_fewer_subsets_than_asked_for():
    problem, *_ = stated(0, p=9)
    assert neighbours(problem, np.empty(0, np.int64), 3).subsets == []
    assert neighbours(problem, np.arange(9), 3).subsets == []
    assert len(neighbours(problem, np.array([4]), 100).subsets) == 8
