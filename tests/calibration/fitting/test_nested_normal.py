import numpy as np
import pytest

from l0.calibration.fitting.dissection import Block, dissect
from l0.calibration.fitting.fronts import fronts_of
from l0.calibration.fitting.nested_normal import RIDGE, NestedNormalMatrix
from l0.calibration.fitting.scaled_matrix import ScaledMatrix
from tests.calibration.fitting.matrices import nested, scattered


@pytest.mark.parametrize("make", [nested, scattered])
def test_it_solves_the_system_up_to_float32(make):
    rng = np.random.default_rng(0)
    matrix = make(rng)
    m, k = matrix.shape
    of = ScaledMatrix.of(matrix)
    normal = NestedNormalMatrix(of, fronts_of(of.transpose, dissect(matrix, of.transpose)[0]))
    d, e = rng.lognormal(0, 1, k), rng.lognormal(0, 1, m)
    B = matrix.toarray()
    expected = rng.normal(size=m)
    right = (B * d) @ (B.T @ expected) + e * expected
    solution = normal.factor(d, e)(right)
    residual = right - ((B * d) @ (B.T @ solution) + e * solution)
    assert np.abs(residual).max() <= 10 * RIDGE * np.abs(right).max()


def test_any_tree_with_each_record_on_a_path_gives_the_same_solution():
    rng = np.random.default_rng(1)
    matrix = nested(rng)
    m, k = matrix.shape
    of = ScaledMatrix.of(matrix)
    right, d, e = rng.normal(size=m), rng.lognormal(0, 1, k), rng.lognormal(0, 1, m)
    whole = NestedNormalMatrix(of, fronts_of(of.transpose, Block(np.arange(m)))).factor(d, e)(right)
    parts = NestedNormalMatrix(
        of, fronts_of(of.transpose, dissect(matrix, of.transpose)[0])
    ).factor(d, e)(right)
    np.testing.assert_allclose(parts, whole, rtol=1e-3, atol=1e-4 * np.abs(whole).max())


def test_threads_change_no_bit(monkeypatch):
    rng = np.random.default_rng(2)
    matrix = nested(rng)
    m, k = matrix.shape
    of = ScaledMatrix.of(matrix)
    right, d, e = rng.normal(size=m), rng.lognormal(0, 1, k), rng.lognormal(0, 1, m)
    monkeypatch.setattr("l0.calibration.fitting.nested_normal.QUICK", 0)
    solutions = []
    for n_threads in (1, 3):
        monkeypatch.setattr("torch.get_num_threads", lambda n=n_threads: n)
        normal = NestedNormalMatrix(of, fronts_of(of.transpose, dissect(matrix, of.transpose)[0]))
        solutions.append(normal.factor(d, e)(right))
    np.testing.assert_array_equal(*solutions)
