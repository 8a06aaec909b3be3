import numpy as np
import pytest
import torch

from l0.calibration.fitting import dissection, kinds
from l0.calibration.fitting.different_columns import joined
from l0.calibration.fitting.dissection import dissect
from l0.calibration.fitting.nested_normal import RIDGES, NestedNormalMatrix
from l0.calibration.fitting.nesting import Nesting
from l0.calibration.fitting.scaled_matrix import ScaledMatrix
from l0.common.ranks import ONE
from tests.calibration.fitting.matrices import nested
from tests.thread_ranks import on_ranks


def nest(matrix, ranks=ONE):
    records = matrix.T.tocsr()
    root, _ = dissect(matrix, records, ranks)
    return Nesting.of(root, matrix, records, ranks)


@pytest.fixture(params=[0, 1])
def made(request, monkeypatch):
    """Give a matrix whose targets are nested, and how: with kinds of records or without."""
    monkeypatch.setattr(dissection, "SMALL", 0)
    if request.param:
        monkeypatch.setattr(kinds, "OF_GROUP", 0.0)
    matrix = nested(np.random.default_rng(0)).astype(np.float32)
    nesting = nest(matrix)
    assert nesting.root.children
    return matrix, nesting


def written_out(nesting):
    """Write the matrix from its different columns."""
    whole = np.zeros(nesting.shape)
    records = np.concatenate([those.records for those in nesting.columns])
    whole[:, records] = nesting.copies @ joined(nesting.columns).T.toarray()
    return whole


def test_it_gives_every_entry_back(made):
    matrix, nesting = made
    np.testing.assert_array_equal(written_out(nesting), matrix.toarray())
    assert nesting.nnz == sum(those.values.nnz + len(those.targets) for those in nesting.columns)


def test_each_record_has_a_row_in_order(made):
    matrix, nesting = made
    values, place = nesting.by_record()
    whole = nesting.copies @ values[place].T.toarray()
    np.testing.assert_array_equal(whole, matrix.toarray())


@pytest.mark.parametrize("shares", [(1.0, 0.1), (0.3, 1.0), (0.5, 0.5), (0.0, 1.0), (1.0, 0.0)])
def test_a_part_is_that_of_the_part_of_the_matrix(made, shares):
    matrix, nesting = made
    rng = np.random.default_rng(1)
    rows, records = (
        np.flatnonzero(rng.random(size) < share)
        for size, share in zip(matrix.shape, shares, strict=True)
    )
    part = nesting.part(rows, records)
    np.testing.assert_array_equal(written_out(part), matrix[rows][:, records].toarray())


@pytest.mark.parametrize("n_threads", [1, 3])
def test_threads_find_the_same(n_threads, made, monkeypatch):
    matrix, nesting = made
    monkeypatch.setattr("l0.common.threads.LEAST", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: n_threads)
    assert_same_columns(nest(matrix), nesting)


@pytest.mark.parametrize("size", [2, 3])
def test_ranks_find_the_same(size, made):
    matrix, nesting = made
    for found in on_ranks(size, lambda ranks: nest(matrix, ranks)):
        assert_same_columns(found, nesting)


def assert_same_columns(nesting, other):
    for those, expected in zip(nesting.columns, other.columns, strict=True):
        np.testing.assert_array_equal(those.records, expected.records)
        np.testing.assert_array_equal(those.targets, expected.targets)
        np.testing.assert_array_equal(those.values.toarray(), expected.values.toarray())


@pytest.mark.parametrize("share", [0.02, 0.4, 1.0])
def test_a_system_of_a_part_is_solved_up_to_float32(made, share):
    matrix, nesting = made
    rng = np.random.default_rng(2)
    rows, records = (np.flatnonzero(rng.random(size) < share) for size in matrix.shape)
    m, k = len(rows), len(records)
    factors = rng.lognormal(0, 2, m), rng.lognormal(0, 1, k)
    part = ScaledMatrix.scaled(matrix[rows][:, records], *factors, nesting.part(rows, records))
    d, e, expected = rng.lognormal(0, 1, k), rng.lognormal(0, 1, m), rng.normal(size=m)
    B = factors[0][:, None] * part.entries.toarray() * factors[1]
    right = (B * d) @ (B.T @ expected) + e * expected
    solution = NestedNormalMatrix(part, part.nesting.fronts).factor(d, e)(right)
    residual = right - ((B * d) @ (B.T @ solution) + e * solution)
    assert np.abs(residual).max() <= 10 * RIDGES[0] * max(np.abs(right).max(), 1e-300)
