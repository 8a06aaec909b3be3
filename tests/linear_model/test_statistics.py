import math

import numpy as np
import pytest

from l0.linear_model import statistics
from l0.linear_model.design import DenseDesign, standardised_design
from l0.linear_model.statistics import GramRows, Statistics
from tests.linear_model.problems import sparse_matrix


def columns(seed=0, n=40, p=7, dtype=np.float64):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n, p)).astype(dtype), generator.normal(size=(n, 2))


def test_rows_on_demand_are_those_of_the_gram_matrix(monkeypatch):
    x, weights = sparse_matrix()
    design = standardised_design(x, weights, True).design
    outcome = np.random.default_rng(3).normal(size=(50, 1))
    whole = Statistics.of(design, outcome, l2=0.1)
    monkeypatch.setattr(statistics, "FEW", 0)
    monkeypatch.setattr(statistics, "MANY", 0)
    lazy = Statistics.of(design, outcome, l2=0.1)
    assert isinstance(lazy.source, statistics.GramRows)
    for which in (np.array([3, 1]), np.array([1, 5, 0, 3])):
        np.testing.assert_allclose(lazy.rows(which), whole.rows(which), atol=1e-12)
        np.testing.assert_allclose(lazy.block(which), whole.block(which), atol=1e-12)


def test_they_are_the_products_of_columns_and_outcomes():
    z, y = columns()
    found = Statistics.of(DenseDesign(z), y, l2=0.5)
    gram = z.T @ z + 0.5 * np.eye(7)
    np.testing.assert_allclose(found.cross, z.T @ y)
    np.testing.assert_allclose(found.diagonal, np.diag(gram))
    np.testing.assert_allclose(found.rows(np.arange(7)), gram)
    np.testing.assert_allclose(found.block(np.array([4, 1])), gram[np.ix_([4, 1], [4, 1])])
    assert found.total == pytest.approx(np.sum(y**2))


def test_a_row_may_be_changed_and_is_the_same_the_next_time():
    z, y = columns()
    for source in (z.T @ z, GramRows(DenseDesign(z))):
        found = Statistics(z.T @ y, np.sum(z**2, axis=0), source)
        rows = found.rows(np.array([2, 5]))
        before = rows.copy()
        rows[:] = 0
        np.testing.assert_array_equal(found.rows(np.array([2, 5])), before)


def test_each_row_is_computed_once(monkeypatch):
    z, _ = columns(p=50)
    asked = []

    class Counting(DenseDesign):
        def products(self, right):
            asked.append(right.shape[1])
            return super().products(right)

    rows = GramRows(Counting(z))
    for which in ([3], [3, 4], [4, 3], list(range(40))):
        np.testing.assert_allclose(rows.rows(np.array(which)), (z.T @ z)[which])
    assert asked == [1, 1, 38]


@pytest.mark.parametrize(("n", "p", "at_once"), [(9, 7, True), (9, 500, False), (1200, 500, True)])
def test_products_are_computed_at_once_or_row_by_row(n, p, at_once):
    z, y = columns(n=n, p=p)
    assert isinstance(Statistics.of(DenseDesign(z), y).source, np.ndarray) == at_once


def test_parts_and_other_ridges_are_the_statistics_of_those_columns():
    z, y = columns()
    whole = Statistics.of(DenseDesign(z), y, l2=0.5)
    which = np.array([6, 0, 3])
    part, fresh = whole.restricted(which), Statistics.of(DenseDesign(z[:, which]), y, l2=0.5)
    np.testing.assert_allclose(part.rows(np.arange(3)), fresh.rows(np.arange(3)))
    np.testing.assert_allclose(part.with_l2(0).rows(np.arange(3)), z[:, which].T @ z[:, which])
    assert part.total == whole.total


def test_a_column_of_zeros_has_no_diagonal_whatever_the_ridge():
    z, y = columns()
    z[:, 2] = 0
    assert Statistics.of(DenseDesign(z), y, l2=0.5).diagonal[2] == 0


def test_rounding_is_a_share_of_what_there_is_to_explain():
    z, y = columns()
    double = Statistics.of(DenseDesign(z), y)
    single = Statistics.of(DenseDesign(z.astype(np.float32)), y)
    assert double.rounding == pytest.approx(1e-9 * np.sum(y**2))
    assert single.rounding == pytest.approx(1e3 * double.rounding)
    assert single.spanned == 1e5 * double.spanned
    unknown = Statistics(z.T @ y, np.sum(z**2, axis=0), z.T @ z)
    assert unknown.total == math.inf
    assert unknown.rounding == pytest.approx(1e-9 * np.sum((z.T @ y) ** 2, axis=1).max())
