import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.calibration.fitting.different_columns import different_columns, joined, part_of
from tests.calibration.fitting.matrices import copied


def written_out(columns, shape):
    """Write the matrix of the records, shape (m, k), from its different columns."""
    m, k = shape
    whole = np.zeros((m, k))
    values = columns.values.toarray()
    for target, column in zip(columns.targets, columns.copies, strict=True):
        whole[target, columns.records] += values[:, column]
    return whole


def a_matrix(rng, m, k, dtype=np.float64):
    """Make a matrix with few different numbers, so that columns are often equal."""
    values = rng.choice([-1.0, 1.0, 2.0, 1e-30, 1e30], (m, k)) * (rng.random((m, k)) < 0.4)
    values[rng.integers(0, m, m)] = values  # copies of rows, over others
    return values.astype(dtype)


@given(
    seed=st.integers(0, 2**32 - 1),
    m=st.integers(1, 12),
    k=st.integers(1, 20),
    n_kinds=st.integers(1, 4),
    dtype=st.sampled_from([np.float32, np.float64]),
)
@settings(max_examples=200, deadline=None)
def test_they_give_every_entry_back(seed, m, k, n_kinds, dtype):
    rng = np.random.default_rng(seed)
    matrix = a_matrix(rng, m, k, dtype)
    kind = rng.integers(0, n_kinds, k)
    those = np.flatnonzero(rng.random(k) < 0.7)
    columns = different_columns(sp.csr_array(matrix.T), those, kind)
    expected = np.zeros((m, k))
    expected[:, those] = matrix[:, those]
    np.testing.assert_array_equal(written_out(columns, (m, k)), expected)
    assert columns.values.dtype == dtype
    assert set(columns.records) == {i for i in those if matrix[:, i].any()}
    assert (np.diff(columns.copies) >= 0).all()
    np.testing.assert_array_equal(columns.copies[columns.first], np.arange(len(columns.first)))


@given(seed=st.integers(0, 2**32 - 1), n_kinds=st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_each_kind_has_its_own_rows_and_columns_and_no_two_columns_are_equal(seed, n_kinds):
    rng = np.random.default_rng(seed)
    m, k = rng.integers(1, 12), rng.integers(1, 20)
    kind = rng.integers(0, n_kinds, k)
    columns = different_columns(sp.csr_array(a_matrix(rng, m, k).T), np.arange(k), kind)
    values, covered = columns.values.toarray(), np.zeros(columns.values.shape)
    for rows, places in columns.kinds:
        assert len(set(kind[columns.records[rows]])) == 1
        own = values[rows, places]
        assert len(np.unique(own, axis=1).T) == own.shape[1]
        covered[rows, places] += 1
    assert (covered[values != 0] == 1).all()
    assert (covered.sum(axis=1) > 0).all()


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_a_part_of_them_is_that_of_the_part_of_the_matrix(seed):
    rng = np.random.default_rng(seed)
    m, k = int(rng.integers(1, 12)), int(rng.integers(1, 20))
    matrix = a_matrix(rng, m, k)
    columns = different_columns(sp.csr_array(matrix.T), np.arange(k), rng.integers(0, 3, k))
    rows, records = (np.flatnonzero(rng.random(size) < 0.6) for size in (m, k))
    places = []
    for kept, size in ((rows, m), (records, k)):
        place = np.full(size, -1)
        place[kept] = np.arange(len(kept))
        places.append(place)
    part = part_of(columns, *places)
    shape = len(rows), len(records)
    np.testing.assert_array_equal(written_out(part, shape), matrix[np.ix_(rows, records)])
    assert (np.bincount(part.values.indices, minlength=part.values.shape[1]) > 0).all()
    np.testing.assert_array_equal(part.copies[part.first], np.arange(part.values.shape[1]))
    values = part.values.toarray()
    for own_rows, own_columns in part.kinds:
        values[own_rows, own_columns] = 0
    assert not values.any()


def test_targets_of_all_areas_and_ages_are_copies():
    matrix, age = copied(np.random.default_rng(0), k=3_000, ages=3, measures=20)
    columns = different_columns(matrix.T.tocsr(), np.arange(3_000), age)
    # Each age has 20 measures, for everyone and for the age.
    assert columns.values.shape[1] == 60
    assert len(columns.targets) == 120
    assert columns.values.nnz == matrix.nnz / 2


def test_kinds_whose_entries_are_all_0_have_no_columns():
    # The matrix of a user may hold zeros. In the kinds 1 and 2, all entries of the target are 0.
    records = sp.csr_array(np.ones((6, 1)))
    records.data[2:] = 0
    columns = different_columns(records, np.arange(6), np.repeat([0, 1, 2], 2))
    assert columns.kinds == [(slice(0, 2), slice(0, 1)), (slice(2, 4), slice(1, 2))]
    np.testing.assert_array_equal(written_out(columns, (1, 6)), records.toarray().T)


@pytest.mark.parametrize("n_blocks", [0, 1, 3])
def test_blocks_joined_have_their_own_rows_and_columns(n_blocks):
    rng = np.random.default_rng(0)
    blocks = [
        different_columns(sp.csr_array(a_matrix(rng, 6, 9).T), np.arange(9), rng.integers(0, 2, 9))
        for _ in range(n_blocks)
    ]
    expected = sp.block_diag([block.values for block in blocks]) if blocks else np.zeros((0, 0))
    np.testing.assert_array_equal(
        joined(blocks).toarray(), expected.toarray() if blocks else expected
    )
