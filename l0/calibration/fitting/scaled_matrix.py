"""The matrix B of a fit as the entries of the problem between two diagonal matrices.

B = diag(r) A diag(c), where r divides by the scales of the targets and c are the base weights. The
entries of A are often float32, and may be mapped into memory from a file. B in float64 would take
twice the memory of A. With many entries, products are therefore made with A and its factors: A is
turned into float64 by blocks, so that all sums are in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.fitting.nesting import Nesting
from l0.common.sparse_rows import BLOCK, row_blocks, rows_of, stretches
from l0.common.transposes import transposed

Array = NDArray[np.float64]

#: With up to this number of entries, B itself is kept: products are quicker with it.
FEW = 10_000_000


@dataclass(frozen=True, eq=False, repr=False)
class ScaledMatrix:
    """B = diag(r) A diag(c).

    Attributes
    ----------
    entries : scipy.sparse.csr_array, shape (m, k)
        A. If it has at most `FEW` entries, it is B in float64, and all factors are 1.
    row_factor : ndarray of float64, shape (m,)
        r.
    column_factor : ndarray of float64, shape (k,)
        c.
    nesting : Nesting, optional
        Of A, if its targets are known to be nested. A is kept as it is then, also with few entries.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> A = sp.csr_array([[1.0, 0.0], [2.0, 3.0]])
    >>> ScaledMatrix.scaled(A, np.array([1.0, 0.1]), np.array([10.0, 20.0])).csr.toarray()
    array([[10.,  0.],
           [ 2.,  6.]])
    """

    entries: sp.csr_array
    row_factor: Array
    column_factor: Array
    nesting: Nesting | None = None

    @classmethod
    def of(cls, matrix: sp.csr_array) -> ScaledMatrix:
        """Take B itself, with factors of 1."""
        m, k = matrix.shape
        return cls(matrix, np.ones(m), np.ones(k))

    @classmethod
    def scaled(
        cls,
        matrix: sp.csr_array,
        row_factor: Array,
        column_factor: Array,
        nesting: Nesting | None = None,
    ) -> ScaledMatrix:
        """Scale the rows and the columns of A, whose entries stay as they are if they are many."""
        if matrix.nnz <= FEW and nesting is None:
            return cls.of(multiplied(matrix, row_factor, column_factor))
        return cls(matrix, row_factor, column_factor, nesting)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, (m, k)."""
        m, k = self.entries.shape
        return m, k

    @property
    def nnz(self) -> int:
        """The number of entries."""
        return int(self.entries.nnz)

    @property
    def has_few(self) -> bool:
        """Whether the entries are so few that they are B itself."""
        return self.nnz <= FEW and self.nesting is None

    @property
    def csr(self) -> sp.csr_array:
        """B in float64, shape (m, k). If it has many entries, this copies them."""
        if self.has_few:
            return self.entries
        return multiplied(self.entries, self.row_factor, self.column_factor)

    @cached_property
    def transpose(self) -> sp.csr_array:
        """The transpose of A, shape (k, m). Its entries are a copy, a record in each row."""
        return transposed(self.entries)

    @cached_property
    def absolute(self) -> Array:
        """The sums of the absolute entries of the rows of B, shape (m,)."""
        sums = np.empty(self.shape[0])
        for rows in stretches(self.entries.indptr):
            part = rows_of(self.entries, rows)
            sizes = np.abs(part.data) * self.column_factor[part.indices]
            sums[rows] = sp.csr_array((sizes, part.indices, part.indptr), part.shape).sum(axis=1)
        return self.row_factor * sums

    def rows(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> ScaledMatrix:
        """Take some rows."""
        return self.scaled(self.entries[rows], self.row_factor[rows], self.column_factor)

    def row(self, number: int) -> Array:
        """Write a row of B as a dense array, shape (k,)."""
        entries = self.entries[[number]].toarray().ravel()
        # Before NumPy 2, a factor that is one number leaves float32 as it is.
        return np.asarray(self.row_factor[number] * (entries * self.column_factor))


def multiplied(matrix: sp.csr_array, row_factor: Array, column_factor: Array) -> sp.csr_array:
    """Multiply the rows and the columns of a matrix by factors, in float64.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array, shape (m, k)
    row_factor : ndarray of float64, shape (m,)
    column_factor : ndarray of float64, shape (k,)

    Returns
    -------
    scipy.sparse.csr_array of float64, shape (m, k)
        It shares the indices.
    """
    data = np.empty(matrix.nnz)
    lengths = np.diff(matrix.indptr)
    for rows, entries in row_blocks(matrix.indptr, BLOCK):
        of_row = np.repeat(row_factor[rows], lengths[rows])
        data[entries] = matrix.data[entries] * of_row * column_factor[matrix.indices[entries]]
    return sp.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)
