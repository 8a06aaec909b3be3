import numpy as np
import pytest

from l0.linear_model.design import standardised_design
from l0.linear_model.statistics import Statistics
from l0.linear_model.swap import Swap, best_of
from tests.linear_model.problems import explained, stated, swapped

CHOSEN = [0, 2, 4]


@pytest.fixture(params=[(seed, l2, q) for seed in range(3) for l2 in (0.0, 0.3) for q in (1, 2)])
def case(request):
    """A regression on three columns, and what a fit on any columns explains."""
    seed, l2, n_outcomes = request.param
    problem, z, outcome = stated(seed, l2=l2, n_outcomes=n_outcomes)
    now = Swap(problem.statistics, np.array(CHOSEN))
    return now, lambda columns: explained(z, outcome, columns, l2)


def test_the_value_and_the_slopes_are_those_of_least_squares(case):
    now, fit = case
    assert now.value == pytest.approx(fit(CHOSEN))
    statistics = now.statistics
    # The gradient is 0: Z'(Y - Z s) = l2 s on the chosen columns.
    gradient = statistics.cross[CHOSEN] - statistics.rows(now.chosen)[:, CHOSEN] @ now.slopes
    np.testing.assert_allclose(gradient, 0, atol=1e-12)


def test_adds_and_drops_are_differences_of_two_fits(case):
    now, fit = case
    for new in range(9):
        expected = -np.inf if new in CHOSEN else fit([*CHOSEN, new]) - fit(CHOSEN)
        assert now.adds()[new] == pytest.approx(expected, abs=1e-9)
    for out in range(3):
        left = [column for column in CHOSEN if column != CHOSEN[out]]
        assert now.drops()[out] == pytest.approx(fit(CHOSEN) - fit(left), abs=1e-9)


def test_a_swap_gains_the_difference_of_two_fits(case):
    now, fit = case
    gains = now.swaps()
    for out in range(3):
        for new in range(9):
            expected = -np.inf
            if new not in CHOSEN:
                expected = fit(swapped(CHOSEN, out, new)) - fit(CHOSEN)
            assert gains[out, new] == pytest.approx(expected, abs=1e-9)
    gain, out, new = now.best_swap()
    assert gain == gains.max() == gains[out, new]


@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_a_column_that_the_others_span_comes_in_only_for_one_of_them(l2):
    problem, _, _ = stated(0)
    whole = problem.statistics
    # Column 9 is the sum of columns 0 and 2.
    mix = np.vstack([np.eye(9), np.eye(9)[0] + np.eye(9)[2]])
    gram = mix @ whole.source @ mix.T
    statistics = type(whole)(mix @ whole.cross, np.diag(gram).copy(), gram, whole.total, l2)
    now = Swap(statistics, np.array(CHOSEN))
    assert now.adds()[9] == -np.inf
    assert np.isfinite(now.swaps()[:, 9]).tolist() == [True, True, False]


def test_nothing_chosen_means_nothing_to_swap():
    problem, z, outcome = stated(0)
    now = Swap(problem.statistics, np.empty(0, np.int64))
    assert now.value == 0 and now.best_swap() == (-np.inf, -1, -1)
    expected = [explained(z, outcome, [column]) for column in range(9)]
    np.testing.assert_allclose(now.adds(), expected)


def test_the_best_of_gains_and_of_none():
    assert best_of(np.array([[1.0, 5.0, -np.inf], [2.0, 3.0, 4.0]])) == (5.0, 0, 1)
    assert best_of(np.empty((0, 4))) == (-np.inf, -1, -1)


@pytest.mark.parametrize("n", [6, 15])
def test_as_many_columns_as_different_rows_leave_nothing_to_add(n):
    for seed in range(20):
        x = np.random.default_rng(seed).random(size=(n, 3 * n))
        design = standardised_design(x, np.ones(n), centre=True).design
        statistics = Statistics.of(design, design.columns(np.array([2 * n])))
        chosen = np.empty(0, np.int64)
        while (gains := Swap(statistics, chosen).adds()).max() > -np.inf:
            chosen = np.append(chosen, gains.argmax())
        assert len(chosen) == n - 1


def test_what_columns_keep_without_a_chosen_one_is_that_of_a_regression_without_it(case):
    now, _ = case
    for out in range(3):
        without = Swap(now.statistics, np.delete(now.chosen, out))
        others = np.setdiff1d(np.arange(9), CHOSEN)
        np.testing.assert_allclose(now.left_without(out)[others], without.left[others])
