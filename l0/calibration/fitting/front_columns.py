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

from l0.calibration.fitting.dissection import Ints
from l0.calibration.fitting.distances import Array
from l0.calibration.fitting.fronts import Front
from l0.calibration.fitting.kinds import OF_GROUP
from l0.calibration.fitting.normal_matrix import BLOCK
from l0.common.sparse_rows import block_of
from l0.common.unlocked_blas import Narrow, ssyrk

#: To add a multiple of an entry takes as long as so many multiplications of dense arrays.
SPREADING = 16.0


@dataclass(frozen=True, eq=False)
class Stretch:
    """V diag(c) of a stretch of records.

    Attributes
    ----------
    entries : scipy.sparse.csr_array, shape (r, c)
        V. It shares its values with all of V.
    of_column : ndarray, shape (c,)
        c, in the precision of V.
    records : ndarray of int64, shape (r,)
    """

    entries: sp.csr_array
    of_column: NDArray[np.floating]
    records: Ints

    def dense(self, roots: Narrow) -> Narrow:
        """Write diag(roots) V diag(c) as a dense array, given the roots of all records."""
        dense = self.entries.toarray()
        dense *= self.of_column
        narrow: Narrow = dense.astype(np.float32, copy=False)
        narrow *= roots[self.records, None]
        return narrow


@dataclass(frozen=True, eq=False)
class OfKind:
    """The columns of the records of one kind.

    Attributes
    ----------
    places : slice
        Of the columns, among all of the front.
    factors : scipy.sparse.csr_array of float32, shape (f, c)
        These columns of F.
    stretches : list of Stretch
    """

    places: slice
    factors: sp.csr_array
    stretches: list[Stretch]

    def product(self, roots: Narrow) -> Narrow:
        """Form F V' diag(roots^2) V, shape (f, c)."""
        size = self.places.stop - self.places.start
        inside = np.zeros((size, size), dtype=np.float32)
        for stretch in self.stretches:
            dense = stretch.dense(roots)
            inside += dense.T @ dense
        return np.asarray(self.factors @ inside)


@dataclass(frozen=True, eq=False)
class FrontColumns:
    """The columns of B in a front, as multiples of the different ones.

    They are cut into stretches once: to make a small sparse matrix takes Python as long as its
    product takes, and other threads must wait meanwhile.

    Attributes
    ----------
    factors : scipy.sparse.csr_array of float32, shape (f, c)
        F.
    whole : Stretch
        V of all records, with the factors of its columns: those of one of the targets that have
        copies of them.
    kinds : list of OfKind
        None if the product is not formed from the inside.
    """

    factors: sp.csr_array
    whole: Stretch
    kinds: list[OfKind]

    @classmethod
    def of(cls, front: Front, row_factor: Array) -> FrontColumns:
        """Look up the factors of a front, given those of all targets, shape (m,)."""
        columns, size = front.columns, len(front.rows)
        of_pair = row_factor[columns.targets]
        of_column = of_pair[columns.first]
        shares = (of_pair / of_column[columns.copies]).astype(np.float32)
        shape = size, len(of_column)
        factors = sp.csc_array((shares, (front.places, columns.copies)), shape=shape)
        whole = Stretch(columns.values, of_column.astype(columns.values.dtype), columns.records)
        from_inside = OF_GROUP * len(columns.kinds) + SPREADING * len(front.places) * size
        many = from_inside < len(columns.records) * size**2 / 2
        kinds = [
            OfKind(places, factors[:, places].tocsr(), list(_stretches(whole, rows, places)))
            for rows, places in (columns.kinds if many else ())
        ]
        return cls(factors.tocsr(), whole, kinds)

    def product(self, roots: Narrow) -> Narrow:
        """Form B diag(roots^2) B', shape (f, f). Only its lower triangle is filled.

        Parameters
        ----------
        roots : ndarray of float32, shape (k,)
            Of all records.
        """
        if self.kinds:
            inside = np.empty(self.factors.shape[::-1], dtype=np.float32)
            for kind in self.kinds:
                inside[kind.places] = kind.product(roots).T
            # It is symmetric: its transpose is the same, in Fortran's order.
            return np.asarray((self.factors @ inside).T)
        size = self.factors.shape[0]
        product = np.zeros((size, size), dtype=np.float32, order="F")
        ssyrk(1.0, (self.factors @ self.whole.dense(roots).T).T, product, transposed=True)
        return product


def _stretches(whole: Stretch, rows: slice, columns: slice) -> Iterator[Stretch]:
    """Cut the records of a kind into stretches that are quick to write as dense arrays."""
    width = max(1, BLOCK // (columns.stop - columns.start))
    for start in range(rows.start, rows.stop, width):
        those = slice(start, min(start + width, rows.stop))
        entries = block_of(whole.entries, those, columns)
        yield Stretch(entries, whole.of_column[columns], whole.records[those])
