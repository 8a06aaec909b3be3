import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.gates.representation import (
    QUANTILES,
    ROWS_PER_TARGET,
    moments_problem,
    totals_problem,
)


def table(seed, n=300, p=3):
    generator = np.random.default_rng(seed)
    return generator.lognormal(size=(n, p)), generator.uniform(0.5, 2, n)


@given(seed=st.integers(0, 99), n_records=st.integers(1, 300))
@settings(deadline=None)
def test_the_weights_themselves_meet_all_targets(seed, n_records):
    columns, weights = table(seed)
    problem = moments_problem(columns, weights, n_records)
    error = (problem.estimate(weights) - problem.values) / problem.scales
    np.testing.assert_allclose(error, 0, atol=1e-9)
    np.testing.assert_array_equal(problem.design_weights, weights)


@given(n_records=st.integers(1, 300))
@settings(deadline=None)
def test_kinds_of_moments_come_in_turn_as_the_rows_can_bear_them(n_records):
    problem = moments_problem(*table(0), n_records)
    sizes = [4, 3, 3 * len(QUANTILES), 3]
    kinds = ["totals", "squares", "shares", "products"]
    upto = np.cumsum(sizes)
    n_kinds = max(1, int((upto <= n_records / ROWS_PER_TARGET).sum()))
    assert set(problem.groups) == {"sum of the weights", *kinds[:n_kinds]}
    assert problem.n_targets == upto[n_kinds - 1]


def test_every_kind_counts_the_same():
    problem = moments_problem(*table(0), 300)
    for group in set(problem.groups):
        mine = np.array(problem.groups) == group
        assert problem.importance[mine].sum() == pytest.approx(1 / 5)


def test_matrices_too_large_stop_at_the_totals(monkeypatch):
    monkeypatch.setattr("l0.gates.representation.ENTRIES", 5 * 300)
    assert moments_problem(*table(0), 300).n_targets == 4


def test_scale_and_shift_of_columns_do_not_matter():
    columns, weights = table(0)
    plain = moments_problem(columns, weights, 300)
    other = moments_problem(columns * [1e5, 0.01, 3] - [7, 0, 1e3], weights, 300)
    np.testing.assert_allclose(other.matrix.toarray(), plain.matrix.toarray(), atol=1e-6)


def test_zeros_and_ones_ask_for_nothing_twice_over():
    flag = np.tile([0.0, 1.0], 150)[:, None]
    problem = moments_problem(np.hstack([flag, np.ones((300, 1))]), np.ones(300), 300)
    # The sum, the total, one share; the square and the constant column tell nothing.
    assert sorted(problem.groups) == ["shares", "sum of the weights", "totals"]


def test_given_totals_are_kept_in_their_units():
    columns, weights = table(0)
    problem = totals_problem(columns, np.array([5.0, 7.0]), np.array([2, 0]), weights)
    np.testing.assert_array_equal(problem.matrix.toarray(), columns[:, [2, 0]].T)
    np.testing.assert_array_equal(problem.values, [5, 7])
    assert sorted(problem.stratification(np.full(300, 0.1)).tolist()) == list(range(300))


def test_nothing_but_constant_columns_still_has_an_order():
    problem = moments_problem(np.ones((20, 2)), np.ones(20), 5)
    assert problem.n_targets == 1
    assert sorted(problem.stratification(np.full(20, 0.25)).tolist()) == list(range(20))
