import numpy as np
import pytest
import scipy.sparse as sp

from l0.calibration.fitting.dissection import Block, dissect
from l0.calibration.fitting.nested_normal import RIDGES, NestedNormalMatrix
from l0.calibration.fitting.nesting import Nesting
from l0.calibration.fitting.scaled_matrix import ScaledMatrix
from tests.calibration.fitting.matrices import copied, nested, scattered
from tests.thread_ranks import on_ranks


def fronts_of(matrix, root):
    """Give the fronts of a scaled matrix and a tree."""
    return Nesting.of(root, matrix.entries, matrix.transpose).fronts


@pytest.mark.parametrize("make", [nested, scattered])
def test_it_solves_the_system_up_to_float32(make):
    rng = np.random.default_rng(0)
    matrix = make(rng)
    m, k = matrix.shape
    of = ScaledMatrix.of(matrix)
    normal = NestedNormalMatrix(of, fronts_of(of, dissect(matrix, of.transpose)[0]))
    d, e = rng.lognormal(0, 1, k), rng.lognormal(0, 1, m)
    B = matrix.toarray()
    expected = rng.normal(size=m)
    right = (B * d) @ (B.T @ expected) + e * expected
    solution = normal.factor(d, e)(right)
    residual = right - ((B * d) @ (B.T @ solution) + e * solution)
    assert np.abs(residual).max() <= 10 * RIDGES[0] * np.abs(right).max()


def test_any_tree_with_each_record_on_a_path_gives_the_same_solution():
    rng = np.random.default_rng(1)
    matrix = nested(rng)
    m, k = matrix.shape
    of = ScaledMatrix.of(matrix)
    right, d, e = rng.normal(size=m), rng.lognormal(0, 1, k), rng.lognormal(0, 1, m)
    whole = NestedNormalMatrix(of, fronts_of(of, Block(np.arange(m)))).factor(d, e)(right)
    parts = NestedNormalMatrix(of, fronts_of(of, dissect(matrix, of.transpose)[0])).factor(d, e)(
        right
    )
    np.testing.assert_allclose(parts, whole, rtol=1e-3, atol=1e-4 * np.abs(whole).max())


@pytest.mark.parametrize("size", [1, 2])
def test_multiples_of_targets_get_a_larger_ridge_on_all_ranks(size):
    # In float32, these systems are indefinite with the smallest ridge.
    rng = np.random.default_rng(0)
    one = rng.uniform(size=(30, 600))
    area = np.repeat([0, 1, 2], 200)
    parts = [np.vstack([one, 3 * one, 0.7 * one]) * (area == each) for each in range(3)]
    matrix = sp.csr_array(np.vstack([np.ones((1, 600)), *parts]))
    of = ScaledMatrix.of(matrix)
    below = [Block(np.arange(1 + 90 * each, 91 + 90 * each)) for each in range(3)]
    fronts = fronts_of(of, Block(np.array([0]), below))
    d = rng.lognormal(0, 1, 600)
    right = matrix @ (d * (matrix.T @ rng.normal(size=matrix.shape[0])))
    for solution in on_ranks(
        size,
        lambda ranks: NestedNormalMatrix(of, fronts, ranks).factor(d, np.zeros(len(right)))(right),
    ):
        residual = right - matrix @ (d * (matrix.T @ solution))
        assert np.abs(residual).max() <= 10 * RIDGES[-1] * np.abs(right).max()


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
        normal = NestedNormalMatrix(of, fronts_of(of, dissect(matrix, of.transpose)[0]))
        solutions.append(normal.factor(d, e)(right))
    np.testing.assert_array_equal(*solutions)


@pytest.mark.parametrize("of_group", [0.0, 1e12])
@pytest.mark.parametrize("few", [0, 10_000_000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kinds_of_records_and_copies_of_columns_change_no_solution(
    dtype, few, of_group, monkeypatch
):
    monkeypatch.setattr("l0.calibration.fitting.scaled_matrix.FEW", few)
    monkeypatch.setattr("l0.calibration.fitting.kinds.OF_GROUP", of_group)
    monkeypatch.setattr("l0.calibration.fitting.front_columns.OF_GROUP", of_group)
    rng = np.random.default_rng(3)
    matrix, _ = copied(rng, k=3_000, ages=4, measures=12)
    m, k = matrix.shape
    of = ScaledMatrix.scaled(
        matrix.astype(dtype), rng.lognormal(0, 3, m), 1e5 * rng.lognormal(0, 1, k)
    )
    d, e, expected = 1e-10 * rng.lognormal(0, 1, k), rng.lognormal(0, 1, m), rng.normal(size=m)
    B = of.csr.toarray()
    right = (B * d) @ (B.T @ expected) + e * expected
    solution = NestedNormalMatrix(of, fronts_of(of, Block(np.arange(m)))).factor(d, e)(right)
    residual = right - ((B * d) @ (B.T @ solution) + e * solution)
    assert np.abs(residual).max() <= 10 * RIDGES[0] * np.abs(right).max()


@pytest.mark.parametrize("m", [1, 2, 5])
def test_records_without_entries_add_nothing(m):
    rng = np.random.default_rng(m)
    entries = rng.random((m, 1_500)) * (np.arange(1_500) < 600)
    of = ScaledMatrix.of(sp.csr_array(entries))
    d, e, right = rng.lognormal(0, 1, 1_500), rng.lognormal(0, 1, m), rng.normal(size=m)
    solution = NestedNormalMatrix(of, fronts_of(of, Block(np.arange(m)))).factor(d, e)(right)
    expected = np.linalg.solve((entries * d) @ entries.T + np.diag(e), right)
    np.testing.assert_allclose(solution, expected, rtol=1e-3)
