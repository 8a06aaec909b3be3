import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.calibration.fitting import bordered_normal
from l0.calibration.fitting.bordered_normal import BorderedNormalMatrix
from l0.calibration.fitting.normal_matrix import DenseNormalMatrix, SparseNormalMatrix
from l0.calibration.fitting.scaled_matrix import ScaledMatrix
from tests.calibration.fitting.matrices import nested


def with_wide_rows(rng, n_wide=3):
    """Nested rows, and among them rows with an entry for nearly each record."""
    narrow = nested(rng)
    k = narrow.shape[1]
    rows = rng.normal(size=(n_wide, k)) * (rng.random((n_wide, k)) < 0.9)
    matrix = sp.csr_array(sp.vstack([narrow, sp.csr_array(rows)], format="csr"))
    order = rng.permutation(matrix.shape[0])
    return sp.csr_array(matrix[order]), order >= narrow.shape[0]


@pytest.mark.parametrize("kind", [SparseNormalMatrix, DenseNormalMatrix])
@given(seed=st.integers(0, 2**32 - 1), block=st.sampled_from([64, 4_000_000]))
@settings(max_examples=15, deadline=None)
def test_it_solves_the_system(kind, seed, block):
    rng = np.random.default_rng(seed)
    matrix, wide = with_wide_rows(rng)
    m, k = matrix.shape
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bordered_normal, "BLOCK", block)
        of = ScaledMatrix.of(matrix)
        normal = BorderedNormalMatrix(of, wide, kind(of.rows(~wide)))
        for _ in range(2):
            d, e = rng.lognormal(0, 2, k), rng.lognormal(0, 2, m)
            B = matrix.toarray()
            expected = rng.normal(size=m)
            right = (B * d) @ (B.T @ expected) + e * expected
            np.testing.assert_allclose(normal.factor(d, e)(right), expected, rtol=1e-5, atol=1e-6)


def test_wide_rows_that_depend_on_others_have_a_factor_whose_solution_solves_the_system():
    rng = np.random.default_rng(0)
    matrix, wide = with_wide_rows(rng)
    B = matrix.toarray()
    total = B[~wide].sum(axis=0)  # depends on the narrow rows, and twice a wide one
    B = np.vstack([B, total, 2 * B[wide][0], np.zeros(B.shape[1])])
    wide = np.append(wide, [True, True, True])
    matrix = sp.csr_array(B)
    of = ScaledMatrix.of(matrix)
    normal = BorderedNormalMatrix(of, wide, SparseNormalMatrix(of.rows(~wide)))
    d = rng.lognormal(0, 1, B.shape[1])
    right = (B * d) @ rng.normal(size=B.shape[1])
    solution = normal.factor(d, np.zeros(len(B)))(right)
    np.testing.assert_allclose((B * d) @ (B.T @ solution), right, rtol=1e-6, atol=1e-6)
