"""Products with the matrix of a fit, of which each rank and each thread computes a part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.fitting.scaled_matrix import ScaledMatrix
from l0.common.ranks import ONE, Ranks, even_parts, lengths_of
from l0.common.sparse_rows import product, rows_of
from l0.common.threads import side_by_side, thread_parts

Array = NDArray[np.float64]


class Products:
    """Products with B and with its transpose, in float64.

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
        self._ranks = ranks if ranks.shares(matrix.nnz, m + k) else ONE
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
