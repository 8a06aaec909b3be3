from dataclasses import replace

import numpy as np
import pytest

from l0.calibration.fitting import choice, dissection, scaled_matrix
from l0.calibration.fitting.bordered_normal import BorderedNormalMatrix
from l0.calibration.fitting.certificate import Certificate
from l0.calibration.fitting.choice import normal_matrix
from l0.calibration.fitting.interior_point import solve_interior_point
from l0.calibration.fitting.nested_normal import NestedNormalMatrix
from l0.calibration.fitting.nesting import Nesting
from l0.calibration.fitting.normal_matrix import DenseNormalMatrix, SparseNormalMatrix
from l0.calibration.fitting.scaled_matrix import ScaledMatrix
from tests.calibration.fitting.matrices import nested, scattered
from tests.calibration.fitting.programs import program


@pytest.fixture(params=[np.float32, np.float64])
def parts(request):
    """The entries and the factors of a matrix, whose rows are on very different scales."""
    rng = np.random.default_rng(0)
    entries = scattered(rng).astype(request.param)
    m, k = entries.shape
    return entries, rng.lognormal(0, 5, m), rng.lognormal(0, 2, k)


def dense(entries, r, c):
    return r[:, None] * entries.toarray().astype(np.float64) * c


@pytest.mark.parametrize("few", [0, 10_000_000])
def test_it_is_the_product_of_its_parts(parts, few, monkeypatch):
    monkeypatch.setattr(scaled_matrix, "FEW", few)
    B, matrix = dense(*parts), ScaledMatrix.scaled(*parts)
    assert matrix.csr.dtype == np.float64
    np.testing.assert_allclose(matrix.csr.toarray(), B, rtol=1e-14)
    np.testing.assert_allclose(matrix.absolute, np.abs(B).sum(axis=1), rtol=1e-13)
    np.testing.assert_allclose(matrix.row(-1), B[-1], rtol=1e-14)
    some = np.array([4, 1, 7])
    np.testing.assert_allclose(matrix.rows(some).csr.toarray(), B[some], rtol=1e-14)
    np.testing.assert_array_equal(matrix.transpose.toarray(), matrix.entries.toarray().T)


def test_many_entries_are_shared_and_some_rows_of_them_may_be_few(parts, monkeypatch):
    entries = parts[0]
    monkeypatch.setattr(scaled_matrix, "FEW", entries.nnz - 1)
    matrix = ScaledMatrix.scaled(*parts)
    assert matrix.entries is entries
    some = matrix.rows(np.arange(3))
    assert some.has_few
    np.testing.assert_allclose(some.csr.toarray(), dense(*parts)[:3], rtol=1e-14)


@pytest.mark.parametrize(
    "kind", [SparseNormalMatrix, DenseNormalMatrix, NestedNormalMatrix, BorderedNormalMatrix]
)
def test_every_normal_matrix_is_that_of_the_scaled_entries(kind, monkeypatch):
    monkeypatch.setattr(dissection, "SMALL", 0)
    rng = np.random.default_rng(1)
    entries = nested(rng, states=5, districts=8).astype(np.float32)
    m, k = entries.shape
    r, c = 10 ** rng.uniform(-4, 4, m), rng.lognormal(0, 1, k)

    def solution():
        matrix = ScaledMatrix.scaled(entries, r, c)
        if kind is NestedNormalMatrix:
            root, _ = dissection.dissect(matrix.entries, matrix.transpose)
            normal = kind(matrix, Nesting.of(root, matrix.entries, matrix.transpose).fronts)
        elif kind is BorderedNormalMatrix:
            wide = np.arange(m) < 3
            normal = kind(matrix, wide, SparseNormalMatrix(matrix.rows(~wide)))
        else:
            normal = kind(matrix)
        return normal.factor(np.ones(k), r**2)(r * np.ones(m))

    expected = solution()
    monkeypatch.setattr(scaled_matrix, "FEW", 0)
    nearly = 1e-3 if kind is NestedNormalMatrix else 1e-9
    np.testing.assert_allclose(r * solution(), r * expected, rtol=nearly, atol=nearly)


@pytest.mark.parametrize("squared", [False, True])
def test_a_fit_with_many_entries_is_certified_like_one_with_few(squared, monkeypatch):
    monkeypatch.setattr(dissection, "SMALL", 0)
    for name in ("MOST_PRODUCTS", "MOST_OF_FULL", "QUICK"):
        monkeypatch.setattr(choice, name, 0)
    rng = np.random.default_rng(2)
    entries = nested(rng, states=5, districts=8, k=20_000)
    m, k = entries.shape
    values = entries @ np.exp(rng.normal(0, 0.3, k))
    weights = rng.lognormal(0, 1, k)
    few = program(
        m=m, k=k, matrix=ScaledMatrix.scaled(entries, 1 / values, weights),
        low=np.ones(m), high=np.ones(m), share=np.full(m, 1 / m), squared=squared,
        cost=0.02 * weights / weights.sum(),
    )  # fmt: skip
    monkeypatch.setattr(scaled_matrix, "FEW", 0)
    many = replace(few, matrix=ScaledMatrix.scaled(entries, 1 / values, weights), passes=0)
    assert many.matrix.entries is entries
    found = []
    for of in (few, many):
        normal = normal_matrix(of.matrix)
        assert isinstance(normal, NestedNormalMatrix)
        certificate = solve_interior_point(of, normal, Certificate(of, 1e-6))
        assert certificate.certified
        found.append(certificate)
    assert found[0].primal == pytest.approx(found[1].primal, rel=2e-6)
