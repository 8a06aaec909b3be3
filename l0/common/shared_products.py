"""Products with a sparse matrix, of which each rank computes a part."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.common.ranks import ONE, Ranks, even_parts, lengths_of
from l0.common.sparse_rows import rows_of

Array = NDArray[np.float64]


class Products:
    """Products with B and with its transpose.

    Rows of B are shared among the ranks for B q, and columns for B' lambda: each number is a sum
    over a row or a column, which one rank computes.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array of float64, shape (m, k)
        B, the same on all ranks.
    ranks : Ranks
    """

    def __init__(self, matrix: sp.csr_array, ranks: Ranks) -> None:
        m, k = matrix.shape
        self._ranks = ranks if ranks.shares(matrix.nnz, m + k) else ONE
        self._rows, self._columns = [m], [k]
        if self._ranks.size > 1:
            rows = even_parts(np.diff(matrix.indptr), ranks.size)
            columns = even_parts(np.bincount(matrix.indices, minlength=k), ranks.size)
            self._rows, self._columns = lengths_of(rows), lengths_of(columns)
            self._matrix = rows_of(matrix, rows[ranks.rank])
            matrix = matrix[:, columns[ranks.rank]]
        else:
            self._matrix = matrix
        self._transpose = matrix.T  # it shares the entries, but takes as long to make as a product

    def times(self, q: Array) -> Array:
        """Compute B q, shape (m,)."""
        return self._ranks.joined_array(np.asarray(self._matrix @ q), self._rows)

    def back(self, multipliers: Array) -> Array:
        """Compute B' lambda, shape (k,)."""
        return self._ranks.joined_array(np.asarray(self._transpose @ multipliers), self._columns)
