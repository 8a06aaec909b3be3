from itertools import combinations

import numpy as np
import pytest

from l0.linear_model import L0Regressor
from l0.linear_model.design import standardised_design
from l0.linear_model.pair_swap import PairSwap, close_pairs
from l0.linear_model.problem import Problem
from l0.linear_model.statistics import Statistics
from l0.linear_model.swap import Swap
from tests.linear_model.problems import explained, stated

CHOSEN = [0, 2, 4, 5]


@pytest.mark.parametrize("fixed", [0, 1])
@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize("q", [1, 2])
def test_an_exchange_gains_the_difference_of_two_fits(l2, q, fixed):
    problem, z, outcome = stated(1, l2=l2, n_outcomes=q)
    swap = Swap(problem.statistics, np.array(CHOSEN), fixed)
    every = np.array(list(combinations(range(9), 2)))
    gain, out, new = PairSwap(swap, every).best()
    now, found = explained(z, outcome, CHOSEN, l2), {}
    for places in combinations(range(fixed, 4), 2):
        rest = np.delete(CHOSEN, places).tolist()
        for pair in combinations([1, 3, 6, 7, 8], 2):
            found[places, pair] = explained(z, outcome, [*rest, *pair], l2) - now
    best = max(found, key=found.__getitem__)
    assert gain == pytest.approx(found[best])
    assert (tuple(out), tuple(new)) == best


def test_there_is_none_without_two_free_columns_or_a_pair():
    problem, *_ = stated(0)
    every = np.array(list(combinations(range(9), 2)))
    assert PairSwap(Swap(problem.statistics, np.array([0, 1]), 1), every).best()[0] == -np.inf
    assert PairSwap(Swap(problem.statistics, np.array([0, 1])), every[:5]).best()[0] == -np.inf


@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_a_pair_whose_second_column_is_a_sum_does_not_come_in(l2):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(50, 4))
    x = np.column_stack([x, x[:, 0] + x[:, 3], x[:, 3]])
    design = standardised_design(x, np.ones(50), centre=True).design
    y = (x[:, 3] - x[:, 3].mean())[:, None] / 50**0.5
    problem = Problem(Statistics.of(design, y, l2))
    swap = problem.swap_from(np.array([0, 1, 2]))
    assert PairSwap(swap, np.array([[3, 5]])).best()[0] == -np.inf
    gain, out, _ = PairSwap(swap, np.array([[3, 4]])).best()
    assert gain == -np.inf or 0 in out


def test_close_pairs_come_by_their_correlation_and_copies_are_none():
    x = np.random.default_rng(0).normal(size=(200, 8))
    x[:, 3] = x[:, 5] + 0.1 * x[:, 3]
    x[:, 1] = -x[:, 6] + 0.5 * x[:, 1]
    x[:, 2] = x[:, 7]
    x[:, 0] = 1.0
    design = standardised_design(x, np.ones(200), centre=True).design
    statistics = Statistics.of(design, np.ones((200, 1)))
    assert close_pairs(Problem(statistics)).tolist() == [[3, 5], [1, 6]]
    assert not len(
        close_pairs(Problem(statistics, bounds=np.tile([0.0, np.inf], (len(statistics.cross), 1))))
    )
    assert not len(close_pairs(stated(0, "groups")[0]))


def twins(seed, p, k, apart=0.2, n=150):
    """Pairs of close columns, of which the differences of the first k / 2 pairs make y."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, p))
    x[:, 1::2] = x[:, ::2] + apart * x[:, 1::2]
    signal = sum(x[:, j] - x[:, j + 1] for j in range(0, k, 2))
    return x, signal + signal.std() / 2**0.5 * generator.normal(size=n)


@pytest.mark.parametrize("l2", [None, 0.0])
@pytest.mark.parametrize(("p", "k"), [(100, 10), (200, 8)])
def test_twins_whose_differences_make_the_outcome_are_found(p, k, l2):
    for seed in range(8):
        model = L0Regressor(n_features=k, l2=l2).fit(*twins(seed, p, k))
        assert model.support_.tolist() == list(range(k))


@pytest.mark.parametrize("options", [{}, {"must_keep": [20]}, {"fit_intercept": False}])
@pytest.mark.parametrize("apart", [0.5, 0.05, 1e-3])
def test_twins_are_found_whatever_their_distance(apart, options):
    x, y = twins(0, 60, 4, apart)
    k = 4 + len(options.get("must_keep", []))
    found = L0Regressor(n_features=k, **options).fit(x * 10.0 ** np.arange(-30, 30), y).support_
    assert set(found) >= {0, 1, 2, 3}


def test_a_criterion_finds_twins():
    x, y = twins(1, 60, 6)
    assert set(L0Regressor().fit(x, y).support_) >= set(range(6))
