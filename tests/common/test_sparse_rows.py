import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from l0.common import sparse_rows
from l0.common.sparse_rows import (
    block_of,
    filled_rows,
    lengths_of_columns,
    narrow,
    product,
    row_blocks,
    rows_of,
)

#: Some of their rows and columns are empty.
matrices = hnp.arrays(np.float64, (7, 5), elements=st.sampled_from([0.0, 0.0, 0.1, -3.0, 1e6])).map(
    sp.csr_array
)


@given(
    lengths=hnp.arrays(np.int64, st.integers(0, 12), elements=st.sampled_from([0, 0, 1, 2, 5, 30])),
    most=st.integers(1, 40),
    kind=st.sampled_from([np.int32, np.int64]),
)
def test_blocks_hold_every_row_once_and_as_many_as_fit(lengths, most, kind):
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(kind)
    blocks = list(row_blocks(indptr, most))
    assert [row for rows, _ in blocks for row in range(len(lengths))[rows]] == [
        *range(len(lengths))
    ]
    for rows, entries in blocks:
        assert (entries.start, entries.stop) == (indptr[rows.start], indptr[rows.stop])
        held = entries.stop - entries.start
        assert held <= most or rows.stop - rows.start == 1
        if rows.stop < len(lengths):
            assert held + lengths[rows.stop] > most


@given(
    lengths=hnp.arrays(np.int64, st.integers(0, 12), elements=st.sampled_from([0, 0, 1, 2, 5, 30])),
    most=st.integers(1, 40),
    data=st.data(),
)
def test_blocks_of_a_stretch_are_those_of_its_rows_alone(lengths, most, data):
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    start = data.draw(st.integers(0, len(lengths)))
    stop = data.draw(st.integers(start, len(lengths)))
    alone = [
        (slice(start + rows.start, start + rows.stop), entries)
        for rows, entries in row_blocks(indptr[start : stop + 1], most)
    ]
    assert list(row_blocks(indptr, most, slice(start, stop))) == alone


def test_blocks_end_beyond_the_largest_int32():
    indptr = np.array([0, 2**31 - 5, 2**31 - 2], dtype=np.int32)
    assert [rows for rows, _ in row_blocks(indptr, 100)] == [slice(0, 1), slice(1, 2)]


def test_narrow_rows_are_sorted_and_have_small_indices():
    wide = sp.csr_array((np.array([1.0, 2.0]), np.array([2, 0]), np.array([0, 2])), shape=(1, 3))
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    found = narrow(wide)
    assert found.indices.dtype == found.indptr.dtype == np.int32
    np.testing.assert_array_equal(found.indices, [0, 2])
    np.testing.assert_array_equal(found.toarray(), [[2.0, 0.0, 1.0]])


@given(start=st.integers(0, 6), length=st.integers(0, 6))
def test_a_stretch_of_rows_is_that_of_the_dense_matrix(start, length):
    dense = np.random.default_rng(0).integers(0, 3, size=(6, 4)).astype(float)
    rows = slice(start, min(start + length, 6))
    found = rows_of(sp.csr_array(dense), rows)
    assert np.array_equal(found.toarray(), dense[rows])
    assert rows_of(found, slice(0, found.shape[0])) is found


def test_a_small_stretch_of_rows_shares_the_entries():
    matrix = sp.csr_array(np.ones((1000, 10)))
    part = rows_of(matrix, slice(500, 502))
    assert np.shares_memory(part.data, matrix.data)
    assert np.shares_memory(part.indices, matrix.indices)


@given(matrix=matrices, data=st.data())
def test_rows_share_the_entries_if_all_others_are_empty(matrix, data):
    filled = np.flatnonzero(np.diff(matrix.indptr))
    drawn = data.draw(st.sets(st.integers(0, 6)))
    for rows in (np.array(sorted(drawn), dtype=np.int64), np.union1d(filled, sorted(drawn))):
        rows = rows.astype(np.int64)
        found = filled_rows(matrix, rows)
        np.testing.assert_array_equal(found.toarray(), matrix.toarray()[rows])
        shared = matrix.nnz > 0 and set(filled) <= set(rows)
        assert np.shares_memory(found.data, matrix.data) == shared
        assert found.indptr.dtype == matrix.indptr.dtype


@given(start=st.integers(0, 4), length=st.integers(0, 4), left=st.integers(0, 4))
def test_a_block_is_that_of_the_dense_matrix_and_shares_the_values(start, length, left):
    dense = np.zeros((8, 10))
    rows, columns = slice(start, start + length), slice(left, left + 5)
    dense[rows, columns] = np.random.default_rng(0).integers(0, 3, size=(length, 5))
    matrix = sp.csr_array(dense)
    found = block_of(matrix, rows, columns)
    assert np.array_equal(found.toarray(), dense[rows, columns])
    assert not found.nnz or np.shares_memory(found.data, matrix.data)
    assert np.array_equal(matrix.toarray(), dense)


@given(matrix=matrices, dtype=st.sampled_from([np.float32, np.float64]), size=st.integers(1, 9))
def test_a_product_by_stretches_has_the_bits_of_the_whole_one(matrix, dtype, size):
    matrix = matrix.astype(dtype)
    vector = np.random.default_rng(0).normal(size=matrix.shape[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse_rows, "CACHED", size)
        found = product(matrix, vector)
    assert found.dtype == np.float64
    assert found.tobytes() == (matrix.astype(np.float64) @ vector).tobytes()


@given(matrix=matrices, size=st.integers(1, 9))
def test_the_lengths_of_columns_are_counted_block_by_block(matrix, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse_rows, "BLOCK", size)
        lengths = lengths_of_columns(matrix)
    np.testing.assert_array_equal(lengths, (matrix.toarray() != 0).sum(axis=0))
