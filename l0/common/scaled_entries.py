"""A sparse matrix with scaled rows and columns, of which parts are laid out by rows or by columns.

A matrix of a hundred million entries takes a gigabyte. Its entries are therefore read, scaled and
written block by block, in several threads, and no step needs a second copy of them all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.common.sparse_rows import places_of, row_blocks, rows_of
from l0.common.threads import in_stretches, side_by_side, thread_parts

#: How many entries to copy at a time. Larger copies leave holes in memory and are no quicker.
BLOCK = 1 << 18
#: Where work is done for each column, the blocks of all threads together hold at least this many
#: entries for each column.
PER_COLUMN = 4
#: A thread then has some arrays with a number for each column. Its stretch holds at least this many
#: entries for each, so that these arrays are small beside the entries.
STRETCH_PER_COLUMN = 16

#: The factors of the columns that are kept, and the place of each column among these or -1; None in
#: its place if all are kept.
_OfColumns = tuple[NDArray[np.float64], NDArray[np.integer] | None]


@dataclass(frozen=True, eq=False, repr=False)
class ScaledEntries:
    """The entries r_j a_ji c_i, in float32, of a matrix A that is not copied.

    Attributes
    ----------
    parts : sequence of scipy.sparse.csr_array, shapes (m_1, n), (m_2, n), ...
        Stretches of the rows of A, one above the other.
    row_factor : ndarray of float64, shape (m,)
    column_factor : ndarray of float64, shape (n,)
    """

    parts: Sequence[sp.csr_array]
    row_factor: NDArray[np.float64]
    column_factor: NDArray[np.float64]

    def by_rows(
        self, order: NDArray[np.int64], columns: NDArray[np.int64] | None = None
    ) -> sp.csr_array:
        """Lay out the rows in this order, with some of the columns.

        Parameters
        ----------
        order : ndarray of int64, shape (m,)
        columns : ndarray of int64, shape (k,), optional
            In ascending order; by default all.

        Returns
        -------
        scipy.sparse.csr_array of float32, shape (m, k)
        """
        n = len(self.column_factor) if columns is None else len(columns)
        indptr = _ends(self._lengths(order, columns)).astype(self._index)
        data, indices = self._room(indptr[-1])
        factors = self._of_columns(columns)

        def lay_out(stretch: slice) -> None:
            for rows, part in self._blocks(order, stretch, factors, BLOCK):
                entries = slice(indptr[rows.start], indptr[rows.stop])
                data[entries], indices[entries] = part.data, part.indices

        in_stretches(self.lengths_of_rows[order], lay_out)
        return sp.csr_array((data, indices, indptr), shape=(len(order), n))

    def by_columns(self, columns: NDArray[np.int64] | None = None) -> sp.csr_array:
        """Lay out columns, each of them a row of the result.

        Parameters
        ----------
        columns : ndarray of int64, shape (k,), optional
            In ascending order; by default all.

        Returns
        -------
        scipy.sparse.csr_array of float32, shape (k, m)
        """
        m, n = len(self.row_factor), len(self.column_factor)
        order, k = np.arange(m), n if columns is None else len(columns)
        stretches = thread_parts(self.lengths_of_rows, STRETCH_PER_COLUMN * n)
        # Where the entries of each column begin in each stretch, and where they end in the last.
        begins = np.zeros((len(stretches) + 1, k), dtype=self._index)

        def count(number: int) -> None:
            for _, part in self._taken_blocks(order, stretches[number], max(BLOCK, n)):
                lengths = np.bincount(part.indices, minlength=n)
                begins[number + 1] += lengths if columns is None else lengths[columns]

        side_by_side(len(stretches), count)
        np.cumsum(begins, axis=0, out=begins)
        indptr = _ends(begins[-1]).astype(self._index)
        begins += indptr[:-1]
        data, indices = self._room(indptr[-1])
        factors = self._of_columns(columns)
        block = max(BLOCK, PER_COLUMN * k // len(stretches))

        def lay_out(number: int) -> None:
            ends = begins[number]
            for rows, part in self._blocks(order, stretches[number], factors, block):
                turned = part.T.tocsr()
                places = np.repeat(ends - turned.indptr[:-1], np.diff(turned.indptr))
                places += np.arange(turned.nnz, dtype=places.dtype)
                data[places], indices[places] = turned.data, turned.indices + rows.start
                ends += np.diff(turned.indptr)

        side_by_side(len(stretches), lay_out)
        return sp.csr_array((data, indices, indptr), shape=(k, m))

    def largest_entries(self, factor: NDArray[np.float64]) -> NDArray[np.float64]:
        """Find the largest absolute entry of each column, after its row is multiplied by a factor.

        Parameters
        ----------
        factor : ndarray of float64, shape (m,)
            At least 0.

        Returns
        -------
        ndarray of float64, shape (n,)
            0 where a column has no entries.
        """
        largest = np.zeros(len(self.column_factor))
        order = np.arange(len(self.row_factor))
        stretch = slice(0, len(order))
        for rows, part in self._blocks(order, stretch, self._of_columns(None), BLOCK):
            sizes = np.abs(part.data) * np.repeat(factor[rows], np.diff(part.indptr))
            np.maximum.at(largest, part.indices, sizes)
        return largest

    @property
    def lengths_of_rows(self) -> NDArray[np.int64]:
        """The number of entries of each row, shape (m,)."""
        return np.concatenate([np.diff(part.indptr) for part in self.parts]).astype(np.int64)

    @cached_property
    def _index(self) -> type[np.signedinteger]:
        """The type of the positions of entries."""
        largest = max(len(self.row_factor), len(self.column_factor), self.lengths_of_rows.sum())
        return np.int32 if largest < np.iinfo(np.int32).max else np.int64

    def _lengths(
        self, order: NDArray[np.int64], columns: NDArray[np.int64] | None
    ) -> NDArray[np.int64]:
        """Count the entries of rows, shape (m,); only those in some of the columns."""
        lengths = self.lengths_of_rows[order]
        if columns is None:
            return lengths
        kept = np.zeros(len(self.column_factor), dtype=bool)
        kept[columns] = True

        def count(stretch: slice) -> None:
            for rows, part in self._taken_blocks(order, stretch, BLOCK):
                lengths[rows] = np.diff(_ends(kept[part.indices])[part.indptr])

        in_stretches(lengths, count)
        return lengths

    def _room(self, nnz: int) -> tuple[NDArray[np.float32], NDArray[np.signedinteger]]:
        return np.empty(nnz, dtype=np.float32), np.empty(nnz, dtype=self._index)

    def _of_columns(self, columns: NDArray[np.int64] | None) -> _OfColumns:
        """Look up the factors and places once for all threads."""
        if columns is None:
            return self.column_factor, None
        place = places_of(columns, len(self.column_factor), self._index)
        return self.column_factor[columns], place

    def _blocks(
        self,
        order: NDArray[np.int64],
        stretch: slice,
        factors: _OfColumns,
        most_entries: int,
    ) -> Iterator[tuple[slice, sp.csr_array]]:
        """Scale a stretch of the rows in this order, a block at a time."""
        of_column, place = factors
        for rows, taken in self._taken_blocks(order, stretch, most_entries):
            data, indices, indptr = taken.data, taken.indices, taken.indptr
            if place is not None:
                kept, indices, indptr = _kept(place, indices, indptr)
                data = data[kept]
            of_row = np.repeat(self.row_factor[order[rows]], np.diff(indptr))
            scaled = (data * of_row * of_column[indices]).astype(np.float32)
            shape = len(indptr) - 1, len(of_column)
            yield rows, sp.csr_array((scaled, indices, indptr), shape=shape)

    def _taken_blocks(
        self, order: NDArray[np.int64], stretch: slice, most_entries: int
    ) -> Iterator[tuple[slice, sp.csr_array]]:
        """Take a stretch of the rows in this order, a block at a time."""
        for rows, _ in row_blocks(_ends(self.lengths_of_rows[order]), most_entries, stretch):
            yield rows, self._taken(order[rows])

    def _taken(self, rows: NDArray[np.int64]) -> sp.csr_array:
        """Take these rows, in their order. They share the entries if they are a stretch."""
        if len(self.parts) == 1:
            matrix = self.parts[0]
            if (np.diff(rows) == 1).all():
                return rows_of(matrix, slice(rows[0], rows[-1] + 1))
            return matrix[rows]
        starts = np.cumsum([0, *(part.shape[0] for part in self.parts[:-1])])
        of_part = np.searchsorted(starts, rows, side="right") - 1
        taken = [
            part[rows[of_part == number] - starts[number]] for number, part in enumerate(self.parts)
        ]
        by_part = np.argsort(of_part, kind="stable")
        return sp.vstack(taken, format="csr")[np.argsort(by_part)]


def keep_columns(matrix: sp.csr_array, columns: NDArray[np.int64]) -> sp.csr_array:
    """Drop all other columns of a matrix, in its own memory: the old matrix is lost.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array, shape (m, n)
    columns : ndarray of int64, shape (k,)
        In ascending order.

    Returns
    -------
    scipy.sparse.csr_array, shape (m, k)
    """
    m, n = matrix.shape
    place = places_of(columns, n, matrix.indices.dtype)
    indptr, end = np.zeros_like(matrix.indptr), 0
    for rows, entries in row_blocks(matrix.indptr, BLOCK):
        before = matrix.indptr[rows.start : rows.stop + 1] - entries.start
        kept, indices, ends = _kept(place, matrix.indices[entries], before)
        indptr[rows.start + 1 : rows.stop + 1] = end + ends[1:]
        begin, end = end, end + len(kept)
        matrix.indices[begin:end] = indices
        matrix.data[begin:end] = matrix.data[entries][kept]
    return sp.csr_array((matrix.data[:end], matrix.indices[:end], indptr), shape=(m, len(columns)))


def keep_rows(matrix: sp.csr_array, rows: NDArray[np.int64]) -> sp.csr_array:
    """Drop all other rows of a matrix, in its own memory: the old matrix is lost.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array, shape (m, n)
    rows : ndarray of int64, shape (k,)
        In ascending order.

    Returns
    -------
    scipy.sparse.csr_array, shape (k, n)
    """
    m, n = matrix.shape
    stays = np.zeros(m, dtype=bool)
    stays[rows] = True
    end = 0
    for block, _ in row_blocks(matrix.indptr, BLOCK):
        part = rows_of(matrix, block)[stays[block]]
        begin, end = end, end + part.nnz
        matrix.data[begin:end], matrix.indices[begin:end] = part.data, part.indices
    indptr = np.zeros(len(rows) + 1, dtype=matrix.indptr.dtype)
    np.cumsum(np.diff(matrix.indptr)[rows], out=indptr[1:])
    return sp.csr_array((matrix.data[:end], matrix.indices[:end], indptr), shape=(len(rows), n))


def _ends(lengths: NDArray[np.integer] | NDArray[np.bool_]) -> NDArray[np.int64]:
    """Add up lengths, from 0."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def _kept(
    place: NDArray[np.integer], indices: NDArray[np.integer], indptr: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.integer], NDArray[np.integer]]:
    """Find the entries in columns that are kept, their new columns, and where each row begins."""
    new = place[indices]
    kept = np.flatnonzero(new >= 0)
    return kept, new[kept], np.searchsorted(kept, indptr).astype(indptr.dtype)
