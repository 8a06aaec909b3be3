"""The rows of a sparse matrix in scipy: in blocks, a stretch of them, and with small indices."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray

Array = NDArray[np.float64]

#: How many entries to copy at a time. Copies of all of them in float64 would double the peak of
#: memory.
BLOCK = 1 << 20
#: How many entries to multiply at a time. Copies of so many stay in a cache of the processor.
CACHED = 1 << 18


def row_blocks(
    indptr: NDArray[np.integer], most_entries: int, stretch: slice | None = None
) -> Iterator[tuple[slice, slice]]:
    """Cut the rows of a CSR matrix into blocks, to work on a bounded number of entries at a time.

    Parameters
    ----------
    indptr : ndarray of int, shape (m + 1,)
        Where each row begins among the entries, and where the last one ends.
    most_entries : int
        A row that holds more is a block of its own.
    stretch : slice, optional
        The rows to cut; by default all.

    Yields
    ------
    rows, entries : slice
        Positions of a block's rows, and of its entries.
    """
    first, end = (0, len(indptr) - 1) if stretch is None else (stretch.start, stretch.stop)
    while first < end:
        start = int(indptr[first])
        # The search begins after the first row, which is taken whatever its length.
        last = bisect_right(indptr, start + most_entries, lo=first + 2, hi=end + 1) - 1
        yield slice(first, last), slice(start, int(indptr[last]))
        first = last


def rows_of(matrix: sp.csr_array, rows: slice) -> sp.csr_array:
    """Take a stretch of rows, which shares the entries."""
    if rows == slice(0, matrix.shape[0]):
        return matrix
    start, stop = matrix.indptr[rows.start], matrix.indptr[rows.stop]
    part = sp.csr_array((rows.stop - rows.start, matrix.shape[1]), dtype=matrix.dtype)
    # The constructor would copy what is a small part of a larger array.
    part.data, part.indices = matrix.data[start:stop], matrix.indices[start:stop]
    part.indptr = matrix.indptr[rows.start : rows.stop + 1] - start
    return part


def filled_rows(matrix: sp.csr_array, rows: NDArray[np.int64]) -> sp.csr_array:
    """Take some rows, in ascending order. They share the entries if all others have none."""
    if np.diff(matrix.indptr)[rows].sum(dtype=np.int64) < matrix.nnz:
        return matrix[rows]
    part = sp.csr_array((len(rows), matrix.shape[1]), dtype=matrix.dtype)
    part.data, part.indices = matrix.data, matrix.indices
    part.indptr = np.concatenate([matrix.indptr[rows], matrix.indptr[-1:]])
    return part


def block_of(matrix: sp.csr_array, rows: slice, columns: slice) -> sp.csr_array:
    """Take a stretch of rows that only have entries in these columns. It shares the values."""
    part = rows_of(matrix, rows)
    block = sp.csr_array((part.shape[0], columns.stop - columns.start), dtype=matrix.dtype)
    block.data, block.indptr = part.data, part.indptr
    block.indices = part.indices - part.indices.dtype.type(columns.start)
    return block


def stretches(indptr: NDArray[np.integer]) -> Iterator[slice]:
    """Cut the rows of a CSR matrix into stretches that are quick to copy and to work on."""
    return (rows for rows, _ in row_blocks(indptr, CACHED))


def product(matrix: sp.csr_array | sp.csc_array, vector: NDArray[np.float64]) -> Array:
    """Multiply a matrix and a vector in float64, shape (m,).

    SciPy copies all entries that are not float64 yet. Here, they are copied stretch by stretch. The
    bits are the same: each number is a sum over a row.
    """
    if matrix.dtype == np.float64:
        return np.asarray(matrix @ vector)
    found = np.empty(matrix.shape[0])
    for rows in stretches(matrix.indptr):
        found[rows] = rows_of(matrix, rows) @ vector
    return found


def places_of(kept: NDArray[np.int64], n: int, dtype: DTypeLike = np.int64) -> NDArray[Any]:
    """Give the place of each of n columns or rows among those that are kept, or -1, shape (n,)."""
    place = np.full(n, -1, dtype=dtype)
    place[kept] = np.arange(len(kept))
    return place


def lengths_of_columns(matrix: sp.csr_array) -> NDArray[np.int64]:
    """Count the entries of each column, shape (n,). NumPy would copy all indices as int64."""
    lengths = np.zeros(matrix.shape[1], dtype=np.int64)
    for start in range(0, matrix.nnz, BLOCK):
        lengths += np.bincount(matrix.indices[start : start + BLOCK], minlength=len(lengths))
    return lengths


def narrow(matrix: sp.csr_array) -> sp.csr_array:
    """Sort the entries and index them by int32 where it suffices, in place.

    A product reads half as much memory as with int64.
    """
    matrix.sort_indices()
    if max(matrix.nnz, *matrix.shape) < np.iinfo(np.int32).max:
        matrix.indices = matrix.indices.astype(np.int32, copy=False)
        matrix.indptr = matrix.indptr.astype(np.int32, copy=False)
    return matrix
