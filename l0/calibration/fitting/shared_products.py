"""Products with the matrix of a fit, of which each rank and each thread computes a part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.fitting.different_columns import joined
from l0.calibration.fitting.nesting import Nesting
from l0.calibration.fitting.scaled_matrix import ScaledMatrix
from l0.common.ranks import Ranks, even_parts, lengths_of
from l0.common.sparse_rows import CACHED, product, row_blocks, rows_of
from l0.common.threads import in_stretches, side_by_side, thread_parts

Array = NDArray[np.float64]


class Products(Protocol):
    """Products with B and with its transpose, in float64."""

    def times(self, q: Array) -> Array:
        """Compute B q, shape (m,)."""
        ...

    def back(self, multipliers: Array) -> Array:
        """Compute B' lambda, shape (k,)."""
        ...


def products_of(matrix: ScaledMatrix, ranks: Ranks) -> Products:
    """Choose products by what is known of B."""
    if matrix.nesting is not None:
        return ProductsOfColumns(matrix, matrix.nesting, ranks)
    return ProductsOfEntries(matrix, ranks)


class ProductsOfEntries:
    """Products with the entries of B.

    Rows of B are shared among the ranks for B q, and columns for B' lambda: each number is a sum
    over a row or a column, which one rank computes. With many entries, the threads of a rank share
    its part in the same way.

    Parameters
    ----------
    matrix : ScaledMatrix, shape (m, k)
        B, the same on all ranks.
    ranks : Ranks
    """

    def __init__(self, matrix: ScaledMatrix, ranks: Ranks) -> None:
        m, k = matrix.shape
        self._ranks = ranks.if_shared(matrix.nnz, m + k)
        self._factors = matrix.row_factor, matrix.column_factor
        rows, columns = [slice(0, m)], [slice(0, k)]
        if self._ranks.size > 1:
            rows = even_parts(np.diff(matrix.entries.indptr), ranks.size)
            columns = even_parts(np.diff(matrix.transpose.indptr), ranks.size)
        self._rows, self._columns = lengths_of(rows), lengths_of(columns)
        self._own = rows[self._ranks.rank], columns[self._ranks.rank]
        self._matrix = _shared(rows_of(matrix.entries, self._own[0]), matrix.has_few)
        if self._ranks.size == 1 and matrix.has_few:
            # It shares the entries, and adds up in the same order.
            self._transpose = [matrix.entries.T]
        else:
            own = rows_of(matrix.transpose, self._own[1])
            self._transpose = _shared(own, matrix.has_few)

    def times(self, q: Array) -> Array:
        """Compute B q, shape (m,)."""
        r, c = self._factors
        own = r[self._own[0]] * _product(self._matrix, c * q)
        return self._ranks.joined_array(own, self._rows)

    def back(self, multipliers: Array) -> Array:
        """Compute B' lambda, shape (k,)."""
        r, c = self._factors
        own = c[self._own[1]] * _product(self._transpose, r * multipliers)
        return self._ranks.joined_array(own, self._columns)


class ProductsOfColumns:
    """Products with the different columns of the records of each block.

    With V for these columns and E for the targets that have copies of them, B = R E V' C. The
    blocks of the tree have their own records and their own columns, so that one array serves both
    directions. They are shared among the ranks, and those of a rank among its threads.

    Parameters
    ----------
    matrix : ScaledMatrix, shape (m, k)
        B, the same on all ranks.
    nesting : Nesting
        Of its entries.
    ranks : Ranks
    """

    def __init__(self, matrix: ScaledMatrix, nesting: Nesting, ranks: Ranks) -> None:
        self._factors = matrix.row_factor, matrix.column_factor
        self._copies, blocks = nesting.copies, nesting.columns
        self._records = nesting.records
        sizes = np.array([block.values.nnz for block in blocks])
        self._ranks = ranks.if_shared(int(sizes.sum()), sum(matrix.shape))
        parts = even_parts(sizes, self._ranks.size)
        self._n_records = [sum(len(block.records) for block in blocks[part]) for part in parts]
        self._n_columns = [sum(block.values.shape[1] for block in blocks[part]) for part in parts]
        ends = np.concatenate([[0], np.cumsum(sizes)])
        # Small blocks are multiplied together.
        self._stretches = [
            joined(blocks[those]) for those, _ in row_blocks(ends, CACHED, parts[self._ranks.rank])
        ]

    def times(self, q: Array) -> Array:
        """Compute B q, shape (m,)."""
        r, c = self._factors
        rows = _cut((c * q)[self._records], self._n_records, self._ranks.rank)
        sums = self._each(rows, lambda values: values.T, axis=0)
        of_column = self._ranks.joined_array(sums, self._n_columns)
        return np.asarray(r * (self._copies @ of_column))

    def back(self, multipliers: Array) -> Array:
        """Compute B' lambda, shape (k,)."""
        r, c = self._factors
        of_column = self._copies.T @ (r * multipliers)
        columns = _cut(of_column, self._n_columns, self._ranks.rank)
        sums = self._each(columns, lambda values: values, axis=1)
        found = np.zeros(len(c))  # a record without entries is in no block
        found[self._records] = self._ranks.joined_array(sums, self._n_records)
        return c * found

    def _each(
        self, vector: Array, turned: Callable[[sp.csr_array], sp.sparray], axis: int
    ) -> Array:
        """Multiply each stretch with its part of a vector, the numbers along one of its axes."""
        ends = np.cumsum([0, *(values.shape[axis] for values in self._stretches)])
        found: list[Array] = [np.empty(0)] * len(self._stretches)

        def multiply(part: slice) -> None:
            for number in range(part.start, part.stop):
                own = vector[ends[number] : ends[number + 1]]
                found[number] = turned(self._stretches[number]) @ own

        in_stretches(np.array([values.nnz for values in self._stretches], dtype=np.int64), multiply)
        return np.concatenate([np.empty(0), *found])


def _cut(vector: Array, lengths: Sequence[int], rank: int) -> Array:
    """Take the part of a rank."""
    start = sum(lengths[:rank])
    return vector[start : start + lengths[rank]]


def _shared(matrix: sp.csr_array, has_few: bool) -> list[sp.csr_array]:
    """Cut a matrix into stretches of rows, one for each thread."""
    if has_few:
        return [matrix]
    return [rows_of(matrix, rows) for rows in thread_parts(np.diff(matrix.indptr))]


def _product(parts: Sequence[sp.csr_array], vector: Array) -> Array:
    if len(parts) == 1:
        return product(parts[0], vector)
    found: list[Array] = [np.empty(0)] * len(parts)

    def compute(number: int) -> None:
        found[number] = product(parts[number], vector)

    side_by_side(len(parts), compute)
    return np.concatenate(found)
