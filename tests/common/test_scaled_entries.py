import tracemalloc
from unittest import mock

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from l0.common.scaled_entries import ScaledEntries, keep_columns, keep_rows

entries = st.sampled_from([0.0, 0.0, 0.0, 1.0, -2.5, 1e-3, 4e5])
factors = st.floats(0.01, 100)


@st.composite
def cases(draw):
    """Draw a matrix in one part or two with factors, dense and scaled, and some of its columns."""
    A = draw(hnp.arrays(float, st.tuples(st.integers(1, 7), st.integers(1, 9)), elements=entries))
    m, n = A.shape
    rows, columns = (draw(hnp.arrays(float, size, elements=factors)) for size in (m, n))
    kept = draw(st.sets(st.integers(0, n - 1))).union(draw(st.sampled_from([[], range(n)])))
    dense = (A * rows[:, None] * columns).astype(np.float32)
    at = draw(st.integers(0, m))
    parts = [sp.csr_array(part) for part in ([A[:at], A[at:]] if at else [A])]
    return dense, ScaledEntries(parts, rows, columns), np.array(sorted(kept), np.int64)


@pytest.fixture(params=[(1, 1), (3, 2), (1000, 1), (1000, 3)], autouse=True)
def _blocks_and_threads(request):
    block, n_threads = request.param
    with (
        mock.patch("l0.common.scaled_entries.BLOCK", block),
        mock.patch("l0.common.threads.LEAST", 1),
        mock.patch("torch.get_num_threads", lambda: n_threads),
        mock.patch("l0.common.scaled_entries.PER_COLUMN", 0),
        mock.patch("l0.common.scaled_entries.STRETCH_PER_COLUMN", 0),
    ):
        yield


def equal(found, dense):
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.toarray(), dense)
    assert found.has_canonical_format
    assert found.nnz == np.count_nonzero(dense)


@given(case=cases(), data=st.data())
@settings(deadline=None)
def test_rows_come_in_their_order_with_some_of_the_columns(case, data):
    dense, scaled, kept = case
    order = np.array(data.draw(st.permutations(range(len(dense)))))
    equal(scaled.by_rows(order), dense[order])
    equal(scaled.by_rows(order, kept), dense[order][:, kept])


@given(case=cases())
@settings(deadline=None)
def test_columns_are_laid_out_as_rows(case):
    dense, scaled, kept = case
    equal(scaled.by_columns(), dense.T)
    equal(scaled.by_columns(kept), dense.T[kept])


@given(case=cases(), data=st.data())
@settings(deadline=None)
def test_largest_entries_are_of_the_columns(case, data):
    dense, scaled, _ = case
    factor = data.draw(hnp.arrays(float, len(dense), elements=st.just(0.0) | factors))
    expected = np.abs(factor[:, None] * dense.astype(float)).max(axis=0)
    np.testing.assert_array_equal(scaled.largest_entries(factor), expected)


@given(case=cases(), data=st.data())
@settings(deadline=None)
def test_rows_and_columns_are_dropped_in_place(case, data):
    dense, scaled, kept = case
    matrix = scaled.by_rows(np.arange(len(dense)))
    room = matrix.data
    found = keep_columns(matrix, kept)
    equal(found, dense[:, kept])
    if 2 * found.nnz >= len(room):
        assert np.shares_memory(found.data, room) == bool(found.nnz)
    equal(keep_rows(scaled.by_columns(), kept), dense.T[kept])


def test_the_matrix_that_came_in_is_left_alone_and_may_be_read_only():
    A = sp.csr_array(np.array([[1.0, 2.0], [0.0, 3.0]]))
    for part in (A.data, A.indices, A.indptr):
        part.flags.writeable = False
    scaled = ScaledEntries([A], np.array([5.0, 5.0]), np.array([7.0, 7.0]))
    keep_columns(scaled.by_rows(np.arange(2)), np.array([1]))
    keep_rows(scaled.by_columns(), np.array([1]))
    np.testing.assert_array_equal(A.toarray(), [[1, 2], [0, 3]])


def test_many_threads_take_little_more_memory_than_one():
    k, per_column = 100_000, 20
    columns = np.tile(np.arange(k, dtype=np.int32), per_column)
    ends = np.arange(0, len(columns) + 1, k)
    A = sp.csr_array((np.ones(len(columns), np.float32), columns, ends), shape=(per_column, k))
    scaled = ScaledEntries([A], np.ones(per_column), np.ones(k))
    peaks = []
    for n_threads in (1, 20):
        with (
            mock.patch("torch.get_num_threads", lambda n=n_threads: n),
            mock.patch("l0.common.scaled_entries.STRETCH_PER_COLUMN", 16),
            mock.patch("l0.common.scaled_entries.PER_COLUMN", 4),
        ):
            tracemalloc.start()
            scaled.by_columns()
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
