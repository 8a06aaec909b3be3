import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.calibration.fitting import normal_matrix
from l0.calibration.fitting.normal_matrix import DenseNormalMatrix, SparseNormalMatrix
from l0.calibration.fitting.scaled_matrix import ScaledMatrix
from tests.calibration.fitting.matrices import nested, scattered

KINDS = (SparseNormalMatrix, DenseNormalMatrix)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", [nested, scattered])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_it_solves_the_system(kind, make, seed):
    rng = np.random.default_rng(seed)
    matrix = make(rng)
    m, k = matrix.shape
    normal = kind(ScaledMatrix.of(matrix))
    for _ in range(2):  # the pattern is found once, and used for all d and e
        d, e = rng.lognormal(0, 2, k), rng.lognormal(0, 2, m)
        B = matrix.toarray()
        expected = rng.normal(size=m)
        right = (B * d) @ (B.T @ expected) + e * expected
        np.testing.assert_allclose(normal.factor(d, e)(right), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_without_entries_and_records_without_weight_are_no_obstacle(kind):
    B = scattered(np.random.default_rng(0)).toarray()
    B[3] = 0
    d = np.where(np.arange(200) % 2, 1.0, 0.0)
    solve = kind(ScaledMatrix.of(sp.csr_array(B))).factor(d, np.zeros(30))
    expected = np.where(np.arange(30) == 3, 0.0, 1.0)
    np.testing.assert_allclose(solve((B * d) @ (B.T @ expected)), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_dependent_rows_have_a_factor_whose_solution_solves_the_system(kind):
    B = scattered(np.random.default_rng(0), m=6).toarray()
    B = np.vstack([B, B[0] + B[1], 2 * B[2]])
    right = B @ np.ones(200)
    solution = kind(ScaledMatrix.of(sp.csr_array(B))).factor(np.ones(200), np.zeros(8))(right)
    assert np.isfinite(solution).all()
    np.testing.assert_allclose(B @ (B.T @ solution), right, rtol=1e-3)


def test_a_single_target_and_a_single_record_are_systems_too():
    for kind in KINDS:
        solve = kind(ScaledMatrix.of(sp.csr_array(np.array([[2.0]])))).factor(
            np.array([3.0]), np.array([1.0])
        )
        np.testing.assert_allclose(solve(np.array([26.0])), [2.0])


@pytest.mark.parametrize("full", [0.0, 2.0])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_listed_products_have_a_dense_and_a_sparse_factor(full, seed):
    rng = np.random.default_rng(seed)
    matrix = nested(rng)
    m, k = matrix.shape
    d, e = rng.lognormal(0, 2, k), rng.lognormal(0, 2, m)
    B = matrix.toarray()
    expected = rng.normal(size=(m, 3))  # several right sides
    right = (B * d) @ (B.T @ expected) + e[:, None] * expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(normal_matrix, "FULL", full)
        solve = SparseNormalMatrix(ScaledMatrix.of(matrix)).factor(d, e)
    np.testing.assert_allclose(solve(right), expected, rtol=1e-5, atol=1e-6)
