"""What least squares needs to know: products of columns, in full or row by row."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from l0.linear_model.design import DenseDesign, Design, Positions

Matrix = NDArray[np.float64]

#: A column whose variance is explained by others up to this share adds nothing to them.
SPANNED = 1e-9
#: A gain below this share of all there is to explain is none.
GAIN = 1e-9
#: Both, times this where products are computed in single precision.
SINGLE = 1e3
#: Up to so many columns, or half as many as rows, all products are computed at once.
FEW, MANY = 400, 5_000


class GramRows:
    """Rows of Z'Z, each computed from the columns when it is first asked for."""

    def __init__(self, design: Design) -> None:
        self._design = design
        n_columns = design.shape[1]
        self._slots = np.full(n_columns, -1)
        self._rows = np.empty((0, n_columns))
        self._held = 0

    def rows(self, which: Positions) -> Matrix:
        """Some rows, (m, p), which the caller may change."""
        new = which[self._slots[which] < 0]
        if len(new):
            self._compute(new)
        rows: Matrix = self._rows[self._slots[which]]
        return rows

    def block(self, which: Positions) -> Matrix:
        """Products among some columns, (m, m)."""
        return DenseDesign(self._design.columns(which)).gram()

    def _compute(self, new: Positions) -> None:
        end = self._held + len(new)
        if end > len(self._rows):
            more = np.empty((max(2 * len(self._rows), end, 32), len(self._slots)))
            more[: self._held] = self._rows[: self._held]
            self._rows = more
        self._rows[self._held : end] = self._design.products(self._design.columns(new)).T
        self._slots[new] = np.arange(self._held, end)
        self._held = end


class Statistics:
    """Z'Z + l2 I, and Z'Y.

    With many rows all of Z'Z is computed; with many columns only the rows of it that are asked
    for, each once, so that there is never a matrix of p x p.

    Parameters
    ----------
    cross : ndarray of float64, shape (p, q)
        Z'Y.
    squares : ndarray of float64, shape (p,)
        Diagonal of Z'Z.
    source : ndarray of float64, shape (p, p), or GramRows
        Z'Z, all of it or row by row.
    total : float
        Sum of squares of Y; infinite where nobody knows.
    l2 : float
        Ridge.
    slack : float
        How much more than in double precision is rounding.

    Attributes
    ----------
    diagonal : ndarray of float64, shape (p,)
        Of Z'Z + l2 I; 0 for columns that are 0.
    spanned : float
        Share of a column's square below which what others leave of it is rounding.
    rounding : float
        Gains up to this are none.
    """

    def __init__(
        self,
        cross: Matrix,
        squares: Matrix,
        source: Matrix | GramRows,
        total: float = math.inf,
        l2: float = 0.0,
        slack: float = 1.0,
    ) -> None:
        self.cross, self.squares, self.source = cross, squares, source
        self.total, self.l2, self.slack = total, l2, slack
        most = np.einsum("ij,ij->i", cross, cross).max(initial=0.0) if total == math.inf else total
        self.spanned, self.rounding = SPANNED * slack, GAIN * slack * float(most)
        self.diagonal = np.where(squares > 0, squares + l2, 0.0)

    @classmethod
    def of(cls, design: Design, outcome: Matrix, l2: float = 0.0) -> Statistics:
        """Take the statistics of columns, and of outcomes of shape (n, q)."""
        n, p = design.shape
        single = isinstance(design, DenseDesign) and design.z.dtype == np.float32
        source = design.gram() if p <= FEW or 2 * p <= n and p <= MANY else GramRows(design)
        squares = np.diag(source).copy() if isinstance(source, np.ndarray) else design.squares
        return cls(
            design.products(outcome),
            squares,
            source,
            float(np.sum(outcome.astype(np.float64) ** 2)),
            l2,
            SINGLE if single else 1.0,
        )

    def rows(self, which: Positions) -> Matrix:
        """Rows of Z'Z + l2 I, (m, p)."""
        if isinstance(self.source, np.ndarray):
            rows = self.source[which]
        else:
            rows = self.source.rows(which)
        rows[np.arange(len(which)), which] = self.diagonal[which]
        return rows

    def block(self, which: Positions) -> Matrix:
        """Z'Z + l2 I among some columns, (m, m)."""
        if isinstance(self.source, np.ndarray):
            gram = self.source[np.ix_(which, which)]
        else:
            gram = self.source.block(which)
        np.fill_diagonal(gram, self.diagonal[which])
        return gram

    def with_l2(self, l2: float) -> Statistics:
        """The same with another ridge."""
        return Statistics(self.cross, self.squares, self.source, self.total, l2, self.slack)

    def restricted(self, which: Positions) -> Statistics:
        """The statistics of some columns alone."""
        # The diagonal is set whenever rows are taken.
        return Statistics(
            self.cross[which],
            self.squares[which],
            self.block(which),
            self.total,
            self.l2,
            self.slack,
        )
