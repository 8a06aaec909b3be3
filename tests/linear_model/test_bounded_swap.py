from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from l0.linear_model.exclusive_swap import Exclusive
from tests.linear_model.problems import explained, stated, swapped

CHOSEN = [0, 2, 4]


@pytest.fixture(params=[(seed, l2) for seed in range(8) for l2 in (0.0, 0.3)])
def case(request):
    """A regression on three columns, and what nonnegative least squares on any explains."""
    seed, l2 = request.param
    problem, z, outcome = stated(seed, "nonnegative", l2)
    now = problem.swap_from(np.array(CHOSEN))
    return now, lambda columns: explained(z, outcome, columns, l2, nonnegative=True)


def test_the_slopes_meet_the_conditions_of_an_optimum(case):
    now, fit = case
    statistics = now.statistics
    gradient = (statistics.cross[CHOSEN] - statistics.rows(now.chosen)[:, CHOSEN] @ now.slopes)[
        :, 0
    ]
    slopes = now.slopes[:, 0]
    assert (slopes >= 0).all() and (gradient <= 1e-12).all()
    np.testing.assert_allclose(slopes * gradient, 0, atol=1e-12)
    assert now.value == pytest.approx(fit(CHOSEN))


def test_dropping_loses_the_difference_of_two_fits(case):
    now, fit = case
    for out in range(3):
        left = [column for column in CHOSEN if column != CHOSEN[out]]
        assert now.drops()[out] == pytest.approx(fit(CHOSEN) - fit(left), abs=1e-9)


def test_the_best_swap_is_that_of_brute_force(case):
    now, fit = case
    every = {
        (out, new): fit(swapped(CHOSEN, out, new)) - fit(CHOSEN)
        for out in range(3)
        for new in range(9)
        if new not in CHOSEN
    }
    gain, out, new = now.best_swap()
    assert gain == pytest.approx(max(every.values()), abs=1e-9)
    assert gain == pytest.approx(every[out, new], abs=1e-9)


def test_a_column_that_points_away_adds_nothing(case):
    now, fit = case
    for new in range(9):
        if new in CHOSEN:
            assert now.adds()[new] == -np.inf
        elif now.residual[new, 0] <= 0:
            assert now.adds()[new] == 0
            assert fit([*CHOSEN, new]) == pytest.approx(fit(CHOSEN))
        else:
            assert now.adds()[new] > 0


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ["columns", "groups"])
def test_the_best_swap_within_bounds_and_sets_is_that_of_brute_force(kind, seed):
    plain, _, _ = stated(seed, kind, l2=0.1)
    generator = np.random.default_rng(seed)
    bounds = generator.random((9, 2)) * [-0.3, 0.3]
    bounds[generator.permutation(9)[:3], 0] = 0.0
    bounds[generator.permutation(9)[:2], 1] = np.inf
    exclusive = Exclusive(plain.n_units, [np.array([0, 1, 3]), np.array([2, 4])])
    problem = replace(plain, bounds=bounds, exclusive=exclusive)

    def value(units):
        columns = plain.columns(np.array(units, np.int64))
        products = plain.statistics.rows(columns)[:, columns]
        cross = plain.statistics.cross[columns, 0]
        root = np.linalg.cholesky(products).T
        slopes = lsq_linear(
            root, np.linalg.solve(root.T, cross), bounds[columns].T, method="bvls", tol=1e-14
        ).x
        return slopes @ (2 * cross - products @ slopes)

    chosen = [0, 2]
    now = problem.swap_from(np.array(chosen))
    assert now.value == pytest.approx(value(chosen))
    every = {}
    for out in range(2):
        for new in set(range(problem.n_units)) - set(chosen):
            after = swapped(chosen, out, new)
            if not any(len(set(after) & set(s.tolist())) > 1 for s in exclusive.sets):
                every[out, new] = value(after) - value(chosen)
        assert now.drops()[out] == pytest.approx(value(chosen) - value([chosen[1 - out]]))
    gain, out, new = now.best_swap()
    assert gain == pytest.approx(max(every.values()), abs=1e-9)
    assert gain == pytest.approx(every[out, new], abs=1e-9)
    for new in range(problem.n_units):
        possible = new not in chosen and not exclusive.rivals(np.array(chosen))[:, new].any()
        assert (now.adds()[new] > -np.inf) == possible
        assert not possible or now.adds()[new] >= 0


def test_nothing_chosen_explains_nothing():
    problem, z, outcome = stated(0, "nonnegative")
    now = problem.swap_from(np.empty(0, np.int64))
    assert now.value == 0
    expected = [explained(z, outcome, [column], nonnegative=True) for column in range(9)]
    np.testing.assert_allclose(now.adds(), expected, atol=1e-12)


@pytest.mark.parametrize(("seed", "n"), [(73, 40), (148, 15), (206, 15), (238, 15), (326, 15)])
def test_the_bounds_hold_where_free_slopes_are_negative(seed, n):
    problem, z, outcome = stated(seed, "nonnegative", n=n)
    now = problem.swap_from(np.array(CHOSEN))
    best = max(
        explained(z, outcome, swapped(CHOSEN, out, new), nonnegative=True)
        for out in range(3)
        for new in range(9)
        if new not in CHOSEN
    )
    assert now.best_swap()[0] == pytest.approx(best - now.value, abs=1e-9)
