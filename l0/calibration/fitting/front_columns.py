"""The part of a normal matrix that the records of a front make.

With the different columns V of the records and the factors F of the targets that have copies of
them, B = F V' in the front, and its part of the normal matrix is F V' diag(d) V F'. If there are
many records, it is formed from the inside: V' diag(d) V of each kind is small, and F is sparse. If
there are few, V F' is formed first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.fitting.different_columns import Columns
from l0.calibration.fitting.distances import Array
from l0.calibration.fitting.fronts import Front
from l0.calibration.fitting.kinds import OF_GROUP
from l0.calibration.fitting.normal_matrix import BLOCK
from l0.common.sparse_rows import block_of
from l0.common.unlocked_blas import Narrow, ssyrk

#: To add a multiple of an entry takes as long as so many multiplications of dense arrays.
SPREADING = 16.0


@dataclass(frozen=True, eq=False)
class FrontColumns:
    """The columns of B in a front, as multiples of the different ones.

    Attributes
    ----------
    columns : Columns
        V, but for the factors of its columns.
    of_column : ndarray of float64, shape (c,)
        These factors: those of one of the targets that have copies.
    factors : scipy.sparse.csr_array of float32, shape (f, c)
        F.
    of_kinds : list of scipy.sparse.csr_array of float32, shapes (f, c_1), (f, c_2), ...
        The columns of F of each kind of records; none if the product is not formed from the inside.
    """

    columns: Columns
    of_column: Array
    factors: sp.csr_array
    of_kinds: list[sp.csr_array]

    @classmethod
    def of(cls, front: Front, row_factor: Array) -> FrontColumns:
        """Look up the factors of a front, given those of all targets, shape (m,)."""
        columns, size = front.columns, len(front.rows)
        of_pair = row_factor[columns.targets]
        of_column = of_pair[columns.first]
        shares = (of_pair / of_column[columns.copies]).astype(np.float32)
        shape = size, len(of_column)
        factors = sp.csc_array((shares, (front.places, columns.copies)), shape=shape)
        from_inside = OF_GROUP * len(columns.kinds) + SPREADING * len(front.places) * size
        many = from_inside < len(columns.records) * size**2 / 2
        of_kinds = [factors[:, kind].tocsr() for _, kind in columns.kinds] if many else []
        return cls(columns, of_column, factors.tocsr(), of_kinds)

    def product(self, roots: Narrow) -> Narrow:
        """Form B diag(roots^2) B', shape (f, f). Only its lower triangle is filled.

        Parameters
        ----------
        roots : ndarray of float32, shape (k,)
            Of all records.
        """
        if self.of_kinds:
            inside = np.empty(self.factors.shape[::-1], dtype=np.float32)
            for (_, kind), part in zip(self.columns.kinds, self._of_kinds(roots), strict=True):
                inside[kind] = part.T
            # It is symmetric: its transpose is the same, in Fortran's order.
            return np.asarray((self.factors @ inside).T)
        size = self.factors.shape[0]
        whole = np.zeros((size, size), dtype=np.float32, order="F")
        every = slice(0, len(self.columns.records)), slice(0, len(self.of_column))
        dense = self._scaled(self.columns.values.toarray(), *every, roots)
        ssyrk(1.0, (self.factors @ dense.T).T, whole, transposed=True)
        return whole

    def _of_kinds(self, roots: Narrow) -> Iterator[Narrow]:
        """Form F V' diag(roots^2) V for each kind, shapes (f, c_1), (f, c_2), ..."""
        columns = self.columns
        for (rows, kind), factors in zip(columns.kinds, self.of_kinds, strict=True):
            size = kind.stop - kind.start
            so_far = np.zeros((size, size), dtype=np.float32)
            width = max(1, BLOCK // size)
            for start in range(rows.start, rows.stop, width):
                those = slice(start, min(start + width, rows.stop))
                part = block_of(columns.values, those, kind)
                dense = self._scaled(part.toarray(), those, kind, roots)
                so_far += dense.T @ dense
            yield factors @ so_far

    def _scaled(
        self, dense: NDArray[np.floating], rows: slice, columns: slice, roots: Narrow
    ) -> Narrow:
        """Multiply some rows and columns of V, written as a dense array, by their factors."""
        dense *= self.of_column[columns].astype(dense.dtype)
        narrow = dense.astype(np.float32, copy=False)
        narrow *= roots[self.columns.records[rows], None]
        return narrow
