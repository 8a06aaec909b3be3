"""The normal matrix B diag(d) B' + diag(e) of a sparse matrix B, and its factor, for many d and e.

Which entries of B meet in which cell never changes. If records have few entries, the products of
their entries are listed once, cell by cell. Each normal matrix is then that list times d. If it is
sparse, rows that meet few others come first in its factor, so that a nested geography fills in next
to nothing. If most targets meet, its factor is dense. If the list would be too long, the normal
matrix is a product of dense arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import scipy.linalg as sl
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from l0.calibration.fitting.distances import Array
from l0.calibration.fitting.scaled_matrix import ScaledMatrix

Solve = Callable[[Array], Array]

#: A table of all cells has at most this many rows.
MOST_TABLED = 10_000
#: Entries of a dense block of records.
BLOCK = 4_000_000
#: A normal matrix with more than this share of its cells in use has a dense factor.
FULL = 0.4
#: The diagonal grows by this share, so that dependent rows have a factor too.
RIDGE = 1e-13


class NormalMatrix(Protocol):
    """Forms and factors B diag(d) B' + diag(e)."""

    def factor(self, d: Array, e: Array) -> Solve:
        """Give a function that solves a system, up to the rounding errors of the factor.

        Its argument has shape (m,), or (m, p) for several right sides.

        Parameters
        ----------
        d : ndarray of float64, shape (k,)
            Not negative.
        e : ndarray of float64, shape (m,)
            Not negative.

        Raises
        ------
        numpy.linalg.LinAlgError
            If there is no factor.
        """
        ...


class SparseNormalMatrix:
    """The normal matrix as a list of products.

    Parameters
    ----------
    matrix : ScaledMatrix, shape (m, k)
    """

    def __init__(self, matrix: ScaledMatrix) -> None:
        m = matrix.shape[0]
        codes, self._products = _products(matrix.csr)
        row, column = np.divmod(codes, m)
        # Each cell below the diagonal stands above it too. A cell of the diagonal always exists.
        below = row != column
        self._diagonal = np.flatnonzero(~below)
        met = np.bincount(row[below], minlength=m) + np.bincount(column[below], minlength=m)
        self._order = np.argsort(met, kind="stable")
        place = self._place = np.argsort(self._order)
        row, column, cell = place[row], place[column], np.arange(len(codes))
        places = (np.concatenate([row, column[below]]), np.concatenate([column, row[below]]))
        numbered = sp.csc_array(
            (np.concatenate([cell, cell[below]]).astype(float), places), shape=(m, m)
        )
        numbered.sort_indices()  # SuperLU would sort them in place
        self._cell = numbered.data.astype(np.int64)
        self._pattern = numbered.indices, numbered.indptr
        self._is_full = numbered.nnz > FULL * m**2

    def factor(self, d: Array, e: Array) -> Solve:
        """See `NormalMatrix.factor`."""
        cells = self._products @ d
        diagonal = cells[self._diagonal] + e
        cells[self._diagonal] = np.where(diagonal > 0, diagonal * (1 + RIDGE), 1.0)
        m = len(e)
        normal = sp.csc_array((cells[self._cell], *self._pattern), shape=(m, m))
        if self._is_full:
            solve_dense = _dense_factor(normal.toarray())
            return lambda right: solve_dense(right[self._order])[self._place]
        try:
            factor = splu(
                normal,
                permc_spec="NATURAL",
                diag_pivot_thresh=0.0,
                options={"SymmetricMode": True},
            )
        except RuntimeError as error:  # exactly singular
            raise np.linalg.LinAlgError(str(error)) from None

        def solve(right: Array) -> Array:
            solution = np.empty_like(right)
            solution[self._order] = factor.solve(right[self._order])
            return solution

        return solve


class DenseNormalMatrix:
    """The normal matrix as a dense array.

    Parameters
    ----------
    matrix : ScaledMatrix, shape (m, k)
    """

    def __init__(self, matrix: ScaledMatrix) -> None:
        self._columns = matrix.transpose.T
        self._factors = matrix.row_factor[:, None], matrix.column_factor

    def factor(self, d: Array, e: Array) -> Solve:
        """See `NormalMatrix.factor`."""
        m, k = self._columns.shape
        row_factor, column_factor = self._factors
        roots = column_factor * np.sqrt(d)
        normal = np.zeros((m, m))
        width = max(1, BLOCK // m)
        for start in range(0, k, width):
            block = self._columns[:, start : start + width].toarray().astype(np.float64, copy=False)
            block *= roots[start : start + width]
            block *= row_factor
            normal += block @ block.T
        diagonal = normal.diagonal() + e
        np.fill_diagonal(normal, np.where(diagonal > 0, diagonal * (1 + RIDGE), 1.0))
        return _dense_factor(normal)


def _dense_factor(normal: Array) -> Solve:
    """Factor a symmetric array by Cholesky's method."""
    try:
        factor = sl.cho_factor(normal, lower=True, check_finite=False)
    except np.linalg.LinAlgError:  # dependent rows, and rounding
        lu = sl.lu_factor(normal + RIDGE * np.diag(normal.diagonal()), check_finite=False)
        return lambda right: sl.lu_solve(lu, right, check_finite=False)
    return lambda right: sl.cho_solve(factor, right, check_finite=False)


def _products(matrix: sp.csr_array) -> tuple[NDArray[np.int64], sp.csc_array]:
    """List the products of all pairs of entries in a record.

    Returns
    -------
    codes : ndarray of int64, shape (p,)
        The cells on or below the diagonal, as row * m + column.
    products : scipy.sparse.csc_array of float64, shape (p, k)
        Entry (c, i) is what one unit of d_i adds to cell c.
    """
    m, k = matrix.shape
    records = matrix.T.tocsr()
    records.sort_indices()
    lengths = np.diff(records.indptr).astype(np.int64)
    ends = np.concatenate([[0], np.cumsum(lengths * (lengths + 1) // 2)])
    code = np.empty(ends[-1], dtype=np.int64)
    value = np.empty(ends[-1])
    for length in np.unique(lengths[lengths > 0]):
        those = np.flatnonzero(lengths == length)
        at = records.indptr[those][:, None] + np.arange(length)
        first, second = np.triu_indices(length)
        to = ends[those][:, None] + np.arange(len(first))
        rows, entries = records.indices[at].astype(np.int64), records.data[at]
        code[to] = rows[:, second] * m + rows[:, first]
        value[to] = entries[:, first] * entries[:, second]
    codes, cell = _numbered(code, m)
    shape = (len(codes), k)
    return codes, sp.csc_array((value, cell, ends.astype(cell.dtype)), shape=shape)


def _numbered(code: NDArray[np.int64], m: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Number the cells in use, and all those of the diagonal, in ascending order."""
    diagonal = np.arange(m) * (m + 1)
    if m > MOST_TABLED:
        codes, cell = np.unique(np.concatenate([code, diagonal]), return_inverse=True)
        return codes, cell[: len(code)].astype(np.int32)
    table = np.zeros(m * m, dtype=np.int32)
    table[code] = table[diagonal] = 1
    codes = np.flatnonzero(table)
    table[codes] = np.arange(len(codes), dtype=np.int32)
    return codes, table[code]
