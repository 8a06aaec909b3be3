import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

from l0.linear_model import design as design_module
from l0.linear_model.design import standardised_design
from tests.linear_model.problems import sparse_matrix


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("form", [sp.csr_array, sp.csc_array, sp.csr_matrix])
def test_sparse_columns_are_the_dense_ones(form, centre):
    x, weights = sparse_matrix()
    dense, sparse = (standardised_design(m, weights, centre) for m in (x, form(x)))
    every = np.arange(12)
    right = np.random.default_rng(1).normal(size=(50, 2))
    np.testing.assert_allclose(
        sparse.design.columns(every), dense.design.columns(every), atol=1e-12
    )
    np.testing.assert_allclose(
        sparse.design.products(right), dense.design.products(right), atol=1e-12
    )
    np.testing.assert_allclose(sparse.design.gram(), dense.design.gram(), atol=1e-12)
    np.testing.assert_allclose(sparse.design.squares, dense.design.squares, atol=1e-12)
    old, new = np.sqrt(dense.weights), np.random.default_rng(2).uniform(0.5, 1, 50)
    np.testing.assert_allclose(
        sparse.design.reweighted(old, new, centre).columns(every),
        dense.design.reweighted(old, new, centre).columns(every),
        atol=1e-12,
    )


def test_columns_have_mean_zero_and_size_one_and_constants_are_zero():
    x, weights = sparse_matrix()
    standardised = standardised_design(x, weights, True)
    constant = np.array([4, 5])
    squares = np.ones(12)
    squares[constant] = 0.0
    np.testing.assert_allclose(standardised.design.squares, squares, atol=1e-12)
    np.testing.assert_allclose(
        standardised.design.products(np.sqrt(standardised.weights)[:, None]), 0, atol=1e-12
    )


def test_single_precision_stays_single():
    x, weights = sparse_matrix(dtype=np.float32)
    for form in (x, sp.csr_array(x)):
        columns = standardised_design(form, weights, True).design.columns(np.array([1, 2]))
        assert columns.dtype == np.float32


@pytest.mark.parametrize("form", [np.asarray, sp.csc_array])
@pytest.mark.parametrize(
    ("dtype", "sizes"), [(np.float64, (1e-250, 1e250)), (np.float32, (1e-36, 1e36))]
)
def test_columns_whose_squares_no_float_holds_are_standardised(form, dtype, sizes):
    x, weights = sparse_matrix()
    plain = standardised_design(form(x), weights, True)
    for size in sizes:
        other = standardised_design(form((x * size).astype(dtype)), weights, True)
        np.testing.assert_allclose(other.scale[:4], plain.scale[:4] * size, rtol=1e-5)
        np.testing.assert_allclose(
            other.design.columns(np.arange(12)), plain.design.columns(np.arange(12)), atol=1e-5
        )


def test_single_precision_is_standardised_without_a_copy_in_double():
    x = np.ones((2_000, 500), np.float32)
    x[::2] = 0.0
    tracemalloc.start()
    standardised_design(x, np.ones(2_000), True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * x.nbytes


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_new_weights_need_no_copy_and_give_the_products_of_one(centre, dtype, monkeypatch):
    monkeypatch.setattr(design_module, "BLOCK", 7)
    x, weights = sparse_matrix(dtype=dtype)
    dense = standardised_design(x, weights, True)
    old, new = np.sqrt(dense.weights), np.random.default_rng(2).uniform(0.5, 1, 50)
    lazy = dense.design.reweighted(old, new, centre)
    assert lazy.z is dense.design.z and lazy.shape == (50, 12)
    z = dense.design.z.astype(float) * (new / old)[:, None]
    if centre:
        z -= np.outer(new, new @ z / (new @ new))
    right = np.random.default_rng(3).normal(size=(50, 2))
    near = {"atol": 1e-12 if dtype == np.float64 else 1e-4}
    np.testing.assert_allclose(lazy.columns(np.arange(12)), z, **near)
    np.testing.assert_allclose(lazy.products(right), z.T @ right, **near)
    np.testing.assert_allclose(lazy.gram(), z.T @ z, **near)
    np.testing.assert_allclose(lazy.squares, np.sum(z**2, axis=0), **near)
    again = lazy.reweighted(new, old, True)
    np.testing.assert_allclose(again.columns(np.arange(12)), dense.design.z, **near)
