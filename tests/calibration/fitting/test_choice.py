import numpy as np
import pytest
import scipy.sparse as sp

from l0.calibration.fitting import choice, dissection
from l0.calibration.fitting.bordered_normal import BorderedNormalMatrix
from l0.calibration.fitting.choice import nesting_of, normal_matrix
from l0.calibration.fitting.nested_normal import NestedNormalMatrix
from l0.calibration.fitting.normal_matrix import DenseNormalMatrix, SparseNormalMatrix
from l0.calibration.fitting.scaled_matrix import ScaledMatrix
from tests.calibration.fitting.matrices import nested, scattered
from tests.calibration.fitting.test_nesting import nest


def test_few_entries_a_record_are_listed_and_many_are_not():
    rng = np.random.default_rng(0)
    assert isinstance(normal_matrix(ScaledMatrix.of(nested(rng))), SparseNormalMatrix)
    assert isinstance(
        normal_matrix(ScaledMatrix.of(scattered(rng, density=0.9))), DenseNormalMatrix
    )


def test_large_nested_targets_are_taken_apart_and_what_costs_too_much_is_left(monkeypatch):
    monkeypatch.setattr(dissection, "SMALL", 0)
    matrix = nested(np.random.default_rng(0), states=5, districts=8, k=20_000)
    monkeypatch.setattr(choice, "MOST_PRODUCTS", 0)
    monkeypatch.setattr(choice, "MOST_OF_FULL", 0)
    monkeypatch.setattr(choice, "QUICK", 0)
    assert isinstance(normal_matrix(ScaledMatrix.of(matrix)), NestedNormalMatrix)
    monkeypatch.setattr(choice, "MOST", 0)
    assert isinstance(normal_matrix(ScaledMatrix.of(matrix)), NestedNormalMatrix)
    monkeypatch.setattr(choice, "MOST_PER_ENTRY", 0)
    assert normal_matrix(ScaledMatrix.of(matrix)) is None


def test_few_records_of_a_file_whose_nesting_is_known_are_listed(monkeypatch):
    monkeypatch.setattr(dissection, "SMALL", 0)
    matrix = nested(np.random.default_rng(0))
    nesting, ones = nest(matrix), [np.ones(size) for size in matrix.shape]
    of = ScaledMatrix.scaled(matrix, *ones, nesting)
    assert isinstance(normal_matrix(of), SparseNormalMatrix)
    for name in ("MOST_PRODUCTS", "MOST_OF_FULL", "QUICK"):
        monkeypatch.setattr(choice, name, 0)
    assert isinstance(normal_matrix(of), NestedNormalMatrix)


@pytest.mark.parametrize("few", [0, 10_000_000])
def test_only_many_entries_are_nested_once_for_all_fits(few, monkeypatch):
    monkeypatch.setattr(dissection, "SMALL", 0)
    for name in ("MOST_PRODUCTS", "MOST_OF_FULL", "QUICK", "MOST_DENSE"):
        monkeypatch.setattr(choice, name, 0)
    monkeypatch.setattr(choice, "FEW", few)
    found = nesting_of(nested(np.random.default_rng(0)))
    assert (found is None) == (few > 0)


def test_targets_that_suit_other_methods_are_not_nested(monkeypatch):
    monkeypatch.setattr(choice, "FEW", 0)
    rng = np.random.default_rng(0)
    assert nesting_of(nested(rng)) is None
    assert nesting_of(scattered(rng, density=0.9)) is None
    for name in ("MOST_PRODUCTS", "MOST_OF_FULL", "QUICK", "MOST", "MOST_PER_ENTRY"):
        monkeypatch.setattr(choice, name, 0)
    assert nesting_of(nested(rng)) is None


def test_a_few_records_in_two_areas_can_make_the_blocks_too_expensive(monkeypatch):
    monkeypatch.setattr(dissection, "SMALL", 0)
    monkeypatch.setattr(dissection, "SAMPLE", 2_000)
    for name in ("MOST_PRODUCTS", "MOST_OF_FULL", "MOST_DENSE", "QUICK", "MOST_PER_ENTRY"):
        monkeypatch.setattr(choice, name, 0)
    rng = np.random.default_rng(0)
    matrix, n_crossing = nested(rng, states=5, districts=8, k=20_000, own=12), 100
    pairs = rng.choice(20_000, (2, n_crossing), replace=False)
    others = sp.csr_array((np.ones(n_crossing), pairs), shape=(20_000, 20_000))
    crossing = (matrix + matrix @ others.T).tocsr()
    monkeypatch.setattr(choice, "MOST", 1e8)
    _, by_sample = dissection.dissect(crossing, crossing.T.tocsr())
    assert by_sample < choice.MOST
    assert isinstance(normal_matrix(ScaledMatrix.of(matrix)), NestedNormalMatrix)
    assert normal_matrix(ScaledMatrix.of(crossing)) is None


@pytest.mark.parametrize("limit", [1e3, 1e12])
def test_targets_without_structure_are_dense_or_too_expensive(limit, monkeypatch):
    monkeypatch.setattr(choice, "MOST_PRODUCTS", 0)
    monkeypatch.setattr(choice, "MOST_OF_FULL", 0)
    monkeypatch.setattr(choice, "QUICK", 0)
    monkeypatch.setattr(choice, "MOST", limit)
    monkeypatch.setattr(choice, "MOST_PER_ENTRY", 0)
    found = normal_matrix(ScaledMatrix.of(scattered(np.random.default_rng(0), m=100, k=3000)))
    assert isinstance(found, DenseNormalMatrix) if limit > 1e6 else found is None


def test_a_few_wide_targets_beside_many_narrow_ones_are_a_border(monkeypatch):
    monkeypatch.setattr(choice, "QUICK", 0)
    rng = np.random.default_rng(0)
    narrow = nested(rng, states=20, districts=10, k=20_000)
    monkeypatch.setattr(choice, "MOST_PRODUCTS", 10 * narrow.nnz)
    monkeypatch.setattr(choice, "MOST_OF_FULL", 0)
    matrix = sp.csr_array(sp.vstack([narrow, np.ones((20, 20_000))], format="csr"))
    assert isinstance(normal_matrix(ScaledMatrix.of(narrow)), SparseNormalMatrix)
    assert isinstance(normal_matrix(ScaledMatrix.of(matrix)), BorderedNormalMatrix)


def a_border(rng, monkeypatch):
    """Make a matrix with a border."""
    narrow = nested(rng)
    monkeypatch.setattr(choice, "MOST_PRODUCTS", 10 * narrow.nnz)
    return sp.csr_array(sp.vstack([narrow, np.ones((2, narrow.shape[1]))], format="csr"))


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        (SparseNormalMatrix, lambda rng, _: nested(rng)),
        (DenseNormalMatrix, lambda rng, _: scattered(rng, density=0.9)),
        (NestedNormalMatrix, lambda rng, _: nested(rng, states=5, districts=8, k=20_000)),
        (BorderedNormalMatrix, a_border),
    ],
)
def test_every_kind_solves_for_several_right_sides(kind, make, monkeypatch):
    rng = np.random.default_rng(0)
    if kind in (NestedNormalMatrix, BorderedNormalMatrix):
        monkeypatch.setattr(dissection, "SMALL", 0)
        for name in ("MOST_PRODUCTS", "MOST_OF_FULL", "QUICK"):
            monkeypatch.setattr(choice, name, 0)
    matrix = make(rng, monkeypatch)
    normal = normal_matrix(ScaledMatrix.of(matrix))
    assert isinstance(normal, kind)
    m, k = matrix.shape
    solve = normal.factor(rng.uniform(1, 2, k), rng.uniform(1, 2, m))
    right = rng.normal(size=(m, 3))
    each = np.column_stack([solve(column) for column in right.T])
    np.testing.assert_allclose(solve(right), each, rtol=1e-4, atol=1e-6)
