import numpy as np
import pytest
import scipy.sparse as sp

from l0.calibration.fitting.rows import Rows
from l0.calibration.problem.representation import SoftTargets
from tests.calibration import problems


def soft_targets(n, p=3):
    matrix = sp.random_array((p, n), density=0.5, random_state=np.random.default_rng(1))
    return SoftTargets(sp.csr_array(matrix), np.array([10.0, -4.0, 2.0]), ["a", "b", "c"])


@pytest.fixture
def problem():
    return problems.context(problems.problem(n=60, m=5)).problem


def test_without_soft_targets_rows_are_the_arrays_of_the_problem(problem):
    importance = np.full(5, 0.2)
    rows = Rows.of(problem, importance, None)
    assert rows.matrix is problem.matrix
    assert rows.scales is problem.scales
    assert rows.goals is problem.goals
    assert rows.free_below is problem.free_below
    assert rows.free_above is problem.free_above
    assert rows.shares is importance
    assert rows.n_published == 5
    numbers = np.arange(5.0)
    np.testing.assert_array_equal(rows.of_published(numbers), numbers)


def test_soft_targets_follow_the_published_ones(problem):
    soft = soft_targets(60)
    rows = Rows.of(problem, np.full(5, 0.2), soft)
    assert rows.n_published == 5
    np.testing.assert_array_equal(
        rows.matrix.toarray(), np.vstack([problem.matrix.toarray(), soft.matrix.toarray()])
    )
    np.testing.assert_array_equal(rows.goals, [*problem.goals, 10, -4, 2])
    np.testing.assert_array_equal(rows.scales, [*problem.scales, 10, 4, 2])
    np.testing.assert_array_equal(rows.free_below, [*problem.free_below, 0, 0, 0])
    np.testing.assert_array_equal(rows.free_above, [*problem.free_above, 0, 0, 0])
    np.testing.assert_allclose(rows.shares, [*[0.2] * 5, *[0.06] * 3])


def test_a_soft_target_counts_a_part_of_the_mean_published_one_that_counts(problem):
    importance = np.array([0.5, 0.3, 0.2, 0.0, 0.0])
    rows = Rows.of(problem, importance, soft_targets(60))
    np.testing.assert_array_equal(rows.shares[:5], importance)
    np.testing.assert_allclose(rows.shares[5:], 0.3 / 3)
    nothing = Rows.of(problem, np.zeros(5), soft_targets(60))
    assert np.isfinite(nothing.shares).all()


def test_soft_rows_get_0_of_the_numbers_of_published_targets(problem):
    rows = Rows.of(problem, np.full(5, 0.2), soft_targets(60))
    np.testing.assert_array_equal(rows.of_published(np.arange(1.0, 6.0)), [1, 2, 3, 4, 5, 0, 0, 0])
